//! The REST mirror as an HTTP server: caching, compression, browsers, limits, connections.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::{ManualClock, SystemClock};
use bigbrotr_core::health::HealthBoard;
use bigbrotr_dvm::{ApiConfig, ApiService};
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
