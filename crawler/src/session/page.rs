//! One page of events: a REQ, what comes for it, and how it ended.
//!
//! *Only EOSE makes a page complete.* Everything else (a time-out, CLOSED, a lost connection)
//! leaves events that are good and a page that says nothing about what is missing.

mod reader;

use std::time::Duration;

use bigbrotr_core::event::{Event, EventId};
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::ClientMessage;
use tokio::time::Instant;

use super::Session;
use super::auth::AuthFailure;
use super::error::SessionError;
use crate::limits;

pub use self::reader::Refused;
use self::reader::{Reader, Step};

/// Bounds of one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageLimits {
    /// The most events taken.
    pub max_events: usize,
    /// The most text received, bytes.
    pub max_bytes: u64,
    /// The largest event, bytes of JSON; larger ones are refused.
    pub max_event_bytes: usize,
    /// The most refused messages.
    pub max_refused: u64,
    /// Events dated from then on (Unix seconds) may have reached the relay after it was asked.
    pub new_from: Option<i64>,
    /// The longest time for the page.
    pub timeout: Duration,
    /// The longest time without an event taken or the end.
    pub idle_timeout: Duration,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self {
            max_events: limits::MAX_PAGE_EVENTS,
            max_bytes: limits::MAX_PAGE_BYTES,
            max_event_bytes: limits::MAX_EVENT_BYTES,
            max_refused: limits::MAX_PAGE_REFUSED,
            new_from: None,
            timeout: limits::PAGE_TIMEOUT,
            idle_timeout: limits::PAGE_IDLE_TIMEOUT,
        }
    }
}

/// What a REQ brought.
#[derive(Debug)]
pub struct Page {
    /// The events in the order of arrival: of the right form, matching the filter, each once.
    /// Ids and signatures are **not** verified.
    pub events: Vec<Event>,
    /// How the page ended.
    pub end: PageEnd,
    /// What was dropped, by reason.
    pub refused: Refused,
    /// Id and `created_at` of the matching events that were too large, as they claim.
    pub too_large: Vec<(EventId, i64)>,
    /// Events that came late, for earlier subscriptions of the session, and that the relay had
    /// when it was asked.
    pub late: u64,
    /// Text received, bytes.
    pub bytes: u64,
    /// The first notices for humans, shortened: for the log.
    pub notices: Vec<String>,
    /// From the REQ to the end.
    pub took: Duration,
}

/// How a page ended.
#[derive(Debug)]
pub enum PageEnd {
    /// The relay sent all it wanted to send.
    Eose,
    /// The relay ended or refused the subscription; its words. Never an empty answer.
    Closed(String),
    /// The relay wants authentication, and that did not help.
    AuthRequired(AuthFailure),
    /// No progress, or too little in the whole time.
    TimedOut,
    /// The session ended.
    Disconnected(SessionError),
    /// A bound was reached.
    LimitExceeded(PageLimit),
}

impl PageEnd {
    /// Names the end from a closed set.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Eose => "eose",
            Self::Closed(_) => "closed",
            Self::AuthRequired(_) => "auth_required",
            Self::TimedOut => "timed_out",
            Self::Disconnected(_) => "disconnected",
            Self::LimitExceeded(_) => "limit_exceeded",
        }
    }
}

/// The bounds of a page that a relay can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageLimit {
    /// [`PageLimits::max_events`].
    Events,
    /// [`PageLimits::max_bytes`], or the session's.
    Bytes,
    /// [`PageLimits::max_refused`].
    Refused,
    /// The largest WebSocket message; the session is over then.
    Message,
}

impl Page {
    /// Says whether the relay told that there is no more of what it wants to send.
    pub fn is_complete(&self) -> bool {
        matches!(self.end, PageEnd::Eose)
    }
}

impl Session {
    /// Asks for one page of events. Authenticates and asks once more when the relay demands that
    /// and the session has keys. The subscription is closed afterwards.
    ///
    /// # Security
    /// Everything that the relay controls is bounded by `limits`. Of an event, form, size and
    /// match are checked; the caller must verify id and signature.
    pub async fn fetch_page(&mut self, filter: &Filter, limits: &PageLimits) -> Page {
        let started = Instant::now();
        let mut reader = Reader::new(filter, limits);
        let deadline = started + limits.timeout;
        let mut end = self.ask(&mut reader, deadline).await;
        if let PageEnd::AuthRequired(AuthFailure::NotEnough { .. }) = end {
            end = match self.authenticate(deadline).await {
                Ok(()) => self.ask(&mut reader, deadline).await,
                Err(AuthFailure::Session(error)) => PageEnd::Disconnected(error),
                Err(failure) => PageEnd::AuthRequired(failure),
            };
        }
        reader.page(end, started.elapsed())
    }

    /// Sends the REQ, reads until the end, and closes the subscription.
    async fn ask(&mut self, reader: &mut Reader<'_>, deadline: Instant) -> PageEnd {
        let sub_id = self.fresh_sub_id();
        let filters = vec![reader.filter.clone()];
        if let Err(error) = self
            .send(&ClientMessage::Req {
                sub_id: sub_id.clone(),
                filters,
            })
            .await
        {
            return PageEnd::Disconnected(error);
        }
        let end = self.read(reader, &sub_id, deadline).await;
        let is_open = !matches!(end, PageEnd::Closed(_) | PageEnd::AuthRequired(_));
        if is_open
            && self.is_alive()
            && let Err(error) = self.send(&ClientMessage::Close { sub_id }).await
        {
            // The page is what it is; whoever asks next learns that the session is over.
            tracing::debug!(relay.url = %self.url, %error, "relay left after the page");
        }
        end
    }

    async fn read(&mut self, reader: &mut Reader<'_>, sub_id: &str, deadline: Instant) -> PageEnd {
        let mut progress = Instant::now();
        loop {
            let until = deadline.min(progress + reader.limits.idle_timeout);
            if Instant::now() >= until {
                return PageEnd::TimedOut;
            }
            let frame = match self.next(until).await {
                Ok(Some(frame)) => frame,
                Ok(None) => return PageEnd::TimedOut,
                Err(SessionError::TooLarge { .. }) => {
                    return PageEnd::LimitExceeded(PageLimit::Message);
                }
                Err(SessionError::ByteCap { .. }) => {
                    return PageEnd::LimitExceeded(PageLimit::Bytes);
                }
                Err(error) => return PageEnd::Disconnected(error),
            };
            match reader.take(&frame, sub_id, |id| self.was_ours(id)) {
                Step::Progress => progress = Instant::now(),
                Step::Nothing => {}
                Step::End(end) => return end,
            }
        }
    }
}
