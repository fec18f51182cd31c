//! The wait for an answer: silence, slowness and notices told apart.

use bigbrotr_core::message::RelayMessage;
use tokio::time::Instant;

use super::refusal::{ReconcileLimit, ReconcileRefusal};
use super::{ReconcileLimits, Reconciliation};
use crate::limits;
use crate::session::error::{SessionError, shorten};
use crate::session::fence::Fence;
use crate::session::{Frame, Session};

/// What came that is no answer, or perhaps is one.
struct Wait {
    started: Instant,
    deadline: Instant,
    /// Whether NEG-OPEN is to be answered. A relay that has answered once is not silent but slow.
    opening: bool,
    fence: Option<Fence>,
    /// A notice that reads as a refusal. It may be about something else all the same: an answer
    /// that comes in time wins.
    refusal: Option<ReconcileRefusal>,
    /// The first notice about anything.
    notice: Option<String>,
}

impl Wait {
    fn take(&mut self, frame: &Frame) {
        let Ok(message) = frame.message() else { return };
        if let Some(fence) = &mut self.fence
            && fence.take(&message)
        {
            return;
        }
        if let RelayMessage::Notice { message } = message {
            if self.refusal.is_none() {
                self.refusal = ReconcileRefusal::by_notice(&message);
            }
            self.notice.get_or_insert_with(|| shorten(&message));
        }
    }

    /// Returns when the fence is to be sent: at once when there is reason to doubt.
    fn fence_at(&self) -> Option<Instant> {
        if self.fence.is_some() {
            None
        } else if self.refusal.is_some() || self.opening && self.notice.is_some() {
            Some(self.started)
        } else {
            self.opening
                .then(|| self.started + limits::RECONCILE_FENCE_DELAY)
        }
    }

    /// Returns when the wait is over.
    fn end(&self, bounds: &ReconcileLimits) -> Instant {
        let grace = if self.refusal.is_some() {
            limits::CAPABILITY_GRACE
        } else if self.opening {
            bounds.silence
        } else {
            return self.deadline;
        };
        let patience = self.fence.as_ref().and_then(|fence| fence.patience(grace));
        patience.map_or(self.deadline, |patience| patience.min(self.deadline))
    }

    /// Judges a wait that nothing has ended.
    fn verdict(self) -> ReconcileRefusal {
        let answered = |fence: Fence| fence.patience(limits::CAPABILITY_GRACE).is_some();
        if let Some(refusal) = self.refusal {
            refusal
        } else if !self.opening || !self.fence.is_some_and(answered) {
            ReconcileRefusal::TimedOut
        } else {
            self.notice
                .map_or(ReconcileRefusal::Silent, ReconcileRefusal::Notice)
        }
    }

    /// Judges the end of the session: who says why and hangs up has answered.
    fn broken(self, error: SessionError) -> ReconcileRefusal {
        match error {
            SessionError::TooLarge { .. } => ReconcileLimit::Message.into(),
            error => self.refusal.unwrap_or_else(|| error.into()),
        }
    }
}

impl Session {
    /// Waits for the relay's next message, hex.
    pub(super) async fn await_answer(
        &mut self,
        open: &mut Reconciliation,
        deadline: Instant,
        opening: bool,
    ) -> Result<String, ReconcileRefusal> {
        let mut wait = Wait {
            started: Instant::now(),
            deadline,
            opening,
            fence: None,
            refusal: None,
            notice: None,
        };
        let answer = self.read_answer(open, &mut wait).await;
        let farewell = wait.fence.as_ref().map(Fence::farewell);
        let answer = match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(wait.verdict()),
            Err(error) => Err(wait.broken(error)),
        };
        if let Some(farewell) = farewell
            && self.is_alive()
            && let Err(error) = self.send(&farewell).await
        {
            // The answer counts whether or not the relay still takes the CLOSE.
            tracing::debug!(relay.url = %self.url, %error, "relay left after its answer");
        }
        answer
    }

    /// Reads until there is an answer, or `None` when the wait is over.
    async fn read_answer(
        &mut self,
        open: &mut Reconciliation,
        wait: &mut Wait,
    ) -> Result<Option<Result<String, ReconcileRefusal>>, SessionError> {
        loop {
            let post = self.reconciling.as_mut();
            let Some(post) = post.filter(|post| post.sub_id() == open.sub_id) else {
                return Ok(Some(Err(ReconcileRefusal::ended())));
            };
            if let Some(answer) = post.take() {
                let bound = open.limits.max_message_bytes;
                return Ok(Some(match answer {
                    Ok(message) if message.len() > bound => Err(ReconcileLimit::Message.into()),
                    answer => answer,
                }));
            }
            if open.bytes > open.limits.max_bytes {
                return Ok(Some(Err(ReconcileLimit::Bytes.into())));
            }
            let (end, fence_at) = (wait.end(&open.limits), wait.fence_at());
            let now = Instant::now();
            if now >= end {
                return Ok(None);
            }
            if fence_at.is_some_and(|at| now >= at) {
                let fence = Fence::new(self.fresh_sub_id());
                self.send(&fence.request()).await?;
                wait.fence = Some(fence);
                continue;
            }
            let wake = fence_at.map_or(end, |at| at.min(end));
            if let Some(frame) = self.next(wake).await? {
                open.bytes += frame.text().len() as u64;
                wait.take(&frame);
            }
        }
    }
}
