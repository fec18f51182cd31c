//! What a check found: plain data, on which findings, reports and the schedule are decided.

use std::net::IpAddr;
use std::time::Duration;

use bigbrotr_core::address::is_special;
use bigbrotr_core::message::ReplyPrefix;
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_schema::store::{Document, Snapshot};

use super::certificate::Certificate;
use super::findings::findings;
use super::geo::Location;
use super::headers::ServerHeaders;
use super::information::RelayInformation;
use super::work::Work;
use crate::dial::{DialTimings, DnsRecords};
use crate::session::{Capability, CapabilityAnswers, Fault};

/// Everything that one check found.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckResult {
    /// The relay.
    pub url: RelayUrl,
    /// When the check began, Unix seconds.
    pub checked_at: i64,
    /// Whether a WebSocket could be opened.
    pub open: OpenFinding,
    /// Whether events can be read without signing in; `None` when not tried.
    pub read: Option<Probe>,
    /// Whether an event is taken without signing in, with the proof of work that was asked for
    /// and found; `None` when not tried.
    pub write: Option<Probe>,
    /// What came of the proof of work that the relay asked for; `None` when it did not ask.
    pub work: Option<Work>,
    /// What the relay allows once we have signed in; `None` when it did not ask for that.
    pub signed_in: Option<SignedIn>,
    /// What the relay can do beyond NIP-01, as trying showed.
    pub capabilities: CapabilityAnswers,
    /// The information document; `None` when not asked for.
    pub information: Option<InformationFinding>,
    /// The headers of the answer to that request; `None` when there was none, or not wanted.
    pub headers: Option<ServerHeaders>,
    /// What the TLS handshake showed, as far as there was one.
    pub tls: Option<TlsFinding>,
    /// What DNS says of the relay's name; `None` when not asked.
    pub dns: Option<DnsFinding>,
    /// The address that was connected to; unknown behind a proxy. One of those in `dns`, and not
    /// always the same one.
    pub remote_ip: Option<IpAddr>,
    /// Where the relay's address is, as far as there is a database that knows.
    pub location: Location,
}

/// Whether a WebSocket could be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenFinding {
    /// It was.
    Open(OpenTimings),
    /// It was not.
    Failed {
        /// Why, from the closed set of [`crate::session::SessionError::reason`].
        reason: &'static str,
        /// Whose fault that is.
        fault: Fault,
    },
}

/// What opening the WebSocket took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenTimings {
    /// The phases of the dial.
    pub dial: DialTimings,
    /// The WebSocket upgrade.
    pub upgrade: Duration,
}

impl OpenTimings {
    /// Returns the time to open, without our own queue: the `rtt-open` of NIP-66.
    pub fn rtt(&self) -> Duration {
        self.dial.total() + self.upgrade
    }
}

/// The outcome of one question to an open relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// It was answered as one hopes.
    pub ok: bool,
    /// What came instead, or with it: a machine-readable prefix of NIP-01, or a word of ours.
    pub reason: Option<&'static str>,
    /// The time to the answer; `None` without one.
    pub rtt: Option<Duration>,
}

/// The outcome of asking for the information document.
#[derive(Debug, Clone, PartialEq)]
pub enum InformationFinding {
    /// A document came.
    Read(Box<RelayInformation>),
    /// None came, or what came is none.
    Failed {
        /// Why, from a closed set.
        reason: &'static str,
    },
}

/// What is said of a relay's TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFinding {
    /// The verdict on the certificate: `valid`, or what is wrong with it.
    pub verdict: &'static str,
    /// The protocol version as IANA writes it; unknown where the handshake was broken off.
    pub protocol: Option<&'static str>,
    /// The cipher suite as IANA writes it; likewise.
    pub cipher: Option<&'static str>,
    /// What the certificate says of itself; `None` when not wanted.
    pub certificate: Option<Box<Certificate>>,
}

/// What a relay allows who has signed in (NIP-42).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedIn {
    /// Whether it took our authentication.
    pub auth: Probe,
    /// Whether events can be read then; `None` when a stranger can, or it was not tried.
    pub read: Option<Probe>,
    /// Whether an event is taken then; likewise.
    pub write: Option<Probe>,
}

