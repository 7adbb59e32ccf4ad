//! JSON schemas as Gemini takes them: with references resolved.
//!
//! Gemini knows references, but refuses the words beside them, and follows them only in some
//! places; most schemas that programs write are full of them. `const` becomes an `enum` of one.
//! Other words that Gemini does not know stay: it leaves them out itself.

use serde_json::{Map, Value, json};

use crate::vendor::Unsupported;

/// The most schemas that one may become by resolving its references.
const SCHEMAS: usize = 10_000;

/// How often a reference is followed within itself, and how many are within each other in all. A
/// schema that refers to itself ends there.
const REPEATS: usize = 2;
const REFERENCES: usize = 32;

/// Words that are of no use once references are resolved.
const DROPPED: &[&str] = &[
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "definitions",
];

/// The schema without references. `param` says where it stands in the request.
pub(super) fn resolved(schema: &Value, param: &str) -> Result<Value, Unsupported> {
    let mut resolver = Resolver {
        root: schema,
        left: SCHEMAS,
        followed: Vec::new(),
    };
    resolver.schema(schema).ok_or_else(|| {
        let message = format!("'{param}' becomes too large when its references are resolved.");
        Unsupported::new(param, message)
    })
}

struct Resolver<'a> {
    root: &'a Value,
    left: usize,
    /// The references that are being followed.
    followed: Vec<String>,
}

impl Resolver<'_> {
    /// `None` when there are too many schemas.
    fn schema(&mut self, schema: &Value) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        let Value::Object(schema) = schema else {
            return Some(schema.clone());
        };
        let Some(reference) = schema.get("$ref").and_then(Value::as_str) else {
            return self.object(schema).map(Value::Object);
        };
        let root = self.root;
        let target = reference
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer))
            .and_then(Value::as_object);
        let Some(target) = target else {
            // Somewhere else: nobody fetches it.
            return self.object(schema).map(Value::Object);
        };
        let repeats = self.followed.iter().filter(|name| *name == reference);
        if repeats.count() == REPEATS || self.followed.len() == REFERENCES {
            return Some(outline(target));
        }
        let mut merged = target.clone();
        for (name, value) in schema {
            if name != "$ref" {
                merged.insert(name.clone(), value.clone());
            }
        }
        self.followed.push(reference.to_owned());
        let resolved = self.schema(&Value::Object(merged));
        self.followed.pop();
        resolved
    }

    fn object(&mut self, schema: &Map<String, Value>) -> Option<Map<String, Value>> {
        let mut out = Map::new();
        for (name, value) in schema {
            let value = match (name.as_str(), value) {
                ("$ref", _) => continue,
                (dropped, _) if DROPPED.contains(&dropped) => continue,
                ("const", value) => {
                    out.insert("enum".to_owned(), json!([value]));
                    continue;
                }
                ("properties" | "patternProperties" | "dependentSchemas", Value::Object(named)) => {
                    let named: Option<Map<_, _>> = named
                        .iter()
                        .map(|(name, value)| Some((name.clone(), self.schema(value)?)))
                        .collect();
                    Value::Object(named?)
                }
                ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(list)) => {
                    let list: Option<Vec<_>> =
                        list.iter().map(|value| self.schema(value)).collect();
                    Value::Array(list?)
                }
                (
                    "items"
                    | "additionalProperties"
                    | "not"
                    | "contains"
                    | "propertyNames"
                    | "if"
                    | "then"
                    | "else",
                    value,
                ) => self.schema(value)?,
                (_, value) => value.clone(),
            };
            out.insert(name.clone(), value);
        }
        Some(out)
    }
}

/// What is left of a schema that refers to itself, at the end of the patience.
fn outline(schema: &Map<String, Value>) -> Value {
    let kept = schema
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "type" | "title" | "description"))
        .map(|(name, value)| (name.clone(), value.clone()));
    Value::Object(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_with_the_words_beside_them() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "$ref": {"type": "string"},
                "const": {"$ref": "#/properties/kind"},
                "kind": {"const": "a"},
                "home": {"$ref": "#/$defs/place", "description": "Where."},
                "away": {"anyOf": [{"$ref": "#/$defs/place"}, {"type": "null"}]},
                "elsewhere": {"$ref": "https://example.com/schema", "type": "string"}
            },
            "additionalProperties": false,
            "$defs": {"place": {"type": "object", "properties": {"city": {"$ref": "#/$defs/city"}}}, "city": {"type": "string"}}
        });
        let place = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let mut home = place.clone();
        home["description"] = json!("Where.");
        let expected = json!({
            "type": "object",
            "properties": {
                "$ref": {"type": "string"},
                "const": {"enum": ["a"]},
                "kind": {"enum": ["a"]},
                "home": home,
                "away": {"anyOf": [place, {"type": "null"}]},
                "elsewhere": {"type": "string"}
            },
            "additionalProperties": false
        });
        assert_eq!(resolved(&schema, "x").unwrap(), expected);
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let node = json!({"$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}}, "$ref": "#/$defs/node"});
        let mut schema = &resolved(&node, "x").unwrap();
        let mut depth = 0;
        while schema.get("properties").is_some() {
            schema = &schema["properties"]["next"];
            depth += 1;
        }
        assert_eq!((depth, schema), (2, &json!({"type": "object"})));
        let itself = json!({"$ref": "#"});
        assert_eq!(resolved(&itself, "x").unwrap(), json!({}));
    }

    #[test]
    fn a_schema_that_explodes_is_refused() {
        let mut definitions = Map::from_iter([("d0".to_owned(), json!({"type": "string"}))]);
        for level in 1..8 {
            let below = json!({"$ref": format!("#/$defs/d{}", level - 1)});
            let all = json!({"anyOf": vec![below; 10]});
            definitions.insert(format!("d{level}"), all);
        }
        let schema = json!({"$ref": "#/$defs/d7", "$defs": definitions});
        let refusal = resolved(&schema, "tools[0].function.parameters").unwrap_err();
        assert_eq!(refusal.param.unwrap(), "tools[0].function.parameters");
    }
}
