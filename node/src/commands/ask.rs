//! `bigbrotr ask`: a NIP-90 client.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bigbrotr_dvm::ask::{Cipher, JobRequest, Output};
use nostr::PublicKey;
use serde_json::Value;

use crate::asking::{Answered, Asker, Choice};
use crate::cli::{AskArgs, AskFormat, Encryption, Options};
use crate::limits::MAX_PAGES;
use crate::output::{for_reader, out, outln};

/// Asks and prints the answer; what happens in between goes to standard error.
pub(crate) async fn run(_: &Options, args: &AskArgs) -> anyhow::Result<ExitCode> {
    let timeout = Duration::from_secs(args.timeout);
    let asker = Asker::connect(&args.relay, timeout).await?;
    let outcome = answer(&asker, args).await;
    asker.close().await;
    outcome
}

async fn answer(asker: &Asker, args: &AskArgs) -> anyhow::Result<ExitCode> {
    let seal = args.encrypt.map(|encryption| match encryption {
        Encryption::Nip04 => Cipher::Nip04,
        Encryption::Nip44 => Cipher::Nip44,
    });
    let mut job = JobRequest::new(&args.name).output(match args.format {
        AskFormat::Json => Output::Json,
        AskFormat::Csv => Output::Csv,
        AskFormat::Table => Output::Plain,
    });
    for (name, value) in &args.params {
        if job.params.contains_key(name) {
            bail!("{name} is given more than once");
        }
        job = job.param(name, value);
    }
    let choice = whom(asker, args, &job, seal.is_some()).await?;
    job.provider = choice.provider;
    eprintln!(
        "asking {} through {}",
        choice.name,
        choice.relays.join(", ")
    );
    for page in 0..MAX_PAGES {
        let answered = asker
            .ask(&job, seal, &choice.relays, |status| eprintln!("{status}"))
            .await?;
        let (content, next) = match answered {
            Answered::Result { content, next } => (content, next),
            Answered::Error { code, message } => {
                eprintln!("{}: {message}", code.as_deref().unwrap_or("error"));
                return Ok(ExitCode::FAILURE);
            }
        };
        let next = next.or_else(|| {
            let answer: Value = serde_json::from_str(&content).ok()?;
            answer["meta"]["next"].as_str().map(ToOwned::to_owned)
        });
        print(&content, args.format, page == 0);
        match next {
            Some(cursor) if args.all => job = job.param("cursor", cursor),
            Some(cursor) => {
                eprintln!("there is more: --all, or cursor={cursor}");
                return Ok(ExitCode::SUCCESS);
            }
            None => return Ok(ExitCode::SUCCESS),
        }
    }
    bail!("more than {MAX_PAGES} pages: ask for less, or page by cursor=");
}

/// Finds whom to ask: as the user says, or as announced.
async fn whom(
    asker: &Asker,
    args: &AskArgs,
    job: &JobRequest,
    sealed: bool,
) -> anyhow::Result<Choice> {
    if let Some(key) = &args.provider {
        let provider = PublicKey::parse(key).with_context(|| format!("--provider {key}"))?;
        return Ok(Choice {
            provider: Some(provider),
            name: key.clone(),
            relays: asker.relays().to_vec(),
        });
    }
    let choice = asker.choose(job, sealed).await;
    if sealed && choice.provider.is_none() {
        bail!(
            "nobody on {} announces that they answer {} encrypted. Hint: say who with --provider",
            asker.relays().join(", "),
            job.query
        );
    }
    Ok(choice)
}

fn print(content: &str, format: AskFormat, first: bool) {
    match format {
        AskFormat::Json => outln!("{}", for_reader(content)),
        // Each page begins with the names of its columns.
        AskFormat::Csv | AskFormat::Table => {
            let skip = if first {
                0
            } else {
                content.find('\n').map_or(0, |end| end + 1)
            };
            out!("{}", &content[skip..]);
        }
    }
}
