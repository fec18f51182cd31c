//! What can go wrong in the validator itself; what is wrong with candidates is a verdict.

/// Why the validator cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ValidatorError {
    /// A metric cannot be registered.
    #[error("cannot register the validator's metrics")]
    Metrics(#[from] prometheus::Error),
}
