//! What stands between: TLS with its flaws, the SOCKS server, the TCP proxy and the black hole.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bigbrotr_core::filter::Filter;
use bigbrotr_testkit::client::ClientError;
use bigbrotr_testkit::relay::{TestAuthority, TlsConfig, TlsKind};
use bigbrotr_testkit::socks::{SocksFault, SocksServer};
use bigbrotr_testkit::{BlackHole, SimRelay, SimRelayConfig, TcpProxy, TestClient};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const QUIET: Duration = Duration::from_millis(150);

#[tokio::test]
async fn only_a_good_certificate_is_trusted() {
    let authority = TestAuthority::generate().unwrap();
    for (kind, flaw) in [
        (TlsKind::Trusted, None),
        (TlsKind::SelfSigned, Some("UnknownIssuer")),
        (TlsKind::Expired, Some("Expired")),
        (TlsKind::WrongHost, Some("NotValidForName")),
    ] {
        let tls = Some(TlsConfig::new(&authority, kind));
        let relay = SimRelay::start(SimRelayConfig {
            tls,
            ..Default::default()
        })
        .await
        .unwrap();
        assert!(relay.url().starts_with("wss://127.0.0.1:"));
        match (
            TestClient::connect_tls(&relay.url(), authority.root()).await,
            flaw,
        ) {
            (Ok(mut client), None) => {
                client
                    .req_until_eose("s", &[Filter::default()])
                    .await
                    .unwrap();
            }
            (Err(ClientError::Io(error)), Some(flaw)) => {
                assert!(format!("{error:?}").contains(flaw), "{kind:?}: {error:?}");
            }
            (result, _) => panic!("{kind:?}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn a_relay_has_an_address_of_its_own_and_a_certificate_for_it() {
    let (authority, ip) = (
        TestAuthority::generate().unwrap(),
        Ipv4Addr::new(127, 3, 2, 1),
    );
    let tls = TlsConfig::new(&authority, TlsKind::Trusted);
    for (tls, good) in [(tls.clone().for_host("127.3.2.1"), true), (tls, false)] {
        let relay = SimRelay::start(SimRelayConfig {
            ip,
            tls: Some(tls),
            ..Default::default()
        })
        .await
        .unwrap();
        assert!(relay.url().starts_with("wss://127.3.2.1:"));
        let connected = TestClient::connect_tls(&relay.url(), authority.root()).await;
        assert_eq!(connected.is_ok(), good, "{connected:?}");
    }
}

#[tokio::test]
async fn a_relay_is_on_loopback_or_nowhere() {
    let config = SimRelayConfig {
        ip: Ipv4Addr::UNSPECIFIED,
        ..Default::default()
    };
    let error = SimRelay::start(config).await.unwrap_err();
    assert!(error.to_string().contains("0.0.0.0"), "{error}");
}

#[tokio::test]
async fn a_black_hole_neither_connects_nor_refuses() {
    let hole = BlackHole::open(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .unwrap();
    let address = hole.address();
    for _ in 0..3 {
        let tried = timeout(QUIET, TcpStream::connect(address)).await;
        assert!(tried.is_err(), "{tried:?}");
    }
    drop(hole);
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// Asks a SOCKS server for a name; returns the stream and the reply code.
async fn socks_connect(server: &SocksServer, name: &str, port: u16) -> (TcpStream, u8) {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&[5, 1, 0]).await.unwrap();
    let mut method = [0; 2];
    stream.read_exact(&mut method).await.unwrap();
    if method[1] != 0 {
        return (stream, method[1]);
    }
    let mut request = vec![5, 1, 0, 3, name.len() as u8];
    request.extend(name.as_bytes());
    request.extend(port.to_be_bytes());
    stream.write_all(&request).await.unwrap();
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await.unwrap();
    (stream, reply[1])
}

#[tokio::test]
async fn socks_leads_names_to_relays_and_records_them() {
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let server = SocksServer::start([("abc.onion:80", relay.address())])
        .await
        .unwrap();
    let (stream, code) = socks_connect(&server, "abc.onion", 80).await;
    assert_eq!(code, 0);
    let (mut ws, _) = tokio_tungstenite::client_async("ws://abc.onion/", stream)
        .await
        .unwrap();
    ws.close(None).await.unwrap();
    assert_eq!(socks_connect(&server, "unknown.onion", 80).await.1, 4);
    server.route("late.i2p:80", relay.address());
    assert_eq!(socks_connect(&server, "late.i2p", 80).await.1, 0);
    assert_eq!(
        server.requested(),
        ["abc.onion:80", "unknown.onion:80", "late.i2p:80"]
    );
    server.stop().await;
}

#[tokio::test]
async fn socks_refuses_and_stalls() {
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let server = SocksServer::start([("abc.onion:80", relay.address())])
        .await
        .unwrap();
    server.set_fault(Some(SocksFault::Refuse(5)));
    assert_eq!(socks_connect(&server, "abc.onion", 80).await.1, 5);
    server.set_fault(Some(SocksFault::NoAcceptableMethod));
    assert_eq!(socks_connect(&server, "abc.onion", 80).await.1, 0xff);
    server.set_fault(Some(SocksFault::Stall));
    assert!(
        timeout(QUIET, socks_connect(&server, "abc.onion", 80))
            .await
            .is_err()
    );
    server.set_fault(None);
    assert_eq!(socks_connect(&server, "abc.onion", 80).await.1, 0);
}

#[tokio::test]
async fn the_proxy_stalls_cuts_and_restores() {
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let proxy = TcpProxy::start(relay.address()).await.unwrap();
    let url = format!("ws://{}", proxy.address());
    let mut client = TestClient::connect(&url).await.unwrap();
    client.count("before", &[Filter::default()]).await.unwrap();

    proxy.stall();
    client.req("held", &[Filter::default()]).await.unwrap();
    assert!(client.is_silent_for(QUIET).await);
    proxy.restore();
    assert_eq!(
        client.next().await.unwrap(),
        r#"["EOSE","held"]"#,
        "nothing is lost"
    );

    proxy.cut();
    assert!(!matches!(
        client.next().await,
        Ok(_) | Err(ClientError::Timeout { .. })
    ));
    assert!(TestClient::connect(&url).await.is_err());
    proxy.restore();
    let mut client = TestClient::connect(&url).await.unwrap();
    client.count("after", &[Filter::default()]).await.unwrap();
    assert_eq!(proxy.connections(), 2);
    assert!(proxy.bytes() > 500);
    proxy.stop().await;
    assert!(client.next().await.is_err());
}
