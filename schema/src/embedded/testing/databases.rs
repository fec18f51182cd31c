//! The databases of the test server: made from templates, dropped when their test is done.

use std::error::Error;
use std::fmt::Display;
use std::future::Future;

use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};

use super::super::database::{self, Access, MAINTENANCE};

/// The start of the names of databases that belong to one test.
const TEST: &str = "test_";

/// The start of the names of templates.
const TEMPLATE: &str = "template_";

/// How many templates stay between runs: one per set of migrations, and branches change.
const KEPT_TEMPLATES: i64 = 4;

/// Serialises the preparation of templates; the key of an advisory lock, arbitrary.
const TEMPLATE_LOCK: i64 = 0x0062_6967_6272_6f74;

/// Any error, on its way into a panic.
pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// Creates a database for one test; its name.
pub(super) async fn create(access: &Access, template: &str) -> Result<String, Failure> {
    let name = format!("{TEST}{:016x}", rand::random::<u64>());
    let mut connection = access.connect(MAINTENANCE).await?;
    // Copying files beats logging them several times over where nothing is synced.
    let statement = format!("create database {name} template {template} strategy file_copy");
    database::execute(&mut connection, statement).await?;
    connection.close().await?;
    Ok(name)
}

/// Drops a database with everybody in it.
pub(super) async fn drop_database(access: &Access, name: &str) -> Result<(), Failure> {
    let mut connection = access.connect(MAINTENANCE).await?;
    force_drop(&mut connection, name).await?;
    connection.close().await?;
    Ok(())
}

/// The template for a key, prepared by whoever comes first.
pub(super) async fn template<P, F, E>(
    access: &Access,
    key: &str,
    prepare: P,
) -> Result<String, Failure>
where
    P: FnOnce(String) -> F,
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    let name = format!("{TEMPLATE}{}", hex::encode(&Sha256::digest(key)[..8]));
    let mut connection = access.connect(MAINTENANCE).await?;
    if !is_template(&mut connection, &name).await? {
        // Released with the connection, whatever happens.
        sqlx::query("select pg_advisory_lock($1)")
            .bind(TEMPLATE_LOCK)
            .execute(&mut connection)
            .await?;
        if !is_template(&mut connection, &name).await? {
            force_drop(&mut connection, &name).await?;
            database::execute(&mut connection, format!("create database {name}")).await?;
            prepare(access.url(&name))
                .await
                .map_err(|error| error.to_string())?;
            // Only a finished template is marked; and a session in it would be in the way.
            let finish = format!("alter database {name} is_template true allow_connections false");
            evict(&mut connection, &name).await?;
            database::execute(&mut connection, finish).await?;
        }
    }
    connection.close().await?;
    Ok(name)
}

/// Drops what earlier runs left behind. The caller has just started the server: nobody else
/// uses it.
pub(super) async fn sweep(access: &Access) -> Result<(), Failure> {
    let mut connection = access.connect(MAINTENANCE).await?;
    let names: Vec<String> = sqlx::query_scalar(
        "select datname from pg_database where starts_with(datname, $1) or (
             starts_with(datname, $2) and oid not in (
                 select oid from pg_database
                 where starts_with(datname, $2) and datistemplate
                 order by oid desc limit $3))",
    )
    .bind(TEST)
    .bind(TEMPLATE)
    .bind(KEPT_TEMPLATES)
    .fetch_all(&mut connection)
    .await?;
    for name in names
        .iter()
        .filter(|name| *name != "template0" && *name != "template1")
    {
        force_drop(&mut connection, name).await?;
    }
    connection.close().await?;
    Ok(())
}

async fn is_template(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from pg_database where datname = $1 and datistemplate)",
    )
    .bind(name)
    .fetch_one(connection)
    .await
}

async fn evict(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1")
        .bind(name)
        .execute(connection)
        .await
        .map(drop)
}

async fn force_drop(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    let exists = "select exists (select from pg_database where datname = $1)";
    let exists: bool = sqlx::query_scalar(exists)
        .bind(name)
        .fetch_one(&mut *connection)
        .await?;
    if exists {
        let unmark = format!("alter database {name} is_template false");
        database::execute(connection, unmark).await?;
        database::execute(connection, format!("drop database {name} with (force)")).await?;
    }
    Ok(())
}
