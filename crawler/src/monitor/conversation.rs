//! The part of a check that happens over the WebSocket, in one session: as a stranger first, then
//! signed in where the relay asked for that.

mod judge;

use std::net::IpAddr;

use bigbrotr_core::event::{Event, Pubkey};
use bigbrotr_core::message::ReplyPrefix;
use bigbrotr_core::relay_url::RelayUrl;
use tokio::sync::watch;
use tokio::time::Instant;

use self::judge::{judge_read, judge_write};
use super::certificate::Certificate;
use super::check::Checker;
use super::config::MonitorConfig;
use super::draft::Draft;
use super::limits::{MAX_SESSION_BYTES, RETRY_PAUSE, WRITE_PROBE_KIND};
use super::result::{OpenFinding, OpenTimings, Probe, SignedIn, TlsFinding};
use super::work::{Work, WorkOutcome, asked_bits};
use crate::dial::websocket::WebSocketLimits;
use crate::dial::{DialError, Dialed, TlsInfo};
use crate::session::{
    CapabilityAnswers, CapabilityQuestions, PublishOutcome, Session, SessionConfig, SessionError,
};

/// What was found over the WebSocket.
pub(super) struct Conversation {
    pub(super) open: OpenFinding,
    pub(super) read: Option<Probe>,
    pub(super) write: Option<Probe>,
    pub(super) work: Option<Work>,
    pub(super) signed_in: Option<SignedIn>,
    pub(super) capabilities: CapabilityAnswers,
    pub(super) tls: Option<TlsFinding>,
    pub(super) remote_ip: Option<IpAddr>,
    /// The session, still open where there is one.
    pub(super) session: Option<Session>,
}

