//! What DNS says of a relay's name, beyond the addresses that are dialled.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::resolve::{ResolveError, classify};
use crate::limits::{MAX_DNS_RECORDS, MAX_ZONE_STEPS};

/// The records of a name. Sets are in order: servers rotate their answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsRecords {
    /// A.
    pub ipv4: BTreeSet<Ipv4Addr>,
    /// AAAA.
    pub ipv6: BTreeSet<Ipv6Addr>,
    /// CNAME: the names that the name stands for, the last of which has the addresses.
    pub aliases: Vec<String>,
    /// NS of the zone that the name is in; empty where it was not found out.
    pub name_servers: BTreeSet<String>,
    /// For how many more seconds the addresses hold: the shortest, as the resolver tells it,
    /// which counts down while it is cached.
    pub ttl_seconds: Option<u32>,
}

impl FromIterator<IpAddr> for DnsRecords {
    fn from_iter<T: IntoIterator<Item = IpAddr>>(addresses: T) -> Self {
        let mut records = Self::default();
        for address in addresses {
            records.add_address(address);
        }
        records
    }
}

impl DnsRecords {
    /// Lists the addresses, IPv4 first, each kind in order.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let ipv4 = self.ipv4.iter().copied().map(IpAddr::V4);
        ipv4.chain(self.ipv6.iter().copied().map(IpAddr::V6))
    }

    /// Keeps the smallest of too many, so that the order of an answer makes no difference.
    fn add_address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(ip) => add(&mut self.ipv4, ip),
            IpAddr::V6(ip) => add(&mut self.ipv6, ip),
        }
    }

    /// Takes what one answer says of the name.
    fn add(&mut self, host: &Name, answer: &[Record]) {
        let mut targets = BTreeMap::new();
        for record in answer {
            if let RData::CNAME(target) = &record.data {
                targets.entry(&record.name).or_insert(&target.0);
            } else if let Some(address) = record.data.ip_addr() {
                self.add_address(address);
                let ttl = self.ttl_seconds.unwrap_or(u32::MAX).min(record.ttl);
                self.ttl_seconds = Some(ttl);
            }
        }
        if !self.aliases.is_empty() {
            return;
        }
        let mut name = host;
        while let Some(target) = targets.remove(name)
            && self.aliases.len() < MAX_DNS_RECORDS
        {
            self.aliases.push(shown(target));
            name = target;
        }
    }
}

fn add<T: Ord>(set: &mut BTreeSet<T>, value: T) {
    set.insert(value);
    if set.len() > MAX_DNS_RECORDS {
        set.pop_last();
    }
}

/// Writes a name without the final dot.
fn shown(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

/// Asks for the records of a name.
///
/// # Errors
/// That of the addresses, so that records are whole or not there at all. The zone's name servers
/// are beside the point: they are missing when they cannot be found out.
pub(super) async fn ask(resolver: &TokioResolver, host: &str) -> Result<DnsRecords, ResolveError> {
    // The final dot keeps the system's search domains out.
    let name =
        Name::from_ascii(format!("{host}.")).map_err(|source| ResolveError::InvalidName {
            source: Box::new(source),
        })?;
    let (ipv4, ipv6, name_servers) = tokio::join!(
        resolver.lookup(name.clone(), RecordType::A),
        resolver.lookup(name.clone(), RecordType::AAAA),
        name_servers(resolver, &name),
    );
    let mut records = DnsRecords {
        name_servers,
        ..DnsRecords::default()
    };
    let mut absent = None;
    for answer in [ipv4, ipv6] {
        match answer {
            Ok(lookup) => records.add(&name, lookup.answers()),
            Err(error) if error.is_no_records_found() => absent = Some(error),
            Err(error) => return Err(classify(error)),
        }
    }
    match absent {
        Some(error) if records.addresses().next().is_none() => Err(classify(error)),
        _ => Ok(records),
    }
}

/// Finds the name servers of the zone that a name is in, on the way up to the top.
async fn name_servers(resolver: &TokioResolver, host: &Name) -> BTreeSet<String> {
    let mut zone = host.clone();
    for _ in 0..MAX_ZONE_STEPS {
        // The servers of a whole top-level domain say nothing about a relay.
        if zone.num_labels() < 2 {
            break;
        }
        match resolver.lookup(zone.clone(), RecordType::NS).await {
            Ok(lookup) => {
                let mut servers = BTreeSet::new();
                for record in lookup.answers() {
                    if let RData::NS(server) = &record.data
                        && record.name == zone
                    {
                        add(&mut servers, shown(&server.0));
                    }
                }
                if !servers.is_empty() {
                    return servers;
                }
            }
            Err(NetError::Timeout) => break,
            Err(error) if !error.is_no_records_found() => break,
            Err(_) => {}
        }
        zone = zone.base_name();
    }
    BTreeSet::new()
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::{A, CNAME};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn alias(from: &str, to: &str) -> Record {
        Record::from_rdata(name(from), 300, RData::CNAME(CNAME(name(to))))
    }

    fn address(of: &str, ttl: u32, last: u8) -> Record {
        Record::from_rdata(name(of), ttl, RData::A(A::new(192, 0, 2, last)))
    }

    fn records(answer: &[Record]) -> DnsRecords {
        let mut records = DnsRecords::default();
        records.add(&name("relay.example."), answer);
        records
    }

    #[test]
    fn the_order_of_an_answer_makes_no_difference() {
        let mut answer = vec![
            alias("relay.example.", "Edge.example."),
            alias("edge.example.", "pool.example."),
            address("pool.example.", 60, 9),
            address("pool.example.", 30, 1),
        ];
        let expected = records(&answer);
        assert_eq!(expected.aliases, ["edge.example", "pool.example"]);
        assert_eq!(expected.ttl_seconds, Some(30));
        let shown: Vec<String> = expected.addresses().map(|ip| ip.to_string()).collect();
        assert_eq!(shown, ["192.0.2.1", "192.0.2.9"]);
        answer.reverse();
        assert_eq!(records(&answer), expected);
    }

    #[test]
    fn hundreds_of_records_are_bounded_to_the_same_few() {
        let answer: Vec<Record> = (0..=255)
            .map(|n| address("relay.example.", 60, n))
            .collect();
        let kept = records(&answer);
        assert_eq!(kept.ipv4.len(), MAX_DNS_RECORDS);
        let reversed: Vec<Record> = answer.into_iter().rev().collect();
        assert_eq!(records(&reversed), kept);
    }

    #[test]
    fn aliases_in_a_circle_end() {
        let answer = [
            alias("relay.example.", "edge.example."),
            alias("edge.example.", "relay.example."),
        ];
        assert_eq!(records(&answer).aliases, ["edge.example", "relay.example"]);
        let chain: Vec<Record> = (0..500)
            .map(|n| {
                let from = if n == 0 {
                    "relay.example.".to_owned()
                } else {
                    format!("n{n}.example.")
                };
                alias(&from, &format!("n{}.example.", n + 1))
            })
            .collect();
        assert_eq!(records(&chain).aliases.len(), MAX_DNS_RECORDS);
    }
}
