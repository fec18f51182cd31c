//! A client that costs as little as it can: messages are made beforehand, answers are looked at by
//! their first letters.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async};

/// One connection.
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    /// Connects to `ws://address`.
    pub(crate) async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        let url = format!("ws://{address}/");
        let (socket, _) = client_async(url, stream).await.expect("a WebSocket");
        Self { socket }
    }

    pub(crate) async fn say(&mut self, message: String) {
        let sent = self.socket.send(Message::text(message)).await;
        sent.expect("a message is taken");
    }

    /// Waits for the next message; a relay's challenge is none.
    pub(crate) async fn hear(&mut self) -> Utf8Bytes {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) if text.starts_with(r#"["AUTH""#) => {}
                Some(Ok(Message::Text(text))) => return text,
                Some(Ok(_)) => {}
                other => panic!("the relay has hung up: {other:?}"),
            }
        }
    }

    /// Publishes; says whether it was taken.
    pub(crate) async fn publish(&mut self, event: &str) -> bool {
        self.say(event.to_owned()).await;
        let answer = self.hear().await;
        assert!(answer.starts_with(r#"["OK""#), "{answer}");
        answer.contains(",true,")
    }

    /// Asks, and counts the events of the answer.
    pub(crate) async fn ask(&mut self, question: String) -> usize {
        self.say(question).await;
        let mut events = 0;
        loop {
            let answer = self.hear().await;
            if answer.starts_with(r#"["EVENT""#) {
                events += 1;
            } else if answer.starts_with(r#"["EOSE""#) {
                self.say(r#"["CLOSE","q"]"#.to_owned()).await;
                return events;
            } else {
                panic!("no answer: {answer}");
            }
        }
    }
}