/// Connects; tries again where something broke, as long as there are retries.
pub(super) async fn dial(
    checker: &Checker,
    url: &RelayUrl,
    retries: &mut u32,
) -> Result<Dialed, DialError> {
    loop {
        match checker.dialer.connect(url).await {
            Err(error) if *retries > 0 && error.is_transient() => *retries -= 1,
            outcome => return outcome,
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Holds the conversation over a connection. `difficulty` is what the information document asks
/// for, once known.
pub(super) async fn converse(
    checker: &Checker,
    url: &RelayUrl,
    connection: Dialed,
    retries: u32,
    now: i64,
    difficulty: watch::Receiver<Option<u32>>,
) -> Conversation {
    let config = &checker.config;
    let session = match open(checker, url, connection, retries).await {
        Ok(session) => session,
        Err(error) => return not_open(&error, config),
    };
    let open = session.open().clone();
    let mut talk = Talk {
        checker,
        session,
        now,
        difficulty,
    };
    let read = if config.read {
        Some(talk.read().await)
    } else {
        None
    };
    let (mut write, mut work) = (None, None);
    // A relay that hangs up after the read was not asked to take an event.
    if config.write && talk.session.is_alive() {
        (write, work) = talk.write().await;
    }
    let signed_in = talk.sign_in(read, write).await;
    // One that answers nothing has been waited for long enough.
    let answers = |probe: Probe| probe.rtt.is_some();
    let capabilities = if talk.session.is_alive() && read.or(write).is_none_or(answers) {
        talk.capabilities().await
    } else {
        CapabilityAnswers::default()
    };
    Conversation {
        open: OpenFinding::Open(OpenTimings {
            dial: open.dial,
            upgrade: open.upgrade,
        }),
        read,
        write,
        work,
        signed_in,
        capabilities,
        tls: open.tls.as_ref().map(|info| seen(info, config)),
        remote_ip: open.remote_ip,
        session: Some(talk.session),
    }
}

/// Opens the session; connects again where something broke.
async fn open(
    checker: &Checker,
    url: &RelayUrl,
    connection: Dialed,
    mut retries: u32,
) -> Result<Session, SessionError> {
    let config = &checker.config;
    let limits = SessionConfig {
        websocket: WebSocketLimits {
            upgrade_timeout: config.open_timeout,
            ..WebSocketLimits::default()
        },
        send_timeout: config.read_timeout.min(config.write_timeout),
        auth_timeout: config.auth_timeout,
        max_bytes: Some(MAX_SESSION_BYTES),
        // A stranger, until the relay asks who we are.
        keys: None,
        ..SessionConfig::default()
    };
    let mut outcome = Session::over(connection, url, &limits).await;
    while retries > 0 && outcome.as_ref().is_err_and(SessionError::is_transient) {
        retries -= 1;
        tokio::time::sleep(RETRY_PAUSE).await;
        outcome = Session::connect(&checker.dialer, url, &limits).await;
    }
    outcome
}

fn seen(info: &TlsInfo, config: &MonitorConfig) -> TlsFinding {
    let certificate = || Certificate::read(&info.certificates).map(Box::new);
    TlsFinding {
        verdict: info.verdict.as_str(),
        protocol: Some(info.protocol),
        cipher: Some(info.cipher),
        certificate: config.ssl.then(certificate).flatten(),
    }
}

pub(super) fn not_open(error: &SessionError, config: &MonitorConfig) -> Conversation {
    let tls = match error {
        SessionError::Dial(DialError::Certificate { verdict, chain, .. }) => Some(TlsFinding {
            verdict: verdict.as_str(),
            protocol: None,
            cipher: None,
            certificate: (config.ssl.then(|| Certificate::read(chain).map(Box::new))).flatten(),
        }),
        _ => None,
    };
    Conversation {
        open: OpenFinding::Failed {
            reason: error.reason(),
            fault: error.fault(),
        },
        read: None,
        write: None,
        work: None,
        signed_in: None,
        capabilities: CapabilityAnswers::default(),
        tls,
        remote_ip: None,
        session: None,
    }
}

/// A session under way.
struct Talk<'a> {
    checker: &'a Checker,
    session: Session,
    now: i64,
    difficulty: watch::Receiver<Option<u32>>,
}

impl Talk<'_> {
    fn config(&self) -> &MonitorConfig {
        &self.checker.config
    }

    /// Asks for an event; asks again after silence.
    async fn read(&mut self) -> Probe {
        let (timeout, mut retries) = (self.config().read_timeout, self.config().read_retries);
        loop {
            let probe = judge_read(&self.session.probe_read(timeout).await);
            if probe.rtt.is_some() || retries == 0 || !self.session.is_alive() {
                return probe;
            }
            retries -= 1;
        }
    }

    /// Sends an ephemeral event, with work where that is asked for.
    async fn write(&mut self) -> (Option<Probe>, Option<Work>) {
        let Some(event) = self.sign(write_probe()) else {
            return (None, None);
        };
        let (first, outcome) = self.publish(&event).await;
        let PublishOutcome::Rejected {
            prefix: Some(ReplyPrefix::Pow),
            message,
        } = outcome
        else {
            return (Some(first), None);
        };
        if !self.config().pow {
            return (Some(first), None);
        }
        let (bits, mined) = self.work(&message).await;
        let with = |outcome| Some(Work { bits, outcome });
        let mined = match mined {
            Ok(mined) => mined,
            Err(outcome) => return (Some(first), with(outcome)),
        };
        let Some(event) = self.sign(mined) else {
            return (Some(first), None);
        };
        let (second, _) = self.publish(&event).await;
        let outcome = if second.ok {
            WorkOutcome::Accepted
        } else {
            WorkOutcome::Refused
        };
        (Some(second), with(outcome))
    }

    /// Finds the proof of work that a refusal, or else the information document, asks for.
    async fn work(&mut self, refusal: &str) -> (Option<u32>, Result<Draft, WorkOutcome>) {
        let deadline = Instant::now() + self.config().pow_timeout;
        let mut bits = asked_bits(refusal);
        if bits.is_none() {
            let told = self.difficulty.wait_for(Option::is_some);
            // An error is a document that will never tell.
            if let Ok(Ok(told)) = tokio::time::timeout_at(deadline, told).await {
                bits = *told;
            }
        }
        let Some(wanted) = bits.filter(|bits| *bits > 0) else {
            return (None, Err(WorkOutcome::NotSaid));
        };
        if wanted > self.config().pow_max_bits {
            return (bits, Err(WorkOutcome::TooHard));
        }
        let author = self.checker.keys.public_key();
        let search = self
            .checker
            .miner
            .mine(write_probe(), author, self.now, wanted, deadline);
        (bits, search.await.ok_or(WorkOutcome::TimedOut))
    }

    /// Publishes an event and judges by the OK: reading it back would prove less. Tries again
    /// after silence.
    async fn publish(&mut self, event: &Event) -> (Probe, PublishOutcome) {
        let (timeout, mut retries) = (self.config().write_timeout, self.config().write_retries);
        loop {
            let started = Instant::now();
            let outcome = self.session.publish(event, timeout).await;
            let (ok, reason, answered) = judge_write(&outcome);
            if answered || retries == 0 || !self.session.is_alive() {
                let rtt = answered.then(|| started.elapsed());
                return (Probe { ok, reason, rtt }, outcome);
            }
            retries -= 1;
        }
    }

    fn sign(&self, draft: Draft) -> Option<Event> {
        match draft.sign(&self.checker.keys, self.now) {
            Ok(event) => Some(event),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot sign a write probe: writing is not tested",
                );
                None
            }
        }
    }

    /// Signs in where a stranger was refused for not having done so, and tries again.
    async fn sign_in(&mut self, read: Option<Probe>, write: Option<Probe>) -> Option<SignedIn> {
        let wants = |probe: Option<Probe>| {
            let auth = Some(ReplyPrefix::AuthRequired.as_str());
            probe.is_some_and(|probe| !probe.ok && probe.reason == auth)
        };
        let (reads, writes) = (wants(read), wants(write));
        if !self.config().auth || !(reads || writes) || !self.session.is_alive() {
            return None;
        }
        let started = Instant::now();
        let deadline = started + self.config().auth_timeout;
        let keys = self.checker.keys.clone();
        let outcome = self.session.authenticate_as(&keys, deadline).await;
        let mut found = SignedIn {
            auth: Probe {
                ok: outcome.is_ok(),
                reason: outcome.err().map(|failure| failure.reason()),
                rtt: Some(started.elapsed()),
            },
            read: None,
            write: None,
        };
        if found.auth.ok && reads {
            found.read = Some(self.read().await);
        }
        if found.auth.ok && writes && self.session.is_alive() {
            (found.write, _) = self.write().await;
        }
        Some(found)
    }

    /// Tries what the relay can do.
    async fn capabilities(&mut self) -> CapabilityAnswers {
        let config = self.config();
        if !config.tries_capabilities() {
            return CapabilityAnswers::default();
        }
        // A word that nobody has written before this second.
        let nonsense = format!("zxqv{:x}kwj", self.now);
        let questions = CapabilityQuestions {
            count: config.count,
            search: config.search.then_some(nonsense.as_str()),
            negentropy: config.negentropy,
            author: Pubkey(self.checker.keys.public_key().to_bytes()),
            kind: WRITE_PROBE_KIND,
        };
        let timeout = config.capabilities_timeout;
        self.session.probe_capabilities(&questions, timeout).await
    }
}

fn write_probe() -> Draft {
    Draft {
        kind: WRITE_PROBE_KIND,
        tags: Vec::new(),
        content: "Can this relay be written to?".to_owned(),
    }
}
