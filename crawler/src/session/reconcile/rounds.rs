//! The rounds of a reconciliation: opening, one piece after the other, the end.

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::ClientMessage;
use tokio::time::Instant;

use super::engine::Engine;
use super::post::Post;
use super::refusal::ReconcileRefusal;
use super::{Differences, ReconcileLimits, Reconciliation, State};
use crate::session::Session;
use crate::session::auth::AuthFailure;

impl Session {
    /// Opens a reconciliation of `filter` and waits for the relay's first answer. `items` is all
    /// that the relay is known to have of it: `created_at` and id, in any order. Authenticates and
    /// asks once more when the relay demands that and the session has keys.
    ///
    /// The protocol knows no time before 1970: items with a negative `created_at` are left out,
    /// so the filter should begin at 0 and what lies below has to be paged.
    ///
    /// A session has one reconciliation at a time: one that was open before is closed, and its
    /// next piece is refused.
    ///
    /// # Errors
    /// [`ReconcileRefusal`]; see its methods for what to do. A relay that cannot read NEG-OPEN may
    /// hang up in place of an answer, each time: that is [`ReconcileRefusal::Disconnected`].
    ///
    /// # Security
    /// Everything that the relay controls is bounded by `limits`.
    pub async fn open_reconciliation(
        &mut self,
        filter: &Filter,
        items: impl IntoIterator<Item = (i64, EventId)>,
        limits: ReconcileLimits,
    ) -> Result<Reconciliation, ReconcileRefusal> {
        self.leave_reconciliation().await;
        let (engine, opening) = Engine::new(items, limits.frame_bytes)?;
        let mut open = Reconciliation {
            sub_id: String::new(),
            engine,
            limits,
            state: State::Failed,
            rounds: 0,
            idle_rounds: 0,
            ids: 0,
            bytes: 0,
        };
        let deadline = Instant::now() + open.limits.round_timeout;
        let mut answer = self.begin(&mut open, filter, &opening, deadline).await;
        if let Err(ReconcileRefusal::AuthRequired(AuthFailure::NotEnough { .. })) = answer {
            answer = match self.authenticate(deadline).await {
                Ok(()) => self.begin(&mut open, filter, &opening, deadline).await,
                Err(AuthFailure::Session(error)) => Err(error.into()),
                Err(failure) => Err(ReconcileRefusal::AuthRequired(failure)),
            };
        }
        open.state = State::Answered(answer?);
        Ok(open)
    }

    /// Returns the next piece, or `None` when both sides have told everything; the reconciliation
    /// is closed then. Sends our next message first, so that the relay never is ahead by more than
    /// one answer.
    ///
    /// No id is told twice, as long as the repetition comes within the last 65,536 ids told: the
    /// protocol itself repeats some where a message was cut at its bound.
    ///
    /// # Errors
    /// [`ReconcileRefusal`]; what was told before remains true. The reconciliation cannot go on,
    /// the session can unless it is over.
    ///
    /// # Security
    /// Nothing proves that the relay has what it promises, or that it tells all that it has.
    pub async fn next_differences(
        &mut self,
        open: &mut Reconciliation,
    ) -> Result<Option<Differences>, ReconcileRefusal> {
        let told = self.differences(open).await;
        match &told {
            // Whoever has told everything need not keep it in memory while we fetch.
            Ok(_) if open.is_complete() => {
                if self.is_open(&open.sub_id) {
                    self.leave_reconciliation().await;
                }
            }
            Ok(_) => {}
            Err(refusal) => {
                open.state = State::Failed;
                if self.is_open(&open.sub_id) {
                    self.give_up(refusal).await;
                }
            }
        }
        told
    }

    /// Closes a reconciliation before its end.
    pub async fn close_reconciliation(&mut self, open: Reconciliation) {
        if self.is_open(&open.sub_id) {
            self.leave_reconciliation().await;
        }
    }

    async fn differences(
        &mut self,
        open: &mut Reconciliation,
    ) -> Result<Option<Differences>, ReconcileRefusal> {
        let deadline = Instant::now() + open.limits.round_timeout;
        // Whatever cuts this short, a refusal or the caller, leaves no half-truth behind.
        let message = match std::mem::replace(&mut open.state, State::Failed) {
            State::Over => {
                open.state = State::Over;
                return Ok(None);
            }
            State::Failed => return Err(ReconcileRefusal::ended()),
            State::Answered(message) => message,
            State::Owed(message) => {
                self.reply(open, message).await?;
                open.state = State::Waiting;
                self.await_answer(open, deadline, false).await?
            }
            State::Waiting => {
                open.state = State::Waiting;
                self.await_answer(open, deadline, false).await?
            }
        };
        let differences = open.advance(&message)?;
        let nothing_left = open.is_complete() && differences.is_empty();
        Ok((!nothing_left).then_some(differences))
    }

    /// Sends NEG-OPEN and waits for the answer.
    async fn begin(
        &mut self,
        open: &mut Reconciliation,
        filter: &Filter,
        opening: &str,
        deadline: Instant,
    ) -> Result<String, ReconcileRefusal> {
        open.sub_id = self.fresh_sub_id();
        self.reconciling = Some(Post::new(open.sub_id.clone()));
        let message = ClientMessage::NegOpen {
            sub_id: open.sub_id.clone(),
            filter: Box::new(filter.clone()),
            message: opening.to_owned(),
        };
        let answer = match self.send(&message).await {
            Ok(()) => self.await_answer(open, deadline, true).await,
            Err(error) => Err(error.into()),
        };
        if let Err(refusal) = &answer {
            self.give_up(refusal).await;
        }
        answer
    }

    /// Sends our next message, unless the relay has ended the reconciliation meanwhile.
    async fn reply(
        &mut self,
        open: &Reconciliation,
        message: String,
    ) -> Result<(), ReconcileRefusal> {
        let post = self.reconciling.as_mut();
        let Some(post) = post.filter(|post| post.sub_id() == open.sub_id) else {
            return Err(ReconcileRefusal::ended());
        };
        if let Some(refusal) = post.take_refusal() {
            return Err(refusal);
        }
        let sub_id = open.sub_id.clone();
        Ok(self
            .send(&ClientMessage::NegMsg { sub_id, message })
            .await?)
    }

    fn is_open(&self, sub_id: &str) -> bool {
        let post = self.reconciling.as_ref();
        post.is_some_and(|post| post.sub_id() == sub_id)
    }

    /// Ends a reconciliation that failed: politely where the relay may still have it.
    async fn give_up(&mut self, refusal: &ReconcileRefusal) {
        if refusal.leaves_it_open() {
            self.leave_reconciliation().await;
        } else {
            self.reconciling = None;
        }
    }

    /// Closes the reconciliation that is open, if there is one.
    async fn leave_reconciliation(&mut self) {
        let Some(post) = self.reconciling.take() else {
            return;
        };
        let sub_id = post.sub_id().to_owned();
        if self.is_alive()
            && let Err(error) = self.send(&ClientMessage::NegClose { sub_id }).await
        {
            // What was told is what it is; whoever asks next learns that the session is over.
            tracing::debug!(relay.url = %self.url, %error, "relay left after the reconciliation");
        }
    }
}
