//! `bigbrotr check`: one relay, all checks, no database.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_crawler::dial::Dialer;
use bigbrotr_crawler::monitor::{CheckResult, OpenFinding, Probe, check_relay, relay_report};
use bigbrotr_schema::store::Document;
use nostr::Keys;
use serde_json::json;

use crate::cli::{CheckArgs, Options};
use crate::summary::table;

/// Checks a relay and prints what was found. Exits with 0 when it is online and readable, with 2
/// when it is online only, and with 1 when it is offline.
pub(crate) async fn run(options: &Options, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let settings = super::quiet(options)?;
    let url = RelayUrl::parse(&args.url, &settings.networks.url_policy())
        .with_context(|| format!("cannot check {}", args.url))?;
    let dialer = Dialer::new(settings.networks.clone())?;
    let keys = Keys::generate();
    let now = SystemClock.now();
    let result = Box::pin(check_relay(&dialer, &url, &settings.monitor, &keys, now)).await;
    if args.event {
        match relay_report(&result) {
            Some(draft) => println!(
                "{}",
                json!({ "kind": draft.kind, "created_at": result.checked_at, "tags": draft.tags,
                    "content": draft.content })
            ),
            None => eprintln!("no report: the relay is offline"),
        }
    } else if args.json {
        let snapshot = result.snapshot();
        println!(
            "{}",
            json!({
                "url": url.as_str(),
                "checked_at": result.checked_at,
                "online": result.is_online(),
                "rtt_open_ms": snapshot.rtt_open_ms,
                "rtt_read_ms": snapshot.rtt_read_ms,
                "rtt_write_ms": snapshot.rtt_write_ms,
                "nip11": document(snapshot.nip11.as_ref().map(Document::as_str))?,
                "nip66": document(Some(snapshot.nip66.as_str()))?,
            })
        );
    } else {
        print!("{}", table(url.as_str(), &rows(&result)));
    }
    Ok(verdict(&result))
}

fn document(json: Option<&str>) -> anyhow::Result<serde_json::Value> {
    Ok(json
        .map(serde_json::from_str)
        .transpose()?
        .unwrap_or_default())
}

fn verdict(result: &CheckResult) -> ExitCode {
    match (result.is_online(), result.read) {
        (false, _) => ExitCode::from(1),
        (true, Some(Probe { ok: false, .. })) => ExitCode::from(2),
        (true, _) => ExitCode::SUCCESS,
    }
}

fn rows(result: &CheckResult) -> Vec<(&'static str, String)> {
    let ms = |time: Duration| format!("{} ms", time.as_millis());
    let probe = |probe: Option<Probe>| match probe {
        None => "not tried".to_owned(),
        Some(probe) => {
            let verdict = if probe.ok { "yes" } else { "no" };
            let reason = probe.reason.map(|r| format!(" ({r})")).unwrap_or_default();
            let rtt = probe
                .rtt
                .map(|rtt| format!(", {}", ms(rtt)))
                .unwrap_or_default();
            format!("{verdict}{reason}{rtt}")
        }
    };
    let open = match &result.open {
        OpenFinding::Open(timings) => format!("yes, {}", ms(timings.rtt())),
        OpenFinding::Failed {
            reason,
            ours: false,
        } => format!("no ({reason})"),
        OpenFinding::Failed { reason, ours: true } => format!("not known: {reason} on our side"),
    };
    let mut rows = vec![
        ("online", open),
        ("readable", probe(result.read)),
        ("writable", probe(result.write)),
    ];
    if let Some(tls) = &result.tls {
        let protocol = tls.protocol.map(|p| format!(", {p}")).unwrap_or_default();
        rows.push(("certificate", format!("{}{protocol}", tls.verdict)));
    }
    if let Some(ip) = result.remote_ip {
        rows.push(("address", ip.to_string()));
    }
    match result.information() {
        None => rows.push(("NIP-11", "none".to_owned())),
        Some(information) => {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            rows.push(("name", text(&information.name)));
            rows.push(("software", text(&information.software)));
            rows.push(("version", text(&information.version)));
            let nips: Vec<String> = information
                .supported_nips
                .iter()
                .flatten()
                .map(ToString::to_string)
                .collect();
            rows.push(("NIPs", nips.join(", ")));
        }
    }
    rows
}
