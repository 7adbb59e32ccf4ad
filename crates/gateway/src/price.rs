//! What a call costs: list prices of models, built in (`prices.toml`) and overridden by the operator.
//!
//! What it is: a look-up by provider and model, and the sum. What it is not: a bill. The head of
//! `prices.toml` says what is left out.
//!
//! Invariant: a model that is not in the table has no cost, which is not the same as costing
//! nothing.

use foldhash::HashMap;
use loomgate_domain::{Usage, limit::Nanodollars};
use serde::Deserialize;

const BUILT_IN: &str = include_str!("prices.toml");

/// Picodollars for a token, in a US dollar for a million tokens.
const PICODOLLARS: f64 = 1e6;
/// US dollars for a million tokens; more is a mistake.
const MOST: f64 = 1e6;

/// Servers of one's own: the maker of their models is not paid.
const LOCAL: [&str; 6] = [
    "ollama",
    "vllm",
    "llama.cpp",
    "triton",
    "lmstudio",
    "localai",
];

/// Prices by provider and model.
#[derive(Debug, Clone, Default)]
pub struct PriceTable {
    providers: HashMap<Box<str>, HashMap<Box<str>, Price>>,
}

/// The price of one model, as the operator gives it: US dollars for a million tokens.
#[derive(Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PriceEntry {
    /// The provider's name: `openai`, `azure-openai`.
    pub provider: String,
    /// The model's name at the provider; it also stands for dated versions without an entry of
    /// their own.
    pub model: String,
    /// Of the prompt.
    pub input: f64,
    /// Of the part of the prompt that the provider had in its cache; that of `input` without it.
    pub cached_input: Option<f64>,
    /// Of the answer; embeddings have none.
    pub output: Option<f64>,
}

impl PriceEntry {
    /// Whether it makes sense; else what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let Self {
            provider, model, ..
        } = self;
        if provider.is_empty() || model.is_empty() {
            return Err("a price needs a provider and a model".to_owned());
        }
        let prices = [
            ("input", Some(self.input)),
            ("cached_input", self.cached_input),
            ("output", self.output),
        ];
        for (name, price) in prices {
            if price.is_some_and(|price| !(0.0..=MOST).contains(&price)) {
                return Err(format!(
                    "the price of {provider}/{model} has an {name} that is not between 0 and {MOST} \
                     US dollars for a million tokens"
                ));
            }
        }
        Ok(())
    }
}

/// Picodollars for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Price {
    input: u64,
    cached_input: Option<u64>,
    output: Option<u64>,
}

/// A row of the built-in list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    input: f64,
    cached_input: Option<f64>,
    output: Option<f64>,
}

impl PriceTable {
    /// The list that comes with the program.
    pub fn built_in() -> Self {
        match toml::from_str(BUILT_IN) {
            Ok(providers) => Self::of(providers),
            Err(error) => {
                // A test reads the list, so this is a broken build.
                tracing::error!(%error, "the built-in prices cannot be read");
                Self::default()
            }
        }
    }

    /// The same with the operator's prices, each of which replaces the one of just that provider
    /// and model. They have to be checked before ([`PriceEntry::check`]).
    #[must_use]
    pub fn with_overrides(mut self, overrides: Vec<PriceEntry>) -> Self {
        for entry in overrides {
            let price = Price::new(entry.input, entry.cached_input, entry.output);
            self.providers
                .entry(entry.provider.into())
                .or_default()
                .insert(entry.model.into(), price);
        }
        self
    }

    /// What a call costs, rounded up. `None`: nobody knows.
    ///
    /// Looked for are, in this order: the name; the name without a date or version at its end; the
    /// model that a fine-tuned one (`ft:...`) is made from; and, for names like `vendor/model` of
    /// those who sell other vendors' models, all of that at the vendor.
    pub fn cost(&self, provider: &str, model: &str, usage: &Usage) -> Option<Nanodollars> {
        self.find(provider, model).map(|price| price.cost(usage))
    }

    /// All prices, by provider and model.
    pub fn entries(&self) -> Vec<PriceEntry> {
        let mut entries = Vec::new();
        for (provider, models) in &self.providers {
            for (model, price) in models {
                entries.push(price.entry(provider, model));
            }
        }
        entries.sort_by(|one: &PriceEntry, other| {
            (&one.provider, &one.model).cmp(&(&other.provider, &other.model))
        });
        entries
    }

