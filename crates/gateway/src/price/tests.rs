use proptest::prelude::*;

use super::*;

fn usage(prompt_tokens: u64, cached_tokens: u64, completion_tokens: u64) -> Usage {
    Usage {
        prompt_tokens,
        completion_tokens,
        cached_tokens,
        reasoning_tokens: 0,
    }
}

fn entry(provider: &str, model: &str, input: f64) -> PriceEntry {
    PriceEntry {
        provider: provider.to_owned(),
        model: model.to_owned(),
        input,
        cached_input: None,
        output: Some(2.0),
    }
}

/// Nanodollars of a thousand prompt tokens: the input price in thousandths of a dollar for a
/// million tokens, times a thousand.
fn input(table: &PriceTable, provider: &str, model: &str) -> Option<u64> {
    let cost = table.cost(provider, model, &usage(1000, 0, 0));
    cost.map(|cost| cost.0)
}

#[test]
fn the_built_in_list_is_read_whole_and_makes_sense() {
    let entries = PriceTable::built_in().entries();
    let rows = BUILT_IN
        .lines()
        .filter(|line| line.contains("input ="))
        .count();
    assert_eq!(entries.len(), rows);
    assert!(rows > 150, "{rows}");
    for entry in &entries {
        assert_eq!(entry.check(), Ok(()), "{entry:?}");
        let cached = entry.cached_input.unwrap_or(entry.input);
        assert!(cached <= entry.input, "{entry:?}");
        assert!(
            entry.output.is_none_or(|output| output >= entry.input),
            "{entry:?}"
        );
    }
    let providers = [
        "openai",
        "anthropic",
        "google",
        "mistral",
        "deepseek",
        "groq",
        "echo",
    ];
    for provider in providers {
        assert!(
            entries.iter().any(|entry| entry.provider == provider),
            "{provider}"
        );
    }
}

#[test]
fn a_call_costs_its_prompt_its_cached_prompt_and_its_answer() {
    let table = PriceTable::built_in();
    let cost = |model: &str, usage: Usage| table.cost("openai", model, &usage).map(|it| it.0);
    // 600 * 2.5 + 400 * 1.25 + 100 * 10 dollars for a million.
    assert_eq!(cost("gpt-4o", usage(1000, 400, 100)), Some(3_000_000));
    // 0.15 and 0.6: a token of the prompt costs 150 nanodollars.
    assert_eq!(cost("gpt-4o-mini", usage(1, 0, 0)), Some(150));
    // Without a price of its own the cached part costs as much as the rest.
    assert_eq!(cost("gpt-4", usage(10, 10, 0)), Some(300_000));
    // More cached than sent is a provider's slip, not a discount.
    assert_eq!(cost("gpt-4o", usage(10, 99, 0)), Some(12_500));
    assert_eq!(cost("text-embedding-3-small", usage(1, 0, 0)), Some(20));
    // 37.5 nanodollars are 38.
    let cached = table.cost("groq", "openai/gpt-oss-20b", &usage(1, 1, 0));
    assert_eq!(cached, Some(Nanodollars(38)));
    assert_eq!(cost("gpt-4o", usage(u64::MAX, 0, u64::MAX)), Some(u64::MAX));
    let echo = table.cost("echo", "echo", &usage(5, 0, 5));
    assert_eq!(echo, Some(Nanodollars(0)));
}

