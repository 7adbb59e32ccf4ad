//! Names of Gemini models: their place in the address, and how they are told to think.

use crate::vendor::Unsupported;

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    /// Not at all: before 2.5.
    Never,
    /// With a number of tokens: 2.5. The smallest there is; the bigger models cannot do without.
    Budget { least: u32 },
    /// With a level: from 3, which also want their thought signatures back.
    Level,
}

impl Thinking {
    /// Reads `gemini-2.5-flash`. A name without a version is taken for one of the newest, and one
    /// that is not Gemini's too.
    pub(super) fn of(model: &str) -> Self {
        let name = model.to_ascii_lowercase();
        let version = name
            .split_once("gemini-")
            .and_then(|(_, rest)| rest.split('-').next())
            .and_then(|version| version.parse::<f32>().ok());
        match version {
            Some(version) if version < 2.5 => Self::Never,
            Some(version) if version < 3.0 => Self::Budget {
                least: if name.contains("pro") { 128 } else { 0 },
            },
            _ => Self::Level,
        }
    }
}

/// The model's place in the address: `models/gemini-2.5-flash`. Names come from callers, so only
/// letters that mean nothing in an address are let through.
pub(super) fn resource(model: &str) -> Result<String, Unsupported> {
    let (folder, name) = model.split_once('/').unwrap_or(("models", model));
    let is_plain = |text: &str| {
        text.bytes()
            .all(|letter| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter))
            && text.bytes().any(|letter| letter != b'.')
    };
    if matches!(folder, "models" | "tunedModels") && is_plain(name) {
        return Ok(format!("{folder}/{name}"));
    }
    Err(Unsupported::new(
        "model",
        "'model' is no name of a Gemini model.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_decide_how_a_model_is_told_to_think() {
        for (name, expected) in [
            ("gemini-1.5-pro", Thinking::Never),
            ("gemini-2.0-flash-001", Thinking::Never),
            ("gemini-2.5-flash-lite", Thinking::Budget { least: 0 }),
            ("models/gemini-2.5-pro", Thinking::Budget { least: 128 }),
            ("gemini-3-pro-preview", Thinking::Level),
            ("gemini-3.8-flash", Thinking::Level),
            ("gemini-flash-latest", Thinking::Level),
            ("gemini-4-argon", Thinking::Level),
        ] {
            assert_eq!(Thinking::of(name), expected, "{name}");
        }
    }

    #[test]
    fn only_plain_names_get_into_the_address() {
        let plain = |name: &str| resource(name).ok();
        assert_eq!(
            plain("gemini-2.5-flash").unwrap(),
            "models/gemini-2.5-flash"
        );
        assert_eq!(plain("models/gemma-3").unwrap(), "models/gemma-3");
        assert_eq!(plain("tunedModels/mine_1").unwrap(), "tunedModels/mine_1");
        for hostile in [
            "",
            ".",
            "..",
            "models/..",
            "models/../x",
            "../x",
            "x?key=1",
            "x#",
            "a/b",
            "x:y",
            "x%2f",
            "x y",
            "modèle",
        ] {
            assert_eq!(plain(hostile), None, "{hostile}");
        }
    }
}
