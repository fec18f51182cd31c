//! What the relays are like: every sort of fault that there is, and what honest relays do.

use std::time::Duration;

use bigbrotr_core::event::EventId;
use bigbrotr_testkit::population::{InvalidEvents, author_keys};
use bigbrotr_testkit::relay::faults::{
    ConnectionFault, Fault, InformationFault, Order, ReadFault, ReconcileFault, Wire, WriteFault,
};
use bigbrotr_testkit::relay::{AuthPolicy, SimRelayConfig, TlsKind};

/// What a relay is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// All its events have to be archived.
    Honest,
    /// Now open, now closed.
    ComesAndGoes,
    /// Whatever else.
    Hostile,
}

/// One sort of relay.
pub(crate) struct Character {
    pub(crate) about: &'static str,
    pub(crate) role: Role,
    pub(crate) count: usize,
    /// Certificates are of an authority that the node does not know.
    pub(crate) tls: Option<TlsKind>,
    /// Describes the n-th of them, without its address.
    pub(crate) config: Box<dyn Fn(usize) -> SimRelayConfig + Send>,
}

impl Character {
    fn new(
        about: &'static str,
        role: Role,
        count: usize,
        config: impl Fn(usize) -> SimRelayConfig + Send + 'static,
    ) -> Self {
        Self {
            about,
            role,
            count,
            tls: None,
            config: Box::new(config),
        }
    }
}

/// One hostile relay for each of these faults.
fn each<F: Into<Fault>>(about: &'static str, faults: Vec<F>) -> Character {
    let faults: Vec<Fault> = faults.into_iter().map(Into::into).collect();
    Character::new(about, Role::Hostile, faults.len(), move |n| {
        SimRelayConfig::with_faults([faults[n].clone()])
    })
}

/// Every sort of relay.
pub(crate) fn characters() -> Vec<Character> {
    let mut characters = usual();
    characters.push(each("does not let in", connection()));
    characters.push(each("strange bytes for an answer", answers()));
    characters.push(each("strange frames at the beginning", frames()));
    characters.push(each("reads go wrong", reads()));
    characters.push(each("writes go wrong", writes()));
    characters.push(each("document goes wrong", documents()));
    characters.push(each("lies when it reconciles", reconciliations()));
    characters.push(each("does not reconcile", ReconcileFault::unsupported()));
    characters.extend(encrypted());
    characters
}

fn usual() -> Vec<Character> {
    let slow = |n: usize| {
        let latency = Duration::from_millis(50 + (n * 97 % 451) as u64);
        SimRelayConfig::with_faults([
            Fault::from(ConnectionFault::HandshakeDelay(latency)),
            ReadFault::Latency(latency).into(),
            WriteFault::Latency(latency).into(),
            InformationFault::Latency(latency).into(),
        ])
    };
    let auth = |policy: AuthPolicy| {
        move |_: usize| SimRelayConfig {
            auth: policy,
            ..SimRelayConfig::default()
        }
    };
    let capped = |_: usize| {
        SimRelayConfig::with_faults([ReadFault::Cap {
            events: 100,
            order: Order::NewestFirst,
        }])
    };
    vec![
        Character::new("honest", Role::Honest, 30, |_| SimRelayConfig::default()),
        Character::new("honest, without NIP-77", Role::Honest, 20, |_| {
            SimRelayConfig {
                negentropy: None,
                max_limit: Some(500),
                ..SimRelayConfig::default()
            }
        }),
        Character::new("slow", Role::Hostile, 12, slow),
        Character::new("gives 100 events at most", Role::Hostile, 6, capped),
        Character::new("comes and goes", Role::ComesAndGoes, 24, |_| {
            SimRelayConfig::default()
        }),
        Character::new(
            "authenticates readers",
            Role::Hostile,
            6,
            auth(AuthPolicy::Reads),
        ),
        Character::new(
            "authenticates everybody",
            Role::Hostile,
            4,
            auth(AuthPolicy::All),
        ),
        Character::new(
            "authenticates writers",
            Role::Hostile,
            3,
            auth(AuthPolicy::Writes),
        ),
        Character::new("bans who comes back soon", Role::Hostile, 8, |n| {
            let time = Duration::from_secs(2 + n as u64 * 4);
            SimRelayConfig::with_faults([ConnectionFault::BanReconnects(time)])
        }),
        Character::new("cuts every session", Role::Hostile, 8, |n| {
            let time = Duration::from_millis(20 << n);
            SimRelayConfig::with_faults([ConnectionFault::CutAfter(time)])
        }),
        Character::new("nobody there", Role::Hostile, 8, |_| {
            SimRelayConfig::with_faults([ConnectionFault::Refuse])
        }),
    ]
}

