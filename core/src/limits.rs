//! Every bound of this crate, with its unit and the reason for it.

/// The largest `created_at`: Unix seconds. 2^53-1 is the largest integer that every JSON reader
/// keeps exactly, so a larger one has no agreed id.
pub const MAX_CREATED_AT: i64 = (1 << 53) - 1;

/// The longest subscription id: characters (NIP-01).
pub const MAX_SUBSCRIPTION_ID_CHARS: usize = 64;

/// The most that is read of a file that holds one value of the configuration: bytes. Passwords and
/// URLs are short; a path to something else must not fill the memory.
pub const MAX_VALUE_FILE_BYTES: u64 = 64 * 1024;
