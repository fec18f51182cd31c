//! A relay that answers by a script: for what no simulated relay does.

use bigbrotr_core::message::ClientMessage;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use crate::support::HOST;

/// The relay. It ends when this is dropped.
pub(crate) struct Scripted {
    port: u16,
    _tasks: JoinSet<()>,
}

impl Scripted {
    /// Starts a relay that answers every message with what the script makes of it.
    pub(crate) async fn start(
        greeting: Vec<String>,
        script: impl Fn(ClientMessage) -> Vec<String> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
                    continue;
                };
                for text in &greeting {
                    drop(socket.send(Message::text(text.clone())).await);
                }
                while let Some(Ok(message)) = socket.next().await {
                    let Message::Text(text) = message else {
                        continue;
                    };
                    for answer in script(ClientMessage::parse(&text).unwrap()) {
                        drop(socket.send(Message::text(answer)).await);
                    }
                }
            }
        });
        Self {
            port,
            _tasks: tasks,
        }
    }

    /// Its URL, under the name that the tests' resolver knows.
    pub(crate) fn url(&self) -> RelayUrl {
        let url = format!("ws://{HOST}:{}", self.port);
        RelayUrl::parse(&url, &UrlPolicy::default()).unwrap()
    }
}

/// What every relay does: takes events, and has none.
pub(crate) fn ordinary(message: &ClientMessage) -> Vec<String> {
    match message {
        ClientMessage::Event(event) => vec![format!(r#"["OK","{}",true,""]"#, event.id)],
        ClientMessage::Req { sub_id, .. } => vec![format!(r#"["EOSE","{sub_id}"]"#)],
        _ => Vec::new(),
    }
}
