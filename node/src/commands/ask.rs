//! `bigbrotr ask`: a NIP-90 client.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bigbrotr_crawler::dial::transport::GuardedTransport;
use bigbrotr_crawler::dial::websocket::WebSocketLimits;
use bigbrotr_crawler::dial::{Dialer, NetworksConfig};
use bigbrotr_dvm::ask::{JobRequest, Reply, reply_filter};
use nostr::{Keys, PublicKey};
use nostr_sdk::{Client, RelayPoolNotification};

use crate::cli::{AskArgs, Options};

/// A question that was answered over Nostr.
pub(crate) struct Asked {
    /// The question as it was asked, for people.
    pub(crate) question: String,
    /// The content of the result.
    pub(crate) answer: String,
}

/// Asks and prints the answer; what happens in between goes to standard error.
pub(crate) async fn run(_: &Options, args: &AskArgs) -> anyhow::Result<ExitCode> {
    let provider = args
        .provider
        .as_ref()
        .map(|key| PublicKey::parse(key).with_context(|| format!("--provider {key}")))
        .transpose()?;
    let timeout = Duration::from_secs(args.timeout);
    let asked = ask(
        &args.relay,
        provider,
        &args.name,
        &args.params,
        timeout,
        |status| {
            eprintln!("{status}");
        },
    )
    .await?;
    println!("{}", asked.answer);
    Ok(ExitCode::SUCCESS)
}

/// Asks a question through a relay, with a key made for the purpose, and waits for the answer.
/// `on_status` hears of everything that is no answer yet.
pub(crate) async fn ask(
    relay: &str,
    provider: Option<PublicKey>,
    name: &str,
    params: &[(String, String)],
    timeout: Duration,
    on_status: impl FnMut(String),
) -> anyhow::Result<Asked> {
    // The relay is the user's own choice, so it may be on this machine.
    let networks = NetworksConfig {
        allow_private: true,
        ..NetworksConfig::default()
    };
    let transport = GuardedTransport::new(Dialer::new(networks)?, WebSocketLimits::default());
    let keys = Keys::generate();
    let client = Client::builder()
        .signer(keys.clone())
        .websocket_transport(transport)
        .build();
    client
        .add_relay(relay)
        .await
        .with_context(|| format!("cannot use relay {relay}"))?;
    let connected = client.try_connect(timeout).await;
    if let Some((_, reason)) = connected.failed.iter().next() {
        bail!("cannot connect to {relay}: {reason}");
    }
    let outcome = exchange(&client, &keys, provider, name, params, timeout, on_status).await;
    client.shutdown().await;
    outcome
}

async fn exchange(
    client: &Client,
    keys: &Keys,
    provider: Option<PublicKey>,
    name: &str,
    params: &[(String, String)],
    timeout: Duration,
    mut on_status: impl FnMut(String),
) -> anyhow::Result<Asked> {
    let mut job = JobRequest::new(name);
    for (name, value) in params {
        job = job.param(name, value);
    }
    if let Some(provider) = provider {
        job = job.provider(provider);
    }
    let request = job.to_event_builder()?.sign_with_keys(keys)?;
    // Subscribed before asked: the answer may be quick.
    let mut notifications = client.notifications();
    client.subscribe(reply_filter(request.id), None).await?;
    let sent = client
        .send_event(&request)
        .await
        .context("cannot send the request")?;
    if let Some((relay, reason)) = sent.failed.iter().next() {
        bail!("{relay} refused the request: {reason}");
    }
    let question = std::iter::once(name.to_owned())
        .chain(params.iter().map(|(name, value)| format!("{name}={value}")))
        .collect::<Vec<_>>()
        .join(" ");
    let wait = async {
        loop {
            let RelayPoolNotification::Event { event, .. } = notifications.recv().await? else {
                continue;
            };
            if provider.is_some_and(|provider| provider != event.pubkey) {
                continue;
            }
            match Reply::from_event(&event, request.id) {
                Some(Reply::Result { content, .. }) => {
                    return Ok(Asked {
                        question: question.clone(),
                        answer: content,
                    });
                }
                Some(Reply::Error { message, .. }) => bail!("the provider answered: {message}"),
                Some(Reply::Processing) => on_status("processing".to_owned()),
                Some(Reply::Status { status, message }) => on_status(format!("{status} {message}")),
                None => {}
            }
        }
    };
    match tokio::time::timeout(timeout, wait).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => bail!(
            "no answer within {} s; is there a provider on this relay?",
            timeout.as_secs()
        ),
    }
}
