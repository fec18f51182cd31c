//! `bigbrotr query`: the catalogue, asked here.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::catalog::{Catalog, CatalogError};

use crate::cli::{Options, QueryArgs};
use crate::database::Database;
use crate::settings::Settings;

/// Answers a question with the same bytes as the DVM and REST; errors go to standard output too,
/// with exit code 1.
pub(crate) async fn run(options: &Options, args: QueryArgs) -> anyhow::Result<ExitCode> {
    let settings = super::quiet(options)?;
    let database = Database::open_for_command(&settings, Arc::new(SystemClock)).await?;
    let outcome = answer(&database, &settings, args).await;
    database.close().await?;
    match outcome? {
        Ok(json) => {
            println!("{json}");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            println!("{}", error.to_json());
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn answer(
    database: &Database,
    settings: &Settings,
    args: QueryArgs,
) -> anyhow::Result<Result<String, CatalogError>> {
    // Nobody folds new events while no node runs.
    database.store.rollup_to_end().await?;
    let additions = settings.implementation.catalog()?;
    let catalog = Catalog::load(database.store.clone(), &additions).await?;
    let params: BTreeMap<String, String> = args.params.into_iter().collect();
    Ok(catalog
        .run(&args.name, &params)
        .await
        .map(|answer| answer.json))
}
