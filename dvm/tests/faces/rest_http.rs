//! The REST mirror as an HTTP server: caching, compression, browsers, limits, connections.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::{ManualClock, SystemClock};
use bigbrotr_core::health::HealthBoard;
use bigbrotr_dvm::{ApiConfig, ApiService, NodeFacts};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Running, World, get, http, open, raw};

#[tokio::test]
async fn an_answer_that_is_known_is_not_sent_again() {
    let world = World::new().await;
    let (api, address) = world.start_api(open()).await;
    let first = get(address, "/v1/kinds").await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    let known = [("If-None-Match", tag.as_str())];
    let again = http(address, "GET", "/v1/kinds", &known).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), tag);
    let other = http(address, "GET", "/v1/kinds?limit=1", &known).await;
    assert_eq!(other.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn long_answers_are_compressed_and_head_has_no_body() {
    let world = World::new().await;
    let (api, address) = world.start_api(open()).await;
    let plain = get(address, "/openapi.json").await;
    assert_eq!(plain.header("content-encoding"), "");
    let gzip = [("Accept-Encoding", "gzip, br")];
    let packed = http(address, "GET", "/openapi.json", &gzip).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() < plain.body.len());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed.body[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain.body);

    let head = http(address, "HEAD", "/openapi.json", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), plain.body.len().to_string());
    api.stop().await;
}

#[tokio::test]
async fn browsers_may_ask_from_any_page_and_read_the_headers() {
    let world = World::new().await;
    let (api, address) = world.start_api(open()).await;
    let origin = ("Origin", "https://page.example");
    for target in ["/v1/kinds", "/v1/nope", "/health/live"] {
        let answer = http(address, "GET", target, &[origin]).await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "*",
            "{target}"
        );
        assert!(
            answer
                .header("access-control-expose-headers")
                .contains("ETag")
        );
    }
    let asks = [origin, ("Access-Control-Request-Method", "GET")];
    let preflight = http(address, "OPTIONS", "/v1/kinds", &asks).await;
    assert_eq!(preflight.status, 204);
    assert!(
        preflight
            .header("access-control-allow-methods")
            .contains("GET")
    );
    assert!(
        preflight
            .header("access-control-allow-headers")
            .contains("If-None-Match")
    );
    api.stop().await;
}

#[tokio::test]
async fn a_client_is_told_its_limit_and_others_are_served() {
    let world = World::new().await;
    let clock = ManualClock::new(1_800_000_000);
    let config = ApiConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        rate_per_second: 1,
        rate_burst: 2,
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        ..ApiConfig::default()
    };
    let registry = Registry::new();
    let (board, shared) = (HealthBoard::default(), Arc::new(clock.clone()));
    let api = ApiService::bind(config, world.catalog.clone(), board, shared, &registry)
        .await
        .unwrap();
    let address = api.local_addr();
    let running = Running::start(api).await;
    let from = async |client: &str| {
        let headers = [("X-Forwarded-For", client)];
        http(address, "GET", "/v1/events/stats", &headers).await
    };
    for remaining in ["1", "0"] {
        let answer = from("192.0.2.1").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-limit"), "2");
        assert_eq!(answer.header("ratelimit-remaining"), remaining);
    }
    let refused = from("192.0.2.1").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit-reset"), "2");
    assert!(refused.text().contains(r#""code":"rate_limited""#));
    assert_eq!(from("192.0.2.2").await.status, 200);
    // Whoever looks after us is not limited.
    for _ in 0..5 {
        let headers = [("X-Forwarded-For", "192.0.2.1")];
        let live = http(address, "GET", "/health/live", &headers).await;
        assert_eq!(live.status, 200);
    }
    clock.advance(Duration::from_secs(1));
    assert_eq!(from("192.0.2.1").await.status, 200);
    running.stop().await;

    let mut text = Vec::new();
    TextEncoder::new()
        .encode(&registry.gather(), &mut text)
        .unwrap();
    let text = String::from_utf8(text).unwrap();
    let counted = r#"bigbrotr_api_requests_total{route="events.stats",status="4xx"} 1"#;
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn the_page_is_told_who_we_are_and_may_talk_to_our_relay_alone() {
    let world = World::new().await;
    let config = ApiConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..open()
    };
    let (board, clock) = (HealthBoard::default(), Arc::new(SystemClock));
    let registry = Registry::new();
    let api = ApiService::bind(config, world.catalog.clone(), board, clock, &registry)
        .await
        .unwrap();
    api.introduce(NodeFacts {
        pubkey: world.node.public_key().to_hex(),
        relay_url: Some("ws://0.0.0.0:7777".into()),
        job_kind: 5_450,
    });
    let address = api.local_addr();
    let running = Running::start(api).await;
    let as_host = async |target: &str, host: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        raw(address, &request).await
    };
    let node = as_host("/node.json", "node.example:8080").await;
    let json: serde_json::Value = serde_json::from_str(node.text()).unwrap();
    assert_eq!(json["relay_url"], "ws://node.example:7777");
    assert_eq!(json["pubkey"], world.node.public_key().to_hex());
    assert_eq!(json["job_kind"], 5_450);
    let page = as_host("/", "node.example:8080").await;
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("connect-src 'self' ws://node.example:7777;"),
        "{policy}"
    );
    let evil = as_host("/", "x;script-src").await;
    let policy = evil.header("content-security-policy");
    assert!(
        policy.is_empty() || policy.contains("connect-src 'self';"),
        "{policy}"
    );
    running.stop().await;
}

