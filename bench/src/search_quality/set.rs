//! The documents, cut up as the program cuts them, and the questions about them.

use std::{collections::HashSet, fs, path::Path};

use anyhow::{bail, ensure};
use loomgate_search::{ChunkingStrategy, chunks};

pub(super) struct Set {
    /// Names and texts.
    pub(super) files: Vec<(String, String)>,
    pub(super) chunks: Vec<Chunk>,
    pub(super) questions: Vec<Question>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) file: String,
    pub(super) text: String,
}

pub(super) struct Question {
    pub(super) text: String,
    /// Places of the chunks that hold the passage.
    pub(super) relevant: HashSet<usize>,
}

impl Set {
    pub(super) fn read(
        docs: &Path,
        questions: &Path,
        strategy: ChunkingStrategy,
    ) -> anyhow::Result<Self> {
        let mut paths: Vec<_> = fs::read_dir(docs)?
            .map(|file| Ok(file?.path()))
            .collect::<anyhow::Result<_>>()?;
        paths.retain(|path| path.extension().is_some_and(|kind| kind == "md"));
        paths.sort();
        let (mut files, mut found) = (Vec::new(), Vec::new());
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let text = fs::read_to_string(&path)?;
            for chunk in chunks(&text, strategy, usize::MAX) {
                found.push(Chunk {
                    file: name.clone().into_owned(),
                    text: chunk?.text.to_owned(),
                });
            }
            files.push((name.into_owned(), text));
        }
        let questions = lines(questions)?;
        let questions = questions.iter().map(|line| Question::read(line, &found));
        Ok(Self {
            questions: questions.collect::<anyhow::Result<_>>()?,
            chunks: found,
            files,
        })
    }

    /// The place of a chunk that was found.
    pub(super) fn place(&self, chunk: &Chunk) -> Option<usize> {
        self.chunks.iter().position(|known| known == chunk)
    }
}

/// The lines of the questions' file that are no comments.
pub(super) fn lines(questions: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(questions)?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

impl Question {
    fn read(line: &str, chunks: &[Chunk]) -> anyhow::Result<Self> {
        let [text, file, words] = line.split('\t').collect::<Vec<_>>()[..] else {
            bail!("no question, file and words: {line}");
        };
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = plain(words);
        let holds = |chunk: &Chunk| chunk.file == file && plain(&chunk.text).contains(&words);
        let all = chunks.iter().enumerate();
        let relevant: HashSet<usize> = all
            .filter(|(_, chunk)| holds(chunk))
            .map(|(place, _)| place)
            .collect();
        ensure!(!relevant.is_empty(), "no chunk of {file} holds `{words}`");
        Ok(Self {
            text: text.to_owned(),
            relevant,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_has_its_passage() -> anyhow::Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let questions = folder.join("src/search_quality/questions.tsv");
        let strategy = ChunkingStrategy::new(800, 400)?;
        let set = Set::read(&folder.join("../docs"), &questions, strategy)?;
        ensure!(
            set.questions.len() >= 50,
            "{} questions",
            set.questions.len()
        );
        Ok(())
    }
}