    fn of(providers: HashMap<String, HashMap<String, Row>>) -> Self {
        let price = |(model, row): (String, Row)| {
            let price = Price::new(row.input, row.cached_input, row.output);
            (model.into(), price)
        };
        let providers = providers.into_iter().map(|(provider, rows)| {
            let rows = rows.into_iter().map(price).collect();
            (provider.into(), rows)
        });
        Self {
            providers: providers.collect(),
        }
    }

    fn find(&self, provider: &str, model: &str) -> Option<&Price> {
        if let Some(price) = self.at(provider, model) {
            return Some(price);
        }
        let (vendor, name) = model.split_once('/')?;
        if vendor == "models" {
            // Google's own way to write a model's name.
            return self.at(provider, name);
        }
        if LOCAL.contains(&provider) {
            return None;
        }
        self.at(vendor, name)
    }

    /// At a provider under its own name, then at those whose models it sells at their price.
    fn at(&self, provider: &str, model: &str) -> Option<&Price> {
        let same: &[&str] = match provider {
            "azure-openai" | "azure" => &["openai"],
            "gemini" => &["google"],
            "vertex-ai" => &["google", "anthropic"],
            "mistral-ai" | "mistralai" => &["mistral"],
            _ => &[],
        };
        std::iter::once(&provider)
            .chain(same)
            .find_map(|provider| named(self.providers.get(*provider)?, model))
    }
}

impl Price {
    fn new(input: f64, cached_input: Option<f64>, output: Option<f64>) -> Self {
        Self {
            input: picodollars(input),
            cached_input: cached_input.map(picodollars),
            output: output.map(picodollars),
        }
    }

    fn cost(self, usage: &Usage) -> Nanodollars {
        let cached = usage.cached_tokens.min(usage.prompt_tokens);
        let parts = [
            (usage.prompt_tokens - cached, self.input),
            (cached, self.cached_input.unwrap_or(self.input)),
            (usage.completion_tokens, self.output.unwrap_or(0)),
        ];
        // Three products of two u64 may be too much for a u128.
        let picodollars = parts.iter().fold(0_u128, |sum, (tokens, price)| {
            sum.saturating_add(u128::from(*tokens) * u128::from(*price))
        });
        Nanodollars(u64::try_from(picodollars.div_ceil(1000)).unwrap_or(u64::MAX))
    }

    fn entry(self, provider: &str, model: &str) -> PriceEntry {
        PriceEntry {
            provider: provider.to_owned(),
            model: model.to_owned(),
            input: dollars(self.input),
            cached_input: self.cached_input.map(dollars),
            output: self.output.map(dollars),
        }
    }
}

/// The price of a model of one provider.
fn named<'prices>(
    prices: &'prices HashMap<Box<str>, Price>,
    model: &str,
) -> Option<&'prices Price> {
    let listed = |name: &str| {
        let undated = || prices.get(undated(name)?);
        prices.get(name).or_else(undated)
    };
    listed(model).or_else(|| listed(tuned_from(model)?))
}

/// The name without a date or a version at its end, if there is one.
fn undated(model: &str) -> Option<&str> {
    const ENDS: [&str; 5] = ["-0000-00-00", "-00000000", "@00000000", "-0000", "-000"];
    if let Some(name) = model.strip_suffix("-latest") {
        return Some(name);
    }
    ENDS.iter().find_map(|end| {
        let (name, rest) = model.split_at_checked(model.len().checked_sub(end.len())?)?;
        let same = |(byte, pattern): (u8, u8)| match pattern {
            b'0' => byte.is_ascii_digit(),
            _ => byte == pattern,
        };
        let is_end = rest.bytes().zip(end.bytes()).all(same);
        (is_end && !name.is_empty()).then_some(name)
    })
}

/// `ft:gpt-4o-mini-2024-07-18` of `ft:gpt-4o-mini-2024-07-18:my-org::id`.
fn tuned_from(model: &str) -> Option<&str> {
    let rest = model.strip_prefix("ft:")?;
    let (name, _) = rest.split_once(':')?;
    model.get(..name.len() + 3)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and prices are checked before"
)]
fn picodollars(dollars: f64) -> u64 {
    (dollars * PICODOLLARS).round() as u64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a price has far fewer digits than a float can hold"
)]
fn dollars(picodollars: u64) -> f64 {
    picodollars as f64 / PICODOLLARS
}

#[cfg(test)]
mod tests;
