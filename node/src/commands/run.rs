//! `bigbrotr run`: the node, until it is told to stop.

use std::process::ExitCode;
use std::time::Duration;

use bigbrotr_schema::store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::Options;
use crate::node::Node;
use crate::output::outln;
use crate::settings::Settings;
use crate::{logging, signals};

/// How often the log says how far the work has come.
const PROGRESS_INTERVAL: Duration = Duration::from_mins(1);

/// Runs the node.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(options)?;
    let _log = logging::start(&settings.log)?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(signals::watch(stop.clone()));
    let node = Box::pin(Node::start(&settings, stop.clone())).await?;
    // The summary is for people; the log has the same for machines.
    outln!("\n{}", node.places.summary());
    tracing::info!(
        relay = node.places.relay,
        api = node.places.api,
        metrics = node.places.metrics,
        npub = node.places.npub,
        "the node is running",
    );
    let work = async {
        if options.once {
            node.until_done().await
        } else {
            stop.cancelled().await;
            Ok(())
        }
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        () = tell_progress(&node.store) => Ok(()),
    };
    Box::pin(node.finish()).await?;
    outcome?;
    tracing::info!("the node has stopped");
    Ok(ExitCode::SUCCESS)
}

/// Says in the log, now and then, how far the work has come.
async fn tell_progress(store: &Store) {
    loop {
        tokio::time::sleep(PROGRESS_INTERVAL).await;
        if let (Ok(relays), Ok(events)) = (store.count_progress().await, store.count_events().await)
        {
            tracing::info!(
                relays.known = relays.known,
                relays.checked = relays.checked,
                relays.online = relays.online,
                relays.caught_up = relays.covered,
                events.archived = events,
                "progress",
            );
        }
    }
}