#[tokio::test]
async fn one_client_cannot_hold_all_connections() {
    let world = World::new().await;
    let config = ApiConfig {
        max_connections_per_client: 2,
        ..open()
    };
    let (api, address) = world.start_api(config).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        stream.read_exact(&mut [0]).await.unwrap();
        held.push(stream);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    let read = tokio::time::timeout(PATIENCE, third.read(&mut [0]))
        .await
        .unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    drop(held);
    crate::support::eventually("a place", async || {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream
            .write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .ok()?;
        stream.read_exact(&mut [0]).await.ok()
    })
    .await;
    api.stop().await;
}

#[tokio::test]
async fn reading_the_page_leaves_the_allowance_for_questions() {
    let world = World::new().await;
    let config = ApiConfig {
        rate_burst: 3,
        rate_per_second: 1,
        ..ApiConfig::default()
    };
    let (api, address) = world.start_api(config).await;
    for _ in 0..3 {
        assert_eq!(get(address, "/").await.status, 200);
    }
    assert_eq!(
        get(address, "/docs").await.status,
        429,
        "pages have a limit too"
    );
    let answer = get(address, "/v1/kinds").await;
    assert_eq!(
        (answer.status, answer.header("ratelimit-remaining")),
        (200, "2")
    );
    assert_eq!(answer.header("ratelimit-policy"), "3;w=3");
    api.stop().await;
}

#[tokio::test]
async fn an_answer_that_only_moved_in_time_is_not_sent_again() {
    let world = World::new().await;
    let (api, address) = world.start_api(open()).await;
    let first = get(address, "/v1/kinds?window=all").await;
    let as_of = |http: &crate::support::Http| {
        let json: serde_json::Value = serde_json::from_str(http.text()).unwrap();
        json["meta"]["as_of"].as_i64().unwrap()
    };
    let before = as_of(&first);
    crate::support::eventually("the next moment", async || {
        world.store.rollup_to_end().await.unwrap();
        (as_of(&get(address, "/v1/kinds?window=all").await) > before).then_some(())
    })
    .await;
    let known = [("If-None-Match", first.header("etag"))];
    let again = http(address, "GET", "/v1/kinds?window=all", &known).await;
    assert_eq!(again.status, 304);
    api.stop().await;
}

#[tokio::test]
async fn requests_have_ids() {
    let world = World::new().await;
    let (api, address) = world.start_api(open()).await;
    let own = http(address, "GET", "/v1/kinds", &[("X-Request-Id", "abc-1")]).await;
    assert_eq!(own.header("x-request-id"), "abc-1");
    let evil = http(address, "GET", "/v1/kinds", &[("X-Request-Id", "a b")]).await;
    assert_eq!(evil.header("x-request-id").len(), 16);
    api.stop().await;
}

#[tokio::test]
async fn requests_that_are_too_large_are_refused() {
    let world = World::new().await;
    let (api, address) = world.start_api(open()).await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(40_000));
    let refused = raw(address, &long).await.status;
    assert!(matches!(refused, 414 | 431), "{refused}");
    assert_eq!(get(address, "/health/live").await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_those_that_dawdle() {
    let world = World::new().await;
    let (api, address) = world.start_api(open()).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut byte = [0];
    idle.read_exact(&mut byte).await.unwrap();
    let mut dawdling = TcpStream::connect(address).await.unwrap();
    dawdling.write_all(b"GET /health/l").await.unwrap();
    get(address, "/health/live").await;
    api.stop().await;
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, idle.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert!(rest.ends_with(b"{\"live\":true}"));
}

#[tokio::test]
async fn a_port_in_use_is_a_clear_error_with_a_hint() {
    let world = World::new().await;
    let (api, address) = world.start_api(open()).await;
    let bind = async |listen: SocketAddr| {
        let config = ApiConfig { listen, ..open() };
        let (board, clock) = (HealthBoard::default(), Arc::new(SystemClock));
        let registry = Registry::new();
        ApiService::bind(config, world.catalog.clone(), board, clock, &registry).await
    };
    let error = bind(address).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    assert!(error.hint().unwrap().contains("api.listen"));
    let elsewhere = bind("192.0.2.1:80".parse().unwrap()).await.unwrap_err();
    assert!(
        elsewhere
            .hint()
            .unwrap()
            .contains("address of this machine")
    );
    api.stop().await;
}
