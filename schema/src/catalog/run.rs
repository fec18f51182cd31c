//! Asking: parameters in, finished JSON out.

use std::collections::BTreeMap;

use bigbrotr_core::error_chain::error_chain;
use bigbrotr_core::filter::Filter;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value, json};
use sqlx::postgres::PgArguments;
use sqlx::{
    Arguments, AssertSqlSafe, Column, Connection, Executor, PgConnection, PgExecutor, Row,
    SqlSafeStr, Statement as _,
};

use super::entry::{Entry, Shape};
use super::error::{CatalogError, LoadError};
use super::filter;
use super::param::ParamType;
use super::statement::{Body, Statement};
use super::{CATALOG, Catalog};
use crate::error::StoreError;
use crate::limits::{PUBLIC_IDLE_TIMEOUT, PUBLIC_LOCK_TIMEOUT};
use crate::store::Tx;

/// How the transaction of a question begins.
const BEGIN: &str = "begin isolation level repeatable read read only";

/// An answer, in the form in which every face gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `{"data": …, "meta": {"query", "params", "as_of", "next"?}}`
    pub json: String,
    /// The moment that the statistics describe: Unix seconds.
    pub as_of: i64,
    /// The cursor of the next page, where there is one.
    pub next: Option<String>,
}

impl Catalog {
    /// Answers a question.
    ///
    /// # Errors
    /// [`CatalogError`], whose JSON every face gives as it is.
    ///
    /// # Security
    /// Values come from strangers: they are checked against their type and bound, never
    /// interpolated; the statement runs read-only, as `readonly_public`, within a time limit.
    pub async fn run(
        &self,
        name: &str,
        params: &BTreeMap<String, String>,
    ) -> Result<Answer, CatalogError> {
        if name == CATALOG {
            return self.list(params).await;
        }
        let (entry, statements) =
            self.entries
                .get(name)
                .ok_or_else(|| CatalogError::UnknownQuery {
                    name: name.chars().take(100).collect(),
                })?;
        let values = canonical(entry, params)?;
        let statement = pick(statements, &values);
        let cursor = read_cursor(statement, &values)?;
        let filters = self.filters(entry, &values)?;

        let mut tx = self.begin().await.map_err(|error| self.refusal(error))?;
        let as_of: i64 = sqlx::query_scalar("select as_of from as_of")
            .fetch_one(&mut *tx)
            .await
            .map_err(|error| self.refusal(error.into()))?;
        let limit: usize = values
            .get("limit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(1);
        let mut arguments = PgArguments::default();
        for bind in &statement.binds {
            let value = match bind.strip_prefix("cursor ") {
                Some(n) => {
                    let n: usize = n.parse().unwrap_or_default();
                    cursor.as_ref().and_then(|cursor| cursor.get(n)).cloned()
                }
                // One more than asked for tells whether there is a next page.
                None if bind == "limit" => Some((limit + 1).to_string()),
                None => values.get(bind).cloned(),
            };
            let added = arguments.add(value);
            added.map_err(|error| self.refusal(sqlx::Error::Encode(error).into()))?;
        }
        let mut query = filter::render(&statement.sql, arguments, &filters, self.store.now());
        let rows = query
            .build()
            // A statement with a filter is hardly ever asked twice.
            .persistent(filters.is_empty())
            .fetch_all(&mut *tx)
            .await
            .map_err(|error| self.refusal(error.into()))?;
        tx.commit()
            .await
            .map_err(|error| self.refusal(error.into()))?;

        let read = |error: sqlx::Error| self.refusal(error.into());
        let mut items = Vec::with_capacity(rows.len().min(limit));
        for row in rows.iter().take(limit) {
            items.push(row.try_get::<&str, _>(0).map_err(read)?);
        }
        let (data, next) = match entry.shape {
            Shape::Row => {
                let row = items.first().ok_or_else(|| CatalogError::NotFound {
                    message: entry.missing.clone(),
                })?;
                ((*row).to_owned(), None)
            }
            Shape::List => {
                let next = match (rows.len() > limit, rows.get(limit - 1)) {
                    (true, Some(last)) => {
                        let keys: Vec<String> = last.try_get(1).map_err(read)?;
                        Some(write_cursor(statement, &keys))
                    }
                    _ => None,
                };
                (format!("[{}]", items.join(",")), next)
            }
        };
        Ok(self::answer(entry, &values, &data, as_of, next))
    }

    /// Compiles an entry and prepares its statements as the role that will run them.
    pub(super) async fn prepare(
        &self,
        entry: &Entry,
        connection: &mut PgConnection,
    ) -> Result<Vec<Statement>, LoadError> {
        let refused = |error: StoreError| {
            LoadError::new(
                &entry.file,
                format!("the SQL is refused: {}", error_chain(&error)),
            )
        };
        let body = Body::new(entry)?;
        let columns = self.describe(&body, connection).await.map_err(refused)?;
        for column in entry.orders.iter().flat_map(|order| &order.columns) {
            if !columns.contains(&column.name) {
                let reason = format!("an order uses {}, which is no column", column.name);
                return Err(LoadError::new(&entry.file, reason));
            }
        }
        let statements = Statement::compile(entry, &body, &columns);
        for statement in &statements {
            self.explain(statement, connection).await.map_err(refused)?;
        }
        Ok(statements)
    }

    /// Prepares a statement; returns the names of its columns.
    async fn describe(
        &self,
        body: &Body,
        connection: &mut PgConnection,
    ) -> Result<Vec<String>, StoreError> {
        let mut tx = connection.begin_with(AssertSqlSafe(self.opening())).await?;
        let sample = filter::render(&body.sql, nulls(body.binds.len())?, &filter::sample(), 0);
        let sql = AssertSqlSafe(sample.into_string()).into_sql_str();
        let statement = (&mut *tx).prepare(sql).await?;
        let columns = statement
            .columns()
            .iter()
            .map(|column| column.name().to_owned())
            .collect();
        tx.rollback().await?;
        Ok(columns)
    }

    /// Plans a statement and checks what it may touch, which preparing alone does not.
    async fn explain(
        &self,
        statement: &Statement,
        connection: &mut PgConnection,
    ) -> Result<(), StoreError> {
        let mut tx = connection.begin_with(AssertSqlSafe(self.opening())).await?;
        explain(&mut *tx, statement).await?;
        tx.rollback().await?;
        Ok(())
    }

    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        // Apart: where the second fails, sqlx knows of the transaction and ends it. Otherwise the
        // connection would go back to the pool with it, and no question would be answered there.
        let mut tx = self.store.public.begin_with(BEGIN).await?;
        sqlx::raw_sql(AssertSqlSafe(self.settings()))
            .execute(tx.raw())
            .await?;
        Ok(tx)
    }

