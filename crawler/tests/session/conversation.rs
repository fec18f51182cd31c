//! Opening, raw messages, silence and the end of a session.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::message::{ClientMessage, RelayMessage};
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_crawler::dial::{Dialer, NetworksConfig, TableResolver};
use bigbrotr_crawler::session::{Session, SessionConfig, SessionError};
use bigbrotr_testkit::population::author_keys;
use bigbrotr_testkit::relay::faults::{ConnectionFault, Fault};
use bigbrotr_testkit::{EventMaker, SimRelay, TcpProxy};
use tokio::time::Instant;

use crate::support::{START, config, connect, connect_to, notes, quick, relay};

async fn open(relay: &SimRelay) -> Result<Session, SessionError> {
    let policy = UrlPolicy {
        allow_private: true,
        ..UrlPolicy::default()
    };
    let url = RelayUrl::parse(&relay.url(), &policy).unwrap();
    let networks = NetworksConfig {
        allow_private: true,
        ..NetworksConfig::default()
    };
    let dialer = Dialer::with(networks, Arc::new(TableResolver::default()), &[]).unwrap();
    let mut config = config();
    config.websocket.upgrade_timeout = Duration::from_millis(300);
    Session::connect(&dialer, &url, &config).await
}

#[tokio::test]
async fn a_failed_opening_names_its_reason() {
    for (fault, reason) in [
        (ConnectionFault::Refuse, "connect_refused"),
        (ConnectionFault::NoHandshake, "upgrade_timeout"),
        (ConnectionFault::Status(503), "upgrade_refused"),
        (
            ConnectionFault::Redirect("ws://127.0.0.1:1/".into()),
            "upgrade_refused",
        ),
        (ConnectionFault::Html, "upgrade_refused"),
        (ConnectionFault::WrongAcceptKey, "upgrade_protocol"),
    ] {
        let relay = relay(0, [fault.clone()]).await;
        let error = open(&relay).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn opening_is_timed_and_slow_upgrades_show() {
    let delay = Duration::from_millis(50);
    let relay = relay(0, [ConnectionFault::HandshakeDelay(delay)]).await;
    let session = open(&relay).await.unwrap();
    let report = session.open();
    assert!(report.upgrade >= delay && report.rtt() >= report.upgrade);
    assert!(report.remote_ip.unwrap().is_loopback() && report.tls.is_none());
}

#[tokio::test]
async fn live_events_come_as_frames_and_a_deadline_is_no_end() {
    let relay = relay(0, [] as [Fault; 0]).await;
    let mut session = connect(&relay).await;
    let sub_id = session.fresh_sub_id();
    let filters = vec![notes()];
    session
        .send(&ClientMessage::Req {
            sub_id: sub_id.clone(),
            filters,
        })
        .await
        .unwrap();
    let soon = || Instant::now() + Duration::from_millis(200);
    let eose = session.next(soon()).await.unwrap().unwrap();
    assert!(
        matches!(eose.message(), Ok(RelayMessage::Eose { .. })),
        "{}",
        eose.text()
    );
    assert!(session.next(soon()).await.unwrap().is_none());
    let event = EventMaker::new(START).sign(&author_keys(7, 0));
    relay.add(event.clone());
    let frame = session
        .next(Instant::now() + Duration::from_secs(2))
        .await
        .unwrap()
        .unwrap();
    let Ok(RelayMessage::Event {
        sub_id: id,
        event: json,
    }) = frame.message()
    else {
        panic!("{}", frame.text());
    };
    assert_eq!((id, json), (sub_id.into(), event.to_json().as_str()));
    assert_eq!(session.counts().messages_received, 2);
    assert_eq!(session.counts().messages_sent, 1);
    session.close().await;
}

#[tokio::test]
async fn a_quiet_relay_that_answers_pings_lives_and_a_dead_line_does_not() {
    let relay = relay(0, [] as [Fault; 0]).await;
    let proxy = TcpProxy::start(relay.address()).await.unwrap();
    let impatient = SessionConfig {
        idle_timeout: Duration::from_millis(200),
        ..config()
    };
    let mut session = connect_to(&format!("ws://{}", proxy.address()), &impatient).await;
    let quiet = session
        .next(Instant::now() + Duration::from_millis(700))
        .await;
    assert!(quiet.unwrap().is_none(), "a quiet relay is not a dead one");
    proxy.stall();
    let dead = session
        .next(Instant::now() + Duration::from_secs(5))
        .await
        .unwrap_err();
    assert!(matches!(dead, SessionError::Silent { .. }), "{dead}");
    assert!(!session.is_alive());
}

#[tokio::test]
async fn sessions_run_in_tasks_side_by_side() {
    let relay = relay(5, [] as [Fault; 0]).await;
    let url = relay.url();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let url = url.clone();
        tasks.spawn(async move {
            let mut session = connect_to(&url, &config()).await;
            let page = session.fetch_page(&notes(), &quick()).await;
            session.close().await;
            page.events.len()
        });
    }
    assert_eq!(tasks.join_all().await, vec![5; 20]);
}
