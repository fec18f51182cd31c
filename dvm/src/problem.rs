//! Why a question has no answer, as both faces say it.
//!
//! Most problems are the catalogue's and keep its words. The few that a face has of its own take
//! the same shape.

use bigbrotr_schema::catalog::CatalogError;
use serde_json::json;

/// An error for a customer or a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The HTTP status that says the same.
    pub(crate) status: u16,
    /// Its name, for programs.
    pub(crate) code: &'static str,
    /// For humans.
    pub(crate) message: String,
    /// `{"error":{"code","message","param"?}}`
    pub(crate) json: String,
    /// When to try again, seconds.
    pub(crate) retry_after_seconds: Option<u64>,
}

impl Problem {
    /// A problem that the catalogue does not know.
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            status,
            code,
            json: json!({ "error": { "code": code, "message": message } }).to_string(),
            message,
            retry_after_seconds: None,
        }
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        Self {
            status: error.http_status(),
            code: error.code(),
            message: error.to_string(),
            json: error.to_json(),
            retry_after_seconds: match error {
                CatalogError::RateLimited {
                    retry_after_seconds,
                } => Some(retry_after_seconds),
                CatalogError::Unavailable(_) => Some(5),
                _ => None,
            },
        }
    }
}
