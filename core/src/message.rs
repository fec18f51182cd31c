//! The messages of [NIP-01], [NIP-42], [NIP-45] and [NIP-77], both directions.
//!
//! Owns parsing and writing of single messages. Connections, subscriptions and their state live
//! in the crates that speak: crawler, relay and testkit.
//!
//! [NIP-01]: https://github.com/nostr-protocol/nips/blob/master/01.md
//! [NIP-42]: https://github.com/nostr-protocol/nips/blob/master/42.md
//! [NIP-45]: https://github.com/nostr-protocol/nips/blob/master/45.md
//! [NIP-77]: https://github.com/nostr-protocol/nips/blob/master/77.md

mod client;
mod relay;

pub use self::client::{ClientMessage, ClientMessageError};
pub use self::relay::{RelayMessage, RelayMessageError, ReplyPrefix};
