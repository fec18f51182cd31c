use bigbrotr_schema::store::Coverage;
use proptest::prelude::*;

use super::model::{Archive, Keeps, ModelRelay};
use super::{Answer, Rules, Scan, ScanError, Span};
use crate::limits::{NEW_EVENT_SECONDS, SMALLEST_CAP};

const NOW: i64 = 10_000;

const NOTHING: [i64; 0] = [];

const RULES: Rules = Rules {
    since: 0,
    until: None,
    overlap: 600,
    page_limit: 500,
};

fn complete(to: i64) -> Coverage {
    Coverage {
        covered_from: Some(0),
        covered_to: Some(to),
        ..Coverage::default()
    }
}

fn first_scan() -> Scan {
    let coverage = Coverage::default();
    let span = Span::next(&coverage, &RULES, NOW, false).unwrap();
    Scan::new(coverage, span, RULES.page_limit)
}

fn page(times: &[i64]) -> Answer {
    Answer {
        times: times.to_vec(),
        ..Answer::default()
    }
}

#[test]
fn a_relay_that_keeps_the_newest_is_walked_down_without_extra_questions() {
    let relay = ModelRelay::new(0..1_000, 100, Keeps::Newest);
    let mut archive = Archive::default();
    archive.catch_up(&relay, &RULES, NOW);
    assert_eq!(archive.missing(&relay), NOTHING);
    assert_eq!(archive.coverage, complete(NOW));
    assert!(archive.gaps.is_empty());
    // Each page repeats one event: eleven pages. Second 0 once more; nothing is below it.
    assert_eq!(archive.questions, 12);
}

#[test]
fn a_relay_that_keeps_the_oldest_is_walked_up() {
    let relay = ModelRelay::new(0..1_000, 100, Keeps::Oldest);
    let mut archive = Archive::default();
    archive.catch_up(&relay, &RULES, NOW);
    assert_eq!(archive.missing(&relay), NOTHING);
    assert_eq!(archive.coverage, complete(NOW));
}

#[test]
fn a_quiet_relay_costs_a_handful_of_questions() {
    let relay = ModelRelay::new([9_700, 9_800, 9_900], 100, Keeps::Newest);
    let mut archive = Archive {
        coverage: complete(NOW - 300),
        ..Archive::default()
    };
    archive.catch_up(&relay, &RULES, NOW);
    assert_eq!(archive.missing(&relay), NOTHING);
    assert_eq!(archive.questions, 5);

    let empty = ModelRelay::new([], 100, Keeps::Newest);
    let mut archive = Archive::default();
    archive.catch_up(&empty, &RULES, NOW);
    assert_eq!((archive.questions, archive.coverage), (2, complete(NOW)));
}

#[test]
fn more_events_in_a_second_than_the_cap_are_a_gap_and_the_rest_is_archived() {
    for keeps in [Keeps::Newest, Keeps::Oldest] {
        for second in [0, 50, 99] {
            let times = (0..100).chain(std::iter::repeat_n(second, 30));
            let relay = ModelRelay::new(times, 20, keeps);
            let mut archive = Archive::default();
            archive.catch_up(&relay, &RULES, NOW);
            let gaps: Vec<i64> = archive.gaps.iter().copied().collect();
            assert_eq!(gaps, [second], "{keeps:?}");
            assert_eq!(archive.missing(&relay), NOTHING);
            assert_eq!(archive.coverage, complete(NOW));
        }
    }
}

#[test]
fn a_crowded_second_is_no_gap_where_the_relay_gives_it_whole() {
    let times = (0..30).chain(std::iter::repeat_n(9_500, 40));
    let relay = ModelRelay::new(times, 1_000, Keeps::Newest);
    let rules = Rules {
        page_limit: 10,
        ..RULES
    };
    for coverage in [Coverage::default(), complete(9_900)] {
        let mut archive = Archive {
            coverage,
            has_late: true,
            ..Archive::default()
        };
        archive.catch_up(&relay, &rules, NOW);
        assert!(archive.gaps.is_empty(), "{:?}", archive.gaps);
        assert!((30..70).all(|n| archive.archived.contains(&n)));
    }
}

#[test]
fn future_dated_events_are_archived_and_never_covered() {
    for keeps in [Keeps::Newest, Keeps::Oldest] {
        let relay = ModelRelay::new((0..50).chain(90_000..90_050), 20, keeps);
        let mut archive = Archive::default();
        archive.catch_up(&relay, &RULES, NOW);
        assert_eq!(archive.missing(&relay), NOTHING, "{keeps:?}");
        assert_eq!(archive.coverage, complete(NOW));
    }
}

