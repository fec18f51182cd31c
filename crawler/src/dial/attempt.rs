//! One dial under way: the phases in turn, and the time that they share.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::address::is_special;
use bigbrotr_core::network::Network;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_socks::tcp::Socks5Stream;

use super::error::{DialError, Phase};
use super::race::{interleave, race};
use super::resolve::{self, ResolveError};
use super::slots::{HostKey, NetworkSlots, NoSlot, Slot};
use super::stream::{DialStream, Meter, Metered, Transport};
use super::{DialTimings, Dialed, Inner, ProxyAddr, Target};

/// Makes a connection to the target.
pub(super) async fn run(inner: &Inner, target: &Target) -> Result<Dialed, DialError> {
    let config = inner.config.get(target.network);
    let proxy = config.proxy.as_ref();
    if !config.enabled || (proxy.is_none() && target.network != Network::Clearnet) {
        return Err(DialError::Disabled {
            network: target.network,
        });
    }
    let mut dial = Dial {
        inner,
        target,
        slots: inner.slots.of(target.network),
        started: Instant::now(),
        budget: Budget {
            total: config.connect_timeout,
            spent: Duration::ZERO,
        },
        timings: DialTimings::default(),
        held: Vec::with_capacity(2),
    };
    dial.enter().await?;
    let meter = Arc::new(Meter::default());
    let (stream, remote_ip) = match proxy {
        Some(proxy) => (dial.through(proxy, &meter).await?, None),
        None => dial.direct(&meter).await?,
    };
    let (transport, tls) = if target.tls {
        let handshake = inner
            .tls
            .connect(&target.host, stream, config.accept_invalid_certs);
        let ((stream, info), took) = dial.budget.spend(Phase::Tls, handshake).await?;
        dial.timings.tls = Some(took);
        (Transport::Tls(Box::new(stream)), Some(info))
    } else {
        (Transport::Plain(stream), None)
    };
    let Dial { timings, held, .. } = dial;
    Ok(Dialed {
        stream: DialStream::new(transport, meter, held),
        timings,
        remote_ip,
        tls,
    })
}

/// The state of one dial.
struct Dial<'a> {
    inner: &'a Inner,
    target: &'a Target,
    slots: &'a NetworkSlots,
    started: Instant,
    budget: Budget,
    timings: DialTimings,
    /// Slots that the connection will hold.
    held: Vec<Slot>,
}

impl Dial<'_> {
    /// Waits for a place among the network's connections.
    async fn enter(&mut self) -> Result<(), DialError> {
        let slot = self.slots.enter().await;
        self.held.push(slot.map_err(|NoSlot| self.busy())?);
        self.timings.queue = self.started.elapsed();
        Ok(())
    }

    /// Resolves, checks and connects.
    async fn direct(
        &mut self,
        meter: &Arc<Meter>,
    ) -> Result<(Metered<TcpStream>, Option<IpAddr>), DialError> {
        let addresses = self.addresses().await?;
        let (slots, budget, host) = (self.slots, self.budget, &self.target.host);
        let port = self.target.port;
        let begun = Instant::now();
        let won = race(addresses, |ip| async move {
            let queued = Instant::now();
            let busy = |NoSlot| DialError::Busy {
                host: host.clone(),
                waited: queued.elapsed(),
            };
            let slot = slots.host(HostKey::from(ip)).await.map_err(busy)?;
            let waited = queued.elapsed();
            let address = SocketAddr::new(ip, port);
            // Waiting for a slot is not the relay's time; waiting for other addresses is.
            let mut budget = budget;
            budget.spent += begun.elapsed().saturating_sub(waited);
            let connect = async {
                TcpStream::connect(address)
                    .await
                    .map_err(|source| DialError::Connect { address, source })
            };
            let (stream, took) = budget.spend(Phase::Tcp, connect).await?;
            Ok((stream, slot, ip, took, waited))
        });
        let (stream, slot, ip, took, waited) =
            won.await.map_err(|errors| most_telling(errors, host))?;
        self.budget.spent += took;
        self.timings.queue += waited;
        self.timings.tcp = Some(took);
        self.held.push(slot);
        Ok((Metered::new(no_delay(stream), meter.clone()), Some(ip)))
    }

    /// Finds the addresses that may be dialled, in the order in which to try them.
    async fn addresses(&mut self) -> Result<Vec<IpAddr>, DialError> {
        let host = &self.target.host;
        let found = if let Some(known) = resolve::without_dns(host) {
            known
        } else {
            let lookup = async {
                let failed = |source| DialError::Resolve {
                    host: host.clone(),
                    source,
                };
                self.inner.resolver.resolve(host).await.map_err(failed)
            };
            let (found, took) = self.budget.spend(Phase::Resolve, lookup).await?;
            self.timings.resolve = Some(took);
            found
        };
        let refused = found.iter().copied().find(|ip| is_special(*ip));
        let allow_private = self.inner.config.allow_private;
        let public = found
            .into_iter()
            .filter(|ip| allow_private || !is_special(*ip));
        match (interleave(public), refused) {
            (order, _) if !order.is_empty() => Ok(order),
            (_, Some(ip)) => Err(DialError::SpecialAddress {
                host: host.clone(),
                ip,
            }),
            (_, None) => Err(DialError::Resolve {
                host: host.clone(),
                source: ResolveError::NoAddress,
            }),
        }
    }

    /// Connects through a SOCKS5 proxy, which resolves the name.
    async fn through(
        &mut self,
        proxy: &ProxyAddr,
        meter: &Arc<Meter>,
    ) -> Result<Metered<TcpStream>, DialError> {
        let host = &self.target.host;
        if !self.inner.config.allow_private {
            let known = resolve::without_dns(host).into_iter().flatten();
            if let Some(ip) = known.into_iter().find(|ip| is_special(*ip)) {
                return Err(DialError::SpecialAddress {
                    host: host.clone(),
                    ip,
                });
            }
        }
        let queued = Instant::now();
        let slot = self.slots.host(HostKey::Name(host.clone())).await;
        self.held.push(slot.map_err(|NoSlot| self.busy())?);
        self.timings.queue += queued.elapsed();

        let connect = async {
            TcpStream::connect((proxy.host.as_str(), proxy.port))
                .await
                .map_err(|source| DialError::ProxyDown {
                    proxy: proxy.clone(),
                    source,
                })
        };
        let (stream, took) = self.budget.spend(Phase::Tcp, connect).await?;
        self.timings.tcp = Some(took);

        let stream = Metered::new(no_delay(stream), meter.clone());
        let handshake = async {
            Socks5Stream::connect_with_socket(stream, (host.as_str(), self.target.port))
                .await
                .map_err(|source| DialError::Proxy {
                    proxy: proxy.clone(),
                    host: host.clone(),
                    source,
                })
        };
        let (stream, took) = self.budget.spend(Phase::Proxy, handshake).await?;
        self.timings.proxy = Some(took);
        Ok(stream.into_inner())
    }

    fn busy(&self) -> DialError {
        let waited = self.started.elapsed();
        DialError::Busy {
            host: self.target.host.clone(),
            waited,
        }
    }
}

