//! Authentication to a relay ([NIP-42]).
//!
//! Only done when a relay refuses without it: who we are is nobody's business before.
//!
//! [NIP-42]: https://github.com/nostr-protocol/nips/blob/master/42.md

use bigbrotr_core::event::Event;
use bigbrotr_core::message::{ClientMessage, RelayMessage};
use nostr::{EventBuilder, Keys, Kind, Tag, TagKind};
use tokio::time::Instant;

use super::Session;
use super::error::{SessionError, shorten};

/// Why a relay that asks for authentication did not get it, or was not content with it.
#[derive(Debug, thiserror::Error)]
pub enum AuthFailure {
    /// We have no keys to authenticate with.
    #[error("no keys to authenticate with")]
    NoKeys,
    /// The relay asked for authentication and sent no challenge.
    #[error("relay sent no challenge")]
    NoChallenge,
    /// The relay refused the authentication.
    #[error("relay refused the authentication: {message:?}")]
    Refused {
        /// The relay's words, shortened.
        message: String,
    },
    /// The relay did not answer.
    #[error("relay did not answer the authentication")]
    Silent,
    /// The relay accepted the authentication and asks for it again.
    #[error("relay is not content with the authentication: {message:?}")]
    NotEnough {
        /// The relay's words, shortened.
        message: String,
    },
    /// The event could not be signed.
    #[error("cannot sign the authentication")]
    Signing(#[source] nostr::event::builder::Error),
    /// The session ended meanwhile.
    #[error("session ended during the authentication")]
    Session(#[from] SessionError),
}

impl AuthFailure {
    /// Names the reason from a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoKeys => "auth_no_keys",
            Self::NoChallenge => "auth_no_challenge",
            Self::Refused { .. } => "auth_refused",
            Self::Silent => "auth_silent",
            Self::NotEnough { .. } => "auth_not_enough",
            Self::Signing(_) => "auth_signing",
            Self::Session(error) => error.reason(),
        }
    }
}

impl Session {
    /// Signs the relay's challenge and waits for its OK. Messages that come between are dropped.
    ///
    /// # Errors
    /// [`AuthFailure`]; the session goes on, except after [`AuthFailure::Session`].
    pub async fn authenticate(&mut self, deadline: Instant) -> Result<(), AuthFailure> {
        let keys = self.config.keys.clone().ok_or(AuthFailure::NoKeys)?;
        self.authenticate_as(&keys, deadline).await
    }

    /// As [`Session::authenticate`], with keys that the session does not use by itself: what is
    /// asked before this is asked as a stranger.
    pub async fn authenticate_as(
        &mut self,
        keys: &Keys,
        deadline: Instant,
    ) -> Result<(), AuthFailure> {
        let challenge = self.await_challenge(deadline).await?;
        let event = EventBuilder::new(Kind::Authentication, "")
            .tag(Tag::custom(TagKind::Relay, [self.url.as_str()]))
            .tag(Tag::custom(TagKind::Challenge, [challenge]))
            .sign_with_keys(keys)
            .map_err(AuthFailure::Signing)?;
        let event = Event::from(&event);
        let our_id = event.id;
        self.send(&ClientMessage::Auth(Box::new(event))).await?;
        let deadline = deadline.min(Instant::now() + self.config.auth_timeout);
        while Instant::now() < deadline {
            let Some(frame) = self.next(deadline).await? else {
                break;
            };
            match frame.message() {
                Ok(RelayMessage::Ok {
                    event_id,
                    accepted,
                    message,
                }) if event_id == our_id => {
                    let refused = || AuthFailure::Refused {
                        message: shorten(&message),
                    };
                    return if accepted { Ok(()) } else { Err(refused()) };
                }
                _ => {}
            }
        }
        Err(AuthFailure::Silent)
    }

    /// Returns the challenge, waiting for it a little: it often follows the refusal.
    async fn await_challenge(&mut self, deadline: Instant) -> Result<String, AuthFailure> {
        let deadline = deadline.min(Instant::now() + self.config.auth_timeout);
        while self.challenge.is_none() && Instant::now() < deadline {
            if self.next(deadline).await?.is_none() {
                break;
            }
        }
        self.challenge.clone().ok_or(AuthFailure::NoChallenge)
    }
}