#[test]
fn what_an_interrupted_turn_proved_is_not_asked_for_again() {
    for keeps in [Keeps::Newest, Keeps::Oldest] {
        let relay = ModelRelay::new((0..1_000).map(|n| n * 9), 100, keeps);
        let mut whole = Archive::default();
        whole.catch_up(&relay, &RULES, NOW);
        let mut broken = Archive::default();
        for _ in 0..3 {
            assert_eq!(broken.turn(&relay, &RULES, NOW, 3), Ok(false));
        }
        broken.catch_up(&relay, &RULES, NOW);
        assert_eq!(broken.missing(&relay), NOTHING);
        // Each new turn looks at the bottom or the top once more.
        assert!(broken.questions <= whole.questions + 12, "{keeps:?}");
    }
}

#[test]
fn a_relay_that_starts_to_keep_the_oldest_in_mid_scan_is_found_out() {
    let newest = ModelRelay::new(0..1_000, 100, Keeps::Newest);
    let mut archive = Archive::default();
    assert_eq!(archive.turn(&newest, &RULES, NOW, 4), Ok(false));
    let oldest = ModelRelay {
        keeps: Keeps::Oldest,
        ..newest
    };
    archive.catch_up(&oldest, &RULES, NOW);
    assert_eq!(archive.missing(&oldest), NOTHING);
}

#[test]
fn late_arrivals_within_the_overlap_are_found() {
    let mut relay = ModelRelay::new((0..100).map(|n| n * 100), 20, Keeps::Newest);
    let mut archive = Archive::default();
    archive.catch_up(&relay, &RULES, NOW);
    relay.times.extend([NOW - 500, NOW - 10]);
    archive.has_late = true;
    archive.catch_up(&relay, &RULES, NOW + 60);
    assert_eq!(archive.missing(&relay), NOTHING);
    assert_eq!(archive.coverage, complete(NOW + 60));
}

#[test]
fn bounds_are_kept() {
    let relay = ModelRelay::new(0..1_000, 100, Keeps::Newest);
    let rules = Rules {
        since: 200,
        until: Some(500),
        ..RULES
    };
    let mut archive = Archive::default();
    archive.catch_up(&relay, &rules, NOW);
    assert_eq!(archive.archived, (200..=500).collect());
    let coverage = archive.coverage;
    assert_eq!(
        (coverage.covered_from, coverage.covered_to),
        (Some(200), Some(500))
    );
}

#[test]
fn an_empty_answer_is_only_believed_when_another_question_agrees() {
    let mut scan = first_scan();
    scan.accept(&page(&[])).unwrap();
    let question = scan.question().unwrap();
    assert!(question.names_kinds);
    assert_eq!(
        question.until,
        Some(NOW - NEW_EVENT_SECONDS),
        "a busy relay's newest event may have just come"
    );
    assert_eq!(
        scan.accept(&page(&[NOW - NEW_EVENT_SECONDS])),
        Err(ScanError::NothingForBroad),
        "a relay that answers only to kinds"
    );

    let mut scan = first_scan();
    scan.accept(&page(&[])).unwrap();
    let late = Answer {
        late: 3,
        ..Answer::default()
    };
    assert_eq!(scan.accept(&late), Err(ScanError::LateEvents));
    assert_eq!(scan.coverage(), &Coverage::default());
}

#[test]
fn answers_without_anything_asked_for_prove_nothing() {
    let foreign = Answer {
        foreign: 5,
        ..Answer::default()
    };
    let unusable = Answer {
        bad: 10,
        ..Answer::default()
    };
    for (answer, error) in [
        (foreign, ScanError::OnlyForeign),
        (unusable, ScanError::OnlyUnusable),
    ] {
        let mut scan = first_scan();
        assert_eq!(scan.accept(&answer), Err(error));
    }
    // One event that nobody can take is no reason never to finish.
    let mut scan = first_scan();
    let spoiled = Answer {
        bad: 1,
        ..Answer::default()
    };
    scan.accept(&spoiled).unwrap();
    scan.accept(&spoiled).unwrap();
    assert_eq!(scan.question(), None);
}

