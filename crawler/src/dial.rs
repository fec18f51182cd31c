//! The one dialer: every connection that leaves the crawler is made here.
//!
//! Resolve, refuse special-purpose addresses, connect by TCP or through a SOCKS5 proxy, TLS. Each
//! phase is timed and bounded, every byte is counted. On top of it: [`websocket`] upgrades,
//! [`http`] fetches, and [`transport`] hands connections to nostr-sdk. What is said over a
//! connection is not decided here; see [`crate::session`].

mod attempt;
mod config;
mod connect;
mod error;
pub mod http;
mod pace;
mod proxy_addr;
mod race;
mod records;
mod resolve;
mod slots;
mod stream;
mod target;
mod tls;
pub mod transport;
pub mod websocket;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::RelayUrl;
use rustls_pki_types::CertificateDer;

pub use self::config::{NetworkConfig, NetworksConfig};
pub use self::connect::{Connect, SystemConnector};
pub use self::error::{DialError, Phase};
pub use self::proxy_addr::{ProxyAddr, ProxyAddrError};
pub use self::records::DnsRecords;
pub use self::resolve::{Resolve, ResolveError, SystemResolver, TableResolver};
pub use self::stream::{DialStream, Meter, ReadCapReached};
pub use self::target::{Target, TargetError};
pub use self::tls::{CertificateVerdict, TlsInfo, TlsSetupError};

use self::slots::Slots;
use self::tls::Tls;

/// Makes connections under the rules of [`NetworksConfig`]. Cheap to clone; clones share slots.
#[derive(Clone)]
pub struct Dialer(Arc<Inner>);

struct Inner {
    config: NetworksConfig,
    slots: Slots,
    resolver: Arc<dyn Resolve>,
    connector: Arc<dyn Connect>,
    tls: Tls,
    traffic: Arc<Meter>,
}

/// Why a dialer cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DialerError {
    /// The resolver cannot be set up.
    #[error("cannot set up the resolver")]
    Resolver(#[from] ResolveError),
    /// TLS cannot be set up.
    #[error("cannot set up tls")]
    Tls(#[from] TlsSetupError),
}

/// A connection, and how it was made.
#[derive(Debug)]
pub struct Dialed {
    /// The connection.
    pub stream: DialStream,
    /// What each phase took.
    pub timings: DialTimings,
    /// The address of the relay; unknown behind a proxy.
    pub remote_ip: Option<IpAddr>,
    /// What the TLS handshake showed, where TLS is spoken.
    pub tls: Option<TlsInfo>,
}

/// What the phases of a dial took; `None` for a phase that was not needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DialTimings {
    /// Waiting for slots on our side.
    pub queue: Duration,
    /// Asking DNS.
    pub resolve: Option<Duration>,
    /// Connecting to the address that won, or to the proxy.
    pub tcp: Option<Duration>,
    /// The proxy's connection to the host.
    pub proxy: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
}

impl DialTimings {
    /// Returns what the connection took, without our own queue.
    pub fn total(&self) -> Duration {
        [self.resolve, self.tcp, self.proxy, self.tls]
            .into_iter()
            .flatten()
            .sum()
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

impl Dialer {
    /// Makes a dialer with the system's resolver and the usual trust anchors.
    pub fn new(config: NetworksConfig) -> Result<Self, DialerError> {
        Self::with(config, Arc::new(SystemResolver::new()?), &[])
    }

    /// Makes a dialer with another resolver, and trust anchors (DER) beside the usual ones.
    pub fn with(
        config: NetworksConfig,
        resolver: Arc<dyn Resolve>,
        extra_roots: &[CertificateDer<'static>],
    ) -> Result<Self, DialerError> {
        Self::over(config, resolver, Arc::new(SystemConnector), extra_roots)
    }

    /// Makes a dialer as [`Dialer::with`] does, over another way to open TCP connections. A
    /// proxy is not connected to by it.
    pub fn over(
        config: NetworksConfig,
        resolver: Arc<dyn Resolve>,
        connector: Arc<dyn Connect>,
        extra_roots: &[CertificateDer<'static>],
    ) -> Result<Self, DialerError> {
        let (slots, tls) = (Slots::new(&config), Tls::new(extra_roots)?);
        Ok(Self(Arc::new(Inner {
            config,
            slots,
            resolver,
            connector,
            tls,
            traffic: Arc::default(),
        })))
    }

    /// Returns a dialer with slots of its own, otherwise the same: its connections take nobody
    /// else's. On clearnet it has at least so many.
    #[must_use]
    pub fn apart(&self, connections: u32) -> Self {
        let mut config = self.0.config.clone();
        let most = &mut config.clearnet.max_connections;
        *most = NonZeroU32::new(connections).map_or(*most, |connections| connections.max(*most));
        Self(Arc::new(Inner {
            slots: Slots::new(&config),
            config,
            resolver: Arc::clone(&self.0.resolver),
            connector: Arc::clone(&self.0.connector),
            tls: self.0.tls.clone(),
            traffic: Arc::clone(&self.0.traffic),
        }))
    }

    /// Returns the configuration.
    pub fn config(&self) -> &NetworksConfig {
        &self.0.config
    }

    /// Returns the bytes of all connections so far, of nostr-sdk's and fetches too.
    pub fn traffic(&self) -> &Meter {
        &self.0.traffic
    }

    /// Connects to a relay, ready for [`websocket::upgrade`].
    pub async fn connect(&self, url: &RelayUrl) -> Result<Dialed, DialError> {
        self.dial(&Target::from(url)).await
    }

    /// Asks DNS about a relay's name; `None` where there is nothing to ask, because the host is an
    /// address, or because a proxy resolves the name and DNS must not learn of it.
    ///
    /// # Security
    /// The records come from a stranger: their number is bounded, and they are not connected to.
    pub async fn records(&self, url: &RelayUrl) -> Option<Result<DnsRecords, ResolveError>> {
        let target = Target::from(url);
        let network = self.0.config.get(target.network);
        let asks = target.network == Network::Clearnet
            && network.enabled
            && network.proxy.is_none()
            && resolve::without_dns(&target.host).is_none();
        if !asks {
            return None;
        }
        Some(self.0.resolver.records(&target.host).await)
    }

    /// Connects to a host.
    ///
    /// Takes at most the network's `connect_timeout`, and before it the waits for slots. While
    /// the connection is made, a bounded number of bytes is received.
    ///
    /// # Errors
    /// [`DialError`], which tells phase and cause.
    ///
    /// # Security
    /// Unless `allow_private` is set, no special-purpose address is connected to, whatever the
    /// name resolves to. A proxy resolves names itself: there the check covers IP addresses and
    /// `localhost` only, so the proxy of clearnet must not reach private networks.
    pub async fn dial(&self, target: &Target) -> Result<Dialed, DialError> {
        attempt::run(&self.0, target).await
    }
}
