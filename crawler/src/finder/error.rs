//! What can go wrong in the finder itself, and with a list.

use bigbrotr_schema::error::StoreError;

use super::json_path::PathError;
use crate::dial::http::HttpError;

/// Why the finder cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FinderError {
    /// A metric cannot be registered.
    #[error("cannot register the finder's metrics")]
    Metrics(#[from] prometheus::Error),
}

/// Why a list cannot be read. The texts quote our configuration and nothing of the list.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListError {
    #[error("cannot fetch the list")]
    Fetch(#[from] HttpError),
    #[error("the server answers with status {status}")]
    Status { status: u16 },
    #[error("it is a web page, not a list")]
    Html,
    #[error("it is not JSON. Hint: set its format to text if it has one URL a line")]
    NotJson(#[source] serde_json::Error),
    #[error("it is not text in UTF-8")]
    NotText,
    #[error("the configured path leads nowhere")]
    Path(#[from] PathError),
    #[error("there is no relay URL in it. Hint: the path has to lead to the URLs themselves")]
    NoUrls,
}

/// Why a list was not dealt with.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListStepError {
    #[error(transparent)]
    List(#[from] ListError),
    #[error(transparent)]
    Step(#[from] crate::store_wait::StepError),
}

impl From<StoreError> for ListStepError {
    fn from(error: StoreError) -> Self {
        Self::Step(error.into())
    }
}
