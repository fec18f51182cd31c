//! The simulated relays, in a process of their own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_testkit::bench::{flag, option};
use bigbrotr_testkit::population::Corpus;
use bigbrotr_testkit::{SimEvent, SimRelay, SimRelayConfig};

/// A part of the population that relays do not keep: ephemeral events. A little more is made.
const SPARE: f64 = 1.06;

/// What relays there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) relays: usize,
    /// Different events, all relays together.
    pub(crate) events: usize,
    /// With which probability an event is on a relay that is not its home.
    pub(crate) overlap: f64,
}

/// A relay and what it holds.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) url: RelayUrl,
    pub(crate) events: u64,
    /// Of their JSON.
    pub(crate) bytes: u64,
}

/// What a relay saw and sent so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    /// In both directions.
    pub(crate) bytes: u64,
    pub(crate) events: u64,
    pub(crate) requests: u64,
    pub(crate) reconciliations: u64,
    pub(crate) open_sessions: u64,
}

/// The process of the relays. It ends with this value, and with the process that made it.
pub(crate) struct Farm {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub(crate) relays: Vec<Listed>,
}

impl Farm {
    /// Starts it and waits until every relay listens.
    pub(crate) fn start(plan: Plan) -> Self {
        eprintln!("making {} events for {} relays", plan.events, plan.relays);
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("--farm");
        command.args(["--relays", &plan.relays.to_string()]);
        command.args(["--events", &plan.events.to_string()]);
        command.args(["--overlap", &plan.overlap.to_string()]);
        if flag("no-nip77") {
            command.arg("--no-nip77");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the relays' process");
        let input = process.stdin.take();
        let mut output = BufReader::new(process.stdout.take().expect("its output"));
        let mut relays = Vec::new();
        loop {
            let line = read(&mut output);
            if line == "ready" {
                break;
            }
            let mut fields = line.split(' ');
            let (Some(url), Some(events), Some(bytes)) =
                (fields.next(), fields.next(), fields.next())
            else {
                panic!("not a relay: {line:?}");
            };
            let policy = UrlPolicy {
                allow_private: true,
                ..UrlPolicy::default()
            };
            relays.push(Listed {
                url: RelayUrl::parse(url, &policy).expect("a URL"),
                events: events.parse().expect("a number"),
                bytes: bytes.parse().expect("a number"),
            });
        }
        Self {
            process,
            input,
            output,
            relays,
        }
    }

    /// Asks what each relay saw and sent so far.
    pub(crate) fn traffic(&mut self) -> Vec<Traffic> {
        let input = self.input.as_mut().expect("an input");
        input.write_all(b"traffic\n").expect("a question");
        let line = read(&mut self.output);
        let numbers = |relay: &str| -> Vec<u64> {
            let number = |text: &str| text.parse().expect("a number");
            relay.split(' ').map(number).collect()
        };
        line.split(';')
            .map(|relay| match numbers(relay)[..] {
                [bytes, events, requests, reconciliations, open_sessions] => Traffic {
                    bytes,
                    events,
                    requests,
                    reconciliations,
                    open_sessions,
                },
                _ => panic!("no traffic: {relay:?}"),
            })
            .collect()
    }

    /// Events that the relays hold, each as often as there are relays with it.
    pub(crate) fn facts(&self) -> u64 {
        self.relays.iter().map(|relay| relay.events).sum()
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        // It ends at the end of its input.
        drop(self.input.take());
        self.process.wait().expect("its end");
    }
}

fn read(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    let read = output.read_line(&mut line).expect("a line");
    assert!(read > 0, "the relays have ended");
    line.trim_end().to_owned()
}

/// Is the process of the relays: makes the events, starts the relays, lists them, and answers
/// until its input ends.
pub(crate) async fn serve() {
    let (count, overlap) = (option("relays", 1_usize), option("overlap", 0.0_f64));
    let mut held = vec![Vec::new(); count];
    for event in events(option("events", 1_000)) {
        let id = event.id().0;
        for (relay, held) in held.iter_mut().enumerate() {
            if is_on(&id, relay, count, overlap) {
                held.push(event.clone());
            }
        }
    }
    let (mut relays, mut list) = (Vec::new(), String::new());
    for (n, events) in held.into_iter().enumerate() {
        let bytes: usize = events.iter().map(|event| event.json().len()).sum();
        let relay = relay(n, events).await;
        list += &format!("{} {} {bytes}\n", relay.url(), relay.event_count());
        relays.push(relay);
    }
    print(&(list + "ready\n"));
    let answering = tokio::task::spawn_blocking(move || {
        let mut question = [0_u8; 1];
        while std::io::stdin().read(&mut question).expect("input") > 0 {
            if question == *b"\n" {
                print(&traffic(&relays));
            }
        }
        relays
    });
    for relay in answering.await.expect("a thread") {
        relay.stop().await;
    }
}

/// So many events that relays keep.
fn events(count: usize) -> impl Iterator<Item = SimEvent> {
    let made = (count as f64 * SPARE) as usize + 100;
    let mut corpus = Corpus::new(Corpus::config(7, made, SystemClock.now() - 60));
    let chunks = std::iter::from_fn(move || {
        let chunk = corpus.next_chunk();
        (!chunk.is_empty()).then_some(chunk)
    });
    let kept = chunks.flatten().filter(|event| !event.is_ephemeral());
    kept.take(count)
}

/// Each event has one home, and is elsewhere with a probability: an id is as good as dice.
fn is_on(id: &[u8; 32], relay: usize, relays: usize, overlap: f64) -> bool {
    let home = id[..6]
        .iter()
        .fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    let at = 6 + relay % 12 * 2;
    let drawn = f64::from(u16::from_be_bytes([id[at], id[at + 1]])) / 65_536.0;
    home % relays as u64 == relay as u64 || drawn < overlap
}

/// Relay number `n`, at an address of its own.
async fn relay(n: usize, events: Vec<SimEvent>) -> SimRelay {
    let mut config = SimRelayConfig {
        ip: Ipv4Addr::new(127, 3, (n / 250) as u8, 1 + (n % 250) as u8),
        ..SimRelayConfig::with_events(events)
    };
    if flag("no-nip77") {
        config.negentropy = None;
    }
    SimRelay::start(config).await.expect("a relay")
}

fn traffic(relays: &[SimRelay]) -> String {
    let of = |relay: &SimRelay| {
        let stats = relay.stats();
        let bytes = stats.bytes_in + stats.bytes_out;
        let (events, requests) = (stats.events_sent, stats.req_count);
        let (reconciliations, open) = (stats.reconciliations, stats.open_sessions);
        format!("{bytes} {events} {requests} {reconciliations} {open}")
    };
    relays.iter().map(of).collect::<Vec<_>>().join(";") + "\n"
}

fn print(text: &str) {
    let mut output = std::io::stdout();
    output.write_all(text.as_bytes()).expect("output");
    output.flush().expect("output");
}
