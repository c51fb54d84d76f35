//! Accepting terminals, within limits. Plain TCP, TLS and UDP are links under the same connection
//! and share its limits; MQTT has a connection of its own (`mqtt`) under the same ones.

mod admission;
mod attachments;
mod codec;
mod connection;
mod mqtt;
mod responses;
mod sending;
mod tcp;
mod tls;
mod transport;
mod udp;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{admission::Admission, connection::Closed};
pub use self::{
    admission::{ListenerStatus, Listeners},
    mqtt::Users,
    tls::{Tls, TlsError, reload, reload_on_hangup},
    transport::Kind,
};
use crate::{Gateway, config::Config};

/// A failing accept (no file descriptors left) is tried again after this pause.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const LISTEN_BACKLOG: u32 = 4_096;

/// The sockets that terminals come to, bound and not yet served.
#[derive(Debug)]
pub struct Sockets {
    tcp: TcpListener,
    tls: Option<(TcpListener, Arc<Tls>)>,
    udp: Option<UdpSocket>,
    mqtt: Option<TcpListener>,
    mqtts: Option<(TcpListener, Arc<Tls>)>,
    mqtt_ws: Option<TcpListener>,
    mqtt_wss: Option<(TcpListener, Arc<Tls>)>,
    attachments: Option<TcpListener>,
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address.
    #[error("listening for terminals on {address} ({}): {cause}", .kind.as_str())]
    Bind {
        /// The kind of link.
        kind: Kind,
        /// Where.
        address: SocketAddr,
        /// The cause.
        cause: io::Error,
    },
    /// The address of the server of attachments.
    #[error("listening for attachments on {address}: {cause}")]
    Attachments {
        /// Where.
        address: SocketAddr,
        /// The cause.
        cause: io::Error,
    },
    /// The files of `[tls]`.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Sockets {
    /// Binds every listener that the configuration names. Must be called in the runtime.
    ///
    /// # Errors
    /// When an address cannot be had, or a file of `[tls]` is no good.
    pub fn bind(config: &Config) -> Result<Self, ListenError> {
        let failed = |kind, address| {
            move |cause| ListenError::Bind {
                kind,
                address,
                cause,
            }
        };
        let address = config.tcp.listen;
        let tcp = listen_on(address).map_err(failed(Kind::Tcp, address))?;
        let keys = config.needs_tls().then(|| Tls::load(&config.tls));
        let keys = keys.transpose()?.map(Arc::new);
        let listen = |kind, address: Option<SocketAddr>| {
            let bind = |address| listen_on(address).map_err(failed(kind, address));
            address.map(bind).transpose()
        };
        let tls = listen(Kind::Tls, config.tls.listen)?.zip(keys.clone());
        let mqtt = listen(Kind::Mqtt, config.mqtt.listen)?;
        let mqtts = listen(Kind::Mqtts, config.mqtt.tls_listen)?.zip(keys.clone());
        let websocket = &config.mqtt.websocket;
        let mqtt_ws = listen(Kind::MqttWs, websocket.listen)?;
        let mqtt_wss = listen(Kind::MqttWss, websocket.tls_listen)?.zip(keys);
        let udp = match config.udp.listen {
            None => None,
            Some(address) => {
                let bound = udp::bind(address, config.udp.receive_buffer_bytes);
                Some(bound.map_err(failed(Kind::Udp, address))?)
            }
        };
        let bind = |address| {
            listen_on(address).map_err(|cause| ListenError::Attachments { address, cause })
        };
        let attachments = config.attachments.listen.map(bind).transpose()?;
        Ok(Self {
            tcp,
            tls,
            udp,
            mqtt,
            mqtts,
            mqtt_ws,
            mqtt_wss,
            attachments,
        })
    }

