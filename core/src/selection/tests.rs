use proptest::prelude::*;

use super::*;
use crate::event::EventId;

fn author(n: u8) -> Pubkey {
    Pubkey([n; 32])
}

fn event(kind: u16, author_number: u8, tags: &[(char, u8)]) -> Event {
    Event {
        id: EventId([0; 32]),
        pubkey: author(author_number),
        created_at: 0,
        kind,
        tags: tags
            .iter()
            .map(|(letter, value)| vec![letter.to_string(), value.to_string()])
            .collect(),
        content: String::new(),
        sig: [0; 64],
    }
}

fn selections() -> impl Strategy<Value = Selection> {
    let kinds = proptest::collection::vec((0..4_u16, 0..4_u16), 0..3);
    let kinds = prop_oneof![Just(KindSet::all()), kinds.prop_map(KindSet::from)];
    let values = proptest::collection::btree_set((0..3_u8).prop_map(|v| v.to_string()), 1..3);
    let tags = proptest::collection::btree_map(prop_oneof![Just('t'), Just('p')], values, 0..3);
    let people = || proptest::collection::btree_set((0..3_u8).prop_map(author), 0..3);
    let authors = prop_oneof![3 => Just(None), 1 => people().prop_map(Some)];
    (kinds, tags, authors, people()).prop_map(|(kinds, tags, authors, denied)| Selection {
        kinds,
        tags,
        authors,
        denied,
    })
}

fn events() -> impl Strategy<Value = Event> {
    let tags = proptest::collection::vec((prop_oneof![Just('t'), Just('p')], 0..3_u8), 0..4);
    (0..5_u16, 0..4_u8, tags).prop_map(|(kind, author, tags)| event(kind, author, &tags))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_had_and_what_is_lacked_make_up_what_is_wanted(
        had in selections(), wanted in selections(), event in events(),
    ) {
        let part = had.part_of(&wanted);
        let in_part = part.as_ref().is_some_and(|part| part.matches(&event));
        if in_part {
            prop_assert!(had.matches(&event) && wanted.matches(&event));
        }
        let is_lacked = had.lacks_of(&wanted).iter().any(|lack| lack.matches(&event));
        if wanted.matches(&event) {
            prop_assert!(in_part || is_lacked, "{event:?} would never be archived");
        }
        if is_lacked {
            prop_assert!(wanted.matches(&event), "{event:?} is not wanted");
        }
    }

    #[test]
    fn where_only_kinds_and_denials_differ_nothing_is_asked_for_twice(
        had in selections(), wanted in selections(), event in events(),
    ) {
        let plain = |selection: Selection| Selection { tags: BTreeMap::new(), authors: None, ..selection };
        let (had, wanted) = (plain(had), plain(wanted));
        let is_lacked = had.lacks_of(&wanted).iter().any(|lack| lack.matches(&event));
        prop_assert_eq!(is_lacked, wanted.matches(&event) && !had.matches(&event));
    }
}

#[test]
fn a_widened_choice_of_one_tag_lacks_the_new_values_only() {
    let of = |values: &[&str]| Selection {
        tags: [('t', values.iter().map(|v| (*v).to_owned()).collect())].into(),
        ..Selection::default()
    };
    assert_eq!(of(&["a"]).lacks_of(&of(&["a", "b"])), [of(&["b"])]);
    assert_eq!(of(&["a", "b"]).lacks_of(&of(&["b"])), []);
    assert_eq!(
        of(&["a"]).lacks_of(&Selection::default()),
        [Selection::default()]
    );
}

#[test]
fn everything_is_stored_in_few_words() {
    let json = serde_json::to_string(&Selection::default()).unwrap();
    assert_eq!(json, r#"{"kinds":[[0,65535]]}"#);
    assert_eq!(
        serde_json::from_str::<Selection>(&json).unwrap(),
        Selection::default()
    );
}
