//! What the demonstration found, beside what was there to be found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Context;
use bigbrotr_schema::catalog::Catalog;
use serde_json::Value;

use super::Asked;
use super::farm::Farm;
use crate::node::{Node, Places};
use crate::summary::count;

/// The summary of a demonstration.
pub(super) struct Report {
    relays: Vec<RelayLine>,
    archived: u64,
    held: u64,
    differences: usize,
    took: Duration,
    question: String,
    answer: String,
    answer_right: bool,
    places: Places,
}

/// One relay: what it holds and what was archived of it.
struct RelayLine {
    url: String,
    about: &'static str,
    status: String,
    status_right: bool,
    rtt_open_ms: Option<i64>,
    rtt_read_ms: Option<i64>,
    archived: u64,
    held: u64,
}

impl Report {
    /// Compares the node's answers with the relays.
    pub(super) async fn make(
        node: &Node,
        farm: &Farm,
        took: Duration,
        asked: &Asked,
    ) -> anyhow::Result<Self> {
        let catalog = Catalog::load(node.store.clone(), &[]).await?;
        let mut relays = Vec::new();
        for character in farm.relays() {
            let url = character.relay.url();
            let params = BTreeMap::from([("url".to_owned(), url.clone())]);
            let answer = catalog.run("relays.get", &params).await?;
            let answer: Value = serde_json::from_str(&answer.json)?;
            let data = &answer["data"];
            let status = data["status"].as_str().unwrap_or_default().to_owned();
            relays.push(RelayLine {
                about: character.about,
                status_right: status
                    == if character.online {
                        "online"
                    } else {
                        "offline"
                    },
                status,
                rtt_open_ms: data["rtt_open_ms"].as_i64(),
                rtt_read_ms: data["rtt_read_ms"].as_i64(),
                archived: data["events"].as_u64().unwrap_or_default(),
                held: character.relay.event_count() as u64,
                url,
            });
        }
        let union = farm.union();
        let ids: Vec<_> = union.iter().copied().collect();
        let archived = node.store.archived_nums(&ids).await?.len() as u64;
        let held = union.len() as u64;
        let answer: Value = serde_json::from_str(&asked.answer).context("the answer is no JSON")?;
        Ok(Self {
            relays,
            archived,
            held,
            differences: node.store.verify_statistics(100).await?.len(),
            took,
            question: asked.question.clone(),
            answer_right: answer["data"]["events"].as_u64() == Some(held),
            answer: asked.answer.clone(),
            places: node.places.clone(),
        })
    }

    /// Says whether the node found exactly what was there.
    pub(super) fn is_right(&self) -> bool {
        self.archived == self.held
            && self.differences == 0
            && self.answer_right
            && self
                .relays
                .iter()
                .all(|line| line.status_right && line.archived == line.held)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let online = self
            .relays
            .iter()
            .filter(|line| line.status == "online")
            .count();
        let pairs: u64 = self.relays.iter().map(|line| line.archived).sum();
        writeln!(f, "What the node found in {:.1} s", self.took.as_secs_f64())?;
        writeln!(
            f,
            "  relays      {} measured, {online} online",
            self.relays.len()
        )?;
        for line in &self.relays {
            let rtt = |value: Option<i64>| value.map_or("-".to_owned(), |ms| format!("{ms} ms"));
            writeln!(
                f,
                "    {:<22} {:<8} open {:>6}  read {:>6}  {:>5} of {:>5} events   {}",
                line.url,
                line.status,
                rtt(line.rtt_open_ms),
                rtt(line.rtt_read_ms),
                line.archived,
                line.held,
                line.about,
            )?;
        }
        let complete = if self.archived == self.held {
            "complete"
        } else {
            "INCOMPLETE"
        };
        writeln!(
            f,
            "  archive     {} of {} distinct events, seen {} times: {complete}",
            count(self.archived),
            count(self.held),
            count(pairs),
        )?;
        let exact = match self.differences {
            0 => "equal to their recomputation".to_owned(),
            n => format!("{n} DIFFERENCES from their recomputation"),
        };
        writeln!(f, "  statistics  {exact}")?;
        writeln!(f, "\nA question over Nostr, asked by a separate client")?;
        writeln!(f, "  {}", self.question)?;
        writeln!(f, "  {}", self.answer)?;
        let part = |url: &Option<String>| url.clone().unwrap_or_else(|| "not here".to_owned());
        let api = part(&self.places.api);
        writeln!(f, "\nExplore")?;
        writeln!(
            f,
            "  relay    {}   (kind 30166 reports, NIP-90 jobs)",
            part(&self.places.relay)
        )?;
        writeln!(f, "  REST     {api}/v1/relays")?;
        writeln!(f, "           {api}/v1/kinds?window=7d")?;
        writeln!(f, "           {api}/openapi.json")?;
        writeln!(f, "  metrics  {}/metrics", part(&self.places.metrics))
    }
}
