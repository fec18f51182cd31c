//! The run, from an empty database to the end of the node.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bigbrotr_testkit::bench::option;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::database::Database;
use crate::farm::{self, Farm, Role};
use crate::load::{Load, Tally};
use crate::node::Node;
use crate::report;
use crate::sample::Sample;
use crate::verdict::{self, Verdict};

/// How often the node is looked at.
const LOOK: Duration = Duration::from_secs(15);

/// How long the node is left alone before it is said to be at rest.
const START_REST: Duration = Duration::from_secs(20);

/// Looks at the node at rest: the least of them counts, as work comes and goes.
const REST_LOOKS: usize = 12;
const REST_LOOK: Duration = Duration::from_secs(5);

/// How long the node may take to archive what is left when nothing new comes: a bound against
/// waiting for ever, no measure.
const CATCH_UP: Duration = Duration::from_mins(15);

/// A farm's relays to which reports are published, and to which jobs may want their answers.
const TARGETS: usize = 2;

/// Runs everything; says whether all verdicts are good.
pub(crate) async fn run() -> bool {
    let minutes: u64 = option("minutes", 60);
    let mut builder = tempfile::Builder::new();
    // The account that runs Postgres has to get through.
    builder
        .prefix("bigbrotr-soak-")
        .permissions(fs::Permissions::from_mode(0o711));
    let parent: PathBuf = option("data", std::env::temp_dir());
    let folder = builder.tempdir_in(parent).expect("a folder");
    let events = farm::events(minutes);
    eprintln!("making {events} events for the relays");
    let farm = Farm::start(events).await;
    let mut soak = Soak::start(folder.path(), farm).await;
    let verdicts = Box::pin(soak.run(Duration::from_secs(minutes * 60))).await;
    let (mut is_good, mut text) = (true, String::new());
    for verdict in verdicts.into_iter().chain(Box::pin(soak.end()).await) {
        is_good &= verdict.is_good != Some(false);
        text += &format!("{verdict}\n");
    }
    println!("\n{text}");
    is_good
}

struct Soak {
    farm: Farm,
    node: Node,
    database: Database,
    tally: Arc<Tally>,
    begun: Instant,
}

impl Soak {
    async fn start(folder: &Path, farm: Farm) -> Self {
        let reported = targets(&farm);
        let listened = farm.of(Role::Honest, 1)[0].url();
        fs::write(folder.join("relays.txt"), farm.list()).expect("a list");
        fs::write(folder.join("priorities.txt"), farm.priorities()).expect("a list");
        let variables = [
            (
                "BIGBROTR__MONITOR__PUBLISH_TO",
                serde_json::json!(reported).to_string(),
            ),
            (
                "BIGBROTR__DVM__LISTEN_RELAYS",
                serde_json::json!([listened]).to_string(),
            ),
        ];
        let node = Node::start(folder, &variables);
        eprintln!("the node runs as process {}", node.pid());
        Self {
            database: Database::join(folder).await,
            farm,
            node,
            tally: Arc::default(),
            begun: Instant::now(),
        }
    }

    /// Everything under load and after it.
    async fn run(&mut self, duration: Duration) -> Vec<Verdict> {
        sleep(START_REST).await;
        let rest = self.at_rest().await;
        let lists = ["--seed-relays", "--priority-relays"];
        let folder = self.node.folder();
        let files = ["relays.txt", "priorities.txt"].map(|name| folder.join(name));
        let files = files.map(|path| path.display().to_string());
        let (done, said) = self
            .node
            .command(&["init", lists[0], &files[0], lists[1], &files[1]]);
        assert!(done, "the relays cannot be made known: {said}");
        self.begun = Instant::now();
        self.farm.live(option("rate", 120));
        let mut elsewhere = targets(&self.farm);
        elsewhere.extend([
            "ws://127.0.0.1:9".to_owned(),
            "ws://127.41.0.1:9".to_owned(),
        ]);
        let hostile = self.farm.of(Role::Hostile, usize::MAX);
        elsewhere.extend(hostile.iter().step_by(20).map(|relay| relay.url()));
        let abroad = self.farm.of(Role::Honest, 1).remove(0);
        let load = Load::start(&self.node, self.tally.clone(), abroad, elsewhere);
        drop(hostile);
        let samples = self.watch(duration).await;
        let csv: PathBuf = option("csv", PathBuf::new());
        if !csv.as_os_str().is_empty() {
            fs::write(csv, report::csv(&samples)).expect("a file of samples");
        }
        load.stop().await;
        self.farm.rest().await;
        let complete = self.complete().await;
        self.farm.stop().await;
        sleep(Duration::from_secs(option("settle", 60))).await;
        let settled = self.at_rest().await;
        println!("\n{}", report::table(&rest, &samples, &settled));
        println!("{}", self.tally);
        let mut verdicts = vec![verdict::memory(&samples), complete];
        verdicts.extend(verdict::leaks(&rest, &settled));
        verdicts.extend(verdict::rows(&samples, &settled, self.farm.len()));
        verdicts.push(self.tally.verdict());
        verdicts
    }