    /// How the transaction of a question begins, on a connection that serves for nothing else.
    fn opening(&self) -> String {
        format!("{BEGIN}; {}", self.settings())
    }

    /// What holds in the transaction of a question.
    fn settings(&self) -> String {
        let timeout_ms = self.store.config.query_timeout.as_millis();
        let lock_ms = PUBLIC_LOCK_TIMEOUT.as_millis();
        let idle_ms = PUBLIC_IDLE_TIMEOUT.as_millis();
        // The limits last, with the rights of the role that they are for. Starting parallel workers
        // or a compiler takes longer than most answers, and one question gets one core at most.
        // Filters and cursors that are not given only vanish from a plan that is made for the
        // values: one for all of them reads a list from its beginning.
        format!(
            "set local role readonly_public; set local statement_timeout = {timeout_ms}; \
             set local lock_timeout = {lock_ms}; \
             set local max_parallel_workers_per_gather = 0; set local jit = off; \
             set local plan_cache_mode = force_custom_plan; \
             set local idle_in_transaction_session_timeout = {idle_ms}"
        )
    }

    /// Returns the moment that the statistics describe where questions are answered: a replica may
    /// be behind, and is all there is while the primary is away.
    async fn as_of(&self) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        let as_of = sqlx::query_scalar("select as_of from as_of")
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(as_of)
    }

    /// Reads the question's filter, and refuses what cannot be told from what is kept of events.
    fn filters(
        &self,
        entry: &Entry,
        values: &BTreeMap<String, String>,
    ) -> Result<Vec<Filter>, CatalogError> {
        let kept = self.store.archive_config();
        let mut filters = Vec::new();
        for param in &entry.params {
            let Some(value) = values.get(&param.name) else {
                continue;
            };
            let refuse = |what: &str| {
                let message = format!("{}: this archive keeps no {what}", param.name);
                Err(CatalogError::invalid(&param.name, message))
            };
            match param.kind {
                ParamType::Filter => {
                    let read = filter::read(value);
                    filters = read.map_err(|reason| CatalogError::invalid(&param.name, reason))?;
                    if filter::needs_tags(&filters) && !kept.tags {
                        return refuse("tags");
                    }
                }
                ParamType::Groups => {
                    const FIELDS: [&str; 5] = ["id", "pubkey", "created_at", "kind", "content"];
                    let mut names = value.split(',');
                    if names.any(|name| !FIELDS.contains(&name)) && !kept.tags {
                        return refuse("tags");
                    }
                    if value.split(',').any(|name| name == "content") && !kept.content {
                        return refuse("content");
                    }
                }
                _ => {}
            }
        }
        Ok(filters)
    }

    fn refusal(&self, error: StoreError) -> CatalogError {
        if let Some((param, message)) = error.refused_param() {
            return CatalogError::InvalidParam { param, message };
        }
        if error.is_timeout() {
            CatalogError::Timeout {
                limit_seconds: self.store.config.query_timeout.as_secs(),
            }
        } else if error.is_retryable() {
            CatalogError::Unavailable(error)
        } else {
            CatalogError::Internal(error)
        }
    }

    /// Answers what can be asked.
    async fn list(&self, params: &BTreeMap<String, String>) -> Result<Answer, CatalogError> {
        if let Some(name) = params.keys().next() {
            return Err(CatalogError::invalid(
                name,
                format!("{name}: {CATALOG} takes no parameters"),
            ));
        }
        let as_of = self.as_of().await.map_err(|error| self.refusal(error))?;
        let data: Vec<Value> = self.entries().map(describe).collect();
        let entry_free = json!({ "query": CATALOG, "params": {}, "as_of": as_of });
        let json = format!("{{\"data\":{},\"meta\":{entry_free}}}", Value::Array(data));
        Ok(Answer {
            json,
            as_of,
            next: None,
        })
    }
}

