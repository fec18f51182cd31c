//! COUNT: how many stored events match ([NIP-45]). Answered by COUNT, or by CLOSED.
//!
//! [NIP-45]: https://github.com/nostr-protocol/nips/blob/master/45.md

use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{RelayMessage, ReplyPrefix};
use bigbrotr_schema::store::{ServedCount, ServedFrom, hll_offset};

use super::Session;
use super::budget::Budget;
use crate::outbox::Gone;
use crate::shared::QueryError;

impl Session {
    pub(super) async fn on_count(&self, sub_id: &str, filters: &[Filter]) -> Result<(), Gone> {
        if let Err(refusal) = self.admit_query(sub_id, filters) {
            return self.reply_closed(sub_id, refusal).await;
        }
        let Ok(_place) = self.shared.counts.enter(self.site, true) else {
            let text = "too many counts at once, wait for their answers".to_owned();
            return self
                .reply_closed(sub_id, (ReplyPrefix::RateLimited, text))
                .await;
        };
        match self.count(filters).await {
            Ok(counted) => {
                let answer = answer(&counted);
                let count = RelayMessage::Count {
                    sub_id: sub_id.into(),
                    count: counted.count,
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

    async fn count(&self, filters: &[Filter]) -> Result<ServedCount, QueryError> {
        let shared = &self.shared;
        let max_count = shared.config.limits.max_count;
        let mut budget = Budget::new(shared, usize::MAX);
        let counted = shared.store.count_served(
            shared.served().contains(&ServedFrom::Archive),
            filters,
            hll_offset(filters),
            max_count,
            budget.time(),
        );
        let counted = budget.ask(shared, counted).await?;
        if !counted.exact {
            return Err(QueryError::TooMuch(max_count as usize));
        }
        Ok(counted)
    }
}

fn answer(counted: &ServedCount) -> String {
    match &counted.hll {
        Some(registers) => format!(
            r#"{{"count":{},"hll":"{}"}}"#,
            counted.count,
            hex::encode(registers.as_slice())
        ),
        None => format!(r#"{{"count":{}}}"#, counted.count),
    }
}
