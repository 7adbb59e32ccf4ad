//! Checks of the JSON in a text.

use serde_json::{Value, json};

use super::{
    super::{check::Operator, quoted, schema::Schema},
    lists::{explain, split},
    verdict::{Found, excerpt, judged, without_excerpt},
};

/// The largest JSON that is repeated in data, in bytes.
const MOST_REPEATED: usize = 4 * 1024;

/// Whether one of the values is as the schema says.
pub(super) fn schema(schema: &Schema, not: bool, text: &str) -> Found {
    let values = quoted::json(text);
    let Some(first) = values.first() else {
        let explanation = "No valid JSON found in the response.";
        return (false, json!({"explanation": explanation, "not": not}));
    };
    let valid = values.iter().find(|value| schema.holds(value));
    let value = valid.unwrap_or(first);
    let data = json!({
        "matchedJson": repeated(value),
        "validationErrors": schema.violations(value),
    });
    let sentences = [
        "The JSON is as the schema says",
        "The JSON is not as the schema says",
    ];
    let (verdict, mut data) = judged(valid.is_some(), not, sentences, data, text);
    without_excerpt(&mut data);
    (verdict, data)
}

/// A value, unless it is large.
fn repeated(value: &Value) -> Value {
    if value.to_string().len() <= MOST_REPEATED {
        value.clone()
    } else {
        Value::Null
    }
}

/// Whether one of the objects has the keys; where none does, the data tell of the nearest.
pub(super) fn keys(keys: &[String], operator: Operator, text: &str) -> Found {
    let mut best: Option<(bool, Value, Vec<&String>, Vec<&String>)> = None;
    for value in quoted::json(text).iter().filter(|value| value.is_object()) {
        let (present, missing) = split(keys, |key| value.get(key).is_some());
        let verdict = operator.holds(&present, &missing);
        let better = match &best {
            None => true,
            Some((_, _, so_far, _)) => verdict || present.len() > so_far.len(),
        };
        if better {
            best = Some((verdict, repeated(value), present, missing));
        }
        if verdict {
            break;
        }
    }
    let Some((verdict, value, present, missing)) = best else {
        let data = json!({
            "explanation": "No valid JSON found in the text.",
            "requiredKeys": keys,
            "operator": operator.name(),
            "textExcerpt": excerpt(text),
        });
        return (false, data);
    };
    let data = json!({
        "matchedJson": value,
        "verdict": verdict,
        "explanation": explain(verdict, operator, "keys"),
        "presentKeys": present,
        "missingKeys": missing,
        "operator": operator.name(),
        "textExcerpt": excerpt(text),
    });
    (verdict, data)
}
