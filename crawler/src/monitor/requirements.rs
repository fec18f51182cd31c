//! What a relay asks of clients: as it says itself, corrected by what the probes met.

use super::result::{CheckResult, Probe};

/// The conditions that reports name. `None`: not claimed, because nothing says either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requirements {
    /// Signing in (NIP-42) before anything else.
    pub auth: Option<bool>,
    /// Payment.
    pub payment: Option<bool>,
    /// Any condition on writing.
    pub writes: Option<bool>,
    /// Proof of work (NIP-13).
    pub pow: Option<bool>,
}

impl Requirements {
    /// Concludes from a check.
    ///
    /// A refusal with its machine-readable prefix proves a condition, whatever the document says.
    /// That an event was taken proves little: ephemeral events are often exempt. Only reading
    /// without a signature proves that signing in is not needed for everything.
    pub fn of(result: &CheckResult) -> Self {
        let said = result
            .information()
            .map(|information| information.limitation);
        let said = said.unwrap_or_default();
        let met = |reason: &str| {
            let probes = [result.read, result.write];
            let refused = |probe: &Probe| !probe.ok && probe.reason == Some(reason);
            probes.iter().flatten().any(refused)
        };
        let wrote_refused = result.write.filter(|probe| !probe.ok);
        let write_met = |reason: &str| wrote_refused.is_some_and(|p| p.reason == Some(reason));
        let conditions = ["auth-required", "payment-required", "pow", "restricted"];
        Self {
            auth: match result.read {
                Some(read) if read.reason == Some("auth-required") => Some(true),
                Some(read) if read.ok && !write_met("auth-required") => {
                    Some(said.auth_required.unwrap_or(false))
                }
                _ => said.auth_required,
            },
            payment: if met("payment-required") {
                Some(true)
            } else {
                said.payment_required
            },
            writes: if conditions.into_iter().any(write_met) || result.work.is_some() {
                Some(true)
            } else {
                said.restricted_writes
            },
            pow: if write_met("pow") || result.work.is_some() {
                Some(true)
            } else {
                said.min_pow_difficulty.map(|bits| bits > 0)
            },
        }
    }

    /// Lists what is known, by the names of [NIP-66]'s `R` tags.
    ///
    /// [NIP-66]: https://github.com/nostr-protocol/nips/blob/master/66.md
    pub fn known(self) -> impl Iterator<Item = (&'static str, bool)> {
        [
            ("auth", self.auth),
            ("payment", self.payment),
            ("writes", self.writes),
            ("pow", self.pow),
        ]
        .into_iter()
        .filter_map(|(name, required)| Some((name, required?)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::online;
    use super::super::work::{Work, WorkOutcome};
    use super::*;

    fn refused(reason: &'static str) -> Probe {
        Probe {
            ok: false,
            reason: Some(reason),
            rtt: None,
        }
    }

    fn taken() -> Probe {
        Probe {
            ok: true,
            reason: None,
            rtt: None,
        }
    }

    #[test]
    fn nothing_is_claimed_of_what_nobody_said() {
        let result = CheckResult {
            read: None,
            write: Some(taken()),
            ..online(None)
        };
        assert_eq!(Requirements::of(&result), Requirements::default());
        let empty = CheckResult {
            read: Some(refused("silent")),
            write: Some(refused("blocked")),
            ..online(Some(json!({})))
        };
        assert_eq!(Requirements::of(&empty), Requirements::default());
    }

    #[test]
    fn work_that_was_asked_for_and_done_is_required_all_the_same() {
        let result = CheckResult {
            read: None,
            write: Some(taken()),
            work: Some(Work {
                bits: Some(8),
                outcome: WorkOutcome::Accepted,
            }),
            ..online(Some(json!({"limitation": {"min_pow_difficulty": 0}})))
        };
        let found = Requirements::of(&result);
        assert_eq!((found.pow, found.writes), (Some(true), Some(true)));
    }

    #[test]
    fn reading_without_a_signature_proves_that_none_is_needed() {
        let result = CheckResult {
            read: Some(taken()),
            write: None,
            ..online(None)
        };
        assert_eq!(Requirements::of(&result).auth, Some(false));
        let writers_sign = CheckResult {
            write: Some(refused("auth-required")),
            ..result
        };
        let found = Requirements::of(&writers_sign);
        assert_eq!((found.auth, found.writes), (None, Some(true)));
    }

    #[test]
    fn what_was_met_outweighs_what_was_said() {
        let said = json!({"limitation": {"auth_required": false, "payment_required": false,
            "restricted_writes": false, "min_pow_difficulty": 0}});
        let open = CheckResult {
            read: Some(taken()),
            write: Some(taken()),
            ..online(Some(said))
        };
        let all = |required| {
            vec![
                ("auth", required),
                ("payment", required),
                ("writes", required),
                ("pow", required),
            ]
        };
        assert_eq!(
            Requirements::of(&open).known().collect::<Vec<_>>(),
            all(false)
        );
        let closed = CheckResult {
            read: Some(refused("auth-required")),
            write: Some(refused("pow")),
            ..open.clone()
        };
        let found = Requirements::of(&closed);
        assert_eq!(
            (found.auth, found.payment, found.writes, found.pow),
            (Some(true), Some(false), Some(true), Some(true))
        );
        let paid = CheckResult {
            write: Some(refused("payment-required")),
            ..open
        };
        assert_eq!(Requirements::of(&paid).payment, Some(true));
    }
}
