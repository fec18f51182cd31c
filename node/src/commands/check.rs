//! `bigbrotr check`: one relay, all checks, no database.

mod text;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_core::config::Section;
use bigbrotr_core::event::{Event, EventId, Pubkey};
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_crawler::dial::{Dialer, NetworksConfig};
use bigbrotr_crawler::monitor::{CheckResult, Checker, MonitorConfig, OpenFinding, relay_report};
use bigbrotr_schema::store::Document;
use nostr::Keys;
use serde_json::{Value, json};

use crate::cli::{CheckArgs, Options};
use crate::output::{outln, write_coloured};
use crate::settings::Settings;
use crate::summary::explain;

/// What a check says of a relay, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Online, and readable for strangers as far as that was tried.
    Online,
    /// Online, and not readable for strangers.
    Limited,
    /// No WebSocket.
    Offline,
    /// The failure was ours.
    Unknown,
}

impl Verdict {
    fn of(result: &CheckResult) -> Self {
        match (&result.open, result.read) {
            (OpenFinding::Failed { .. }, _) if result.is_inconclusive() => Self::Unknown,
            (OpenFinding::Failed { .. }, _) => Self::Offline,
            (OpenFinding::Open(_), Some(read)) if !read.ok => Self::Limited,
            (OpenFinding::Open(_), _) => Self::Online,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Limited => "limited",
            Self::Offline => "offline",
            Self::Unknown => "unknown",
        }
    }

    /// The exit codes that `--help` names.
    fn exit_code(self) -> ExitCode {
        match self {
            Self::Online => ExitCode::SUCCESS,
            Self::Limited | Self::Offline => ExitCode::from(1),
            Self::Unknown => ExitCode::from(USAGE),
        }
    }
}

/// The exit code of wrong usage, as clap has it.
const USAGE: u8 = 2;

/// Checks a relay and prints what was found. The exit code says how it went, as `--help` tells;
/// an error here is no verdict on the relay.
pub(crate) async fn run(options: &Options, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    match Box::pin(check(options, args)).await {
        Ok(verdict) => Ok(verdict.exit_code()),
        Err(error) => {
            eprintln!("error: {}", explain(&error));
            Ok(ExitCode::from(USAGE))
        }
    }
}

async fn check(options: &Options, args: &CheckArgs) -> anyhow::Result<Verdict> {
    let mut settings = super::quiet(options)?;
    apply(args, &mut settings)?;
    let url = RelayUrl::parse(&args.url, &settings.networks.url_policy())
        .with_context(|| format!("cannot check {}", args.url))?;
    let dialer = Dialer::new(settings.networks.clone())?;
    // Nobody's key: a check by hand does not act in the node's name.
    let keys = Keys::generate();
    let checker = Checker::new(dialer, settings.monitor, keys.clone());
    let result = Box::pin(checker.check(&url, SystemClock.now())).await;
    let verdict = Verdict::of(&result);
    if args.event {
        match event(&result, &keys) {
            Some(event) => outln!("{event}"),
            None => eprintln!("no report: the relay is {}", verdict.as_str()),
        }
    } else if args.json {
        outln!("{}", as_json(&result, verdict)?);
    } else {
        // Colours are taken out again where nobody would see them.
        write_coloured(&text::report(&result, verdict, checker.config()));
    }
    Ok(verdict)
}

/// Puts the flags over the configuration.
fn apply(args: &CheckArgs, settings: &mut Settings) -> anyhow::Result<()> {
    let MonitorConfig {
        geo_city_database,
        geo_asn_database,
        ..
    } = &mut settings.monitor;
    for (flag, path) in [
        (&args.geo_city, geo_city_database),
        (&args.geo_asn, geo_asn_database),
    ] {
        if let Some(flag) = flag {
            path.clone_from(flag);
        }
    }
    settings.monitor.geo |= args.geo_city.is_some();
    settings.monitor.net |= args.geo_asn.is_some();
    if let Some(timeout) = args.timeout {
        set_timeouts(&mut settings.monitor, &mut settings.networks, timeout);
        if let Err(invalid) = settings.monitor.validate() {
            let first = invalid.into_iter().next();
            let why = first.map(|invalid| invalid.message).unwrap_or_default();
            anyhow::bail!("--timeout cannot be used: {why}");
        }
    }
    Ok(())
}

fn set_timeouts(monitor: &mut MonitorConfig, networks: &mut NetworksConfig, timeout: Duration) {
    for each in [
        &mut monitor.open_timeout,
        &mut monitor.read_timeout,
        &mut monitor.write_timeout,
        &mut monitor.auth_timeout,
        &mut monitor.pow_timeout,
        &mut monitor.nip11_timeout,
        &mut monitor.dns_timeout,
        &mut monitor.capabilities_timeout,
        &mut networks.clearnet.connect_timeout,
        &mut networks.tor.connect_timeout,
        &mut networks.i2p.connect_timeout,
        &mut networks.loki.connect_timeout,
    ] {
        *each = timeout;
    }
}

/// The report as an event without its signature.
fn event(result: &CheckResult, keys: &Keys) -> Option<Value> {
    let draft = relay_report(result)?;
    let mut event = Event {
        id: EventId([0; 32]),
        pubkey: Pubkey(keys.public_key().to_bytes()),
        created_at: result.checked_at,
        kind: draft.kind,
        tags: draft.tags,
        content: draft.content,
        sig: [0; 64],
    };
    event.id = event.compute_id();
    Some(json!({
        "id": event.id, "pubkey": event.pubkey, "created_at": event.created_at,
        "kind": event.kind, "tags": event.tags, "content": event.content,
    }))
}

fn as_json(result: &CheckResult, verdict: Verdict) -> anyhow::Result<Value> {
    let snapshot = result.snapshot();
    let ms = |time: Option<Duration>| time.map(|time| time.as_micros().div_ceil(1_000) as u64);
    let timings = match &result.open {
        OpenFinding::Failed { .. } => Value::Null,
        OpenFinding::Open(open) => json!({
            "queue": ms(Some(open.dial.queue)), "dns": ms(open.dial.resolve),
            "tcp": ms(open.dial.tcp), "proxy": ms(open.dial.proxy), "tls": ms(open.dial.tls),
            "upgrade": ms(Some(open.upgrade)),
        }),
    };
    Ok(json!({
        "url": result.url.as_str(),
        "network": result.url.network().as_str(),
        "checked_at": result.checked_at,
        "verdict": verdict.as_str(),
        "online": result.is_online(),
        "rtt_open_ms": snapshot.rtt_open_ms,
        "rtt_read_ms": snapshot.rtt_read_ms,
        "rtt_write_ms": snapshot.rtt_write_ms,
        "timings_ms": timings,
        "dns_ttl_seconds": result.records().and_then(|records| records.ttl_seconds),
        "nip11": document(snapshot.nip11.as_ref().map(Document::as_str))?,
        "nip66": document(Some(snapshot.nip66.as_str()))?,
    }))
}

fn document(json: Option<&str>) -> anyhow::Result<Value> {
    Ok(json
        .map(serde_json::from_str)
        .transpose()?
        .unwrap_or_default())
}
