//! Answers to NEG-OPEN and NEG-MSG, right and wrong.

mod lies;

use std::sync::atomic::Ordering;

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{RelayMessage, ReplyPrefix};
use negentropy::{Error, Id, Negentropy, NegentropyStorageVector};

use super::super::config::NegentropyConfig;
use super::super::faults::{Fault, Order, ReconcileFault};
use super::super::lock;
use super::outbox::Step;
use super::{Session, auth_required, bump};
use crate::limits::MAX_SUBSCRIPTIONS;
use crate::population::SimEvent;

/// A reconciliation under way.
pub(super) struct Reconciliation {
    engine: Negentropy<'static, NegentropyStorageVector>,
    faults: Vec<ReconcileFault>,
    /// Answers given so far.
    answers: usize,
}

impl Reconciliation {
    fn has(&self, fault: &ReconcileFault) -> bool {
        self.faults.contains(fault)
    }

    /// Answers a message, truly or not.
    fn answer(&mut self, seed: u64, query: &[u8]) -> Result<Vec<u8>, Error> {
        self.answers += 1;
        let lie = self.faults.iter().find_map(|fault| match fault {
            ReconcileFault::Endless => Some(lies::endless(seed, self.answers)),
            ReconcileFault::Repeat => Some(lies::endless(seed, 0)),
            ReconcileFault::Stuck => Some(lies::stuck(seed, self.answers)),
            _ => None,
        });
        lie.map_or_else(|| self.engine.reconcile(query), Ok)
    }
}

impl Session {
    pub(super) fn neg_err(&mut self, sub_id: &str, message: String) {
        self.reconciliations.remove(sub_id);
        self.say_of_reconciliation(
            false,
            &RelayMessage::NegErr {
                sub_id: sub_id.into(),
                message,
            },
        );
    }

    fn neg_msg(&mut self, hold: bool, sub_id: &str, message: String) {
        self.say_of_reconciliation(
            hold,
            &RelayMessage::NegMsg {
                sub_id: sub_id.into(),
                message,
            },
        );
    }

    fn say_of_reconciliation(&mut self, hold: bool, message: &RelayMessage<'_>) {
        let text = message.to_json();
        let counter = &self.shared.counters.reconcile_bytes_out;
        counter.fetch_add(text.len() as u64, Ordering::Relaxed);
        if hold {
            self.held.push(text);
        } else {
            self.out.push(None, None, Step::Text(text));
        }
    }

    /// Does what a REQ does to reconciliations: says what waited for it, and perhaps forgets.
    pub(super) fn req_beside_reconciliations(&mut self) {
        for text in std::mem::take(&mut self.held) {
            self.out.push(None, None, Step::Text(text));
        }
        self.reconciliations
            .retain(|_, open| !open.has(&ReconcileFault::ForgetOnReq));
    }

    pub(super) fn open_reconciliation(&mut self, sub_id: &str, filter: &Filter, message: &str) {
        bump(|counters| &counters.reconciliations, &self.shared);
        // A NEG-OPEN with the id of an open reconciliation replaces it.
        self.reconciliations.remove(sub_id);
        let Some(config) = self.shared.config.negentropy else {
            // What a relay that does not know the command says.
            let message = "ERROR: bad msg: unknown cmd".to_owned();
            return self.say(&RelayMessage::Notice { message });
        };
        if self.must_authenticate_to_read() {
            return self.neg_err(sub_id, auth_required());
        }
        self.reads();
        let faults = self.shared.take_faults(|fault| match fault {
            Fault::Reconcile(fault) => Some(fault),
            _ => None,
        });
        if self.answer_otherwise_than_reconcile(sub_id, &faults) {
            return;
        }
        let midway = faults.contains(&ReconcileFault::CloseMidway);
        match self.begin(config, filter, faults) {
            Ok(open) => {
                self.reconciliations.insert(sub_id.to_owned(), open);
                self.reconcile(sub_id, message);
            }
            Err(refusal) => return self.neg_err(sub_id, refusal),
        }
        if midway {
            self.neg_err(sub_id, "closed: took too long".to_owned());
        }
    }

