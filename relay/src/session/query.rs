//! What REQ, COUNT and NEG-OPEN have in common: whether a client may ask, and may ask this.

use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::ReplyPrefix;

use super::Session;
use crate::policy::Refusal;

impl Session {
    /// Refuses a question for who asks or for its size.
    pub(super) fn admit_query(&self, sub_id: &str, filters: &[Filter]) -> Result<(), Refusal> {
        let config = &self.shared.config;
        let limits = &config.limits;
        let refuse = |prefix: ReplyPrefix, text: String| Err((prefix, text));
        let known = self.auth.pubkeys();
        if config.auth.is_needed_to_read() && known.is_empty() {
            return refuse(ReplyPrefix::AuthRequired, "authenticate to read".into());
        }
        let readers = &config.auth.readers;
        if !readers.is_empty() && !known.iter().any(|key| readers.contains(key)) {
            return refuse(ReplyPrefix::Restricted, "only some may read here".into());
        }
        if sub_id.chars().count() > limits.max_subid_length {
            let text = format!(
                "the id is longer than {} characters",
                limits.max_subid_length
            );
            return refuse(ReplyPrefix::Invalid, text);
        }
        if filters.len() > limits.max_filters {
            let text = format!("more than {} filters", limits.max_filters);
            return refuse(ReplyPrefix::Invalid, text);
        }
        if filters
            .iter()
            .any(|filter| filter.value_count() > limits.max_filter_values)
        {
            let text = format!("more than {} values in a filter", limits.max_filter_values);
            return refuse(ReplyPrefix::Invalid, text);
        }
        if !config.archive.search && filters.iter().any(|filter| filter.search.is_some()) {
            return refuse(
                ReplyPrefix::Unsupported,
                "there is no search (NIP-50) here".into(),
            );
        }
        Ok(())
    }
}
