//! What can go wrong with the catalogue: when it is loaded, and when it is asked.

use serde_json::json;

use crate::error::StoreError;

/// An entry's file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot load catalogue entry {file}: {reason}")]
pub struct LoadError {
    file: String,
    reason: String,
}

impl LoadError {
    pub(crate) fn new(file: &str, reason: String) -> Self {
        Self {
            file: file.to_owned(),
            reason,
        }
    }
}

/// Why a question has no answer. The same on every face, and never any database text.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No entry has this name.
    #[error("there is no question named {name:?}; ask \"catalog\" for the list")]
    UnknownQuery {
        /// What was asked.
        name: String,
    },
    /// A parameter is missing, unknown or out of bounds.
    #[error("{message}")]
    InvalidParam {
        /// The parameter's name.
        param: String,
        /// What is wrong and what is allowed.
        message: String,
    },
    /// The thing asked about is not in the archive.
    #[error("{message}")]
    NotFound {
        /// What was not found.
        message: String,
    },
    /// The asker must slow down.
    #[error("too many questions: try again in {retry_after_seconds} s")]
    RateLimited {
        /// When to try again, seconds.
        retry_after_seconds: u64,
    },
    /// The answer took too long.
    #[error("the answer took longer than {limit_seconds} s; ask for less")]
    Timeout {
        /// The time limit, seconds.
        limit_seconds: u64,
    },
    /// The database is away.
    #[error("the database is not available: try again later")]
    Unavailable(#[source] StoreError),
    /// A defect of ours.
    #[error("the question could not be answered")]
    Internal(#[source] StoreError),
}

impl CatalogError {
    pub(crate) fn invalid(param: &str, message: impl Into<String>) -> Self {
        Self::InvalidParam {
            param: param.to_owned(),
            message: message.into(),
        }
    }

    /// Names the error for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownQuery { .. } => "unknown_query",
            Self::InvalidParam { .. } => "invalid_param",
            Self::NotFound { .. } => "not_found",
            Self::RateLimited { .. } => "rate_limited",
            Self::Timeout { .. } => "timeout",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// Returns the HTTP status that says the same.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::InvalidParam { .. } => 400,
            Self::UnknownQuery { .. } | Self::NotFound { .. } => 404,
            Self::RateLimited { .. } => 429,
            Self::Internal(_) => 500,
            Self::Unavailable(_) => 503,
            Self::Timeout { .. } => 504,
        }
    }

    /// Writes the error as every face gives it: `{"error":{"code","message","param"?}}`.
    pub fn to_json(&self) -> String {
        let mut error = json!({ "code": self.code(), "message": self.to_string() });
        if let Self::InvalidParam { param, .. } = self {
            error["param"] = json!(param);
        }
        json!({ "error": error }).to_string()
    }
}
