//! Dialers and names for the tests.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bigbrotr_core::network::Network;
use bigbrotr_crawler::dial::{
    Connect, Dialer, NetworkConfig, NetworksConfig, Resolve, TableResolver,
};
use bigbrotr_testkit::socks::SocksServer;
use futures_util::future::BoxFuture;
use tokio::net::TcpStream;

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

/// A resolver that answers each time with the next of these, and with the last for ever.
pub(crate) struct Fickle(Mutex<VecDeque<Vec<IpAddr>>>);

impl Fickle {
    pub(crate) fn new(answers: &[&[&str]]) -> Self {
        let ips = |list: &&[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
        Self(Mutex::new(answers.iter().map(ips).collect()))
    }
}

impl Resolve for Fickle {
    fn resolve<'a>(
        &'a self,
        _host: &'a str,
    ) -> BoxFuture<'a, Result<Vec<IpAddr>, bigbrotr_crawler::dial::ResolveError>> {
        let mut answers = self.0.lock().unwrap();
        let answer = answers.front().unwrap().clone();
        if answers.len() > 1 {
            answers.pop_front();
        }
        Box::pin(async move { Ok(answer) })
    }
}

/// A public address that stands for this machine.
pub(crate) const HERE: &str = "8.8.8.8";
/// A public address that never takes a connection, nor refuses one.
pub(crate) const NOWHERE: &str = "2606:4700::1";

/// Puts public addresses on this machine: only so can be seen that others are not connected to.
#[derive(Default)]
pub(crate) struct Detour(Mutex<Vec<IpAddr>>);

impl Detour {
    /// Returns the addresses that were connected to, in order.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}

impl Connect for Detour {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        self.0.lock().unwrap().push(address.ip());
        Box::pin(async move {
            match address.ip().to_string().as_str() {
                HERE => {
                    // Connected at once, so that a paused clock does not run away.
                    let here = (Ipv4Addr::LOCALHOST, address.port());
                    let stream = std::net::TcpStream::connect(here)?;
                    stream.set_nonblocking(true)?;
                    TcpStream::from_std(stream)
                }
                NOWHERE => std::future::pending().await,
                _ => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        })
    }
}

/// A dialer under the whole guard: no private address is allowed.
pub(crate) fn guarded(
    config: NetworksConfig,
    resolver: impl Resolve,
    detour: &Arc<Detour>,
) -> Dialer {
    Dialer::over(config, Arc::new(resolver), detour.clone(), &[]).unwrap()
}
