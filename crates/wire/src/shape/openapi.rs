//! A shape as the schema of an API document (JSON Schema 2020-12, as in OpenAPI 3.1).

use loomgate_domain::{Limits, Metadata};
use serde_json::{Map, Value, json};

use super::{Array, Field, Format, Object, Presence, Rule, Shape, Tagged, Text};

/// The named schemas met on the way.
pub type Components = Map<String, Value>;

/// The schema of a shape. Named objects go to `components` and are referred to.
pub fn schema(shape: &Shape, components: &mut Components) -> Value {
    match shape {
        Shape::Text(text) => text_schema(text),
        Shape::Integer { min, max } => {
            let mut schema = json!({"type": "integer"});
            put(&mut schema, "minimum", *min);
            put(&mut schema, "maximum", *max);
            schema
        }
        Shape::Number { min, max } => {
            let mut schema = json!({"type": "number"});
            put(&mut schema, "minimum", *min);
            put(&mut schema, "maximum", *max);
            schema
        }
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Array(array) => array_schema(array, components),
        Shape::Object(object) => named(object.name, components, |components| {
            object_schema(object, components)
        }),
        Shape::Tagged(tagged) => named(tagged.name, components, |components| {
            tagged_schema(tagged, components)
        }),
        Shape::Metadata => named("Metadata", components, |_| {
            json!({
                "type": "object",
                "description": "Up to 16 pairs of strings.",
                "maxProperties": Metadata::MAX_PAIRS,
                "propertyNames": {"maxLength": Metadata::MAX_KEY_CHARS},
                "additionalProperties": {"type": "string", "maxLength": Metadata::MAX_VALUE_CHARS},
            })
        }),
        Shape::Attributes => named("Attributes", components, |_| {
            json!({
                "type": "object",
                "description": "Up to 16 pairs of texts, numbers and booleans.",
                "maxProperties": Metadata::MAX_PAIRS,
                "propertyNames": {"maxLength": Metadata::MAX_KEY_CHARS},
                "additionalProperties": {"oneOf": [
                    {"type": "string", "maxLength": Metadata::MAX_VALUE_CHARS},
                    {"type": "number"},
                    {"type": "boolean"},
                ]},
            })
        }),
        Shape::AnyObject => json!({"type": "object", "additionalProperties": true}),
        Shape::Union(members) => {
            let members: Vec<Value> = members
                .iter()
                .map(|member| schema(member, components))
                .collect();
            json!({"oneOf": members})
        }
    }
}

/// The schema with the keywords of the rule.
fn ruled(mut schema: Value, rule: Option<Rule>) -> Value {
    let keywords = rule.and_then(|rule| serde_json::from_str::<Map<_, _>>(rule.schema).ok());
    if let (Value::Object(schema), Some(keywords)) = (&mut schema, keywords) {
        schema.extend(keywords);
    }
    schema
}

/// The schema itself, or, where it has a name, a reference to it among the components.
fn named(
    name: &str,
    components: &mut Components,
    make: impl FnOnce(&mut Components) -> Value,
) -> Value {
    if name.is_empty() {
        return make(components);
    }
    if !components.contains_key(name) {
        // What it is made of may be of its own kind.
        components.insert(name.to_owned(), Value::Null);
        let schema = make(components);
        components.insert(name.to_owned(), schema);
    }
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn text_schema(text: &Text) -> Value {
    let mut schema = json!({"type": "string"});
    put(
        &mut schema,
        "minLength",
        Some(text.min).filter(|min| *min > 0),
    );
    // maxLength counts characters, and a text of that many bytes never has more.
    put(&mut schema, "maxLength", text.max.get(&Limits::default()));
    match &text.format {
        Format::Any | Format::Content => {}
        Format::Binary => put(&mut schema, "format", Some("binary")),
        Format::OneOf([one]) => put(&mut schema, "const", Some(*one)),
        Format::OneOf(values) => put(&mut schema, "enum", Some(values.to_vec())),
        Format::Name => put(&mut schema, "pattern", Some(Format::NAME_PATTERN)),
        Format::Id(start) => put(&mut schema, "pattern", Some(format!("^{start}"))),
        Format::Url => put(&mut schema, "pattern", Some("^(https?://|data:)")),
    }
    schema
}

fn array_schema(array: &Array, components: &mut Components) -> Value {
    let mut schema = json!({"type": "array", "items": schema(array.items, components)});
    put(
        &mut schema,
        "minItems",
        Some(array.min).filter(|min| *min > 0),
    );
    put(&mut schema, "maxItems", array.max.get(&Limits::default()));
    ruled(schema, array.rule)
}

fn object_schema(object: &Object, components: &mut Components) -> Value {
    let (properties, required) = fields_schema(object.fields, components);
    ruled(closed(object.doc, properties, required), object.rule)
}

fn tagged_schema(tagged: &Tagged, components: &mut Components) -> Value {
    let variants: Vec<Value> = tagged
        .variants
        .iter()
        .map(|variant| {
            let (rest, mut required) = fields_schema(variant.fields, components);
            let mut properties = Map::new();
            properties.insert(
                "type".to_owned(),
                json!({"type": "string", "const": variant.tag}),
            );
            properties.extend(rest);
            required.insert(0, "type");
            closed(variant.doc, properties, required)
        })
        .collect();
    let mut schema = json!({"oneOf": variants});
    put(&mut schema, "description", filled(tagged.doc));
    schema
}

fn closed(doc: &str, properties: Map<String, Value>, required: Vec<&str>) -> Value {
    let mut schema = json!({"type": "object"});
    put(&mut schema, "description", filled(doc));
    put(&mut schema, "properties", Some(properties));
    put(
        &mut schema,
        "required",
        Some(required).filter(|names| !names.is_empty()),
    );
    put(&mut schema, "additionalProperties", Some(false));
    schema
}

fn fields_schema(
    fields: &'static [Field],
    components: &mut Components,
) -> (Map<String, Value>, Vec<&'static str>) {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        if field.presence == Presence::OnlyNull {
            continue;
        }
        if field.presence == Presence::Required {
            required.push(field.name);
        }
        properties.insert(field.name.to_owned(), field_schema(field, components));
    }
    (properties, required)
}

fn field_schema(field: &Field, components: &mut Components) -> Value {
    let mut schema = schema(field.shape, components);
    if field.nullable {
        schema = nullable(schema);
    }
    put(&mut schema, "description", filled(field.doc));
    let default: Option<Value> = field
        .default
        .and_then(|text| serde_json::from_str(text).ok());
    put(&mut schema, "default", default);
    schema
}

fn nullable(mut schema: Value) -> Value {
    let simple = schema.get("enum").is_none() && schema.get("const").is_none();
    match schema.get_mut("type") {
        Some(kind) if simple => {
            *kind = json!([kind.take(), "null"]);
            schema
        }
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn put(schema: &mut Value, key: &str, value: Option<impl Into<Value>>) {
    if let (Value::Object(map), Some(value)) = (schema, value) {
        map.insert(key.to_owned(), value.into());
    }
}
