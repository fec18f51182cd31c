//! What all operations share: the form of answers, refusals and headers.

use serde_json::{Map, Value, json};

/// A refusal that questions know.
pub(super) struct Refusal {
    pub(super) status: &'static str,
    code: &'static str,
    description: &'static str,
    message: &'static str,
}

/// The refusals that every question knows.
pub(super) const ERRORS: [Refusal; 6] = [
    Refusal {
        status: "400",
        code: "invalid_param",
        description: "A parameter is missing, unknown, given twice or out of bounds; `param` names it",
        message: "limit: expected an integer 1 to 1000",
    },
    Refusal {
        status: "404",
        code: "not_found",
        description: "What was asked for is not there",
        message: "this relay is not known",
    },
    Refusal {
        status: "429",
        code: "rate_limited",
        description: "Too many questions from this client; Retry-After says when to come back",
        message: "too many questions: try again in 1 s",
    },
    Refusal {
        status: "500",
        code: "internal",
        description: "A defect of this node",
        message: "the question could not be answered",
    },
    Refusal {
        status: "503",
        code: "unavailable",
        description: "The database is away; Retry-After says when to come back",
        message: "the database is not available: try again later",
    },
    Refusal {
        status: "504",
        code: "timeout",
        description: "The answer took too long: ask for less",
        message: "the answer took longer than 5 s; ask for less",
    },
];

const LIMITS: [(&str, &str, &str); 4] = [
    (
        "RateLimit-Limit",
        "integer",
        "Requests that may come at once",
    ),
    (
        "RateLimit-Remaining",
        "integer",
        "How many more may come at once",
    ),
    (
        "RateLimit-Reset",
        "integer",
        "Seconds until all may come at once again",
    ),
    (
        "RateLimit-Policy",
        "string",
        "The limit, and the seconds in which it comes back, as in 50;w=5",
    ),
];

pub(super) fn reference(part: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{part}/{name}") })
}

/// The headers of every answer.
pub(super) fn limits() -> Value {
    let mut headers = Map::new();
    for name in LIMITS
        .map(|(name, ..)| name)
        .into_iter()
        .chain(["X-Request-Id"])
    {
        headers.insert(name.to_owned(), reference("headers", name));
    }
    Value::Object(headers)
}

pub(super) fn headers() -> Value {
    let header = |schema: &str, description: &str| json!({ "schema": { "type": schema }, "description": description });
    let mut headers = Map::new();
    for (name, schema, description) in LIMITS {
        headers.insert(name.to_owned(), header(schema, description));
    }
    for (name, schema, description) in [
        (
            "ETag",
            "string",
            "Names the answer, its moment aside; for If-None-Match",
        ),
        ("Retry-After", "integer", "Seconds to wait"),
        (
            "X-Request-Id",
            "string",
            "The request's id: the client's own if it sent one",
        ),
    ] {
        headers.insert(name.to_owned(), header(schema, description));
    }
    Value::Object(headers)
}

pub(super) fn schemas() -> Value {
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
    let mut codes: Vec<&str> = ERRORS.iter().map(|error| error.code).collect();
    codes.push("method_not_allowed");
    let error = json!({
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": { "type": "string", "enum": codes },
                    "message": { "type": "string", "description": "For humans; may change" },
                    "param": { "type": "string", "description": "The parameter at fault" },
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

pub(super) fn responses() -> Value {
    let mut responses = Map::new();
    responses.insert(
        "304".to_owned(),
        json!({ "description": "The answer that the client has (If-None-Match) is still true" }),
    );
    for error in ERRORS {
        let mut example = json!({ "code": error.code, "message": error.message });
        if error.status == "400" {
            example["param"] = json!("limit");
        }
        let mut headers = limits();
        if matches!(error.status, "429" | "503") {
            headers["Retry-After"] = reference("headers", "Retry-After");
        }
        let response = json!({
            "description": error.description,
            "headers": headers,
            "content": {
                "application/json": {
                    "schema": reference("schemas", "Error"),
                    "example": { "error": example },
                },
            },
        });
        responses.insert(error.status.to_owned(), response);
    }
    Value::Object(responses)
}
