//! Clients that read from the relay.

use std::net::Ipv4Addr;
use std::time::Duration;

use rand::random_range;
use tokio::time::{Instant, sleep};

use super::World;
use super::client::Client;

/// What there is to ask for: reports, the archive, its beginning, what is new.
const FILTERS: [&str; 6] = [
    r#"{"kinds":[30166],"limit":300}"#,
    r#"{"limit":500}"#,
    r#"{"kinds":[1],"limit":500}"#,
    r#"{"kinds":[0,3,10002],"limit":100}"#,
    r#"{"kinds":[1,6,7],"limit":0}"#,
    r#"{"kinds":[1],"until":1750000000,"limit":200}"#,
];

/// Connects, asks, and reads as one of them does.
pub(super) async fn act(world: World, from: Ipv4Addr) {
    let Some(mut client) = Client::connect(world.relay, from).await else {
        return;
    };
    world.tally.connections.one();
    let _over = match random_range(0..7) {
        0 | 1 => patient(&world, &mut client).await,
        2 => slow(&world, &mut client).await,
        3 => deaf(&mut client).await,
        4 => vanishing(&mut client).await,
        5 => greedy(&mut client).await,
        _ => counting(&mut client).await,
    };
}

fn filter() -> &'static str {
    FILTERS[random_range(0..FILTERS.len())]
}

async fn subscribe(client: &mut Client, subscriptions: usize) -> Option<()> {
    for n in 0..subscriptions {
        client
            .say(format!(r#"["REQ","s{n}",{}]"#, filter()))
            .await?;
    }
    Some(())
}

/// Reads all that comes for up to a minute, and leaves in order.
async fn patient(world: &World, client: &mut Client) -> Option<()> {
    subscribe(client, random_range(1..5)).await?;
    let end = Instant::now() + Duration::from_secs(random_range(2..60));
    while Instant::now() < end {
        if client
            .next(end - Instant::now())
            .await?
            .starts_with(r#"["EVENT""#)
        {
            world.tally.events_read.one();
        }
    }
    client.say(r#"["CLOSE","s0"]"#).await
}

/// Reads a message a second.
async fn slow(world: &World, client: &mut Client) -> Option<()> {
    subscribe(client, 6).await?;
    for _ in 0..random_range(5..60) {
        client.next(Duration::from_secs(1)).await?;
        world.tally.events_read.one();
        sleep(Duration::from_secs(1)).await;
    }
    Some(())
}

/// Asks and never reads.
async fn deaf(client: &mut Client) -> Option<()> {
    for _ in 0..20 {
        subscribe(client, 10).await?;
        sleep(Duration::from_secs(1)).await;
    }
    Some(())
}

/// Asks and is gone, with everything unread.
async fn vanishing(client: &mut Client) -> Option<()> {
    subscribe(client, 3).await?;
    sleep(Duration::from_millis(random_range(0..500))).await;
    None
}

/// Opens more subscriptions than it may, the same ones again and again, and closes what is not
/// open.
async fn greedy(client: &mut Client) -> Option<()> {
    for _ in 0..3 {
        subscribe(client, 30).await?;
        client.say(r#"["CLOSE","nothing"]"#).await?;
        for _ in 0..100 {
            client.next(Duration::from_secs(1)).await?;
        }
    }
    Some(())
}

/// Counts, and begins reconciliations that it does not end.
async fn counting(client: &mut Client) -> Option<()> {
    for n in 0..10 {
        client
            .say(format!(r#"["COUNT","c{n}",{}]"#, filter()))
            .await?;
        client
            .say(format!(
                r#"["NEG-OPEN","n{n}",{{"kinds":[1]}},"6100000200"]"#
            ))
            .await?;
        client.next(Duration::from_secs(5)).await?;
    }
    Some(())
}
