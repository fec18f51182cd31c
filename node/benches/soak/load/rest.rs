//! Clients of the REST mirror.

use std::net::Ipv4Addr;
use std::time::Duration;

use rand::random_range;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::World;
use super::client::connect;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

const GOOD: [&str; 10] = [
    "/v1/events/stats",
    "/v1/events/series?window=24h&bucket=hour",
    "/v1/kinds?limit=50",
    "/v1/relays?limit=100",
    "/v1/pubkeys?limit=100",
    "/v1/networks",
    "/v1/nips",
    "/v1/catalog",
    "/openapi.json",
    "/",
];

const BAD: [&str; 7] = [
    "/v1/nothing",
    "/v1/kinds?limit=-1",
    "/v1/kinds?limit=1&limit=2",
    "/v1/relays/%ff%fe",
    "/v1/events/zz",
    "/v1/kinds?cursor=%00",
    "/../../etc/passwd",
];

/// Asks once, as one of them does.
pub(super) async fn act(world: World, from: Ipv4Addr) {
    let Some(mut stream) = connect(world.api, from).await else {
        world.tally.requests_without_answer.one();
        return;
    };
    let _over = match random_range(0..10) {
        0..=4 => ask(&world, &mut stream, GOOD[random_range(0..GOOD.len())]).await,
        5 | 6 => ask(&world, &mut stream, BAD[random_range(0..BAD.len())]).await,
        7 => deaf(&mut stream).await,
        8 => unfinished(&mut stream).await,
        _ => heavy(&mut stream).await,
    };
}

fn request(target: &str, more: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n{more}\r\n")
}

async fn ask(world: &World, stream: &mut TcpStream, target: &str) -> Option<()> {
    let gzip = ["", "Accept-Encoding: gzip\r\n"][random_range(0..2)];
    let text = request(target, &format!("{gzip}Connection: close\r\n"));
    stream.write_all(text.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let is_over = matches!(read, Ok(Ok(_)));
    match answer.get(9) {
        Some(b'2' | b'3') if is_over => world.tally.requests_answered.one(),
        Some(b'4' | b'5') if is_over => world.tally.requests_refused.one(),
        _ => world.tally.requests_without_answer.one(),
    }
    Some(())
}

/// Asks again and again on one connection, and never reads.
async fn deaf(stream: &mut TcpStream) -> Option<()> {
    let text = request("/v1/relays?limit=500", "");
    for _ in 0..random_range(10..200) {
        let writing = timeout(Duration::from_secs(5), stream.write_all(text.as_bytes()));
        writing.await.ok()?.ok()?;
    }
    sleep(Duration::from_secs(random_range(1..30))).await;
    Some(())
}

/// Begins a request, and says no more.
async fn unfinished(stream: &mut TcpStream) -> Option<()> {
    stream
        .write_all(b"GET /v1/kinds HTTP/1.1\r\nHo")
        .await
        .ok()?;
    sleep(Duration::from_secs(random_range(1..30))).await;
    Some(())
}

/// A head or a body that is too large.
async fn heavy(stream: &mut TcpStream) -> Option<()> {
    let text = match random_range(0..3) {
        0 => request("/v1/kinds", &format!("X: {}\r\n", "y".repeat(100_000))),
        1 => request(&format!("/v1/kinds?{}", "a=b&".repeat(20_000)), ""),
        _ => "POST /v1/kinds HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n".to_owned(),
    };
    stream.write_all(text.as_bytes()).await.ok()?;
    let mut answer = [0; 1_000];
    timeout(PATIENCE, stream.read(&mut answer))
        .await
        .ok()?
        .ok()?;
    Some(())
}
