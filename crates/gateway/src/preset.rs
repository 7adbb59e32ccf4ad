//! Providers that are known by name: what a virtual key need not say of them.

/// How a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// OpenAI's API.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Gemini.
    Google,
    /// OpenAI's API behind Azure's addresses.
    AzureOpenAi,
    /// The built-in model.
    Echo,
}

/// One provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name here.
    pub name: &'static str,
    /// Other names, among them Portkey's where it differs.
    pub aliases: &'static [&'static str],
    /// What its server speaks.
    pub speaks: Speaks,
    /// `None` where the operator has to say (Azure), or where there is none (echo).
    pub base_url: Option<&'static str>,
    /// Whether it refuses a call without a key.
    pub needs_key: bool,
    /// The header of the key, and what stands before the key in it.
    pub key_header: (&'static str, &'static str),
}

const BEARER: (&str, &str) = ("authorization", "Bearer ");

const fn compatible(
    name: &'static str,
    aliases: &'static [&'static str],
    base_url: &'static str,
    needs_key: bool,
) -> Preset {
    Preset {
        name,
        aliases,
        speaks: Speaks::OpenAi,
        base_url: Some(base_url),
        needs_key,
        key_header: BEARER,
    }
}

/// All of them.
pub static PRESETS: &[Preset] = &[
    compatible("openai", &[], "https://api.openai.com/v1", true),
    compatible("ollama", &[], "http://127.0.0.1:11434/v1", false),
    compatible("vllm", &[], "http://127.0.0.1:8000/v1", false),
    compatible(
        "llama.cpp",
        &["llamacpp", "llama-cpp"],
        "http://127.0.0.1:8080/v1",
        false,
    ),
    compatible("openrouter", &[], "https://openrouter.ai/api/v1", true),
    compatible("groq", &[], "https://api.groq.com/openai/v1", true),
    compatible(
        "mistral",
        &["mistral-ai"],
        "https://api.mistral.ai/v1",
        true,
    ),
    compatible("deepseek", &[], "https://api.deepseek.com/v1", true),
    compatible(
        "together",
        &["together-ai"],
        "https://api.together.xyz/v1",
        true,
    ),
    Preset {
        name: "anthropic",
        aliases: &[],
        speaks: Speaks::Anthropic,
        base_url: Some("https://api.anthropic.com/v1"),
        needs_key: true,
        key_header: ("x-api-key", ""),
    },
    Preset {
        name: "google",
        aliases: &["gemini"],
        speaks: Speaks::Google,
        base_url: Some("https://generativelanguage.googleapis.com/v1beta"),
        needs_key: true,
        key_header: ("x-goog-api-key", ""),
    },
    Preset {
        name: "azure-openai",
        aliases: &["azure"],
        speaks: Speaks::AzureOpenAi,
        base_url: None,
        needs_key: true,
        key_header: ("api-key", ""),
    },
    Preset {
        name: "echo",
        aliases: &[],
        speaks: Speaks::Echo,
        base_url: None,
        needs_key: false,
        key_header: BEARER,
    },
];

/// The provider of this name or alias; upper and lower case are the same.
pub fn preset(name: &str) -> Option<&'static Preset> {
    let is_it = |known: &&str| known.eq_ignore_ascii_case(name);
    PRESETS
        .iter()
        .find(|preset| is_it(&preset.name) || preset.aliases.iter().any(is_it))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use url::Url;

    use super::*;

    #[test]
    fn names_and_aliases_find_their_preset() {
        for (name, expected) in [
            ("openai", "openai"),
            ("Mistral-AI", "mistral"),
            ("together-ai", "together"),
            ("azure-openai", "azure-openai"),
            ("llama.cpp", "llama.cpp"),
        ] {
            assert_eq!(preset(name).unwrap().name, expected);
        }
        assert_eq!(preset("nobody"), None);
        assert_eq!(preset(""), None);
    }

    #[test]
    fn no_name_is_used_twice_and_every_address_can_be_appended_to() {
        let names: Vec<_> = PRESETS
            .iter()
            .flat_map(|preset| preset.aliases.iter().chain([&preset.name]))
            .collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        for preset in PRESETS {
            if let Some(base_url) = preset.base_url {
                let url = Url::parse(base_url).unwrap();
                assert!(!url.path().ends_with('/') && url.query().is_none());
                let is_local = url.host_str() == Some("127.0.0.1");
                assert_eq!(is_local, !preset.needs_key, "{}", preset.name);
            }
        }
    }
}
