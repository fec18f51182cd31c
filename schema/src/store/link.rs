//! Connections that may lead through PgBouncer in transaction mode.
//!
//! There, each transaction may meet another session of the server: a statement that was prepared in
//! one is unknown in the next, or is somebody else's of the same name. sqlx prepares a statement and
//! runs it in two steps, so that even a lone statement needs a transaction to hold them together.
//! [`Pool`] and [`Link`] see to both where `database.direct_url` says that `url` is a pooler's:
//! statements have no name, and one outside of a transaction gets one of its own. Without a pooler
//! they only pass on. Decision 29 has the reasons.
//!
//! Transactions are ours instead of sqlx's: in 0.9.0 a `begin` that is dropped half-way leaves its
//! connection in a transaction that sqlx does not know of ([#4393]). Whoever got the connection next
//! wrote what was never committed, and after the first error nothing could be done on it any more.
//!
//! [#4393]: https://github.com/transact-rs/sqlx/issues/4393

use std::fmt;
use std::ops::{Deref, DerefMut};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgArguments, PgPool, PgQueryResult, PgRow, PgStatement, PgTransactionManager, PgTypeInfo,
};
use sqlx::{
    Connection, Describe, Either, Error, Execute, Executor, PgConnection, Postgres, SqlSafeStr,
    SqlStr,
};
use sqlx_core::transaction::TransactionManager;
use tokio::sync::mpsc;

/// What a statement brings: how many rows it changed, or a row.
type Step = Either<PgQueryResult, PgRow>;

/// A pool of connections to the server or to a pooler; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    inner: PgPool,
    pooler: bool,
}

impl Pool {
    /// Takes a pool, and whether a pooler is at its other end.
    pub(crate) fn new(inner: PgPool, pooler: bool) -> Self {
        Self { inner, pooler }
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&self) -> Result<Tx, Error> {
        self.transaction(None).await
    }

    /// Begins a transaction by these words.
    pub(crate) async fn begin_with(&self, words: impl SqlSafeStr) -> Result<Tx, Error> {
        self.transaction(Some(words.into_sql_str())).await
    }

    async fn transaction(&self, words: Option<SqlStr>) -> Result<Tx, Error> {
        let mut tx = Tx(self.acquire().await?);
        tx.begin(words).await?;
        Ok(tx)
    }

    /// Takes a connection for several statements that are no transaction.
    pub(crate) async fn acquire(&self) -> Result<Link, Error> {
        Ok(Link {
            inner: Inner::Pooled(self.inner.acquire().await?),
            pooler: self.pooler,
            transaction: None,
        })
    }

    /// Closes all connections, waiting for those in use.
    pub(crate) async fn close(&self) {
        self.inner.close().await;
    }
}

/// A connection in use: of a transaction, or of several statements.
pub(crate) struct Link {
    inner: Inner,
    pooler: bool,
    transaction: Option<Phase>,
}

enum Inner {
    Pooled(PoolConnection<Postgres>),
    /// To the server itself, and nobody else's.
    Own(PgConnection),
}

/// How far a transaction has come.
enum Phase {
    /// The server has been asked for it.
    Beginning,
    Open,
}

impl Link {
    /// Takes a connection to the server itself, which no pool knows of.
    pub(crate) fn own(connection: PgConnection) -> Self {
        Self {
            inner: Inner::Own(connection),
            pooler: false,
            transaction: None,
        }
    }

    /// Ends it in order, where it is its own.
    pub(crate) async fn close(self) -> Result<(), Error> {
        match self.inner {
            Inner::Own(connection) => connection.close().await,
            Inner::Pooled(_) => Ok(()),
        }
    }

    /// The connection itself: for what is no statement, such as COPY within a transaction.
    pub(crate) fn raw(&mut self) -> &mut PgConnection {
        match &mut self.inner {
            Inner::Pooled(connection) => connection,
            Inner::Own(connection) => connection,
        }
    }

    async fn begin(&mut self, words: Option<SqlStr>) -> Result<(), Error> {
        self.transaction = Some(Phase::Beginning);
        PgTransactionManager::begin(self.raw(), words).await?;
        self.transaction = Some(Phase::Open);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Error> {
        PgTransactionManager::commit(self.raw()).await?;
        self.transaction = None;
        Ok(())
    }

    async fn rollback(&mut self) -> Result<(), Error> {
        PgTransactionManager::rollback(self.raw()).await?;
        self.transaction = None;
        Ok(())
    }

    /// Takes back a transaction that has not ended. Nobody knows the state of a connection on which
    /// one was beginning: it does not go back to its pool.
    fn abandon(&mut self) {
        match (self.transaction.take(), &mut self.inner) {
            (Some(Phase::Open), _) => PgTransactionManager::start_rollback(self.raw()),
            (Some(Phase::Beginning), Inner::Pooled(connection)) => connection.close_on_drop(),
            (Some(Phase::Beginning), Inner::Own(_)) | (None, _) => {}
        }
    }

    /// Whether a statement needs a transaction of its own.
    fn is_bare(&self) -> bool {
        self.pooler && self.transaction.is_none()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("pooler", &self.pooler)
            .finish_non_exhaustive()
    }
}

/// A transaction: rolled back when it is dropped.
#[derive(Debug)]
pub(crate) struct Tx(Link);

impl Tx {
    /// Makes it last.
    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        self.0.commit().await
    }

