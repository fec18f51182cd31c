//! The simulated relays, in a process of their own: the node's memory is then the node's alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use bigbrotr_testkit::relay::{TestAuthority, TlsConfig};
use bigbrotr_testkit::{BlackHole, Population, PopulationConfig, SimRelay};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::mix::{self, Character, Place};

/// A relay as the node gets to know it.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// Its position in [`mix::characters`].
    pub(crate) character: usize,
    pub(crate) url: String,
    pub(crate) host: String,
    /// Where its name leads; nowhere for a name that does not exist.
    pub(crate) ip: Option<IpAddr>,
}

/// The process of the relays. It ends with this value, and with the process that made it.
pub(crate) struct Farm {
    process: Child,
    /// The certificate of their authority, DER.
    pub(crate) root: Vec<u8>,
    pub(crate) relays: Vec<Listed>,
}

impl Farm {
    /// Starts it and waits until every relay listens.
    pub(crate) fn start(relays: usize) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut process = Command::new(program)
            .args(["--farm", "--relays", &relays.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the relays' process");
        let output = process.stdout.take().expect("its output");
        let mut lines = BufReader::new(output)
            .lines()
            .map(|line| line.expect("a line"));
        let root = hex::decode(lines.next().expect("a root")).expect("a root");
        let relays: Vec<Listed> = lines
            .take_while(|line| line != "ready")
            .map(|line| Listed::read(&line))
            .collect();
        assert!(!relays.is_empty(), "the relays did not start");
        Self {
            process,
            root,
            relays,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        // It ends at the end of its input.
        drop(self.process.stdin.take());
        self.process.wait().expect("its end");
    }
}

impl Listed {
    fn write(&self) -> String {
        let ip = self.ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string());
        format!("{} {} {} {ip}", self.character, self.url, self.host)
    }

    fn read(line: &str) -> Self {
        let fields: Vec<&str> = line.split(' ').collect();
        let [character, url, host, ip] = fields[..] else {
            panic!("not a relay: {line:?}");
        };
        Self {
            character: character.parse().expect("a number"),
            url: url.to_owned(),
            host: host.to_owned(),
            ip: ip.parse().ok(),
        }
    }
}

/// What has to live for the relays to be as they are.
enum Kept {
    Relay(SimRelay),
    BlackHole(BlackHole),
}

/// Is the process of the relays: starts them, lists them, and serves until its input ends.
pub(crate) async fn serve(relays: usize) {
    let authority = TestAuthority::generate().expect("an authority");
    let (characters, counts) = (mix::characters(), mix::counts(relays));
    let mut order: Vec<(usize, usize)> = counts
        .iter()
        .enumerate()
        .flat_map(|(character, count)| (0..*count).map(move |n| (character, n)))
        .collect();
    order.shuffle(&mut StdRng::seed_from_u64(1));
    // As many as a relay's answer to the smallest REQ needs.
    let events = Population::generate(&PopulationConfig::new(1, 4, 1_750_000_000));
    let (mut kept, mut list) = (Vec::new(), vec![hex::encode(authority.root())]);
    for (number, (character, n)) in order.into_iter().enumerate() {
        let (relay, listed) = start(&authority, &characters[character], number, n, &events).await;
        kept.extend(relay);
        list.push(
            Listed {
                character,
                ..listed
            }
            .write(),
        );
    }
    list.push("ready\n".to_owned());
    let mut output = std::io::stdout();
    output
        .write_all(list.join("\n").as_bytes())
        .expect("output");
    output.flush().expect("output");
    let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    end.await.expect("a thread").expect("input");
    for kept in kept {
        match kept {
            Kept::Relay(relay) => relay.stop().await,
            Kept::BlackHole(hole) => drop(hole),
        }
    }
}

async fn start(
    authority: &TestAuthority,
    character: &Character,
    number: usize,
    n: usize,
    events: &Population,
) -> (Option<Kept>, Listed) {
    let host = format!("relay-{number}.example.com");
    let ip = match character.place {
        Place::Crowded => Ipv4Addr::new(127, 250, 0, 1 + (n / 50) as u8),
        _ => Ipv4Addr::new(
            127,
            1 + (number / 62_500) as u8,
            (number / 250 % 250) as u8,
            1 + (number % 250) as u8,
        ),
    };
    let mut listed = Listed {
        character: 0,
        url: format!("wss://{host}"),
        host: host.clone(),
        ip: Some(ip.into()),
    };
    let kept = match character.place {
        Place::Nowhere => {
            listed.ip = None;
            None
        }
        // Nothing listens at the usual port there.
        Place::Refusing => None,
        Place::Swallowed => {
            let hole = BlackHole::open(SocketAddr::from((ip, 0))).await;
            let hole = hole.expect("a black hole");
            listed.url = format!("wss://{host}:{}", hole.address().port());
            Some(Kept::BlackHole(hole))
        }
        Place::Alone | Place::Crowded => {
            let mut config = character.config(n);
            config.ip = ip;
            config.events = events.events().to_vec();
            config.seed = number as u64;
            config.tls = character
                .tls
                .map(|kind| TlsConfig::new(authority, kind).for_host(&host));
            let scheme = if config.tls.is_some() { "wss" } else { "ws" };
            let relay = SimRelay::start(config).await.expect("a relay");
            listed.url = format!("{scheme}://{host}:{}", relay.address().port());
            Some(Kept::Relay(relay))
        }
    };
    (kept, listed)
}
