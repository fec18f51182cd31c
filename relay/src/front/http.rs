//! One HTTP request, one answer: NIP-11 for who asks for it, a WebSocket for who wants one, and a
//! line of text for everybody else.

use std::net::SocketAddr;

use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::upgrade::OnUpgrade;

use super::gate::{Limit, Ticket};
use super::{forwarded, handshake};
use crate::shared::{Peer, Shared};

const DENIED: &str = "your address is banned\n";

type Answer = Response<Full<Bytes>>;

/// A connection that becomes a WebSocket once the answer is sent.
pub(super) struct Upgrade {
    pub(super) on_upgrade: OnUpgrade,
    pub(super) peer: AdmittedPeer,
}

/// A client and its place among the WebSocket connections.
pub(crate) struct AdmittedPeer {
    pub(crate) peer: Peer,
    pub(crate) _ticket: Ticket,
}

/// Answers a request.
///
/// # Security
/// Everything in the request is a stranger's. Its size is bounded by the connection; its body is
/// never read.
pub(super) fn answer(
    shared: &Shared,
    mut request: Request<Incoming>,
    address: SocketAddr,
    local: SocketAddr,
) -> (Answer, Option<Upgrade>) {
    let (mut response, upgrade) = decide(shared, &mut request, address, local);
    if upgrade.is_none() {
        // One answer is all that anybody needs.
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    (response, upgrade)
}

fn decide(
    shared: &Shared,
    request: &mut Request<Incoming>,
    address: SocketAddr,
    local: SocketAddr,
) -> (Answer, Option<Upgrade>) {
    if request.method() == Method::OPTIONS {
        let mut response = plain(StatusCode::NO_CONTENT, "");
        response.headers_mut().remove(CONTENT_TYPE);
        return (with_cors(response), None);
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return (
            plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n"),
            None,
        );
    }
    if handshake::is_wanted(request.headers()) {
        let client = forwarded::client_ip(&shared.config, request.headers(), address.ip());
        if super::is_denied(&shared.config, client) {
            super::refused(shared, Limit::Denied);
            return (plain(StatusCode::FORBIDDEN, DENIED), None);
        }
        let peer = Peer { client, local };
        return upgrade(shared, request, peer);
    }
    (with_cors(document_or_text(shared, request.headers())), None)
}

fn upgrade(
    shared: &Shared,
    request: &mut Request<Incoming>,
    peer: Peer,
) -> (Answer, Option<Upgrade>) {
    let response = match handshake::accept(request.version(), request.headers()) {
        Ok(response) => response,
        Err((status, reason)) => return (plain(status, reason), None),
    };
    let ticket = match shared.sessions.enter(peer.client, true) {
        Ok(ticket) => ticket,
        Err(limit) => return (full(shared, limit), None),
    };
    let upgrade = Upgrade {
        on_upgrade: hyper::upgrade::on(request),
        peer: AdmittedPeer {
            peer,
            _ticket: ticket,
        },
    };
    (response, Some(upgrade))
}

fn full(shared: &Shared, limit: Limit) -> Answer {
    super::refused(shared, limit);
    let (status, reason) = match limit {
        Limit::Total => (StatusCode::SERVICE_UNAVAILABLE, "the relay is full\n"),
        Limit::Denied => (StatusCode::FORBIDDEN, DENIED),
        Limit::Address => (
            StatusCode::TOO_MANY_REQUESTS,
            "too many connections from your address\n",
        ),
    };
    let mut response = plain(status, reason);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("60"));
    response
}

fn document_or_text(shared: &Shared, headers: &HeaderMap) -> Answer {
    let wants_document = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|media_type| {
            media_type
                .trim()
                .eq_ignore_ascii_case("application/nostr+json")
        });
    if !wants_document {
        return plain(
            StatusCode::OK,
            "This is a Nostr relay. Connect with a Nostr client, by WebSocket.\n",
        );
    }
    let mut response = Response::new(Full::from(shared.document.clone()));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/nostr+json"),
    );
    response
}

/// Adds the three headers that NIP-11 asks for.
fn with_cors(mut response: Answer) -> Answer {
    let headers = response.headers_mut();
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-headers", "*"),
        ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}
