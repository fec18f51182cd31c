//! How the archive is read when it is served: by an index for every sort of filter, and with a
//! bound on rows in the statement itself.

#![expect(
    clippy::unwrap_used,
    reason = "what a test needs and does not get fails it"
)]

use bigbrotr_core::filter::Filter;
use bigbrotr_schema::store::{ServedArchive, ServedFrom, Store};
use bigbrotr_schema::testing::{execute, plan_of_served, test_store};

/// Twenty thousand events of a thousand authors, three tags each.
const FILL: &str = "
    insert into events (created_at, kind, id, pubkey, sig, tags, content)
    select 1700000000 + n * 37 % 100000,
        case when n % 10 < 7 then 1 when n % 10 < 9 then 7 else 1000 + n % 200 end,
        sha256(n::text::bytea), sha256(('p' || n % 1000)::bytea), decode(repeat('00', 64), 'hex'),
        json_build_array(json_build_array('e', encode(sha256((n / 3)::text::bytea), 'hex')),
            json_build_array('t', 't' || n % 300), json_build_array('d', 'd' || n % 10))::text::json,
        to_json('note number ' || n)
    from generate_series(1, 20000) n";

async fn plan(store: &Store, from: ServedFrom, json: &str) -> String {
    let filter = Filter::from_json(json).unwrap();
    plan_of_served(store, from, &filter, 500).await.unwrap()
}

#[tokio::test]
async fn every_sort_of_filter_has_its_index_and_no_plan_reads_the_table() {
    let (store, _database) = test_store().await;
    execute(&store, FILL).await;
    let wanted = ServedArchive {
        enabled: true,
        search: true,
    };
    assert!(!store.has_served_archive(wanted).await.unwrap());
    store.build_served_archive(wanted).await.unwrap();
    // Again, and it is done already.
    store.build_served_archive(wanted).await.unwrap();
    assert!(store.has_served_archive(wanted).await.unwrap());
    let key = "0".repeat(64);
    for (json, index) in [
        (format!(r#"{{"ids":["{key}"]}}"#), "events_id"),
        (format!(r#"{{"authors":["{key}"]}}"#), "events_pubkey"),
        (
            format!(r#"{{"authors":["{key}"],"kinds":[1,7]}}"#),
            "events_pubkey",
        ),
        (r#"{"kinds":[1042]}"#.into(), "events_served_kind"),
        (r#"{"kinds":[1042,1043]}"#.into(), "events_served_kind"),
        (format!(r##"{{"#e":["{key}"]}}"##), "events_served_tags"),
        (
            r##"{"#t":["t7"],"kinds":[1,7]}"##.into(),
            "events_served_tags",
        ),
        (r#"{"search":"ostrich"}"#.into(), "events_served_words"),
        (
            r#"{"since":1700000100,"until":1700000200}"#.into(),
            "events_created_at",
        ),
        ("{}".into(), "events_created_at"),
    ] {
        let plan = plan(&store, ServedFrom::Archive, &json).await;
        assert!(
            plan.contains(index) && plan.contains("Limit"),
            "{json}\n{plan}"
        );
        assert!(!plan.contains("Seq Scan"), "{json}\n{plan}");
    }
    // The most common kind is read in the order of time, not sorted as a whole.
    let plan = plan(&store, ServedFrom::Archive, r#"{"kinds":[1]}"#).await;
    assert!(plan.contains("Incremental Sort"), "{plan}");
}

#[tokio::test]
async fn an_index_that_was_left_half_built_is_built_anew() {
    let (store, _database) = test_store().await;
    execute(
        &store,
        "create index events_served_kind on events (kind, created_at)",
    )
    .await;
    execute(
        &store,
        "update pg_index set indisvalid = false
         where indexrelid = 'events_served_kind'::regclass",
    )
    .await;
    let wanted = ServedArchive {
        enabled: true,
        search: false,
    };
    assert!(!store.has_served_archive(wanted).await.unwrap());
    store.build_served_archive(wanted).await.unwrap();
    assert!(store.has_served_archive(wanted).await.unwrap());
}

/// Twenty thousand events of the relay's own, all of one author and one kind: whoever else is asked
/// for is not there.
const FILL_RELAY: &str = "
    insert into relay_events (created_at, kind, id, pubkey, received_at, tag_hashes, event)
    select 1700000000 + n, 30166, sha256(n::text::bytea), sha256('p'), 1700000000, '{}',
        to_json('event number ' || n)
    from generate_series(1, 20000) n";

#[tokio::test]
async fn what_is_planned_once_is_read_by_its_index_whatever_the_relay_holds() {
    let (store, _database) = test_store().await;
    let key = "0".repeat(64);
    let questions = [
        (format!(r#"{{"ids":["{key}"]}}"#), "relay_events_id_key"),
        (format!(r#"{{"authors":["{key}"]}}"#), "relay_events_pubkey"),
        (
            format!(r#"{{"authors":["{key}"],"since":1700000100,"until":1700000200}}"#),
            "relay_events_pubkey",
        ),
        (r#"{"kinds":[1042]}"#.into(), "relay_events_kind"),
        (
            r#"{"kinds":[1042],"until":1700000200}"#.into(),
            "relay_events_kind",
        ),
        (
            r#"{"since":1700000100,"until":1700000200}"#.into(),
            "relay_events_newest",
        ),
        ("{}".into(), "relay_events_newest"),
    ];
    // Empty, full and not known to be, and known.
    for step in ["", FILL_RELAY, "analyze relay_events"] {
        if !step.is_empty() {
            execute(&store, step).await;
        }
        for (json, index) in &questions {
            for from in [ServedFrom::Relay, ServedFrom::RelayBesideArchive] {
                let plan = plan(&store, from, json).await;
                let by_index = format!("Index Scan using {index} on");
                assert!(plan.contains(&by_index), "{step:?} {json}\n{plan}");
                let is_in_order = !plan.contains("Sort") || json.contains("ids");
                assert!(is_in_order, "{step:?} {json}\n{plan}");
                // No values: it is the plan for all.
                assert!(!plan.contains("00000000"), "{step:?} {json}\n{plan}");
            }
        }
    }
    // What one plan cannot be right for is planned each time.
    for json in [
        format!(r#"{{"authors":["{key}"],"kinds":[1]}}"#),
        r#"{"kinds":[1,7]}"#.into(),
        r##"{"#t":["x"]}"##.into(),
    ] {
        let plan = plan(&store, ServedFrom::Relay, &json).await;
        assert!(!plan.contains('$'), "{json}\n{plan}");
    }
}
