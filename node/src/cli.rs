//! Commands and flags.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bigbrotr_core::config::duration;
use bigbrotr_core::service::ServiceName;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use crate::{completion, limits};

/// A Nostr-native observatory: finds relays, measures them, archives their events and answers
/// questions about it all.
#[derive(Debug, Parser)]
#[command(name = "bigbrotr", version, propagate_version = true)]
#[command(
    after_help = "Without a command, the node runs. Every value can also be set in the \
    implementation's config/*.yaml or by an environment variable such as \
    BIGBROTR__MONITOR__INTERVAL=30m; `bigbrotr config show` prints what is in effect and why.\n\n\
    Shell completion: source <(COMPLETE=bash bigbrotr); likewise zsh, fish, elvish, powershell."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Flags of the node, for when no command is given.
    #[command(flatten)]
    pub(crate) options: Options,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the node (the default)
    Run,
    /// Prepares the database and the key, then ends
    Init,
    /// Checks one relay and prints what was found; needs no database
    Check(CheckArgs),
    /// Asks the catalogue a question, here, without a relay
    Query(QueryArgs),
    /// Asks a node a question over Nostr (NIP-90)
    Ask(AskArgs),
    /// Reads events from a JSON Lines file into the archive
    Import(ImportArgs),
    /// Writes the archive's events as JSON Lines
    Export(ExportArgs),
    /// Writes the whole database to a file, beside a running node or without one
    Backup(BackupArgs),
    /// Reads a backup into an empty database and brings it to this version
    Restore(RestoreArgs),
    /// Recomputes every statistic from the base tables and compares
    Verify,
    /// Shows the node's public key
    Keys,
    /// Checks or shows the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Shows what the node has done, and how far the work on relays is
    Status(StatusArgs),
    /// Asks the node that runs here whether it is ready; exit code 0 when it is
    Health,
    /// Runs the whole node against simulated relays on this machine; needs no internet
    Demo,
}

/// What people change most. The same on every command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Options {
    /// Where the node keeps its key and its private Postgres
    #[arg(long, value_name = "DIR", global = true, help_heading = "Node")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Which implementation: a name or a folder
    #[arg(
        long,
        value_name = "NAME",
        global = true,
        help_heading = "Node",
        env = "BIGBROTR_IMPLEMENTATION"
    )]
    pub(crate) implementation: Option<String>,
    /// A Postgres 15 or newer to use instead of a private one
    #[arg(
        long,
        value_name = "URL",
        global = true,
        help_heading = "Node",
        env = "DATABASE_URL",
        hide_env_values = true
    )]
    pub(crate) database_url: Option<String>,
    /// Which services this process runs: initializer, rollup, retention, relay, api, dvm, finder,
    /// validator, monitor, synchronizer, priority-synchronizer
    #[arg(
        long,
        value_name = "LIST",
        global = true,
        help_heading = "Node",
        value_delimiter = ','
    )]
    pub(crate) services: Option<Vec<ServiceName>>,
    /// Relays to begin with, one URL a line
    #[arg(long, value_name = "FILE", global = true, help_heading = "Node")]
    pub(crate) seed_relays: Option<PathBuf>,
    /// Relays that the priority synchronizer follows, one URL a line
    #[arg(long, value_name = "FILE", global = true, help_heading = "Node")]
    pub(crate) priority_relays: Option<PathBuf>,
    /// Allow connections to private and loopback addresses
    #[arg(long, global = true, help_heading = "Node")]
    pub(crate) allow_private_networks: bool,
    /// Where the embedded relay listens
    #[arg(long, value_name = "ADDR", global = true, help_heading = "Node")]
    pub(crate) relay_listen: Option<SocketAddr>,
    /// Where the REST mirror listens
    #[arg(long, value_name = "ADDR", global = true, help_heading = "Node")]
    pub(crate) api_listen: Option<SocketAddr>,
    /// Where metrics and health are served
    #[arg(long, value_name = "ADDR", global = true, help_heading = "Node")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// End when nothing waits for the services that run here: relays are measured and archived,
    /// events counted, jobs answered
    #[arg(long, global = true, help_heading = "Node")]
    pub(crate) once: bool,
    /// How the log looks
    #[arg(long, value_name = "FORMAT", global = true, help_heading = "Node")]
    pub(crate) log_format: Option<LogFormat>,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Human on a terminal, JSON elsewhere
    Auto,
    /// For people
    Human,
    /// One JSON object a line
    Json,
}

