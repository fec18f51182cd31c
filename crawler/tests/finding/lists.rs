//! Lists of relays on the web, right, wrong and hostile.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::{ManualClock, SystemClock};
use bigbrotr_crawler::dial::{NetworkConfig, NetworksConfig, ProxyAddr};
use bigbrotr_crawler::finder::{FinderConfig, ListConfig, ListFormat};
use bigbrotr_testkit::socks::SocksServer;

use crate::support::{Finder, World, dialer, finder_config, networks};
use crate::web::{Answer, Web};

fn list(url: &str, format: ListFormat, path: &str) -> ListConfig {
    ListConfig {
        url: url.to_owned(),
        format,
        path: path.to_owned(),
        interval: Duration::from_hours(6),
    }
}

fn config(lists: Vec<ListConfig>) -> FinderConfig {
    FinderConfig {
        lists,
        list_timeout: Duration::from_millis(800),
        ..finder_config()
    }
}

/// Why a list could not be read.
async fn error_of(world: &World, url: &str) -> String {
    let (_, error) = world.store.get_list(url).await.unwrap().unwrap();
    error.expect("the list could be read")
}

#[tokio::test]
async fn lists_are_read_in_every_form() {
    let (world, web) = (World::new().await, Web::start().await);
    let array = web.json(
        "/array",
        r#"["wss://a.example.com/", "https://no.example.com", 7]"#,
    );
    let nested = web.json(
        "/nested",
        r#"{"data":{"relays":[{"url":"wss://b.example.com"}]}}"#,
    );
    let keys = web.json(
        "/keys",
        r#"{"relays":{"wss://c.example.com":{"nips":[1]}}}"#,
    );
    let text = Answer::Body(
        "text/plain",
        "# relays\nwss://d.example.com # good\n".to_owned(),
    );
    let text = web.page("/text", text);
    let moved = web.page("/moved", Answer::Redirect("/array".to_owned()));
    let finder = world
        .find(config(vec![
            list(&array, ListFormat::Json, ""),
            list(&nested, ListFormat::Json, "data.relays.*.url"),
            list(&keys, ListFormat::Json, "relays"),
            list(&text, ListFormat::Text, ""),
            list(&moved, ListFormat::Json, ""),
        ]))
        .await;
    let expected: Vec<_> = ["a", "b", "c", "d"]
        .map(|name| (format!("wss://{name}.example.com"), "lists".to_owned()))
        .to_vec();
    assert_eq!(world.found().await, expected);
    assert_eq!((finder.lists("read"), finder.lists("failed")), (5, 0));
    assert_eq!(
        (finder.urls("lists", "new"), finder.urls("lists", "known")),
        (4, 1)
    );
    // Read once, not due again.
    finder.idle().await;
    assert_eq!(web.requests(), 6);
    finder.stop().await;
}

