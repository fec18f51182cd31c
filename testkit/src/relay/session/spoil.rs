//! The stored events of an answer, with whatever the faults put before, between and into them.

use bigbrotr_core::event::Event;

use super::super::faults::ReadFault;
use super::Session;
use super::outbox::{Step, event_message};
use crate::population::{EventMaker, SimEvent, author_keys};

/// `created_at` of made-up events on a relay without any: Unix seconds.
pub(super) const SOME_TIME: i64 = 1_700_000_000;

impl Session {
    /// Turns events into steps, spoiled as the faults say; at most `keep` events.
    pub(super) fn event_steps(
        &self,
        sub_id: &str,
        faults: &[ReadFault],
        events: &[SimEvent],
        keep: usize,
    ) -> Vec<Step> {
        let mut steps = Vec::with_capacity(events.len().min(keep) + 2);
        let mut copies = 1;
        let mut spoil_every = None;
        let mut sent_sub_id = sub_id;
        for fault in faults {
            match fault {
                ReadFault::Rubbish(texts) => {
                    steps.extend(texts.iter().cloned().map(Step::Text));
                }
                ReadFault::Binary => {
                    steps.extend(
                        [vec![], vec![0xff; 3], b"[\"EOSE\",\"x\"]".to_vec()].map(Step::Binary),
                    );
                }
                ReadFault::Oversized(bytes) => {
                    let keys = author_keys(self.shared.config.seed, 0);
                    let event = EventMaker::new(SOME_TIME)
                        .content("x".repeat(*bytes))
                        .sign(&keys);
                    steps.push(Step::RawEvent(event_message(sub_id, &event.to_json())));
                }
                ReadFault::Inject(jsons) => {
                    let raw = |json: &String| Step::RawEvent(event_message(sub_id, json));
                    steps.extend(jsons.iter().map(raw));
                }
                ReadFault::Duplicates => copies = 2,
                ReadFault::WrongSignatures { every } => spoil_every = Some((*every).max(1)),
                ReadFault::WrongSubscription => sent_sub_id = "somebody-elses",
                _ => {}
            }
        }
        for (n, event) in events.iter().take(keep).enumerate() {
            let spoiled = spoil_every.is_some_and(|every| (n + 1).is_multiple_of(every));
            for _ in 0..copies {
                steps.push(if spoiled {
                    Step::RawEvent(event_message(sent_sub_id, &spoil(event.event()).to_json()))
                } else {
                    Step::Event {
                        sub_id: sent_sub_id.to_owned(),
                        event: event.clone(),
                    }
                });
            }
        }
        steps
    }
}

fn spoil(mut event: Event) -> Event {
    event.sig[63] ^= 1;
    event
}
