//! Receipts of zaps ([NIP-57]) as payment for jobs.
//!
//! A receipt counts when the configured provider signed it, for a request to zap us that names the
//! job's request or our feedback, with at least the price in its invoice. A bid in a request is a
//! wish and pays nothing.
//!
//! [NIP-57]: https://github.com/nostr-protocol/nips/blob/master/57.md

use std::collections::BTreeSet;

use bigbrotr_core::event::{Event, EventId, Pubkey};
use bigbrotr_core::filter::Filter;
use bigbrotr_schema::store::Feedback;

use super::{DvmError, DvmService, question};
use crate::limits::SWEEP_RECEIPTS;

/// The kind of receipts.
pub(super) const RECEIPT: u16 = 9_735;

/// The kind of requests to zap, which a receipt quotes.
const ZAP_REQUEST: u16 = 9_734;

impl DvmService {
    /// Takes a receipt: the job that it pays for begins.
    pub(super) async fn receive(&self, receipt: &Event) -> Result<(), DvmError> {
        let Ok(provider) = Pubkey::from_hex(&self.config.zap_provider) else {
            return Ok(());
        };
        let price = self.config.price_msats;
        let Some(named) = paid_for(receipt, &provider, &self.provider, price) else {
            return Ok(());
        };
        for id in [Some(named), self.subject(&named).await?]
            .into_iter()
            .flatten()
        {
            let Some(request) = self.store.get_unpaid_request(&id).await? else {
                continue;
            };
            let event = self.desk.processing(&request)?;
            let feedback = Feedback {
                event: &event,
                relays: &question::answer_relays(&request.tags),
            };
            if self.store.pay_job(&id, &receipt.id, feedback).await? {
                tracing::info!(job.id = %id, event.id = %receipt.id, "job paid");
                self.answered.notify_one();
                self.queued.notify_one();
            }
            break;
        }
        Ok(())
    }

    /// Looks for receipts that nobody told of.
    pub(super) async fn sweep_receipts(&self) -> Result<(), DvmError> {
        let filter = Filter {
            kinds: Some(BTreeSet::from([RECEIPT])),
            since: Some(self.answered_since()),
            ..Filter::default()
        };
        for stored in self
            .store
            .query_relay_events(&filter, SWEEP_RECEIPTS)
            .await?
        {
            self.receive(&stored.event()?).await?;
        }
        Ok(())
    }

    /// Returns the request that feedback of ours is about.
    async fn subject(&self, feedback: &EventId) -> Result<Option<EventId>, DvmError> {
        let Some(stored) = self.store.get_relay_event(feedback).await? else {
            return Ok(None);
        };
        let event = stored.event()?;
        let ours = event.pubkey == self.provider;
        let request = event
            .tag_value("e")
            .and_then(|id| EventId::from_hex(id).ok());
        Ok(request.filter(|_| ours))
    }
}

/// Returns the event that a receipt names, if it proves that enough was paid.
fn paid_for(receipt: &Event, provider: &Pubkey, us: &Pubkey, price_msats: u64) -> Option<EventId> {
    if receipt.kind != RECEIPT || receipt.pubkey != *provider || receipt.verify().is_err() {
        return None;
    }
    let request = Event::from_json(receipt.tag_value("description")?).ok()?;
    let to_us = request.tag_value("p") == Some(us.to_hex().as_str());
    if request.kind != ZAP_REQUEST || !to_us || request.verify().is_err() {
        return None;
    }
    let paid = invoice_msats(receipt.tag_value("bolt11")?)?;
    let promised = request.tag_value("amount");
    let as_promised = promised.is_none_or(|amount| amount.parse() == Ok(paid));
    if !as_promised || paid < price_msats {
        return None;
    }
    EventId::from_hex(request.tag_value("e")?).ok()
}

