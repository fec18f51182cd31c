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
use crate::limits::{MAX_DIAL_BYTES, SLOT_WAIT};

/// Makes a connection to the target.
pub(super) async fn run(inner: &Inner, target: &Target) -> Result<Dialed, DialError> {
    let config = inner.config.get(target.network);
    let proxy = config.proxy.as_ref();
    if !config.enabled || (proxy.is_none() && target.network != Network::Clearnet) {
        return Err(DialError::Disabled {
            network: target.network,
        });
    }
    if !target.is_sound() {
        return Err(DialError::Resolve {
            host: target.host.clone(),
            source: ResolveError::InvalidName {
                source: "neither a name in ASCII nor an IP address".into(),
            },
        });
    }
    let mut dial = Dial {
        inner,
        target,
        slots: inner.slots.of(target.network),
        budget: Budget {
            total: config.connect_timeout,
            spent: Duration::ZERO,
        },
        timings: DialTimings::default(),
        held: Vec::with_capacity(3),
    };
    let meter = inner.traffic.part();
    meter.cap_reads(MAX_DIAL_BYTES);
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
    meter.cap_reads(u64::MAX);
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
    budget: Budget,
    timings: DialTimings,
    /// Slots that the connection will hold.
    held: Vec<Slot>,
}

impl Dial<'_> {
    /// Waits for a slot on our side. That is not the relay's time.
    async fn queue(
        &mut self,
        waiting: impl Future<Output = Result<Slot, NoSlot>>,
    ) -> Result<Slot, DialError> {
        let (slot, waited) = queued(&self.target.host, self.patience(), waiting).await?;
        self.timings.queue += waited;
        Ok(slot)
    }

    /// Tells how long the dial may still wait for slots.
    fn patience(&self) -> Duration {
        SLOT_WAIT.saturating_sub(self.timings.queue)
    }

    /// Resolves, checks and connects.
    async fn direct(
        &mut self,
        meter: &Arc<Meter>,
    ) -> Result<(Metered<TcpStream>, Option<IpAddr>), DialError> {
        let (slots, host, port) = (self.slots, &self.target.host, self.target.port);
        if self.target.ip().is_none() {
            let slot = self.queue(slots.host(HostKey::Name(host.clone()))).await?;
            self.held.push(slot);
        }
        let addresses = self.addresses().await?;
        let (budget, connector, patience) = (self.budget, &self.inner.connector, self.patience());
        let begun = Instant::now();
        let won = race(addresses, |ip| async move {
            let slots = async {
                let at_host = slots.host(HostKey::from(ip)).await?;
                Ok([at_host, slots.enter().await?])
            };
            let (slots, waited) = queued(host, patience, slots).await?;
            let address = SocketAddr::new(ip, port);
            // Waiting for a slot is not the relay's time; waiting for other addresses is.
            let mut budget = budget;
            budget.spent += begun.elapsed().saturating_sub(waited);
            let connect = async {
                let failed = |source| DialError::Connect { address, source };
                connector.connect(address).await.map_err(failed)
            };
            let (stream, took) = budget.spend(Phase::Tcp, connect).await?;
            Ok((stream, slots, ip, took, waited))
        });
        let (stream, slots, ip, took, waited) =
            won.await.map_err(|errors| most_telling(errors, host))?;
        self.budget.spent += took;
        self.timings.queue += waited;
        self.timings.tcp = Some(took);
        self.held.extend(slots);
        Ok((Metered::new(no_delay(stream), meter.clone()), Some(ip)))
    }

    /// Finds the addresses that may be dialled, in the order in which to try them.
    async fn addresses(&mut self) -> Result<Vec<IpAddr>, DialError> {
        let host = &self.target.host;
        let found = if let Some(known) = resolve::without_dns(host) {
            known
        } else {
            let slots = self.slots;
            let place = self.queue(slots.look_up()).await?;
            let lookup = async {
                let failed = |source| DialError::Resolve {
                    host: host.clone(),
                    source,
                };
                self.inner.resolver.resolve(host).await.map_err(failed)
            };
            let (found, took) = self.budget.spend(Phase::Resolve, lookup).await?;
            self.timings.resolve = Some(took);
            drop(place);
            found
        };
        let order = allowed(host, found, self.inner.config.allow_private)?;
        Ok(interleave(order))
    }

    /// Connects through a SOCKS5 proxy, which resolves the name.
    async fn through(
        &mut self,
        proxy: &ProxyAddr,
        meter: &Arc<Meter>,
    ) -> Result<Metered<TcpStream>, DialError> {
        let host = &self.target.host;
        if let Some(known) = resolve::without_dns(host) {
            allowed(host, known, self.inner.config.allow_private)?;
        }
        let key = self
            .target
            .ip()
            .map_or_else(|| HostKey::Name(host.clone()), HostKey::from);
        let slots = self.slots;
        let at_host = self.queue(slots.host(key)).await?;
        let of_network = self.queue(slots.enter()).await?;
        self.held.extend([at_host, of_network]);

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
}

/// Waits for slots, and tells how long that took.
async fn queued<T>(
    host: &str,
    patience: Duration,
    waiting: impl Future<Output = Result<T, NoSlot>>,
) -> Result<(T, Duration), DialError> {
    let started = Instant::now();
    match tokio::time::timeout(patience, waiting).await {
        Ok(Ok(slots)) => Ok((slots, started.elapsed())),
        Ok(Err(NoSlot)) | Err(_) => Err(DialError::Busy {
            host: host.to_owned(),
            waited: started.elapsed(),
        }),
    }
}

/// Keeps the addresses that may be dialled.
///
/// # Security
/// What is connected to is what this returns, without asking DNS again: a name that leads to a
/// public address now and to a private one later has both answers judged.
fn allowed(host: &str, found: Vec<IpAddr>, allow_private: bool) -> Result<Vec<IpAddr>, DialError> {
    if allow_private && !found.is_empty() {
        return Ok(found);
    }
    let special = found.iter().copied().find(|ip| is_special(*ip));
    let public: Vec<_> = found.into_iter().filter(|ip| !is_special(*ip)).collect();
    match special {
        _ if !public.is_empty() => Ok(public),
        Some(ip) => Err(DialError::SpecialAddress {
            host: host.to_owned(),
            ip,
        }),
        None => Err(DialError::Resolve {
            host: host.to_owned(),
            source: ResolveError::NoAddress,
        }),
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
    fn only_public_addresses_are_left_unless_private_ones_are_allowed() {
        let ips = |text: &str| -> Vec<IpAddr> {
            text.split_whitespace()
                .map(|ip| ip.parse().unwrap())
                .collect()
        };
        let kept = |found: &str, allow_private| allowed("relay.example", ips(found), allow_private);
        let mixed = "8.8.8.8 10.0.0.1 ::ffff:8.8.4.4 2606:4700::1 fd00::1";
        assert_eq!(kept(mixed, false).unwrap(), ips("8.8.8.8 2606:4700::1"));
        assert_eq!(kept(mixed, true).unwrap(), ips(mixed));
        let reason = |found, allow| kept(found, allow).unwrap_err().reason();
        assert_eq!(reason("127.0.0.1 ::1", false), "special_address");
        assert_eq!(reason("", false), "dns_no_address");
        assert_eq!(reason("", true), "dns_no_address");
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
