//! The REST mirror: paths, parameters, pages and errors.

use std::collections::BTreeMap;

use bigbrotr_core::health::HealthBoard;
use bigbrotr_core::service::Health;
use serde_json::Value;

use crate::support::{RELAY, World, encode, get, http, open};

#[tokio::test]
async fn a_body_is_the_catalogues_bytes_and_relay_urls_are_percent_encoded() {
    let world = World::new().await;
    let (api, address) = world.start_api(open()).await;
    let answer = get(address, &format!("/v1/relays/{}?window=all", encode(RELAY))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let params: BTreeMap<String, String> = [("url", RELAY), ("window", "all")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let expected = world.catalog.run("relays.get", &params).await.unwrap();
    assert_eq!(answer.text(), expected.json);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");

    // As browsers write the same path: only the slashes encoded, in capitals and not.
    let loose = RELAY.replace('/', "%2f");
    let again = get(address, &format!("/v1/relays/{loose}?window=all")).await;
    assert_eq!(again.text(), expected.json);
    api.stop().await;
}

#[tokio::test]
async fn errors_are_json_of_one_shape_with_the_right_status() {
    let world = World::new().await;
    let (api, address) = world.start_api(open()).await;
    for (method, target, status, code, param) in [
        ("GET", "/v1/kinds?limit=0", 400, "invalid_param", "limit"),
        ("GET", "/v1/kinds?nope=1", 400, "invalid_param", "nope"),
        (
            "GET",
            "/v1/kinds?limit=1&limit=1",
            400,
            "invalid_param",
            "limit",
        ),
        ("GET", "/v1/kinds/1?kind=1", 400, "invalid_param", "kind"),
        ("GET", "/v1/kinds/%ff", 400, "invalid_param", "kind"),
        ("GET", "/v1/relays/nonsense", 400, "invalid_param", "url"),
        (
            "GET",
            "/v1/software?limit=%ff",
            400,
            "invalid_param",
            "limit",
        ),
        ("GET", "/v1/kinds/?window=all", 404, "not_found", ""),
        ("GET", "/page/../v1/kinds", 404, "not_found", ""),
        ("GET", "/v1/catalog?x=1", 400, "invalid_param", "x"),
        ("GET", "/v1/nope", 404, "not_found", ""),
        ("GET", "/v1", 404, "not_found", ""),
        (
            "GET",
            "/v1/relays/wss://a.example.com/nostr",
            404,
            "not_found",
            "",
        ),
        (
            "GET",
            "/v1/relays/wss%3A%2F%2Fnot.here.example",
            404,
            "not_found",
            "",
        ),
        ("POST", "/nowhere", 404, "not_found", ""),
        ("POST", "/v1/kinds", 405, "method_not_allowed", ""),
        ("DELETE", "/", 405, "method_not_allowed", ""),
    ] {
        let answer = http(address, method, target, &[]).await;
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "no-store");
        let json: Value = serde_json::from_str(answer.text()).unwrap();
        let error = &json["error"];
        assert_eq!(error["code"], code, "{method} {target}");
        assert!(!error["message"].as_str().unwrap().is_empty());
        let named = error["param"].as_str().unwrap_or_default();
        assert_eq!(named, param, "{method} {target}");
        if status == 405 {
            assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
        }
    }
    api.stop().await;
}

#[tokio::test]
async fn lists_are_paged_by_the_cursor_of_the_answer() {
    let world = World::new().await;
    let (api, address) = world.start_api(open()).await;
    let whole: Value =
        serde_json::from_str(get(address, "/v1/kinds?sort=kind").await.text()).unwrap();
    let mut rows = Vec::new();
    let mut target = "/v1/kinds?sort=kind&limit=3".to_owned();
    loop {
        let page: Value = serde_json::from_str(get(address, &target).await.text()).unwrap();
        rows.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["meta"]["next"].as_str() else {
            break;
        };
        target = format!("/v1/kinds?sort=kind&limit=3&cursor={next}");
    }
    assert_eq!(Value::Array(rows), whole["data"]);
    api.stop().await;
}

#[tokio::test]
async fn the_page_comes_with_its_files_and_the_description_has_every_question() {
    let world = World::new().await;
    let (api, address) = world.start_api(open()).await;
    for target in ["/", "/docs"] {
        let page = get(address, target).await;
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert!(
            page.header("content-security-policy")
                .contains("default-src 'none'; script-src 'self'")
        );
        let files = page.text().split('"').filter(|p| p.starts_with("page/"));
        for file in files {
            let file = get(address, &format!("/{file}")).await;
            assert_eq!(file.status, 200);
            assert!(file.header("cache-control").contains("immutable"));
        }
    }
    let other = get(address, "/page/0000000000000000/app.js").await;
    assert_eq!(
        (other.status, other.header("content-type")),
        (404, "application/json")
    );
    let openapi = get(address, "/openapi.json").await;
    let openapi: Value = serde_json::from_str(openapi.text()).unwrap();
    assert_eq!(openapi["openapi"], "3.1.0");
    for entry in world.catalog.entries() {
        let path = format!("/v1{}", entry.path);
        assert_eq!(openapi["paths"][path]["get"]["operationId"], *entry.name);
    }
    api.stop().await;
}

#[tokio::test]
async fn health_tells_the_process_from_its_work() {
    let world = World::new().await;
    let board = HealthBoard::default();
    let (api, address) = world.start_api_with(open(), board.clone()).await;
    assert_eq!(get(address, "/health/live").await.status, 200);
    assert_eq!(get(address, "/health/ready").await.status, 503);
    board.set("database", Health::Ready);
    assert_eq!(get(address, "/health/ready").await.status, 200);
    board.set("relay", Health::Degraded("port lost".into()));
    let ready = get(address, "/health/ready").await;
    assert_eq!(ready.status, 503);
    let json: Value = serde_json::from_str(ready.text()).unwrap();
    assert_eq!(json["parts"]["relay"]["reason"], "port lost");
    assert_eq!(get(address, "/health/live").await.status, 200);
    api.stop().await;
}
