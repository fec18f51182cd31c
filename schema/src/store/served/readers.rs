//! Connections for the questions of strangers.
//!
//! A question of a client is one statement, often a small one. In a transaction of its own, with
//! its settings, it would be four round trips, of which the settings alone cost the database three
//! times what the question does. So these connections are set up once, to the server itself (a
//! pooler would forget the settings), and are used for nothing else.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::timeout;

use super::super::{Link, Store};
use crate::error::StoreError;
use crate::limits::IDLE_READERS;

/// What every reader is told: to change nothing, to take one core, and to wait for no compiler.
const SETTINGS: &str = "set default_transaction_read_only = on; \
    set max_parallel_workers_per_gather = 0; set jit = off";

/// How the database is to plan a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Planning {
    /// For its own values.
    Each,
    /// Once for all questions of this form: there is but one good way for all of them, which is an
    /// index, and planning takes twice the time that reading a few events does.
    Once,
}

/// The server is to look now and then whether anybody still waits for a statement. Whoever asks and
/// leaves would otherwise leave a process of the server behind, for as long as the statement takes.
const LOOK_FOR_CLIENT: &str = "set client_connection_check_interval = '250ms'";

impl Planning {
    fn settings(self) -> &'static str {
        match self {
            Self::Each => {
                "set plan_cache_mode = force_custom_plan; \
                 set enable_seqscan = on; set enable_bitmapscan = on"
            }
            Self::Once => {
                "set plan_cache_mode = force_generic_plan; \
                 set enable_seqscan = off; set enable_bitmapscan = off"
            }
        }
    }
}

/// The readers that nobody is using.
#[derive(Debug, Default)]
pub(in crate::store) struct Readers {
    idle: Mutex<Vec<Reader>>,
}

/// A connection that only reads, each statement for so long at most. One that is dropped is gone:
/// a statement that nobody waits for any more may still be running on it.
pub(in crate::store) struct Reader {
    connection: Link,
    within: Duration,
    planning: Option<Planning>,
    /// Whether it has answered before: it may have died since.
    is_used: bool,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// The connection, for the statements of one question.
    pub(in crate::store) fn connection(&mut self) -> &mut Link {
        &mut self.connection
    }

    /// Tells the database how to plan a statement and how long it may take, where it does not know.
    /// The one who waits has a clock of his own: this is for when he is gone, and need not be exact.
    async fn prepare(&mut self, planning: Planning, within: Duration) -> Result<(), sqlx::Error> {
        let is_known = self.within >= within && self.within / 2 <= within;
        if is_known && self.planning == Some(planning) {
            return Ok(());
        }
        let settings = format!(
            "set statement_timeout = {}; {}",
            within.as_millis().max(1),
            planning.settings(),
        );
        sqlx::raw_sql(AssertSqlSafe(settings))
            .execute(self.connection.raw())
            .await?;
        (self.within, self.planning) = (within, Some(planning));
        Ok(())
    }
}

impl Readers {
    /// Takes one that is idle, or connects.
    async fn take(
        &self,
        options: &PgConnectOptions,
        planning: Planning,
        within: Duration,
    ) -> Result<Reader, StoreError> {
        if let Some(mut reader) = self.next(planning)
            && reader.prepare(planning, within).await.is_ok()
        {
            return Ok(reader);
        }
        Box::pin(connect(options, planning, within)).await
    }

    /// Takes one that is idle, rather one that plans so.
    fn next(&self, planning: Planning) -> Option<Reader> {
        let mut idle = self.idle();
        let fits = |reader: &Reader| reader.planning == Some(planning);
        match idle.iter().rposition(fits) {
            Some(n) => Some(idle.remove(n)),
            None => idle.pop(),
        }
    }

    /// Takes one back that has answered to the end.
    fn keep(&self, mut reader: Reader) {
        reader.is_used = true;
        let mut idle = self.idle();
        if idle.len() < IDLE_READERS {
            idle.push(reader);
        }
    }

    /// Drops all that are idle: one was found dead.
    fn forget(&self) {
        self.idle().clear();
    }

    /// Closes all that are idle.
    pub(in crate::store) async fn close(&self) {
        let idle = std::mem::take(&mut *self.idle());
        for reader in idle {
            if let Err(error) = reader.connection.close().await {
                tracing::debug!(error = %error, "a reader was gone already");
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Reader>> {
        // A vector is whole whatever happened to those who held it.
        self.idle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

async fn connect(
    options: &PgConnectOptions,
    planning: Planning,
    within: Duration,
) -> Result<Reader, StoreError> {
    let mut connection = PgConnection::connect_with(options)
        .await
        .map_err(StoreError::Connect)?;
    sqlx::raw_sql(SETTINGS).execute(&mut connection).await?;
    if let Err(error) = sqlx::raw_sql(LOOK_FOR_CLIENT)
        .execute(&mut connection)
        .await
    {
        tracing::debug!(%error, "the system of the database's server does not tell who has gone");
    }
    let mut reader = Reader {
        connection: Link::own(connection),
        within: Duration::ZERO,
        planning: None,
        is_used: false,
    };
    reader.prepare(planning, within).await?;
    Ok(reader)
}

impl Store {
    /// Takes a connection that only reads.
    pub(in crate::store) async fn reader(
        &self,
        planning: Planning,
        within: Duration,
    ) -> Result<Reader, StoreError> {
        let connecting = self.readers.take(&self.direct, planning, within);
        timeout(self.config.acquire_timeout, connecting)
            .await
            .unwrap_or(Err(StoreError::Connect(sqlx::Error::PoolTimedOut)))
    }

    /// Gives it back with the answer that it gave. `None`: it had died since it was last used, and
    /// another has to be asked.
    pub(in crate::store) fn answered<T>(
        &self,
        reader: Reader,
        answer: Result<T, StoreError>,
    ) -> Option<Result<T, StoreError>> {
        match &answer {
            Err(error) if reader.is_used && error.is_retryable() && !error.is_timeout() => {
                self.readers.forget();
                return None;
            }
            Err(error) if !error.is_timeout() => {}
            _ => self.readers.keep(reader),
        }
        Some(answer)
    }
}
