//! Customers of the data vending machine.

use std::net::Ipv4Addr;
use std::time::Duration;

use bigbrotr_dvm::ask::{COUNT_KIND, Cipher, JobRequest, Output};
use nostr::{Event, EventBuilder, JsonUtil, Keys, Kind, Tag, Timestamp};
use rand::random_range;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::World;
use super::client::Client;

/// How long a customer waits for an answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long requests stay on the relay.
const EXPIRY_SECONDS: u64 = 90;

/// Sends a job, one way or another, and waits for its answer.
pub(super) async fn act(world: World, from: Ipv4Addr) {
    let Some(mut client) = Client::connect(world.relay, from).await else {
        return;
    };
    world.tally.connections.one();
    // A few customers are known, and come often enough to be told to wait.
    let keys = match random_range(0..4) {
        0 => bigbrotr_testkit::population::author_keys(11, random_range(0..3)),
        _ => Keys::generate(),
    };
    let _over = match random_range(0..9) {
        0..=2 => ordinary(&world, &mut client, &keys).await,
        3 => senseless(&world, &mut client, &keys).await,
        4 => twice(&world, &mut client, &keys, from).await,
        5 => cancelled(&world, &mut client, &keys).await,
        6 => encrypted(&world, &mut client, &keys).await,
        7 => counted(&world, &mut client, &keys).await,
        _ => abroad(&world, &mut client, &keys).await,
    };
}

fn question() -> JobRequest {
    match random_range(0..6) {
        0 => JobRequest::new("events.stats").param("window", "all"),
        1 => JobRequest::new("kinds.list")
            .param("limit", "20")
            .output(Output::Csv),
        2 => JobRequest::new("relays.list").param("limit", "100"),
        3 => JobRequest::new("pubkeys.list")
            .param("limit", "100")
            .output(Output::Plain),
        4 => JobRequest::new("networks.list"),
        _ => JobRequest::new("software.list"),
    }
}

/// Signs a request that does not stay for ever, and is unlike all others.
fn sign(builder: EventBuilder, keys: &Keys) -> Option<Event> {
    let expires = Timestamp::now() + EXPIRY_SECONDS;
    let nonce = rand::random::<u64>().to_string();
    builder
        .tag(Tag::expiration(expires))
        .tag(Tag::parse(["r", &nonce]).ok()?)
        .sign_with_keys(keys)
        .ok()
}

