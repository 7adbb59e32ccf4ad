//! The strategy of a level with targets.

use serde_json::Value;

use super::{
    BreakerRule, Node, Strategy,
    fault::{Faults, join},
    reader::{Reader, expected},
    rules,
    tree::Walk,
};
use crate::condition::Condition;

/// How many conditions a strategy has.
const MOST_CONDITIONS: usize = 128;

/// Reads the `strategy` of a level, and the circuit breaker that stands in it.
pub(super) fn read(
    value: &Value,
    place: String,
    walk: &mut Walk,
) -> Option<(Strategy, Option<BreakerRule>)> {
    let mut reader = Reader::open(value, place, &mut walk.faults)?;
    let breaker = rules::breaker(&mut reader, &mut walk.faults);
    let strategy = match reader.take("mode") {
        Some(Value::String(mode)) => match mode.as_str() {
            "single" => Some(Strategy::Single),
            "loadbalance" => Some(Strategy::LoadBalance),
            "fallback" => Some(Strategy::Fallback {
                on_status_codes: reader.status_codes("on_status_codes", &mut walk.faults),
            }),
            "conditional" => conditional(&mut reader, walk),
            _ => {
                let message = "Invalid 'mode' value. Must be one of: single, loadbalance, \
                               fallback, conditional";
                walk.faults.add(&reader.at("mode"), message);
                None
            }
        },
        Some(other) => {
            walk.faults
                .add(&reader.at("mode"), expected("string", other));
            None
        }
        None => {
            walk.faults.add(&reader.at("mode"), "Required");
            None
        }
    }?;
    for (field, mode) in [
        ("on_status_codes", "fallback"),
        ("conditions", "conditional"),
        ("default", "conditional"),
    ] {
        if reader.take(field).is_some() {
            let message = format!("means something in mode '{mode}' only");
            walk.faults.add(&reader.at(field), message);
        }
    }
    reader.finish(&mut walk.faults);
    Some((strategy, breaker))
}

fn conditional(reader: &mut Reader<'_>, walk: &mut Walk) -> Option<Strategy> {
    let place = reader.at("conditions");
    let default = reader.name("default", &mut walk.faults).map(str::to_owned);
    let entries = match reader.array("conditions", &mut walk.faults) {
        Some(entries) if !entries.is_empty() => entries,
        Some(_) | None => {
            walk.faults
                .add(&place, "No conditions passed in the query router");
            return None;
        }
    };
    if entries.len() > MOST_CONDITIONS {
        let message = format!("has at most {MOST_CONDITIONS} entries");
        walk.faults.add(&place, message);
        return None;
    }
    let mut conditions = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        conditions.extend(condition(entry, join(&place, index), walk));
    }
    Some(Strategy::Conditional {
        conditions,
        default,
    })
}

fn condition(entry: &Value, place: String, walk: &mut Walk) -> Option<(Condition, String)> {
    let mut reader = Reader::open(entry, place, &mut walk.faults)?;
    let place = reader.at("query");
    let query = match reader.take("query") {
        Some(query) if walk.has_room_for_patterns(query, &place) => Condition::parse(query)
            .map_err(|message| walk.faults.add(&place, message))
            .ok(),
        Some(_) => None,
        None => {
            walk.faults.add(&place, "Required");
            None
        }
    };
    if !reader.has("then") {
        walk.faults.add(&reader.at("then"), "Required");
    }
    let then = reader.name("then", &mut walk.faults);
    reader.finish(&mut walk.faults);
    Some((query?, then?.to_owned()))
}

/// Checks a strategy against the targets that it chooses among.
pub(super) fn check(strategy: &Strategy, targets: &[Node], place: &str, faults: &mut Faults) {
    match strategy {
        Strategy::Single | Strategy::Fallback { .. } => {}
        Strategy::LoadBalance => {
            if targets.iter().all(|target| target.weight() == 0.0) {
                let message = "a load balancer needs a target with a weight of more than 0";
                faults.add(&join(place, "targets"), message);
            }
        }
        Strategy::Conditional {
            conditions,
            default,
        } => {
            let names = conditions.iter().map(|(_, then)| then).chain(default);
            for name in names {
                if !targets.iter().any(|target| target.name() == Some(name)) {
                    faults.instead(format!(
                        "Invalid target name found in the query router: {name}"
                    ));
                }
            }
        }
    }
}