/// Plans a statement, within the transaction of a question.
pub(super) async fn explain(
    executor: impl PgExecutor<'_>,
    statement: &Statement,
) -> Result<(), StoreError> {
    let explain = format!("explain {}", statement.sql);
    let arguments = nulls(statement.binds.len())?;
    let mut query = filter::render(&explain, arguments, &filter::sample(), 0);
    query.build().persistent(false).execute(executor).await?;
    Ok(())
}

/// As many values that are not given.
fn nulls(count: usize) -> Result<PgArguments, StoreError> {
    let mut arguments = PgArguments::default();
    for _ in 0..count {
        let added = arguments.add(None::<String>);
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// Describes an entry as the question `catalog` lists it.
fn describe(entry: &Entry) -> Value {
    let params: Vec<Value> = entry
        .params
        .iter()
        .map(|param| {
            let mut described = json!({
                "name": param.name,
                "type": param.kind.to_string(),
                "required": !param.optional && param.default.is_none(),
                "help": param.help,
            });
            if let Some(default) = &param.default {
                described["default"] = param.kind.to_json(default);
            }
            described
        })
        .collect();
    json!({ "name": entry.name, "help": entry.help, "path": entry.path, "params": params })
}

fn answer(
    entry: &Entry,
    values: &BTreeMap<String, String>,
    data: &str,
    as_of: i64,
    next: Option<String>,
) -> Answer {
    let mut params = Map::new();
    for param in &entry.params {
        if let Some(value) = values.get(&param.name) {
            params.insert(param.name.clone(), param.kind.to_json(value));
        }
    }
    let mut meta = json!({ "query": entry.name, "params": params, "as_of": as_of });
    if let Some(next) = &next {
        meta["next"] = json!(next);
    }
    Answer {
        json: format!("{{\"data\":{data},\"meta\":{meta}}}"),
        as_of,
        next,
    }
}

/// Checks the given parameters and adds the defaults.
fn canonical(
    entry: &Entry,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, CatalogError> {
    if let Some(name) = given.keys().find(|name| entry.param(name).is_none()) {
        let known: Vec<&str> = entry
            .params
            .iter()
            .map(|param| param.name.as_str())
            .collect();
        let known = if known.is_empty() {
            "no parameters".to_owned()
        } else {
            known.join(", ")
        };
        return Err(CatalogError::invalid(
            name,
            format!("{name}: unknown parameter; {} takes {known}", entry.name),
        ));
    }
    let mut values = BTreeMap::new();
    for param in &entry.params {
        match given.get(&param.name).or(param.default.as_ref()) {
            Some(value) => {
                values.insert(param.name.clone(), param.canonical(value)?);
            }
            None if param.optional => {}
            None => {
                return Err(CatalogError::invalid(
                    &param.name,
                    format!("{}: missing; expected {}", param.name, param.kind),
                ));
            }
        }
    }
    Ok(values)
}

fn pick<'a>(statements: &'a [Statement], values: &BTreeMap<String, String>) -> &'a Statement {
    let sort = values.get("sort");
    statements
        .iter()
        .find(|s| {
            s.order
                .as_ref()
                .is_some_and(|order| Some(&order.name) == sort)
        })
        .unwrap_or(&statements[0])
}

/// A cursor is the name of the order and its columns' values in the last row, so that it cannot
/// be taken for one of another order.
fn write_cursor(statement: &Statement, keys: &[String]) -> String {
    let order = statement
        .order
        .as_ref()
        .map_or("", |order| order.name.as_str());
    BASE64URL_NOPAD.encode(json!([order, keys]).to_string().as_bytes())
}

fn read_cursor(
    statement: &Statement,
    values: &BTreeMap<String, String>,
) -> Result<Option<Vec<String>>, CatalogError> {
    let (Some(text), Some(order)) = (values.get("cursor"), &statement.order) else {
        return Ok(None);
    };
    let refuse = || {
        CatalogError::invalid(
            "cursor",
            "cursor: expected meta.next of an answer in the same order",
        )
    };
    let Ok(bytes) = BASE64URL_NOPAD.decode(text.as_bytes()) else {
        return Err(refuse());
    };
    let Ok((name, keys)) = serde_json::from_slice::<(String, Vec<String>)>(&bytes) else {
        return Err(refuse());
    };
    let fits = |(key, sql_type): (&String, &str)| match sql_type {
        "bigint" => key.parse::<i64>().is_ok(),
        "integer" => key.parse::<i32>().is_ok(),
        "smallint" => key.parse::<i16>().is_ok(),
        _ => key.len() <= 2_100 && !key.contains('\0'),
    };
    let types = order.columns.iter().map(|column| column.sql_type.as_str());
    if name != order.name || keys.len() != order.columns.len() || !keys.iter().zip(types).all(fits)
    {
        return Err(refuse());
    }
    Ok(Some(keys))
}

impl ParamType {
    /// Says whether values are numbers in JSON.
    pub fn is_integer(&self) -> bool {
        matches!(self, Self::Integer { .. })
    }
}
