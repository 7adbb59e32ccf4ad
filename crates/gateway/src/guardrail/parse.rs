//! Reads hooks in their two forms.

use serde_json::{Map, Value};

use super::{Check, Feedback, Hook, check};

/// How many checks a hook has.
const MOST_CHECKS: usize = 32;

/// The longest id, in bytes.
const MOST_ID_BYTES: usize = 128;

/// Keys of a hook that are no checks in the shorthand.
const OWN: [&str; 11] = [
    "type",
    "id",
    "name",
    "deny",
    "async",
    "sequential",
    "on_fail",
    "onFail",
    "on_success",
    "onSuccess",
    "checks",
];

pub(super) fn hook(value: &Value) -> Result<Hook, String> {
    let fields = match value {
        Value::Object(fields) => fields,
        Value::String(id) => {
            return Err(format!(
                "saved guardrails do not exist in this gateway: write the checks of '{id:.64}' \
                 into the config"
            ));
        }
        _ => return Err("a guardrail must be an object".to_owned()),
    };
    match fields.get("type") {
        None => {}
        Some(Value::String(kind)) if kind == "guardrail" => {}
        Some(_) => return Err("'type' must be 'guardrail'".to_owned()),
    }
    let checks = match fields.get("checks") {
        Some(checks) => {
            if let Some(other) = fields.keys().find(|key| !OWN.contains(&key.as_str())) {
                return Err(format!("unknown key '{other:.64}' in a guardrail"));
            }
            listed(checks)?
        }
        None => shorthand(fields)?,
    };
    if checks.is_empty() {
        return Err("a guardrail needs at least one check".to_owned());
    }
    if checks.len() > MOST_CHECKS {
        return Err(format!("a guardrail has at most {MOST_CHECKS} checks"));
    }
    Ok(Hook {
        id: id(fields)?,
        deny: flag(fields, "deny")?,
        checks,
        asynchronous: flag(fields, "async")?,
        sequential: flag(fields, "sequential")?,
        on_success: feedback(fields, "on_success", "onSuccess")?,
        on_fail: feedback(fields, "on_fail", "onFail")?,
        hash: *blake3::hash(value.to_string().as_bytes()).as_bytes(),
    })
}

fn id(fields: &Map<String, Value>) -> Result<String, String> {
    match fields.get("id").or_else(|| fields.get("name")) {
        None => Ok(String::new()),
        Some(Value::String(id)) if id.len() <= MOST_ID_BYTES => Ok(id.clone()),
        Some(_) => Err(format!(
            "'id' must be a string of at most {MOST_ID_BYTES} bytes"
        )),
    }
}

fn flag(fields: &Map<String, Value>, name: &str) -> Result<bool, String> {
    match fields.get(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(format!("'{name}' must be true or false")),
    }
}

/// `[{"id": "default.contains", "parameters": {..}}]`
fn listed(checks: &Value) -> Result<Vec<Check>, String> {
    let Value::Array(checks) = checks else {
        return Err("'checks' must be an array".to_owned());
    };
    let none = Map::new();
    checks
        .iter()
        .map(|entry| {
            let Value::Object(entry) = entry else {
                return Err("a check must be an object".to_owned());
            };
            let Some(Value::String(id)) = entry.get("id") else {
                return Err("a check needs an 'id', such as 'default.contains'".to_owned());
            };
            let known = ["id", "parameters", "is_enabled"];
            if let Some(other) = entry.keys().find(|key| !known.contains(&key.as_str())) {
                return Err(format!("unknown key '{other:.64}' in a check"));
            }
            let parameters = match entry.get("parameters") {
                None => &none,
                Some(Value::Object(parameters)) => parameters,
                Some(_) => return Err("'parameters' must be an object".to_owned()),
            };
            let enabled = entry.get("is_enabled");
            Check::parse(id, parameters, enabled)
        })
        .collect()
}

/// `{"default.contains": {..}, "deny": true}`
fn shorthand(fields: &Map<String, Value>) -> Result<Vec<Check>, String> {
    fields
        .iter()
        .filter(|(key, _)| !OWN.contains(&key.as_str()))
        .map(|(key, parameters)| {
            let Value::Object(parameters) = parameters else {
                return Err(format!("the parameters of '{key:.64}' must be an object"));
            };
            let id = match parameters.get("id") {
                None => key.as_str(),
                Some(Value::String(id)) => id,
                Some(_) => return Err("the 'id' of a check must be a string".to_owned()),
            };
            let mut own = parameters.clone();
            own.shift_remove("id");
            let enabled = own.shift_remove("is_enabled");
            Check::parse(&check::full_id(id), &own, enabled.as_ref())
        })
        .collect()
}

/// `{"feedback": {"value": -5, "weight": 1, "metadata": {..}}}`
fn feedback(
    fields: &Map<String, Value>,
    name: &str,
    other: &str,
) -> Result<Option<Feedback>, String> {
    let Some(value) = fields.get(name).or_else(|| fields.get(other)) else {
        return Ok(None);
    };
    let wrong = || {
        format!(
            "'{name}' must be {{\"feedback\": {{\"value\": -10 to 10, \"weight\": 0 to 1, \
             \"metadata\": {{..}}}}}}"
        )
    };
    let Value::Object(action) = value else {
        return Err(wrong());
    };
    let Some(feedback) = action.get("feedback") else {
        return if action.is_empty() {
            Ok(None)
        } else {
            Err(wrong())
        };
    };
    let Value::Object(feedback) = feedback else {
        return Err(wrong());
    };
    let known = |key: &String| ["value", "weight", "metadata"].contains(&key.as_str());
    if action.len() > 1 || !feedback.keys().all(known) {
        return Err(wrong());
    }
    let value = match feedback.get("value") {
        None => Some(0),
        Some(value) => value.as_i64().filter(|value| (-10..=10).contains(value)),
    };
    let weight = match feedback.get("weight") {
        None => Some(1.0),
        Some(weight) => weight
            .as_f64()
            .filter(|weight| (0.0..=1.0).contains(weight)),
    };
    let metadata = match feedback.get("metadata") {
        None => Some(Map::new()),
        Some(metadata) => metadata.as_object().cloned(),
    };
    Ok(Some(Feedback {
        value: value.ok_or_else(wrong)?,
        weight: weight.ok_or_else(wrong)?,
        metadata: metadata.ok_or_else(wrong)?,
    }))
}
