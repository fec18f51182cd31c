//! What a client says to a relay.

use serde_json::value::RawValue;

use crate::event::{Event, EventError, EventId};
use crate::filter::Filter;
use crate::limits::MAX_SUBSCRIPTION_ID_CHARS;

/// A message from a client to a relay.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientMessage {
    /// Publishes an event. Not verified yet.
    Event(Box<Event>),
    /// Opens or replaces a subscription.
    Req {
        /// Subscription id.
        sub_id: String,
        /// An event has to match any of them.
        filters: Vec<Filter>,
    },
    /// Ends a subscription.
    Close {
        /// Subscription id.
        sub_id: String,
    },
    /// Answers an authentication challenge. Not verified yet.
    Auth(Box<Event>),
    /// Asks how many events match.
    Count {
        /// Query id.
        sub_id: String,
        /// An event has to match any of them.
        filters: Vec<Filter>,
    },
    /// Opens a reconciliation.
    NegOpen {
        /// Reconciliation id: a name space of its own.
        sub_id: String,
        /// The set to reconcile.
        filter: Box<Filter>,
        /// First negentropy message, hex.
        message: String,
    },
    /// Continues a reconciliation.
    NegMsg {
        /// Reconciliation id.
        sub_id: String,
        /// Negentropy message, hex.
        message: String,
    },
    /// Ends a reconciliation.
    NegClose {
        /// Reconciliation id.
        sub_id: String,
    },
}

/// Why a client's message cannot be understood, told apart by how a relay has to answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientMessageError {
    /// Not a Nostr message: answered by NOTICE.
    #[error("{message}")]
    Unreadable {
        /// What is wrong.
        message: String,
    },
    /// An EVENT with an unusable event whose id could be read: answered by OK.
    #[error("{source}")]
    Event {
        /// The event's claimed id.
        id: EventId,
        /// What is wrong.
        #[source]
        source: EventError,
    },
    /// A REQ or COUNT with a bad filter: answered by CLOSED.
    #[error("{message}")]
    Query {
        /// Subscription id.
        sub_id: String,
        /// What is wrong.
        message: String,
    },
    /// A NEG-OPEN with a bad filter or message: answered by NEG-ERR.
    #[error("{message}")]
    Reconciliation {
        /// Reconciliation id.
        sub_id: String,
        /// What is wrong.
        message: String,
    },
}

fn unreadable(message: impl Into<String>) -> ClientMessageError {
    ClientMessageError::Unreadable {
        message: message.into(),
    }
}

impl ClientMessage {
    /// Parses a text frame.
    ///
    /// # Errors
    /// [`ClientMessageError`], whose variant says which kind of answer the client understands.
    ///
    /// # Security
    /// The text comes from a peer: its length must be bounded before this is called. Nesting is
    /// bounded by the JSON parser (128 levels).
    pub fn parse(text: &str) -> Result<Self, ClientMessageError> {
        let parts: Vec<&RawValue> = match serde_json::from_str(text) {
            Ok(parts) => parts,
            Err(error) => return Err(unreadable(format!("message is not a JSON array: {error}"))),
        };
        let (verb, parts) = parts
            .split_first()
            .ok_or_else(|| unreadable("message is an empty array"))?;
        let verb: String = serde_json::from_str(verb.get())
            .map_err(|error| unreadable(format!("command name: {error}")))?;
        match verb.as_str() {
            "EVENT" => parse_event(parts).map(|event| Self::Event(Box::new(event))),
            "AUTH" => parse_event(parts).map(|event| Self::Auth(Box::new(event))),
            "REQ" => {
                let (sub_id, filters) = parse_query(parts)?;
                Ok(Self::Req { sub_id, filters })
            }
            "COUNT" => {
                let (sub_id, filters) = parse_query(parts)?;
                Ok(Self::Count { sub_id, filters })
            }
            "CLOSE" => Ok(Self::Close {
                sub_id: parse_sub_id(parts)?,
            }),
            "NEG-OPEN" => {
                let sub_id = parse_sub_id(parts)?;
                let failed = |message: String| ClientMessageError::Reconciliation {
                    sub_id: sub_id.clone(),
                    message,
                };
                let [_, filter, message] = parts else {
                    return Err(failed(
                        "NEG-OPEN takes an id, a filter and a message".into(),
                    ));
                };
                let filter = Filter::from_json(filter.get()).map_err(|e| failed(e.to_string()))?;
                let message = serde_json::from_str(message.get())
                    .map_err(|error| failed(format!("NEG-OPEN message: {error}")))?;
                Ok(Self::NegOpen {
                    sub_id,
                    filter: Box::new(filter),
                    message,
                })
            }
            "NEG-MSG" => {
                let sub_id = parse_sub_id(parts)?;
                let message = parts
                    .get(1)
                    .and_then(|raw| serde_json::from_str(raw.get()).ok());
                match message {
                    Some(message) => Ok(Self::NegMsg { sub_id, message }),
                    None => Err(ClientMessageError::Reconciliation {
                        sub_id,
                        message: "NEG-MSG takes an id and a hex string".into(),
                    }),
                }
            }
            "NEG-CLOSE" => Ok(Self::NegClose {
                sub_id: parse_sub_id(parts)?,
            }),
            _ => Err(unreadable(format!("unknown command {:?}", shorten(&verb)))),
        }
    }

