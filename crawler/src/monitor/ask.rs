//! What is asked beside the WebSocket: the information document over HTTP, and DNS.

use bigbrotr_core::relay_url::RelayUrl;
use tokio::sync::watch;

use super::config::MonitorConfig;
use super::headers::ServerHeaders;
use super::information::RelayInformation;
use super::limits::{MAX_INFORMATION_BYTES, RETRY_PAUSE};
use super::result::{DnsFinding, InformationFinding};
use crate::dial::http::{self, HttpOptions};
use crate::dial::{DialError, Dialer, ResolveError};

/// What the request for the information document brought.
#[derive(Debug, Default)]
pub(super) struct InformationAnswer {
    pub(super) information: Option<InformationFinding>,
    pub(super) headers: Option<ServerHeaders>,
}

/// Fetches the information document. Tells the difficulty that it names to who waits for it.
pub(super) async fn information(
    dialer: &Dialer,
    url: &RelayUrl,
    config: &MonitorConfig,
    difficulty: watch::Sender<Option<u32>>,
) -> InformationAnswer {
    let answer = fetch(dialer, url, config).await;
    if let Some(InformationFinding::Read(information)) = &answer.information {
        difficulty.send_replace(information.limitation.min_pow_difficulty);
    }
    answer
}

/// What is known of the document of a relay that cannot be connected to.
pub(super) fn unread(error: &DialError, config: &MonitorConfig) -> InformationAnswer {
    // Our own failure says nothing about the document.
    let is_known = config.nip11 && !error.is_ours();
    InformationAnswer {
        information: is_known.then(|| InformationFinding::Failed {
            reason: error.reason(),
        }),
        headers: None,
    }
}

async fn fetch(dialer: &Dialer, url: &RelayUrl, config: &MonitorConfig) -> InformationAnswer {
    if !config.nip11 {
        return InformationAnswer::default();
    }
    let options = HttpOptions {
        max_body_bytes: MAX_INFORMATION_BYTES,
        timeout: config.nip11_timeout,
        ..HttpOptions::default()
    };
    let mut retries = config.nip11_retries;
    let outcome = loop {
        match http::get(dialer, &url.http_url(), &options).await {
            Err(error) if retries > 0 && error.is_transient() => retries -= 1,
            outcome => break outcome,
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    };
    let failed = |reason| Some(InformationFinding::Failed { reason });
    let response = match outcome {
        Ok(response) => response,
        Err(error) => {
            // Our own failure says nothing about the document.
            let reason = (!error.is_ours()).then(|| error.reason());
            return InformationAnswer {
                information: reason.and_then(failed),
                headers: None,
            };
        }
    };
    let headers = config.http.then(|| ServerHeaders::read(&response.headers));
    let information = if response.status.is_success() {
        match RelayInformation::parse(response.body) {
            Ok(information) => Some(InformationFinding::Read(Box::new(information))),
            Err(error) => failed(error.reason()),
        }
    } else {
        failed("http_status")
    };
    InformationAnswer {
        information,
        headers,
    }
}

/// Asks DNS about the relay's name; `None` where there is nothing to ask.
pub(super) async fn dns(
    dialer: &Dialer,
    url: &RelayUrl,
    config: &MonitorConfig,
) -> Option<DnsFinding> {
    if !config.dns {
        return None;
    }
    let mut retries = config.dns_retries;
    loop {
        let asked = tokio::time::timeout(config.dns_timeout, dialer.records(url)).await;
        let error = match asked {
            Ok(None) => return None,
            Ok(Some(Ok(records))) => return Some(DnsFinding::Found(records)),
            Ok(Some(Err(error))) => error,
            Err(_) => ResolveError::TimedOut,
        };
        if retries == 0 || !error.is_transient() {
            let reason = error.reason();
            return Some(DnsFinding::Failed { reason });
        }
        retries -= 1;
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}
