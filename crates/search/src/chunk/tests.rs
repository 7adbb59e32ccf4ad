use loomgate_tokens::cl100k_base;
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

use super::*;

fn count(text: &str) -> usize {
    cl100k_base().count(text)
}

fn all(text: &str, size: usize, overlap: usize) -> Vec<Chunk<'_>> {
    let strategy = ChunkingStrategy::new(size, overlap).unwrap();
    chunks(text, strategy, DEFAULT_TOKEN_LIMIT)
        .map(Result::unwrap)
        .collect()
}

/// Text like that of documents: words, marks, lines, paragraphs, of several scripts.
fn document() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        8 => "[a-zA-Z]{1,9} ",
        1 => "[0-9]{1,5}[.,)] ",
        1 => "[a-z]{2,8}[.!?] ",
        1 => "[a-z_]{2,8}\\(\\);\n",
        1 => "\n\n",
        1 => "[\u{4e00}-\u{4fff}]{1,30}。?",
        1 => "[\u{900}-\u{97f}]{1,10} ",
        1 => "(👩‍👩‍👧|🇩🇪|e\u{301}|\r\n){1,4}",
        1 => "\\PC{1,8}",
    ];
    prop::collection::vec(part, 0..400).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn chunks_cover_the_text_within_their_bounds(text in document(), size in 100_usize..300, share in 0.0..=0.5) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "at most 150")]
        let overlap = (size as f64 * share) as usize;
        let chunks = all(&text, size, overlap);
        let graphemes: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
        let mut covered = 0;
        let mut began = None;
        for chunk in &chunks {
            prop_assert_eq!(chunk.text, &text[chunk.bytes.clone()]);
            prop_assert!(chunk.tokens <= size, "{} tokens", chunk.tokens);
            prop_assert_eq!(chunk.characters.start, text[..chunk.bytes.start].chars().count());
            prop_assert_eq!(chunk.characters.end, text[..chunk.bytes.end].chars().count());
            for at in [chunk.bytes.start, chunk.bytes.end] {
                prop_assert!(graphemes.binary_search(&at).is_ok(), "a grapheme is split at {at}");
            }
            let gap = text.get(covered..chunk.bytes.start).unwrap_or_default();
            prop_assert!(gap.trim().is_empty(), "left out: {gap:?}");
            if chunk.bytes.start < covered {
                let shared = count(&text[chunk.bytes.start..covered]);
                prop_assert!(shared <= overlap, "{shared} of {overlap} tokens shared");
            }
            prop_assert!(began.is_none_or(|began| began < chunk.bytes.start) && covered < chunk.bytes.end);
            began = Some(chunk.bytes.start);
            covered = chunk.bytes.end;
        }
        prop_assert!(text[covered..].trim().is_empty());
    }

    #[test]
    fn a_chunk_has_the_tokens_that_are_counted_alone(text in "([a-z]{1,9}[ .,\n]|[A-Z0-9_]{1,5}|é|字|\n\n  ){0,600}") {
        for chunk in all(&text, 100, 50) {
            let counted = count(chunk.text);
            // Cut inside a long word, the ends' tokens may be fewer alone than in their context.
            prop_assert!((counted..=counted + 2).contains(&chunk.tokens), "{} are {counted}", chunk.tokens);
        }
    }
}

#[test]
fn strategies_outside_the_contract_are_refused() {
    assert_eq!(ChunkingStrategy::new(99, 0), Err(StrategyError::Size(99)));
    assert_eq!(
        ChunkingStrategy::new(4097, 0),
        Err(StrategyError::Size(4097))
    );
    assert_eq!(
        ChunkingStrategy::new(101, 51),
        Err(StrategyError::Overlap {
            overlap: 51,
            most: 50
        })
    );
    assert_eq!(
        ChunkingStrategy::new(800, 400),
        Ok(ChunkingStrategy::default())
    );
    assert!(ChunkingStrategy::new(4096, 0).is_ok());
}

#[test]
fn a_chunk_ends_and_begins_at_the_strongest_place() {
    let sentence = "The quick brown fox jumps over the lazy dog. ";
    let paragraph = format!("{}\n\n", sentence.repeat(9).trim_end());
    let text = paragraph.repeat(6);
    let plain = all(&text, 100, 0);
    assert!(
        plain.iter().all(|chunk| chunk.text == paragraph),
        "{plain:?}"
    );
    let chunks = all(&text, 100, 40);
    assert!(chunks.len() > 6);
    for chunk in &chunks {
        let (words, shown) = (chunk.text.trim(), chunk.text);
        assert!(
            words.starts_with("The quick") && words.ends_with("dog."),
            "{shown:?}"
        );
        let last = chunk.bytes.end == text.len();
        assert!(
            last || (80..=100).contains(&chunk.tokens),
            "{} tokens",
            chunk.tokens
        );
    }
    for pair in chunks.windows(2) {
        let shared = count(&text[pair[1].bytes.start..pair[0].bytes.end]);
        assert!((32..=40).contains(&shared), "{shared}");
    }
    let words = "word ".repeat(400);
    for chunk in all(&words, 100, 0) {
        assert!(chunk.text.trim().split(' ').all(|word| word == "word"));
        assert_eq!(chunk.tokens, count(chunk.text));
    }
}

#[test]
fn little_or_nothing_is_one_chunk_or_none() {
    assert_eq!(all("", 100, 50), []);
    assert_eq!(all(&" \n".repeat(900), 100, 50), []);
    let chunks = all("  héllo \n", 100, 50);
    assert_eq!(chunks.len(), 1);
    assert_eq!(
        (chunks[0].bytes.clone(), chunks[0].characters.clone()),
        (0..10, 0..9)
    );
}

#[test]
fn too_many_tokens_are_an_error() {
    let text = "word ".repeat(1000);
    let strategy = ChunkingStrategy::default();
    let tokens = count(&text);
    assert!(chunks(&text, strategy, tokens).all(|chunk| chunk.is_ok()));
    let last = chunks(&text, strategy, tokens - 1).last();
    assert_eq!(last, Some(Err(TooManyTokens { limit: tokens - 1 })));
}

#[test]
fn hostile_texts_are_cut_in_linear_time() {
    let marks = format!("e{}", "\u{301}".repeat(100_000));
    for text in [
        "a".repeat(1_000_000),
        "🇩".repeat(100_000),
        marks,
        "\n".repeat(1_000_000),
        "漢".repeat(200_000),
    ] {
        let mut covered = 0;
        for chunk in chunks(&text, ChunkingStrategy::default(), usize::MAX) {
            let chunk = chunk.unwrap();
            assert!(chunk.tokens <= 800 && chunk.bytes.start <= covered);
            covered = chunk.bytes.end;
        }
        assert!(text[covered..].trim().is_empty());
    }
}