#[tokio::test]
async fn what_is_no_list_is_told_and_tried_again_later() {
    let (world, web) = (World::new().await, Web::start().await);
    let good = r#"{"relays":["wss://a.example.com"]}"#;
    let html = Answer::Body(
        "text/html; charset=utf-8",
        "<html>wss://x.example.com".to_owned(),
    );
    let disguised = Answer::Body("application/json", "\n<!DOCTYPE html>".to_owned());
    let huge = format!("[{}\"\"]", "\"wss://a.example.com\",".repeat(150_000));
    let cases = [
        (
            web.json("/path", good),
            "data.relays",
            "leads nowhere: there is no \"data\"",
        ),
        (web.json("/empty", good), "", "no relay URL"),
        (web.json("/cut", r#"["wss://a.exam"#), "", "not JSON"),
        (web.page("/html", html), "", "web page"),
        (web.page("/disguised", disguised), "", "web page"),
        (web.page("/gone", Answer::Status(410)), "", "status 410"),
        (web.page("/endless", Answer::Endless), "", "larger than"),
        (
            web.page("/announced", Answer::Announced(1 << 40)),
            "",
            "larger than",
        ),
        (web.json("/huge", &huge), "", "larger than"),
        (web.page("/silent", Answer::Silence), "", "no whole answer"),
    ];
    let loop_to = web.url("/loop");
    web.page("/loop", Answer::Redirect(loop_to.clone()));
    let mut lists: Vec<ListConfig> = cases
        .iter()
        .map(|(url, path, _)| list(url, ListFormat::Json, path))
        .collect();
    lists.push(list(&loop_to, ListFormat::Json, ""));
    let before = bigbrotr_core::clock::Clock::now(&SystemClock);
    let finder = world.find(config(lists)).await;
    for (url, _, told) in &cases {
        let error = error_of(&world, url).await;
        assert!(error.contains(told), "{url}: {error}");
        let (due_at, _) = world.store.get_list(url).await.unwrap().unwrap();
        assert!(due_at > before + 200, "{url} is due again at once");
    }
    assert!(error_of(&world, &loop_to).await.contains("redirect"));
    assert_eq!((finder.lists("read"), finder.lists("failed")), (0, 11));
    assert!(world.candidates().await.is_empty());
    finder.stop().await;
}

#[tokio::test]
async fn a_list_cannot_lead_to_a_private_address() {
    let (world, web) = (World::new().await, Web::start().await);
    let secret = web.json("/secret", r#"["wss://a.example.com"]"#);
    web.page("/public", Answer::Redirect(secret.clone()));
    // A public name reaches the server by way of a proxy; a private address does not.
    let socks = SocksServer::start([("lists.example.com:80", web.address())])
        .await
        .unwrap();
    let guarded = NetworksConfig {
        allow_private: false,
        clearnet: NetworkConfig {
            proxy: Some(ProxyAddr {
                host: "127.0.0.1".to_owned(),
                port: socks.address().port(),
            }),
            ..networks().clearnet
        },
        ..networks()
    };
    let public = "http://lists.example.com/public";
    let lists = vec![
        list(public, ListFormat::Json, ""),
        list(&secret, ListFormat::Json, ""),
    ];
    let clock = Arc::new(SystemClock);
    let finder = Finder::start_with(&world.store, config(lists), dialer(guarded), clock);
    finder.idle().await;
    for url in [public, secret.as_str()] {
        let error = error_of(&world, url).await;
        assert!(
            error.contains("special-purpose address 127.0.0.1"),
            "{error}"
        );
    }
    assert_eq!(web.requests(), 1);
    assert!(world.candidates().await.is_empty());
    finder.stop().await;
}

#[tokio::test]
async fn a_list_is_fetched_again_after_its_interval_and_by_one_finder_only() {
    let clock = ManualClock::new(1_750_000_000);
    let (world, web) = (World::at(&clock).await, Web::start().await);
    let url = web.json("/list", r#"["wss://a.example.com"]"#);
    let lists = || config(vec![list(&url, ListFormat::Json, "")]);
    let start = || {
        let clock = Arc::new(clock.clone());
        Finder::start_with(&world.store, lists(), dialer(networks()), clock)
    };
    let (one, other) = (start(), start());
    tokio::join!(one.idle(), other.idle());
    assert_eq!(web.requests(), 1);
    clock.advance(Duration::from_secs(6 * 3_600 - 1));
    tokio::join!(one.idle(), other.idle());
    assert_eq!(web.requests(), 1);
    web.json("/list", r#"["wss://a.example.com", "wss://b.example.com"]"#);
    clock.advance(Duration::from_secs(1));
    tokio::join!(one.idle(), other.idle());
    assert_eq!(web.requests(), 2);
    assert_eq!(world.found().await.len(), 2);
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_finder_that_stops_gives_a_list_back() {
    let (world, web) = (World::new().await, Web::start().await);
    let url = web.page("/silent", Answer::Silence);
    let patient = FinderConfig {
        list_timeout: Duration::from_mins(10),
        ..config(vec![list(&url, ListFormat::Json, "")])
    };
    let finder = Finder::start(&world.store, patient);
    while web.requests() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let leased = "select count(*) as n from finder_lists where leased_until > 0";
    assert_eq!(world.number(leased).await, 1);
    finder.stop().await;
    assert_eq!(world.number(leased).await, 0);
    web.json("/silent", r#"["wss://a.example.com"]"#);
    let finder = world
        .find(config(vec![list(&url, ListFormat::Json, "")]))
        .await;
    assert_eq!(world.found().await.len(), 1);
    finder.stop().await;
}