/// What `check --help` ends with.
const CHECK_HELP: &str = "\
Exit code: 0 when the relay is online and a stranger can read it; 1 when it is offline, or online \
and not readable by strangers; 2 when nothing was learned: wrong usage, or a failure on our side. \
A refused write is policy, and no failure.

--json prints {url, network, checked_at, verdict, online, rtt_open_ms, rtt_read_ms, rtt_write_ms, \
timings_ms, dns_ttl_seconds, nip11, nip66}: verdict is online, limited, offline or unknown; what \
was not measured is null; nip11 is the relay's document, nip66 the findings as the monitor stores \
them (docs/monitor.md).

--event prints what the monitor would publish, without a signature. Its author is the key that \
signed the write probe, which is made for this check and forgotten.";

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(after_help = CHECK_HELP)]
pub(crate) struct CheckArgs {
    /// The relay's URL
    pub(crate) url: String,
    /// Print the findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the unsigned kind 30166 event
    #[arg(long, conflicts_with = "json")]
    pub(crate) event: bool,
    /// The longest time for each step, such as 3s; as configured, if not given
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) timeout: Option<Duration>,
    /// A database of places in MaxMind's format, such as GeoLite2-City.mmdb
    #[arg(long, value_name = "FILE")]
    pub(crate) geo_city: Option<PathBuf>,
    /// A database of networks in MaxMind's format, such as GeoLite2-ASN.mmdb
    #[arg(long, value_name = "FILE")]
    pub(crate) geo_asn: Option<PathBuf>,
}

/// Arguments of `query`.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// Answer many questions: one JSON object a line on standard input, with query and params;
    /// one answer a line
    #[arg(long, conflicts_with_all = ["name", "params"])]
    pub(crate) batch: bool,
    /// The question, such as events.stats; without one, all of them are listed
    #[arg(add = ArgValueCompleter::new(completion::question))]
    pub(crate) name: Option<String>,
    /// Its parameters, as name=value
    #[arg(value_parser = parse_pair, add = ArgValueCompleter::new(completion::param))]
    pub(crate) params: Vec<(String, String)>,
}

/// What `ask --help` ends with.
const ASK_HELP: &str = "\
Without --provider, whoever announces on these relays that they answer the question is asked \
(NIP-89), the latest announcement first; when nobody does, the question is left to anybody. The \
request is signed with a key that is made for it and forgotten.

Feedback goes to standard error as it comes, the answer to standard output. Exit code: 0 with an \
answer, 1 when the provider gave a reason instead, or nobody answered.";

/// Arguments of `ask`.
#[derive(Debug, Args)]
#[command(after_help = ASK_HELP)]
pub(crate) struct AskArgs {
    /// The relay through which to ask; may be given several times, to find who answers
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:7777")]
    pub(crate) relay: Vec<String>,
    /// Whom to ask: hex or npub
    #[arg(long, value_name = "PUBKEY")]
    pub(crate) provider: Option<String>,
    /// Encrypt the question and the answer
    #[arg(long, value_name = "CIPHER", num_args = 0..=1, require_equals = true,
        default_missing_value = "nip44")]
    pub(crate) encrypt: Option<Encryption>,
    /// The form of the answer
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub(crate) format: AskFormat,
    /// Ask for all pages of a list, one after the other
    #[arg(long)]
    pub(crate) all: bool,
    /// How long to wait for an answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) timeout: u64,
    /// The question, such as events.stats
    #[arg(add = ArgValueCompleter::new(completion::question))]
    pub(crate) name: String,
    /// Its parameters, as name=value
    #[arg(value_parser = parse_pair, add = ArgValueCompleter::new(completion::param))]
    pub(crate) params: Vec<(String, String)>,
}

