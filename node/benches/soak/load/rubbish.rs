//! Clients that send the relay what no client should.

use std::net::Ipv4Addr;
use std::time::Duration;

use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_testkit::population::{EventMaker, InvalidEvents, author_keys};
use rand::random_range;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::World;
use super::client::{Client, connect};

/// Sends one sort of rubbish over a new connection.
pub(super) async fn act(world: World, from: Ipv4Addr) {
    world.tally.rubbish_sent.one();
    let _over = match random_range(0..6) {
        0 => raw(&world, from).await,
        1 => half_a_head(&world, from).await,
        2 => flood(&world, from).await,
        3 => events(&world, from).await,
        4 => frames(&world, from).await,
        _ => messages(&world, from).await,
    };
}

/// Bytes that are no HTTP, to both faces.
async fn raw(world: &World, from: Ipv4Addr) -> Option<()> {
    let to = if random_range(0..2) == 0 {
        world.relay
    } else {
        world.api
    };
    let mut stream = connect(to, from).await?;
    let length = random_range(1..100_000);
    let bytes: Vec<u8> = (0..length).map(|_| rand::random()).collect();
    stream.write_all(&bytes).await.ok()?;
    let mut answer = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut answer))
        .await
        .ok()?
        .ok()?;
    Some(())
}

/// A request whose head never ends.
async fn half_a_head(world: &World, from: Ipv4Addr) -> Option<()> {
    let mut stream = connect(world.relay, from).await?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n")
        .await
        .ok()?;
    for n in 0..random_range(1..40) {
        sleep(Duration::from_millis(500)).await;
        stream
            .write_all(format!("X-{n}: y\r\n").as_bytes())
            .await
            .ok()?;
    }
    Some(())
}

/// More messages than anybody may send.
async fn flood(world: &World, from: Ipv4Addr) -> Option<()> {
    let mut client = Client::connect(world.relay, from).await?;
    for n in 0..300 {
        client
            .say(format!(r#"["REQ","{n}",{{"kinds":[{n}],"limit":1}}]"#))
            .await?;
    }
    client.next(Duration::from_secs(5)).await?;
    Some(())
}

/// Events that are invalid, of kinds that are not taken, too large, too old, too new.
async fn events(world: &World, from: Ipv4Addr) -> Option<()> {
    let mut client = Client::connect(world.relay, from).await?;
    let (keys, now) = (author_keys(10, random_range(0..1_000)), SystemClock.now());
    let invalid = InvalidEvents::new(keys.clone(), now);
    for (_, event) in invalid.all() {
        client.say(format!(r#"["EVENT",{event}]"#)).await?;
    }
    let others = [
        EventMaker::new(now).content("not taken"),
        EventMaker::new(now)
            .kind(30_166)
            .tag(["d", "wss://relay.example.com/"]),
        EventMaker::new(now + 1_000_000)
            .kind(5_450)
            .tag(["i", "events.stats", "text"]),
        EventMaker::new(now)
            .kind(5_450)
            .content("x".repeat(140_000)),
        EventMaker::new(now).kind(22_242).tag(["challenge", "mine"]),
    ];
    for maker in others {
        client
            .say(format!(r#"["EVENT",{}]"#, maker.sign(&keys).to_json()))
            .await?;
        client.next(Duration::from_secs(5)).await?;
    }
    Some(())
}

/// Frames that are no text, or too large.
async fn frames(world: &World, from: Ipv4Addr) -> Option<()> {
    let mut client = Client::connect(world.relay, from).await?;
    client.send(Message::binary(vec![0xff; 1_000])).await?;
    client.send(Message::Ping(vec![1; 125].into())).await?;
    client.next(Duration::from_secs(2)).await;
    client.say("x".repeat(300 << 10)).await?;
    client.next(Duration::from_secs(5)).await?;
    Some(())
}

/// Texts that are no messages.
async fn messages(world: &World, from: Ipv4Addr) -> Option<()> {
    let mut client = Client::connect(world.relay, from).await?;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let filters = vec![r#"{"kinds":[1]}"#; 50].join(",");
    let texts = [
        String::new(),
        "hello".to_owned(),
        "[]".to_owned(),
        r#"["REQ"]"#.to_owned(),
        r#"["REQ","a",[]]"#.to_owned(),
        r#"["REQ","a",{"kinds":["x"]}]"#.to_owned(),
        r#"["REQ","a",{"limit":-1,"since":1e99}]"#.to_owned(),
        format!(r#"["REQ","{}",{{}}]"#, "x".repeat(1_000)),
        format!(r#"["REQ","a",{filters}]"#),
        format!(r#"["REQ","a",{{"search":"{}"}}]"#, "x".repeat(10_000)),
        r#"["NEG-MSG","none","61"]"#.to_owned(),
        r#"["NEG-OPEN","a",{},"zz"]"#.to_owned(),
        r#"["AUTH",{}]"#.to_owned(),
        r#"["EVENT",{"id":1}]"#.to_owned(),
        r#"["WHAT",1,2,3]"#.to_owned(),
        deep,
    ];
    for text in texts {
        client.say(text).await?;
    }
    for _ in 0..20 {
        client.next(Duration::from_secs(1)).await?;
    }
    Some(())
}
