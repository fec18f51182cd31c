//! The mix of kinds, and the tags and content that each kind has.

use rand::Rng;
use serde_json::json;

use super::contents;
use super::generator::{Generator, Recent};

/// Kinds and how many of 1,000 events have them, near to what open relays hold.
const MIX: [(u16, u32); 22] = [
    (1, 450),
    (7, 170),
    (6, 60),
    (9735, 60),
    (0, 40),
    (4, 30),
    (1059, 25),
    (20_001, 20),
    (3, 18),
    (30_078, 18),
    (10_002, 18),
    (5, 15),
    (1111, 12),
    (30_023, 10),
    (24_133, 10),
    (10_000, 8),
    (1984, 8),
    (1063, 7),
    (16, 6),
    (30_311, 6),
    (10_050, 5),
    (22_242, 4),
];

/// Draws kinds by their share.
#[derive(Debug, Clone)]
pub(super) struct Mix {
    total: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            total: MIX.iter().map(|(_, share)| share).sum(),
        }
    }
}

impl Mix {
    pub(super) fn draw(&self, rng: &mut impl Rng) -> u16 {
        let mut point = rng.random_range(0..self.total);
        for (kind, share) in MIX {
            if point < share {
                return kind;
            }
            point -= share;
        }
        1
    }
}

type Tags = Vec<Vec<String>>;

fn tag<const N: usize>(parts: [&str; N]) -> Vec<String> {
    parts.iter().map(ToString::to_string).collect()
}

/// Composes tags and content for an event of this kind.
pub(super) fn compose(
    source: &mut Generator,
    author: usize,
    kind: u16,
    created_at: i64,
) -> (Tags, String) {
    match kind {
        0 => (Vec::new(), profile(source)),
        3 => (follows(source), String::new()),
        4 | 1059 | 24_133 => (vec![tag(["p", &source.draw_pubkey()])], cipher(source)),
        5 => deletion(source, author),
        6 | 16 => (reference(source, false), String::new()),
        7 => (
            reference(source, false),
            contents::reaction(&mut source.rng),
        ),
        1063 => (file(source), contents::sentence(&mut source.rng, 6)),
        1984 => report(source),
        9735 => (zap(source, created_at), String::new()),
        10_000 => (mutes(source), String::new()),
        10_002 => (relay_list(source, "r"), String::new()),
        10_050 => (relay_list(source, "relay"), String::new()),
        20_001 => (
            vec![tag(["g", "u0nd9"])],
            contents::sentence(&mut source.rng, 5),
        ),
        22_242 => (vec![tag(["relay", &source.draw_relay()])], String::new()),
        30_000..40_000 => addressable(source, kind, created_at),
        _ => note(source),
    }
}

fn note(source: &mut Generator) -> (Tags, String) {
    let mut tags = if source.rng.random_bool(0.55) {
        reference(source, true)
    } else {
        Vec::new()
    };
    for _ in 0..source.rng.random_range(0..3) {
        tags.push(tag(["t", contents::hashtag(&mut source.rng)]));
    }
    if source.rng.random_bool(0.1) {
        let page = source.rng.random_range(0..10_000);
        tags.push(tag(["r", &format!("https://news.example/{page}")]));
    }
    (tags, contents::note(&mut source.rng))
}

/// Refers to an earlier event: NIP-10 markers in replies, hints in some.
fn reference(source: &mut Generator, marked: bool) -> Tags {
    let Some(target) = source.draw_recent() else {
        return Vec::new();
    };
    let hint = if source.rng.random_bool(0.4) {
        source.draw_relay()
    } else {
        String::new()
    };
    let (id, pubkey) = (target.id.to_hex(), target.pubkey.to_hex());
    let event = if marked {
        tag(["e", &id, &hint, "root", &pubkey])
    } else if source.rng.random_bool(0.5) {
        tag(["e", &id, &hint])
    } else {
        tag(["e", &id])
    };
    let mut tags = vec![event, tag(["p", &pubkey])];
    if !marked {
        tags.push(tag(["k", &target.kind.to_string()]));
    }
    tags
}

fn deletion(source: &mut Generator, author: usize) -> (Tags, String) {
    let tags = match source.last_of(author) {
        Some(Recent { id, kind, .. }) => {
            vec![tag(["e", &id.to_hex()]), tag(["k", &kind.to_string()])]
        }
        None => Vec::new(),
    };
    (tags, "posted by mistake".to_owned())
}

