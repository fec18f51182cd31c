//! The SQL of the embedded Postgres: whether it answers, and its one database. The only file
//! here that speaks to the server; everything else handles files and processes.

use std::fmt;
use std::future::Future;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::time::timeout;

use super::error::EmbeddedError;
use super::limits;
use super::version::PostgresVersion;

/// The superuser of the cluster; the node is its only client.
pub(super) const SUPERUSER: &str = "postgres";

/// The node's database.
pub(super) const DATABASE: &str = "bigbrotr";

/// The database that is always there.
pub(super) const MAINTENANCE: &str = "postgres";

/// `cannot_connect_now`: starting, recovering or shutting down.
const CANNOT_CONNECT_NOW: &str = "57P03";

/// `duplicate_database`.
const DUPLICATE_DATABASE: &str = "42P04";

/// How to reach the server.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) port: u16,
    pub(super) secret: String,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// The URL of a database; the secret is hexadecimal and needs no escaping.
    pub(super) fn url(&self, database: &str) -> String {
        let Self { port, secret } = self;
        format!("postgres://{SUPERUSER}:{secret}@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    pub(super) async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(SUPERUSER)
            .password(&self.secret)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
            .application_name("bigbrotr-embedded");
        bounded(
            limits::CONNECT_TIMEOUT,
            PgConnection::connect_with(&options),
        )
        .await
    }
}

/// What a server answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// It takes our password and works.
    Ready(PostgresVersion),
    /// It lives, but does not take connections yet or any more.
    NotNow,
    /// It does not take our password.
    Refused(sqlx::Error),
    /// Nothing, or nothing like Postgres.
    Silence,
}

/// Asks a server whether it works.
pub(super) async fn ask(access: &Access) -> Answer {
    let asking = async {
        let mut connection = access.connect(MAINTENANCE).await?;
        let query = sqlx::query_scalar::<_, String>("show server_version");
        let version = bounded(limits::CONNECT_TIMEOUT, query.fetch_one(&mut connection)).await?;
        connection.close().await?;
        Ok(version)
    };
    match asking.await {
        Ok(version) => PostgresVersion::parse(&version).map_or(Answer::Silence, Answer::Ready),
        Err(error) => match code(&error).as_deref() {
            Some(CANNOT_CONNECT_NOW) => Answer::NotNow,
            // Class 28: invalid authorization specification.
            Some(code) if code.starts_with("28") => Answer::Refused(error),
            _ => Answer::Silence,
        },
    }
}

/// Creates a database unless it exists.
pub(super) async fn ensure(access: &Access, database: &'static str) -> Result<(), EmbeddedError> {
    let error = |source| EmbeddedError::Database {
        action: "create the database",
        source,
    };
    let mut connection = access.connect(MAINTENANCE).await.map_err(error)?;
    let exists =
        sqlx::query_scalar::<_, bool>("select exists (select from pg_database where datname = $1)")
            .bind(database)
            .fetch_one(&mut connection);
    if !bounded(limits::STATEMENT_TIMEOUT, exists)
        .await
        .map_err(error)?
    {
        tracing::info!(database, "creating the database");
        // `create database` takes no parameters; the name is ours.
        let create = format!("create database {database}");
        match execute(&mut connection, create).await {
            Err(failure) if code(&failure).as_deref() == Some(DUPLICATE_DATABASE) => {}
            created => created.map_err(error)?,
        }
    }
    connection.close().await.map_err(error)
}

/// Runs a statement that cannot be parametrised; the caller vouches for its text.
pub(super) async fn execute(
    connection: &mut PgConnection,
    statement: String,
) -> Result<(), sqlx::Error> {
    let executing = connection.execute(AssertSqlSafe(statement));
    bounded(limits::STATEMENT_TIMEOUT, executing)
        .await
        .map(drop)
}

fn code(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()?
        .code()
        .map(std::borrow::Cow::into_owned)
}

async fn bounded<T>(
    bound: std::time::Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    timeout(bound, work).await.unwrap_or_else(|elapsed| {
        Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            elapsed,
        )))
    })
}
