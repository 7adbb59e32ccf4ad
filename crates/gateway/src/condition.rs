//! The conditional strategy: which target's name a request's facts lead to.
//!
//! A query is read once, its regular expressions compiled; matching neither fails nor allocates
//! much. Source: `contract/portkey.md` sections 4.1 and 4.2. Three things differ from the original
//! on purpose: `$and`, `$or` and `$regex` are joined with what stands beside them like every other
//! key (there the rest was forgotten), `params.a.b.c` goes as deep as it says (there two parts
//! were used), and a key or an operator that means nothing is an error.

use std::{borrow::Cow, collections::BTreeMap};

use regex::Regex;
use serde_json::{Map, Value};

use crate::pattern;

/// How deep `$and` and `$or` nest.
const MOST_DEPTH: usize = 16;

/// How many tests one query has.
const MOST_TESTS: usize = 256;

/// A query that was read: all its clauses must hold. One without a clause always holds.
#[derive(Debug, Clone)]
pub struct Condition(Vec<Clause>);

/// What a query asks about.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The request's metadata.
    pub metadata: &'a BTreeMap<String, String>,
    /// The request's JSON body; `null` where there is none.
    pub params: &'a Value,
    /// The path of the request's address: `/v1/chat/completions`.
    pub path: &'a str,
}

#[derive(Debug, Clone)]
enum Clause {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Fact(Key, Vec<Test>),
}

#[derive(Debug, Clone)]
enum Key {
    Metadata(String),
    Param(String),
    Path,
}

#[derive(Debug, Clone)]
enum Test {
    Equal(Value),
    Different(Value),
    Greater(f64),
    GreaterOrEqual(f64),
    Less(f64),
    LessOrEqual(f64),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Matches(Regex),
}

/// The name that the first condition that holds leads to, else the default.
pub fn resolve<'c>(
    conditions: &'c [(Condition, String)],
    default: Option<&'c str>,
    facts: &Facts<'_>,
) -> Option<&'c str> {
    conditions
        .iter()
        .find(|(condition, _)| condition.matches(facts))
        .map(|(_, then)| then.as_str())
        .or(default)
}

impl Condition {
    /// Reads a query: `{"metadata.plan": "paid", "params.max_tokens": {"$gt": 100}}`.
    ///
    /// Keys are `metadata.NAME` (the whole rest is the name), `params.NAME.NAME...` (a number is
    /// an index of an array) and `url.pathname`; several keys must all hold. A value that is no
    /// object means `$eq`. The error is a sentence for the caller.
    pub fn parse(query: &Value) -> Result<Self, String> {
        read(query, 0, &mut 0)
    }

    /// Whether the facts are as the query says.
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        self.0.iter().all(|clause| match clause {
            Clause::All(parts) => parts.iter().all(|part| part.matches(facts)),
            Clause::Any(parts) => parts.iter().any(|part| part.matches(facts)),
            Clause::Fact(key, tests) => {
                let fact = key.fact(facts);
                tests.iter().all(|test| test.holds(fact))
            }
        })
    }
}

fn read(query: &Value, depth: usize, tests: &mut usize) -> Result<Condition, String> {
    let Value::Object(query) = query else {
        return Err("a query must be an object".to_owned());
    };
    if depth > MOST_DEPTH {
        return Err(format!("a query nests at most {MOST_DEPTH} deep"));
    }
    let mut clauses = Vec::with_capacity(query.len());
    for (key, value) in query {
        clauses.push(match key.as_str() {
            "$and" => Clause::All(parts(key, value, depth, tests)?),
            "$or" => Clause::Any(parts(key, value, depth, tests)?),
            _ => Clause::Fact(Key::parse(key)?, read_tests(value, tests)?),
        });
    }
    Ok(Condition(clauses))
}

fn parts(
    key: &str,
    value: &Value,
    depth: usize,
    tests: &mut usize,
) -> Result<Vec<Condition>, String> {
    match value {
        Value::Array(parts) if !parts.is_empty() => parts
            .iter()
            .map(|part| read(part, depth + 1, tests))
            .collect(),
        _ => Err(format!("'{key}' must be an array of at least one query")),
    }
}

fn read_tests(value: &Value, count: &mut usize) -> Result<Vec<Test>, String> {
    let tests = match value {
        Value::Object(operators) if operators.is_empty() => {
            Err("a test needs an operator, such as '$eq'".to_owned())
        }
        Value::Object(operators) => read_operators(operators),
        plain => Ok(vec![Test::Equal(plain.clone())]),
    }?;
    *count += tests.len();
    if *count > MOST_TESTS {
        return Err(format!("a query has at most {MOST_TESTS} tests"));
    }
    Ok(tests)
}

