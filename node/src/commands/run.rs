//! `bigbrotr run`: the node, until it is told to stop.

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::Options;
use crate::node::Node;
use crate::settings::Settings;
use crate::{logging, signals};

/// Runs the node.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(options)?;
    let _log = logging::start(&settings.log)?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(signals::watch(stop.clone()));
    let node = Box::pin(Node::start(&settings, stop.clone())).await?;
    // The summary is for people; the log has the same for machines.
    println!("\n{}", node.places.summary());
    tracing::info!(
        relay = node.places.relay,
        api = node.places.api,
        metrics = node.places.metrics,
        npub = node.places.npub,
        "the node is running",
    );
    let outcome = if options.once {
        node.until_done().await
    } else {
        stop.cancelled().await;
        Ok(())
    };
    Box::pin(node.finish()).await?;
    outcome?;
    tracing::info!("the node has stopped");
    Ok(ExitCode::SUCCESS)
}
