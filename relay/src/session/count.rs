//! COUNT: how many stored events match ([NIP-45]). Answered by COUNT, or by CLOSED.
//!
//! [NIP-45]: https://github.com/nostr-protocol/nips/blob/master/45.md

use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{RelayMessage, ReplyPrefix};

use super::Session;
use crate::outbox::Gone;

impl Session {
    pub(super) async fn on_count(&self, sub_id: &str, filters: &[Filter]) -> Result<(), Gone> {
        if let Err(refusal) = self.admit_query(sub_id, filters) {
            return self.reply_closed(sub_id, refusal).await;
        }
        let counted = self.shared.store.count_relay_events(filters);
        match self.shared.ask(counted).await {
            Ok(count) => {
                let answer = format!(r#"{{"count":{count}}}"#);
                let count = RelayMessage::Count {
                    sub_id: sub_id.into(),
                    count,
                    answer: &answer,
                };
                self.reply(&count).await
            }
            Err(error) => {
                tracing::warn!(sub.id = sub_id, error = ?error, "COUNT not answered");
                let refusal = (ReplyPrefix::Error, error.reply().to_owned());
                self.reply_closed(sub_id, refusal).await
            }
        }
    }
}