/// Picks the error that says most about the relay: no route to one family of addresses, or no
/// slot of our own, says least.
fn most_telling(errors: Vec<DialError>, host: &str) -> DialError {
    let says_little = |error: &DialError| match error {
        DialError::Connect { source, .. } => source.kind() == io::ErrorKind::NetworkUnreachable,
        error => error.is_ours(),
    };
    let mut first = None;
    for error in errors {
        if !says_little(&error) {
            return error;
        }
        first.get_or_insert(error);
    }
    let source = ResolveError::NoAddress;
    first.unwrap_or_else(|| DialError::Resolve {
        host: host.to_owned(),
        source,
    })
}

/// The time that the phases of a dial share.
#[derive(Debug, Clone, Copy)]
struct Budget {
    total: Duration,
    spent: Duration,
}

impl Budget {
    async fn spend<T>(
        &mut self,
        phase: Phase,
        work: impl Future<Output = Result<T, DialError>>,
    ) -> Result<(T, Duration), DialError> {
        let started = Instant::now();
        let left = self.total.saturating_sub(self.spent);
        let done = tokio::time::timeout(left, work)
            .await
            .unwrap_or(Err(DialError::TimedOut {
                phase,
                after: self.total,
            }))?;
        let took = started.elapsed();
        self.spent += took;
        Ok((done, took))
    }
}

/// Sends small messages at once. Where the system refuses that, they are merely slower.
fn no_delay(stream: TcpStream) -> TcpStream {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch off Nagle's algorithm");
    }
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: io::ErrorKind) -> DialError {
        let address = SocketAddr::from(([192, 0, 2, 1], 443));
        DialError::Connect {
            address,
            source: kind.into(),
        }
    }

    #[test]
    fn a_missing_route_does_not_hide_what_the_other_family_said() {
        let errors = vec![
            refused(io::ErrorKind::NetworkUnreachable),
            DialError::Busy {
                host: "relay.example".into(),
                waited: Duration::ZERO,
            },
            refused(io::ErrorKind::ConnectionRefused),
        ];
        assert_eq!(
            most_telling(errors, "relay.example").reason(),
            "connect_refused"
        );
        let only = vec![refused(io::ErrorKind::NetworkUnreachable)];
        assert_eq!(
            most_telling(only, "relay.example").reason(),
            "connect_unreachable"
        );
        assert_eq!(
            most_telling(Vec::new(), "relay.example").reason(),
            "dns_no_address"
        );
    }
}
