//! Code and JSON inside of texts.

use serde_json::Value;

/// How many places of a text are tried as the beginning of JSON, so that a hostile text costs
/// little.
const MOST_TRIES: usize = 1_000;

/// How many JSON values of a text are looked at.
const MOST_VALUES: usize = 64;

/// A block between lines of back-ticks: its language, as it is written, and its body.
pub(super) struct Block<'t> {
    pub(super) language: &'t str,
    pub(super) body: &'t str,
}

/// The closed blocks of a text.
pub(super) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut parts = text.split("```");
    let mut blocks = Vec::new();
    parts.next();
    // Every second part is inside; one that nothing closes is not a block.
    while let (Some(inside), Some(_)) = (parts.next(), parts.next()) {
        let inside = inside.trim_start_matches('`');
        let word = |letter: char| letter.is_ascii_alphanumeric() || "_+#-".contains(letter);
        let end = inside.find(|letter| !word(letter)).unwrap_or(inside.len());
        let (language, body) = inside.split_at(end);
        blocks.push(Block { language, body });
    }
    blocks
}

/// The JSON of a text: the whole of it, else that of its blocks, else the objects that stand
/// between other words.
pub(super) fn json(text: &str) -> Vec<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return vec![value];
    }
    let mut values: Vec<Value> = blocks(text)
        .iter()
        .filter(|block| block.language.is_empty() || block.language.eq_ignore_ascii_case("json"))
        .filter_map(|block| serde_json::from_str(block.body).ok())
        .take(MOST_VALUES)
        .collect();
    if values.is_empty() {
        values = objects(text);
    }
    values
}

fn objects(text: &str) -> Vec<Value> {
    let mut values = Vec::new();
    let mut rest = text;
    for _ in 0..MOST_TRIES {
        let Some(start) = rest.find('{') else { break };
        rest = &rest[start..];
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let skipped = match stream.next() {
            Some(Ok(value)) => {
                values.push(value);
                stream.byte_offset()
            }
            _ => 1,
        };
        if values.len() == MOST_VALUES {
            break;
        }
        rest = &rest[skipped..];
    }
    values
}

/// What a language written behind back-ticks is called in full; other names stay, in lower case.
pub(super) fn language(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let full = match name.as_str() {
        "sql" => "SQL",
        "py" | "python" | "python3" | "gyp" => "Python",
        "ts" | "tsx" | "typescript" => "TypeScript",
        "js" | "jsx" | "javascript" => "JavaScript",
        "java" => "Java",
        "cs" | "csharp" | "c#" => "C#",
        "cpp" | "c++" => "C++",
        "c" => "C",
        "rb" | "ruby" => "Ruby",
        "php" => "PHP",
        "swift" => "Swift",
        "kt" | "kotlin" => "Kotlin",
        "go" | "golang" => "Go",
        "rs" | "rust" => "Rust",
        "scala" => "Scala",
        "r" => "R",
        "pl" | "perl" => "Perl",
        "sh" | "bash" | "shell" => "Shell",
        "html" => "HTML",
        "css" => "CSS",
        "xml" => "XML",
        "json" => "JSON",
        "yml" | "yaml" => "YAML",
        "md" | "markdown" => "Markdown",
        "dockerfile" => "Dockerfile",
        _ => return name,
    };
    full.to_owned()
}
