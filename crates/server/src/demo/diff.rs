//! What differs between two versions of an object, as lines to show.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// One line of a diff: a member that stayed, went, or came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Same(String),
    Removed(String),
    Added(String),
}

/// The members of two objects side by side, in the order of their names, the values aligned.
/// A member with a new value is one `Removed` and one `Added`.
pub(super) fn members(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<Line> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let width = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    for name in names {
        let text = |value: &Value| format!("{name:width$}  {value}");
        match (before.get(name), after.get(name)) {
            (Some(old), Some(new)) if old == new => lines.push(Line::Same(text(new))),
            (old, new) => {
                lines.extend(old.map(|value| Line::Removed(text(value))));
                lines.extend(new.map(|value| Line::Added(text(value))));
            }
        }
    }
    lines
}

/// The names of the members that differ, `except` left out.
pub(super) fn other_changes<'a>(
    before: &'a Map<String, Value>,
    after: &'a Map<String, Value>,
    except: &str,
) -> Vec<&'a str> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .map(String::as_str)
        .filter(|name| *name != except && before.get(*name) != after.get(*name))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(members) = value else {
            panic!("not an object")
        };
        members
    }

    #[test]
    fn members_that_stayed_changed_went_and_came() {
        let before = object(json!({"ticket": "4711", "reviewed": "no", "draft": "yes"}));
        let after = object(json!({"ticket": "4711", "reviewed": "yes", "reviewer": "Ada"}));
        assert_eq!(
            members(&before, &after),
            [
                Line::Removed("draft     \"yes\"".to_owned()),
                Line::Removed("reviewed  \"no\"".to_owned()),
                Line::Added("reviewed  \"yes\"".to_owned()),
                Line::Added("reviewer  \"Ada\"".to_owned()),
                Line::Same("ticket    \"4711\"".to_owned()),
            ]
        );
    }

    #[test]
    fn other_changes_name_every_difference_but_the_expected_one() {
        let before = object(json!({"id": "run_1", "status": "completed", "metadata": {}}));
        let after =
            object(json!({"id": "run_1", "status": "failed", "metadata": {"a": "b"}, "new": null}));
        assert_eq!(
            other_changes(&before, &after, "metadata"),
            ["new", "status"]
        );
        assert!(other_changes(&before, &before, "metadata").is_empty());
    }
}
