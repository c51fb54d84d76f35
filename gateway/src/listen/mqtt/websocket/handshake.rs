//! The request that opens a WebSocket, and its answer. It runs in the connection's own task, has a
//! deadline and a longest request: a client that says nothing holds up nobody.
//!
//! Nothing of the request lets anybody in: cookies and passwords of HTTP are not looked at, a client
//! shows its password in the CONNECT. So a page of another site can ride on nothing that a browser
//! would send by itself; the list of origins is for cities that want their own pages alone.

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use tungstenite::{
    handshake::{
        machine::TryParse as _,
        server::{Request, Response, create_response, write_response},
    },
    http::{HeaderValue, header},
};

use super::Stream;
use crate::{Gateway, config::WebSocket, listen::connection::Closed};

const READ_BYTES: usize = 1_024;
/// The name that both standards of MQTT have for it.
const SUBPROTOCOL: &str = "mqtt";
const END: &[u8] = b"\r\n\r\n";

/// Why there is no WebSocket; the words are a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// Not finished at the deadline.
    Timeout,
    /// The link broke, or the client went away.
    Broken,
    /// The request is too long.
    Oversize,
    /// It does not ask for a WebSocket of version 13.
    Malformed,
    /// It asks for another path.
    Path,
    /// A page of a site that is not on the list.
    Origin,
    /// It does not speak `mqtt`.
    Subprotocol,
    /// The gateway stops.
    Stopping,
}

impl Refused {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Oversize => "oversize",
            Self::Malformed => "malformed",
            Self::Path => "path",
            Self::Origin => "origin",
            Self::Subprotocol => "subprotocol",
            Self::Stopping => "stopping",
        }
    }

    /// What HTTP has for it; empty where nobody would hear it.
    const fn status(self) -> &'static str {
        match self {
            Self::Timeout | Self::Broken | Self::Stopping => "",
            Self::Oversize => "431 Request Header Fields Too Large",
            Self::Malformed | Self::Subprotocol => "400 Bad Request",
            Self::Path => "404 Not Found",
            Self::Origin => "403 Forbidden",
        }
    }
}

/// The stream of a WebSocket that was agreed upon, and what came behind the request.
///
/// # Errors
/// When there is no WebSocket: counted.
pub(super) async fn agree<S: Stream>(
    gateway: &Gateway,
    mut stream: S,
) -> Result<(S, Vec<u8>), Closed> {
    let rules = &gateway.config.mqtt.websocket;
    let shaken = timeout(rules.handshake_timeout, shake(&mut stream, rules));
    let agreed = tokio::select! {
        () = gateway.stop.cancelled() => Err(Refused::Stopping),
        agreed = shaken => agreed.unwrap_or(Err(Refused::Timeout)),
    };
    let result = agreed
        .as_ref()
        .map_or_else(|refused| refused.as_str(), |_| "ok");
    gateway
        .metrics
        .count("mqtt_websocket_handshakes_total", "result", result, 1);
    match agreed {
        Ok(rest) => Ok((stream, rest)),
        Err(Refused::Stopping) => Err(Closed::Shutdown),
        Err(_) => Err(Closed::Handshake),
    }
}

async fn shake<S: Stream>(stream: &mut S, rules: &WebSocket) -> Result<Vec<u8>, Refused> {
    let answered = match read_request(stream, rules).await {
        Ok((request, rest)) => judge(&request, rules).map(|answer| (answer, rest)),
        Err(refused) => Err(refused),
    };
    let (answer, rest) = match answered {
        Ok((response, rest)) => {
            let mut answer = Vec::new();
            write_response(&mut answer, &response).map_err(|_| Refused::Malformed)?;
            (answer, Ok(rest))
        }
        Err(refused) if refused.status().is_empty() => return Err(refused),
        Err(refused) => {
            let status = refused.status();
            let text =
                format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            (text.into_bytes(), Err(refused))
        }
    };
    let sent = async {
        stream.write_all(&answer).await?;
        stream.flush().await
    };
    let sent = sent.await;
    // Who was refused was, whether he hears it or not.
    let rest = rest?;
    sent.map_err(|_| Refused::Broken)?;
    Ok(rest)
}

/// The request, and what came behind it.
async fn read_request<S: Stream>(
    stream: &mut S,
    rules: &WebSocket,
) -> Result<(Request, Vec<u8>), Refused> {
    let bytes_max = usize::try_from(rules.handshake_bytes_max).unwrap_or(usize::MAX);
    let mut head = BytesMut::new();
    loop {
        // Its end may have begun in what was looked at before.
        let seen = head.len().saturating_sub(END.len() - 1);
        head.reserve(READ_BYTES);
        match stream.read_buf(&mut head).await {
            Ok(0) | Err(_) => return Err(Refused::Broken),
            Ok(_) => {}
        }
        let new = head.get(seen..).unwrap_or_default();
        let end = new.windows(END.len()).position(|bytes| bytes == END);
        let end = end.map(|place| seen + place + END.len());
        if end.unwrap_or(head.len()) > bytes_max {
            return Err(Refused::Oversize);
        }
        if let Some(end) = end {
            let rest = head.split_off(end).to_vec();
            let parsed = Request::try_parse(&head).ok().flatten();
            let (_, request) = parsed.ok_or(Refused::Malformed)?;
            return Ok((request, rest));
        }
    }
}

