//! Which of the newest events are there: what a REQ has to know of those that may yet come live.
//!
//! Every REQ asks it, and the answer is the same for all that ask at the same time. So whoever
//! comes while the database is asked shares the next question: it begins after he has come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Turn, oneshot};

use crate::limits::RECENT_EVENTS;
use crate::shared::{QueryError, Shared};

/// The numbers of the newest events of the relay's own, in order.
type Numbers = Arc<Vec<i64>>;

/// What came of the question, for all who asked it.
type Looked = Result<Numbers, Arc<QueryError>>;

/// Those who ask.
#[derive(Debug, Default)]
pub(crate) struct There {
    waiting: Mutex<Vec<oneshot::Sender<Looked>>>,
    /// Held by the one who asks for all.
    turn: Turn<()>,
}

impl There {
    /// Returns the numbers of events that are there now and may not have been fanned out.
    pub(super) async fn look(&self, shared: &Shared) -> Looked {
        loop {
            let (answer, mut answered) = oneshot::channel();
            self.waiting().push(answer);
            tokio::select! {
                biased;
                answer = &mut answered => {
                    // Else whoever asked for all was cancelled at it.
                    if let Ok(looked) = answer {
                        return looked;
                    }
                }
                _turn = self.turn.lock() => {
                    let all = std::mem::take(&mut *self.waiting());
                    let looked = self.ask(shared).await.map_err(Arc::new);
                    for waiting in all {
                        // One may have gone meanwhile; our own is among them.
                        drop(waiting.send(looked.clone()));
                    }
                    return looked;
                }
            }
        }
    }

    async fn ask(&self, shared: &Shared) -> Result<Numbers, QueryError> {
        let within = shared.config.limits.query_timeout;
        let floor = shared.hub.fanned_out_up_to();
        let seqs = shared
            .store
            .relay_event_seqs_after(floor, RECENT_EVENTS, within);
        let mut seqs = shared.ask(within, seqs).await?;
        seqs.sort_unstable();
        Ok(Arc::new(seqs))
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<oneshot::Sender<Looked>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
