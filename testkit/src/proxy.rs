//! A TCP proxy that can be cut, stalled, muted and restored: outages of databases and relays.
//!
//! Owns a port and the connections through it, not what they say.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a proxy does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Passes everything on.
    Open,
    /// Passes on what clients say, but no answer.
    Muted,
    /// Keeps connections and takes new ones, but passes nothing on.
    Stalled,
    /// Has no connections and resets new ones.
    Cut,
}

/// The mode, and how often connections were cut: a cut ends those of before it even when it is
/// over before they notice.
#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    cuts: u64,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    state: watch::Sender<State>,
    stop: CancellationToken,
    tasks: TaskTracker,
    connections: AtomicU64,
    bytes: AtomicU64,
}

/// A running proxy on 127.0.0.1. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl TcpProxy {
    /// Starts a proxy to `target` on a free port.
    ///
    /// # Errors
    /// No port can be opened.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            state: watch::Sender::new(State {
                mode: Mode::Open,
                cuts: 0,
            }),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            connections: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        shared.tasks.spawn(run(shared.clone(), listener));
        Ok(Self { address, shared })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections at once and resets new ones until [`TcpProxy::restore`].
    pub fn cut(&self) {
        self.shared.state.send_modify(|state| {
            state.mode = Mode::Cut;
            state.cuts += 1;
        });
    }

    /// Passes nothing on, in either direction, and keeps the connections.
    pub fn stall(&self) {
        self.set(Mode::Stalled);
    }

    /// Passes on what clients say and holds back every answer, so that a cut loses what the server
    /// has done already.
    pub fn mute(&self) {
        self.set(Mode::Muted);
    }

    /// Passes everything on again, what a stall held back included.
    pub fn restore(&self) {
        self.set(Mode::Open);
    }

    fn set(&self, mode: Mode) {
        self.shared.state.send_modify(|state| state.mode = mode);
    }

    /// Counts the connections that were passed on so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Counts the bytes that were passed on so far, in both directions.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Ends the proxy and waits until all its connections have ended.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

async fn run(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // Out of file descriptors, most likely: do not spin.
        let Ok((client, _)) = accepted else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let shared = shared.clone();
        shared.tasks.clone().spawn(async move {
            if let Err(error) = pass(&shared, client).await {
                tracing::trace!(%error, "proxied connection ended");
            }
        });
    }
}

async fn pass(shared: &Shared, client: TcpStream) -> io::Result<()> {
    let mut state = shared.state.subscribe();
    let at_start = *state.borrow();
    if at_start.mode == Mode::Cut {
        return client.set_zero_linger();
    }
    let ended = async {
        let cut = state.wait_for(|state| state.cuts != at_start.cuts);
        tokio::select! {
            () = shared.stop.cancelled() => {}
            _ = cut => {}
        }
    };
    let joined = async {
        let server = TcpStream::connect(shared.target).await?;
        shared.connections.fetch_add(1, Ordering::Relaxed);
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::try_join!(
            copy(shared, from_client, to_server, &[Mode::Stalled]),
            copy(
                shared,
                from_server,
                to_client,
                &[Mode::Stalled, Mode::Muted]
            ),
        )?;
        Ok(())
    };
    tokio::select! {
        // First: after a cut nothing that was held back may slip through.
        biased;
        () = ended => Ok(()),
        result = joined => result,
    }
}

async fn copy(
    shared: &Shared,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    held_back_in: &[Mode],
) -> io::Result<()> {
    let mut state = shared.state.subscribe();
    let mut buffer = vec![0_u8; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        // The sender lives as long as the proxy, so this waits for another mode only.
        let passes = state.wait_for(|state| !held_back_in.contains(&state.mode));
        if passes.await.is_err() {
            return Ok(());
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        shared.bytes.fetch_add(read as u64, Ordering::Relaxed);
    }
}
