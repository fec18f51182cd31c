//! The [OpenAPI 3.1] document, generated from the catalogue's entries.
//!
//! [OpenAPI 3.1]: https://spec.openapis.org/oas/v3.1.0

use bigbrotr_schema::catalog::{CATALOG, Entry, Param, ParamType, Shape};
use serde_json::{Map, Value, json};

use super::routes::PREFIX;

/// The refusals that every question knows.
const ERRORS: [(&str, &str); 6] = [
    ("400", "A parameter is missing, unknown or out of bounds"),
    ("404", "What was asked for is not there"),
    ("429", "Too many questions from this client"),
    ("500", "A defect of this node"),
    ("503", "The database is away"),
    ("504", "The answer took too long"),
];

/// Writes the document. Empty `public_url`: the server is where the document came from.
pub(super) fn document<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    public_url: &str,
) -> Value {
    let mut paths = Map::new();
    let catalog = operation(
        CATALOG,
        "All questions, with their parameters.",
        &[],
        "",
        Shape::List,
    );
    paths.insert(format!("{PREFIX}/{CATALOG}"), json!({ "get": catalog }));
    for entry in entries {
        let get = operation(
            &entry.name,
            &entry.help,
            &entry.params,
            &entry.path,
            entry.shape,
        );
        paths.insert(format!("{PREFIX}{}", entry.path), json!({ "get": get }));
    }
    paths.insert("/health/live".into(), live());
    paths.insert("/health/ready".into(), ready());
    let server = if public_url.is_empty() {
        "/"
    } else {
        public_url
    };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "BigBrotr",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Questions about Nostr: events, kinds, relays and pubkeys. The same \
                            questions can be asked as NIP-90 jobs, with the same answers.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": server.trim_end_matches('/').to_owned() + "/" }],
        "paths": paths,
        "components": { "schemas": schemas(), "responses": responses() },
    })
}

fn operation(name: &str, help: &str, params: &[Param], path: &str, shape: Shape) -> Value {
    let tag = name.split('.').next().unwrap_or(name);
    let schema = match shape {
        Shape::Row => "Row",
        Shape::List => "List",
    };
    let mut responses = json!({
        "200": {
            "description": "The answer",
            "headers": { "ETag": { "schema": { "type": "string" } } },
            "content": { "application/json": { "schema": reference("schemas", schema) } },
        },
        "304": { "description": "The answer that the client has (If-None-Match) is still true" },
    });
    for (status, _) in ERRORS {
        responses[status] = reference("responses", status);
    }
    json!({
        "operationId": name,
        "summary": help,
        "tags": [tag],
        "parameters": params.iter().map(|param| parameter(param, path)).collect::<Vec<_>>(),
        "responses": responses,
    })
}

fn parameter(param: &Param, path: &str) -> Value {
    let in_path = path.contains(&format!("{{{}}}", param.name));
    let mut schema = schema(&param.kind);
    if let Some(default) = &param.default {
        let number = default
            .parse::<i64>()
            .ok()
            .filter(|_| param.kind.is_integer());
        schema["default"] = number.map_or_else(|| json!(default), |number| json!(number));
    }
    json!({
        "name": param.name,
        "in": if in_path { "path" } else { "query" },
        "required": in_path || (!param.optional && param.default.is_none()),
        "description": param.help,
        "schema": schema,
    })
}

fn schema(kind: &ParamType) -> Value {
    match kind {
        ParamType::Window | ParamType::Enum(_) => {
            let words = kind.to_string();
            json!({ "type": "string", "enum": words.split(", ").collect::<Vec<_>>() })
        }
        ParamType::Integer { min, max } => {
            json!({ "type": "integer", "minimum": min, "maximum": max })
        }
        ParamType::Text => json!({ "type": "string", "minLength": 1, "maxLength": 200 }),
        ParamType::Country => json!({ "type": "string", "pattern": "^[A-Za-z]{2}$" }),
        other => json!({ "type": "string", "description": other.to_string() }),
    }
}

fn schemas() -> Value {
    let meta = json!({
        "type": "object",
        "required": ["query", "params", "as_of"],
        "properties": {
            "query": { "type": "string", "description": "The question's name" },
            "params": { "type": "object", "description": "Its parameters, defaults included" },
            "as_of": {
                "type": "integer",
                "description": "The moment that the answer describes, Unix seconds",
            },
            "next": { "type": "string", "description": "The cursor of the next page" },
        },
    });
    let answer = |data: Value| {
        json!({
            "type": "object",
            "required": ["data", "meta"],
            "properties": { "data": data, "meta": reference("schemas", "Meta") },
        })
    };
    let error = json!({
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": { "type": "string" },
                    "message": { "type": "string" },
                    "param": { "type": "string" },
                },
            },
        },
    });
    json!({
        "Meta": meta,
        "Row": answer(json!({ "type": "object" })),
        "List": answer(json!({ "type": "array", "items": { "type": "object" } })),
        "Error": error,
    })
}

fn responses() -> Value {
    let mut responses = Map::new();
    for (status, description) in ERRORS {
        let response = json!({
            "description": description,
            "content": { "application/json": { "schema": reference("schemas", "Error") } },
        });
        responses.insert(status.to_owned(), response);
    }
    Value::Object(responses)
}

fn reference(part: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{part}/{name}") })
}

fn live() -> Value {
    health("health.live", "Whether the process is there", &["200"])
}

fn ready() -> Value {
    health(
        "health.ready",
        "Whether every part of the node does its work, and which do not",
        &["200", "503"],
    )
}

fn health(name: &str, help: &str, statuses: &[&str]) -> Value {
    let mut responses = Map::new();
    for status in statuses {
        let response = json!({
            "description": if *status == "200" { "Yes" } else { "No" },
            "content": { "application/json": { "schema": { "type": "object" } } },
        });
        responses.insert((*status).to_owned(), response);
    }
    json!({
        "get": {
            "operationId": name,
            "summary": help,
            "tags": ["health"],
            "responses": responses,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The form of the document, on entries of its own: the real ones come and go.
    #[test]
    fn the_document_describes_paths_parameters_and_errors() {
        let list = "-- name: kinds.list\n-- help: Kinds.\n-- path: /kinds\n\
                    -- param window: window = all; the stretch of time\n\
                    -- param relay: relay?; only on this relay\n\
                    -- order events: events bigint desc\n-- limit: 100..1000\nselect 1";
        let row = "-- name: relays.get\n-- help: One relay.\n-- path: /relays/{url}\n\
                   -- param url: relay; the relay\nselect 1";
        let entries = [list, row].map(|text| Entry::parse("e.sql", text).unwrap());
        let mut document = document(&entries, "https://api.example.com");
        document["info"]["version"] = json!("VERSION");
        insta::assert_json_snapshot!(document);
    }
}
