//! The page at `/` and the documentation at `/docs`: files that are part of the program.
//!
//! The page is a client like any other: it asks the questions over HTTP and talks to the relay as
//! a Nostr client does. What it has to be told of this node is [`NodeFacts`].
//!
//! Its files lie in a folder that is named after their content, so that browsers may keep them
//! for ever and never mix those of two versions.

use std::collections::BTreeMap;

use include_dir::{Dir, File, include_dir};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::{Host, Url};
use warp::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::answer::{Answer, HTML, JSON};

static SOURCE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/page");

/// What stands in the page for the folder of its files.
const FOLDER: &str = "@FILES@";

/// What the page wants to know of the node that serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// The key that reports and answers are signed with, hex.
    pub pubkey: String,
    /// The relay with reports and jobs, `ws://…` or `wss://…`. One that listens on every address
    /// of the machine is looked for where the page came from.
    pub relay_url: Option<String>,
    /// The kind of requests that the data vending machine takes.
    pub job_kind: u16,
}

impl NodeFacts {
    /// Returns the relay's URL for a client that asked with these headers.
    fn relay_for(&self, asked: &HeaderMap) -> Option<Url> {
        let mut url = Url::parse(self.relay_url.as_deref()?).ok()?;
        let everywhere = match url.host()? {
            Host::Ipv4(address) => address.is_unspecified(),
            Host::Ipv6(address) => address.is_unspecified(),
            Host::Domain(_) => false,
        };
        if everywhere {
            url.set_host(Some(&host(asked)?)).ok()?;
        }
        Some(url)
    }

    fn to_json(&self, asked: &HeaderMap) -> String {
        let relay = self.relay_for(asked);
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pubkey": self.pubkey,
            "relay_url": relay.as_ref().map(|url| url.as_str().trim_end_matches('/')),
            "job_kind": self.job_kind,
        })
        .to_string()
    }
}

/// The name under which a client asked.
///
/// # Security
/// It goes into a header of the answer, so it has to look like a name or an address.
fn host(asked: &HeaderMap) -> Option<String> {
    let given = asked.get(header::HOST)?.to_str().ok()?;
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if !given.bytes().all(harmless) {
        return None;
    }
    let url = Url::parse(&format!("http://{given}/")).ok()?;
    url.host_str().map(str::to_owned)
}

/// The page, ready to be sent.
#[derive(Debug)]
pub(super) struct Page {
    front: Answer,
    docs: Answer,
    files: BTreeMap<String, Answer>,
}

impl Page {
    /// Puts the files together.
    pub(super) fn new() -> Self {
        let mut sources = Vec::new();
        collect(&SOURCE, &mut sources);
        sources.sort_by_key(|file: &&File<'_>| file.path());
        let mut hash = Sha256::new();
        for file in &sources {
            hash.update(file.contents());
        }
        let folder = hex::encode(&hash.finalize()[..8]);
        let files = sources
            .iter()
            .filter_map(|file| {
                let path = file.path().to_str()?;
                let answer = Answer::file(content_type(path)?, file.contents_utf8()?);
                Some((format!("{folder}/{path}"), answer))
            })
            .collect();
        let html = |name: &str| {
            let source = SOURCE.get_file(name).and_then(File::contents_utf8);
            let html = source.unwrap_or_default();
            Answer::page(HTML, html.replace(FOLDER, &format!("page/{folder}")))
        };
        Self {
            front: html("index.html"),
            docs: html("docs.html"),
            files,
        }
    }

    /// The page itself.
    pub(super) fn front(&self, facts: Option<&NodeFacts>, asked: &HeaderMap) -> Answer {
        let relay = facts.and_then(|facts| facts.relay_for(asked));
        guarded(self.front.clone(), relay.as_ref())
    }

    /// What can be asked and how, for humans.
    pub(super) fn docs(&self) -> Answer {
        guarded(self.docs.clone(), None)
    }

    /// A file by its path below the folder of all files.
    pub(super) fn file(&self, path: &str) -> Option<Answer> {
        self.files.get(path).cloned()
    }
}

/// What the page wants to know.
pub(super) fn node(facts: Option<&NodeFacts>, asked: &HeaderMap) -> Answer {
    let nothing = || json!({ "version": env!("CARGO_PKG_VERSION") }).to_string();
    Answer::page(
        JSON,
        facts.map_or_else(nothing, |facts| facts.to_json(asked)),
    )
}

fn collect(dir: &'static Dir<'static>, into: &mut Vec<&'static File<'static>>) {
    into.extend(dir.files());
    for dir in dir.dirs() {
        collect(dir, into);
    }
}

/// Only what the page consists of is served; the other files are for whoever builds it.
fn content_type(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "txt" => Some("text/plain; charset=utf-8"),
        _ => None,
    }
}

