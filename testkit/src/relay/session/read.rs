//! Answers to REQ and COUNT, right and wrong.

use std::time::Duration;

use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{RelayMessage, ReplyPrefix};
use tokio::time::Instant;

use super::super::faults::{Fault, Order, ReadFault};
use super::super::lock;
use super::outbox::{Step, event_message, text_frame};
use super::spoil::SOME_TIME;
use super::{Session, auth_required, bump};
use crate::population::{Generator, PopulationConfig, SimEvent};

/// What comes after the stored events.
#[derive(Clone, Copy)]
enum End<'a> {
    Eose,
    Nothing,
    Closed(&'a str),
    CutMidMessage,
    CloseFrame(u16),
}

impl Session {
    pub(super) fn answer_count(&mut self, sub_id: &str, filters: &[Filter]) {
        bump(|counters| &counters.count_count, &self.shared);
        if !self.shared.config.count {
            return self.closed(sub_id, ReplyPrefix::Unsupported.message("no COUNT here"));
        }
        if self.must_authenticate_to_read() {
            return self.closed(sub_id, auth_required());
        }
        let count = lock(&self.shared.store).count(filters) as u64;
        let answer = format!("{{\"count\":{count}}}");
        self.say(&RelayMessage::Count {
            sub_id: sub_id.into(),
            count,
            answer: &answer,
        });
    }

    pub(super) fn answer_req(&mut self, sub_id: &str, filters: Vec<Filter>) {
        self.shared.counters.record_req(sub_id, &filters);
        // A REQ with the id of an open subscription replaces it.
        self.close(sub_id);
        if self.must_authenticate_to_read() {
            return self.closed(sub_id, auth_required());
        }
        self.reads();
        let faults = self.shared.take_faults(|fault| match fault {
            Fault::Read(fault) => Some(fault),
            _ => None,
        });
        if self.answer_otherwise(sub_id, &faults) {
            return;
        }
        let (events, after) = self.select(&faults, &filters);
        let (keep, end) = ending(&faults);
        let stays = matches!(end, End::Eose)
            || faults
                .iter()
                .any(|fault| matches!(fault, ReadFault::NoEose));
        let mut steps = self.event_steps(sub_id, &faults, &events, keep);
        self.add_end(sub_id, &faults, end, &events, keep, &mut steps);
        self.queue(sub_id, &faults, steps);
        if stays {
            self.subscribe(sub_id, filters, after);
        }
    }

    /// Answers with something else altogether, if a fault says so.
    fn answer_otherwise(&mut self, sub_id: &str, faults: &[ReadFault]) -> bool {
        let due = due(faults);
        let closed = |message: &str| {
            let message = message.to_owned();
            RelayMessage::Closed {
                sub_id: sub_id.into(),
                message,
            }
            .to_json()
        };
        for fault in faults {
            let text = match fault {
                ReadFault::Silence => return true,
                ReadFault::Notice(message) => RelayMessage::Notice {
                    message: message.clone(),
                }
                .to_json(),
                ReadFault::Closed(message) => closed(message),
                ReadFault::AuthRequired { challenge } => {
                    if *challenge {
                        self.challenge();
                    }
                    closed(&auth_required())
                }
                ReadFault::Answer(wire) => {
                    self.out.push(None, due, Step::Wire(wire.clone()));
                    return true;
                }
                _ => continue,
            };
            self.out.push(Some(sub_id), due, Step::Text(text));
            return true;
        }
        false
    }

    /// Selects the stored events, and the number after which events are live.
    fn select(&self, faults: &[ReadFault], filters: &[Filter]) -> (Vec<SimEvent>, u64) {
        let mut filters = filters.to_vec();
        let (mut cap, mut order) = (self.shared.config.max_limit, Order::NewestFirst);
        for fault in faults {
            match fault {
                ReadFault::Cap {
                    events,
                    order: sent,
                } => {
                    cap = Some(cap.map_or(*events, |cap| cap.min(*events)));
                    order = *sent;
                }
                ReadFault::EmptyForBroad => filters.retain(|filter| !is_broad(filter)),
                ReadFault::IgnoreFilter => {
                    for filter in &mut filters {
                        *filter = Filter {
                            limit: filter.limit,
                            ..Filter::default()
                        };
                    }
                }
                ReadFault::Endless => {
                    cap = None;
                    for filter in &mut filters {
                        filter.limit = None;
                    }
                }
                _ => {}
            }
        }
        let store = lock(&self.shared.store);
        let mut events = store.query(&filters, cap, order);
        let after = store.sequence();
        drop(store);
        if faults.contains(&ReadFault::Inconsistent) {
            let turn = (self.shared.counters.req_count() % 4) as u8;
            events.retain(|event| event.id().0[31] % 4 != turn);
        }
        (events, after)
    }

