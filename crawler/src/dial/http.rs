//! A bounded HTTP GET through the dialer: for NIP-11 documents and lists of relays.
//!
//! Redirects are followed by hand, each hop through the dialer, so a public URL cannot lead to a
//! private address. Compression is not asked for, and refused when it comes all the same.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HOST, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use url::Url;

use super::error::DialError;
use super::stream::{DialStream, Meter, ReadCapReached};
use super::target::{Target, TargetError};
use super::tls::TlsInfo;
use super::websocket::DEFAULT_USER_AGENT;
use super::{DialTimings, Dialer};
use crate::limits::{
    HTTP_OVERHEAD_BYTES, HTTP_TIMEOUT, MAX_HTTP_BODY_BYTES, MAX_HTTP_HEAD_BYTES, MAX_HTTP_HEADERS,
    MAX_HTTP_REDIRECTS,
};

/// The media type of NIP-11 documents.
pub const NOSTR_JSON: &str = "application/nostr+json";

/// Bounds and headers of one GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// The `Accept` header.
    pub accept: &'static str,
    /// The `User-Agent` header; left out when empty or not printable ASCII.
    pub user_agent: String,
    /// The largest body, bytes.
    pub max_body_bytes: usize,
    /// The most redirects.
    pub max_redirects: usize,
    /// The longest time for all of it, redirects included.
    pub timeout: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            accept: NOSTR_JSON,
            user_agent: DEFAULT_USER_AGENT.to_owned(),
            max_body_bytes: MAX_HTTP_BODY_BYTES,
            max_redirects: MAX_HTTP_REDIRECTS,
            timeout: HTTP_TIMEOUT,
        }
    }
}

/// A whole answer. Any status may be in it but the redirects that were followed.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// Status.
    pub status: StatusCode,
    /// The URL that answered, after redirects.
    pub url: Url,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, as sent.
    pub body: Vec<u8>,
    /// How the last hop was dialled.
    pub dial: DialTimings,
    /// What the last hop's TLS handshake showed.
    pub tls: Option<TlsInfo>,
    /// The time for all of it.
    pub took: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL, or one redirected to, is not for HTTP.
    #[error("cannot fetch the url")]
    Target(#[from] TargetError),
    /// The text is no URL.
    #[error("not a url")]
    Url(#[from] url::ParseError),
    /// No connection.
    #[error("cannot connect")]
    Dial(#[from] DialError),
    /// A redirect without a usable `Location`, or one that may not be followed.
    #[error("redirect is refused: {why}")]
    Redirect {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The body is compressed though that was not asked for.
    #[error("body is encoded though identity was asked for")]
    Encoded,
    /// The body is larger than allowed.
    #[error("body is larger than {max_bytes} bytes")]
    TooLarge {
        /// The bound.
        max_bytes: usize,
    },
    /// The answer is not HTTP, or the connection broke.
    #[error("http exchange failed")]
    Exchange(#[source] hyper::Error),
    /// The time is used up.
    #[error("no whole answer within {after:?}")]
    TimedOut {
        /// The bound.
        after: Duration,
    },
}

impl HttpError {
    /// Says whether the failure is on our side and so tells nothing about the server.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Dial(error) if error.is_ours())
    }

    /// Says whether the same request may succeed a moment later: something broke, and nobody has
    /// given an answer. A time-out had its time.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Dial(error) => error.is_transient(),
            Self::Exchange(error) => !error.is_parse() && !error.is_user(),
            _ => false,
        }
    }

    /// Names the reason from a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Target(_) | Self::Url(_) => "http_url",
            Self::Dial(error) => error.reason(),
            Self::Redirect { .. } => "http_redirect",
            Self::Encoded => "http_encoded",
            Self::TooLarge { .. } => "http_too_large",
            Self::Exchange(_) => "http_broken",
            Self::TimedOut { .. } => "http_timeout",
        }
    }
}

/// Fetches a URL.
///
/// # Errors
/// [`HttpError`]. A status like 404 is no error but a response.
///
/// # Security
/// Every hop goes through the dialer, which refuses special-purpose addresses. A redirect from
/// https to http, or to another network, is refused. User info in URLs is not sent.
pub async fn get(
    dialer: &Dialer,
    url: &str,
    options: &HttpOptions,
) -> Result<HttpResponse, HttpError> {
    let after = options.timeout;
    tokio::time::timeout(after, follow(dialer, Url::parse(url)?, options))
        .await
        .unwrap_or(Err(HttpError::TimedOut { after }))
}