/// Says what the page may do: load and run its own files, ask this server and one relay, and
/// never turn text into markup.
fn guarded(page: Answer, relay: Option<&Url>) -> Answer {
    let mut connect = "'self'".to_owned();
    if let Some(url) = relay
        && let Some(host) = url.host_str()
    {
        let port = url
            .port()
            .map_or_else(String::new, |port| format!(":{port}"));
        connect.push_str(&format!(" {}://{host}{port}", url.scheme()));
    }
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src {connect}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_SECURITY_POLICY, &policy),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    headers
        .into_iter()
        .filter_map(|(name, value)| Some((name, HeaderValue::from_str(value).ok()?)))
        .fold(page, |page, (name, value)| page.with(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(host: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::HOST, host.parse().unwrap())])
    }

    fn facts(relay: &str) -> NodeFacts {
        NodeFacts {
            pubkey: "00".repeat(32),
            relay_url: Some(relay.to_owned()),
            job_kind: 5_450,
        }
    }

    fn told(relay: &str, host: &str) -> Option<String> {
        let url = facts(relay).relay_for(&asking(host))?;
        Some(url.as_str().trim_end_matches('/').to_owned())
    }

    #[test]
    fn a_relay_on_every_address_is_where_the_page_came_from() {
        for (relay, host, expected) in [
            ("wss://relay.example", "api.example", "wss://relay.example"),
            (
                "ws://127.0.0.1:7777",
                "localhost:8080",
                "ws://127.0.0.1:7777",
            ),
            ("ws://0.0.0.0:7777", "192.0.2.7:8080", "ws://192.0.2.7:7777"),
            (
                "ws://[::]:7777",
                "[2001:db8::1]:8080",
                "ws://[2001:db8::1]:7777",
            ),
            (
                "ws://0.0.0.0:7777",
                "node.example",
                "ws://node.example:7777",
            ),
        ] {
            assert_eq!(told(relay, host).as_deref(), Some(expected), "{relay}");
        }
        for evil in ["a;script-src", "a b", "a,b", "x@y", "a/b", ""] {
            assert_eq!(told("ws://0.0.0.0:7777", evil), None, "{evil}");
        }
    }

    #[test]
    fn the_page_may_talk_to_its_server_and_its_relay_only() {
        let policy = |answer: &Answer| {
            let found = answer
                .headers
                .iter()
                .find(|(name, _)| name == header::CONTENT_SECURITY_POLICY);
            found.unwrap().1.to_str().unwrap().to_owned()
        };
        let page = Page::new();
        let facts = facts("wss://relay.example/nostr");
        let front = policy(&page.front(Some(&facts), &HeaderMap::new()));
        assert!(
            front.contains("connect-src 'self' wss://relay.example;"),
            "{front}"
        );
        assert!(!front.contains("unsafe"), "{front}");
        let alone = policy(&page.front(None, &HeaderMap::new()));
        assert!(alone.contains("connect-src 'self';"), "{alone}");
        assert_eq!(policy(&page.docs()), alone);
    }

    #[test]
    fn every_file_that_a_page_names_is_there() {
        let page = Page::new();
        for html in [&page.front.body, &page.docs.body] {
            assert!(!html.is_empty() && !html.contains(FOLDER));
            let named: Vec<&str> = html
                .split('"')
                .filter_map(|part| part.strip_prefix("page/"))
                .collect();
            assert!(!named.is_empty());
            for path in named {
                assert!(page.file(path).is_some(), "{path}");
            }
        }
    }

    #[test]
    fn scripts_make_no_markup_and_import_only_what_is_there() {
        let mut files = Vec::new();
        collect(&SOURCE, &mut files);
        for file in files {
            let path = file.path();
            let text = file.contents_utf8().unwrap();
            let is_ours = !path.starts_with("vendor");
            if is_ours && path.extension().is_some_and(|e| e == "js" || e == "html") {
                for word in [
                    "innerHTML",
                    "outerHTML",
                    "insertAdjacent",
                    "eval(",
                    "style=\"",
                ] {
                    assert!(!text.contains(word), "{word} in {}", path.display());
                }
            }
            let imports = text.lines().filter(|line| line.starts_with("import "));
            for line in imports.filter(|_| path.extension().is_some_and(|e| e == "js")) {
                let target = line.split('"').nth(1).unwrap();
                let folder = path.parent().unwrap();
                let target = folder.join(target.trim_start_matches("./"));
                assert!(SOURCE.get_file(&target).is_some(), "{}", target.display());
            }
        }
    }
}
