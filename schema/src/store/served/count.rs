//! Counting ([NIP-45]), with the registers of a `HyperLogLog` where the filter has them.
//!
//! [NIP-45]: https://github.com/nostr-protocol/nips/blob/master/45.md

use std::time::Duration;

use bigbrotr_core::filter::Filter;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::{Postgres, QueryBuilder, Row};

use super::super::{Link, Store, bytes32};
use super::{Planning, ServedFrom};
use crate::error::StoreError;
use crate::filter_sql::{RELAY_EVENTS, SERVED_ARCHIVE, push_conditions};

/// How many events match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedCount {
    /// The number; where it is not exact, there may be more.
    pub count: u64,
    /// Whether all were counted.
    pub exact: bool,
    /// The 256 registers of NIP-45, where an offset was given.
    pub hll: Option<Box<[u8; 256]>>,
}

impl Store {
    /// Counts the events that match any of the filters and may be served, up to `most`. With the
    /// archive beside, an event that is in both counts once. `hll` is what [`hll_offset`] says.
    ///
    /// # Errors
    /// [`StoreError::is_timeout`] when it would take longer than `within`.
    pub async fn count_served(
        &self,
        beside_archive: bool,
        filters: &[Filter],
        hll: Option<usize>,
        most: u64,
        within: Duration,
    ) -> Result<ServedCount, StoreError> {
        let filters: Vec<&Filter> = filters.iter().filter(|filter| !filter.is_void()).collect();
        let tables: &[ServedFrom] = match (filters.is_empty(), beside_archive) {
            (true, _) => &[],
            (false, true) => &[ServedFrom::RelayBesideArchive, ServedFrom::Archive],
            (false, false) => &[ServedFrom::Relay],
        };
        loop {
            let mut reader = self.reader(Planning::Each, within).await?;
            let connection = reader.connection();
            let counted = self.count_on(connection, tables, &filters, hll, most).await;
            if let Some(counted) = self.answered(reader, counted) {
                return counted;
            }
        }
    }

    async fn count_on(
        &self,
        connection: &mut Link,
        tables: &[ServedFrom],
        filters: &[&Filter],
        hll: Option<usize>,
        most: u64,
    ) -> Result<ServedCount, StoreError> {
        let mut counted = ServedCount {
            count: 0,
            exact: true,
            hll: hll.map(|_| Box::new([0; 256])),
        };
        for from in tables {
            let left = most.saturating_sub(counted.count);
            let mut query = self.counting(*from, filters, hll.is_some(), left);
            let (mut found, mut hidden) = (0, 0);
            if let (Some(offset), Some(registers)) = (hll, &mut counted.hll) {
                let mut rows = query.build().fetch(&mut *connection);
                while let Some(row) = rows.try_next().await? {
                    found += 1;
                    if row.try_get(1)? {
                        hidden += 1;
                    } else {
                        let pubkey = bytes32(row.try_get(0)?, "pubkey")?;
                        register(registers, &pubkey, offset);
                    }
                }
            } else {
                let row = query.build().fetch_one(&mut *connection).await?;
                found = row.try_get::<i64, _>(0)?.unsigned_abs();
                hidden = row.try_get::<i64, _>(1)?.unsigned_abs();
            }
            counted.exact &= found <= left;
            counted.count += found.saturating_sub(hidden).min(left);
        }
        Ok(counted)
    }

    /// Finds one more than `most` where there are more. What may not be served is judged of all that
    /// was found, at once.
    fn counting(
        &self,
        from: ServedFrom,
        filters: &[&Filter],
        pubkeys: bool,
        most: u64,
    ) -> QueryBuilder<Postgres> {
        let (found, table) = match from {
            ServedFrom::Relay | ServedFrom::RelayBesideArchive => (
                "select seq as number, pubkey from relay_events",
                &RELAY_EVENTS,
            ),
            ServedFrom::Archive => ("select num as number, pubkey from events", &SERVED_ARCHIVE),
        };
        let is_hidden = match from {
            ServedFrom::Relay => "false",
            ServedFrom::RelayBesideArchive => {
                "number in (select hidden_relay_events(array(select number from found)))"
            }
            ServedFrom::Archive => {
                "number in (select hidden_archived_events(array(select number from found)))"
            }
        };
        let mut query = QueryBuilder::new("with found as (");
        query.push(found);
        for (n, filter) in filters.iter().enumerate() {
            query.push(if n == 0 { " where (" } else { ") or (" });
            push_conditions(&mut query, table, filter, self.now());
        }
        query
            .push(") limit ")
            .push_bind(i64::try_from(most.saturating_add(1)).unwrap_or(i64::MAX))
            .push(") select ");
        if pubkeys {
            query.push(format_args!("pubkey, {is_hidden} from found"));
        } else {
            query.push(format_args!(
                "count(*), count(*) filter (where {is_hidden}) from found"
            ));
        }
        query
    }
}

