//! The relay's [NIP-11] document: made from the configuration that is enforced, so that what it
//! says is what happens.
//!
//! [NIP-11]: https://github.com/nostr-protocol/nips/blob/master/11.md

use bigbrotr_core::event::Pubkey;
use serde::Serialize;

use crate::config::RelayConfig;

/// What is implemented here. 66, 89 and 90 are kinds of events that the node publishes.
const SUPPORTED_NIPS: [u16; 13] = [1, 9, 11, 13, 40, 42, 45, 62, 66, 70, 77, 89, 90];

/// Search, where it is switched on.
const NIP_SEARCH: u16 = 50;

#[derive(Debug, Serialize)]
struct Document<'a> {
    name: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    banner: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    icon: &'a str,
    pubkey: Pubkey,
    #[serde(rename = "self")]
    own: Pubkey,
    #[serde(skip_serializing_if = "str::is_empty")]
    contact: &'a str,
    supported_nips: &'a [u16],
    software: &'a str,
    version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    terms_of_service: &'a str,
    limitation: Limitation,
}

#[derive(Debug, Serialize)]
struct Limitation {
    max_message_length: u64,
    max_subscriptions: usize,
    max_filters: usize,
    max_limit: usize,
    default_limit: usize,
    max_subid_length: usize,
    max_event_tags: usize,
    max_content_length: usize,
    min_pow_difficulty: u8,
    auth_required: bool,
    payment_required: bool,
    restricted_writes: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at_lower_limit: Option<u64>,
    created_at_upper_limit: u64,
}

/// Writes the document for a relay with this configuration and this key of its own.
pub(crate) fn document(config: &RelayConfig, own: Pubkey) -> String {
    let (limits, policy) = (&config.limits, &config.policy);
    let mut nips = SUPPORTED_NIPS.to_vec();
    if config.archive.search {
        nips.push(NIP_SEARCH);
        nips.sort_unstable();
    }
    let document = Document {
        name: &config.name,
        description: &config.description,
        banner: &config.banner,
        icon: &config.icon,
        pubkey: config.operator.unwrap_or(own),
        own,
        contact: &config.contact,
        supported_nips: &nips,
        software: env!("CARGO_PKG_REPOSITORY"),
        version: env!("CARGO_PKG_VERSION"),
        terms_of_service: &config.terms_of_service,
        limitation: Limitation {
            max_message_length: limits.max_message_bytes.bytes(),
            max_subscriptions: limits.max_subscriptions,
            max_filters: limits.max_filters,
            max_limit: limits.max_limit,
            default_limit: limits.default_limit,
            max_subid_length: limits.max_subid_length,
            max_event_tags: limits.max_event_tags,
            max_content_length: limits.max_content_length,
            min_pow_difficulty: policy.min_pow_difficulty,
            auth_required: config.auth.is_needed_to_read() || config.auth.to_write,
            payment_required: false,
            restricted_writes: true,
            created_at_lower_limit: policy.created_at_lower_limit.map(|limit| limit.as_secs()),
            created_at_upper_limit: policy.created_at_upper_limit.as_secs(),
        },
    };
    // Strings and numbers: serialisation has no way to fail.
    serde_json::to_string(&document).unwrap_or_default()
}
