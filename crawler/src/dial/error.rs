//! Why a connection could not be made, by phase and cause.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bigbrotr_core::network::Network;
use rustls_pki_types::CertificateDer;

use super::proxy_addr::ProxyAddr;
use super::resolve::ResolveError;
use super::stream::ReadCapReached;
use super::tls::CertificateVerdict;

/// The steps of making a connection, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Waiting for a free slot on our side.
    Queue,
    /// Asking DNS for addresses.
    Resolve,
    /// Connecting to the host, or to the proxy.
    Tcp,
    /// Asking the SOCKS5 proxy for a connection to the host.
    Proxy,
    /// The TLS handshake.
    Tls,
}

impl Phase {
    /// Names the phase from a closed set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Resolve => "resolve",
            Self::Tcp => "tcp",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a dial failed.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The network is switched off, or is an overlay without a proxy.
    #[error("network {network} is not enabled")]
    Disabled {
        /// The network.
        network: Network,
    },
    /// All of our own connection slots stayed in use.
    #[error("no connection slot for {host} came free within {waited:?}")]
    Busy {
        /// The host that was to be dialled.
        host: String,
        /// How long the dial waited.
        waited: Duration,
    },
    /// The name could not be resolved.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: ResolveError,
    },
    /// The host is, or every address of the name is, private or otherwise special.
    #[error("{host} leads to the special-purpose address {ip}")]
    SpecialAddress {
        /// The host.
        host: String,
        /// One of the refused addresses.
        ip: IpAddr,
    },
    /// No address of the host took the connection. The error is the most telling one.
    #[error("cannot connect to {address}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The operator's own proxy cannot be reached.
    #[error("cannot connect to the socks5 proxy {proxy}")]
    ProxyDown {
        /// The proxy.
        proxy: ProxyAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The proxy did not make the connection.
    #[error("socks5 proxy {proxy} did not connect to {host}")]
    Proxy {
        /// The proxy.
        proxy: ProxyAddr,
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: tokio_socks::Error,
    },
    /// The certificate is not valid, and the network's configuration does not go on regardless.
    #[error("certificate of {host} is refused: {verdict}")]
    Certificate {
        /// The host.
        host: String,
        /// What is wrong with it.
        verdict: CertificateVerdict,
        /// The chain as sent, DER, leaf first.
        chain: Vec<CertificateDer<'static>>,
    },
    /// The TLS handshake failed for another reason.
    #[error("tls handshake with {host} failed")]
    Tls {
        /// The host.
        host: String,
        /// Why; wraps a [`rustls::Error`] where the protocol was at fault.
        #[source]
        source: io::Error,
    },
    /// The time for the connection was used up.
    #[error("no connection within {after:?}: timed out in phase {phase}")]
    TimedOut {
        /// The phase that was under way.
        phase: Phase,
        /// The whole time that the connection had.
        after: Duration,
    },
}

impl DialError {
    /// Returns the phase in which the dial failed.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Disabled { .. } | Self::Busy { .. } => Phase::Queue,
            Self::Resolve { .. } | Self::SpecialAddress { .. } => Phase::Resolve,
            Self::Connect { .. } | Self::ProxyDown { .. } => Phase::Tcp,
            Self::Proxy { .. } => Phase::Proxy,
            Self::Certificate { .. } | Self::Tls { .. } => Phase::Tls,
            Self::TimedOut { phase, .. } => *phase,
        }
    }

    /// Says whether another try is in vain until the configuration or the URL changes.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Disabled { .. } | Self::SpecialAddress { .. })
            || matches!(
                self,
                Self::Resolve {
                    source: ResolveError::InvalidName { .. },
                    ..
                }
            )
    }

    /// Says whether the same dial may succeed a moment later: something broke, and nobody has
    /// given an answer. A time-out had its time.
    pub fn is_transient(&self) -> bool {
        let broke = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
            )
        };
        match self {
            Self::Resolve { source, .. } => source.is_transient(),
            Self::Connect { source, .. } | Self::Tls { source, .. } => broke(source),
            // Overlays lose a circuit now and then.
            Self::Proxy { source, .. } => matches!(
                source,
                tokio_socks::Error::GeneralSocksServerFailure | tokio_socks::Error::TtlExpired
            ),
            _ => false,
        }
    }

    /// Says whether the failure is on our side and so tells nothing about the relay.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Disabled { .. } | Self::Busy { .. } | Self::ProxyDown { .. } => true,
            Self::TimedOut { phase, .. } => *phase == Phase::Queue,
            Self::Connect { source, .. } => is_exhaustion(source),
            _ => false,
        }
    }

    /// Names the reason from a closed set, for metric labels and stored findings.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Disabled { .. } => "network_disabled",
            Self::Busy { .. } => "busy",
            Self::Resolve { source, .. } => source.reason(),
            Self::SpecialAddress { .. } => "special_address",
            Self::Connect { source, .. } => connect_reason(source),
            Self::ProxyDown { .. } => "proxy_down",
            Self::Proxy { source, .. } => proxy_reason(source),
            Self::Certificate { verdict, .. } => verdict.reason(),
            Self::Tls { source, .. } if ReadCapReached::in_chain(source).is_some() => "byte_cap",
            Self::Tls { .. } => "tls_failed",
            Self::TimedOut { phase, .. } => match phase {
                Phase::Queue => "queue_timeout",
                Phase::Resolve => "dns_timeout",
                Phase::Tcp => "connect_timeout",
                Phase::Proxy => "proxy_timeout",
                Phase::Tls => "tls_timeout",
            },
        }
    }
}

/// Says whether this machine had nothing left to connect with: files or ports.
fn is_exhaustion(error: &io::Error) -> bool {
    // The same numbers on Linux, macOS and the BSDs; the standard library has no kinds for them.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    error.kind() == io::ErrorKind::AddrNotAvailable
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

fn connect_reason(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if is_exhaustion(error) => "connect_exhausted",
        io::ErrorKind::ConnectionRefused => "connect_refused",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "connect_unreachable",
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => "connect_reset",
        io::ErrorKind::TimedOut => "connect_timeout",
        _ => "connect_failed",
    }
}

fn proxy_reason(error: &tokio_socks::Error) -> &'static str {
    use tokio_socks::Error;
    match error {
        Error::ConnectionRefused => "proxy_host_refused",
        Error::HostUnreachable | Error::NetworkUnreachable | Error::TtlExpired => {
            "proxy_host_unreachable"
        }
        Error::ConnectionNotAllowedByRuleset => "proxy_not_allowed",
        Error::GeneralSocksServerFailure => "proxy_general_failure",
        _ => "proxy_failed",
    }
}
