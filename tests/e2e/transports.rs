//! The same terminals over TLS and over UDP.

mod tls;
mod udp;

use harness::{now_s, report};
use tokio::io::{AsyncRead, AsyncWrite};
use tools::{
    terminal::Terminal,
    wire::{Revision, message_id},
};

const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;

const REVISIONS: [(&str, Revision); 3] = [
    ("13800000011", Revision::V2011),
    ("13800000013", Revision::V2013),
    ("13800000019", Revision::V2019),
];

/// Registers, authenticates, reports, logs out, and is answered each time.
async fn whole_day<S: AsyncRead + AsyncWrite + Unpin>(terminal: &mut Terminal<S>) {
    let code = terminal.register().await.unwrap();
    terminal.authenticate(&code).await.unwrap();
    terminal.heartbeat().await.unwrap();
    let serial = terminal
        .send_location(&report(37.87, 112.55, now_s()))
        .await
        .unwrap();
    let answer = terminal.response(serial).await.unwrap();
    assert_eq!(
        (answer.id, answer.result),
        (message_id::LOCATION_REPORT, SUCCESS)
    );
    terminal.log_out().await.unwrap();
}
