//! The walk over a config's levels.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Branch, Invalid, Leaf, Node, Overrides, Rules, Strategy,
    fault::{Faults, join},
    reader::Reader,
    rules, strategy, target,
};

/// How deep targets nest.
const MOST_DEPTH: usize = 8;

/// How many targets a config has, those with targets of their own included.
const MOST_TARGETS: usize = 64;

/// So that sums of weights stay exact enough.
const MOST_WEIGHT: f64 = 1_000_000_000.0;

/// How many regular expressions a config has; each may take a quarter of a megabyte.
const MOST_PATTERNS: usize = 64;

/// What the walk has seen so far.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// What is wrong.
    pub(super) faults: Faults,
    targets: usize,
    patterns: usize,
}

/// Where a level stands.
struct At {
    /// `config.targets[0]`, for people and headers.
    path: Arc<str>,
    /// `targets,0`, for errors.
    place: String,
    depth: usize,
}

/// Reads a whole config.
pub(super) fn read(value: &Value, overrides: &Overrides) -> Result<Node, Invalid> {
    let mut walk = Walk::default();
    let top = At {
        path: "config".into(),
        place: String::new(),
        depth: 0,
    };
    let node = walk.level(value, top, &Rules::default(), overrides);
    match (walk.faults.into_invalid(), node) {
        (None, Some(node)) => Ok(node),
        (Some(invalid), _) => Err(invalid),
        (None, None) => Err(Invalid::text(Invalid::CONFIG)),
    }
}

impl Walk {
    /// A level without a node has left a fault.
    fn level(
        &mut self,
        value: &Value,
        at: At,
        inherited: &Rules,
        overrides: &Overrides,
    ) -> Option<Node> {
        let mut level = Reader::open(value, at.place.clone(), &mut self.faults)?;
        target::check(&mut level, &mut self.faults);
        // The hosted gateway writes the id of a saved config into it; it names nothing here.
        level.string("id", &mut self.faults);
        let name = level.name("name", &mut self.faults).map(str::to_owned);
        let weight = self.weight(&mut level);
        let strategy_place = level.at("strategy");
        let strategy = level
            .take("strategy")
            .map(|value| strategy::read(value, strategy_place.clone(), self));
        let mut rules = rules::read(&mut level, inherited, self);
        if let Some(Some((_, Some(breaker)))) = &strategy {
            rules.breaker = Some(breaker.clone());
        }
        if level.has("targets") {
            let targets = self.targets(&mut level, &at, &rules, overrides);
            target::refuse_all(level, &mut self.faults);
            let Some(strategy) = strategy else {
                self.faults.add(&strategy_place, "Required");
                return None;
            };
            let (targets, (strategy, _)) = (targets?, strategy?);
            strategy::check(&strategy, &targets, &at.place, &mut self.faults);
            return Some(Node::Branch(Branch {
                name,
                weight,
                path: at.path,
                strategy,
                targets,
                breaker: rules.breaker,
            }));
        }
        match strategy {
            // One target needs no list.
            None | Some(Some((Strategy::Single, _))) => {}
            Some(None) => return None,
            Some(Some(_)) => {
                self.faults.add(&level.at("targets"), "Required");
                return None;
            }
        }
        rules.apply(overrides);
        let destination = target::read(level, &mut rules.override_params, &mut self.faults);
        Some(Node::Leaf(Box::new(Leaf {
            name,
            weight,
            path: at.path,
            destination,
            rules,
        })))
    }

    fn weight(&mut self, level: &mut Reader<'_>) -> f64 {
        let weight = level.number("weight", &mut self.faults).unwrap_or(1.0);
        if !(0.0..=MOST_WEIGHT).contains(&weight) {
            let message = format!("must be from 0 to {MOST_WEIGHT}");
            self.faults.add(&level.at("weight"), message);
        }
        weight
    }

    fn targets(
        &mut self,
        level: &mut Reader<'_>,
        at: &At,
        rules: &Rules,
        overrides: &Overrides,
    ) -> Option<Vec<Node>> {
        let place = level.at("targets");
        let entries = level.array("targets", &mut self.faults)?;
        self.targets += entries.len();
        let refusal = if entries.is_empty() {
            Some("must have at least one target".to_owned())
        } else if self.targets > MOST_TARGETS {
            Some(format!("a config has at most {MOST_TARGETS} targets"))
        } else if at.depth >= MOST_DEPTH {
            Some(format!("targets nest at most {MOST_DEPTH} deep"))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.faults.add(&place, refusal);
            return None;
        }
        // All are read, so that all faults are told.
        let nodes: Vec<_> = entries
            .iter()
            .enumerate()
            .map(|(index, entry)| {
                let at = At {
                    path: format!("{}.targets[{index}]", at.path).into(),
                    place: join(&place, index),
                    depth: at.depth + 1,
                };
                self.level(entry, at, rules, overrides)
            })
            .collect();
        nodes.into_iter().collect()
    }

    /// Counts the regular expressions in a part of a config before any is compiled.
    pub(super) fn has_room_for_patterns(&mut self, value: &Value, place: &str) -> bool {
        self.patterns += patterns(value);
        let room = self.patterns <= MOST_PATTERNS;
        if !room {
            let message = format!("a config has at most {MOST_PATTERNS} regular expressions");
            self.faults.add(place, message);
        }
        room
    }
}

/// Regular expressions of queries, of guardrails, and of the JSON schemas in them. May count too
/// many, never too few.
fn patterns(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(patterns).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| {
                let own = match (key.as_str(), value) {
                    ("$regex" | "rule" | "pattern", Value::String(_)) => 1,
                    ("patternProperties", Value::Object(properties)) => properties.len(),
                    _ => 0,
                };
                own + patterns(value)
            })
            .sum(),
        _ => 0,
    }
}
