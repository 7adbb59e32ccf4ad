//! Which files are read, by their names (`contract/behaviour.md`, section 11.2).

use serde::{Deserialize, Serialize};

/// How a file is read. Several extensions share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Text that is kept as it is: prose, Markdown, program text, TeX, style sheets.
    Plain,
    /// A web page.
    Html,
    /// JSON, or one JSON value after another.
    Json,
    /// Rows of values with a comma, semicolon or tab between them.
    Delimited,
    /// A PDF.
    Pdf,
    /// A Word document in its form since 2007.
    Docx,
    /// A PowerPoint presentation in its form since 2007.
    Pptx,
    /// An Excel workbook in its form since 2007.
    Xlsx,
    /// A file named `.doc`: rich text, a web page or a docx is read, the binary form is not.
    Doc,
}

/// Extensions that may be attached to `file_search`, without the dot. The original's list, and beyond
/// it csv and xlsx.
pub const EXTENSIONS: &[(&str, Format)] = &[
    ("c", Format::Plain),
    ("cpp", Format::Plain),
    ("cs", Format::Plain),
    ("css", Format::Plain),
    ("csv", Format::Delimited),
    ("doc", Format::Doc),
    ("docx", Format::Docx),
    ("go", Format::Plain),
    ("html", Format::Html),
    ("java", Format::Plain),
    ("js", Format::Plain),
    ("json", Format::Json),
    ("md", Format::Plain),
    ("pdf", Format::Pdf),
    ("php", Format::Plain),
    ("pptx", Format::Pptx),
    ("py", Format::Plain),
    ("rb", Format::Plain),
    ("sh", Format::Plain),
    ("tex", Format::Plain),
    ("ts", Format::Plain),
    ("txt", Format::Plain),
    ("xlsx", Format::Xlsx),
];

impl Format {
    /// The format of a file of this name, or the extension that `file_search` does not take.
    pub fn of_name(name: &str) -> Result<Self, UnsupportedExtension> {
        let extension = extension(name);
        let known = EXTENSIONS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(extension));
        known.map(|(_, format)| *format).ok_or_else(|| {
            UnsupportedExtension(match extension {
                "" => String::new(),
                extension => format!(".{}", extension.to_lowercase()),
            })
        })
    }

    /// What such a file is called in a sentence.
    pub(crate) fn article(self) -> &'static str {
        match self {
            Self::Plain => "a text file",
            Self::Html => "an HTML page",
            Self::Json => "a JSON file",
            Self::Delimited => "a CSV file",
            Self::Pdf => "a PDF",
            Self::Docx => "a Word document (.docx)",
            Self::Pptx => "a PowerPoint presentation (.pptx)",
            Self::Xlsx => "an Excel workbook (.xlsx)",
            Self::Doc => "a Word document (.doc)",
        }
    }
}

/// A file of a kind that `file_search` does not take.
///
/// The text is the original's (`contract/behaviour.md`, section 2.4); the API's code is `unsupported_file`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Files with extensions [{0}] are not supported for retrieval. See https://platform.openai.com/docs/assistants/tools/file-search/supported-files"
)]
pub struct UnsupportedExtension(
    /// The extension with its dot, in lower case; empty where the name has none.
    pub String,
);

/// What stands behind the last dot of the last part of a path; empty when nothing does.
fn extension(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.rsplit_once('.').map_or("", |(_, extension)| extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_by_their_extension_in_any_case() {
        for (name, format) in [
            ("a.txt", Format::Plain),
            ("Report.Final.PDF", Format::Pdf),
            ("folder.x/b.Docx", Format::Docx),
            ("C:\\files\\main.CPP", Format::Plain),
            (".md", Format::Plain),
            ("data.csv", Format::Delimited),
            ("old.doc", Format::Doc),
        ] {
            assert_eq!(Format::of_name(name), Ok(format), "{name}");
        }
    }

    #[test]
    fn every_extension_of_the_original_may_be_attached() {
        let original =
            "c cs cpp doc docx html java json md pdf php pptx py rb tex txt css js sh ts go";
        for extension in original.split(' ') {
            assert!(
                Format::of_name(&format!("f.{extension}")).is_ok(),
                "{extension}"
            );
        }
    }

    #[test]
    fn other_names_are_refused_in_the_original_words() {
        for (name, shown) in [
            ("a.PNG", "[.png]"),
            ("data.jsonl", "[.jsonl]"),
            ("README", "[]"),
            ("a.pdf/README", "[]"),
            ("a.", "[]"),
        ] {
            let refusal = Format::of_name(name).unwrap_err().to_string();
            assert!(
                refusal.starts_with(&format!(
                    "Files with extensions {shown} are not supported for retrieval."
                )),
                "{refusal}"
            );
        }
    }
}
