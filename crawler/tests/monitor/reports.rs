//! What the running monitor stores and publishes.

use bigbrotr_crawler::monitor::MonitorConfig;
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::relay::faults::InformationFault;
use nostr::Keys;

use crate::support::{
    Running, config, healthy_relay, published, relay_with, stored, url_of, values,
};

#[tokio::test]
async fn a_healthy_relay_gets_a_snapshot_and_a_report() {
    let (store, _database) = test_store().await;
    let (relay, keys) = (healthy_relay().await, Keys::generate());
    let url = url_of(&relay);
    store
        .insert_relays(std::slice::from_ref(&url))
        .await
        .unwrap();
    let mut running = Running::start(&store, config(), &keys);
    running.until_health("ready").await;
    let progress = running.idle().await;
    assert_eq!(
        (progress.checked, progress.online, progress.reports),
        (1, 1, 1)
    );
    running.stop().await;

    let found = stored(&store, &url).await;
    assert_eq!(found["status"], "online");
    for part in ["open", "read", "write", "nip11"] {
        assert_eq!(found["nip66"][part]["ok"], true, "{part}: {found}");
    }
    for rtt in ["rtt_open_ms", "rtt_read_ms", "rtt_write_ms"] {
        assert!(found[rtt].as_i64().unwrap() > 0, "{rtt}: {found}");
    }
    assert_eq!(found["nip11"]["supported_nips"][0], 1);

    let [report] = published(&store, 30_166).await.try_into().unwrap();
    assert_eq!(report.pubkey.to_hex(), keys.public_key().to_hex());
    assert_eq!(report.d_tag(), url.d_tag());
    assert_eq!(values(&report, "n"), ["clearnet"]);
    assert_eq!(
        values(&report, "rtt-open"),
        [found["rtt_open_ms"].to_string()]
    );
    assert_eq!(
        values(&report, "rtt-read"),
        [found["rtt_read_ms"].to_string()]
    );
    assert_eq!(
        values(&report, "rtt-write"),
        [found["rtt_write_ms"].to_string()]
    );
    assert_eq!(values(&report, "N"), ["1", "11", "45", "77"]);
    assert_eq!(values(&report, "R"), ["!auth", "!payment", "!writes"]);
    assert!(report.content.contains("Simulated relay"));
}

#[tokio::test]
async fn an_offline_relay_gets_a_snapshot_and_silence() {
    let (store, _database) = test_store().await;
    let relay = healthy_relay().await;
    let url = url_of(&relay);
    relay.stop().await;
    store
        .insert_relays(std::slice::from_ref(&url))
        .await
        .unwrap();
    let running = Running::start(&store, config(), &Keys::generate());
    let progress = running.idle().await;
    assert_eq!(
        (progress.checked, progress.online, progress.reports),
        (1, 0, 0)
    );
    running.stop().await;
    let found = stored(&store, &url).await;
    assert_eq!(found["status"], "offline");
    assert_eq!(found["nip66"]["open"]["reason"], "connect_refused");
    assert!(found["rtt_open_ms"].is_null() && found["nip11"].is_null());
    assert!(published(&store, 30_166).await.is_empty());
}

#[tokio::test]
async fn odd_documents_are_stored_or_left_out() {
    let (store, _database) = test_store().await;
    let html = relay_with([InformationFault::Html]).await;
    let wrong = relay_with([InformationFault::WrongTypes]).await;
    let nul = r#"{"name":"\u0000","version":"1\u0000"}"#;
    let nul = relay_with([InformationFault::Body(nul.into())]).await;
    let urls = [&html, &wrong, &nul].map(url_of);
    store.insert_relays(&urls).await.unwrap();
    let running = Running::start(&store, config(), &Keys::generate());
    assert_eq!(running.idle().await.reports, 3);
    running.stop().await;
    let [html, wrong, nul] = &urls;
    assert!(stored(&store, html).await["nip11"].is_null());
    assert_eq!(stored(&store, wrong).await["nip11"]["name"], 7);
    assert_eq!(stored(&store, nul).await["nip11"]["name"], "\0");
}

#[tokio::test]
async fn the_monitor_announces_itself_once() {
    let (store, _database) = test_store().await;
    let keys = Keys::generate();
    let named = MonitorConfig {
        name: "Example".into(),
        geohash: "ezs42".into(),
        ..config()
    };
    for _ in 0..2 {
        let running = Running::start(&store, named.clone(), &keys);
        running.idle().await;
        running.stop().await;
    }
    let [announcement] = published(&store, 10_166).await.try_into().unwrap();
    assert_eq!(values(&announcement, "frequency"), ["3600"]);
    assert_eq!(values(&announcement, "g"), ["ezs42"]);
    assert_eq!(
        values(&announcement, "c"),
        [
            "open",
            "read",
            "write",
            "auth",
            "pow",
            "nip11",
            "http",
            "dns",
            "ssl",
            "count",
            "search",
            "negentropy"
        ]
    );
    let open = ["timeout", "open", "5000"].map(str::to_owned).to_vec();
    assert!(announcement.tags.contains(&open), "{announcement:?}");
    let [profile] = published(&store, 0).await.try_into().unwrap();
    assert_eq!(profile.content, r#"{"name":"Example"}"#);
    let [list] = published(&store, 10_002).await.try_into().unwrap();
    assert_eq!(values(&list, "r"), ["wss://monitor.example.com/"]);

    // What says something else replaces it, at once.
    let quiet = MonitorConfig {
        write: false,
        relay_list: false,
        ..named
    };
    let running = Running::start(&store, quiet, &keys);
    running.idle().await;
    running.stop().await;
    let [changed] = published(&store, 10_166).await.try_into().unwrap();
    assert!(!values(&changed, "c").contains(&"write"));
    assert_eq!(published(&store, 0).await, [profile]);
}