fn judge(request: &Request, rules: &WebSocket) -> Result<Response, Refused> {
    if request.uri().path() != rules.path {
        return Err(Refused::Path);
    }
    let mut response = create_response(request).map_err(|_| Refused::Malformed)?;
    // Programs send none; a browser always does.
    if let Some(origin) = request.headers().get(header::ORIGIN)
        && !rules.origins.is_empty()
        && !rules.origins.iter().any(|known| origin == known.as_str())
    {
        return Err(Refused::Origin);
    }
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let is_offered = offered
        .iter()
        .filter_map(|names| names.to_str().ok())
        .flat_map(|names| names.split(','))
        .any(|name| name.trim() == SUBPROTOCOL);
    if !is_offered {
        return Err(Refused::Subprotocol);
    }
    let chosen = HeaderValue::from_static(SUBPROTOCOL);
    response
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::duplex;

    use super::*;

    fn rules(origins: &[&str]) -> WebSocket {
        WebSocket {
            listen: None,
            tls_listen: None,
            path: "/mqtt".to_owned(),
            origins: origins.iter().map(|text| (*text).to_owned()).collect(),
            handshake_timeout: Duration::from_secs(1),
            handshake_bytes_max: 1_024,
            message_bytes_max: 65_536,
        }
    }

    /// A request with these lines in place of its own.
    fn request(path: &str, more: &str) -> Request {
        let text = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: \
             websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
             dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        );
        Request::try_parse(text.as_bytes()).unwrap().unwrap().1
    }

    #[test]
    fn path_origin_and_subprotocol_are_judged() {
        let mqtt = "Sec-WebSocket-Protocol: chat, mqtt\r\n";
        let page = format!("{mqtt}Origin: https://city.example\r\n");
        let other = format!("{mqtt}Origin: https://evil.example\r\n");
        let own = &["https://city.example"][..];
        for (path, more, origins, expected) in [
            ("/mqtt", mqtt, &[][..], Ok(())),
            ("/mqtt?token=1", mqtt, &[], Ok(())),
            ("/", mqtt, &[], Err(Refused::Path)),
            ("/mqtt/", mqtt, &[], Err(Refused::Path)),
            ("/mqtt", "", &[], Err(Refused::Subprotocol)),
            (
                "/mqtt",
                "Sec-WebSocket-Protocol: mqttv3.1\r\n",
                &[],
                Err(Refused::Subprotocol),
            ),
            ("/mqtt", &other, &[], Ok(())),
            ("/mqtt", mqtt, own, Ok(())),
            ("/mqtt", &page, own, Ok(())),
            ("/mqtt", &other, own, Err(Refused::Origin)),
        ] {
            let judged = judge(&request(path, more), &rules(origins));
            assert_eq!(judged.map(drop), expected, "{path} {more} {origins:?}");
        }
        let answer = judge(&request("/mqtt", mqtt), &rules(&[])).unwrap();
        let header = |name: &str| answer.headers().get(name).unwrap().to_str().unwrap();
        assert_eq!(header("Sec-WebSocket-Protocol"), "mqtt");
        // The example of RFC 6455, 1.3.
        assert_eq!(
            header("Sec-WebSocket-Accept"),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    impl Stream for tokio::io::DuplexStream {
        const KIND: super::super::Kind = super::super::Kind::MqttWs;

        fn poll_socket(&self, _context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
            std::task::Poll::Ready(())
        }
    }

    #[tokio::test]
    async fn a_request_is_read_however_it_is_cut_and_what_follows_is_kept() {
        let text = b"GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\nmore";
        for cut in 1..text.len() {
            let (mut ours, mut theirs) = duplex(4_096);
            let write = async {
                theirs.write_all(&text[..cut]).await.unwrap();
                tokio::task::yield_now().await;
                theirs.write_all(&text[cut..]).await.unwrap();
            };
            let rules = rules(&[]);
            let (read, ()) = tokio::join!(read_request(&mut ours, &rules), write);
            let (request, mut rest) = read.unwrap();
            assert_eq!(request.uri().path(), "/mqtt");
            // What did not come with the request is still in the stream.
            drop(theirs);
            ours.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"more", "{cut}");
        }
    }

    #[tokio::test]
    async fn a_request_without_an_end_is_read_up_to_its_limit_and_no_further() {
        let (mut ours, mut theirs) = duplex(64 * 1024);
        theirs.write_all(&[b'a'; 32 * 1024]).await.unwrap();
        let read = read_request(&mut ours, &rules(&[])).await;
        assert_eq!(read.map(|_| ()), Err(Refused::Oversize));
        let mut left = vec![0; 32 * 1024];
        drop(theirs);
        let mut count = 0;
        while let Ok(more) = ours.read(&mut left).await
            && more > 0
        {
            count += more;
        }
        assert!(count > 28 * 1024, "{count} bytes were left unread");
    }
}