fn read_operators(operators: &Map<String, Value>) -> Result<Vec<Test>, String> {
    operators
        .iter()
        .map(|(operator, value)| {
            Ok(match operator.as_str() {
                "$eq" => Test::Equal(value.clone()),
                "$ne" => Test::Different(value.clone()),
                "$gt" => Test::Greater(limit(operator, value)?),
                "$gte" => Test::GreaterOrEqual(limit(operator, value)?),
                "$lt" => Test::Less(limit(operator, value)?),
                "$lte" => Test::LessOrEqual(limit(operator, value)?),
                "$in" => Test::In(list(operator, value)?),
                "$nin" => Test::NotIn(list(operator, value)?),
                "$regex" => match value {
                    Value::String(text) => Test::Matches(pattern::compile(text)?),
                    _ => return Err("'$regex' must be a string".to_owned()),
                },
                other => {
                    return Err(format!(
                        "Unsupported operator used in the query router: {other:.64}"
                    ));
                }
            })
        })
        .collect()
}

fn limit(operator: &str, value: &Value) -> Result<f64, String> {
    number(Fact::Json(value)).ok_or_else(|| format!("'{operator}' must be a number"))
}

fn list(operator: &str, value: &Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(values) => Ok(values.clone()),
        _ => Err(format!("'{operator}' must be an array")),
    }
}

impl Key {
    fn parse(key: &str) -> Result<Self, String> {
        match key.split_once('.') {
            Some(("metadata", name)) if !name.is_empty() => Ok(Self::Metadata(name.to_owned())),
            Some(("params", name)) if !name.is_empty() => Ok(Self::Param(name.to_owned())),
            Some(("url", "pathname")) => Ok(Self::Path),
            _ => Err(format!(
                "'{key:.64}' can not be asked about: a query knows metadata.NAME, params.NAME and \
                 url.pathname"
            )),
        }
    }

    fn fact<'a>(&self, facts: &Facts<'a>) -> Fact<'a> {
        match self {
            Self::Metadata(name) => match facts.metadata.get(name) {
                Some(text) => Fact::Text(text),
                None => Fact::None,
            },
            Self::Param(name) => param(facts.params, name).map_or(Fact::None, Fact::Json),
            Self::Path => Fact::Text(facts.path),
        }
    }
}

fn param<'a>(params: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(params, |value, part| match value {
        Value::Object(fields) => fields.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// What is known. Metadata are texts, so numbers and booleans of a query are compared with them
/// as texts; JSON keeps its types.
#[derive(Clone, Copy)]
enum Fact<'a> {
    None,
    Text(&'a str),
    Json(&'a Value),
}

impl<'a> Fact<'a> {
    /// A missing fact equals `null`.
    fn equals(self, value: &Value) -> bool {
        match (self, value) {
            (Self::None, value) => value.is_null(),
            (Self::Text(text), Value::Number(number)) => number.to_string() == text,
            (Self::Text(text), Value::Bool(flag)) => flag.to_string() == text,
            (Self::Text(text), value) => value == text,
            (Self::Json(Value::Number(one)), Value::Number(other)) => {
                one == other || one.as_f64() == other.as_f64()
            }
            (Self::Json(fact), value) => fact == value,
        }
    }

    fn is_one_of(self, values: &[Value]) -> bool {
        values.iter().any(|value| self.equals(value))
    }

    /// The text that a regular expression sees; nothing that is no scalar has one.
    fn as_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Json(Value::String(text)) => Some(Cow::Borrowed(text)),
            Self::Json(value @ (Value::Number(_) | Value::Bool(_))) => {
                Some(Cow::Owned(value.to_string()))
            }
            Self::None | Self::Json(_) => None,
        }
    }
}

/// Numbers, and texts that are one.
fn number(fact: Fact<'_>) -> Option<f64> {
    match fact {
        Fact::Json(Value::Number(number)) => number.as_f64(),
        other => other.as_text().and_then(|text| text.trim().parse().ok()),
    }
    .filter(|number: &f64| number.is_finite())
}

impl Test {
    fn holds(&self, fact: Fact<'_>) -> bool {
        let compared = |holds: fn(&f64, &f64) -> bool, limit: &f64| {
            number(fact).is_some_and(|fact| holds(&fact, limit))
        };
        match self {
            Self::Equal(value) => fact.equals(value),
            Self::Different(value) => !fact.equals(value),
            Self::Greater(limit) => compared(f64::gt, limit),
            Self::GreaterOrEqual(limit) => compared(f64::ge, limit),
            Self::Less(limit) => compared(f64::lt, limit),
            Self::LessOrEqual(limit) => compared(f64::le, limit),
            Self::In(values) => fact.is_one_of(values),
            Self::NotIn(values) => !fact.is_one_of(values),
            Self::Matches(pattern) => fact
                .as_text()
                .is_some_and(|text| pattern.is_match(text.as_ref())),
        }
    }
}

#[cfg(test)]
mod tests;
