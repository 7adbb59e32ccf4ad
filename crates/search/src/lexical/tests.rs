use proptest::prelude::*;

use super::*;

#[test]
fn texts_become_terms() {
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
        assert_eq!(index_text(text), expected, "{text}");
    }
    assert!(STOP_WORDS.is_sorted());
}

#[test]
fn a_query_asks_for_what_tells() {
    assert_eq!(
        terms("What is the refund policy? The refund!"),
        ["refund", "policy"]
    );
    assert_eq!(terms("to be or not to be")[..], ["not"]);
    assert_eq!(terms("who is he"), ["who", "is", "he"]);
    let terms = terms("the getUser() \" OR 1=1");
    assert_eq!(
        fts5_match(&terms).unwrap(),
        r#""get" OR "user" OR "getuser" OR "1""#
    );
    assert_eq!(tsquery(&terms).unwrap(), "'get' | 'user' | 'getuser' | '1'");
    assert_eq!((fts5_match(&[]), tsquery(&[])), (None, None));
    let hostile = [
        "a\" NEAR(b".to_owned(),
        "'); drop".to_owned(),
        "\\'".to_owned(),
    ];
    assert_eq!(fts5_match(&hostile).unwrap(), r#""aNEARb" OR "drop""#);
    assert_eq!(tsquery(&hostile).unwrap(), "'aNEARb' | 'drop'");
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
    let held = |query: &[String], text: &str| format!("{:.2}", coverage(query, text));
    assert_eq!(
        held(&query, "Our policies: refunds of an item that you return."),
        "1.00"
    );
    // 6 of the 6 + 6 + 8 + 5 letters.
    assert_eq!(held(&query, "The policy."), "0.24");
    assert_eq!(held(&query, "Nothing of it."), "0.00");
    assert_eq!(held(&[], "text"), "0.00");
    assert_eq!(held(&terms("東京"), "東京都"), "1.00");
}

proptest! {
    #[test]
    fn no_query_becomes_syntax(query in "(\\PC|[\"'*():^&|!\\\\<>\u{0} \n-]|NEAR|AND|NOT){0,60}") {
        let terms = terms(&query);
        for term in &terms {
            prop_assert!(!term.is_empty() && term.chars().count() <= MAX_TERM);
            prop_assert!(term.chars().all(analysis::is_word), "{term:?}");
        }
        if let Some(text) = fts5_match(&terms) {
            let parts: Vec<&str> = text.split(" OR ").collect();
            prop_assert_eq!(parts.len(), terms.len());
            for (part, term) in parts.iter().zip(&terms) {
                prop_assert_eq!(part, &format!("\"{term}\""));
            }
        }
        prop_assert_eq!(tsquery(&terms).map(|text| text.matches('\'').count()), (!terms.is_empty()).then_some(2 * terms.len()));
    }

    #[test]
    fn analysed_text_is_analysed_the_same_again(text in "(\\PC|[a-zA-Z_]{1,6}| ){0,60}") {
        let once = index_text(&text);
        // Pairs overlap, names stand there whole and in parts: what is there stays findable.
        let again: HashSet<String> = index_text(&once).split(' ').map(str::to_owned).collect();
        prop_assert!(once.split(' ').all(|term| again.contains(term)), "{once:?}");
    }
}