fn connection() -> Vec<ConnectionFault> {
    let redirects = ["ws://127.0.0.1:9/", "http://127.0.0.1:9/", "/", "wss://"];
    let mut faults = vec![
        ConnectionFault::NoHandshake,
        ConnectionFault::NoHandshake,
        ConnectionFault::Status(403),
        ConnectionFault::Status(429),
        ConnectionFault::Status(503),
        ConnectionFault::Html,
        ConnectionFault::WrongAcceptKey,
        ConnectionFault::HandshakeDelay(Duration::from_secs(3)),
        ConnectionFault::HandshakeDelay(Duration::from_mins(1)),
    ];
    faults.extend(redirects.map(|url| ConnectionFault::Redirect(url.to_owned())));
    faults
}

fn answers() -> Vec<ConnectionFault> {
    let second = Duration::from_secs(1);
    let greetings = [
        Wire::ssh(),
        Wire::nothing(),
        Wire::zeros(),
        Wire::headless(),
    ];
    let answers = [
        Wire::endless_headers(),
        Wire::giant_header(),
        Wire::many_headers(),
        Wire::endless_informational(),
        Wire::dripping_head(second),
        Wire::absurd_chunk(),
        Wire::two_lengths(),
    ];
    let greetings = greetings.into_iter().map(ConnectionFault::Greet);
    greetings
        .chain(answers.into_iter().map(ConnectionFault::Answer))
        .collect()
}

fn frames() -> Vec<ConnectionFault> {
    let frames = [
        Wire::compressed_frame(),
        Wire::masked_frame(),
        Wire::large_ping(),
        Wire::fragmented_ping(),
        Wire::unknown_frame(),
        Wire::invalid_text(),
        Wire::stray_continuation(),
        Wire::nested_message(),
        Wire::giant_frame(),
        Wire::endless_fragments(),
        Wire::empty_fragments(),
        Wire::pings_between_fragments(),
        Wire::ping_flood(),
        Wire::binary_flood(),
        Wire::close_within_message(),
        Wire::short_close(),
        Wire::invalid_close(),
        Wire::cut_message(),
        Wire::notices(),
        Wire::challenges(),
        Wire::giant_challenge(1 << 20),
        Wire::foreign_oks(),
        Wire::early_answers(),
    ];
    frames.into_iter().map(ConnectionFault::Begin).collect()
}

fn reads() -> Vec<ReadFault> {
    let invalid = InvalidEvents::new(author_keys(9, 9), 1_750_000_000).all();
    let closed = ["restricted: members only", "blocked: go away", "error: no"];
    let mut faults = vec![
        ReadFault::Silence,
        ReadFault::StallAfter(5),
        ReadFault::NoEose,
        ReadFault::EoseFirst,
        ReadFault::EmptyForBroad,
        ReadFault::PartialThenClosed {
            events: 5,
            message: "error: enough".to_owned(),
        },
        ReadFault::AuthRequired { challenge: true },
        ReadFault::AuthRequired { challenge: false },
        ReadFault::Notice("no".to_owned()),
        ReadFault::IgnoreFilter,
        ReadFault::WrongSignatures { every: 1 },
        ReadFault::WrongSignatures { every: 3 },
        ReadFault::WrongSubscription,
        ReadFault::Inject(invalid.into_iter().map(|(_, json)| json).collect()),
        ReadFault::Duplicates,
        ReadFault::Endless,
        ReadFault::CutMidMessage { after: 3 },
        ReadFault::CloseFrame {
            after: 2,
            code: 1_008,
        },
        ReadFault::rubbish(),
        ReadFault::Binary,
        ReadFault::Oversized(6 << 20),
        ReadFault::Drip(Duration::from_secs(1)),
        ReadFault::Latency(Duration::from_secs(3)),
        ReadFault::Inconsistent,
        ReadFault::Answer(Wire::endless_fragments()),
        ReadFault::Answer(Wire::ping_flood()),
    ];
    faults.extend(closed.map(|message| ReadFault::Closed(message.to_owned())));
    faults
}

