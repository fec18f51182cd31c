//! Connections that may lead through PgBouncer in transaction mode.
//!
//! There, each transaction may meet another session of the server: a statement that was prepared in
//! one is unknown in the next, or is somebody else's of the same name. sqlx prepares a statement and
//! runs it in two steps, so that even a lone statement needs a transaction to hold them together.
//! [`Pool`] and [`Link`] see to both where `database.direct_url` says that `url` is a pooler's:
//! statements have no name, and one outside of a transaction gets one of its own. Without a pooler
//! they only pass on. Decision 29 has the reasons.

use std::fmt;
use std::ops::{Deref, DerefMut};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgPool, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{
    Connection, Describe, Either, Error, Execute, Executor, PgConnection, Postgres, SqlSafeStr,
    SqlStr, Transaction,
};
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
        Ok(self.transaction(self.inner.begin().await?))
    }

    /// Begins a transaction by these words.
    pub(crate) async fn begin_with(&self, words: impl SqlSafeStr) -> Result<Tx, Error> {
        Ok(self.transaction(self.inner.begin_with(words).await?))
    }

    /// Takes a connection for several statements that are no transaction.
    pub(crate) async fn acquire(&self) -> Result<Link, Error> {
        Ok(Link {
            inner: Inner::Single(self.inner.acquire().await?),
            pooler: self.pooler,
        })
    }

    /// Closes all connections, waiting for those in use.
    pub(crate) async fn close(&self) {
        self.inner.close().await;
    }

    fn transaction(&self, inner: Transaction<'static, Postgres>) -> Tx {
        Tx(Link {
            inner: Inner::Transaction(inner),
            pooler: self.pooler,
        })
    }
}

/// A connection in use: of a transaction, or of several statements.
pub(crate) struct Link {
    inner: Inner,
    pooler: bool,
}

enum Inner {
    Transaction(Transaction<'static, Postgres>),
    Single(PoolConnection<Postgres>),
    /// To the server itself, and nobody else's.
    Own(PgConnection),
}

impl Link {
    /// Takes a connection to the server itself, which no pool knows of.
    pub(crate) fn own(connection: PgConnection) -> Self {
        Self {
            inner: Inner::Own(connection),
            pooler: false,
        }
    }

    /// Ends it in order, where it is its own.
    pub(crate) async fn close(self) -> Result<(), Error> {
        match self.inner {
            Inner::Own(connection) => connection.close().await,
            Inner::Transaction(_) | Inner::Single(_) => Ok(()),
        }
    }

    /// The connection itself: for what is no statement, such as COPY within a transaction.
    pub(crate) fn raw(&mut self) -> &mut PgConnection {
        match &mut self.inner {
            Inner::Transaction(transaction) => transaction,
            Inner::Single(connection) => connection,
            Inner::Own(connection) => connection,
        }
    }

    /// Whether a statement needs a transaction of its own.
    fn is_bare(&self) -> bool {
        self.pooler && matches!(self.inner, Inner::Single(_))
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
    pub(crate) async fn commit(self) -> Result<(), Error> {
        match self.0.inner {
            Inner::Transaction(transaction) => transaction.commit().await,
            Inner::Single(_) | Inner::Own(_) => Ok(()),
        }
    }

    /// Takes it back.
    pub(crate) async fn rollback(self) -> Result<(), Error> {
        match self.0.inner {
            Inner::Transaction(transaction) => transaction.rollback().await,
            Inner::Single(_) | Inner::Own(_) => Ok(()),
        }
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
            match self.inner.acquire().await {
                Ok(mut connection) => run(&mut connection, query, steps).await,
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
        streamed(|steps| run(self.raw(), query, steps))
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
async fn run<'q>(
    connection: &mut PgConnection,
    query: impl Execute<'q, Postgres> + 'q,
    steps: Steps,
) {
    if let Err(error) = try_run(connection, query, &steps).await {
        drop(steps.send(Err(error)).await);
    }
}

async fn try_run<'q>(
    connection: &mut PgConnection,
    query: impl Execute<'q, Postgres> + 'q,
    steps: &Steps,
) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    let mut rows = transaction.fetch_many(query);
    while let Some(step) = rows.try_next().await? {
        if steps.send(Ok(step)).await.is_err() {
            // Nobody wants the rest.
            return Ok(());
        }
    }
    drop(rows);
    transaction.commit().await
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