#[test]
fn a_relay_that_forgets_what_it_gave_is_not_believed() {
    let mut scan = first_scan();
    scan.accept(&page(&[30, 20, 10])).unwrap();
    scan.accept(&page(&[])).unwrap();
    let error = scan.accept(&page(&[])).unwrap_err();
    assert_eq!(error, ScanError::Inconsistent { at: 10 });
    assert_eq!(scan.coverage(), &Coverage::default());
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_pieces() {
    let mut scan = first_scan();
    assert!(scan.shrink());
    assert_eq!(scan.question().unwrap().limit, 250);
    while scan.shrink() {}
    assert_eq!(scan.question().unwrap().limit, 1);
}

#[test]
fn an_empty_page_far_above_the_floor_is_not_believed_alone() {
    let span = Span {
        floor: 0,
        until: None,
        goal: 1_000_000,
        resumed: None,
    };
    let mut scan = Scan::new(Coverage::default(), span, 500);
    scan.accept(&page(&[900_000, 899_000])).unwrap();
    scan.accept(&page(&[899_000])).unwrap();
    scan.accept(&page(&[])).unwrap();
    let question = scan.question().unwrap();
    assert!(question.names_kinds);
    assert_eq!((question.until, question.limit), (Some(898_999), 1));
    let hidden = scan.clone().accept(&page(&[5_000]));
    assert_eq!(hidden, Err(ScanError::NothingForBroad));
    scan.accept(&page(&[])).unwrap();
    // On it goes, upwards.
    assert_eq!(scan.question().unwrap().since, Some(900_000));
}

#[test]
fn a_small_page_of_nothing_usable_is_not_the_end() {
    let mut scan = first_scan();
    scan.accept(&page(&[40, 30, 20])).unwrap();
    while scan.question().unwrap().limit > 3 {
        scan.shrink();
    }
    scan.accept(&page(&[20])).unwrap();
    let spoiled = Answer {
        bad: 3,
        ..Answer::default()
    };
    assert_eq!(scan.accept(&spoiled), Err(ScanError::OnlyUnusable));
}

fn relays() -> impl Strategy<Value = ModelRelay> {
    let times = prop_oneof![
        prop::collection::vec(0_i64..60, 0..150),
        prop::collection::vec(0_i64..12_000, 0..150),
        prop::collection::vec(9_300_i64..10_010, 0..150),
    ];
    let crowd = (0_i64..60, 0_usize..60);
    (times, crowd, 10_usize..60, any::<bool>(), any::<bool>()).prop_map(
        |(mut times, (second, count), cap, newest, is_exclusive)| {
            times.extend(std::iter::repeat_n(second, count));
            let keeps = if newest { Keeps::Newest } else { Keeps::Oldest };
            ModelRelay {
                is_exclusive,
                ..ModelRelay::new(times, cap, keeps)
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    /// Whatever a relay has and however it cuts, whenever turns break off: in the end all is
    /// archived or named as a gap, and no claim on the way is false.
    #[test]
    fn everything_is_archived_or_named(
        relay in relays(),
        page_limit in 10_usize..80,
        breaks in prop::collection::vec(1_usize..6, 0..8),
    ) {
        let rules = Rules { page_limit, ..RULES };
        let mut archive = Archive::default();
        for pages in breaks {
            let turn = archive.turn(&relay, &rules, NOW, pages);
            prop_assert!(turn.is_ok(), "{turn:?}");
        }
        archive.catch_up(&relay, &rules, NOW);
        prop_assert_eq!(archive.missing(&relay), Vec::<i64>::new());
        prop_assert_eq!(archive.coverage, complete(NOW));
        for gap in &archive.gaps {
            let crowd = relay.times.iter().filter(|time| *time == gap).count();
            // A relay that holds nothing else cannot show that it would give more.
            let is_all = crowd >= SMALLEST_CAP && crowd == relay.times.len();
            prop_assert!(crowd >= relay.cap || is_all, "second {gap} has {crowd} events only");
        }
    }

    /// Events that come while a scan is under way, dated within the overlap, are archived by the
    /// next scan at the latest.
    #[test]
    fn arrivals_are_found_by_the_next_scan(
        relay in relays(),
        arrivals in prop::collection::vec(NOW - 500..NOW + 5, 0..40),
    ) {
        let mut relay = ModelRelay { is_exclusive: false, ..relay };
        let mut archive = Archive { has_late: true, ..Archive::default() };
        let mut scan = first_scan();
        let mut arrivals = arrivals.into_iter();
        while let Some(question) = scan.question() {
            let found = relay.answer(&question);
            let times = found.iter().map(|&n| relay.times[n]).collect();
            archive.archived.extend(found);
            let Ok(gaps) = scan.accept(&Answer { times, ..Answer::default() }) else { break };
            archive.gaps.extend(gaps);
            relay.times.extend(arrivals.next());
        }
        archive.coverage = *scan.coverage();
        relay.times.extend(arrivals);
        archive.catch_up(&relay, &RULES, NOW + 30);
        prop_assert_eq!(archive.missing(&relay), Vec::<i64>::new());
    }
}
