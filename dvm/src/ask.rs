//! Asking by NIP-90: the customer's side, without the connection.
//!
//! [`JobRequest`] writes a request, [`Reply`] reads what comes back. Whoever asks signs, sends and
//! subscribes by [`reply_filter`]; the node's `ask` command and the demo do, with nostr-sdk.
//!
//! ```
//! use bigbrotr_dvm::ask::{JobRequest, reply_filter};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = nostr::Keys::generate();
//! let request = JobRequest::new("kinds.list")
//!     .param("window", "24h")
//!     .to_event_builder()?
//!     .sign_with_keys(&keys)?;
//! let filter = reply_filter(request.id);
//! # let _ = filter;
//! # Ok(()) }
//! ```

mod provider;
mod reply;
mod request;
mod sealed;

use nostr::{EventId, Filter};

pub use self::provider::{ANNOUNCEMENT_KIND, Provider, announcement_filter, choose};
pub use self::reply::Reply;
pub use self::request::{JobRequest, Output};
pub use self::sealed::{Cipher, SealError, open};

/// The kind of our requests, unless configured: results are of this kind plus 1000 ([NIP-90]).
///
/// [NIP-90]: https://github.com/nostr-protocol/nips/blob/master/90.md
pub const REQUEST_KIND: u16 = 5450;

/// The kind of requests for event counts, by the registry of kinds.
pub const COUNT_KIND: u16 = 5400;

/// How much a result's kind is above its request's.
pub const RESULT_OFFSET: u16 = 1000;

/// The kind of feedback.
pub const FEEDBACK_KIND: u16 = 7000;

/// The filter for everything that answers a request.
pub fn reply_filter(request: EventId) -> Filter {
    // No kinds: the reference is selective enough, and servers differ in theirs.
    Filter::new().event(request)
}
