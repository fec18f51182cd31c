//! The relays of the benchmark: what they are like, how many there are, what a check must find.

use std::time::Duration;

use bigbrotr_testkit::relay::faults::{
    ConnectionFault, Fault, InformationFault, ReadFault, WriteFault,
};
use bigbrotr_testkit::relay::{AuthPolicy, SimRelayConfig, TlsKind};

/// What a check of a relay finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) online: bool,
    pub(crate) readable: Option<bool>,
    pub(crate) writable: Option<bool>,
    pub(crate) information: bool,
}

const WELL: Found = Found {
    online: true,
    readable: Some(true),
    writable: Some(true),
    information: true,
};
const OFFLINE: Found = Found {
    online: false,
    readable: None,
    writable: None,
    information: false,
};

/// Where a relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At an address of its own.
    Alone,
    /// At an address that it shares with 49 others.
    Crowded,
    /// Its name does not exist.
    Nowhere,
    /// At an address that refuses.
    Refusing,
    /// At an address that answers nothing.
    Swallowed,
}

/// One sort of relay.
pub(crate) struct Character {
    pub(crate) name: &'static str,
    /// How many of a thousand relays are so.
    pub(crate) of_1000: usize,
    pub(crate) place: Place,
    pub(crate) tls: Option<TlsKind>,
    /// What goes wrong at the n-th of them.
    pub(crate) faults: fn(usize) -> Vec<Fault>,
    pub(crate) auth: AuthPolicy,
    pub(crate) found: Found,
}

impl Character {
    /// Says whether it answers at once: what takes longer takes it on our side.
    pub(crate) fn is_quick(&self) -> bool {
        self.found == WELL && (self.faults)(0).is_empty()
    }

    /// Describes the n-th relay of this sort, without its address and certificate.
    pub(crate) fn config(&self, n: usize) -> SimRelayConfig {
        SimRelayConfig {
            auth: self.auth,
            faults: (self.faults)(n),
            ..SimRelayConfig::default()
        }
    }
}

fn none(_: usize) -> Vec<Fault> {
    Vec::new()
}

fn well(name: &'static str, of_1000: usize) -> Character {
    Character {
        name,
        of_1000,
        place: Place::Alone,
        tls: Some(TlsKind::Trusted),
        faults: none,
        auth: AuthPolicy::Open,
        found: WELL,
    }
}

fn dead(name: &'static str, of_1000: usize, place: Place) -> Character {
    Character {
        place,
        found: OFFLINE,
        ..well(name, of_1000)
    }
}

/// Four of a thousand, with what a check must find of them.
fn hostile(name: &'static str, faults: fn(usize) -> Vec<Fault>, found: Found) -> Character {
    Character {
        faults,
        found,
        ..well(name, 4)
    }
}

/// 50 to 500 ms, each a little different.
fn latency(n: usize) -> Duration {
    Duration::from_millis(50 + (n * 97 % 451) as u64)
}

fn slow(n: usize) -> Vec<Fault> {
    vec![
        ConnectionFault::HandshakeDelay(latency(n)).into(),
        ReadFault::Latency(latency(n + 1)).into(),
        WriteFault::Latency(latency(n + 2)).into(),
        InformationFault::Latency(latency(n + 3)).into(),
    ]
}

/// Every sort of relay; of a thousand, 500 are healthy, 150 slow, 250 dead and 100 hostile.
pub(crate) fn characters() -> Vec<Character> {
    let mut characters = vec![
        well("healthy", 350),
        Character {
            place: Place::Crowded,
            ..well("healthy, 50 at one address", 100)
        },
        Character {
            tls: None,
            ..well("healthy, without TLS", 50)
        },
        Character {
            faults: slow,
            ..well("slow: 50 to 500 ms for each answer", 150)
        },
        dead("dead: name does not exist", 80, Place::Nowhere),
        dead("dead: connection refused", 70, Place::Refusing),
        dead("dead: never answers", 100, Place::Swallowed),
    ];
    characters.extend(hostile_to_connections());
    characters.extend(hostile_to_questions());
    characters.extend(hostile_in_documents());
    characters
}