fn writes() -> Vec<WriteFault> {
    vec![
        WriteFault::Refuse("blocked: not you".to_owned()),
        WriteFault::Refuse("auth-required: who are you".to_owned()),
        WriteFault::Refuse("pow: 40 bits".to_owned()),
        WriteFault::Silence,
        WriteFault::Notice("what is that".to_owned()),
        WriteFault::Forget,
        WriteFault::WrongId,
        WriteFault::Answer(Wire::cut_message()),
    ]
}

fn documents() -> Vec<InformationFault> {
    let second = Duration::from_secs(1);
    vec![
        InformationFault::Html,
        InformationFault::WrongTypes,
        InformationFault::Body("[".repeat(100_000)),
        InformationFault::Endless,
        InformationFault::RedirectLoop,
        InformationFault::Redirect("http://127.0.0.1:9/".to_owned()),
        InformationFault::GzipBomb,
        InformationFault::Slow(second),
        InformationFault::Status(500),
        InformationFault::Silence,
        InformationFault::NoCors,
        InformationFault::Cut,
        InformationFault::Bytes(vec![0xff; 5_000]),
        InformationFault::Answer(Wire::endless_headers()),
        InformationFault::Answer(Wire::largest_chunk()),
        InformationFault::Answer(Wire::endless_trailers()),
        InformationFault::Answer(Wire::endless_chunk_extension()),
        InformationFault::Answer(Wire::compressed("zstd")),
        InformationFault::Answer(Wire::absurd_length()),
    ]
}

fn reconciliations() -> Vec<ReconcileFault> {
    let phantoms = (0..500_u16).map(|n| {
        let mut id = [0xab; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        EventId(id)
    });
    vec![
        ReconcileFault::Refuse("blocked: too many".to_owned()),
        ReconcileFault::Silence,
        ReconcileFault::NoticeFirst("hello".to_owned()),
        ReconcileFault::AfterReq,
        ReconcileFault::TooMany { above: 100 },
        ReconcileFault::Phantom(phantoms.collect()),
        ReconcileFault::Endless,
        ReconcileFault::Repeat,
        ReconcileFault::Stuck,
        ReconcileFault::Rubbish,
        ReconcileFault::version(0x62),
        ReconcileFault::Oversized(5 << 20),
        ReconcileFault::WrongSubscription,
        ReconcileFault::CloseMidway,
        ReconcileFault::StallAfter(1),
        ReconcileFault::CutAfter(1),
        ReconcileFault::Frames(4_096),
        ReconcileFault::ForgetOnReq,
    ]
}

fn encrypted() -> Vec<Character> {
    let kinds = [
        ("certificate of nobody known", TlsKind::Trusted),
        ("certificate signed by itself", TlsKind::SelfSigned),
        ("certificate expired", TlsKind::Expired),
        ("certificate of another host", TlsKind::WrongHost),
    ];
    let mut characters: Vec<Character> = kinds
        .into_iter()
        .map(|(about, kind)| Character {
            tls: Some(kind),
            ..Character::new(about, Role::Hostile, 2, |_| SimRelayConfig::default())
        })
        .collect();
    let greetings = [
        Wire::tls_1_0(),
        Wire::tls_refusal(),
        Wire::tls_warnings(),
        Wire::empty_records(),
        Wire::giant_handshake(),
        Wire::long_record(),
        Wire::dripping_handshake(Duration::from_secs(1)),
        Wire::plain_http(),
        Wire::silence(),
    ];
    characters.push(Character {
        tls: Some(TlsKind::Trusted),
        ..each(
            "strange bytes for a handshake",
            greetings.map(ConnectionFault::Greet).to_vec(),
        )
    });
    characters
}
