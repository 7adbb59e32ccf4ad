//! One check, as it was read.

use regex::Regex;
use serde_json::{Map, Value};

use super::{parameters::Parameters, schema::Schema};

/// A check of a guardrail.
#[derive(Debug, Clone)]
pub struct Check {
    /// Its name: `default.contains`.
    pub id: String,
    /// Whether it fails, instead of being passed over, when it can not be made.
    pub fail_on_error: bool,
    /// Whether it is made at all.
    pub enabled: bool,
    pub(super) kind: Kind,
}

/// What is asked of the text. `not` turns the answer round.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    RegexMatch {
        rule: Regex,
        not: bool,
    },
    Count {
        unit: Unit,
        least: u64,
        most: u64,
        not: bool,
    },
    Contains {
        words: Vec<String>,
        operator: Operator,
    },
    JsonSchema {
        schema: Schema,
        not: bool,
    },
    JsonKeys {
        keys: Vec<String>,
        operator: Operator,
    },
    ValidUrls {
        not: bool,
    },
    Case {
        case: Case,
        not: bool,
    },
    EndsWith {
        suffix: String,
        not: bool,
    },
    ContainsCode {
        format: String,
        not: bool,
    },
    ModelWhitelist {
        models: Vec<String>,
        not: bool,
    },
    RequiredMetadataKeys {
        keys: Vec<String>,
        operator: Operator,
    },
    AllowedRequestTypes {
        allowed: Vec<String>,
        blocked: Vec<String>,
    },
    NotNull {
        not: bool,
    },
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Sentences,
    Words,
    Characters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Lower,
}

/// How many of a list must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Any,
    All,
    None,
}

/// An id without a plugin means the plugin `default`.
pub(super) fn full_id(id: &str) -> String {
    if id.contains('.') {
        id.to_owned()
    } else {
        format!("default.{id}")
    }
}

impl Check {
    /// Whether its verdict depends on the request's metadata.
    pub(super) fn looks_at_metadata(&self) -> bool {
        matches!(self.kind, Kind::RequiredMetadataKeys { .. })
    }

    /// Reads a check by its full id.
    pub(super) fn parse(
        id: &str,
        parameters: &Map<String, Value>,
        enabled: Option<&Value>,
    ) -> Result<Self, String> {
        let Some(name) = id.strip_prefix("default.") else {
            return Err(format!(
                "the check '{id:.64}' does not exist in this gateway: it has those of the plugin \
                 'default' that need no network"
            ));
        };
        let enabled = match enabled {
            None => true,
            Some(Value::Bool(enabled)) => *enabled,
            Some(_) => return Err(format!("{id}: 'is_enabled' must be true or false")),
        };
        let mut parameters = Parameters::open(id, parameters);
        let fail_on_error = parameters.flag("failOnError")?;
        let kind = kind(name, &mut parameters)?;
        parameters.finish()?;
        Ok(Self {
            id: id.to_owned(),
            fail_on_error,
            enabled,
            kind,
        })
    }
}

fn kind(name: &str, parameters: &mut Parameters<'_>) -> Result<Kind, String> {
    Ok(match name {
        "regexMatch" => Kind::RegexMatch {
            rule: parameters.pattern("rule")?,
            not: parameters.negated()?,
        },
        "sentenceCount" => count(Unit::Sentences, "Sentences", parameters)?,
        "wordCount" => count(Unit::Words, "Words", parameters)?,
        "characterCount" => count(Unit::Characters, "Characters", parameters)?,
        "contains" => Kind::Contains {
            words: parameters.texts("words")?,
            operator: parameters.operator()?,
        },
        "jsonSchema" => Kind::JsonSchema {
            schema: match parameters.take("schema") {
                Some(schema) => Schema::parse(schema).map_err(|error| parameters.error(error))?,
                None => return Err(parameters.error("'schema' must be an object")),
            },
            not: parameters.negated()?,
        },
        "jsonKeys" => Kind::JsonKeys {
            keys: parameters.texts("keys")?,
            operator: parameters.operator()?,
        },
        "validUrls" => {
            if parameters.flag("onlyDNS")? {
                return Err(parameters.error(
                    "'onlyDNS' needs the network, which checks of this gateway do not use",
                ));
            }
            Kind::ValidUrls {
                not: parameters.negated()?,
            }
        }
        "alluppercase" => Kind::Case {
            case: Case::Upper,
            not: parameters.negated()?,
        },
        "alllowercase" => Kind::Case {
            case: Case::Lower,
            not: parameters.negated()?,
        },
        "endsWith" => Kind::EndsWith {
            suffix: parameters.text("suffix")?,
            not: parameters.negated()?,
        },
        "containsCode" => Kind::ContainsCode {
            format: parameters.text("format")?,
            not: parameters.negated()?,
        },
        "modelwhitelist" | "modelWhitelist" => Kind::ModelWhitelist {
            models: parameters.texts("models")?,
            not: parameters.negated()?,
        },
        "requiredMetadataKeys" => Kind::RequiredMetadataKeys {
            keys: parameters.texts("metadataKeys")?,
            operator: parameters.operator()?,
        },
        "allowedRequestTypes" => request_types(parameters)?,
        "notNull" => Kind::NotNull {
            not: parameters.negated()?,
        },
        _ => return Err(parameters.error("this check does not exist in this gateway")),
    })
}

fn count(unit: Unit, name: &str, parameters: &mut Parameters<'_>) -> Result<Kind, String> {
    let least = parameters.count(&format!("min{name}"))?;
    let most = parameters.count(&format!("max{name}"))?;
    if least.is_none() && most.is_none() {
        return Err(parameters.error(format!("needs 'min{name}' or 'max{name}'")));
    }
    let (least, most) = (least.unwrap_or(0), most.unwrap_or(u64::MAX));
    if least > most {
        return Err(parameters.error(format!("'min{name}' is more than 'max{name}'")));
    }
    Ok(Kind::Count {
        unit,
        least,
        most,
        not: parameters.negated()?,
    })
}

fn request_types(parameters: &mut Parameters<'_>) -> Result<Kind, String> {
    let allowed = parameters.listed("allowedTypes")?;
    let blocked = parameters.listed("blockedTypes")?;
    if let Some(both) = allowed.iter().find(|name| blocked.contains(name)) {
        return Err(parameters.error(format!(
            "'{both:.64}' is in both 'allowedTypes' and 'blockedTypes'"
        )));
    }
    if allowed.is_empty() && blocked.is_empty() {
        return Err(parameters.error("needs 'allowedTypes' or 'blockedTypes'"));
    }
    Ok(Kind::AllowedRequestTypes { allowed, blocked })
}
