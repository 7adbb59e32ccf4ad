//! Local embeddings: a sentence encoder of the BERT family, such as all-MiniLM-L6-v2, in Rust alone, from a folder
//! as Hugging Face lays it out.
//!
//! Such a model reads a few words at a time (all-MiniLM-L6-v2: 256 tokens of its own, about 200 words).
//! Of a longer text nothing is cut off: it is read in windows of equal length, none longer than that.
//! [`Model::embed`] makes one vector of them, their mean; [`Model::embed_windows`] hands out each.
//! The mean is what a store should keep: with chunks of 800 tokens, a vector for each window finds about
//! as much (docs/search-quality.md), and takes four times the memory.
//!
//! A model is read-only and may be used by many threads; one call uses one thread.

mod activation;
mod bert;
mod config;
mod weights;
mod wordpiece;

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use self::{bert::Bert, config::Config, weights::Weights, wordpiece::WordPiece};

/// Tokens that go through the layers together: enough for wide matrices, few enough for a processor's cache.
const BATCH_TOKENS: usize = 1024;

/// A sentence encoder.
pub struct Model {
    wordpiece: WordPiece,
    bert: Bert,
    /// The longest input, its two marks included.
    max_tokens: usize,
}

/// A folder that holds no model that can be used. The text says what to mend.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A file is missing or unreadable.
    #[error("{} can not be read: {source}. A model's folder holds config.json, model.safetensors, and vocab.txt or tokenizer.json, as Hugging Face lays them out", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is there, but is not what is needed.
    #[error("{}: {problem}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
}

impl Model {
    /// Reads a model: `config.json`, `model.safetensors`, `vocab.txt` or `tokenizer.json`, and, where they are there,
    /// `sentence_bert_config.json` (how much it reads), `tokenizer_config.json` (lower case) and `1_Pooling/config.json`.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let config = Config::read(folder)?;
        let wordpiece = WordPiece::read(folder, &config)?;
        let weights = Weights::read(folder)?;
        let bert = Bert::new(&config, &weights.parsed()?)?;
        Ok(Self {
            wordpiece,
            bert,
            max_tokens: config.max_tokens,
        })
    }

    /// How wide its embeddings are.
    pub fn dimensions(&self) -> usize {
        self.bert.dimensions()
    }

    /// How many tokens of its own it reads at a time, the marks at both ends included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// One embedding of length 1 for each text. That of a text in several windows is the mean of theirs, weighted by
    /// their length.
    pub fn embed(&self, texts: &[&str]) -> Vec<Vec<f32>> {
        self.windows(texts)
            .into_iter()
            .map(|windows| {
                let mut combined = vec![0.0; self.dimensions()];
                for (tokens, embedding) in windows {
                    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
                    let weight = tokens as f32;
                    for (sum, number) in combined.iter_mut().zip(embedding) {
                        *sum += weight * number;
                    }
                }
                normalised(combined)
            })
            .collect()
    }

    /// The embeddings, of length 1, of each text's windows: one of a text that is read whole.
    pub fn embed_windows(&self, texts: &[&str]) -> Vec<Vec<Vec<f32>>> {
        let windows = self.windows(texts).into_iter();
        windows
            .map(|windows| {
                windows
                    .into_iter()
                    .map(|(_, embedding)| embedding)
                    .collect()
            })
            .collect()
    }

    /// For each text its windows: tokens and embedding.
    fn windows(&self, texts: &[&str]) -> Vec<Vec<(usize, Vec<f32>)>> {
        let mut found: Vec<Vec<(usize, Vec<f32>)>> = texts.iter().map(|_| Vec::new()).collect();
        let mut batch: Vec<(usize, Vec<u32>)> = Vec::new();
        let mut tokens = 0;
        for (text, words) in texts.iter().enumerate() {
            for window in self.wordpiece.windows(words, self.max_tokens) {
                if tokens + window.len() > BATCH_TOKENS {
                    self.flush(&mut batch, &mut found);
                    tokens = 0;
                }
                tokens += window.len();
                batch.push((text, window));
            }
        }
        self.flush(&mut batch, &mut found);
        found
    }

    fn flush(&self, batch: &mut Vec<(usize, Vec<u32>)>, found: &mut [Vec<(usize, Vec<f32>)>]) {
        let sequences: Vec<&[u32]> = batch.iter().map(|(_, window)| window.as_slice()).collect();
        let embeddings = self.bert.means(&sequences);
        for ((text, window), embedding) in batch.drain(..).zip(embeddings) {
            found[text].push((window.len(), normalised(embedding)));
        }
    }
}

fn normalised(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector
        .iter()
        .map(|number| number * number)
        .sum::<f32>()
        .sqrt()
        .max(1e-12);
    for number in &mut vector {
        *number /= length;
    }
    vector
}

#[cfg(test)]
mod tests;
