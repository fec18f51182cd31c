//! URLs that may be relays: found somewhere, not proven yet. Migration 0015 has the tables.
//!
//! - `finding` reads the archive for mentions and stores what is new, in one transaction
//! - `lists` keeps when each HTTP list is due
//! - `proving` leases candidates to validators and keeps what became of them

mod finding;
mod lists;
mod proving;

use std::fmt;

use bigbrotr_core::network::Network;
use sqlx::Row;

pub use self::finding::{
    ArchiveBarrier, Finding, FindingPage, Found, Mention, MentioningEvent, SiteBounds, Verdict,
};
pub use self::lists::DueList;
pub use self::proving::{Candidate, CandidateBounds, CandidateFailure, CandidateUpkeep};
use super::Store;
use crate::error::StoreError;

/// Where a relay was found: a closed set, in the order in which an event is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FoundBy {
    /// `r` tags of relay lists (NIP-65, kind 10002).
    RelayLists,
    /// Relay recommendations (kind 2).
    Recommendations,
    /// The content of contact lists (kind 3).
    Contacts,
    /// `r`, `relay` and `relays` tags of other events.
    Tags,
    /// Relay hints of tags that refer to events, pubkeys and addresses.
    Hints,
    /// Reports of relay monitors (NIP-66, kind 30166).
    Monitors,
    /// Lists that are fetched by HTTP.
    Lists,
}

impl FoundBy {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::RelayLists,
        Self::Recommendations,
        Self::Contacts,
        Self::Tags,
        Self::Hints,
        Self::Monitors,
        Self::Lists,
    ];

    /// Those that are found in archived events.
    pub const ARCHIVE: [Self; 6] = [
        Self::RelayLists,
        Self::Recommendations,
        Self::Contacts,
        Self::Tags,
        Self::Hints,
        Self::Monitors,
    ];

    /// Names it as in the database, in configuration and in metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RelayLists => "relay_lists",
            Self::Recommendations => "recommendations",
            Self::Contacts => "contacts",
            Self::Tags => "tags",
            Self::Hints => "hints",
            Self::Monitors => "monitors",
            Self::Lists => "lists",
        }
    }

    fn read(name: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|source| source.as_str() == name);
        found.ok_or_else(|| StoreError::Corrupt {
            what: "source of candidates",
            reason: format!("{name:?} is not one of them"),
        })
    }
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How many candidates of a source and network there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CandidateCount {
    /// Where they were found.
    pub found_by: FoundBy,
    /// Their network.
    pub network: Network,
    /// How many.
    pub count: u64,
}

/// How many candidates there are, and what has become of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct CandidateStatus {
    /// Those that wait for their first try, or for another.
    pub waiting: u64,
    /// Those of them that have failed before.
    pub retried: u64,
    /// Those that are given up for now.
    pub given_up: u64,
    /// Candidates that have become relays, ever.
    pub promoted: u64,
}

impl Store {
    /// Counts the candidates that nobody has tried yet.
    pub async fn count_untried_candidates(&self) -> Result<Vec<CandidateCount>, StoreError> {
        let rows = sqlx::query(
            "select source, network, count(*) as count from candidates
             where given_up_at is null and attempts = 0 group by source, network",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let network: &str = row.try_get("network")?;
                Ok(CandidateCount {
                    found_by: FoundBy::read(row.try_get("source")?)?,
                    network: network.parse().map_err(|error| StoreError::Corrupt {
                        what: "network of a candidate",
                        reason: format!("{error}"),
                    })?,
                    count: row.try_get::<i64, _>("count")? as u64,
                })
            })
            .collect()
    }

    /// Counts candidates by how far they have come.
    pub async fn count_candidates(&self) -> Result<CandidateStatus, StoreError> {
        let row = sqlx::query(
            "select count(*) filter (where given_up_at is null) as waiting,
                count(*) filter (where given_up_at is null and attempts > 0) as retried,
                count(*) filter (where given_up_at is not null) as given_up,
                (select coalesce(sum(relays), 0)::bigint from finder_sources) as promoted
             from candidates",
        )
        .fetch_one(&self.pool)
        .await?;
        let count = |name: &str| row.try_get::<i64, _>(name).map(|count| count as u64);
        Ok(CandidateStatus {
            waiting: count("waiting")?,
            retried: count("retried")?,
            given_up: count("given_up")?,
            promoted: count("promoted")?,
        })
    }
}
