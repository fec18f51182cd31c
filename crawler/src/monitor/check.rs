//! The check of one relay: everything that is asked of it, within bounds.
//!
//! Once there is a connection, the WebSocket and the information document are asked for side by
//! side, each over a connection of its own, and the first stays open until both are done: a relay
//! that bans clients for coming back within seconds has no reason to. A relay that cannot be
//! connected to is not dialled twice: the document is behind the same door, and most relays that
//! are known are dead. We stay anonymous: what is found is what a stranger gets.

use std::net::IpAddr;

use bigbrotr_core::message::ReplyPrefix;
use bigbrotr_core::relay_url::RelayUrl;
use nostr::Keys;
use tokio::time::Instant;

use super::config::MonitorConfig;
use super::draft::Draft;
use super::information::RelayInformation;
use super::limits::{MAX_INFORMATION_BYTES, MAX_SESSION_BYTES, WRITE_PROBE_KIND};
use super::result::{CheckResult, InformationFinding, OpenFinding, OpenTimings, Probe, TlsFinding};
use crate::dial::http::{self, HttpOptions};
use crate::dial::websocket::WebSocketLimits;
use crate::dial::{DialError, Dialed, Dialer};
use crate::session::{
    PublishOutcome, ReadProbe, ReadVerdict, Session, SessionConfig, SessionError,
};

/// Checks a relay. `keys` sign the event of the write probe; `now` is in Unix seconds.
///
/// Never fails: what goes wrong is what was found. Takes at most the waits for connection slots
/// and the time-outs of `config` and of the relay's network.
///
/// # Security
/// The relay is a stranger: what it sends is bounded in size and time, and the dialer refuses
/// special-purpose addresses.
pub async fn check_relay(
    dialer: &Dialer,
    url: &RelayUrl,
    config: &MonitorConfig,
    keys: &Keys,
    now: i64,
) -> CheckResult {
    let (conversation, information) = match dialer.connect(url).await {
        Ok(connection) => tokio::join!(
            Box::pin(converse(connection, url, config, keys, now)),
            Box::pin(ask_information(dialer, url, config)),
        ),
        Err(error) => {
            let unread = InformationFinding::Failed {
                reason: error.reason(),
            };
            let is_known = config.nip11 && !error.is_ours();
            (not_open(&error.into()), is_known.then_some(unread))
        }
    };
    if let Some(session) = conversation.session {
        session.close().await;
    }
    CheckResult {
        url: url.clone(),
        checked_at: now,
        open: conversation.open,
        read: conversation.read,
        write: conversation.write,
        information,
        tls: conversation.tls,
        remote_ip: conversation.remote_ip,
    }
}

/// What was found over the WebSocket.
struct Conversation {
    open: OpenFinding,
    read: Option<Probe>,
    write: Option<Probe>,
    tls: Option<TlsFinding>,
    remote_ip: Option<IpAddr>,
    /// The conversation, still open.
    session: Option<Session>,
}

async fn converse(
    connection: Dialed,
    url: &RelayUrl,
    config: &MonitorConfig,
    keys: &Keys,
    now: i64,
) -> Conversation {
    let limits = SessionConfig {
        websocket: WebSocketLimits {
            upgrade_timeout: config.open_timeout,
            ..WebSocketLimits::default()
        },
        send_timeout: config.read_timeout.min(config.write_timeout),
        max_bytes: Some(MAX_SESSION_BYTES),
        keys: None,
        ..SessionConfig::default()
    };
    let mut session = match Session::over(connection, url, &limits).await {
        Ok(session) => session,
        Err(error) => return not_open(&error),
    };
    let open = session.open().clone();
    let read = if config.read {
        Some(read_probe(&session.probe_read(config.read_timeout).await))
    } else {
        None
    };
    // A relay that hangs up after the read was not asked to take an event.
    let write = if config.write && session.is_alive() {
        write_probe(&mut session, config, keys, now).await
    } else {
        None
    };
    Conversation {
        open: OpenFinding::Open(OpenTimings {
            dial: open.dial,
            upgrade: open.upgrade,
        }),
        read,
        write,
        tls: open.tls.as_ref().map(TlsFinding::from),
        remote_ip: open.remote_ip,
        session: Some(session),
    }
}

fn not_open(error: &SessionError) -> Conversation {
    let tls = match error {
        SessionError::Dial(DialError::Certificate { verdict, .. }) => Some(TlsFinding {
            verdict: verdict.as_str(),
            protocol: None,
        }),
        _ => None,
    };
    Conversation {
        open: OpenFinding::Failed {
            reason: error.reason(),
            ours: error.is_ours(),
        },
        read: None,
        write: None,
        tls,
        remote_ip: None,
        session: None,
    }
}

