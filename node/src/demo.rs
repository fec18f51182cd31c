//! `bigbrotr demo`: the whole node against simulated relays on loopback. Needs no internet and
//! leaves nothing behind.

mod farm;
mod report;

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_dvm::ask::JobRequest;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::farm::Farm;
use self::report::Report;
use crate::asking::{Answered, Asker};
use crate::cli::Options;
use crate::node::Node;
use crate::output::outln;
use crate::settings::{Level, Settings};
use crate::{logging, signals};

/// How often a simulated relay gets a new event once the summary is printed.
const LIVE_INTERVAL: Duration = Duration::from_secs(2);

/// A question that was answered over Nostr.
struct Asked {
    /// The question as it was asked, for people.
    question: String,
    /// The content of the result.
    answer: String,
}

/// Asks a question as a separate client would.
async fn ask(relay: &str) -> anyhow::Result<Asked> {
    let asker = Asker::connect(&[relay.to_owned()], Duration::from_secs(20)).await?;
    let job = JobRequest::new("events.stats").param("window", "all");
    let answered = asker.ask(&job, None, asker.relays(), |_| {}).await;
    asker.close().await;
    match answered? {
        Answered::Result { content, .. } => Ok(Asked {
            question: "events.stats window=all".to_owned(),
            answer: content,
        }),
        Answered::Error { message, .. } => anyhow::bail!("the provider answered: {message}"),
    }
}

/// Runs the demonstration. Exits with 1 when the node did not find what the relays hold.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let farm = Farm::start(SystemClock.now()).await?;
    let scratch = tempfile::Builder::new()
        .prefix("bigbrotr-demo-")
        .tempdir()?;
    let settings = settings(options, &farm, &scratch)?;
    let _log = logging::start(&settings.log)?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(signals::watch(stop.clone()));

    outln!(
        "Starting {} simulated relays and a whole node against them.\n",
        farm.len()
    );
    let node = Box::pin(Node::start(&settings, stop.clone())).await?;
    let outcome = Box::pin(observe(&node, &farm, &stop)).await;
    if let Ok(report) = &outcome {
        outln!("{report}");
    }
    if !options.once && outcome.is_ok() {
        outln!("The node goes on, and so do the relays. Ctrl-C ends it.");
        farm.live(LIVE_INTERVAL, &stop).await;
    }
    Box::pin(node.finish()).await?;
    farm.stop().await;
    Ok(if outcome?.is_right() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The settings of a demonstration: the given ones, but for what loopback and haste ask for.
fn settings(
    options: &Options,
    farm: &Farm,
    scratch: &tempfile::TempDir,
) -> anyhow::Result<Settings> {
    let seeds = scratch.path().join("seed_relays.txt");
    std::fs::write(&seeds, farm.seed_list()).context("cannot write the list of relays")?;
    let mut options = options.clone();
    options.seed_relays.get_or_insert(seeds.clone());
    options.priority_relays.get_or_insert_with(Default::default);
    options
        .data_dir
        .get_or_insert_with(|| scratch.path().join("data"));
    options.allow_private_networks = true;
    let mut settings = Settings::load(&options)?;
    // Many relays behind one address, which the default limits are there to prevent.
    settings.networks.clearnet.max_connections_per_ip = NonZeroU32::MAX;
    settings.networks.clearnet.max_dials_per_second_per_ip = None;
    settings.synchronizer.interval = Duration::from_secs(5);
    // The summary is what counts here.
    settings.log.level = Level::Warn;
    for (given, listen) in [
        (options.relay_listen, &mut settings.relay.listen),
        (options.api_listen, &mut settings.api.listen),
        (options.metrics_listen, &mut settings.metrics.listen),
    ] {
        if given.is_none() && !is_free(*listen) {
            listen.set_port(0);
        }
    }
    Ok(settings)
}

fn is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}

/// Watches the node until it has done everything once, then asks it a question.
async fn observe(node: &Node, farm: &Farm, stop: &CancellationToken) -> anyhow::Result<Report> {
    let bar = ProgressBar::new(farm.union_len() as u64);
    bar.set_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len} events  {msg}",
    )?);
    let begun = tokio::time::Instant::now();
    let watch = async {
        loop {
            if let Ok(progress) = node.store.count_progress().await {
                bar.set_message(format!(
                    "{}/{} relays measured",
                    progress.checked,
                    farm.len()
                ));
            }
            if let Ok(count) = node.store.count_events().await {
                bar.set_position(count);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        done = node.until_done() => done?,
        () = watch => {}
    }
    bar.finish_and_clear();
    anyhow::ensure!(!stop.is_cancelled(), "stopped before the work was done");
    let took = begun.elapsed();
    let relay = node
        .places
        .relay
        .as_deref()
        .context("the embedded relay does not run here")?;
    let asked = ask(relay).await?;
    Report::make(node, farm, took, &asked).await
}
