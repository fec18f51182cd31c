//! The three roles of the schema and what they may do.
//!
//! Roles belong to the whole server: they may exist already, belong to somebody else, or be
//! changed by another database's migration at this very moment. So they are looked at first and
//! changed only where something is missing; what collides is tried again.

use rand::Rng;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::error::StoreError;
use crate::limits::{
    PUBLIC_IDLE_TIMEOUT, PUBLIC_LOCK_TIMEOUT, PUBLIC_STATEMENT_TIMEOUT, ROLE_ATTEMPTS,
    ROLE_RETRY_MAX, SYSTEM_STATEMENT_TIMEOUT,
};
use crate::store::Pool;

/// What is taken from everybody; see the file.
pub(super) const RESTRICT: &str = include_str!("../../sql/roles/restrict.sql");

/// A role and the settings that its own sessions start with.
struct Role {
    name: &'static str,
    settings: Vec<(&'static str, String)>,
}

#[derive(sqlx::FromRow)]
struct State {
    login: String,
    is_there: bool,
    is_mighty: bool,
    can_act: bool,
    settings: Vec<String>,
}

/// What happened to an attempt to change something.
enum Attempt {
    Done,
    /// Somebody else changed the same thing: look again.
    Collided,
    Forbidden,
}

/// The roles. Their settings are for those who log in as one of them: the services themselves
/// take a role inside of a transaction, and set its limits there.
fn roles() -> [Role; 3] {
    let ms = |duration: std::time::Duration| format!("{}ms", duration.as_millis());
    let read_only = ("default_transaction_read_only", "on".to_owned());
    let idle = (
        "idle_in_transaction_session_timeout",
        ms(PUBLIC_IDLE_TIMEOUT),
    );
    [
        Role {
            name: "admin",
            settings: Vec::new(),
        },
        Role {
            name: "readonly_public",
            settings: vec![
                read_only.clone(),
                idle.clone(),
                ("statement_timeout", ms(PUBLIC_STATEMENT_TIMEOUT)),
                ("lock_timeout", ms(PUBLIC_LOCK_TIMEOUT)),
            ],
        },
        Role {
            name: "readonly_system",
            settings: vec![
                read_only,
                idle,
                ("statement_timeout", ms(SYSTEM_STATEMENT_TIMEOUT)),
            ],
        },
    ]
}

/// Makes sure that the roles exist, that the login can act as each, and that they have their
/// settings. A setting that somebody else has chosen stays.
///
/// # Errors
/// [`StoreError::Privileges`] with the SQL for an administrator.
pub(in crate::store) async fn prepare(connection: &mut PgConnection) -> Result<(), StoreError> {
    // From 16 on, a membership does not always include the right to take the role.
    let version: i32 =
        sqlx::query_scalar("select current_setting('server_version_num')::int / 10000")
            .fetch_one(&mut *connection)
            .await?;
    let privilege = if version < 16 { "member" } else { "set" };
    for role in roles() {
        let mut attempts = 0;
        while let Attempt::Collided = advance(connection, &role, privilege).await? {
            attempts += 1;
            pause(attempts, || StoreError::Privileges {
                action: format!("prepare the role {}: others keep changing it", role.name),
                sql: format!("alter role {} nologin", role.name),
            })
            .await?;
        }
    }
    Ok(())
}

/// Brings one role to its state.
async fn advance(
    connection: &mut PgConnection,
    role: &Role,
    privilege: &str,
) -> Result<Attempt, StoreError> {
    let name = role.name;
    let state: State = sqlx::query_as(include_str!("../../sql/roles/state.sql"))
        .bind(name)
        .bind(privilege)
        .fetch_one(&mut *connection)
        .await?;
    let login = quoted(&state.login);
    let forbidden = |action: &str, sql: String| StoreError::Privileges {
        action: format!("{action} the role {name} as {login}"),
        sql,
    };
    let grant = format!("grant {name} to {login}");
    if !state.is_there {
        let create = format!("create role {name} nologin");
        return match execute(connection, &create).await? {
            Attempt::Forbidden => Err(forbidden("create", format!("{create}; {grant}"))),
            // The rest is looked at again.
            Attempt::Done | Attempt::Collided => Ok(Attempt::Collided),
        };
    }
    if state.is_mighty && name != "admin" {
        let sql = format!(
            "alter role {name} nosuperuser nocreaterole nocreatedb noreplication nobypassrls"
        );
        return match execute(connection, &sql).await? {
            Attempt::Forbidden => Err(forbidden("limit", sql)),
            Attempt::Done | Attempt::Collided => Ok(Attempt::Collided),
        };
    }
    if !state.can_act {
        match execute(connection, &grant).await? {
            Attempt::Forbidden => return Err(forbidden("grant", grant)),
            Attempt::Collided => return Ok(Attempt::Collided),
            Attempt::Done => {}
        }
    }
    for (setting, value) in &role.settings {
        let chosen = format!("{setting}=");
        if state.settings.iter().any(|has| has.starts_with(&chosen)) {
            continue;
        }
        let sql = format!("alter role {name} set {setting} = '{value}'");
        match execute(connection, &sql).await? {
            Attempt::Done => {}
            Attempt::Collided => return Ok(Attempt::Collided),
            // The services do not depend on it: each of their transactions sets its own limits.
            Attempt::Forbidden => {
                tracing::info!(role = name, sql, "an administrator may want to run this");
            }
        }
    }
    Ok(Attempt::Done)
}

/// Makes sure that the migrations can create their tables.
///
/// # Errors
/// As [`prepare`].
pub(in crate::store) async fn require_schema(
    connection: &mut PgConnection,
) -> Result<(), StoreError> {
    let (database, login, may): (String, String, Option<bool>) = sqlx::query_as(
        "select current_database()::text, current_user::text,
            has_schema_privilege(to_regnamespace('public')::oid, 'create')",
    )
    .fetch_one(connection)
    .await?;
    let (database, login) = (quoted(&database), quoted(&login));
    match may {
        Some(true) => Ok(()),
        Some(false) => Err(StoreError::Privileges {
            action: format!("create tables in the database {database} as {login}"),
            sql: format!("alter database {database} owner to {login}"),
        }),
        None => Err(StoreError::Privileges {
            action: format!("find the schema public in the database {database}"),
            sql: format!("create schema public authorization {login}"),
        }),
    }
}

/// Takes from everybody what the login may take; the rest stays in [`excess`].
pub(super) async fn restrict(connection: &mut PgConnection) -> Result<(), StoreError> {
    let mut attempts = 0;
    // Functions and the database are this database's own, and the caller has its lock; but a
    // superuser may be at them too.
    while let Attempt::Collided = execute(connection, RESTRICT).await? {
        attempts += 1;
        pause(attempts, || StoreError::Privileges {
            action: "limit what everybody may do: others keep changing it".to_owned(),
            sql: "select pid, query from pg_stat_activity".to_owned(),
        })
        .await?;
    }
    Ok(())
}

/// Lists what `readonly_public` can do beyond reading views, in words.
pub(super) async fn excess(pool: &Pool) -> Result<Vec<String>, StoreError> {
    Ok(
        sqlx::query_scalar(include_str!("../../sql/roles/excess.sql"))
            .fetch_all(pool)
            .await?,
    )
}

async fn execute(connection: &mut PgConnection, sql: &str) -> Result<Attempt, StoreError> {
    let Err(error) = connection.execute(AssertSqlSafe(sql)).await else {
        return Ok(Attempt::Done);
    };
    match error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
    {
        Some(code) if code == "42501" => Ok(Attempt::Forbidden),
        // Exists by now; a deadlock; and "tuple concurrently updated", which has no code of its
        // own but internal_error.
        Some(code) if ["42710", "23505", "40P01", "40001", "XX000"].contains(&&*code) => {
            tracing::debug!(%error, "somebody else prepares the roles too");
            Ok(Attempt::Collided)
        }
        _ => Err(error.into()),
    }
}

/// Waits for others to be done, for a while of no fixed length.
async fn pause(attempts: u32, give_up: impl FnOnce() -> StoreError) -> Result<(), StoreError> {
    if attempts >= ROLE_ATTEMPTS {
        return Err(give_up());
    }
    let wait = rand::rng().random_range(0.1..1.0) * f64::from(attempts.min(10)) / 10.0;
    tokio::time::sleep(ROLE_RETRY_MAX.mul_f64(wait)).await;
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
