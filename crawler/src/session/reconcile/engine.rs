//! The state of the protocol on our side. Pure: it neither waits nor sends.

use bigbrotr_core::event::EventId;
use negentropy::{Id, Negentropy, NegentropyStorageVector, PROTOCOL_VERSION};

use super::Differences;
use super::refusal::NotNegentropy;
use super::seen::Seen;
use super::shape;
use crate::limits;

/// Our items, and which differences were told.
pub(super) struct Engine {
    negentropy: Negentropy<'static, NegentropyStorageVector>,
    needed: Seen,
    had: Seen,
}

/// What follows from an answer.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) differences: Differences,
    /// Our next message, hex; `None` when both sides have told everything.
    pub(super) next: Option<String>,
}

impl Engine {
    /// Takes our items; returns the opening message too, hex.
    pub(super) fn new(
        items: impl IntoIterator<Item = (i64, EventId)>,
        frame_bytes: usize,
    ) -> Result<(Self, String), NotNegentropy> {
        let mut storage = NegentropyStorageVector::new();
        for (created_at, id) in items {
            if let Ok(created_at) = u64::try_from(created_at) {
                storage.insert(created_at, Id::from_byte_array(id.0))?;
            }
        }
        storage.seal()?;
        let frame_bytes = frame_bytes.max(limits::MIN_RECONCILE_FRAME_BYTES);
        let mut negentropy = Negentropy::owned(storage, frame_bytes as u64)?;
        let opening = hex::encode(negentropy.initiate()?);
        let engine = Self {
            negentropy,
            needed: Seen::new(limits::RECONCILE_REMEMBERED_IDS),
            had: Seen::new(limits::RECONCILE_REMEMBERED_IDS),
        };
        Ok((engine, opening))
    }

    /// Takes the relay's message, hex.
    pub(super) fn take(&mut self, message: &str) -> Result<Round, NotNegentropy> {
        let Ok(message) = hex::decode(message) else {
            return Err(NotNegentropy::Hex);
        };
        match message.split_first() {
            Some((&version, _)) if u64::from(version) != PROTOCOL_VERSION => {
                return Err(NotNegentropy::Version(version));
            }
            Some((_, ranges)) => shape::check(ranges)?,
            None => return Err(negentropy::Error::ProtocolVersionNotFound.into()),
        }
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let next = self
            .negentropy
            .reconcile_with_ids(&message, &mut have, &mut need)?;
        let new = |ids: Vec<Id>, seen: &mut Seen| {
            ids.into_iter()
                .map(|id| EventId(id.to_bytes()))
                .filter(|id| seen.insert(*id))
                .collect()
        };
        Ok(Round {
            differences: Differences {
                need: new(need, &mut self.needed),
                have: new(have, &mut self.had),
            },
            next: next.map(hex::encode),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The other side, right in every way.
    fn responder(
        items: &BTreeSet<(i64, EventId)>,
        frame_bytes: u64,
    ) -> Negentropy<'static, NegentropyStorageVector> {
        let mut storage = NegentropyStorageVector::new();
        for (created_at, id) in items {
            storage
                .insert(*created_at as u64, Id::from_byte_array(id.0))
                .unwrap();
        }
        storage.seal().unwrap();
        Negentropy::owned(storage, frame_bytes).unwrap()
    }

    /// Ids that are spread like hashes, at few times.
    fn item(number: u32, times: u32) -> (i64, EventId) {
        use sha2::{Digest, Sha256};
        let id: [u8; 32] = Sha256::digest(number.to_be_bytes()).into();
        (i64::from(number % times), EventId(id))
    }

    fn ids(items: impl IntoIterator<Item = (i64, EventId)>) -> BTreeSet<EventId> {
        items.into_iter().map(|(_, id)| id).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_is_told_is_the_difference_of_the_sets_each_id_once(
            ours in prop::collection::btree_set(0..6_000_u32, 0..2_500),
            theirs in prop::collection::btree_set(0..6_000_u32, 0..2_500),
            common in 0..4_000_u32,
            times in prop_oneof![Just(1_u32), Just(7), Just(5_000)],
            our_frames in prop_oneof![Just(4_096_usize), Just(30_000)],
            their_frames in prop_oneof![Just(4_096_u64), Just(4_767), Just(0)],
        ) {
            let shared = || 10_000..10_000 + common;
            let ours: BTreeSet<_> =
                ours.into_iter().chain(shared()).map(|n| item(n, times)).collect();
            let theirs: BTreeSet<_> =
                theirs.into_iter().chain(shared()).map(|n| item(n, times)).collect();
            let (mut engine, mut message) =
                Engine::new(ours.iter().copied(), our_frames).unwrap();
            let mut responder = responder(&theirs, their_frames);
            let (mut need, mut have) = (Vec::new(), Vec::new());
            let mut idle = 0;
            loop {
                let answer = responder.reconcile(&hex::decode(&message).unwrap()).unwrap();
                let round = engine.take(&hex::encode(answer)).unwrap();
                idle = if round.differences.is_empty() { idle + 1 } else { 0 };
                prop_assert!(idle < limits::RECONCILE_IDLE_ROUNDS / 2);
                need.extend(round.differences.need);
                have.extend(round.differences.have);
                let Some(next) = round.next else { break };
                prop_assert!(next.len() / 2 <= our_frames);
                message = next;
            }
            prop_assert_eq!(need.len(), need.iter().collect::<BTreeSet<_>>().len());
            prop_assert_eq!(have.len(), have.iter().collect::<BTreeSet<_>>().len());
            let (ours, theirs) = (ids(ours), ids(theirs));
            prop_assert_eq!(
                need.into_iter().collect::<BTreeSet<_>>(),
                theirs.difference(&ours).copied().collect()
            );
            prop_assert_eq!(
                have.into_iter().collect::<BTreeSet<_>>(),
                ours.difference(&theirs).copied().collect()
            );
        }

        #[test]
        fn no_message_makes_it_panic(message in prop::collection::vec(any::<u8>(), 0..400)) {
            let (mut engine, _) = Engine::new((0..300).map(|n| item(n, 40)), 4_096).unwrap();
            let mut text = String::from("61");
            text.push_str(&hex::encode(&message));
            drop(engine.take(&text));
            drop(engine.take(&hex::encode(&message)));
        }
    }

    #[test]
    fn what_is_no_negentropy_message_is_named() {
        let (mut engine, _) = Engine::new([], 0).unwrap();
        for (message, expected) in [
            ("", "message"),
            ("zz", "hex"),
            ("610", "hex"),
            ("60", "version"),
            ("62", "version"),
            ("00", "version"),
            ("61000009", "message"),
            // Breaks off where the library reads agreement.
            ("61ff", "message"),
            // Promises 2^34 ids and holds none.
            ("61000002c080808000", "message"),
        ] {
            let error = engine.take(message).unwrap_err();
            let named = match error {
                NotNegentropy::Hex => "hex",
                NotNegentropy::Version(_) => "version",
                NotNegentropy::Message(_) => "message",
                _ => "other",
            };
            assert_eq!(named, expected, "{message}");
        }
    }

    #[test]
    fn times_before_1970_are_left_out() {
        let early = (-1, EventId([1; 32]));
        let (_, with) = Engine::new([early, (5, EventId([2; 32]))], 0).unwrap();
        let (_, without) = Engine::new([(5, EventId([2; 32]))], 0).unwrap();
        assert_eq!(with, without);
    }
}