    /// Takes it back.
    pub(crate) async fn rollback(mut self) -> Result<(), Error> {
        self.0.rollback().await
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl Deref for Tx {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.0
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Link {
        &mut self.0
    }
}

impl<'p> Executor<'p> for &'p Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q, E>(self, query: E) -> BoxStream<'e, Result<Step, Error>>
    where
        'p: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Named::new(query, self.pooler);
        if !self.pooler {
            return self.inner.fetch_many(query);
        }
        streamed(|steps| async move {
            match self.acquire().await {
                Ok(mut link) => run(&mut link, query, steps).await,
                Err(error) => drop(steps.send(Err(error)).await),
            }
        })
    }

    fn fetch_optional<'e, 'q, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'p: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if !self.pooler {
            return self.inner.fetch_optional(Named::new(query, false));
        }
        Box::pin(first(self.fetch_many(query)))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        self.inner.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        self.inner.describe(sql)
    }
}

impl<'c> Executor<'c> for &'c mut Link {
    type Database = Postgres;

    fn fetch_many<'e, 'q, E>(self, query: E) -> BoxStream<'e, Result<Step, Error>>
    where
        'c: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Named::new(query, self.pooler);
        if !self.is_bare() {
            return self.raw().fetch_many(query);
        }
        streamed(|steps| run(self, query, steps))
    }

    fn fetch_optional<'e, 'q, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        'q: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.is_bare() {
            return Box::pin(first(self.fetch_many(query)));
        }
        let query = Named::new(query, self.pooler);
        self.raw().fetch_optional(query)
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        self.raw().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        self.raw().describe(sql)
    }
}

/// A statement that is prepared without a name where there is a pooler.
struct Named<E> {
    query: E,
    pooler: bool,
}

impl<E> Named<E> {
    fn new(query: E, pooler: bool) -> Self {
        Self { query, pooler }
    }
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Named<E> {
    fn sql(self) -> SqlStr {
        self.query.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, sqlx::error::BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        !self.pooler && self.query.persistent()
    }
}

/// Where the steps of a statement go, one at a time.
type Steps = mpsc::Sender<Result<Step, Error>>;

/// Runs a statement in a transaction of its own.
async fn run<'q>(link: &mut Link, query: impl Execute<'q, Postgres> + 'q, steps: Steps) {
    let bracket = Bracket(link);
    if let Err(error) = try_run(&mut *bracket.0, query, &steps).await {
        drop(steps.send(Err(error)).await);
    }
}

async fn try_run<'q>(
    link: &mut Link,
    query: impl Execute<'q, Postgres> + 'q,
    steps: &Steps,
) -> Result<(), Error> {
    link.begin(None).await?;
    let mut rows = link.raw().fetch_many(query);
    while let Some(step) = rows.try_next().await? {
        if steps.send(Ok(step)).await.is_err() {
            // Nobody wants the rest.
            return Ok(());
        }
    }
    drop(rows);
    link.commit().await
}

/// Takes back, at its end, the transaction of a statement that did not get to its own.
struct Bracket<'l>(&'l mut Link);

impl Drop for Bracket<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Makes a stream of the steps that some work sends: reading it does the work.
fn streamed<'e, F: Future<Output = ()> + Send + 'e>(
    work: impl FnOnce(Steps) -> F,
) -> BoxStream<'e, Result<Step, Error>> {
    let (steps, mut received) = mpsc::channel(1);
    let mut work = Some(Box::pin(work(steps)));
    stream::poll_fn(move |context| {
        let is_done = work
            .as_mut()
            .is_some_and(|work| work.as_mut().poll(context).is_ready());
        if is_done {
            work = None;
        }
        received.poll_recv(context)
    })
    .boxed()
}

/// The first row; the statement is run to its end.
async fn first(mut steps: BoxStream<'_, Result<Step, Error>>) -> Result<Option<PgRow>, Error> {
    let mut first = None;
    while let Some(step) = steps.try_next().await? {
        if let (Either::Right(row), None) = (step, &first) {
            first = Some(row);
        }
    }
    Ok(first)
}
