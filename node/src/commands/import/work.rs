//! What is done with one chunk: parsed off the async threads, then made durable.

use std::sync::Arc;

use bigbrotr_core::event::Event;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::ingest::{Ingest, Ingested};
use bigbrotr_schema::store::RelayId;
use tokio::sync::Semaphore;

use super::chunks::{Chunk, Place};
use super::line;
use crate::limits::IMPORT_LINE_BYTES;

/// A line that brought no event into the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// The line's number, from 1.
    pub(super) line: u64,
    /// Why.
    pub(super) reason: String,
    /// Whether it holds an event, which was refused.
    pub(super) refused: bool,
}

/// What became of a chunk. Its events are durable.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) start: Place,
    pub(super) end: Place,
    /// Whether its only line may go on: see [`Chunk::open`].
    pub(super) open: bool,
    /// What became of its events.
    pub(super) ingested: Ingested,
    /// Its problems, in the order of their lines.
    pub(super) problems: Vec<Problem>,
}

/// What all chunks are worked on with.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) ingest: Ingest,
    pub(super) relay: Option<RelayId>,
    /// Whether nothing behind a bad line may be submitted.
    pub(super) strict: bool,
    /// One permit a core: more threads would only take memory.
    pub(super) cores: Arc<Semaphore>,
}

impl Worker {
    /// Makes a chunk's events durable.
    ///
    /// # Errors
    /// Those of [`Ingest::submit`].
    pub(super) async fn work(self, chunk: Chunk) -> Result<Report, StoreError> {
        let (start, end, open) = (chunk.start, chunk.end, chunk.open);
        let parsed = {
            // Nobody closes the semaphore; without a permit it would merely be slower.
            let _permit = self.cores.acquire().await.ok();
            let strict = self.strict;
            tokio::task::spawn_blocking(move || Parsed::from_chunk(&chunk, strict)).await
        };
        let mut parsed = match parsed {
            Ok(parsed) => parsed,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => return Err(StoreError::Stopped),
            },
        };
        let report = self
            .ingest
            .submit_reporting(parsed.events, self.relay)
            .await?;
        let refused = report.refused.iter().map(|refused| Problem {
            line: parsed.lines[refused.position],
            reason: format!("refused: {}", refused.refusal),
            refused: true,
        });
        parsed.problems.extend(refused);
        parsed.problems.sort_by_key(|problem| problem.line);
        Ok(Report {
            start,
            end,
            open,
            ingested: report.ingested,
            problems: parsed.problems,
        })
    }
}

/// A chunk's events, with the lines that they are on.
#[derive(Debug, Default)]
struct Parsed {
    events: Vec<Event>,
    lines: Vec<u64>,
    problems: Vec<Problem>,
}

impl Parsed {
    fn from_chunk(chunk: &Chunk, strict: bool) -> Self {
        let mut parsed = Self::default();
        for (number, line) in chunk.lines() {
            let outcome = match line {
                Some(line) => line::parse(number, line),
                None => Err(format!("longer than {IMPORT_LINE_BYTES} bytes")),
            };
            match outcome {
                Ok(Some(event)) => {
                    parsed.events.push(event);
                    parsed.lines.push(number);
                }
                Ok(None) => {}
                Err(reason) => {
                    parsed.problems.push(Problem {
                        line: number,
                        reason,
                        refused: false,
                    });
                    if strict {
                        break;
                    }
                }
            }
        }
        parsed
    }
}
