//! JSON schemas as Anthropic's structured outputs and strict tools take them.
//!
//! Objects are closed there, and most bounds are unknown. What cannot be said to the machine is
//! said to the model instead, at the end of the description, as Anthropic's own SDKs do.

use serde_json::{Map, Value, json};

/// Formats of texts that are held to.
const FORMATS: &[&str] = &[
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
    "uuid",
];

/// Whether some object may have properties that are not listed: closing it would change it.
pub(super) fn is_open(schema: &Value) -> bool {
    match schema {
        Value::Object(object) => {
            let is_object = object.get("type").is_some_and(|kind| names(kind, "object"));
            let lists_nothing = object
                .get("properties")
                .and_then(Value::as_object)
                .is_none_or(Map::is_empty);
            let more = object.get("additionalProperties");
            let is_closed = more == Some(&Value::Bool(false));
            let takes_more = more.is_some_and(|more| more.is_object() || more == true);
            takes_more || (is_object && lists_nothing && !is_closed) || object.values().any(is_open)
        }
        Value::Array(list) => list.iter().any(is_open),
        _ => false,
    }
}

/// The schema with closed objects and nothing that is unknown there.
pub(super) fn closed(schema: &Value) -> Value {
    let Value::Object(schema) = schema else {
        return schema.clone();
    };
    let mut rest = schema.clone();
    let mut out = Map::new();
    for name in ["$defs", "definitions"] {
        if let Some(Value::Object(definitions)) = rest.shift_remove(name) {
            out.insert(name.to_owned(), each(&definitions));
        }
    }
    if let Some(reference) = rest.shift_remove("$ref") {
        out.insert("$ref".to_owned(), reference);
        return Value::Object(out);
    }
    for name in ["$schema", "$id", "$comment"] {
        rest.shift_remove(name);
    }
    for name in ["title", "description"] {
        out.extend(
            rest.shift_remove(name)
                .map(|value| (name.to_owned(), value)),
        );
    }
    let kind = rest.shift_remove("type");
    let has_literals = ["enum", "const"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), rest.shift_remove(name)?)))
        .fold(false, |_, (name, value)| {
            out.insert(name, value);
            true
        });
    if let Some((name, Value::Array(variants))) = take_union(&mut rest) {
        let variants: Vec<_> = variants.iter().map(closed).collect();
        out.insert(name.to_owned(), json!(variants));
    } else if has_literals {
        // The literals say the type.
    } else {
        match kind {
            Some(Value::Array(kinds)) => {
                let variants: Vec<_> = kinds.iter().map(|kind| variant(kind, &mut rest)).collect();
                out.insert("anyOf".to_owned(), json!(variants));
                for name in ["properties", "required", "additionalProperties", "items"] {
                    rest.shift_remove(name);
                }
            }
            Some(kind) => typed(&kind, &mut rest, &mut out),
            None => {}
        }
    }
    describe(&rest, &mut out);
    Value::Object(out)
}

/// One of the types of a schema that has several.
fn variant(kind: &Value, rest: &mut Map<String, Value>) -> Value {
    let mut out = Map::new();
    typed(kind, &mut rest.clone(), &mut out);
    if kind == "string" && out.contains_key("format") {
        rest.shift_remove("format");
    }
    Value::Object(out)
}

/// What belongs to a type moves from `rest` to `out`.
fn typed(kind: &Value, rest: &mut Map<String, Value>, out: &mut Map<String, Value>) {
    out.insert("type".to_owned(), kind.clone());
    match kind.as_str() {
        Some("object") => {
            let properties = match rest.shift_remove("properties") {
                Some(Value::Object(properties)) => each(&properties),
                _ => json!({}),
            };
            out.insert("properties".to_owned(), properties);
            rest.shift_remove("additionalProperties");
            out.insert("additionalProperties".to_owned(), json!(false));
            if let Some(required) = rest.shift_remove("required") {
                out.insert("required".to_owned(), required);
            }
        }
        Some("array") => {
            if let Some(items) = rest.shift_remove("items") {
                out.insert("items".to_owned(), closed(&items));
            }
            if rest
                .get("minItems")
                .is_some_and(|least| *least == 0 || *least == 1)
            {
                out.extend(
                    rest.shift_remove("minItems")
                        .map(|least| ("minItems".to_owned(), least)),
                );
            }
        }
        Some("string") => {
            let format = rest.get("format").and_then(Value::as_str);
            if format.is_some_and(|format| FORMATS.contains(&format)) {
                out.extend(
                    rest.shift_remove("format")
                        .map(|format| ("format".to_owned(), format)),
                );
            }
        }
        _ => {}
    }
}