    /// Writes the message as a text frame.
    pub fn to_json(&self) -> String {
        let written = match self {
            Self::Event(event) => serde_json::to_string(&("EVENT", event)),
            Self::Auth(event) => serde_json::to_string(&("AUTH", event)),
            Self::Req { sub_id, filters } => return query_to_json("REQ", sub_id, filters),
            Self::Count { sub_id, filters } => return query_to_json("COUNT", sub_id, filters),
            Self::Close { sub_id } => serde_json::to_string(&("CLOSE", sub_id)),
            Self::NegOpen {
                sub_id,
                filter,
                message,
            } => serde_json::to_string(&("NEG-OPEN", sub_id, filter, message)),
            Self::NegMsg { sub_id, message } => {
                serde_json::to_string(&("NEG-MSG", sub_id, message))
            }
            Self::NegClose { sub_id } => serde_json::to_string(&("NEG-CLOSE", sub_id)),
        };
        written.unwrap_or_default()
    }
}

fn query_to_json(verb: &str, sub_id: &str, filters: &[Filter]) -> String {
    let head = serde_json::to_string(&(verb, sub_id)).unwrap_or_default();
    let mut text = head.trim_end_matches(']').to_owned();
    for filter in filters {
        text.push(',');
        text.push_str(&filter.to_json());
    }
    text.push(']');
    text
}

fn parse_event(parts: &[&RawValue]) -> Result<Event, ClientMessageError> {
    let raw = parts
        .first()
        .ok_or_else(|| unreadable("message has no event"))?;
    Event::from_json(raw.get()).map_err(|source| match claimed_id(raw.get()) {
        Some(id) => ClientMessageError::Event { id, source },
        None => unreadable(format!("{source}: {}", cause(&source))),
    })
}

fn claimed_id(json: &str) -> Option<EventId> {
    #[derive(serde::Deserialize)]
    struct Claim {
        id: EventId,
    }
    serde_json::from_str::<Claim>(json)
        .ok()
        .map(|claim| claim.id)
}

fn cause(error: &EventError) -> String {
    std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn parse_query(parts: &[&RawValue]) -> Result<(String, Vec<Filter>), ClientMessageError> {
    let sub_id = parse_sub_id(parts)?;
    let query = |message: String| ClientMessageError::Query {
        sub_id: sub_id.clone(),
        message,
    };
    if parts.len() < 2 {
        return Err(query("no filter given".into()));
    }
    let filters = parts[1..]
        .iter()
        .map(|raw| Filter::from_json(raw.get()).map_err(|error| query(error.to_string())))
        .collect::<Result<_, _>>()?;
    Ok((sub_id, filters))
}

fn parse_sub_id(parts: &[&RawValue]) -> Result<String, ClientMessageError> {
    let raw = parts
        .first()
        .ok_or_else(|| unreadable("message has no subscription id"))?;
    let sub_id: String = serde_json::from_str(raw.get())
        .map_err(|error| unreadable(format!("subscription id: {error}")))?;
    if sub_id.is_empty() || sub_id.chars().count() > MAX_SUBSCRIPTION_ID_CHARS {
        return Err(unreadable(format!(
            "subscription id must have 1 to {MAX_SUBSCRIPTION_ID_CHARS} characters"
        )));
    }
    Ok(sub_id)
}

fn shorten(text: &str) -> String {
    text.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip() {
        for text in [
            r#"["REQ","a]",{"kinds":[1],"limit":3},{}]"#,
            r#"["COUNT","c",{}]"#,
            r#"["CLOSE","a"]"#,
            r#"["NEG-OPEN","n",{"kinds":[1]},"6100"]"#,
            r#"["NEG-MSG","n","6100"]"#,
            r#"["NEG-CLOSE","n"]"#,
        ] {
            assert_eq!(ClientMessage::parse(text).unwrap().to_json(), text);
        }
    }

    #[test]
    fn rubbish_is_answered_in_kind() {
        for text in [
            "",
            "x",
            "{}",
            "[]",
            "[1]",
            r#"["NOPE"]"#,
            r#"["REQ"]"#,
            r#"["REQ",1,{}]"#,
        ] {
            let error = ClientMessage::parse(text).unwrap_err();
            assert!(
                matches!(error, ClientMessageError::Unreadable { .. }),
                "{text}"
            );
        }
        let long = format!(r#"["REQ","{}",{{}}]"#, "x".repeat(65));
        assert!(ClientMessage::parse(&long).is_err());
        let bad = ClientMessage::parse(r#"["REQ","a",{"ids":["x"]}]"#).unwrap_err();
        assert!(matches!(bad, ClientMessageError::Query { .. }));
        let event = format!(r#"["EVENT",{{"id":"{}","kind":70000}}]"#, "0".repeat(64));
        assert!(matches!(
            ClientMessage::parse(&event).unwrap_err(),
            ClientMessageError::Event { .. }
        ));
    }
}
