//! Names to addresses: the trait, the system's resolver and a table for tests.
//!
//! Owns the questions to DNS only. Which of the addresses may be dialled is decided by the
//! dialer, after this.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{CLOUDFLARE, LookupIpStrategy, QUAD9, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use super::records::{self, DnsRecords};
use crate::limits::{DNS_ACTIVE_QUERIES, DNS_CACHE_ENTRIES, DNS_NEGATIVE_TTL, DNS_QUERY_TIMEOUT};

/// Why a name has no addresses for us.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The text is no host name.
    #[error("not a host name")]
    InvalidName {
        /// What the resolver says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The name does not exist.
    #[error("name does not exist")]
    NotFound,
    /// The name exists and has no address.
    #[error("name has no address")]
    NoAddress,
    /// No name server answered in time.
    #[error("no name server answered in time")]
    TimedOut,
    /// The name servers failed or could not be reached.
    #[error("name servers failed")]
    Failed {
        /// What the resolver says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ResolveError {
    /// Names the reason from a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidName { .. } => "dns_invalid_name",
            Self::NotFound => "dns_not_found",
            Self::NoAddress => "dns_no_address",
            Self::TimedOut => "dns_timeout",
            Self::Failed { .. } => "dns_failed",
        }
    }

    /// Says whether the same question may be answered a moment later: nobody has answered it.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::TimedOut | Self::Failed { .. })
    }
}

/// Finds the addresses of host names.
pub trait Resolve: Send + Sync + 'static {
    /// Returns the addresses of a name, best first. Never called with an IP address, `localhost`
    /// or a name of an overlay network.
    ///
    /// # Errors
    /// [`ResolveError`]; an empty list is [`ResolveError::NoAddress`].
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>>;

    /// Returns the records of a name: the addresses only, where the resolver knows no more.
    ///
    /// # Errors
    /// [`ResolveError`], as for [`Resolve::resolve`].
    fn records<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<DnsRecords, ResolveError>> {
        Box::pin(async move { Ok(self.resolve(host).await?.into_iter().collect()) })
    }
}

/// Asks the name servers of the system's configuration.
#[derive(Debug, Clone)]
pub struct SystemResolver(TokioResolver);

impl SystemResolver {
    /// Reads the system's configuration. Where there is none (a minimal container has no
    /// `/etc/resolv.conf`), the public resolvers Quad9 and Cloudflare are asked.
    ///
    /// # Errors
    /// The resolver's error when it cannot be built.
    pub fn new() -> Result<Self, ResolveError> {
        let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "no system resolver configuration: asking public resolvers");
            let servers = QUAD9
                .udp_and_tcp()
                .chain(CLOUDFLARE.udp_and_tcp())
                .collect();
            TokioResolver::builder_with_config(
                ResolverConfig::from_name_servers(servers),
                TokioRuntimeProvider::default(),
            )
        });
        let options = builder.options_mut();
        options.cache_size = DNS_CACHE_ENTRIES;
        options.max_active_requests = DNS_ACTIVE_QUERIES;
        options.timeout = DNS_QUERY_TIMEOUT;
        options.negative_max_ttl = Some(DNS_NEGATIVE_TTL);
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        let resolver = builder.build().map_err(|error| ResolveError::Failed {
            source: Box::new(error),
        })?;
        Ok(Self(resolver))
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(async move {
            // The final dot keeps the system's search domains out: a stranger's `db` must not
            // become our `db.corp.example`.
            let lookup = self
                .0
                .lookup_ip(format!("{host}."))
                .await
                .map_err(classify)?;
            Ok(lookup.iter().collect())
        })
    }

    fn records<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<DnsRecords, ResolveError>> {
        Box::pin(records::ask(&self.0, host))
    }
}

pub(super) fn classify(error: NetError) -> ResolveError {
    match error {
        error if error.is_nx_domain() => ResolveError::NotFound,
        error if error.is_no_records_found() => ResolveError::NoAddress,
        NetError::Timeout => ResolveError::TimedOut,
        NetError::Proto(source) => ResolveError::InvalidName {
            source: Box::new(source),
        },
        error => ResolveError::Failed {
            source: Box::new(error),
        },
    }
}

/// A fixed table of names: for tests and simulations.
#[derive(Debug, Clone, Default)]
pub struct TableResolver(HashMap<String, Vec<IpAddr>>);

impl TableResolver {
    /// Makes a resolver that knows these names and no others.
    pub fn new<N, A>(names: impl IntoIterator<Item = (N, A)>) -> Self
    where
        N: Into<String>,
        A: IntoIterator<Item = IpAddr>,
    {
        let names = names.into_iter();
        Self(
            names
                .map(|(name, ips)| (name.into(), ips.into_iter().collect()))
                .collect(),
        )
    }
}

impl Resolve for TableResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(async move { self.0.get(host).cloned().ok_or(ResolveError::NotFound) })
    }
}

/// Answers what needs no DNS: IP addresses, and `localhost` with its subdomains (RFC 6761).
pub(super) fn without_dns(host: &str) -> Option<Vec<IpAddr>> {
    if let Ok(ip) = host.parse() {
        return Some(vec![ip]);
    }
    let is_localhost = host == "localhost" || host.ends_with(".localhost");
    is_localhost.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_need_no_dns() {
        assert_eq!(without_dns("192.0.2.1").unwrap().len(), 1);
        assert_eq!(without_dns("2001:db8::1").unwrap().len(), 1);
        assert!(
            without_dns("localhost")
                .unwrap()
                .iter()
                .all(IpAddr::is_loopback)
        );
        assert!(without_dns("a.localhost").is_some());
        assert!(without_dns("localhost.example.com").is_none());
    }

    #[tokio::test]
    async fn a_resolver_is_made_on_any_machine_and_knows_what_is_no_name() {
        let resolver = SystemResolver::new().unwrap();
        let error = resolver.resolve(&"x".repeat(64)).await.unwrap_err();
        assert_eq!(error.reason(), "dns_invalid_name");
    }
}