async fn send(world: &World, client: &mut Client, request: &Event) -> Option<()> {
    world.tally.jobs_sent.one();
    let id = request.id.to_hex();
    client
        .say(json!(["REQ", "answers", {"#e": [id]}]).to_string())
        .await?;
    client
        .say(format!(r#"["EVENT",{}]"#, request.as_json()))
        .await
}

/// Waits for a result or an error.
async fn wait(world: &World, client: &mut Client, request: &Event) -> Option<()> {
    let (end, id) = (Instant::now() + PATIENCE, request.id.to_hex());
    loop {
        let text = client
            .next(end.saturating_duration_since(Instant::now()))
            .await;
        let Some(text) = text else {
            world.tally.jobs_without_answer.one();
            return None;
        };
        let message: Value = serde_json::from_str(&text).ok()?;
        match (message[0].as_str(), &message[2]) {
            (Some("OK"), accepted) if message[1] == id && *accepted == false => {
                world.tally.jobs_refused.one();
                return Some(());
            }
            (Some("EVENT"), event) => match event["kind"].as_u64() {
                Some(6_400 | 6_450) => {
                    world.tally.jobs_answered.one();
                    return Some(());
                }
                Some(7_000) if text.contains(r#"["status","error""#) => {
                    world.tally.jobs_refused.one();
                    return Some(());
                }
                _ => {}
            },
            _ => {}
        }
    }
}

async fn ordinary(world: &World, client: &mut Client, keys: &Keys) -> Option<()> {
    let request = sign(question().to_event_builder().ok()?, keys)?;
    send(world, client, &request).await?;
    wait(world, client, &request).await
}

/// Questions that do not exist, parameters that are none, inputs of all sorts.
async fn senseless(world: &World, client: &mut Client, keys: &Keys) -> Option<()> {
    let job = match random_range(0..5) {
        0 => JobRequest::new("what.is"),
        1 => JobRequest::new("kinds.list").param("limit", "-1"),
        2 => JobRequest::new("events.get").param("id", "x".repeat(5_000)),
        3 => JobRequest::new("relays.get").param("url", "'; drop table events; --"),
        _ => JobRequest::new("kinds.list").param("cursor", "\0"),
    };
    let request = sign(job.to_event_builder().ok()?, keys)?;
    send(world, client, &request).await?;
    wait(world, client, &request).await
}

/// The same request over two connections, and once more when it is answered.
async fn twice(world: &World, client: &mut Client, keys: &Keys, from: Ipv4Addr) -> Option<()> {
    let request = sign(question().to_event_builder().ok()?, keys)?;
    let mut other = Client::connect(world.relay, from).await?;
    other
        .say(format!(r#"["EVENT",{}]"#, request.as_json()))
        .await?;
    send(world, client, &request).await?;
    wait(world, client, &request).await?;
    other
        .say(format!(r#"["EVENT",{}]"#, request.as_json()))
        .await
}

async fn cancelled(world: &World, client: &mut Client, keys: &Keys) -> Option<()> {
    let request = sign(question().to_event_builder().ok()?, keys)?;
    send(world, client, &request).await?;
    sleep(Duration::from_millis(random_range(0..50))).await;
    let deletion = EventBuilder::new(Kind::EventDeletion, "").tag(Tag::event(request.id));
    let deletion = sign(deletion, keys)?;
    client
        .say(format!(r#"["EVENT",{}]"#, deletion.as_json()))
        .await?;
    client.next(Duration::from_secs(2)).await?;
    Some(())
}

async fn encrypted(world: &World, client: &mut Client, keys: &Keys) -> Option<()> {
    let cipher = if random_range(0..2) == 0 {
        Cipher::Nip04
    } else {
        Cipher::Nip44
    };
    let job = question().provider(world.provider);
    let builder = if random_range(0..4) == 0 {
        EventBuilder::new(Kind::Custom(job.kind), "no cipher?iv=x")
            .tag(Tag::public_key(world.provider))
            .tag(Tag::parse(["encrypted"]).ok()?)
    } else {
        job.to_sealed_builder(keys, cipher).ok()?
    };
    let request = sign(builder, keys)?;
    send(world, client, &request).await?;
    wait(world, client, &request).await
}

async fn counted(world: &World, client: &mut Client, keys: &Keys) -> Option<()> {
    let content = match random_range(0..4) {
        0 => "{".repeat(1_000),
        1 => r#"{"kinds":[1,7]}"#.to_owned(),
        _ => r#"{"kinds":[1],"limit":10}"#.to_owned(),
    };
    let request = sign(EventBuilder::new(Kind::Custom(COUNT_KIND), content), keys)?;
    send(world, client, &request).await?;
    wait(world, client, &request).await
}

/// Asks on another relay, or for answers on others, some of which are dead or worse.
async fn abroad(world: &World, client: &mut Client, keys: &Keys) -> Option<()> {
    let mut job = question().provider(world.provider);
    for _ in 0..random_range(1..4) {
        let relay = &world.elsewhere[random_range(0..world.elsewhere.len())];
        job.relays.push(relay.clone());
    }
    let request = sign(job.to_event_builder().ok()?, keys)?;
    if random_range(0..2) == 0 {
        let event = bigbrotr_core::event::Event::from(&request);
        world.tally.jobs_sent.one();
        world.abroad.add(event);
    } else {
        send(world, client, &request).await?;
        wait(world, client, &request).await?;
    }
    Some(())
}