/// The outcome of asking DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsFinding {
    /// Records came.
    Found(DnsRecords),
    /// None did.
    Failed {
        /// Why, from the closed set of [`crate::dial::ResolveError::reason`].
        reason: &'static str,
    },
}

impl CheckResult {
    /// Says whether a WebSocket could be opened: the relay is online.
    pub fn is_online(&self) -> bool {
        matches!(self.open, OpenFinding::Open(_))
    }

    /// Says whether the check failed on our side, so that it tells nothing about the relay.
    pub fn is_inconclusive(&self) -> bool {
        matches!(
            self.open,
            OpenFinding::Failed {
                fault: Fault::Ours,
                ..
            }
        )
    }

    /// Returns the time to open a WebSocket.
    pub fn open_rtt(&self) -> Option<Duration> {
        match &self.open {
            OpenFinding::Open(timings) => Some(timings.rtt()),
            OpenFinding::Failed { .. } => None,
        }
    }

    /// Returns the information document, if one came.
    pub fn information(&self) -> Option<&RelayInformation> {
        match &self.information {
            Some(InformationFinding::Read(information)) => Some(information),
            _ => None,
        }
    }

    /// Returns the records of DNS, if they came.
    pub fn records(&self) -> Option<&DnsRecords> {
        match &self.dns {
            Some(DnsFinding::Found(records)) => Some(records),
            _ => None,
        }
    }

    /// Returns the address that stands for the relay: the first of those in DNS that anybody can
    /// reach, so that it stays the same while DNS does, or else the one that was connected to.
    pub fn address(&self) -> Option<IpAddr> {
        let records = self.records();
        let public = |ip: &IpAddr| !is_special(*ip);
        let known = records.and_then(|records| records.addresses().find(public));
        known.or(self.remote_ip)
    }

    /// Says whether one has to sign in before reading.
    pub fn auth_on_read(&self) -> Capability {
        auth_needed(self.read)
    }

    /// Says whether one has to sign in before writing.
    pub fn auth_on_write(&self) -> Capability {
        auth_needed(self.write)
    }

    /// Lists what the relay can do, as far as it was tried, by name.
    pub fn capabilities(&self) -> impl Iterator<Item = (&'static str, Capability)> {
        [
            ("count", self.capabilities.count),
            ("search", self.capabilities.search),
            ("negentropy", self.capabilities.negentropy),
            ("auth_read", self.read.map(|_| self.auth_on_read())),
            ("auth_write", self.write.map(|_| self.auth_on_write())),
        ]
        .into_iter()
        .filter_map(|(name, capability)| Some((name, capability?)))
    }

    /// Makes what is stored of the check.
    pub fn snapshot(&self) -> Snapshot {
        let stored_ms =
            |rtt: Option<Duration>| rtt.map(|rtt| i32::try_from(rtt_ms(rtt)).unwrap_or(i32::MAX));
        let rtt = |probe: Option<Probe>| stored_ms(probe.and_then(|probe| probe.rtt));
        Snapshot {
            checked_at: self.checked_at,
            nip11: self
                .information()
                .map(|information| Document::new(&information.value)),
            nip66: Document::new(&findings(self)),
            openable: self.is_online(),
            readable: self.read.map(|probe| probe.ok),
            writable: self.write.map(|probe| probe.ok),
            rtt_open_ms: stored_ms(self.open_rtt()),
            rtt_read_ms: rtt(self.read),
            rtt_write_ms: rtt(self.write),
        }
    }
}

fn auth_needed(probe: Option<Probe>) -> Capability {
    match probe {
        None => Capability::Unknown("not_tried"),
        Some(probe) if probe.ok => Capability::No("not_needed"),
        Some(Probe { reason, .. }) if reason == Some(ReplyPrefix::AuthRequired.as_str()) => {
            Capability::Yes
        }
        Some(probe) => Capability::Unknown(probe.reason.unwrap_or("refused")),
    }
}

/// Counts begun milliseconds: an answer never takes none.
pub(super) fn rtt_ms(rtt: Duration) -> u128 {
    rtt.as_micros().div_ceil(1_000)
}
