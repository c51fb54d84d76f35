//! A whole gateway in-process, terminals over real sockets, everything asked for over HTTP. At the
//! end of each story the books balance (P7).

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails here"
)]

mod attachments;
mod authority;
mod backtests;
mod case_desk;
mod case_search;
mod cases;
mod catalog;
mod command_line;
mod commands;
mod deliveries;
mod described;
mod duty;
mod encryption;
mod evaluation;
mod evidence;
mod explain;
mod fleet;
mod handshake;
mod hostile_text;
mod inspectors;
mod limits;
mod mqtt;
mod operations;
mod packets;
mod positions;
mod profiles;
mod protocol;
mod real_input;
mod retention;
mod sessions;
mod tracks;
mod transfer;
mod transports;
mod work;
