//! A relay that does nothing: it takes every event, and has the same ten for every question. What
//! is measured with it is the benchmark itself, and WebSocket.

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::corpus::Corpus;

/// Serves until the process is killed; its address is the first line of its output.
pub(crate) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    let notes = Corpus::make(10).events.into_iter().map(|event| {
        let event = event.strip_prefix(r#"["EVENT","#).expect("an EVENT");
        Utf8Bytes::from(format!(r#"["EVENT","q",{event}"#))
    });
    let notes: Vec<Utf8Bytes> = notes.collect();
    let mut clients = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        clients.spawn(answer(stream, notes.clone()));
        while clients.try_join_next().is_some() {}
    }
}

async fn answer(stream: TcpStream, notes: Vec<Utf8Bytes>) {
    stream.set_nodelay(true).expect("an option");
    let Ok(mut socket) = accept_async(stream).await else {
        return;
    };
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        let answers = if text.starts_with(r#"["EVENT""#) {
            vec![Utf8Bytes::from_static(r#"["OK","00",true,""]"#)]
        } else if text.starts_with(r#"["REQ""#) {
            let end = Utf8Bytes::from_static(r#"["EOSE","q"]"#);
            notes.iter().cloned().chain([end]).collect()
        } else {
            continue;
        };
        for answer in answers {
            if socket.feed(Message::Text(answer)).await.is_err() {
                return;
            }
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}
