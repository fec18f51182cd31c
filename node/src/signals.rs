//! SIGTERM and SIGINT: the first asks the node to stop, the second ends it at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at the first signal and exits the process at the second.
pub(crate) async fn watch(stop: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut stopping = false;
    loop {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        if stopping {
            tracing::warn!(signal = name, "stopping at once");
            std::process::exit(130);
        }
        stopping = true;
        tracing::info!(signal = name, "stopping; a second signal stops at once");
        stop.cancel();
    }
}
