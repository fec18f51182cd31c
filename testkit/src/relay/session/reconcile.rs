//! Answers to NEG-OPEN and NEG-MSG, right and wrong.

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{RelayMessage, ReplyPrefix};
use negentropy::{Error, Id, Negentropy, NegentropyStorageVector};

use super::super::faults::{Fault, Order, ReconcileFault};
use super::super::lock;
use super::{Session, auth_required, bump};
use crate::limits::MAX_SUBSCRIPTIONS;
use crate::population::SimEvent;

type Reconciliation = Negentropy<'static, NegentropyStorageVector>;

impl Session {
    pub(super) fn neg_err(&mut self, sub_id: &str, message: String) {
        self.reconciliations.remove(sub_id);
        self.say(&RelayMessage::NegErr {
            sub_id: sub_id.into(),
            message,
        });
    }

    pub(super) fn open_reconciliation(&mut self, sub_id: &str, filter: &Filter, message: &str) {
        bump(|counters| &counters.reconciliations, &self.shared);
        let Some(config) = self.shared.config.negentropy else {
            // What a relay that does not know the command says.
            let message = "ERROR: bad msg: unknown cmd".to_owned();
            return self.say(&RelayMessage::Notice { message });
        };
        if self.must_authenticate_to_read() {
            return self.neg_err(sub_id, auth_required());
        }
        self.reads();
        let mut phantoms = Vec::new();
        let faults = self.shared.take_faults(|fault| match fault {
            Fault::Reconcile(fault) => Some(fault),
            _ => None,
        });
        let mut midway = false;
        for fault in faults {
            match fault {
                ReconcileFault::Refuse(message) => return self.neg_err(sub_id, message),
                ReconcileFault::Notice(message) => {
                    return self.say(&RelayMessage::Notice { message });
                }
                ReconcileFault::Silence => return,
                ReconcileFault::Phantom(ids) => phantoms.extend(ids),
                ReconcileFault::Rubbish => {
                    let message = "zz".to_owned();
                    return self.say(&RelayMessage::NegMsg {
                        sub_id: sub_id.into(),
                        message,
                    });
                }
                ReconcileFault::CloseMidway => midway = true,
            }
        }
        let events =
            lock(&self.shared.store).query(std::slice::from_ref(filter), None, Order::NewestFirst);
        if config.max_records.is_some_and(|most| events.len() > most) {
            return self.neg_err(
                sub_id,
                ReplyPrefix::Blocked.message("too many query results"),
            );
        }
        // Phantoms lie in the window that the client asked for.
        let time = filter.since.unwrap_or(0);
        match reconciliation(&events, &phantoms, time, config.frame_limit_bytes) {
            Ok(open) if self.reconciliations.len() < MAX_SUBSCRIPTIONS => {
                self.reconciliations.insert(sub_id.to_owned(), open);
                self.reconcile(sub_id, message);
            }
            Ok(_) => self.neg_err(sub_id, ReplyPrefix::Blocked.message("too many")),
            Err(error) => self.neg_err(sub_id, ReplyPrefix::Error.message(error)),
        }
        if midway {
            self.neg_err(sub_id, "closed: took too long".to_owned());
        }
    }

    pub(super) fn reconcile(&mut self, sub_id: &str, message: &str) {
        let Some(open) = self.reconciliations.get_mut(sub_id) else {
            return self.neg_err(sub_id, "closed: unknown reconciliation".to_owned());
        };
        let Ok(query) = hex::decode(message) else {
            return self.neg_err(sub_id, ReplyPrefix::Invalid.message("not hex"));
        };
        match open.reconcile(&query) {
            Ok(answer) => {
                let message = hex::encode(answer);
                self.say(&RelayMessage::NegMsg {
                    sub_id: sub_id.into(),
                    message,
                });
            }
            Err(error) => self.neg_err(sub_id, ReplyPrefix::Error.message(error)),
        }
    }
}

fn reconciliation(
    events: &[SimEvent],
    phantoms: &[EventId],
    phantom_time: i64,
    frame_limit: u64,
) -> Result<Reconciliation, Error> {
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
