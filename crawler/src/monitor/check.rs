//! The check of one relay: everything that is asked of it, within bounds.
//!
//! Once there is a connection, the WebSocket and the information document are asked for side by
//! side, each over a connection of its own, and the first stays open for a while until both are
//! done: a relay that bans clients for coming back within seconds has no reason to. A relay that cannot be
//! connected to is not dialled again for its document: that is behind the same door, and most
//! relays that are known are dead. DNS is asked beside all of it. What is found is what a stranger
//! gets; what a relay allows who has signed in is told apart from it.

use std::error::Error;

use bigbrotr_core::relay_url::RelayUrl;
use nostr::Keys;
use tokio::sync::watch;

use super::ask::{self, InformationAnswer};
use super::config::MonitorConfig;
use super::conversation::{self, Conversation};
use super::geo::{GeoDatabases, Location};
use super::limits::SECOND_CONNECTION_WAIT;
use super::result::CheckResult;
use super::work::Miner;
use crate::dial::Dialer;
use crate::session::Session;

/// Checks relays: what all checks share.
#[derive(Debug, Clone)]
pub struct Checker {
    pub(super) dialer: Dialer,
    pub(super) config: MonitorConfig,
    pub(super) keys: Keys,
    pub(super) miner: Miner,
    geo: GeoDatabases,
}

impl Checker {
    /// Makes a checker; `keys` sign the event of the write probe, and sign in. Geo databases that
    /// are configured are read now; one that cannot be is told in the log and left out.
    pub fn new(dialer: Dialer, config: MonitorConfig, keys: Keys) -> Self {
        let (geo, errors) = GeoDatabases::open(&config);
        for error in &errors {
            tracing::warn!(
                error = error as &dyn Error,
                "geo database cannot be used: the check goes without it",
            );
        }
        Self {
            dialer,
            // What cannot be done is not announced either.
            config: MonitorConfig {
                geo: geo.has_places(),
                net: geo.has_networks(),
                ..config
            },
            keys,
            miner: Miner::default(),
            geo,
        }
    }

    /// Returns the configuration in effect: what cannot be looked up is switched off.
    pub fn config(&self) -> &MonitorConfig {
        &self.config
    }

    /// Checks a relay. `now` is in Unix seconds.
    ///
    /// Never fails: what goes wrong is what was found. Takes at most the waits for connection
    /// slots and the time-outs of the configuration and of the relay's network.
    ///
    /// # Security
    /// The relay is a stranger: what it sends is bounded in size and time, and the dialer refuses
    /// special-purpose addresses.
    pub async fn check(&self, url: &RelayUrl, now: i64) -> CheckResult {
        // The document may say how much work is wanted, which the conversation then has to know.
        let (difficulty, known) = watch::channel(None);
        let ((conversation, answer), dns) = tokio::join!(
            self.ask(url, now, difficulty, known),
            Box::pin(ask::dns(&self.dialer, url, &self.config)),
        );
        let Conversation {
            open,
            read,
            write,
            work,
            signed_in,
            capabilities,
            tls,
            remote_ip,
            session: _,
        } = conversation;
        let mut result = CheckResult {
            url: url.clone(),
            checked_at: now,
            open,
            read,
            write,
            work,
            signed_in,
            capabilities,
            information: answer.information,
            headers: answer.headers,
            tls,
            dns,
            remote_ip,
            location: Location::default(),
        };
        if let Some(ip) = result.address() {
            result.location = self.geo.locate(ip).await;
        }
        result
    }

    /// Connects, and asks the relay itself if that succeeds.
    async fn ask(
        &self,
        url: &RelayUrl,
        now: i64,
        difficulty: watch::Sender<Option<u32>>,
        known: watch::Receiver<Option<u32>>,
    ) -> (Conversation, InformationAnswer) {
        let mut retries = self.config.open_retries;
        let connection = match conversation::dial(self, url, &mut retries).await {
            Ok(connection) => connection,
            Err(error) => {
                let information = ask::unread(&error, &self.config);
                let conversation = conversation::not_open(&error.into(), &self.config);
                return (conversation, information);
            }
        };
        let asked = known.clone();
        let converse = async {
            let conversation = conversation::converse(self, url, connection, retries, now, known);
            let mut conversation = Box::pin(conversation).await;
            if let Some(session) = conversation.session.take() {
                close(session, asked).await;
            }
            conversation
        };
        let (conversation, answer) = tokio::join!(
            Box::pin(converse),
            Box::pin(ask::information(
                &self.dialer,
                url,
                &self.config,
                difficulty
            )),
        );
        (conversation, answer)
    }
}

/// Ends the conversation once the document has been asked for, which is when nobody can tell of
/// it any more, or after a while.
async fn close(session: Session, mut asked: watch::Receiver<Option<u32>>) {
    let is_asked = async { while asked.changed().await.is_ok() {} };
    // Either way it is time.
    drop(tokio::time::timeout(SECOND_CONNECTION_WAIT, is_asked).await);
    session.close().await;
}

/// Checks one relay, as [`Checker::check`] does.
pub async fn check_relay(
    dialer: &Dialer,
    url: &RelayUrl,
    config: &MonitorConfig,
    keys: &Keys,
    now: i64,
) -> CheckResult {
    let checker = Checker::new(dialer.clone(), config.clone(), keys.clone());
    checker.check(url, now).await
}