/// Returns where in a public key the registers begin: `None` for what NIP-45 has none for.
///
/// The offset comes from the first value of the filter's first tag. Filters here keep neither in
/// order, so only a filter with one value of one tag has it: what NIP-45 is meant for.
pub fn hll_offset(filters: &[Filter]) -> Option<usize> {
    let [filter] = filters else { return None };
    let (_, values) = filter.tags.first_key_value()?;
    let value = values.first()?;
    if filter.tags.len() > 1 || values.len() > 1 {
        return None;
    }
    let is_hex = |text: &str| {
        let digits = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        text.len() == 64 && text.bytes().all(digits)
    };
    let parts: Vec<&str> = value.splitn(3, ':').collect();
    let digest = match parts.as_slice() {
        [id] if is_hex(id) => value.clone(),
        [_, owner, _] if is_hex(owner) => (*owner).to_owned(),
        _ => hex::encode(Sha256::digest(value.as_bytes())),
    };
    let digit = digest.chars().nth(32)?.to_digit(16)?;
    Some(digit as usize + 8)
}

/// Notes a public key. Zeros are counted in the seven bytes after the register's, as clients do
/// (NIP-45 names no end): some take two to the power of a register, in 64 bits.
fn register(registers: &mut [u8; 256], pubkey: &[u8; 32], offset: usize) {
    let bytes = pubkey.get(offset..offset + 8);
    let Some((first, rest)) = bytes.and_then(<[u8]>::split_first) else {
        return;
    };
    let zeros = rest.iter().take_while(|byte| **byte == 0).count();
    let bits = zeros * 8
        + rest
            .get(zeros)
            .map_or(0, |byte| byte.leading_zeros() as usize);
    let register = &mut registers[usize::from(*first)];
    *register = (*register).max(bits as u8 + 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(json: &str) -> Option<usize> {
        hll_offset(&[Filter::from_json(json).unwrap()])
    }

    #[test]
    fn the_offset_comes_from_the_one_value_of_the_one_tag() {
        let key = format!("{}a{}", "0".repeat(32), "0".repeat(31));
        assert_eq!(offset(&format!(r##"{{"#p":["{key}"]}}"##)), Some(18));
        assert_eq!(
            offset(&format!(r##"{{"#a":["30023:{key}:x"],"kinds":[7]}}"##)),
            Some(18)
        );
        // The 33rd digit of its SHA-256.
        let digit = hex::encode(Sha256::digest(b"nostr")).as_bytes()[32];
        let digit = char::from(digit).to_digit(16).unwrap() as usize;
        assert_eq!(offset(r##"{"#t":["nostr"]}"##), Some(digit + 8));
        for none in [
            r##"{"#t":["a","b"]}"##,
            r##"{"#t":["a"],"#p":["b"]}"##,
            "{}",
        ] {
            assert_eq!(offset(none), None, "{none}");
        }
        assert_eq!(hll_offset(&[Filter::default(), Filter::default()]), None);
    }

    #[test]
    fn a_register_holds_the_longest_row_of_zeros_plus_one() {
        let mut registers = [0; 256];
        let mut pubkey = [0xff; 32];
        pubkey[8..11].copy_from_slice(&[7, 0, 0x10]);
        register(&mut registers, &pubkey, 8);
        assert_eq!(registers[7], 12);
        pubkey[9] = 0x80;
        register(&mut registers, &pubkey, 8);
        assert_eq!(registers[7], 12);
        register(&mut registers, &[0; 32], 23);
        assert_eq!(registers[0], 57);
    }

    /// What nostr-tools 2.25 computes (`computeOffset`, `feedPubkey`).
    #[test]
    fn offsets_and_registers_are_those_of_a_client() {
        let key = hex::encode(Sha256::digest(b"key 3"));
        for (value, wanted) in [
            (key.clone(), 22),
            (format!("30023:{key}:x"), 22),
            (format!("30023:{key}:"), 22),
            (format!("30023:{key}"), 13),
            (key.to_uppercase(), 19),
            ("nostr".to_owned(), 12),
            (String::new(), 10),
            ("ñ🌍".to_owned(), 23),
        ] {
            let json = serde_json::json!({ "#a": [value] }).to_string();
            assert_eq!(offset(&json), Some(wanted), "{json}");
        }
        let mut registers = [0; 256];
        for n in 0..3 {
            let pubkey = Sha256::digest(format!("author {n}")).into();
            register(&mut registers, &pubkey, 8);
        }
        let noted = registers
            .iter()
            .enumerate()
            .filter(|(_, zeros)| **zeros > 0);
        let noted: Vec<_> = noted.map(|(n, zeros)| (n, *zeros)).collect();
        assert_eq!(noted, [(51, 3), (155, 1), (212, 1)]);
    }
}
