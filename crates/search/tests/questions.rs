//! The questions that `examples/search_quality.rs` asks still have their answers in the documentation.

use std::{collections::HashMap, fs, path::Path};

#[test]
fn every_question_has_its_passage() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let questions = fs::read_to_string(folder.join("tests/quality/questions.tsv"))
        .unwrap_or_else(|error| panic!("{error}"));
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut pages: HashMap<String, String> = HashMap::new();
    let mut asked = 0;
    for line in questions.lines().filter(|line| !line.starts_with('#')) {
        let [question, page, words] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("no question, file and words: {line}");
        };
        let text = pages.entry(page.to_owned()).or_insert_with(|| {
            let path = folder.join("../../docs").join(page);
            plain(&fs::read_to_string(path).unwrap_or_else(|error| panic!("{page}: {error}")))
        });
        assert!(
            text.contains(&plain(words)),
            "{page} no longer has `{words}`, which answers: {question}"
        );
        asked += 1;
    }
    assert!(asked >= 50, "{asked} questions");
}
