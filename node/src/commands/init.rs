//! `bigbrotr init`: the database and the key, without running anything.

use std::process::ExitCode;
use std::sync::Arc;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::embedded::Owner;
use bigbrotr_schema::initializer::{Initialized, initialize};
use nostr::ToBech32;

use crate::cli::Options;
use crate::database::Database;
use crate::output::out;
use crate::summary::{count, table};
use crate::{node, relays};

/// Prepares what a node needs, and says what was done.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let settings = super::quiet(options)?;
    let (seeds, priorities) = (relays::seeds(&settings)?, relays::priorities(&settings)?);
    let overlays = settings.implementation.overlays()?;
    let database = Database::open(&settings, Owner::Command, Arc::new(SystemClock)).await?;
    let outcome = initialize(&database.store, &overlays, &seeds, &priorities).await;
    let origin = database.origin.clone();
    database.close().await?;
    let done = outcome?;
    let keys = node::keys(&settings)?;
    out!(
        "{}",
        table(
            "The node is ready to run",
            &[
                ("database", origin),
                ("schema", format!("version {}", done.schema_version)),
                ("overlays", overlays_text(&done)),
                ("public role", public_text(&done)),
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

fn overlays_text(done: &Initialized) -> String {
    if done.overlays.is_empty() {
        return "none".to_owned();
    }
    let files: Vec<String> = done
        .overlays
        .iter()
        .map(|overlay| {
            let is_new = done.new_overlays.contains(overlay);
            format!("{}{}", overlay.file, if is_new { " (new)" } else { "" })
        })
        .collect();
    files.join(", ")
}

fn public_text(done: &Initialized) -> String {
    if done.public_excess.is_empty() {
        return "reads views, and nothing else".to_owned();
    }
    format!(
        "has more than it needs: {}; running this command once with the URL of a superuser takes \
         it away",
        done.public_excess.join(", ")
    )
}
