//! The report of a check for people: the verdict first, then what led to it, in sections.
//!
//! # Security
//! Much of it is what the relay says: control characters do not reach the terminal.

use std::fmt::{Display, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use bigbrotr_crawler::monitor::{
    CheckResult, DnsFinding, InformationFinding, MonitorConfig, OpenFinding, Probe, Requirements,
};
use bigbrotr_crawler::session::Capability;

use super::Verdict;
use crate::output::is_direction;

const GOOD: Style = AnsiColor::Green.on_default();
const SOSO: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const TITLE: Style = Style::new().bold();

/// Writes the report, in colours.
pub(super) fn report(result: &CheckResult, verdict: Verdict, config: &MonitorConfig) -> String {
    let mut page = Page::default();
    page.verdict(result, verdict);
    page.section("Access", access(result));
    page.section("Abilities", abilities(result));
    page.section("Information (NIP-11)", information(result));
    page.section("Certificate", certificate(result));
    page.section("Network", network(result));
    page.section("Place", place(result, config));
    page.section("Server", server(result));
    page.0
}

/// A line: its name, and what is to be said.
type Row = (&'static str, String);

#[derive(Default)]
struct Page(String);

impl Page {
    fn verdict(&mut self, result: &CheckResult, verdict: Verdict) {
        let (style, text) = match verdict {
            Verdict::Online => (GOOD, "online: everybody can read"),
            Verdict::Limited => (SOSO, "limited: online, and strangers cannot read"),
            Verdict::Offline => (BAD, "offline"),
            Verdict::Unknown => (SOSO, "unknown: the failure is on our side"),
        };
        let why = match result.open {
            OpenFinding::Failed { reason, .. } => format!(" ({reason})"),
            OpenFinding::Open(_) => String::new(),
        };
        self.line(format_args!(
            "{TITLE}{}{TITLE:#}",
            plain(result.url.as_str())
        ));
        self.line(format_args!("{style}{text}{why}{style:#}"));
    }

    fn section(&mut self, title: &str, rows: Vec<Row>) {
        if rows.is_empty() {
            return;
        }
        self.line(format_args!("\n{TITLE}{title}{TITLE:#}"));
        for (name, value) in rows {
            self.line(format_args!("  {name:<16}{value}"));
        }
    }

    fn line(&mut self, line: impl Display) {
        // Writing to a String cannot fail.
        writeln!(self.0, "{line}").unwrap_or_default();
    }
}

/// Takes out what would move the cursor or change the screen.
fn plain(text: &str) -> String {
    let harmless = |c: &char| !c.is_control() && !is_direction(*c);
    text.chars().filter(harmless).collect()
}

fn ms(time: Duration) -> String {
    format!("{} ms", time.as_micros().div_ceil(1_000))
}

fn yes_no(ok: bool) -> String {
    if ok {
        format!("{GOOD}yes{GOOD:#}")
    } else {
        format!("{BAD}no{BAD:#}")
    }
}

fn probe(probe: Probe) -> String {
    let reason = probe.reason.map(|reason| format!(" ({reason})"));
    let rtt = probe.rtt.map(|rtt| format!(", {}", ms(rtt)));
    [Some(yes_no(probe.ok)), reason, rtt]
        .into_iter()
        .flatten()
        .collect()
}

fn access(result: &CheckResult) -> Vec<Row> {
    let OpenFinding::Open(open) = &result.open else {
        return Vec::new();
    };
    let phases = [
        ("DNS", open.dial.resolve),
        ("TCP", open.dial.tcp),
        ("proxy", open.dial.proxy),
        ("TLS", open.dial.tls),
        ("upgrade", Some(open.upgrade)),
    ];
    let phases: Vec<String> = phases
        .into_iter()
        .filter_map(|(name, took)| Some(format!("{name} {}", ms(took?))))
        .collect();
    let mut rows = vec![(
        "open",
        format!(
            "{}, {} ({})",
            yes_no(true),
            ms(open.rtt()),
            phases.join(", ")
        ),
    )];
    let tried = |finding: Option<Probe>| finding.map_or("not tried".to_owned(), probe);
    rows.push(("read", tried(result.read)));
    rows.push(("write", tried(result.write)));
    if let Some(work) = result.work {
        let bits = work
            .bits
            .map_or("unknown".to_owned(), |bits| bits.to_string());
        rows.push((
            "proof of work",
            format!("{bits} bits: {}", work.outcome.as_str()),
        ));
    }
    if let Some(found) = result.signed_in {
        rows.push(("signing in", probe(found.auth)));
        for (name, finding) in [("  then read", found.read), ("  then write", found.write)] {
            rows.extend(finding.map(|finding| (name, probe(finding))));
        }
    }
    let required: Vec<String> = Requirements::of(result)
        .known()
        .map(|(name, required)| format!("{}{name}", if required { "" } else { "no " }))
        .collect();
    if !required.is_empty() {
        rows.push(("requires", required.join(", ")));
    }
    rows
}

fn abilities(result: &CheckResult) -> Vec<Row> {
    let answers = result.capabilities;
    [
        ("count", answers.count),
        ("search", answers.search),
        ("reconcile", answers.negentropy),
    ]
    .into_iter()
    .filter_map(|(name, capability)| {
        let capability = capability?;
        let style = match capability {
            Capability::Yes => GOOD,
            Capability::No(_) => BAD,
            Capability::Unknown(_) => SOSO,
        };
        let reason = capability.reason().map(|reason| format!(" ({reason})"));
        let verdict = capability.as_str();
        Some((
            name,
            format!("{style}{verdict}{style:#}{}", reason.unwrap_or_default()),
        ))
    })
    .collect()
}

fn information(result: &CheckResult) -> Vec<Row> {
    let information = match &result.information {
        None => return Vec::new(),
        Some(InformationFinding::Failed { reason }) => {
            return vec![("document", format!("{BAD}none{BAD:#} ({reason})"))];
        }
        Some(InformationFinding::Read(information)) => information,
    };
    let mut rows = Vec::new();
    for (name, value) in [
        ("name", &information.name),
        ("software", &information.software),
        ("version", &information.version),
    ] {
        rows.extend(value.as_ref().map(|value| (name, plain(value))));
    }
    rows.extend(
        information
            .pubkey
            .map(|pubkey| ("operator", pubkey.to_hex())),
    );
    if let Some(nips) = &information.supported_nips {
        let nips: Vec<String> = nips.iter().map(ToString::to_string).collect();
        rows.push(("NIPs", nips.join(", ")));
    }
    if rows.is_empty() {
        rows.push(("document", "says nothing".to_owned()));
    }
    rows
}

fn certificate(result: &CheckResult) -> Vec<Row> {
    let Some(tls) = &result.tls else {
        return Vec::new();
    };
    let style = if tls.verdict == "valid" { GOOD } else { BAD };
    let mut rows = vec![("verdict", format!("{style}{}{style:#}", tls.verdict))];
    let spoken: Vec<&str> = tls.protocol.into_iter().chain(tls.cipher).collect();
    if !spoken.is_empty() {
        rows.push(("protocol", spoken.join(", ")));
    }
    let Some(found) = &tls.certificate else {
        return rows;
    };
    for (name, value) in [("subject", &found.subject), ("issuer", &found.issuer)] {
        rows.extend(value.as_ref().map(|value| (name, plain(value))));
    }
    if !found.names.is_empty() {
        let more = found.names_total.saturating_sub(found.names.len());
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        rows.push(("hosts", format!("{}{more}", plain(&found.names.join(", ")))));
    }
    let day = |at: i64| {
        let at = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(at.max(0).unsigned_abs()));
        at.map_or("?".to_owned(), |at| {
            humantime::format_rfc3339_seconds(at).to_string()
        })
    };
    if let Some((from, to)) = found.not_before.zip(found.not_after) {
        let left = (to - result.checked_at) / 86_400;
        rows.push((
            "valid",
            format!("{} to {} ({left} days left)", day(from), day(to)),
        ));
    }
    rows.extend(
        found
            .serial
            .as_ref()
            .map(|serial| ("serial", serial.clone())),
    );
    rows.push(("SHA-256", found.sha256.clone()));
    rows
}

fn network(result: &CheckResult) -> Vec<Row> {
    let mut rows = vec![("network", result.url.network().as_str().to_owned())];
    rows.extend(result.remote_ip.map(|ip| ("connected to", ip.to_string())));
    match &result.dns {
        None => {}
        Some(DnsFinding::Failed { reason }) => {
            rows.push(("DNS", format!("{BAD}none{BAD:#} ({reason})")));
        }
        Some(DnsFinding::Found(records)) => {
            let addresses: Vec<String> = records.addresses().map(|ip| ip.to_string()).collect();
            let ttl = records.ttl_seconds.map(|ttl| format!(" (for {ttl} s)"));
            rows.push((
                "addresses",
                format!("{}{}", addresses.join(", "), ttl.unwrap_or_default()),
            ));
            let servers: Vec<&str> = records.name_servers.iter().map(String::as_str).collect();
            for (name, list) in [
                ("alias of", records.aliases.join(", ")),
                ("name servers", servers.join(", ")),
            ] {
                if !list.is_empty() {
                    rows.push((name, plain(&list)));
                }
            }
        }
    }
    if let Some(network) = &result.location.network {
        let number = network.number.map(|number| format!("AS{number} "));
        let organization = network.organization.as_deref().unwrap_or_default();
        rows.push((
            "carried by",
            format!("{}{}", number.unwrap_or_default(), plain(organization)),
        ));
    }
    rows
}

fn place(result: &CheckResult, config: &MonitorConfig) -> Vec<Row> {
    let Some(place) = &result.location.place else {
        let unknown = if config.geo {
            "unknown"
        } else {
            "no database: see --geo-city"
        };
        return if result.is_online() {
            vec![("place", unknown.to_owned())]
        } else {
            Vec::new()
        };
    };
    let names: Vec<&str> = [&place.city, &place.country, &place.continent]
        .into_iter()
        .filter_map(Option::as_deref)
        .collect();
    let mut rows = vec![("place", plain(&names.join(", ")))];
    if let Some((latitude, longitude)) = place.latitude.zip(place.longitude) {
        let geohash = place.geohash.as_deref().unwrap_or_default();
        rows.push(("position", format!("{latitude}, {longitude} ({geohash})")));
    }
    rows.extend(
        place
            .time_zone
            .as_ref()
            .map(|zone| ("time zone", plain(zone))),
    );
    rows
}

fn server(result: &CheckResult) -> Vec<Row> {
    let Some(headers) = &result.headers else {
        return Vec::new();
    };
    let mut rows: Vec<Row> = headers
        .values
        .iter()
        .filter(|(name, _)| name.len() <= 15)
        .map(|(name, value)| (*name, plain(value)))
        .collect();
    if let Some(value) = headers.values.get("strict-transport-security") {
        rows.push(("HSTS", plain(value)));
    }
    let cors = if headers.cors.is_complete() {
        format!("{GOOD}complete{GOOD:#}")
    } else {
        format!("{SOSO}incomplete{SOSO:#}: web clients may not read the document")
    };
    rows.push(("CORS", cors));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_relay_says_cannot_move_the_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\r\n\u{202e}c\u{7}"), "a[2Jbc");
    }
}
