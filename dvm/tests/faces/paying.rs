//! A price: nothing is done before the receipt, and each receipt pays for one job.

use bigbrotr_core::event::{Event, EventId};
use bigbrotr_dvm::DvmConfig;
use bigbrotr_dvm::ask::JobRequest;
use nostr::{EventBuilder, JsonUtil, Keys, Kind, Tag};

use crate::support::{Running, World, eventually, is_final, quick};

fn zap(
    payer: &Keys,
    us: &Keys,
    provider: &Keys,
    id: &EventId,
    msats: &str,
    invoice: &str,
) -> Event {
    let parse = |tag: [&str; 2]| Tag::parse(tag).unwrap();
    let (us, id) = (us.public_key().to_hex(), id.to_hex());
    let tags = [["p", &us], ["e", &id], ["amount", msats]].map(parse);
    let request = EventBuilder::new(Kind::ZapRequest, "").tags(tags);
    let request = request.sign_with_keys(payer).unwrap().as_json();
    let tags = [["description", &request], ["bolt11", invoice]].map(parse);
    let receipt = EventBuilder::new(Kind::ZapReceipt, "").tags(tags);
    Event::from(&receipt.sign_with_keys(provider).unwrap())
}

#[tokio::test]
async fn a_priced_job_is_answered_after_its_receipt_and_no_bid_pays() {
    let world = World::new().await;
    let provider = Keys::generate();
    let config = DvmConfig {
        price_msats: 21_000,
        zap_provider: provider.public_key().to_hex(),
        ..quick()
    };
    let dvm = Running::start(world.dvm(config)).await;
    let asking = || JobRequest::new("kinds.list").to_event_builder().unwrap();
    let bid = Tag::parse(["bid", "1000000"]).unwrap();
    let first = world.send_event(asking().tag(bid)).await;
    let second = world
        .send_event(asking().tag(Tag::parse(["x", "2"]).unwrap()))
        .await;
    let wanted = async |id: EventId| {
        eventually("the price", async || {
            let answers = world.answers(id).await;
            answers
                .into_iter()
                .find(|e| e.tag_value("status") == Some("payment-required"))
        })
        .await
    };
    let feedback = wanted(first).await;
    assert_eq!(feedback.tag_value("amount"), Some("21000"));
    wanted(second).await;

    let say = async |receipt: &Event| world.store.publish(receipt).await.unwrap();
    let (payer, us) = (&world.customer, &world.node);
    say(&zap(payer, us, &provider, &first, "20000", "lnbc200n1xx")).await;
    say(&zap(
        payer,
        us,
        &Keys::generate(),
        &first,
        "21000",
        "lnbc210n1xx",
    ))
    .await;
    // By the feedback's id, as a client may do.
    let receipt = zap(payer, us, &provider, &feedback.id, "21000", "lnbc210n1xx");
    say(&receipt).await;
    let result = world.answer(first).await;
    assert_eq!(
        (result.kind, result.tag_value("amount")),
        (6450, Some("21000"))
    );
    let feedback_of = |event: &Event| event.tag_value("status").map(ToOwned::to_owned);
    let statuses: Vec<String> = world
        .answers(first)
        .await
        .iter()
        .filter_map(feedback_of)
        .collect();
    assert_eq!(statuses, ["payment-required", "processing", "success"]);
    assert!(
        !world.answers(second).await.iter().any(is_final),
        "nobody paid for it"
    );
    dvm.stop().await;
}
