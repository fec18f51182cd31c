//! From a message to its handler, or to the refusal that its sender understands.

use bigbrotr_core::message::{ClientMessage, ClientMessageError, RelayMessage, ReplyPrefix};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Session;
use super::io::Incoming;
use crate::limits::ECHO_CHARS;
use crate::outbox::Gone;
use crate::policy::Refusal;

impl Session {
    /// Handles messages until there are no more. A client that is gone is no reason to drop what
    /// it published before it went.
    pub(super) async fn handle_all(&mut self, mut messages: mpsc::Receiver<Incoming>) {
        loop {
            let incoming = tokio::select! {
                incoming = messages.recv() => incoming,
                () = self.reconciliations.idle() => {
                    self.forget_idle_reconciliations();
                    continue;
                }
            };
            let Some(incoming) = incoming else { return };
            if self.handle(incoming).await.is_err() {
                tracing::trace!("an answer found its client gone");
            }
        }
    }

    async fn handle(&mut self, incoming: Incoming) -> Result<(), Gone> {
        let parsed = match &incoming {
            Incoming::Text(text) => ClientMessage::parse(text),
            Incoming::Binary => Err(ClientMessageError::Unreadable {
                message: "binary messages are not understood".into(),
            }),
        };
        self.count_message(&parsed);
        drop(incoming);
        let taken = self.rate.take();
        if let Err(pause) = taken.and_then(|()| self.shared.rates.addresses.take(self.site)) {
            let slow_down = (ReplyPrefix::RateLimited, "slow down".to_owned());
            match parsed {
                Ok(message) => self.refuse(message, slow_down).await?,
                Err(error) => self.refuse_unusable(error, Some(slow_down)).await?,
            }
            // A client that goes on all the same is read more slowly.
            sleep(pause).await;
            return Ok(());
        }
        match parsed {
            Ok(message) => Box::pin(self.handle_message(message)).await,
            Err(error) => self.refuse_unusable(error, None).await,
        }
    }

    async fn handle_message(&mut self, message: ClientMessage) -> Result<(), Gone> {
        match message {
            ClientMessage::Event(event) => self.on_event(event).await,
            ClientMessage::Req { sub_id, filters } => self.on_req(sub_id, filters).await,
            ClientMessage::Close { sub_id } => {
                self.end_subscription(&sub_id);
                Ok(())
            }
            ClientMessage::Auth(event) => self.on_auth(*event).await,
            ClientMessage::Count { sub_id, filters } => self.on_count(&sub_id, &filters).await,
            ClientMessage::NegOpen {
                sub_id,
                filter,
                message,
            } => self.on_neg_open(sub_id, *filter, message).await,
            ClientMessage::NegMsg { sub_id, message } => self.on_neg_msg(&sub_id, message).await,
            ClientMessage::NegClose { sub_id } => {
                self.reconciliations.close(&sub_id);
                Ok(())
            }
        }
    }

    /// Refuses a message in the way that its sender understands.
    async fn refuse(&mut self, message: ClientMessage, refusal: Refusal) -> Result<(), Gone> {
        match message {
            ClientMessage::Event(event) | ClientMessage::Auth(event) => {
                self.reply_refused(event.id, refusal).await
            }
            ClientMessage::Req { sub_id, .. } => {
                self.end_subscription(&sub_id);
                self.reply_closed(&sub_id, refusal).await
            }
            ClientMessage::Count { sub_id, .. } => self.reply_closed(&sub_id, refusal).await,
            // Costs nothing, and does what the client wants: to send less.
            ClientMessage::Close { sub_id } => {
                self.end_subscription(&sub_id);
                Ok(())
            }
            ClientMessage::NegClose { sub_id } => {
                self.reconciliations.close(&sub_id);
                Ok(())
            }
            ClientMessage::NegOpen { sub_id, .. } | ClientMessage::NegMsg { sub_id, .. } => {
                self.reconciliations.close(&sub_id);
                self.reply_neg_err(&sub_id, refusal).await
            }
        }
    }

    /// Answers a message that cannot be understood; with `instead` where that is the least of it.
    async fn refuse_unusable(
        &mut self,
        error: ClientMessageError,
        instead: Option<Refusal>,
    ) -> Result<(), Gone> {
        let refusal = |text: String| instead.unwrap_or((ReplyPrefix::Invalid, shorten(&text)));
        match error {
            ClientMessageError::Event { id, source } => {
                let cause = std::error::Error::source(&source).map(ToString::to_string);
                let text = format!("{source}: {}", cause.unwrap_or_default());
                self.reply_refused(id, refusal(text)).await
            }
            ClientMessageError::Query { sub_id, message } => {
                self.end_subscription(&sub_id);
                self.reply_closed(&sub_id, refusal(message)).await
            }
            ClientMessageError::Reconciliation { sub_id, message } => {
                self.reconciliations.close(&sub_id);
                self.reply_neg_err(&sub_id, refusal(message)).await
            }
            ClientMessageError::Unreadable { message } => {
                let (prefix, text) = refusal(message);
                self.count_refusal(prefix);
                let message = prefix.message(text);
                self.reply(&RelayMessage::Notice { message }).await
            }
        }
    }

    fn count_message(&self, parsed: &Result<ClientMessage, ClientMessageError>) {
        let label = match parsed {
            Ok(ClientMessage::Event(_)) => "event",
            Ok(ClientMessage::Req { .. }) => "req",
            Ok(ClientMessage::Close { .. }) => "close",
            Ok(ClientMessage::Auth(_)) => "auth",
            Ok(ClientMessage::Count { .. }) => "count",
            Ok(ClientMessage::NegOpen { .. }) => "neg_open",
            Ok(ClientMessage::NegMsg { .. }) => "neg_msg",
            Ok(ClientMessage::NegClose { .. }) => "neg_close",
            Err(_) => "invalid",
        };
        self.shared
            .metrics
            .messages
            .with_label_values(&[label])
            .inc();
    }

    pub(super) fn count_refusal(&self, prefix: ReplyPrefix) {
        let refusals = &self.shared.metrics.refusals;
        refusals.with_label_values(&[prefix.as_str()]).inc();
    }

    pub(super) async fn reply_closed(
        &self,
        sub_id: &str,
        (prefix, text): Refusal,
    ) -> Result<(), Gone> {
        self.count_refusal(prefix);
        let closed = RelayMessage::Closed {
            sub_id: sub_id.into(),
            message: prefix.message(text),
        };
        self.reply(&closed).await
    }
}

/// Cuts what is repeated of a peer's text.
pub(super) fn shorten(text: &str) -> String {
    text.chars().take(ECHO_CHARS).collect()
}
