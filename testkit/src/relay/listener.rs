//! The port: accepts connections, closes and reopens, and leads each connection to its session.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::faults::{ConnectionFault, Fault};
use super::http::{self, Request};
use super::io::{BoxedIo, CountedStream};
use super::shared::Shared;
use super::stats::Counters;
use super::wire::Wire;
use super::{information, lock, session};
use crate::limits::HEAD_TIMEOUT;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// The wait after the system refused to accept a connection or to give a port.
const RETRY: Duration = Duration::from_millis(20);

/// Listens. Only on this machine: a relay that misbehaves on purpose is nobody else's business.
pub(super) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    if !address.ip().is_loopback() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a loopback address",
        ));
    }
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The relay's port.
enum Port {
    Open(TcpListener),
    /// Bound, so that nobody who wants any free port gets it, but not listening: the kernel
    /// refuses clients.
    Closed(Option<TcpSocket>),
}

impl Port {
    /// Opens or closes the port. It stays closed where the system does not give it back yet.
    fn set(self, closed: bool, address: SocketAddr) -> Self {
        match self {
            Self::Open(listener) if closed => {
                drop(listener);
                Self::Closed(hold_port(address).ok())
            }
            Self::Closed(held) if !closed => {
                let socket = held.map_or_else(|| hold_port(address), Ok);
                match socket.and_then(|socket| socket.listen(BACKLOG)) {
                    Ok(listener) => Self::Open(listener),
                    Err(_) => Self::Closed(None),
                }
            }
            port => port,
        }
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        match self {
            Self::Open(listener) => listener.accept().await.map(|(stream, _)| stream),
            Self::Closed(_) => std::future::pending().await,
        }
    }
}

fn hold_port(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts until the relay stops.
pub(super) async fn run(
    shared: Arc<Shared>,
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    tasks: TaskTracker,
) {
    let stop = shared.stop.clone();
    let mut closed = shared.closed.subscribe();
    let mut port = Port::Open(listener);
    loop {
        let want_closed = *closed.borrow_and_update();
        port = port.set(want_closed, shared.address);
        let retry = !want_closed && matches!(port, Port::Closed(_));
        tokio::select! {
            () = stop.cancelled() => return,
            changed = closed.changed() => if changed.is_err() { return },
            () = sleep(RETRY), if retry => {}
            accepted = port.accept() => match accepted {
                Ok(stream) => {
                    let stop = stop.clone();
                    let serving = Box::pin(serve(shared.clone(), stream, acceptor.clone()));
                    tasks.spawn(async move {
                        tokio::select! {
                            () = stop.cancelled() => {}
                            result = serving => if let Err(error) = result {
                                tracing::trace!(%error, "simulated connection ended");
                            },
                        }
                    });
                }
                // Out of file descriptors, most likely: do not spin.
                Err(_) => sleep(RETRY).await,
            },
        }
    }
}

/// Serves one connection from its first byte to its end.
async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
) -> io::Result<()> {
    Counters::bump(&shared.counters.connections);
    if is_refused(&shared) {
        return stream.set_zero_linger();
    }
    stream.set_nodelay(true)?;
    let stream = CountedStream::new(stream, shared.counters.clone());
    let greetings = shared.take_faults(|fault| match fault {
        Fault::Connection(ConnectionFault::Greet(wire)) => Some(wire),
        _ => None,
    });
    if let Some(wire) = greetings.first() {
        let mut io: BoxedIo = Box::new(stream);
        return http::put(&mut io, wire).await;
    }
    let mut io: BoxedIo = match acceptor {
        None => Box::new(stream),
        Some(acceptor) => match timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
            Ok(accepted) => Box::new(accepted?),
            Err(_) => return Ok(()),
        },
    };
    let Ok(request) = timeout(HEAD_TIMEOUT, http::read_request(&mut io)).await else {
        return Ok(());
    };
    let request = request?;
    if let Some(key) = request.websocket_key() {
        let Some(opening) = upgrade(&shared, &mut io, key).await? else {
            return Ok(());
        };
        session::run(shared, io, request.rest, opening).await;
        Ok(())
    } else if request.wants_information() {
        Counters::bump(&shared.counters.information_requests);
        information::answer(&shared, io).await
    } else {
        greet(&mut io, &request).await
    }
}

/// Says whether a fault resets the connection before its first byte.
fn is_refused(shared: &Shared) -> bool {
    let faults = shared.take_faults(|fault| match fault {
        Fault::Connection(
            fault @ (ConnectionFault::Refuse | ConnectionFault::BanReconnects(_)),
        ) => Some(fault),
        _ => None,
    });
    let last_end = *lock(&shared.last_end);
    faults.iter().any(|fault| match fault {
        ConnectionFault::BanReconnects(wait) => {
            last_end.is_some_and(|ended| ended.elapsed() < *wait)
        }
        _ => true,
    })
}

/// How a session begins and ends, where that is scripted.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// When the session is cut.
    pub(super) cut_at: Option<Instant>,
    /// What is sent before any question is read.
    pub(super) wire: Option<Wire>,
}

/// Answers the upgrade; `None` when there is no session.
async fn upgrade(shared: &Shared, io: &mut BoxedIo, key: &str) -> io::Result<Option<Opening>> {
    let faults = shared.take_faults(|fault| match fault {
        Fault::Connection(
            ConnectionFault::Refuse | ConnectionFault::BanReconnects(_) | ConnectionFault::Greet(_),
        ) => None,
        Fault::Connection(fault) => Some(fault),
        _ => None,
    });
    let (mut key, mut opening) = (key, Opening::default());
    for fault in &faults {
        match fault {
            ConnectionFault::NoHandshake => {
                http::hold(io).await;
                return Ok(None);
            }
            ConnectionFault::Status(status) => {
                http::respond(io, *status, &[("Content-Type", "text/html")], http::PAGE).await?;
                return Ok(None);
            }
            ConnectionFault::Redirect(url) => {
                http::respond(io, 302, &[("Location", url)], "").await?;
                return Ok(None);
            }
            ConnectionFault::Html => {
                http::respond(io, 200, &[("Content-Type", "text/html")], http::PAGE).await?;
                return Ok(None);
            }
            ConnectionFault::WrongAcceptKey => key = "another key",
            ConnectionFault::HandshakeDelay(delay) => sleep(*delay).await,
            ConnectionFault::CutAfter(time) => opening.cut_at = Some(Instant::now() + *time),
            ConnectionFault::Answer(wire) => {
                http::put(io, wire).await?;
                return Ok(None);
            }
            ConnectionFault::Begin(wire) => opening.wire = Some(wire.clone()),
            ConnectionFault::Refuse
            | ConnectionFault::BanReconnects(_)
            | ConnectionFault::Greet(_) => {}
        }
    }
    http::switch_protocols(io, key).await?;
    Ok(Some(opening))
}

/// Answers what is neither an upgrade nor a NIP-11 request.
async fn greet(io: &mut BoxedIo, request: &Request) -> io::Result<()> {
    match request.method.as_str() {
        "OPTIONS" => http::respond(io, 204, &http::CORS, "").await,
        "GET" => http::respond(io, 200, &[("Content-Type", "text/html")], http::PAGE).await,
        _ => http::respond(io, 405, &[], "").await,
    }
}