fn read_probe(probe: &ReadProbe) -> Probe {
    let ok = probe.verdict.is_readable();
    let reason = match &probe.verdict {
        ReadVerdict::Event | ReadVerdict::Eose => None,
        ReadVerdict::Closed {
            prefix: Some(prefix),
            ..
        } => Some(prefix.as_str()),
        // Nothing but a challenge: it wants to know who we are before it answers.
        ReadVerdict::Challenge => Some(ReplyPrefix::AuthRequired.as_str()),
        ReadVerdict::Disconnected(error) => Some(error.reason()),
        verdict => Some(verdict.as_str()),
    };
    Probe {
        ok,
        reason,
        rtt: probe.rtt,
    }
}

/// Sends an ephemeral event and judges by the OK: reading it back would prove less.
async fn write_probe(
    session: &mut Session,
    config: &MonitorConfig,
    keys: &Keys,
    now: i64,
) -> Option<Probe> {
    let draft = Draft {
        kind: WRITE_PROBE_KIND,
        tags: Vec::new(),
        content: "Can this relay be written to?".to_owned(),
    };
    let event = match draft.sign(keys, now) {
        Ok(event) => event,
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot sign a write probe: writing is not tested",
            );
            return None;
        }
    };
    let started = Instant::now();
    let outcome = session.publish(&event, config.write_timeout).await;
    let (ok, reason, answered) = judge_write(&outcome);
    Some(Probe {
        ok,
        reason,
        rtt: answered.then(|| started.elapsed()),
    })
}

/// Says whether the relay takes events, why not, and whether it answered at all.
fn judge_write(outcome: &PublishOutcome) -> (bool, Option<&'static str>, bool) {
    match outcome {
        PublishOutcome::Accepted { .. } => (true, None, true),
        // Nobody listened, or it was there: it was not refused.
        PublishOutcome::Rejected {
            prefix: Some(prefix @ (ReplyPrefix::Mute | ReplyPrefix::Duplicate)),
            ..
        } => (true, Some(prefix.as_str()), true),
        PublishOutcome::Rejected { prefix, .. } => (
            false,
            Some(prefix.map_or("refused", ReplyPrefix::as_str)),
            true,
        ),
        PublishOutcome::Silent => (false, Some("silent"), false),
        PublishOutcome::Disconnected(error) => (false, Some(error.reason()), false),
    }
}

async fn ask_information(
    dialer: &Dialer,
    url: &RelayUrl,
    config: &MonitorConfig,
) -> Option<InformationFinding> {
    if !config.nip11 {
        return None;
    }
    let options = HttpOptions {
        max_body_bytes: MAX_INFORMATION_BYTES,
        timeout: config.nip11_timeout,
        ..HttpOptions::default()
    };
    let failed = |reason| Some(InformationFinding::Failed { reason });
    match http::get(dialer, &url.http_url(), &options).await {
        // Our own failure says nothing about the document.
        Err(error) if error.is_ours() => None,
        Err(error) => failed(error.reason()),
        Ok(response) if !response.status.is_success() => failed("http_status"),
        Ok(response) => match RelayInformation::parse(response.body) {
            Ok(information) => Some(InformationFinding::Read(Box::new(information))),
            Err(error) => failed(error.reason()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(prefix: Option<ReplyPrefix>) -> PublishOutcome {
        PublishOutcome::Rejected {
            prefix,
            message: String::new(),
        }
    }

    #[test]
    fn a_refusal_is_judged_by_its_prefix() {
        for (prefix, ok, reason) in [
            (Some(ReplyPrefix::Pow), false, "pow"),
            (Some(ReplyPrefix::AuthRequired), false, "auth-required"),
            (Some(ReplyPrefix::Blocked), false, "blocked"),
            (Some(ReplyPrefix::Mute), true, "mute"),
            (None, false, "refused"),
        ] {
            assert_eq!(judge_write(&rejected(prefix)), (ok, Some(reason), true));
        }
    }

    #[test]
    fn no_answer_is_no_time() {
        assert_eq!(
            judge_write(&PublishOutcome::Silent),
            (false, Some("silent"), false)
        );
        let lost = PublishOutcome::Disconnected(SessionError::Over);
        assert_eq!(judge_write(&lost), (false, Some("over"), false));
    }
}
