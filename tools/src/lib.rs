//! Tools around a JT/T 808 gateway: a synthetic city, a simulated fleet, a load generator, a
//! replayer and a decoder.
//!
//! - [`simulate`]: the fleet, and the truth about it. [`city`] is where it drives, [`plane`] the
//!   geometry of it, [`random`] a seeded generator whose numbers never change.
//! - [`replay`]: recorded frames and tracks through real sockets.
//! - [`load`]: many terminals as cheaply as possible, to measure a gateway.
//! - [`receive`]: a case system that takes what a gateway delivers, and misbehaves.
//! - [`decode`]: frames to JSON.
//! - [`terminal`] and [`wire`]: the terminal's end of the protocol, written apart from the
//!   gateway's; [`mqtt`]: the same for MQTT; [`mod@line`] and [`stream`]: either of them under a terminal.
//!
//! Nothing here depends on the gateway: what stands between them is the socket.

pub mod city;
pub mod decode;
pub mod line;
pub mod load;
pub mod mqtt;
pub mod output;
pub mod plane;
pub mod random;
pub mod receive;
pub mod replay;
pub mod simulate;
pub mod stream;
pub mod terminal;
pub mod wire;

#[cfg(test)]
mod test_server;
