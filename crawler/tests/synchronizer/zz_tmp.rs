use super::support::*;
use bigbrotr_testkit::TcpProxy;
use bigbrotr_testkit::relay::faults::*;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocked_runtime() {
    let slow = [
        Fault::from(ReadFault::Cap {
            events: 20,
            order: Order::NewestFirst,
        }),
        Fault::from(ReadFault::Latency(Duration::from_millis(50))),
    ];
    let relay = relay_with(notes(22, 3000, 20), slow).await;
    let world = World::of(&[&relay]).await;
    let port = world.database.port();
    let proxy = TcpProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await
        .unwrap();
    let store = world.connect(proxy.address().port()).await;
    let running = Running::start(store, config());
    for n in 0..8 {
        tokio::time::sleep(Duration::from_millis(600 + 37 * n)).await;
        proxy.cut();
        proxy.stall();
        tokio::time::sleep(Duration::from_millis(4000)).await;
        proxy.restore();
        tokio::time::sleep(Duration::from_millis(1700)).await;
        eprintln!(
            "{n}: sent {} health {:?} cov {:?}",
            relay.stats().events_sent,
            *running.health.borrow(),
            world
                .store
                .get_coverage(bigbrotr_schema::store::RelayId(1))
                .await
        );
    }
    world.covered(&relay, now()).await;
    world.assert_holds(&[&relay]).await;
    for family in running.registry.gather() {
        for m in family.get_metric() {
            if m.get_counter().get_value() > 0.0 {
                eprintln!(
                    "{} {:?} {}",
                    family.name(),
                    m.get_label()
                        .iter()
                        .map(|l| l.value().to_owned())
                        .collect::<Vec<_>>(),
                    m.get_counter().get_value()
                );
            }
        }
    }
    running.stop().await;
}