fn hostile_to_connections() -> Vec<Character> {
    let documented = Found {
        information: true,
        ..OFFLINE
    };
    vec![
        hostile(
            "never answers the upgrade",
            |_| vec![ConnectionFault::NoHandshake.into()],
            documented,
        ),
        hostile(
            "a web site",
            |_| vec![ConnectionFault::Html.into(), InformationFault::Html.into()],
            OFFLINE,
        ),
        hostile(
            "status 503",
            |_| vec![ConnectionFault::Status(503).into()],
            documented,
        ),
        hostile(
            "wrong accept key",
            |_| vec![ConnectionFault::WrongAcceptKey.into()],
            documented,
        ),
        hostile(
            "resets who comes back within 5 s",
            |_| vec![ConnectionFault::BanReconnects(Duration::from_secs(5)).into()],
            WELL,
        ),
        Character {
            tls: Some(TlsKind::Expired),
            ..hostile("certificate expired", none, OFFLINE)
        },
        Character {
            tls: Some(TlsKind::SelfSigned),
            ..hostile("certificate signed by itself", none, OFFLINE)
        },
        Character {
            tls: Some(TlsKind::WrongHost),
            ..hostile("certificate of another host", none, OFFLINE)
        },
    ]
}

fn hostile_to_questions() -> Vec<Character> {
    let unreadable = Found {
        readable: Some(false),
        ..WELL
    };
    let silent = Found {
        writable: Some(false),
        ..unreadable
    };
    let hung_up = Found {
        writable: None,
        ..unreadable
    };
    vec![
        hostile(
            "silent: answers no REQ and no EVENT",
            |_| vec![ReadFault::Silence.into(), WriteFault::Silence.into()],
            silent,
        ),
        hostile(
            "answers with NOTICE only",
            |_| vec![ReadFault::Notice("no".into()).into()],
            unreadable,
        ),
        hostile(
            "one byte a second",
            |_| vec![ReadFault::Drip(Duration::from_secs(1)).into()],
            silent,
        ),
        hostile(
            "rubbish before each answer",
            |_| vec![ReadFault::rubbish().into()],
            WELL,
        ),
        hostile(
            "events without end",
            |_| vec![ReadFault::Endless.into()],
            WELL,
        ),
        hostile(
            "a message of 6 MB",
            |_| vec![ReadFault::Oversized(6 << 20).into()],
            hung_up,
        ),
        hostile(
            "cut in the middle of a message",
            |_| vec![ReadFault::CutMidMessage { after: 0 }.into()],
            hung_up,
        ),
        Character {
            auth: AuthPolicy::All,
            ..hostile("wants authentication", none, silent)
        },
        hostile(
            "EOSE before its events",
            |_| vec![ReadFault::EoseFirst.into()],
            WELL,
        ),
        hostile(
            "wrong subscription id",
            |_| vec![ReadFault::WrongSubscription.into()],
            WELL,
        ),
    ]
}

fn hostile_in_documents() -> Vec<Character> {
    let undocumented = Found {
        information: false,
        ..WELL
    };
    vec![
        hostile(
            "document without end",
            |_| vec![InformationFault::Endless.into()],
            undocumented,
        ),
        hostile(
            "document that explodes",
            |_| vec![InformationFault::GzipBomb.into()],
            undocumented,
        ),
        hostile(
            "document in a circle",
            |_| vec![InformationFault::RedirectLoop.into()],
            undocumented,
        ),
        hostile(
            "document of one byte a second",
            |_| vec![InformationFault::Slow(Duration::from_secs(1)).into()],
            undocumented,
        ),
        hostile(
            "document that never comes",
            |_| vec![InformationFault::Silence.into()],
            undocumented,
        ),
        hostile(
            "document of wrong types",
            |_| vec![InformationFault::WrongTypes.into()],
            WELL,
        ),
        hostile(
            "document cut off",
            |_| vec![InformationFault::Cut.into()],
            undocumented,
        ),
    ]
}

/// How many relays of each sort there are, in the order of [`characters`]; the healthy ones make
/// up the number.
pub(crate) fn counts(relays: usize) -> Vec<usize> {
    let mut counts: Vec<usize> = characters()
        .iter()
        .map(|character| relays * character.of_1000 / 1000)
        .collect();
    let rest: usize = counts.iter().skip(1).sum();
    counts[0] = relays.saturating_sub(rest);
    counts
}
