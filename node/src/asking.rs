//! A NIP-90 client: finds who answers, asks, and hears what comes.

use std::time::Duration;

use anyhow::{Context, bail};
use bigbrotr_crawler::dial::transport::GuardedTransport;
use bigbrotr_crawler::dial::websocket::WebSocketLimits;
use bigbrotr_crawler::dial::{Dialer, NetworksConfig};
use bigbrotr_dvm::ask::{
    Cipher, JobRequest, Provider, Reply, announcement_filter, choose, open, reply_filter,
};
use nostr::{Keys, PublicKey, ToBech32};
use nostr_sdk::{Client, RelayPoolNotification};

/// How long announcements are waited for.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks through relays, as somebody.
pub(crate) struct Asker {
    client: Client,
    keys: Keys,
    relays: Vec<String>,
    timeout: Duration,
}

/// What a job brought.
#[derive(Debug)]
pub(crate) enum Answered {
    /// A result.
    Result {
        /// Its content.
        content: String,
        /// The cursor of the next page, where the content is no JSON.
        next: Option<String>,
    },
    /// The provider's reason for giving none.
    Error {
        /// The error's name, where it has one.
        code: Option<String>,
        /// In words.
        message: String,
    },
}

/// Whom to ask, and where.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    /// The provider; `None` asks whoever answers.
    pub(crate) provider: Option<PublicKey>,
    /// How it is called, for people.
    pub(crate) name: String,
    /// The relays to ask through.
    pub(crate) relays: Vec<String>,
}

impl Asker {
    /// Connects to those of the relays that can be reached, with a key made for the purpose.
    pub(crate) async fn connect(relays: &[String], timeout: Duration) -> anyhow::Result<Self> {
        // Relays are the user's own choice, so they may be on this machine.
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
        for relay in relays {
            client
                .add_relay(relay)
                .await
                .with_context(|| format!("cannot use relay {relay}"))?;
        }
        let connected = client.try_connect(timeout).await;
        let reached: Vec<String> = connected.success.iter().map(ToString::to_string).collect();
        if reached.is_empty() {
            let failed: Vec<String> = connected
                .failed
                .iter()
                .map(|(relay, reason)| format!("{relay}: {reason}"))
                .collect();
            client.shutdown().await;
            bail!("cannot connect to {}", failed.join("; "));
        }
        Ok(Self {
            client,
            keys,
            relays: reached,
            timeout,
        })
    }

    /// Finds who answers a question, by the announcements on the relays (NIP-89).
    pub(crate) async fn choose(&self, job: &JobRequest, sealed: bool) -> Choice {
        let mut all: Vec<(Provider, String)> = Vec::new();
        for relay in &self.relays {
            let filter = announcement_filter(job.kind);
            let found = self
                .client
                .fetch_events_from([relay], filter, LOOK_TIMEOUT)
                .await;
            // A relay that does not answer has nothing to say.
            for event in found.into_iter().flatten() {
                if let Some(provider) = Provider::from_event(&event, job.kind) {
                    all.push((provider, relay.clone()));
                }
            }
        }
        let providers: Vec<Provider> = all.iter().map(|(provider, _)| provider.clone()).collect();
        let Some(chosen) = choose(&providers, &job.query, sealed) else {
            return Choice {
                provider: None,
                name: "whoever answers".to_owned(),
                relays: self.relays.clone(),
            };
        };
        let relays = all
            .iter()
            .filter(|(provider, _)| provider.pubkey == chosen.pubkey);
        Choice {
            provider: Some(chosen.pubkey),
            name: format!("{} ({})", chosen.name, npub(chosen.pubkey)),
            relays: relays.map(|(_, relay)| relay.clone()).collect(),
        }
    }

    /// Asks and waits for the answer. `on_status` hears of everything that is no answer yet.
    pub(crate) async fn ask(
        &self,
        job: &JobRequest,
        seal: Option<Cipher>,
        relays: &[String],
        mut on_status: impl FnMut(String),
    ) -> anyhow::Result<Answered> {
        let builder = match seal {
            None => job.to_event_builder()?,
            Some(cipher) => job.to_sealed_builder(&self.keys, cipher)?,
        };
        let request = builder.sign_with_keys(&self.keys)?;
        // Subscribed before asked: the answer may be quick.
        let mut notifications = self.client.notifications();
        let answers = reply_filter(request.id);
        self.client.subscribe_to(relays, answers, None).await?;
        let sent = self
            .client
            .send_event_to(relays, &request)
            .await
            .context("cannot send the request")?;
        if let (true, Some((relay, reason))) = (sent.success.is_empty(), sent.failed.iter().next())
        {
            bail!("{relay} refused the request: {reason}");
        }
        let wait = async {
            loop {
                let RelayPoolNotification::Event { event, .. } = notifications.recv().await? else {
                    continue;
                };
                if job
                    .provider
                    .is_some_and(|provider| provider != event.pubkey)
                {
                    continue;
                }
                let Some(event) = open(&event, &self.keys) else {
                    on_status(format!("{} sent what cannot be read", npub(event.pubkey)));
                    continue;
                };
                match Reply::from_event(&event, request.id) {
                    Some(Reply::Result { content, next }) => {
                        return Ok(Answered::Result { content, next });
                    }
                    Some(Reply::Error { code, message }) => {
                        return Ok(Answered::Error { code, message });
                    }
                    Some(Reply::Processing) => on_status("processing".to_owned()),
                    Some(Reply::Status { status, message }) => {
                        on_status(format!("{status} {message}").trim().to_owned());
                    }
                    None => {}
                }
            }
        };
        match tokio::time::timeout(self.timeout, wait).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => bail!(
                "no answer within {} s from {}; is there a provider on this relay?",
                self.timeout.as_secs(),
                relays.join(", ")
            ),
        }
    }

    /// Returns the relays that were reached.
    pub(crate) fn relays(&self) -> &[String] {
        &self.relays
    }

    /// Closes all connections.
    pub(crate) async fn close(self) {
        self.client.shutdown().await;
    }
}

fn npub(key: PublicKey) -> String {
    key.to_bech32().unwrap_or_else(|never| match never {})
}