    /// Where they are.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn listeners(&self) -> io::Result<Listeners> {
        let within_tls = |listener: &Option<(TcpListener, Arc<Tls>)>| {
            listener.as_ref().map(|(l, _)| l.local_addr()).transpose()
        };
        let udp = self.udp.as_ref().map(UdpSocket::local_addr);
        let mqtt = self.mqtt.as_ref().map(TcpListener::local_addr);
        let mqtt_ws = self.mqtt_ws.as_ref().map(TcpListener::local_addr);
        Ok(Listeners::new([
            Some(self.tcp.local_addr()?),
            within_tls(&self.tls)?,
            udp.transpose()?,
            mqtt.transpose()?,
            within_tls(&self.mqtts)?,
            mqtt_ws.transpose()?,
            within_tls(&self.mqtt_wss)?,
        ]))
    }

    /// Where the server of attachments is; none when it is off.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn attachments(&self) -> io::Result<Option<SocketAddr>> {
        let listener = self.attachments.as_ref();
        listener.map(TcpListener::local_addr).transpose()
    }

    /// The keys of TLS, to be read again when it is told.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<Tls>> {
        let of = self.tls.as_ref().or(self.mqtts.as_ref());
        let of = of.or(self.mqtt_wss.as_ref());
        of.map(|(_, tls)| Arc::clone(tls))
    }

    /// Serves them until told to stop; each connection is a task of its own.
    #[must_use]
    pub fn serve(
        self,
        gateway: &Arc<Gateway>,
        connections: &TaskTracker,
        stop: &CancellationToken,
    ) -> Vec<JoinHandle<()>> {
        let admission = Arc::new(Admission::new(Arc::clone(gateway), connections.clone()));
        let share = || (Arc::clone(&admission), stop.clone());
        let (to, stop) = share();
        let mut tasks = vec![tokio::spawn(accept(
            to,
            Kind::Tcp,
            self.tcp,
            stop,
            tcp::serve,
        ))];
        if let Some((listener, tls)) = self.tls {
            let (to, stop) = share();
            let serve =
                move |gateway, stream, peer| tls::serve(gateway, stream, peer, Arc::clone(&tls));
            tasks.push(tokio::spawn(accept(to, Kind::Tls, listener, stop, serve)));
        }
        if let Some(listener) = self.mqtt {
            let (to, stop) = share();
            tasks.push(tokio::spawn(accept(
                to,
                Kind::Mqtt,
                listener,
                stop,
                mqtt::serve,
            )));
        }
        if let Some((listener, tls)) = self.mqtts {
            let (to, stop) = share();
            let serve = move |gateway, stream, peer| {
                mqtt::serve_tls(gateway, stream, peer, Arc::clone(&tls))
            };
            tasks.push(tokio::spawn(accept(to, Kind::Mqtts, listener, stop, serve)));
        }
        if let Some(listener) = self.mqtt_ws {
            let (to, stop) = share();
            let serve = mqtt::websocket::serve;
            tasks.push(tokio::spawn(accept(
                to,
                Kind::MqttWs,
                listener,
                stop,
                serve,
            )));
        }
        if let Some((listener, tls)) = self.mqtt_wss {
            let (to, stop) = share();
            let serve = move |gateway, stream, peer| {
                mqtt::websocket::serve_tls(gateway, stream, peer, Arc::clone(&tls))
            };
            tasks.push(tokio::spawn(accept(
                to,
                Kind::MqttWss,
                listener,
                stop,
                serve,
            )));
        }
        if let Some(socket) = self.udp {
            let (to, stop) = share();
            tasks.push(tokio::spawn(udp::receive(to, socket, stop)));
        }
        if let Some(listener) = self.attachments {
            let (_, stop) = share();
            let (gateway, connections) = (Arc::clone(gateway), connections.clone());
            let accept = attachments::accept(gateway, listener, connections, stop);
            tasks.push(tokio::spawn(accept));
        }
        tasks
    }
}

/// A listening TCP socket.
///
/// # Errors
/// When the address cannot be had.
pub fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(LISTEN_BACKLOG)
}

async fn accept<F, S>(
    admission: Arc<Admission>,
    kind: Kind,
    listener: TcpListener,
    stop: CancellationToken,
    serve: F,
) where
    F: Fn(Arc<Gateway>, TcpStream, IpAddr) -> S,
    S: Future<Output = Closed> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match admission.permit(kind, peer.ip()) {
                Ok(permit) => {
                    let serve = serve(Arc::clone(admission.gateway()), stream, peer.ip());
                    admission.spawn(permit, serve);
                }
                Err(reason) => admission.refuse(reason),
            },
            Err(error) => {
                admission.refuse("accept_failed");
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
