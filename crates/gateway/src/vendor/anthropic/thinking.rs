//! How hard Claude is told to think.

use serde_json::{Map, Value, json};

use super::model::{Model, Thinking};
use crate::vendor::{
    Unsupported,
    fields::{self, Effort},
};

/// The least token budget.
const LEAST_BUDGET: u64 = 1_024;

/// What the choice depends on besides the effort.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    pub(super) model: Model,
    pub(super) max_tokens: u64,
    /// A tool must be called.
    pub(super) forced: bool,
    /// A tool has just answered, and the thoughts that led to it are gone.
    pub(super) after_output: bool,
}

/// What is said.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    /// `thinking`.
    pub(super) thinking: Option<Value>,
    /// `output_config.effort`.
    pub(super) effort: Option<&'static str>,
}

/// Converts `reasoning_effort`; a `thinking` of the caller's own wins over it.
pub(super) fn said(body: &Map<String, Value>, situation: Situation) -> Result<Said, Unsupported> {
    if let Some(own) = fields::present(body, "thinking") {
        return Ok(Said {
            thinking: Some(own.clone()),
            effort: None,
        });
    }
    let Some(effort) = fields::effort(body)? else {
        return Ok(Said::default());
    };
    Ok(match situation.model.thinking() {
        Thinking::Never if matches!(effort, Effort::None | Effort::Minimal) => Said::default(),
        Thinking::Never => {
            let message = "'reasoning_effort' cannot be said to a model that does not reason.";
            return Err(Unsupported::new("reasoning_effort", message));
        }
        Thinking::Budget => Said {
            thinking: budget(effort, situation),
            effort: None,
        },
        Thinking::Adaptive => adaptive(effort, situation),
    })
}

fn budget(effort: Effort, situation: Situation) -> Option<Value> {
    let wanted = match effort {
        Effort::None => return None,
        Effort::Minimal | Effort::Low => LEAST_BUDGET,
        Effort::Medium => 8_192,
        Effort::High | Effort::Xhigh | Effort::Max => 24_576,
    };
    let budget = wanted.min(situation.max_tokens / 2);
    let is_possible = budget >= LEAST_BUDGET && !situation.forced && !situation.after_output;
    is_possible.then(|| json!({"type": "enabled", "budget_tokens": budget}))
}

fn adaptive(effort: Effort, situation: Situation) -> Said {
    let model = situation.model;
    let word = match effort {
        // Off already; not every model can be told so.
        Effort::None if !model.thinks_by_itself() => return Said::default(),
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::Xhigh if model.has_xhigh() => "xhigh",
        Effort::High | Effort::Xhigh => "high",
        Effort::Max => "max",
    };
    let thinks = effort != Effort::None && !situation.forced;
    Said {
        thinking: thinks.then(|| json!({"type": "adaptive"})),
        effort: Some(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(effort: &str, model: &str, max_tokens: u64, forced: bool, after_output: bool) -> Said {
        let body = json!({"reasoning_effort": effort});
        let situation = Situation {
            model: Model::named(model),
            max_tokens,
            forced,
            after_output,
        };
        said(body.as_object().unwrap(), situation).unwrap()
    }

    #[test]
    fn budgets_leave_half_of_the_answer_to_the_answer() {
        let budget = |effort, max_tokens, forced, after_output| {
            let said = asked(effort, "claude-haiku-4-5", max_tokens, forced, after_output);
            assert_eq!(said.effort, None);
            said.thinking
                .map(|thinking| thinking["budget_tokens"].as_u64().unwrap())
        };
        assert_eq!(budget("high", 64_000, false, false), Some(24_576));
        assert_eq!(budget("max", 8_000, false, false), Some(4_000));
        assert_eq!(budget("low", 2_048, false, false), Some(1_024));
        assert_eq!(budget("low", 2_047, false, false), None);
        assert_eq!(budget("none", 64_000, false, false), None);
        assert_eq!(budget("high", 64_000, true, false), None);
        assert_eq!(budget("high", 64_000, false, true), None);
    }

    #[test]
    fn newer_models_are_told_an_effort() {
        let adaptive = || Some(json!({"type": "adaptive"}));
        let row = |effort, model, forced| {
            let said = asked(effort, model, 100, forced, true);
            (said.effort, said.thinking)
        };
        assert_eq!(
            row("medium", "claude-opus-4-6", false),
            (Some("medium"), adaptive())
        );
        assert_eq!(
            row("xhigh", "claude-opus-4-6", false),
            (Some("high"), adaptive())
        );
        assert_eq!(
            row("xhigh", "claude-opus-4-7", false),
            (Some("xhigh"), adaptive())
        );
        assert_eq!(row("max", "claude-opus-5", true), (Some("max"), None));
        assert_eq!(row("none", "claude-opus-4-8", false), (None, None));
        assert_eq!(row("none", "claude-sonnet-5", false), (Some("low"), None));
    }
}
