//! `bigbrotr query`: the catalogue, asked here.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::catalog::{CATALOG, Catalog};

use crate::cli::{Options, QueryArgs};
use crate::database::Database;
use crate::output::{for_reader, out, outln};
use crate::settings::Settings;
use crate::summary::table;

/// A question of a batch.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    query: String,
    #[serde(default)]
    params: BTreeMap<String, String>,
}

/// Answers questions with the same bytes as the DVM and REST; errors go to standard output too,
/// with exit code 1.
pub(crate) async fn run(options: &Options, args: QueryArgs) -> anyhow::Result<ExitCode> {
    let settings = super::quiet(options)?;
    let database = Database::open_for_command(&settings, Arc::new(SystemClock)).await?;
    let outcome = answer_all(&database, &settings, args).await;
    database.close().await?;
    Ok(if outcome? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Says whether all questions had answers.
async fn answer_all(
    database: &Database,
    settings: &Settings,
    args: QueryArgs,
) -> anyhow::Result<bool> {
    // Nobody folds new events while no node runs.
    database.store.rollup_to_end().await?;
    let additions = settings.implementation.catalog()?;
    let catalog = Catalog::load(database.store.clone(), &additions).await?;
    if !args.batch {
        let Some(name) = args.name else {
            return list(&catalog).await;
        };
        let params = args.params.into_iter().collect();
        return answer(&catalog, &name, &params).await;
    }
    let mut all = true;
    for (n, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.context("cannot read standard input")?;
        let question: Question = serde_json::from_str(&line).with_context(|| {
            format!(
                "line {}: expected {{\"query\": …, \"params\": {{…}}}}",
                n + 1
            )
        })?;
        all &= answer(&catalog, &question.query, &question.params).await?;
    }
    Ok(all)
}

/// Lists all questions: for people, or as the question `catalog` does.
async fn list(catalog: &Catalog) -> anyhow::Result<bool> {
    if !std::io::stdout().is_terminal() {
        return answer(catalog, CATALOG, &BTreeMap::new()).await;
    }
    let questions: Vec<(&str, String)> = catalog
        .entries()
        .map(|entry| (entry.name.as_str(), entry.help.clone()))
        .collect();
    out!("{}", table("Questions", &questions));
    outln!(
        "\nbigbrotr query NAME PARAMETER=VALUE… asks one; bigbrotr query {CATALOG} has their \
         parameters."
    );
    Ok(true)
}

/// Prints the answer, or the error; says which it was.
async fn answer(
    catalog: &Catalog,
    name: &str,
    params: &BTreeMap<String, String>,
) -> anyhow::Result<bool> {
    let answered = catalog.run(name, params).await;
    let is_answer = answered.is_ok();
    let json = answered.map_or_else(|error| error.to_json(), |answer| answer.json);
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", for_reader(&json)).context("cannot write the answer")?;
    Ok(is_answer)
}
