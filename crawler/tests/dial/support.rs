//! Dialers and names for the tests.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::network::Network;
use bigbrotr_crawler::dial::{Dialer, NetworkConfig, NetworksConfig, Resolve, TableResolver};
use bigbrotr_testkit::socks::SocksServer;
use futures_util::future::BoxFuture;

/// Loopback allowed, short times.
pub(crate) fn private() -> NetworksConfig {
    let clearnet = NetworkConfig {
        connect_timeout: Duration::from_secs(2),
        ..NetworkConfig::default_of(Network::Clearnet)
    };
    NetworksConfig {
        allow_private: true,
        clearnet,
        ..NetworksConfig::default()
    }
}

/// A network that is reached through this proxy.
pub(crate) fn through(server: &SocksServer, network: Network) -> NetworkConfig {
    NetworkConfig {
        enabled: true,
        proxy: Some(server.address().to_string().parse().unwrap()),
        connect_timeout: Duration::from_secs(2),
        ..NetworkConfig::default_of(network)
    }
}

pub(crate) fn dialer(config: NetworksConfig) -> Dialer {
    named(config, &[])
}

/// A dialer that knows these names and addresses.
pub(crate) fn named(config: NetworksConfig, names: &[(&str, &[&str])]) -> Dialer {
    let ips =
        |list: &[&str]| -> Vec<IpAddr> { list.iter().map(|ip| ip.parse().unwrap()).collect() };
    let table = TableResolver::new(names.iter().map(|(name, list)| (*name, ips(list))));
    Dialer::with(config, Arc::new(table), &[]).unwrap()
}

/// A resolver that must not be asked.
pub(crate) struct NoDns;

impl Resolve for NoDns {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
    ) -> BoxFuture<'a, Result<Vec<IpAddr>, bigbrotr_crawler::dial::ResolveError>> {
        panic!("dns was asked for {host}");
    }
}

/// A resolver that never answers.
pub(crate) struct SilentDns;

impl Resolve for SilentDns {
    fn resolve<'a>(
        &'a self,
        _host: &'a str,
    ) -> BoxFuture<'a, Result<Vec<IpAddr>, bigbrotr_crawler::dial::ResolveError>> {
        Box::pin(std::future::pending())
    }
}
