use super::support::*;
use std::time::Duration;
use bigbrotr_testkit::relay::faults::*;

#[tokio::test]
async fn blocked_runtime() {
    let slow = [Fault::from(ReadFault::Cap{events:20, order: Order::NewestFirst}), Fault::from(ReadFault::Latency(Duration::from_millis(50)))];
    let relay = relay_with(notes(22, 2000, 20), slow).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(config());
    for n in 0..8 {
        tokio::time::sleep(Duration::from_millis(13 * n)).await;
        // force new connections: hold many
        std::thread::sleep(Duration::from_millis(3500));
        tokio::time::sleep(Duration::from_millis(700)).await;
        eprintln!("{n}: sent {} health {:?} cov {:?}", relay.stats().events_sent, *running.health.borrow(), world.store.get_coverage(bigbrotr_schema::store::RelayId(1)).await);
    }
    world.covered(&relay, now()).await;
    for family in running.registry.gather() { for m in family.get_metric() { if m.get_counter().get_value() > 0.0 { eprintln!("{} {:?} {}", family.name(), m.get_label().iter().map(|l| l.value().to_owned()).collect::<Vec<_>>(), m.get_counter().get_value()); } } }
    running.stop().await;
}
