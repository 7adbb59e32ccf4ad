//! Checks of what is in a list: words, keys, models, kinds of requests.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    super::{Subject, check::Operator},
    verdict::{Found, excerpt, judged, without_excerpt},
};

pub(super) fn words(words: &[String], operator: Operator, text: &str) -> Found {
    let (found, missing) = split(words, |word| text.contains(word));
    let verdict = operator.holds(&found, &missing);
    let data = json!({
        "explanation": explain(verdict, operator, "words"),
        "foundWords": found,
        "missingWords": missing,
        "operator": operator.name(),
    });
    (verdict, data)
}

pub(super) fn model(models: &[String], not: bool, subject: &Subject<'_>) -> Result<Found, String> {
    let model = subject.model.or_else(|| subject.body["model"].as_str());
    let model = model.ok_or("Missing model in request")?;
    let holds = models.iter().any(|allowed| allowed == model);
    let data = json!({"requestedModel": excerpt(model), "allowedModels": models});
    let sentences = ["The model is in the list", "The model is not in the list"];
    let (verdict, mut data) = judged(holds, not, sentences, data, "");
    without_excerpt(&mut data);
    Ok((verdict, data))
}

pub(super) fn metadata_keys(
    keys: &[String],
    operator: Operator,
    metadata: &BTreeMap<String, String>,
) -> Found {
    let (found, missing) = split(keys, |key| metadata.contains_key(key));
    let verdict = operator.holds(&found, &missing);
    let data = json!({
        "explanation": explain(verdict, operator, "metadata keys"),
        "missing_metadata_keys": missing,
        "found_metadata_keys": found,
        "operator": operator.name(),
    });
    (verdict, data)
}

pub(super) fn request_type(allowed: &[String], blocked: &[String], endpoint: &str) -> Found {
    let has = |list: &[String]| list.iter().any(|name| name == endpoint);
    let verdict = !has(blocked) && (allowed.is_empty() || has(allowed));
    let mode = match (allowed.is_empty(), blocked.is_empty()) {
        (false, false) => "combined",
        (false, true) => "allowlist",
        (true, _) => "blocklist",
    };
    let explanation = if verdict {
        "This type of request is allowed."
    } else {
        "This type of request is not allowed."
    };
    let data = json!({
        "currentRequestType": endpoint,
        "allowedTypes": allowed,
        "blockedTypes": blocked,
        "verdict": verdict,
        "explanation": explanation,
        "source": "parameters",
        "mode": mode,
    });
    (verdict, data)
}

/// The names that are there, and those that are not.
pub(super) fn split(names: &[String], has: impl Fn(&str) -> bool) -> (Vec<&String>, Vec<&String>) {
    names.iter().partition(|name| has(name))
}

pub(super) fn explain(verdict: bool, operator: Operator, what: &str) -> String {
    let wanted = match operator {
        Operator::Any => "at least one",
        Operator::All => "all",
        Operator::None => "none",
    };
    let outcome = if verdict {
        "are there"
    } else {
        "are not as asked"
    };
    format!("Of the {what}, {wanted} must be there: they {outcome}.")
}

impl Operator {
    pub(super) fn holds<T>(self, found: &[T], missing: &[T]) -> bool {
        match self {
            Self::Any => !found.is_empty(),
            Self::All => missing.is_empty(),
            Self::None => found.is_empty(),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::All => "all",
            Self::None => "none",
        }
    }
}