#[test]
fn names_are_found_as_people_write_them() {
    let table = PriceTable::built_in();
    let found = [
        ("openai", "gpt-4o-2024-11-20", 2_500_000),
        // Listed by itself.
        ("openai", "gpt-4o-2024-05-13", 5_000_000),
        ("openai", "gpt-4-0613", 30_000_000),
        ("openai", "gpt-3.5-turbo-0613", 1_500_000),
        ("openai", "gpt-3.5-turbo-0125", 500_000),
        ("openai", "text-embedding-ada-002", 100_000),
        ("openai", "omni-moderation-latest", 0),
        ("openai", "ft:gpt-4o-mini-2024-07-18:org::abc", 300_000),
        ("azure-openai", "gpt-4o", 2_500_000),
        ("anthropic", "claude-sonnet-4-5-20250929", 3_000_000),
        ("anthropic", "claude-sonnet-4-20250514", 3_000_000),
        ("anthropic", "claude-3-5-haiku-latest", 800_000),
        ("vertex-ai", "claude-opus-4-1@20250805", 15_000_000),
        ("vertex-ai", "gemini-2.5-pro", 1_250_000),
        ("google", "gemini-2.0-flash-001", 100_000),
        ("google", "models/gemini-2.5-flash", 300_000),
        ("mistral-ai", "mistral-large-2411", 2_000_000),
        ("openrouter", "anthropic/claude-sonnet-4.5", 3_000_000),
        ("openrouter", "openai/gpt-4o-mini-2024-07-18", 150_000),
        ("groq", "openai/gpt-oss-120b", 150_000),
    ];
    for (provider, model, price) in found {
        assert_eq!(
            input(&table, provider, model),
            Some(price),
            "{provider} {model}"
        );
    }
    let unknown = [
        ("openai", "gpt-4o-mine"),
        ("openai", "gpt-4o-2024-11-2x"),
        ("openai", "claude-sonnet-4-5"),
        ("openai", "ft:mine:org::abc"),
        ("openai", "-2024-11-20"),
        ("openai", ""),
        ("anthropic", "gpt-4o"),
        // One's own server costs nothing that we know of, whoever made the model.
        ("vllm", "openai/gpt-4o"),
        ("ollama", "deepseek-chat"),
        ("nobody", "gpt-4o"),
        ("openrouter", "nobody/gpt-4o"),
    ];
    for (provider, model) in unknown {
        assert_eq!(input(&table, provider, model), None, "{provider} {model}");
    }
}

#[test]
fn the_operator_s_prices_go_first() {
    let table = PriceTable::built_in().with_overrides(vec![
        entry("openai", "gpt-4o", 1.0),
        entry("azure-openai", "gpt-4o-mini", 7.0),
        entry("ollama", "qwen3", 0.5),
    ]);
    assert_eq!(input(&table, "openai", "gpt-4o"), Some(1_000_000));
    assert_eq!(
        input(&table, "openai", "gpt-4o-2024-11-20"),
        Some(1_000_000)
    );
    assert_eq!(input(&table, "azure-openai", "gpt-4o"), Some(1_000_000));
    assert_eq!(
        input(&table, "azure-openai", "gpt-4o-mini"),
        Some(7_000_000)
    );
    assert_eq!(input(&table, "openai", "gpt-4o-mini"), Some(150_000));
    assert_eq!(input(&table, "ollama", "qwen3"), Some(500_000));
    let entries = table.entries();
    let ollama = entries.iter().find(|entry| entry.provider == "ollama");
    assert_eq!(ollama, Some(&entry("ollama", "qwen3", 0.5)));
}

#[test]
fn prices_that_make_no_sense_are_refused() {
    assert_eq!(entry("a", "b", 0.0).check(), Ok(()));
    for wrong in [-0.1, f64::NAN, f64::INFINITY, 1e7] {
        let text = entry("a", "b", wrong).check().unwrap_err();
        assert!(text.contains("a/b") && text.contains("input"), "{text}");
        let mut output = entry("a", "b", 1.0);
        output.output = Some(wrong);
        assert!(output.check().unwrap_err().contains("output"));
        let mut cached = entry("a", "b", 1.0);
        cached.cached_input = Some(wrong);
        assert!(cached.check().unwrap_err().contains("cached_input"));
    }
    assert!(entry("", "b", 1.0).check().is_err());
    assert!(entry("a", "", 1.0).check().is_err());
}

#[test]
fn entries_are_read_from_a_configuration_and_misspellings_are_not() {
    let read = |text: &str| toml::from_str::<PriceEntry>(text);
    let whole = read("provider = 'a'\nmodel = 'b'\ninput = 1\noutput = 2").unwrap();
    assert_eq!(whole, entry("a", "b", 1.0));
    assert!(read("provider = 'a'\nmodel = 'b'\ninput = 1\noutputs = 2").is_err());
    assert!(read("provider = 'a'\nmodel = 'b'").is_err());
}

proptest! {
    /// A name comes from a caller.
    #[test]
    fn no_name_is_too_odd(provider in "\\PC{0,12}", model in "(ft:)?\\PC{0,16}([-@:/0-9]{0,12})") {
        PriceTable::built_in().cost(&provider, &model, &usage(1, 0, 1));
    }
}
