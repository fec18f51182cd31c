//! What a submitter hears of its events.

use std::fmt;

use bigbrotr_core::event::EventError;

/// What became of submitted events. The four add up to their number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ingested {
    /// Events that the archive did not have.
    pub new: u64,
    /// Events that the archive had.
    pub known: u64,
    /// Events with a wrong id or signature, or that the database would not take: counted, named
    /// in the log, never stored.
    pub refused: u64,
    /// Events of a kind or age that this implementation does not keep: see
    /// [`crate::config::RetentionConfig`].
    pub unkept: u64,
}

impl std::ops::AddAssign for Ingested {
    fn add_assign(&mut self, more: Self) {
        self.new += more.new;
        self.known += more.known;
        self.refused += more.refused;
        self.unkept += more.unkept;
    }
}

/// What became of submitted events, and which of them were refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IngestReport {
    /// The counts.
    pub ingested: Ingested,
    /// The refused events, in the order in which they were submitted.
    pub refused: Vec<RefusedPosition>,
    /// The positions of those that are not kept.
    pub unkept: Vec<usize>,
}

/// An event that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedPosition {
    /// Its position in the submission, from 0.
    pub position: usize,
    /// Why.
    pub refusal: Refusal,
}

/// Why an event is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The id is not the hash of the event.
    WrongId,
    /// The signature is not the author's over the id.
    WrongSignature,
    /// The database does not take it.
    Database,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::WrongId, Self::WrongSignature, Self::Database];

    /// Names the reason from a closed set, for metric labels.
    pub fn label(self) -> &'static str {
        match self {
            Self::WrongId => "wrong_id",
            Self::WrongSignature => "wrong_signature",
            Self::Database => "database",
        }
    }
}

impl From<&EventError> for Refusal {
    fn from(error: &EventError) -> Self {
        match error {
            EventError::WrongSignature { .. } => Self::WrongSignature,
            // Submitted events are parsed: their form is right.
            EventError::WrongId { .. } | EventError::Malformed(_) => Self::WrongId,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongId => "the id does not match the content",
            Self::WrongSignature => "the signature is wrong",
            Self::Database => "the database does not take it",
        })
    }
}
