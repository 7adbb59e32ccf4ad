//! The OpenAPI 3.1 document of this release. The schemas are those of [`crate::shape`], so what
//! the document promises is what is checked.

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::shape::openapi::{Components, schema};

mod operation;
mod parameter;
mod table;

/// The whole document as JSON text, made once.
pub fn json() -> Bytes {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());
    TEXT.clone()
}

/// The whole document.
pub fn document() -> Value {
    let mut components = Components::new();
    let mut paths = Map::new();
    for operation in table::OPERATIONS {
        let item = paths
            .entry(operation.path)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(item) = item {
            let described = operation.describe(&mut components);
            item.insert(operation.method.to_owned(), described);
        }
    }
    schema(&operation::ERROR, &mut components);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Loomgate",
            "summary": "The Assistants API v2, with any model doing the work.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"portkey": []}, {"azure": []}],
        "tags": table::TAGS.map(|(name, description)| {
            json!({"name": name, "description": description})
        }),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "portkey": {"type": "apiKey", "in": "header", "name": "x-portkey-api-key"},
                "azure": {"type": "apiKey", "in": "header", "name": "api-key"},
            },
            "responses": operation::error_responses(),
            "schemas": components,
        },
    })
}
