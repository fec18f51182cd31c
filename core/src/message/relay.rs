//! What a relay says to a client.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::EventId;

/// A message from a relay to a client. Events stay raw text, so that a reader can decide by their
/// size and id whether to parse them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayMessage<'a> {
    /// An event of a subscription: the event is its JSON text, unparsed.
    Event {
        /// Subscription id.
        sub_id: Cow<'a, str>,
        /// The event object's JSON.
        event: &'a str,
    },
    /// The verdict on a published event.
    Ok {
        /// The event's id.
        event_id: EventId,
        /// Whether the relay took it (or has it already).
        accepted: bool,
        /// Why not, with a machine-readable prefix.
        message: String,
    },
    /// All stored events have been sent.
    Eose {
        /// Subscription id.
        sub_id: Cow<'a, str>,
    },
    /// The relay ended or refused a subscription.
    Closed {
        /// Subscription id.
        sub_id: Cow<'a, str>,
        /// Why, with a machine-readable prefix.
        message: String,
    },
    /// Something for humans.
    Notice {
        /// The text.
        message: String,
    },
    /// An authentication challenge (NIP-42).
    Auth {
        /// The challenge to sign.
        challenge: String,
    },
    /// The answer to COUNT (NIP-45).
    Count {
        /// Query id.
        sub_id: Cow<'a, str>,
        /// How many events match.
        count: u64,
        /// The answer object's JSON, which may hold `approximate` and `hll`.
        answer: &'a str,
    },
    /// A reconciliation's next message (NIP-77).
    NegMsg {
        /// Reconciliation id.
        sub_id: Cow<'a, str>,
        /// Negentropy message, hex.
        message: String,
    },
    /// A reconciliation's failure (NIP-77).
    NegErr {
        /// Reconciliation id.
        sub_id: Cow<'a, str>,
        /// Why, with a machine-readable prefix.
        message: String,
    },
}

/// A frame that is not a relay's message.
#[derive(Debug, thiserror::Error)]
#[error("not a relay message: {reason}")]
pub struct RelayMessageError {
    reason: String,
}

fn error(reason: impl fmt::Display) -> RelayMessageError {
    RelayMessageError {
        reason: reason.to_string(),
    }
}

impl<'a> RelayMessage<'a> {
    /// Parses a text frame without copying events.
    ///
    /// # Security
    /// The text comes from a peer: its length must be bounded before this is called.
    pub fn parse(text: &'a str) -> Result<Self, RelayMessageError> {
        let parts: Vec<&'a RawValue> = serde_json::from_str(text).map_err(error)?;
        let verb = parts.first().ok_or_else(|| error("empty array"))?.get();
        let part = |n: usize| {
            parts
                .get(n)
                .map(|raw| raw.get())
                .ok_or_else(|| error(format_args!("{verb} is short")))
        };
        let string = |n: usize| serde_json::from_str::<String>(part(n)?).map_err(error);
        // A fourth or third text element is often missing in the wild: empty, then.
        let optional = |n: usize| {
            parts
                .get(n)
                .and_then(|raw| serde_json::from_str::<String>(raw.get()).ok())
        };
        let sub_id = || short_string(part(1)?);
        Ok(match verb {
            "\"EVENT\"" => Self::Event {
                sub_id: sub_id()?,
                event: part(2)?,
            },
            "\"OK\"" => Self::Ok {
                event_id: serde_json::from_str(part(1)?).map_err(error)?,
                accepted: serde_json::from_str(part(2)?).map_err(error)?,
                message: optional(3).unwrap_or_default(),
            },
            "\"EOSE\"" => Self::Eose { sub_id: sub_id()? },
            "\"CLOSED\"" => Self::Closed {
                sub_id: sub_id()?,
                message: optional(2).unwrap_or_default(),
            },
            "\"NOTICE\"" => Self::Notice {
                message: string(1)?,
            },
            "\"AUTH\"" => Self::Auth {
                challenge: string(1)?,
            },
            "\"COUNT\"" => {
                #[derive(Deserialize)]
                struct Answer {
                    count: u64,
                }
                let answer: Answer = serde_json::from_str(part(2)?).map_err(error)?;
                Self::Count {
                    sub_id: sub_id()?,
                    count: answer.count,
                    answer: part(2)?,
                }
            }
            "\"NEG-MSG\"" => Self::NegMsg {
                sub_id: sub_id()?,
                message: string(2)?,
            },
            "\"NEG-ERR\"" => Self::NegErr {
                sub_id: sub_id()?,
                message: optional(2).unwrap_or_default(),
            },
            other => {
                let shown: String = other.chars().take(32).collect();
                return Err(error(format_args!("unknown message {shown}")));
            }
        })
    }

