//! From JSON to a filter, with the path of what is wrong.

use serde_json::{Map, Value};

use super::{
    Comparison, Filter, FilterError, MAX_DEPTH, MAX_KEY, MAX_PARTS, MAX_STRING, Ordered, Scalar,
};

const COMPARISONS: [&str; 8] = ["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"];

pub(super) fn filter(value: &Value, path: &str) -> Result<Filter, FilterError> {
    Parser { comparisons: 0 }.filter(value, path, 1)
}

struct Parser {
    comparisons: usize,
}

impl Parser {
    fn filter(&mut self, value: &Value, path: &str, depth: usize) -> Result<Filter, FilterError> {
        if depth > MAX_DEPTH {
            return Err(error(
                path,
                format!("filters may be nested {MAX_DEPTH} deep at most."),
            ));
        }
        let Value::Object(fields) = value else {
            return Err(error(
                path,
                format!("expected an object, but got {} instead.", kind(value)),
            ));
        };
        let kind_path = format!("{path}.type");
        match fields.get("type") {
            None => Err(error(&kind_path, "this field is required.".to_owned())),
            Some(Value::String(name)) => match name.as_str() {
                "and" => self.compound(fields, path, depth).map(Filter::And),
                "or" => self.compound(fields, path, depth).map(Filter::Or),
                name if COMPARISONS.contains(&name) => self.comparison(name, fields, path),
                other => Err(error(
                    &kind_path,
                    format!("unknown type '{other}', must be one of {}.", types()),
                )),
            },
            Some(other) => {
                let found = kind(other);
                Err(error(
                    &kind_path,
                    format!("expected one of {}, but got {found} instead.", types()),
                ))
            }
        }
    }

    fn compound(
        &mut self,
        fields: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<Vec<Filter>, FilterError> {
        only(fields, &["type", "filters"], path)?;
        let inner = format!("{path}.filters");
        let Value::Array(filters) = required(fields, "filters", path)? else {
            return Err(error(
                &inner,
                format!(
                    "expected an array of filters, but got {} instead.",
                    kind(&fields["filters"])
                ),
            ));
        };
        let filters = filters.iter().enumerate();
        filters
            .map(|(number, filter)| self.filter(filter, &format!("{inner}[{number}]"), depth + 1))
            .collect()
    }

    fn comparison(
        &mut self,
        name: &str,
        fields: &Map<String, Value>,
        path: &str,
    ) -> Result<Filter, FilterError> {
        only(fields, &["type", "key", "value"], path)?;
        self.comparisons += 1;
        if self.comparisons > MAX_PARTS {
            return Err(error(
                path,
                format!("a filter may have {MAX_PARTS} comparisons at most."),
            ));
        }
        let key = key(required(fields, "key", path)?, &format!("{path}.key"))?;
        let value = required(fields, "value", path)?;
        let path = format!("{path}.value");
        let comparison = match name {
            "eq" => Comparison::Equal(scalar(value, &path)?),
            "ne" => Comparison::NotEqual(scalar(value, &path)?),
            "gt" => Comparison::Greater(ordered(value, &path)?),
            "gte" => Comparison::GreaterOrEqual(ordered(value, &path)?),
            "lt" => Comparison::Less(ordered(value, &path)?),
            "lte" => Comparison::LessOrEqual(ordered(value, &path)?),
            "in" => Comparison::In(list(value, &path)?),
            _ => Comparison::NotIn(list(value, &path)?),
        };
        Ok(Filter::Comparison { key, comparison })
    }
}

fn key(value: &Value, path: &str) -> Result<String, FilterError> {
    let Value::String(key) = value else {
        return Err(error(
            path,
            format!("expected a string, but got {} instead.", kind(value)),
        ));
    };
    if key.chars().count() > MAX_KEY {
        return Err(error(
            path,
            format!("string too long, keys have {MAX_KEY} characters at most."),
        ));
    }
    Ok(key.clone())
}

fn scalar(value: &Value, path: &str) -> Result<Scalar, FilterError> {
    match value {
        Value::Bool(value) => Ok(Scalar::Boolean(*value)),
        Value::String(_) | Value::Number(_) => ordered(value, path).map(Scalar::Ordered),
        other => Err(error(
            path,
            format!(
                "expected a string, a number or a boolean, but got {} instead.",
                kind(other)
            ),
        )),
    }
}

fn ordered(value: &Value, path: &str) -> Result<Ordered, FilterError> {
    match value {
        Value::String(text) if text.chars().count() > MAX_STRING => Err(error(
            path,
            format!("string too long, values have {MAX_STRING} characters at most."),
        )),
        Value::String(text) => Ok(Ordered::Text(text.clone())),
        Value::Number(number) => match number.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(Ordered::Number(number)),
            None => Err(error(path, "the number is too large.".to_owned())),
        },
        other => Err(error(
            path,
            format!(
                "expected a string or a number, but got {} instead.",
                kind(other)
            ),
        )),
    }
}

fn list(value: &Value, path: &str) -> Result<Vec<Ordered>, FilterError> {
    let Value::Array(values) = value else {
        return Err(error(
            path,
            format!(
                "expected an array of strings and numbers, but got {} instead.",
                kind(value)
            ),
        ));
    };
    if values.len() > MAX_PARTS {
        return Err(error(
            path,
            format!("the array may have {MAX_PARTS} values at most."),
        ));
    }
    values
        .iter()
        .enumerate()
        .map(|(number, value)| ordered(value, &format!("{path}[{number}]")))
        .collect()
}

fn required<'value>(
    fields: &'value Map<String, Value>,
    name: &str,
    path: &str,
) -> Result<&'value Value, FilterError> {
    fields.get(name).ok_or_else(|| {
        error(
            &format!("{path}.{name}"),
            "this field is required.".to_owned(),
        )
    })
}

fn only(fields: &Map<String, Value>, known: &[&str], path: &str) -> Result<(), FilterError> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(error(
            &format!("{path}.{name}"),
            format!("unknown field, must be one of {}.", quoted(known)),
        )),
        None => Ok(()),
    }
}

fn types() -> String {
    format!("{}, 'and', 'or'", quoted(&COMPARISONS))
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    names.join(", ")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn error(path: &str, problem: String) -> FilterError {
    FilterError {
        path: path.to_owned(),
        problem,
    }
}