    fn add_end(
        &self,
        sub_id: &str,
        faults: &[ReadFault],
        end: End<'_>,
        events: &[SimEvent],
        keep: usize,
        steps: &mut Vec<Step>,
    ) {
        let eose = RelayMessage::Eose {
            sub_id: sub_id.into(),
        }
        .to_json();
        match end {
            End::Eose if faults.contains(&ReadFault::EoseFirst) => {
                steps.insert(0, Step::Text(eose));
            }
            End::Eose => steps.push(Step::Text(eose)),
            End::Nothing => {}
            End::Closed(message) => {
                let message = message.to_owned();
                let closed = RelayMessage::Closed {
                    sub_id: sub_id.into(),
                    message,
                };
                steps.push(Step::Text(closed.to_json()));
            }
            End::CutMidMessage => {
                let text = events
                    .get(keep)
                    .map_or(eose, |event| event_message(sub_id, event.json()));
                let frame = text_frame(&text);
                steps.extend([Step::Raw(frame[..frame.len() / 2].to_vec()), Step::Cut]);
            }
            End::CloseFrame(code) => steps.push(Step::Close(code)),
        }
        if faults.contains(&ReadFault::Endless) {
            let created_at = events.first().map_or(SOME_TIME, SimEvent::created_at);
            let config = PopulationConfig::new(self.shared.config.seed ^ 0xE7D1, 1, created_at);
            let source = Box::new(Generator::new(&config));
            steps.push(Step::Endless {
                sub_id: sub_id.to_owned(),
                created_at,
                source,
                bytes: 0,
            });
        }
    }

    fn queue(&mut self, sub_id: &str, faults: &[ReadFault], steps: Vec<Step>) {
        let due = due(faults);
        let interval = faults.iter().find_map(|fault| match fault {
            ReadFault::Drip(interval) => Some(*interval),
            _ => None,
        });
        let Some(interval) = interval else {
            for step in steps {
                self.out.push(Some(sub_id), due, step);
            }
            return;
        };
        for step in steps {
            let text = match step {
                Step::Event { sub_id, event } => event_message(&sub_id, event.json()),
                Step::Text(text) | Step::RawEvent(text) => text,
                other => {
                    self.out.push(Some(sub_id), due, other);
                    continue;
                }
            };
            let bytes = text_frame(&text).into();
            self.out
                .push(Some(sub_id), due, Step::Drip { bytes, interval });
        }
    }
}

/// Returns when an answer may begin.
fn due(faults: &[ReadFault]) -> Option<Instant> {
    let latency: Duration = faults
        .iter()
        .filter_map(|fault| match fault {
            ReadFault::Latency(latency) => Some(*latency),
            _ => None,
        })
        .sum();
    (!latency.is_zero()).then(|| Instant::now() + latency)
}

/// Returns how many events are sent and what comes after them.
fn ending(faults: &[ReadFault]) -> (usize, End<'_>) {
    faults
        .iter()
        .find_map(|fault| match fault {
            ReadFault::StallAfter(events) => Some((*events, End::Nothing)),
            ReadFault::NoEose | ReadFault::Endless => Some((usize::MAX, End::Nothing)),
            ReadFault::PartialThenClosed { events, message } => {
                Some((*events, End::Closed(message)))
            }
            ReadFault::CutMidMessage { after } => Some((*after, End::CutMidMessage)),
            ReadFault::CloseFrame { after, code } => Some((*after, End::CloseFrame(*code))),
            _ => None,
        })
        .unwrap_or((usize::MAX, End::Eose))
}

fn is_broad(filter: &Filter) -> bool {
    filter.ids.is_none()
        && filter.authors.is_none()
        && filter.kinds.is_none()
        && filter.tags.is_empty()
}
