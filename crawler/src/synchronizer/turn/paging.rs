//! Catching up page by page: the shell around [`Scan`].
//!
//! While a page is being archived the next one is asked for already. What the scan concludes from
//! a page is recorded once the page is durable, and no earlier.

use bigbrotr_core::filter::Filter;
use bigbrotr_schema::store::{Coverage, GapCause, SyncMethod};
use tokio::time::Instant;

use super::{DIRECT_MESSAGE, Sorted, Turn, TurnEnd, TurnError, USUAL_KINDS};
use crate::limits;
use crate::session::{Page, PageEnd, PageLimit, Session};
use crate::synchronizer::scan::{Answer, Question, Scan, Span};

/// A page that is not durable yet, and what is claimed once it is.
struct Pending {
    sorted: Sorted,
    /// None when the page proves nothing.
    claim: Option<Claim>,
}

struct Claim {
    coverage: Coverage,
    /// Seconds with more events than the relay gives.
    crowded: Vec<i64>,
    /// `created_at` of events that were too large.
    too_large: Vec<i64>,
    /// Whether the stretch is scanned to its end.
    is_done: bool,
    /// And whether that was everything there is.
    is_whole: bool,
}

impl Turn<'_> {
    /// Scans a stretch of a slice. Returns how the turn ended, if it did.
    pub(super) async fn page_through(
        &mut self,
        session: &mut Session,
        n: usize,
        span: Span,
    ) -> Result<Option<TurnEnd>, TurnError> {
        self.state.method = Some(SyncMethod::Paging);
        let coverage = self.slices.active[n].coverage;
        let mut scan = Scan::new(coverage, span, self.wanted.page_limit);
        let mut pending = None;
        loop {
            let question = scan.question().filter(|_| Instant::now() < self.deadline);
            let Some(question) = question else { break };
            let filter = self.question_filter(n, &question);
            let limits = self.limits.clone();
            let stop = self.shared.context.stop.clone();
            let fetch = stop.run_until_cancelled(session.fetch_page(&filter, &limits));
            let (page, settled) = tokio::join!(Box::pin(fetch), self.settle(n, pending.take()));
            settled?;
            let Some(page) = page else {
                return Ok(Some(TurnEnd::Stopped));
            };
            pending = Some(self.take(&mut scan, page, n, span).await?);
        }
        self.settle(n, pending).await?;
        self.learn_cap(&scan);
        Ok(scan.question().map(|_| TurnEnd::Yielded))
    }

    fn question_filter(&self, n: usize, question: &Question) -> Filter {
        let mut filter = self.filter(n, question.since, question.until);
        if question.names_kinds && filter.kinds.is_none() {
            let kinds = &self.slices.active[n].selection.kinds;
            let is_shown = |kind: &u16| *kind != DIRECT_MESSAGE && kinds.contains(*kind);
            let usual = USUAL_KINDS.into_iter().filter(is_shown);
            filter.kinds = Some(usual.collect());
        }
        filter.limit = Some(question.limit);
        filter
    }

    /// Lets the scan conclude from a page, if it was complete; if not, archives it and fails.
    async fn take(
        &mut self,
        scan: &mut Scan,
        mut page: Page,
        n: usize,
        span: Span,
    ) -> Result<Pending, TurnError> {
        let answer = answer(&page);
        let sorted = self.sort(&mut page);
        let is_too_large = match &page.end {
            PageEnd::LimitExceeded(PageLimit::Bytes) => true,
            PageEnd::TimedOut => !answer.times.is_empty() && page.took >= self.limits.timeout,
            _ => false,
        };
        let concluded = match TurnError::of_page(page.end) {
            Some(_) if is_too_large && scan.shrink() => Ok(None),
            Some(error) => Err(error),
            None => scan.accept(&answer).map(Some).map_err(TurnError::from),
        };
        let (claim, failure) = match concluded {
            Ok(Some(crowded)) => {
                let mut too_large: Vec<i64> = page.too_large.iter().map(|(_, at)| *at).collect();
                too_large.sort_unstable();
                too_large.dedup();
                let is_done = scan.question().is_none();
                let claim = Claim {
                    coverage: *scan.coverage(),
                    crowded,
                    too_large,
                    is_done,
                    is_whole: is_done && span.floor <= self.wanted.since,
                };
                (Some(claim), None)
            }
            Ok(None) => (None, None),
            Err(error) => (None, Some(error)),
        };
        let pending = Pending { sorted, claim };
        match failure {
            None => Ok(pending),
            Some(error) => {
                self.settle(n, Some(pending)).await?;
                Err(error)
            }
        }
    }

    /// Waits until a page is durable, then records what it proves.
    async fn settle(&mut self, n: usize, pending: Option<Pending>) -> Result<(), TurnError> {
        let Some(Pending { mut sorted, claim }) = pending else {
            return Ok(());
        };
        let events = std::mem::take(&mut sorted.wanted);
        let stretch = stretch(events.iter().map(|event| event.created_at));
        let ingested = self.archive(events).await?.ingested;
        let bad = sorted.refused.values().sum::<u64>() + ingested.refused;
        let outcome = match claim {
            Some(claim) => self.claim(n, claim, stretch, ingested.refused).await,
            None => Ok(()),
        };
        self.record(sorted.progress(ingested)).await?;
        outcome?;
        self.bear(ingested.new + ingested.known, bad).await
    }

    async fn claim(
        &mut self,
        n: usize,
        claim: Claim,
        stretch: Option<(i64, i64)>,
        refused: u64,
    ) -> Result<(), TurnError> {
        if refused > 0
            && let Some((since, until)) = stretch
        {
            let (store, relay) = (&self.shared.store, self.task.relay.id);
            // On record already: then they are no news, and no reason to fail again.
            let is_known = self
                .shared
                .durably(|| store.has_gap(relay, GapCause::Invalid, since, until))
                .await?;
            if !is_known {
                if self.task.failures < limits::MAX_INVALID_TURNS {
                    return Err(TurnError::Invalid { count: refused });
                }
                self.note_gap(since, until, GapCause::Invalid).await?;
            }
        }
        for at in claim.crowded {
            self.note_gap(at, at, GapCause::Crowded).await?;
        }
        for at in claim.too_large {
            self.note_gap(at, at, GapCause::TooLarge).await?;
        }
        let slice = &mut self.slices.active[n];
        slice.coverage = claim.coverage;
        if claim.is_whole || (claim.is_done && slice.full_at.is_none()) {
            slice.full_at = Some(self.shared.clock.now());
        }
        Ok(())
    }

    /// Remembers how many events the relay gives at once, where it gave fewer than were asked for
    /// and had more.
    fn learn_cap(&mut self, scan: &Scan) {
        let largest = scan.largest();
        let is_cut = self.summary.pages > 2 && largest < self.wanted.page_limit;
        let is_more = self
            .state
            .page_cap
            .is_some_and(|cap| largest > cap as usize);
        if largest >= limits::SMALLEST_CAP && (is_cut || is_more) {
            self.state.page_cap = u32::try_from(largest).ok();
        }
    }
}

fn answer(page: &Page) -> Answer {
    let refused = &page.refused;
    let nameless = refused.too_large - page.too_large.len() as u64;
    // What is too large is not taken, but the relay gave it: the scan goes past it.
    let too_large = page.too_large.iter().map(|(_, at)| *at);
    let times = page.events.iter().map(|event| event.created_at);
    Answer {
        times: times.chain(too_large).collect(),
        bad: (refused.unreadable + nameless + refused.malformed) as usize,
        foreign: (refused.wrong_subscription + refused.no_match) as usize,
        late: page.late as usize,
    }
}

/// The first and last of these times.
fn stretch(times: impl Iterator<Item = i64> + Clone) -> Option<(i64, i64)> {
    Some((times.clone().min()?, times.max()?))
}
