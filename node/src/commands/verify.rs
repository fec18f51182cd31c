//! `bigbrotr verify`: every statistic against the base tables.

use std::process::ExitCode;
use std::sync::Arc;

use bigbrotr_core::clock::SystemClock;

use crate::cli::Options;
use crate::database::Database;
use crate::output::outln;

/// How many differences are printed.
const SHOWN: i64 = 1_000;

/// Recomputes every statistic; names each difference and exits with 1 when there is one.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let settings = super::quiet(options)?;
    let database = Database::open_for_command(&settings, Arc::new(SystemClock)).await?;
    let outcome = async {
        // Beside a running node this changes nothing; without one it brings them up to date.
        database.store.rollup_to_end().await?;
        database.store.verify_statistics(SHOWN).await
    };
    let differences = outcome.await;
    database.close().await?;
    let differences = differences?;
    for difference in &differences {
        outln!("{difference}");
    }
    if differences.is_empty() {
        outln!("every statistic equals its recomputation from the base tables");
        Ok(ExitCode::SUCCESS)
    } else {
        let more = if differences.len() as i64 == SHOWN {
            " or more"
        } else {
            ""
        };
        outln!("{}{more} differences", differences.len());
        Ok(ExitCode::FAILURE)
    }
}