/// How a request is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encryption {
    /// NIP-04, as NIP-90 says
    Nip04,
    /// NIP-44
    Nip44,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AskFormat {
    /// As REST gives it
    Json,
    /// Comma-separated values
    Csv,
    /// An aligned table
    Table,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Every line is an event, or a message [\"EVENT\", …] around one. Every event is \
    verified. An import that was interrupted goes on where it ended when it is started again, and \
    a file that has grown where it had ended. A file that was imported to its end, and not \
    modified since, is passed over. --restart reads a file from its start: it is needed only where \
    a file was changed in its middle."
)]
pub(crate) struct ImportArgs {
    /// Files with one event a line, plain, gzip or zstd; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The relay that had these events
    #[arg(long, value_name = "URL")]
    pub(crate) relay: Option<String>,
    /// Stop at the first line that is bad, or whose event is refused
    #[arg(long)]
    pub(crate) strict: bool,
    /// Read files from their start, whatever was imported before
    #[arg(long)]
    pub(crate) restart: bool,
    /// How many bad lines and refused events are reported; the others are only counted
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) max_reported: u64,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(
    after_help = "Events are written as the archive keeps them, expired and deleted ones too, each \
    once, in the order in which they were archived. A filter with a limit is answered as NIP-01 \
    says: its newest events, newest first; filters with a limit come before those without. Events \
    that are archived while the export runs are left out."
)]
pub(crate) struct ExportArgs {
    /// Only events that match this NIP-01 filter; given several times: that match any of them
    #[arg(long, value_name = "JSON")]
    pub(crate) filter: Vec<String>,
    /// Only events that this relay had
    #[arg(long, value_name = "URL")]
    pub(crate) relay: Option<String>,
    /// What is written
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    pub(crate) format: ExportFormat,
    /// The file to write, packed if its name ends in .gz or .zst; it appears when it is whole.
    /// Standard output if not given
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What an export writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// One event a line
    Jsonl,
}

/// Arguments of `backup`.
#[derive(Debug, Args)]
#[command(
    after_help = "The file is what pg_dump --format=custom writes, of one moment. It holds events, \
    statistics, and how far all work is; not the node's key. PostgreSQL's client programs are \
    needed, of the server's version or newer."
)]
pub(crate) struct BackupArgs {
    /// The file to write; it appears when it is whole
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// A file that backup has written
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How many connections restore at once. With one, a restore that fails leaves nothing behind
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) jobs: u8,
}

/// What `status --help` ends with.
const STATUS_HELP: &str = "\
A relay's line says: what is covered without a gap that is not counted; events that were new to \
the archive, those that it knew, and those of them that were linked and not downloaded; bytes \
received; gaps, and events that the relay promised and did not give; the time until its scan \
ends. On a narrow terminal the columns that are missed least are left out; without a terminal \
all are there. --watch ends by Ctrl-C, with exit code 0.

--json prints {as_of, database, relays, candidates, archive, statistics, jobs, sync}: sync is \
{statuses, gaps, missing_events, relays}, with relays by status and a list of relays. With \
--watch it is one such document a line.";

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = STATUS_HELP)]
pub(crate) struct StatusArgs {
    /// How many relays to list: those being archived, then those with most events
    #[arg(long, value_name = "N", default_value_t = 20,
        value_parser = clap::value_parser!(u16).range(0..=limits::STATUS_RELAYS))]
    pub(crate) relays: u16,
    /// Show it again and again: every 2 seconds, or as often as said
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(limits::STATUS_EVERY))]
    pub(crate) watch: Option<u64>,
    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Subcommands of `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Reads the whole configuration and names every mistake
    Check,
    /// Prints the values in effect, where they come from, and no secrets
    Show,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("{text:?} is not name=value"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
