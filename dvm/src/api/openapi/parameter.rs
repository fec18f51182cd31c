//! Parameters: what values they take, as a JSON Schema, and one value that they do take.
//!
//! A schema describes the canonical form of a value. Other forms that are accepted too, an `npub`
//! for a key, stand in the description, since a pattern cannot check their sums.

use bigbrotr_schema::catalog::{Param, ParamType};
use bigbrotr_schema::limits;
use serde_json::{Value, json};

/// A key and an id that exist: the examples of NIP-19.
const PUBKEY: &str = "3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d";
const EVENT_ID: &str = "b9f5441e45ca39179320e0031cfb18e34078673dcc3d3e3a3b3a981760aa5696";

/// Describes a parameter of the entry at this path.
pub(super) fn parameter(param: &Param, path: &str) -> Value {
    let in_path = path.contains(&format!("{{{}}}", param.name));
    let mut schema = schema(&param.kind);
    if let Some(default) = &param.default {
        schema["default"] = value(&param.kind, default);
    }
    let mut described = json!({
        "name": param.name,
        "in": if in_path { "path" } else { "query" },
        "required": in_path || (!param.optional && param.default.is_none()),
        "description": description(param),
    });
    if let ParamType::Filter = param.kind {
        // The value is a JSON document, and described as such.
        described["content"] = json!({ "application/json": { "schema": schema } });
    } else {
        described["schema"] = schema;
    }
    let example = match &param.default {
        Some(default) => Some(value(&param.kind, default)),
        None => example(param),
    };
    if let Some(example) = example {
        described["example"] = example;
    }
    described
}

fn description(param: &Param) -> String {
    match &param.kind {
        ParamType::Window | ParamType::Enum(_) | ParamType::Integer { .. } => param.help.clone(),
        kind => format!("{}: {kind}", param.help),
    }
}

fn value(kind: &ParamType, text: &str) -> Value {
    let number = text.parse::<i64>().ok().filter(|_| kind.is_integer());
    number.map_or_else(|| json!(text), |number| json!(number))
}

fn example(param: &Param) -> Option<Value> {
    Some(match &param.kind {
        ParamType::Integer { min, .. } => json!(if param.name == "kind" { 1 } else { *min }),
        ParamType::Enum(words) => json!(words.first()?),
        ParamType::Relay | ParamType::Relays => json!("wss://relay.example.com"),
        ParamType::Pubkey => json!(PUBKEY),
        ParamType::EventId => json!(EVENT_ID),
        ParamType::Country => json!("DE"),
        ParamType::Window => json!("24h"),
        ParamType::Filter => json!({ "kinds": [1] }),
        ParamType::Groups => json!("kind"),
        _ => return None,
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
        ParamType::Text => {
            let most = limits::MAX_TEXT_CHARS;
            json!({ "type": "string", "minLength": 1, "maxLength": most, "pattern": "^[^\\x00]+$" })
        }
        ParamType::Country => json!({ "type": "string", "pattern": "^[A-Za-z]{2}$" }),
        ParamType::Relay => json!({
            "type": "string",
            "pattern": "^wss?://[a-z]{1,30}(\\.[a-z]{2,30}){1,3}(/[a-z0-9]{1,30})?$",
        }),
        ParamType::Pubkey | ParamType::EventId => {
            json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
        }
        ParamType::Cursor => {
            let most = limits::MAX_CURSOR_CHARS;
            json!({ "type": "string", "maxLength": most, "pattern": "^[A-Za-z0-9_-]+$" })
        }
        ParamType::Relays => json!({
            "type": "string",
            "pattern": "^wss?://[a-z]{1,30}(\\.[a-z]{2,30}){1,3}( wss?://[a-z]{1,30}(\\.[a-z]{2,30}){1,3})?$",
        }),
        ParamType::Groups => json!({
            "type": "string",
            "pattern": "^[^,\\s\\x00-\\x1f\\x7f-\\x9f]{1,50}$",
        }),
        ParamType::Filter => filter(),
    }
}

/// A filter, as far as a schema can say it.
fn filter() -> Value {
    let keys = || {
        json!({
            "type": "array", "minItems": 1, "maxItems": 20,
            "items": { "type": "string", "pattern": "^[0-9a-f]{64}$" },
        })
    };
    let texts = || {
        json!({
            "type": "array", "minItems": 1, "maxItems": 20,
            "items": { "type": "string" },
        })
    };
    let time = || json!({ "type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32 });
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "ids": keys(),
            "authors": keys(),
            "kinds": {
                "type": "array", "minItems": 1, "maxItems": 20,
                "items": { "type": "integer", "minimum": 0, "maximum": 65_535 },
            },
            "since": time(),
            "until": time(),
            // Any text is taken: an id or a key that is none is in no event's tag.
            "#t": texts(),
            "#p": texts(),
            "#e": texts(),
        },
    })
}