fn profile(source: &mut Generator) -> String {
    let name = contents::sentence(&mut source.rng, 2);
    json!({
        "name": name,
        "about": contents::sentence(&mut source.rng, 12),
        "picture": format!("https://img.example/{}.jpg", source.rng.random::<u32>()),
        "nip05": format!("user{}@example.com", source.rng.random_range(0..1000)),
        "lud16": "user@pay.example",
    })
    .to_string()
}

fn follows(source: &mut Generator) -> Tags {
    // A few authors follow many: half have fewer than 40.
    let count = if source.rng.random_bool(0.1) { 400 } else { 60 };
    (0..source.rng.random_range(5..count))
        .map(|_| {
            let pubkey = source.draw_pubkey();
            if source.rng.random_bool(0.2) {
                let hint = source.draw_relay();
                tag(["p", &pubkey, &hint])
            } else {
                tag(["p", &pubkey])
            }
        })
        .collect()
}

fn mutes(source: &mut Generator) -> Tags {
    (0..source.rng.random_range(1..20))
        .map(|_| tag(["p", &source.draw_pubkey()]))
        .collect()
}

/// Lists relays; in a NIP-65 list some have a marker.
fn relay_list(source: &mut Generator, name: &str) -> Tags {
    (0..source.rng.random_range(1..6))
        .map(|_| {
            let url = source.draw_relay();
            match source.rng.random_range(0..4) {
                0 if name == "r" => tag([name, &url, "read"]),
                1 if name == "r" => tag([name, &url, "write"]),
                _ => tag([name, &url]),
            }
        })
        .collect()
}

fn report(source: &mut Generator) -> (Tags, String) {
    let tags = match source.draw_recent() {
        Some(target) => vec![
            tag(["e", &target.id.to_hex(), "spam"]),
            tag(["p", &target.pubkey.to_hex(), "spam"]),
        ],
        None => vec![tag(["p", &source.draw_pubkey(), "impersonation"])],
    };
    (tags, contents::sentence(&mut source.rng, 4))
}

fn file(source: &mut Generator) -> Tags {
    let hash = hex::encode(source.rng.random::<[u8; 32]>());
    vec![
        tag(["url", &format!("https://files.example/{hash}.jpg")]),
        tag(["m", "image/jpeg"]),
        tag(["x", &hash]),
        tag([
            "size",
            &source.rng.random_range(10_000..9_000_000).to_string(),
        ]),
    ]
}

fn zap(source: &mut Generator, created_at: i64) -> Tags {
    let mut tags = reference(source, false);
    let amount = source.rng.random_range(1..100_000_u64) * 1000;
    let request = json!({
        "kind": 9734, "created_at": created_at, "content": "⚡",
        "tags": [["amount", amount.to_string()], ["relays", source.draw_relay()]],
    });
    tags.push(tag([
        "bolt11",
        &format!("lnbc{amount}n1{}", cipher(source)),
    ]));
    tags.push(tag(["description", &request.to_string()]));
    tags.push(tag([
        "preimage",
        &hex::encode(source.rng.random::<[u8; 32]>()),
    ]));
    tags
}

fn addressable(source: &mut Generator, kind: u16, created_at: i64) -> (Tags, String) {
    let name = format!("item-{}", source.rng.random_range(0..20));
    let mut tags = vec![tag(["d", &name])];
    let content = match kind {
        30_023 => {
            tags.push(tag(["title", &contents::sentence(&mut source.rng, 6)]));
            tags.push(tag(["published_at", &created_at.to_string()]));
            tags.push(tag(["t", contents::hashtag(&mut source.rng)]));
            contents::article(&mut source.rng)
        }
        30_311 => {
            tags.push(tag(["title", &contents::sentence(&mut source.rng, 4)]));
            tags.push(tag(["status", "live"]));
            tags.push(tag(["p", &source.draw_pubkey(), "", "Host"]));
            String::new()
        }
        _ => json!({ "n": source.rng.random::<u32>(), "on": true }).to_string(),
    };
    (tags, content)
}

/// Makes what looks like base64 ciphertext.
fn cipher(source: &mut Generator) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let length = source.rng.random_range(88..440);
    let draw = |_| char::from(LETTERS[usize::from(source.rng.random::<u8>() & 63)]);
    (0..length).map(draw).collect()
}
