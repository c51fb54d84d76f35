//! Ports: free, or in use by a gateway that runs.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    time::Duration,
};

use serde_json::Value;

use super::{Finding, Findings, Level};
use crate::{config::Config, http_client};

const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Looks at every port of the configuration. Gives what a gateway that runs says of itself.
pub(super) async fn ports(config: &Config, findings: &mut Findings) -> Option<Finding> {
    let gateway = running(config.http.listen).await;
    let tcp = |address: SocketAddr| TcpListener::bind(address).map(drop);
    let udp = |address: SocketAddr| UdpSocket::bind(address).map(drop);
    let of = |key, address: Option<SocketAddr>, bind: &dyn Fn(SocketAddr) -> io::Result<()>| {
        address.map(|address| (key, address, bind(address)))
    };
    let websocket = &config.mqtt.websocket;
    let ports = [
        of("tcp.listen", Some(config.tcp.listen), &tcp),
        of("tls.listen", config.tls.listen, &tcp),
        of("udp.listen", config.udp.listen, &udp),
        of("mqtt.listen", config.mqtt.listen, &tcp),
        of("mqtt.tls_listen", config.mqtt.tls_listen, &tcp),
        of("mqtt.websocket.listen", websocket.listen, &tcp),
        of("mqtt.websocket.tls_listen", websocket.tls_listen, &tcp),
        of("attachments.listen", config.attachments.listen, &tcp),
        of("http.listen", Some(config.http.listen), &tcp),
    ];
    for (key, address, bound) in ports.into_iter().flatten() {
        let place = format!("{key} {address}");
        match bound {
            Ok(()) => findings.ok("port", format!("{place} is free")),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && gateway.is_some() => {
                findings.ok(
                    "port",
                    format!("{place} is in use, and a gateway runs here"),
                );
            }
            Err(error) => {
                let advice = match error.kind() {
                    io::ErrorKind::AddrInUse => "another program has it: see `ss -lntup`",
                    io::ErrorKind::PermissionDenied => "use a port from 1024 on, or a capability",
                    _ => "name an address of this machine",
                };
                findings.bad("port", format!("{place}: {error}"), advice);
            }
        }
    }
    gateway
}

/// What the gateway on this address says, if there is one.
async fn running(address: SocketAddr) -> Option<Finding> {
    if address.port() == 0 {
        return None;
    }
    let address = address.to_string();
    let asked = http_client::get(&address, "/readyz");
    let (_, body) = tokio::time::timeout(ANSWER_WITHIN, asked)
        .await
        .ok()?
        .ok()?;
    let answer: Value = serde_json::from_slice(&body).ok()?;
    let is_ready = answer.get("ready")?.as_bool()?;
    let words = |field: &str| {
        let words = answer.get(field).and_then(Value::as_array);
        let words: Vec<_> = words
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        words.join("; ")
    };
    let degraded = words("degraded");
    let (level, found, advice) = match (is_ready, degraded.is_empty()) {
        (true, true) => (Level::Ok, "one runs here and is ready".to_owned(), None),
        (true, false) => (
            Level::Warn,
            format!("one runs here and is ready, but: {degraded}"),
            Some("mend the store; the log keeps what comes until then".to_owned()),
        ),
        (false, _) => (
            Level::Bad,
            format!("one runs here and is not ready: {}", words("reasons")),
            Some("see its log lines".to_owned()),
        ),
    };
    Some(Finding {
        level,
        subject: "gateway",
        found,
        advice,
    })
}
