//! The question whether a relay can be read: the smallest REQ there is, and what comes back.

use std::time::Duration;

use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{ClientMessage, RelayMessage, ReplyPrefix};
use tokio::time::Instant;

use super::Session;
use super::error::{SessionError, shorten};

/// What a relay answers to a REQ.
#[derive(Debug)]
pub enum ReadVerdict {
    /// An event: readable.
    Event,
    /// The end of stored events without one: readable, as far as one can tell.
    Eose,
    /// Refused.
    Closed {
        /// The machine-readable reason; [`ReplyPrefix::AuthRequired`] where one must sign in.
        prefix: Option<ReplyPrefix>,
        /// The relay's words, shortened.
        message: String,
    },
    /// Nothing but a challenge of NIP-42.
    Challenge,
    /// Nothing but words for humans.
    Notice {
        /// The relay's words, shortened.
        message: String,
    },
    /// Nothing.
    Silent,
    /// The session ended before an answer.
    Disconnected(SessionError),
}

impl ReadVerdict {
    /// Says whether events were served, or the whole absence of them.
    pub fn is_readable(&self) -> bool {
        matches!(self, Self::Event | Self::Eose)
    }

    /// Says whether anything was answered that only a relay answers.
    pub fn is_answer(&self) -> bool {
        !matches!(self, Self::Silent | Self::Disconnected(_))
    }

    /// Names the verdict from a closed set.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Eose => "eose",
            Self::Closed { .. } => "closed",
            Self::Challenge => "challenge",
            Self::Notice { .. } => "notice",
            Self::Silent => "silent",
            Self::Disconnected(_) => "disconnected",
        }
    }
}

/// The outcome of a read probe.
#[derive(Debug)]
pub struct ReadProbe {
    /// What the relay answered.
    pub verdict: ReadVerdict,
    /// From the REQ to that answer: the `rtt-read` of NIP-66. `None` without an answer.
    pub rtt: Option<Duration>,
}

impl Session {
    /// Asks for one event and classifies the first answer to that. A challenge or a notice is an
    /// answer only if no other comes until the time-out: both may have other causes.
    pub async fn probe_read(&mut self, timeout: Duration) -> ReadProbe {
        let started = Instant::now();
        let deadline = started + timeout;
        let sub_id = self.fresh_sub_id();
        let filters = vec![Filter {
            limit: Some(1),
            ..Filter::default()
        }];
        let sent = self
            .send(&ClientMessage::Req {
                sub_id: sub_id.clone(),
                filters,
            })
            .await;
        if let Err(error) = sent {
            return ReadProbe {
                verdict: ReadVerdict::Disconnected(error),
                rtt: None,
            };
        }
        let mut fallback = ReadProbe {
            verdict: ReadVerdict::Silent,
            rtt: None,
        };
        while Instant::now() < deadline {
            let frame = match self.next(deadline).await {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                // Who says why and hangs up has answered.
                Err(_) if fallback.rtt.is_some() => break,
                Err(error) => {
                    return ReadProbe {
                        verdict: ReadVerdict::Disconnected(error),
                        rtt: None,
                    };
                }
            };
            let rtt = Some(started.elapsed());
            let verdict = match frame.message() {
                Ok(RelayMessage::Event { sub_id: id, .. }) if id == sub_id => ReadVerdict::Event,
                Ok(RelayMessage::Eose { sub_id: id }) if id == sub_id => ReadVerdict::Eose,
                Ok(RelayMessage::Closed {
                    sub_id: id,
                    message,
                }) if id == sub_id => {
                    let prefix = ReplyPrefix::of(&message);
                    let message = shorten(&message);
                    return ReadProbe {
                        verdict: ReadVerdict::Closed { prefix, message },
                        rtt,
                    };
                }
                Ok(RelayMessage::Auth { .. }) => {
                    fallback = ReadProbe {
                        verdict: ReadVerdict::Challenge,
                        rtt,
                    };
                    continue;
                }
                Ok(RelayMessage::Notice { message }) => {
                    let message = shorten(&message);
                    fallback = ReadProbe {
                        verdict: ReadVerdict::Notice { message },
                        rtt,
                    };
                    continue;
                }
                _ => continue,
            };
            // The answer counts whether or not the relay still takes the CLOSE.
            if let Err(error) = self.send(&ClientMessage::Close { sub_id }).await {
                tracing::debug!(relay.url = %self.url, %error, "relay left after the probe");
            }
            return ReadProbe { verdict, rtt };
        }
        fallback
    }
}