/// The variants, unless there is a shape beside them that says more: then they become words.
fn take_union(rest: &mut Map<String, Value>) -> Option<(&'static str, Value)> {
    if rest.contains_key("properties") || rest.contains_key("items") {
        return None;
    }
    for (name, said) in [("anyOf", "anyOf"), ("oneOf", "anyOf"), ("allOf", "allOf")] {
        if rest.get(name).is_some_and(Value::is_array) {
            return Some((said, rest.shift_remove(name)?));
        }
    }
    None
}

fn each(schemas: &Map<String, Value>) -> Value {
    let schemas = schemas
        .iter()
        .map(|(name, schema)| (name.clone(), closed(schema)));
    Value::Object(schemas.collect())
}

/// Says in words what is left.
fn describe(rest: &Map<String, Value>, out: &mut Map<String, Value>) {
    if rest.is_empty() {
        return;
    }
    let left: Vec<_> = rest
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let left = format!("{{{}}}", left.join(", "));
    let description = match out.get("description").and_then(Value::as_str) {
        Some(description) => format!("{description}\n\n{left}"),
        None => left,
    };
    out.insert("description".to_owned(), json!(description));
}

fn names(kind: &Value, name: &str) -> bool {
    kind == name
        || kind
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|kind| kind == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_closed_and_unknown_bounds_become_words() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "age": {"type": "integer", "minimum": 0, "description": "Years."},
                "mail": {"type": "string", "format": "email", "pattern": ".+@.+"},
                "color": {"type": "string", "enum": ["red", "blue"]},
                "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 1, "maxItems": 3},
                "note": {"type": ["string", "null"], "description": "Free."},
                "either": {"oneOf": [{"type": "string"}, {"type": "object", "properties": {}}]}
            },
            "required": ["age"],
            "$defs": {"tag": {"type": "object", "properties": {"name": {"type": "string"}}}}
        });
        let mixed =
            json!({"type": "object", "properties": {"a": {}}, "anyOf": [{"required": ["a"]}]});
        let expected = json!({
            "type": "object",
            "properties": {"a": {}},
            "additionalProperties": false,
            "description": "{anyOf: [{\"required\":[\"a\"]}]}"
        });
        assert_eq!(closed(&mixed), expected);
        let expected = json!({
            "$defs": {"tag": {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": false}},
            "type": "object",
            "properties": {
                "age": {"type": "integer", "description": "Years.\n\n{minimum: 0}"},
                "mail": {"type": "string", "format": "email", "description": "{pattern: \".+@.+\"}"},
                "color": {"enum": ["red", "blue"]},
                "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 1, "description": "{maxItems: 3}"},
                "note": {"description": "Free.", "anyOf": [{"type": "string"}, {"type": "null"}]},
                "either": {"anyOf": [{"type": "string"}, {"type": "object", "properties": {}, "additionalProperties": false}]}
            },
            "additionalProperties": false,
            "required": ["age"]
        });
        assert_eq!(closed(&schema), expected);
    }

    #[test]
    fn a_schema_with_an_open_object_is_open() {
        let object = |properties: Value, more: Value| json!({"type": "object", "properties": properties, "additionalProperties": more});
        let named = json!({"name": {"type": "string"}});
        assert!(!is_open(&object(named.clone(), json!(false))));
        assert!(!is_open(&json!({"type": "object", "properties": named})));
        assert!(!is_open(&object(json!({}), json!(false))));
        assert!(is_open(&json!({"type": "object"})));
        assert!(is_open(&object(named.clone(), json!(true))));
        assert!(is_open(&object(named, json!({"type": "string"}))));
        assert!(is_open(&json!({"anyOf": [{"type": ["null", "object"]}]})));
    }
}
