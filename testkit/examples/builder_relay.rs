//! A relay of nostr-relay-builder, somebody else's library, on 127.0.0.1: `interop/sync` archives
//! it. It keeps everything in memory and reconciles (NIP-77).
//!
//! `cargo run -p bigbrotr-testkit --example builder_relay -- PORT`

use nostr_relay_builder::builder::{RateLimit, RelayBuilder};
use nostr_relay_builder::local::LocalRelay;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).ok_or("which port?")?.parse()?;
    let limit = RateLimit {
        // By default it takes one event a second.
        notes_per_minute: 10_000_000,
        ..RateLimit::default()
    };
    // As many relays do: applied silently.
    let builder = RelayBuilder::default()
        .port(port)
        .rate_limit(limit)
        .max_filter_limit(500);
    let relay = LocalRelay::new(builder);
    relay.run().await?;
    println!("{}", relay.url().await);
    std::future::pending().await
}