/// Reads the amount of a BOLT 11 invoice: millisatoshis.
fn invoice_msats(invoice: &str) -> Option<u64> {
    const MSATS_PER_BITCOIN: u64 = 100_000_000_000;
    let invoice = invoice.to_ascii_lowercase();
    // The last 1 is the separator: what follows has none.
    let (readable, _) = invoice.rsplit_once('1')?;
    let networks = ["lnbcrt", "lntbs", "lnbc", "lntb"];
    let amount = networks
        .iter()
        .find_map(|prefix| readable.strip_prefix(prefix))?;
    let digits = amount.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match &amount[digits.len()..] {
        "" => number.checked_mul(MSATS_PER_BITCOIN),
        "m" => number.checked_mul(MSATS_PER_BITCOIN / 1_000),
        "u" => number.checked_mul(MSATS_PER_BITCOIN / 1_000_000),
        "n" => number.checked_mul(MSATS_PER_BITCOIN / 1_000_000_000),
        // Tenths of a millisatoshi, of which an invoice has whole ones.
        "p" => number.is_multiple_of(10).then_some(number / 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use nostr::{EventBuilder, Keys, Kind, Tag};

    use super::*;

    fn event(keys: &Keys, kind: u16, tags: &[&[&str]]) -> Event {
        let tags = tags
            .iter()
            .map(|tag| Tag::parse(tag.iter().copied()).unwrap());
        let builder = EventBuilder::new(Kind::Custom(kind), "").tags(tags);
        Event::from(&builder.allow_self_tagging().sign_with_keys(keys).unwrap())
    }

    #[test]
    fn amounts_of_invoices_are_read_in_every_unit() {
        for (invoice, msats) in [
            (
                "lnbc10u1p3unwfusp5t9r3yymhpfqculx78u027lxspgxcr2n2987mx2j55nnfs95nxnzq",
                Some(1_000_000),
            ),
            ("LNBC1M1XX", Some(100_000_000)),
            ("lnbc210n1xx", Some(21_000)),
            ("lnbc2500p1xx", Some(250)),
            ("lnbcrt11xx", Some(100_000_000_000)),
            ("lnbc2501p1xx", None),
            ("lnbc1xx", None),
            ("lnbc5x1xx", None),
            ("lnbc99999999999999999m1xx", None),
            ("", None),
        ] {
            assert_eq!(invoice_msats(invoice), msats, "{invoice}");
        }
    }

    #[test]
    fn a_receipt_counts_when_everything_about_it_is_true() {
        let [provider, us, payer, other] = [(); 4].map(|()| Keys::generate());
        let key = |keys: &Keys| Pubkey(keys.public_key().to_bytes());
        let id = EventId([7; 32]);
        let (hex, ours) = (id.to_hex(), key(&us).to_hex());
        let zap = |by: &Keys, to: &str, amount: &str, invoice: &str, signer: &Keys| {
            let tags: &[&[&str]] = &[&["p", to], &["e", &hex], &["amount", amount]];
            let request = event(by, ZAP_REQUEST, tags).to_json();
            event(
                signer,
                RECEIPT,
                &[&["description", &request], &["bolt11", invoice]],
            )
        };
        let paid = |receipt: &Event| paid_for(receipt, &key(&provider), &key(&us), 21_000);
        let good = zap(&payer, &ours, "21000", "lnbc210n1xx", &provider);
        assert_eq!(paid(&good), Some(id));
        let theirs = key(&other).to_hex();
        for bad in [
            zap(&payer, &ours, "21000", "lnbc210n1xx", &other),
            zap(&payer, &theirs, "21000", "lnbc210n1xx", &provider),
            zap(&payer, &ours, "20000", "lnbc200n1xx", &provider),
            zap(&payer, &ours, "21000", "lnbc200n1xx", &provider),
            zap(&payer, &ours, "30000", "lnbc210n1xx", &provider),
            event(&provider, RECEIPT, &[&["bolt11", "lnbc210n1xx"]]),
            event(&provider, ZAP_REQUEST, &[]),
        ] {
            assert_eq!(paid(&bad), None);
        }
        let mut forged = good;
        forged.content.push('x');
        assert_eq!(paid(&forged), None);
    }
}