    /// Ends the node, and looks at what it leaves behind.
    async fn end(mut self) -> Vec<Verdict> {
        let relay = format!("ws://{}", self.node.relay);
        let asking = ["ask", "--relay", &relay, "events.stats", "window=all"];
        let (answered, answer) = self.node.command(&asking);
        self.database.leave().await;
        let ended = self.node.terminate();
        let (equal, differences) = self.node.command(&["verify"]);
        let (errors, first) = self.node.errors();
        vec![
            Verdict::new("a job is answered in the end", answered, answer),
            Verdict::new(
                "SIGTERM ends it in order",
                ended.is_ok(),
                match ended {
                    Ok(took) => format!("in {:.1} s", took.as_secs_f64()),
                    Err(error) => error,
                },
            ),
            Verdict::new("statistics equal their recomputation", equal, differences),
            Verdict::new(
                "no panic and no error in the log",
                errors == 0,
                format!("{errors} lines{first}"),
            ),
        ]
    }

    /// Looks every so often while the load goes on.
    async fn watch(&mut self, duration: Duration) -> Vec<Sample> {
        let (mut ticks, mut samples) = (interval(LOOK), Vec::new());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.begun.elapsed() < duration {
            ticks.tick().await;
            assert!(
                self.node.is_running(),
                "the node has ended: {}",
                self.node.errors().1
            );
            let sample = self.look().await;
            if samples.len().is_multiple_of(4) {
                eprintln!(
                    "{:>4} min: {:.1} MB, {} tasks, {} connections, {} events, {} jobs answered",
                    sample.at.as_secs() / 60,
                    sample.value("memory of the node, MB"),
                    sample.value("tokio tasks"),
                    sample.value("TCP connections"),
                    sample.value("events archived"),
                    sample.value("jobs answered"),
                );
            }
            samples.push(sample);
        }
        samples
    }

    async fn look(&self) -> Sample {
        Sample::take(self.begun, &self.node, &self.database, &self.tally).await
    }

    /// The least of some looks.
    async fn at_rest(&self) -> Sample {
        let mut least = self.look().await;
        for _ in 1..REST_LOOKS {
            sleep(REST_LOOK).await;
            let sample = self.look().await;
            for (least, value) in least.values.iter_mut().zip(sample.values) {
                *least = least.min(value);
            }
        }
        least
    }

    /// Waits until every event of the honest relays is archived.
    async fn complete(&self) -> Verdict {
        let ids = self.farm.honest_events();
        let begun = Instant::now();
        loop {
            let archived = self.database.archived(&ids).await;
            if archived == ids.len() || begun.elapsed() > CATCH_UP {
                let said = format!("{archived} of {}", ids.len());
                let is_complete = archived == ids.len();
                return Verdict::new("all events of honest relays archived", is_complete, said);
            }
            sleep(Duration::from_secs(5)).await;
        }
    }
}

/// Relays to which reports go: good ones, and one that takes nothing.
fn targets(farm: &Farm) -> Vec<String> {
    let mut urls: Vec<String> = farm
        .of(Role::Honest, TARGETS)
        .iter()
        .map(|relay| relay.url())
        .collect();
    urls.extend(
        farm.of(Role::ComesAndGoes, 1)
            .iter()
            .map(|relay| relay.url()),
    );
    urls
}