    /// Writes the message as a text frame.
    pub fn to_json(&self) -> String {
        let text = |value: &str| serde_json::to_string(value).unwrap_or_default();
        match self {
            Self::Event { sub_id, event } => format!(r#"["EVENT",{},{event}]"#, text(sub_id)),
            Self::Ok {
                event_id,
                accepted,
                message,
            } => {
                format!(r#"["OK","{event_id}",{accepted},{}]"#, text(message))
            }
            Self::Eose { sub_id } => format!(r#"["EOSE",{}]"#, text(sub_id)),
            Self::Closed { sub_id, message } => {
                format!(r#"["CLOSED",{},{}]"#, text(sub_id), text(message))
            }
            Self::Notice { message } => format!(r#"["NOTICE",{}]"#, text(message)),
            Self::Auth { challenge } => format!(r#"["AUTH",{}]"#, text(challenge)),
            Self::Count { sub_id, answer, .. } => {
                format!(r#"["COUNT",{},{answer}]"#, text(sub_id))
            }
            Self::NegMsg { sub_id, message } => {
                format!(r#"["NEG-MSG",{},{}]"#, text(sub_id), text(message))
            }
            Self::NegErr { sub_id, message } => {
                format!(r#"["NEG-ERR",{},{}]"#, text(sub_id), text(message))
            }
        }
    }
}

/// Reads a JSON string, borrowing it where it has no escapes.
fn short_string(json: &str) -> Result<Cow<'_, str>, RelayMessageError> {
    match json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        _ => serde_json::from_str::<String>(json)
            .map(Cow::Owned)
            .map_err(error),
    }
}

/// The machine-readable prefix of an OK, CLOSED or NEG-ERR message: the word before the colon.
///
/// Compare these, never the human text: `auth` is also in "author".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplyPrefix {
    /// The relay has the event.
    Duplicate,
    /// Proof of work is missing or too low (NIP-13).
    Pow,
    /// The author or client is banned.
    Blocked,
    /// Too much, too fast.
    RateLimited,
    /// The event or filter is not valid.
    Invalid,
    /// Only some may do this.
    Restricted,
    /// Nobody was listening (ephemeral events).
    Mute,
    /// Something failed on the relay's side.
    Error,
    /// Authentication first (NIP-42).
    AuthRequired,
    /// The client is not what it must be to do this, payment included.
    PaymentRequired,
    /// Not supported.
    Unsupported,
}

impl ReplyPrefix {
    /// Reads the prefix of a message, `None` where it has no known one.
    pub fn of(message: &str) -> Option<Self> {
        let (prefix, _) = message.split_once(':')?;
        Some(match prefix.trim() {
            "duplicate" => Self::Duplicate,
            "pow" => Self::Pow,
            "blocked" => Self::Blocked,
            "rate-limited" => Self::RateLimited,
            "invalid" => Self::Invalid,
            "restricted" => Self::Restricted,
            "mute" => Self::Mute,
            "error" => Self::Error,
            "auth-required" => Self::AuthRequired,
            "payment-required" => Self::PaymentRequired,
            "unsupported" => Self::Unsupported,
            _ => return None,
        })
    }

    /// Names the prefix as it is written, without the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Pow => "pow",
            Self::Blocked => "blocked",
            Self::RateLimited => "rate-limited",
            Self::Invalid => "invalid",
            Self::Restricted => "restricted",
            Self::Mute => "mute",
            Self::Error => "error",
            Self::AuthRequired => "auth-required",
            Self::PaymentRequired => "payment-required",
            Self::Unsupported => "unsupported",
        }
    }

    /// Joins the prefix and a text for humans.
    pub fn message(self, text: impl fmt::Display) -> String {
        format!("{}: {text}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip() {
        let id = "0".repeat(64);
        for text in [
            r#"["EVENT","s",{"any":["thing"]}]"#.to_owned(),
            format!(r#"["OK","{id}",false,"blocked: no"]"#),
            r#"["EOSE","s\"x"]"#.to_owned(),
            r#"["CLOSED","s","auth-required: sign in"]"#.to_owned(),
            r#"["NOTICE","hi"]"#.to_owned(),
            r#"["AUTH","challenge"]"#.to_owned(),
            r#"["COUNT","c",{"count":3,"approximate":true}]"#.to_owned(),
            r#"["NEG-MSG","n","61"]"#.to_owned(),
            r#"["NEG-ERR","n","blocked: too big"]"#.to_owned(),
        ] {
            assert_eq!(RelayMessage::parse(&text).unwrap().to_json(), text);
        }
    }

    #[test]
    fn relays_leave_out_texts_and_add_elements() {
        let id = "0".repeat(64);
        assert!(RelayMessage::parse(&format!(r#"["OK","{id}",true]"#)).is_ok());
        assert!(RelayMessage::parse(r#"["CLOSED","s"]"#).is_ok());
        assert!(RelayMessage::parse(r#"["EOSE","s",["finish"]]"#).is_ok());
        assert!(RelayMessage::parse(r#"["EVENT","s"]"#).is_err());
        assert!(RelayMessage::parse(r#"["WHAT"]"#).is_err());
    }

    #[test]
    fn prefixes_are_words_not_substrings() {
        assert_eq!(
            ReplyPrefix::of("auth-required: x"),
            Some(ReplyPrefix::AuthRequired)
        );
        assert_eq!(ReplyPrefix::of("author: unknown"), None);
        assert_eq!(ReplyPrefix::of("please authenticate"), None);
    }
}