async fn follow(
    dialer: &Dialer,
    mut url: Url,
    options: &HttpOptions,
) -> Result<HttpResponse, HttpError> {
    let started = Instant::now();
    for _ in 0..=options.max_redirects {
        match fetch(dialer, &url, options, started).await? {
            Hop::Answer(response) => return Ok(*response),
            Hop::Redirect(location) => url = redirected(&url, &location)?,
        }
    }
    Err(HttpError::Redirect {
        why: "too many of them",
    })
}

enum Hop {
    Answer(Box<HttpResponse>),
    Redirect(HeaderValue),
}

/// Resolves where a redirect leads, and refuses what must not be followed.
fn redirected(from: &Url, location: &HeaderValue) -> Result<Url, HttpError> {
    let refused = |why| HttpError::Redirect { why };
    let Ok(location) = location.to_str() else {
        return Err(refused("location is not ASCII"));
    };
    let to = from.join(location)?;
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err(refused("it leads from https to http"));
    }
    if !matches!(to.scheme(), "http" | "https") {
        return Err(refused("it leads to another protocol"));
    }
    if Target::from_url(from)?.network != Target::from_url(&to)?.network {
        return Err(refused("it leads to another network"));
    }
    Ok(to)
}

async fn fetch(
    dialer: &Dialer,
    url: &Url,
    options: &HttpOptions,
    started: Instant,
) -> Result<Hop, HttpError> {
    let reached = dialer.dial(&Target::from_url(url)?).await?;
    let meter = reached.stream.meter().clone();
    let whole = (options.max_body_bytes as u64).saturating_mul(2);
    meter.cap_reads(whole.saturating_add(HTTP_OVERHEAD_BYTES));
    let (head, body) = exchange(reached.stream, request(url, options), options, &meter).await?;
    if head.status.is_redirection()
        && let Some(location) = head.headers.get(LOCATION)
    {
        return Ok(Hop::Redirect(location.clone()));
    }
    Ok(Hop::Answer(Box::new(HttpResponse {
        status: head.status,
        url: url.clone(),
        headers: head.headers,
        body,
        dial: reached.timings,
        tls: reached.tls,
        took: started.elapsed(),
    })))
}

fn request(url: &Url, options: &HttpOptions) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let headers = request.headers_mut();
    for (name, value) in [
        (HOST, authority),
        (ACCEPT, options.accept),
        (ACCEPT_ENCODING, "identity"),
        (USER_AGENT, &options.user_agent),
    ] {
        if let Ok(value) = HeaderValue::from_str(value)
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    }
    request
}

async fn exchange(
    stream: DialStream,
    request: Request<Empty<Bytes>>,
    options: &HttpOptions,
    meter: &Meter,
) -> Result<(http::response::Parts, Vec<u8>), HttpError> {
    let broken = |error: hyper::Error| match ReadCapReached::in_chain(&error) {
        Some(_) => HttpError::TooLarge {
            max_bytes: options.max_body_bytes,
        },
        None => HttpError::Exchange(error),
    };
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HTTP_HEAD_BYTES)
        .max_headers(MAX_HTTP_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        read_body(response, options.max_body_bytes)
            .await
            .map_err(|error| match error {
                HttpError::Exchange(error) => broken(error),
                other => other,
            })
    };
    // The connection ends before the body is taken from it, or with an error that the answer
    // reports as well: it is only driven here.
    let mut connection = pin!(async {
        if let Err(error) = connection.await {
            tracing::debug!(%error, read_bytes = meter.read_bytes(), "http connection broke");
        }
        std::future::pending::<Infallible>().await
    });
    tokio::select! {
        answer = answer => answer,
        never = &mut connection => match never {},
    }
}

async fn read_body(
    response: Response<Incoming>,
    max_bytes: usize,
) -> Result<(http::response::Parts, Vec<u8>), HttpError> {
    let (head, mut incoming) = response.into_parts();
    if head.status.is_redirection() && head.headers.contains_key(LOCATION) {
        return Ok((head, Vec::new()));
    }
    let encodings = head.headers.get_all(CONTENT_ENCODING).iter();
    if encodings
        .into_iter()
        .any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(HttpError::Encoded);
    }
    let too_large = HttpError::TooLarge { max_bytes };
    let announced = incoming.size_hint().lower();
    if announced > max_bytes as u64 {
        return Err(too_large);
    }
    let mut body = Vec::with_capacity(announced as usize);
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(HttpError::Exchange)?.into_data() else {
            continue;
        };
        if body.len() + data.len() > max_bytes {
            return Err(too_large);
        }
        body.extend_from_slice(&data);
    }
    Ok((head, body))
}
