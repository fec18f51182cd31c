//! Starting services in order, restarting those that fail, draining them in the end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::error_chain::error_chain;
use bigbrotr_core::health::HealthBoard;
use bigbrotr_core::service::{Health, Service, ServiceContext};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long the next service waits for one to get ready. A service that takes longer goes on in
/// its own time.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// After running this long a service counts as recovered, and its next failure as the first.
const RECOVERED_AFTER: Duration = Duration::from_mins(1);

const RESTART: Backoff = Backoff {
    base: Duration::from_millis(500),
    factor: 2.0,
    max: Duration::from_secs(30),
    jitter: 0.2,
};

/// Owns the running services.
pub(crate) struct Supervisor {
    board: HealthBoard,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Supervisor {
    /// Makes a supervisor whose services end when `stop` is cancelled.
    pub(crate) fn new(board: HealthBoard, stop: CancellationToken) -> Self {
        Self {
            board,
            stop,
            running: JoinSet::new(),
        }
    }

    /// Starts a service and waits until it is ready, done, or has had its time.
    pub(crate) async fn start(&mut self, service: Arc<dyn Service>) {
        let name = service.name().as_str();
        self.board.set(name, Health::Starting);
        self.running
            .spawn(supervise(service, self.board.clone(), self.stop.clone()));
        let deadline = Instant::now() + START_PATIENCE;
        while Instant::now() < deadline && !self.stop.is_cancelled() {
            match self.board.snapshot().get(name) {
                Some(Health::Ready | Health::Stopped) => return,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// Waits for all services to drain, after `stop` has been cancelled.
    ///
    /// # Errors
    /// Names the services that did not end in time; they are aborted.
    pub(crate) async fn drain(mut self, bound: Duration) -> anyhow::Result<()> {
        let drained = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(bound, drained).await.is_ok() {
            return Ok(());
        }
        let late: Vec<_> = self
            .board
            .snapshot()
            .into_iter()
            .filter(|(_, health)| *health != Health::Stopped)
            .map(|(name, _)| name)
            .collect();
        self.running.shutdown().await;
        bail!(
            "services did not finish within {} s: {}",
            bound.as_secs(),
            late.join(", ")
        )
    }
}

/// Runs one service until it is done or has to stop, starting it again when it fails.
async fn supervise(service: Arc<dyn Service>, board: HealthBoard, stop: CancellationToken) {
    let name = service.name().as_str();
    let mut failures = 0;
    loop {
        let (context, mut health) = ServiceContext::new(stop.child_token());
        let tasks = context.tasks.clone();
        let attempt_stop = context.stop.clone();
        let begun = Instant::now();
        // In a task of its own, so that a panic is a failure like any other.
        let mut run = JoinSet::new();
        run.spawn(Arc::clone(&service).run(context));
        let outcome = loop {
            tokio::select! {
                ended = run.join_next() => break ended,
                changed = health.changed() => if changed.is_ok() {
                    let now = health.borrow_and_update().clone();
                    note(name, &board, &now);
                } else {
                    break run.join_next().await;
                },
            }
        };
        // Whatever the service left behind ends before it is started again.
        attempt_stop.cancel();
        tasks.close();
        tasks.wait().await;
        let error = match outcome {
            Some(Ok(Ok(()))) | None => {
                board.set(name, Health::Stopped);
                return;
            }
            Some(Ok(Err(error))) => error_chain(&*error),
            Some(Err(error)) => format!("the service panicked: {error}"),
        };
        if stop.is_cancelled() {
            tracing::warn!(service = name, error, "the service failed while stopping");
            board.set(name, Health::Stopped);
            return;
        }
        failures = if begun.elapsed() > RECOVERED_AFTER {
            1
        } else {
            failures + 1
        };
        let delay = RESTART.delay(failures - 1, &mut rand::rng());
        tracing::error!(
            service = name,
            error,
            restart_ms = delay.as_millis() as u64,
            "the service failed: starting it again",
        );
        board.set(name, Health::Failed(error));
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(delay) => {}
        }
        if stop.is_cancelled() {
            board.set(name, Health::Stopped);
            return;
        }
    }
}

/// Writes a state on the board and tells the operator of changes that matter.
fn note(service: &'static str, board: &HealthBoard, health: &Health) {
    let before = board.set(service, health.clone());
    match (&before, health) {
        (_, Health::Degraded(reason)) if before.as_ref() != Some(health) => {
            tracing::warn!(service, reason, "the service is degraded");
        }
        (Some(Health::Degraded(_)), Health::Ready) => {
            tracing::info!(service, "the service has recovered");
        }
        (Some(Health::Starting | Health::Failed(_)), Health::Ready) => {
            tracing::debug!(service, "the service is ready");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use bigbrotr_core::service::{ServiceFuture, ServiceName};

    use super::*;

    /// Fails, panics, then runs; drains when asked, or refuses to.
    struct Flaky {
        runs: AtomicU32,
        stubborn: bool,
    }

    impl Service for Flaky {
        fn name(&self) -> ServiceName {
            ServiceName::Monitor
        }

        fn run(self: Arc<Self>, context: ServiceContext) -> ServiceFuture {
            Box::pin(async move {
                match self.runs.fetch_add(1, Ordering::SeqCst) {
                    0 => return Err("first".into()),
                    1 => panic!("second"),
                    _ => {}
                }
                context.ready();
                if self.stubborn {
                    std::future::pending::<()>().await;
                }
                context.stop.cancelled().await;
                Ok(())
            })
        }
    }

    fn flaky(stubborn: bool) -> Arc<Flaky> {
        Arc::new(Flaky {
            runs: AtomicU32::new(0),
            stubborn,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_service_is_started_again_and_drains() {
        let (board, stop) = (HealthBoard::default(), CancellationToken::new());
        let mut supervisor = Supervisor::new(board.clone(), stop.clone());
        let service = flaky(false);
        supervisor.start(service.clone()).await;
        assert_eq!(service.runs.load(Ordering::SeqCst), 3);
        assert!(board.is_ready());
        stop.cancel();
        supervisor.drain(Duration::from_secs(5)).await.unwrap();
        assert_eq!(board.snapshot()["monitor"], Health::Stopped);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_does_not_drain_is_named() {
        let (board, stop) = (HealthBoard::default(), CancellationToken::new());
        let mut supervisor = Supervisor::new(board, stop.clone());
        supervisor.start(flaky(true)).await;
        stop.cancel();
        let error = supervisor.drain(Duration::from_secs(5)).await.unwrap_err();
        assert!(error.to_string().contains("monitor"), "{error}");
    }
}
