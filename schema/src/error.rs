//! What can go wrong between the services and the database.

use crate::overlay::OverlayError;

/// Why a database operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be reached.
    #[error("cannot connect to the database")]
    Connect(#[source] sqlx::Error),
    /// A migration failed, or is not the one that was applied.
    #[error("cannot migrate the database")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// The database was migrated by a newer BigBrotr.
    #[error(
        "the database was migrated by a newer BigBrotr: it has migration {found}, this program \
         knows those up to {known}. Hint: run the newer one, or give this one another database"
    )]
    Newer {
        /// A migration that the database has.
        found: i64,
        /// The newest one that this program brings.
        known: i64,
    },
    /// The login may not do what a migration needs.
    #[error(
        "cannot {action}: the database does not allow it. Hint: have an administrator run: {sql}"
    )]
    Privileges {
        /// What was to be done.
        action: String,
        /// What makes it possible.
        sql: String,
    },
    /// An implementation's own SQL cannot be used.
    #[error("cannot apply the implementation's SQL")]
    Overlay(#[source] Box<OverlayError>),
    /// A statement failed.
    #[error("database operation failed")]
    Database(#[from] sqlx::Error),
    /// What was read back does not make sense.
    #[error("database holds an unreadable {what}: {reason}")]
    Corrupt {
        /// What was read.
        what: &'static str,
        /// Why it cannot be understood.
        reason: String,
    },
    /// The server is too old.
    #[error("the database server is PostgreSQL {version}, at least 15 is needed")]
    TooOld {
        /// The server's major version.
        version: i32,
    },
    /// The component that does the work has been stopped.
    #[error("the node is shutting down")]
    Stopped,
}

impl From<OverlayError> for StoreError {
    fn from(error: OverlayError) -> Self {
        Self::Overlay(Box::new(error))
    }
}

impl StoreError {
    /// Says whether the same operation may succeed later: the server is away, restarting, out of
    /// connections, or the transaction collided with another.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect(error)
            | Self::Database(error)
            | Self::Migrate(
                sqlx::migrate::MigrateError::Execute(error)
                | sqlx::migrate::MigrateError::ExecuteMigration(error, _),
            ) => is_retryable(error),
            _ => false,
        }
    }

    /// Says whether the transaction collided with another one and only has to be repeated.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error))
            if matches!(error.code().as_deref(), Some("40001" | "40P01")))
    }

    /// Says whether the database refuses what it was given, as opposed to being unable or not
    /// allowed to work: only then is the fault in the data.
    pub fn is_refusal(&self) -> bool {
        // Classes that say nothing about the data: authorization, catalog and schema, access rule,
        // state of an object, system. So do 25 (read-only, for one) and damaged files.
        const NOT_THE_DATA: [&str; 9] = ["25", "28", "3D", "3F", "42", "55", "58", "F0", "HV"];
        let Self::Database(sqlx::Error::Database(error)) = self else {
            return false;
        };
        let Some(code) = error.code() else {
            return false;
        };
        !self.is_retryable()
            && !NOT_THE_DATA.iter().any(|class| code.starts_with(class))
            && !["XX001", "XX002"].contains(&code.as_ref())
    }

    /// Returns the database's code and words, where it was the database that spoke.
    pub(crate) fn database_words(&self) -> (String, String) {
        match self {
            Self::Database(sqlx::Error::Database(error)) => (
                error.code().unwrap_or_default().into_owned(),
                error.message().to_owned(),
            ),
            other => (String::new(), other.to_string()),
        }
    }

    /// Returns parameter and message where a question's own SQL refused a parameter
    /// (`refuse_param`). These are words for whoever asked; no others of the database are.
    pub(crate) fn refused_param(&self) -> Option<(String, String)> {
        let Self::Database(sqlx::Error::Database(error)) = self else {
            return None;
        };
        let error = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?;
        (error.code() == "BB400").then(|| {
            let param = error.detail().unwrap_or_default().to_owned();
            (param, error.message().to_owned())
        })
    }

    /// Says whether a table, column, function or role is not there: the schema is another version's.
    pub(crate) fn is_undefined(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error))
            if matches!(error.code().as_deref(), Some("42P01" | "42703" | "42883" | "22023")))
    }

    /// Says whether a row exists already.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error))
            if error.code().as_deref() == Some("23505"))
    }

    /// Says whether a statement ran out of its time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error))
            if error.code().as_deref() == Some("57014"))
    }
}

fn is_retryable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => match error.code().as_deref() {
            // Classes: 08 connection, 40 transaction rollback, 53 resources, 57 intervention (a
            // shutdown, a greeting or statement that took too long), 58 trouble of the server's
            // system; 55P03 is a lock that was not to be had, 25006 a server that is a standby
            // before or after a failover.
            Some(code) => {
                ["08", "40", "53", "57", "58"]
                    .iter()
                    .any(|class| code.starts_with(class))
                    || ["55P03", "25006"].contains(&code)
            }
            None => false,
        },
        _ => false,
    }
}
