//! What a config and a virtual key change in the body of a model call: `default_params`,
//! `override_params`, `drop_params`, and the model's name.

use serde_json::{Map, Value};

use crate::{Target, config::Rules};

/// Whether a body has to be read for it. A model's alias counts only when it is this model's.
pub(crate) fn change_something(rules: &Rules, target: &Target, model: Option<&str>) -> bool {
    !rules.override_params.is_empty()
        || !rules.default_params.is_empty()
        || !rules.drop_params.is_empty()
        || model.is_some_and(|model| target.model(model) != model)
}

/// Applies them, in this order: defaults where nothing stands, overrides over what stands, drops;
/// then the model by its alias.
pub(crate) fn apply(
    body: &mut Map<String, Value>,
    rules: &Rules,
    target: &Target,
    model: Option<&str>,
) {
    for (name, value) in &rules.default_params {
        body.entry(name).or_insert_with(|| value.clone());
    }
    if let Some(model) = model {
        body.insert("model".to_owned(), model.into());
    }
    for (name, value) in &rules.override_params {
        body.insert(name.clone(), value.clone());
    }
    for name in &rules.drop_params {
        body.shift_remove(name);
    }
    if let Some(Value::String(asked)) = body.get("model") {
        let model = target.model(asked).to_owned();
        body.insert("model".to_owned(), model.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Provider;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn defaults_give_way_overrides_do_not_and_drops_come_last() {
        let mut target = Target::new("main", "openai", Provider::Echo);
        target.model_aliases = [("gpt-4".to_owned(), "gpt-4o".to_owned())].into();
        let rules = Rules {
            default_params: object(json!({"temperature": 0, "top_p": 1})),
            override_params: object(json!({"max_tokens": 5, "seed": 1})),
            drop_params: vec!["seed".to_owned(), "user".to_owned()],
            ..Rules::default()
        };
        assert!(change_something(&rules, &target, None));
        let mut body =
            object(json!({"model": "gpt-4", "top_p": 0.5, "max_tokens": 9, "user": "u"}));
        apply(&mut body, &rules, &target, Some("gpt-4"));
        assert_eq!(
            Value::Object(body),
            json!({"model": "gpt-4o", "top_p": 0.5, "max_tokens": 5, "temperature": 0})
        );
    }

    #[test]
    fn a_body_is_left_alone_where_nothing_changes_it() {
        let mut target = Target::new("main", "openai", Provider::Echo);
        target.model_aliases = [("gpt-4".to_owned(), "gpt-4o".to_owned())].into();
        let rules = Rules::default();
        assert!(!change_something(&rules, &target, Some("gpt-4o")));
        assert!(change_something(&rules, &target, Some("gpt-4")));
    }
}
