//! The [OpenAPI 3.1] document, generated from the catalogue's entries.
//!
//! [OpenAPI 3.1]: https://spec.openapis.org/oas/v3.1.0

mod parameter;
mod parts;

use bigbrotr_schema::catalog::{CATALOG, Entry, Param, Shape};
use serde_json::{Map, Value, json};

use self::parameter::parameter;
use self::parts::{ERRORS, reference};
use super::routes::PREFIX;

const DESCRIPTION: &str = "Questions about Nostr: events, kinds, relays and pubkeys. The same \
    questions can be asked as NIP-90 jobs, with the same answers.\n\nEvery answer is \
    `{\"data\", \"meta\"}`, every refusal `{\"error\": {\"code\", \"message\", \"param\"?}}`. \
    Hashes and keys are lowercase hex, times are Unix seconds, relay URLs are canonical. Lists are \
    paged by `meta.next`, which goes into `cursor`.";

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
            "description": DESCRIPTION,
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": server.trim_end_matches('/').to_owned() + "/" }],
        "paths": paths,
        "components": {
            "schemas": parts::schemas(),
            "responses": parts::responses(),
            "headers": parts::headers(),
        },
    })
}

fn operation(name: &str, help: &str, params: &[Param], path: &str, shape: Shape) -> Value {
    let tag = name.split('.').next().unwrap_or(name);
    let schema = match shape {
        Shape::Row => "Row",
        Shape::List => "List",
    };
    let mut headers = parts::limits();
    headers["ETag"] = reference("headers", "ETag");
    let mut answer = json!({
        "description": "The answer",
        "headers": headers,
        "content": { "application/json": { "schema": reference("schemas", schema) } },
    });
    if params.iter().any(|param| param.name == "cursor") {
        let cursor = json!({ "cursor": "$response.body#/meta/next" });
        answer["links"] = json!({
            "next": {
                "operationId": name,
                "parameters": cursor,
                "description": "The next page; the other parameters as before",
            },
        });
    }
    let mut responses = json!({ "200": answer, "304": reference("responses", "304") });
    for error in ERRORS {
        // A list is always there, and may be empty.
        let never = error.status == "404" && shape == Shape::List && !path.contains('{');
        if !never {
            responses[error.status] = reference("responses", error.status);
        }
    }
    json!({
        "operationId": name,
        "summary": help,
        "tags": [tag],
        "parameters": params.iter().map(|param| parameter(param, path)).collect::<Vec<_>>(),
        "responses": responses,
    })
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
