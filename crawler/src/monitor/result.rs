//! What a check found: plain data, on which findings, reports and the schedule are decided.

use std::net::IpAddr;
use std::time::Duration;

use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_schema::store::{Document, Snapshot};

use super::findings::findings;
use super::information::RelayInformation;
use crate::dial::{DialTimings, TlsInfo};

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
    /// Whether an event is taken without signing in; `None` when not tried.
    pub write: Option<Probe>,
    /// The information document; `None` when not asked for.
    pub information: Option<InformationFinding>,
    /// What the TLS handshake showed, as far as there was one.
    pub tls: Option<TlsFinding>,
    /// The relay's address; unknown behind a proxy.
    pub remote_ip: Option<IpAddr>,
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
        /// The failure is on our side, so that nothing was learned about the relay.
        ours: bool,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsFinding {
    /// The verdict on the certificate: `valid`, or what is wrong with it.
    pub verdict: &'static str,
    /// The protocol version as IANA writes it; unknown where the handshake was broken off.
    pub protocol: Option<&'static str>,
}

impl From<&TlsInfo> for TlsFinding {
    fn from(info: &TlsInfo) -> Self {
        Self {
            verdict: info.verdict.as_str(),
            protocol: Some(info.protocol),
        }
    }
}

impl CheckResult {
    /// Says whether a WebSocket could be opened: the relay is online.
    pub fn is_online(&self) -> bool {
        matches!(self.open, OpenFinding::Open(_))
    }

    /// Says whether the check failed on our side, so that it tells nothing about the relay.
    pub fn is_inconclusive(&self) -> bool {
        matches!(self.open, OpenFinding::Failed { ours: true, .. })
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

/// Counts begun milliseconds: an answer never takes none.
pub(super) fn rtt_ms(rtt: Duration) -> u128 {
    rtt.as_micros().div_ceil(1_000)
}