    /// Answers NEG-OPEN with something else altogether, if a fault says so.
    fn answer_otherwise_than_reconcile(&mut self, sub_id: &str, faults: &[ReconcileFault]) -> bool {
        for fault in faults {
            match fault.clone() {
                ReconcileFault::NoticeFirst(message) => {
                    self.say(&RelayMessage::Notice { message });
                    continue;
                }
                ReconcileFault::Refuse(message) => self.neg_err(sub_id, message),
                ReconcileFault::Closed(message) => self.closed(sub_id, message),
                ReconcileFault::Notice(message) => self.say(&RelayMessage::Notice { message }),
                ReconcileFault::Silence => {}
                ReconcileFault::Rubbish => self.neg_msg(false, sub_id, "zz".to_owned()),
                ReconcileFault::Message(message) => self.neg_msg(false, sub_id, message),
                ReconcileFault::Oversized(characters) => {
                    let message = "61".chars().chain(std::iter::repeat('0'));
                    self.neg_msg(false, sub_id, message.take(characters).collect());
                }
                _ => continue,
            }
            return true;
        }
        false
    }

    /// Selects what is reconciled. Fails with the message of the refusal.
    fn begin(
        &self,
        config: NegentropyConfig,
        filter: &Filter,
        faults: Vec<ReconcileFault>,
    ) -> Result<Reconciliation, String> {
        let events =
            lock(&self.shared.store).query(std::slice::from_ref(filter), None, Order::NewestFirst);
        let (mut most, mut frame_limit) = (config.max_records, config.frame_limit_bytes);
        let mut phantoms = Vec::new();
        for fault in &faults {
            match fault {
                ReconcileFault::TooMany { above } => most = Some(*above),
                ReconcileFault::Frames(bytes) => frame_limit = *bytes,
                ReconcileFault::Phantom(ids) => phantoms.extend(ids),
                _ => {}
            }
        }
        if most.is_some_and(|most| events.len() > most) {
            return Err(ReplyPrefix::Blocked.message("too many query results"));
        }
        if self.reconciliations.len() >= MAX_SUBSCRIPTIONS {
            return Err(ReplyPrefix::Blocked.message("too many"));
        }
        // Phantoms lie in the window that the client asked for.
        let time = filter.since.unwrap_or(0);
        let engine = engine(&events, &phantoms, time, frame_limit)
            .map_err(|error| ReplyPrefix::Error.message(error))?;
        Ok(Reconciliation {
            engine,
            faults,
            answers: 0,
        })
    }

    pub(super) fn reconcile(&mut self, sub_id: &str, message: &str) {
        bump(|counters| &counters.reconcile_rounds, &self.shared);
        let Some(open) = self.reconciliations.get_mut(sub_id) else {
            return self.neg_err(sub_id, "closed: unknown subscription handle".to_owned());
        };
        for fault in &open.faults {
            match fault {
                ReconcileFault::CutAfter(answers) if open.answers >= *answers => {
                    return self.out.push(None, None, Step::Cut);
                }
                ReconcileFault::StallAfter(answers) if open.answers >= *answers => return,
                _ => {}
            }
        }
        let Ok(query) = hex::decode(message) else {
            return self.neg_err(sub_id, ReplyPrefix::Invalid.message("not hex"));
        };
        let hold = open.has(&ReconcileFault::AfterReq);
        let foreign = open.has(&ReconcileFault::WrongSubscription);
        match open.answer(self.shared.config.seed, &query) {
            Ok(answer) => {
                let sub_id = if foreign { "somebody-elses" } else { sub_id };
                self.neg_msg(hold, sub_id, hex::encode(answer));
            }
            Err(error) => self.neg_err(sub_id, ReplyPrefix::Error.message(error)),
        }
    }
}

fn engine(
    events: &[SimEvent],
    phantoms: &[EventId],
    phantom_time: i64,
    frame_limit: u64,
) -> Result<Negentropy<'static, NegentropyStorageVector>, Error> {
    let mut storage = NegentropyStorageVector::with_capacity(events.len() + phantoms.len());
    for event in events {
        storage.insert(
            event.created_at().unsigned_abs(),
            Id::from_byte_array(event.id().0),
        )?;
    }
    for id in phantoms {
        storage.insert(phantom_time.unsigned_abs(), Id::from_byte_array(id.0))?;
    }
    storage.seal()?;
    Negentropy::owned(storage, frame_limit)
}
