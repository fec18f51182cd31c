//! A web server that serves what a test says, and counts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What a path answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// This body with this content type.
    Body(&'static str, String),
    /// This status, without a body.
    Status(u16),
    /// A redirect to this URL.
    Redirect(String),
    /// A body that never ends.
    Endless,
    /// A length that is announced, and nothing of it.
    Announced(u64),
    /// Nothing, for ever.
    Silence,
}

/// A web server on loopback. Dropping it ends it.
pub(crate) struct Web {
    address: SocketAddr,
    pages: Arc<Mutex<HashMap<String, Answer>>>,
    requests: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Web {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pages: Arc<Mutex<HashMap<String, Answer>>> = Arc::default();
        let requests = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let (known, count) = (pages.clone(), requests.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(stream, known.clone()));
            }
        });
        Self {
            address,
            pages,
            requests,
            _tasks: tasks,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Says what a path answers, and returns its URL.
    pub(crate) fn page(&self, path: &str, answer: Answer) -> String {
        self.pages.lock().unwrap().insert(path.to_owned(), answer);
        self.url(path)
    }

    pub(crate) fn json(&self, path: &str, body: &str) -> String {
        self.page(path, Answer::Body("application/json", body.to_owned()))
    }
}

async fn serve(mut stream: TcpStream, pages: Arc<Mutex<HashMap<String, Answer>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let answer = pages.lock().unwrap().get(&path).cloned();
    let text = match answer.unwrap_or(Answer::Status(404)) {
        Answer::Body(kind, body) => format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
        Answer::Status(status) => format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n"),
        Answer::Redirect(to) => {
            format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
        }
        Answer::Announced(bytes) => format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n"),
        Answer::Silence => return std::future::pending().await,
        Answer::Endless => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[";
            let mut written = stream.write_all(head.as_bytes()).await;
            while written.is_ok() {
                written = stream
                    .write_all(&b"\"wss://a.example.com\",".repeat(100))
                    .await;
            }
            return;
        }
    };
    // The client may have seen enough.
    stream.write_all(text.as_bytes()).await.unwrap_or_default();
    stream.shutdown().await.unwrap_or_default();
}
