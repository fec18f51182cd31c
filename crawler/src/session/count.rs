//! How many events a relay has ([NIP-45]).
//!
//! [NIP-45]: https://github.com/nostr-protocol/nips/blob/master/45.md

use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{ClientMessage, RelayMessage};
use serde::Deserialize;
use tokio::time::Instant;

use super::{Session, SessionError};

impl Session {
    /// Asks how many events match; `None` where the relay gives no exact number until the
    /// deadline.
    ///
    /// # Errors
    /// Those that end the session.
    pub async fn count(
        &mut self,
        filter: &Filter,
        deadline: Instant,
    ) -> Result<Option<u64>, SessionError> {
        let ours = self.fresh_sub_id();
        self.send(&ClientMessage::Count {
            sub_id: ours.clone(),
            filters: vec![filter.clone()],
        })
        .await?;
        while let Some(frame) = self.next(deadline).await? {
            match frame.message() {
                Ok(RelayMessage::Count {
                    sub_id,
                    count,
                    answer,
                }) if sub_id == ours => return Ok((!is_approximate(answer)).then_some(count)),
                Ok(RelayMessage::Closed { sub_id, .. }) if sub_id == ours => return Ok(None),
                // It is about what was asked last.
                Ok(RelayMessage::Notice { .. }) => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }
}

fn is_approximate(answer: &str) -> bool {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        approximate: bool,
    }
    serde_json::from_str(answer).is_ok_and(|answer: Answer| answer.approximate)
}
