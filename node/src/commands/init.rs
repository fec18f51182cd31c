//! `bigbrotr init`: the database and the key, without running anything.

use std::process::ExitCode;
use std::sync::Arc;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::embedded::Owner;
use bigbrotr_schema::initializer::initialize;
use nostr::ToBech32;

use crate::cli::Options;
use crate::database::Database;
use crate::summary::{count, table};
use crate::{node, relays};

/// Prepares what a node needs, and says what was done.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let settings = super::quiet(options)?;
    let (seeds, priorities) = (relays::seeds(&settings)?, relays::priorities(&settings)?);
    let database = Database::open(&settings, Owner::Command, Arc::new(SystemClock)).await?;
    let outcome = initialize(&database.store, &seeds, &priorities).await;
    let origin = database.origin.clone();
    database.close().await?;
    let done = outcome?;
    let keys = node::keys(&settings)?;
    print!(
        "{}",
        table(
            "The node is ready to run",
            &[
                ("database", origin),
                ("schema", format!("version {}", done.schema_version)),
                (
                    "relays",
                    format!(
                        "{} given, {} new",
                        seeds.len() + priorities.len(),
                        count(done.new_relays)
                    )
                ),
                ("public key", keys.public_key().to_bech32()?),
            ],
        )
    );
    Ok(ExitCode::SUCCESS)
}
