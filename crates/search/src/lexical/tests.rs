use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

#[test]
fn texts_become_words() {
    let cases = [
        ("", ""),
        ("  ?! -- ", ""),
        ("The Refund-Policy, v1.2", "the refund policy v1 2"),
        ("getUserById", "get user by id getuserbyid"),
        ("get_user_by_id", "get user by id getuserbyid"),
        ("HTTPServerV2 __init__", "http server v2 httpserverv2 init"),
        ("std::vec::Vec<T>", "std vec vec t"),
        ("don't", "don t"),
        ("Übergröße ÜBERGRÖSSE naïve", "ubergrosse ubergrosse naive"),
        ("Ελλάδα ΕΛΛΑΔΑ Ёлка", "ελλαδα ελλαδα елка"),
        ("東京都は、日本", "東京 京都 都は 日本"),
        ("字", "字"),
        ("Python入門 2024年", "python 入門 2024 年"),
        ("한국어 텍스트", "한국 국어 텍스 스트"),
        ("ภาษาไทย", "ภา าษ ษา าไ ไท ทย"),
        ("हिन्दी", "हिन्दी"),
        ("ｆｕｌｌ ｗｉｄｔｈ ﬁne ①", "full width fine 1"),
        ("emoji 👩‍👩‍👧 x", "emoji x"),
    ];
    for (text, expected) in cases {
        let mut words = Vec::new();
        analysis::each_word(text, |word| words.push(word.to_owned()));
        assert_eq!(words.join(" "), expected, "{text}");
    }
    assert!(STOP_WORDS.is_sorted());
}

#[test]
fn a_query_asks_for_what_tells() {
    assert_eq!(
        terms("What is the refund policy? The refund!"),
        ["refund", "polici"]
    );
    assert_eq!(terms("to be or not to be")[..], ["not"]);
    assert_eq!(terms("who is he"), ["who", "is", "he"]);
    assert_eq!(
        terms("the getUser() \" OR 1=1"),
        ["get", "user", "getus", "1"]
    );
    // One form says little, the other does not.
    assert_eq!(terms("will wills"), ["will"]);
}

#[test]
fn english_words_have_one_form() {
    for (words, stem) in [
        ("refund refunds refunded refunding", "refund"),
        ("policy policies", "polici"),
        ("order orders ordered", "order"),
        ("λόγος", "λογος"),
    ] {
        assert_eq!(terms(words), [stem]);
        assert!(index_text(words).split(' ').all(|term| term == stem));
    }
}

#[test]
fn long_queries_and_long_words_are_bounded() {
    let words: Vec<String> = (0..1000).map(|number| format!("word{number}")).collect();
    assert_eq!(terms(&words.join(" ")).len(), MAX_TERMS);
    assert_eq!(index_text(&"a".repeat(1_000_000)).len(), MAX_TERM);
    let camel = index_text(&"aB".repeat(100_000));
    assert!(camel.split(' ').all(|term| term.len() <= MAX_TERM) && camel.len() < 1000);
    let chinese = index_text(&"漢".repeat(1000));
    assert_eq!(chinese.split(' ').count(), 999);
}

#[test]
fn coverage_is_the_part_of_a_query_that_a_text_holds() {
    let query = terms("refund policy for returned items");
    assert_eq!(query, ["refund", "polici", "return", "item"]);
    // Of 6 + 6 + 6 + 4 letters.
    for (held, expected) in [
        (0b1111, "1.00"),
        (0b0010, "0.27"),
        (0b1000, "0.18"),
        (0, "0.00"),
    ] {
        assert_eq!(format!("{:.2}", coverage(&query, held)), expected);
    }
    assert_eq!(format!("{:.2}", coverage(&[], 1)), "0.00");
    let many: Vec<String> = (0..100).map(|number| format!("{number:03}")).collect();
    assert_eq!(format!("{:.2}", coverage(&many, u64::MAX)), "1.00");
}

proptest! {
    #[test]
    fn no_query_becomes_syntax(query in "(\\PC|[\"'*():^&|!\\\\<>\u{0} \n-]|NEAR|AND|NOT){0,60}") {
        let terms = terms(&query);
        for term in &terms {
            prop_assert!(!term.is_empty() && term.chars().count() <= MAX_TERM);
            prop_assert!(term.chars().all(analysis::is_word), "{term:?}");
        }
    }

    #[test]
    fn what_is_asked_for_as_it_is_written_is_found(text in "(\\PC|[a-zA-Z_]{1,6}| ){0,60}") {
        let indexed = index_text(&text);
        let held: HashSet<&str> = indexed.split(' ').collect();
        prop_assert!(terms(&text).iter().all(|term| held.contains(&**term)), "{indexed:?}");
    }
}
