//! Numbers of pubkeys: a memory in front of the table `pubkeys`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bigbrotr_core::event::Pubkey;

use crate::error::StoreError;
use crate::limits::PUBKEY_NUMBERS;
use crate::recent::Recent;
use crate::store::Link;
use crate::store::bytes32;

/// The numbers that are known without asking. Clones share them.
#[derive(Debug, Clone)]
pub(in crate::store) struct PubkeyNumbers(Arc<Mutex<Recent<Pubkey, i32>>>);

impl Default for PubkeyNumbers {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Recent::new(PUBKEY_NUMBERS))))
    }
}

impl PubkeyNumbers {
    /// Begins a transaction's use of numbers.
    pub(super) fn begin(&self) -> Numbers<'_> {
        Numbers {
            shared: self,
            own: HashMap::new(),
        }
    }
}

/// The numbers that one transaction uses. Only its commit makes them known to others: until then
/// the rows may still vanish.
#[derive(Debug)]
pub(super) struct Numbers<'a> {
    shared: &'a PubkeyNumbers,
    own: HashMap<Pubkey, i32>,
}

impl Numbers<'_> {
    /// Finds the numbers of these pubkeys, and gives numbers to those that have none.
    pub(super) async fn resolve(
        &mut self,
        connection: &mut Link,
        pubkeys: impl Iterator<Item = Pubkey>,
    ) -> Result<(), StoreError> {
        let mut missing = Vec::new();
        {
            let shared = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
            for pubkey in pubkeys {
                if self.own.contains_key(&pubkey) {
                    continue;
                }
                // A placeholder keeps a pubkey from being asked for twice.
                let known = shared.get(&pubkey);
                self.own.insert(pubkey, known.unwrap_or_default());
                if known.is_none() {
                    missing.push(pubkey);
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.fetch(
            connection,
            "select pubkey, num from pubkeys where pubkey = any ($1)",
            &missing,
        )
        .await?;
        missing.retain(|pubkey| self.own.get(pubkey) == Some(&0));
        if missing.is_empty() {
            return Ok(());
        }
        // Sorted, so that pages of the index are met once.
        missing.sort_unstable();
        self.fetch(
            connection,
            "insert into pubkeys (pubkey) select unnest($1::bytea[]) on conflict do nothing
             returning pubkey, num",
            &missing,
        )
        .await
    }

    async fn fetch(
        &mut self,
        connection: &mut Link,
        sql: &'static str,
        pubkeys: &[Pubkey],
    ) -> Result<(), StoreError> {
        let bytes: Vec<&[u8]> = pubkeys.iter().map(|pubkey| pubkey.0.as_slice()).collect();
        let rows: Vec<(Vec<u8>, i32)> = sqlx::query_as(sql)
            .bind(bytes)
            .fetch_all(connection)
            .await?;
        for (pubkey, num) in rows {
            self.own.insert(Pubkey(bytes32(&pubkey, "pubkey")?), num);
        }
        Ok(())
    }

    /// Returns the number of a resolved pubkey.
    pub(super) fn get(&self, pubkey: &Pubkey) -> Result<i32, StoreError> {
        match self.own.get(pubkey) {
            Some(&num) if num > 0 => Ok(num),
            _ => Err(StoreError::Corrupt {
                what: "pubkey number",
                reason: format!("{pubkey} has none"),
            }),
        }
    }

    /// Makes the numbers known to later transactions: to be called when this one is durable.
    pub(super) fn commit(self) {
        let mut shared = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (pubkey, num) in self.own {
            if shared.get(&pubkey).is_none() {
                shared.insert(pubkey, num);
            }
        }
    }
}
