//! Measures how well questions find the passages that answer them, lexically, by vectors, and by both:
//!
//! ```text
//! cargo run --release -p loomgate-search --example search_quality -- MODEL_FOLDER DOCS_FOLDER QUESTIONS
//! ```
//!
//! Each line of QUESTIONS has a question, the file of `DOCS_FOLDER` that answers it, and words of the passage that does, with
//! tabs between them. Every chunk of that file that holds the words is relevant. Prints a table in Markdown.
//!
//! The lexical ranking is BM25 (k1 1.2, b 0.75) over [`lexical::index_text`]: close to what the engines of
//! the store do, which this crate may not use.

#![expect(clippy::print_stdout, reason = "prints figures")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "keys are numbers of chunks"
)]

use std::{
    collections::{HashMap, HashSet},
    env, fs,
    path::Path,
};

use loomgate_search::{
    ChunkingStrategy, chunks,
    embed::Model,
    fuse::{Evidence, Ranking, fuse},
    lexical,
    vector::{Code, Hit, Index, Query, rescore},
};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How deep rankings are before they are fused, and how deep they are judged.
const DEPTH: usize = 50;
const JUDGED: usize = 10;

struct Question {
    text: String,
    relevant: HashSet<u64>,
}

struct Set {
    chunks: Vec<(String, String)>,
    questions: Vec<Question>,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [model, docs, questions] = arguments.as_slice() else {
        return Err("say MODEL_FOLDER DOCS_FOLDER QUESTIONS".into());
    };
    let model = Model::load(Path::new(model))?;
    let mut scans = Vec::new();
    println!("| chunks | ranking | recall@{JUDGED} | nDCG@{JUDGED} | MRR |");
    println!("| --- | --- | ---: | ---: | ---: |");
    for (size, overlap) in [(800, 400), (200, 100)] {
        let set = Set::read(
            Path::new(docs),
            Path::new(questions),
            ChunkingStrategy::new(size, overlap)?,
        )?;
        let name = format!("{} of {size}/{overlap}", set.chunks.len());
        set.judge(&name, &model)?;
        scans.push((name, set.compare_scans(&model)?));
    }
    println!("\n| chunks | scan | recall@{JUDGED} of the exactly nearest |");
    println!("| --- | --- | ---: |");
    for (name, (bare, rescored)) in scans {
        println!("| {name} | codes of 8 bits alone | {bare:.3} |");
        println!("| {name} | codes, four times as many, rescored | {rescored:.3} |");
    }
    Ok(())
}

impl Set {
    fn read(docs: &Path, questions: &Path, strategy: ChunkingStrategy) -> Outcome<Self> {
        let mut files: Vec<_> = fs::read_dir(docs)?.collect::<Result<_, _>>()?;
        files.retain(|file| file.path().extension().is_some_and(|kind| kind == "md"));
        files.sort_by_key(fs::DirEntry::path);
        let mut found = Vec::new();
        for file in files {
            let text = fs::read_to_string(file.path())?;
            for chunk in chunks(&text, strategy, usize::MAX) {
                found.push((
                    file.file_name().to_string_lossy().into_owned(),
                    chunk?.text.to_owned(),
                ));
            }
        }
        let lines = fs::read_to_string(questions)?;
        let lines = lines.lines().filter(|line| !line.starts_with('#'));
        let questions = lines
            .map(|line| Question::read(line, &found))
            .collect::<Outcome<_>>()?;
        Ok(Self {
            chunks: found,
            questions,
        })
    }

    fn judge(&self, name: &str, model: &Model) -> Outcome<()> {
        let texts: Vec<&str> = self.chunks.iter().map(|(_, text)| text.as_str()).collect();
        let windows = model.embed_windows(&texts);
        let means: Vec<Vec<Vec<f32>>> = windows.iter().map(|windows| vec![mean(windows)]).collect();
        let lexicon = Lexicon::new(&texts);
        let mut judged: Vec<(&str, Judgement)> = Vec::new();
        let mut add = |ranking: &'static str, question: &Question, keys: &[u64]| {
            let at = judged
                .iter()
                .position(|(name, _)| *name == ranking)
                .unwrap_or_else(|| {
                    judged.push((ranking, Judgement::default()));
                    judged.len() - 1
                });
            judged[at].1.add(keys, &question.relevant);
        };
        let (mean_index, window_index) = (index(&means)?, index(&windows)?);
        for question in &self.questions {
            let query = model.embed(&[&question.text]).remove(0);
            let words = lexicon.search(&question.text);
            let terms = lexical::terms(&question.text);
            let lexical_evidence = |key: u64| {
                let text = lexical::index_text(texts[key as usize]);
                let held: HashSet<&str> = text.split(' ').collect();
                let bits = (0..).zip(&terms);
                let bits = bits.filter(|(_, term)| held.contains(&***term));
                let held = bits.fold(0, |held, (place, _)| held | 1_u64 << place);
                lexical::LEXICAL_EVIDENCE * lexical::coverage(&terms, held)
            };
            let found = words.iter().map(|&key| Evidence {
                key,
                evidence: lexical_evidence(key),
            });
            let words_ranking = Ranking {
                weight: 1.0,
                found: found.collect(),
            };
            add("lexical", question, &words);
            for (vectors, index, alone, hybrid) in [
                (
                    &means,
                    &mean_index,
                    "vectors, mean of windows",
                    "hybrid, mean of windows",
                ),
                (
                    &windows,
                    &window_index,
                    "vectors, best window",
                    "hybrid, best window",
                ),
            ] {
                let hits = nearest(index, vectors, &query)?;
                add(
                    alone,
                    question,
                    &hits.iter().map(|hit| hit.key).collect::<Vec<_>>(),
                );
                let found = hits.iter().map(|hit| Evidence {
                    key: hit.key,
                    evidence: hit.score,
                });
                let ranking = Ranking {
                    weight: 1.0,
                    found: found.collect(),
                };
                let fused = fuse(&[ranking, words_ranking.clone()]);
                add(
                    hybrid,
                    question,
                    &fused.iter().map(|chunk| chunk.key).collect::<Vec<_>>(),
                );
            }
        }
        for (ranking, judgement) in judged {
            let mean = |sum: f64| sum / judgement.questions as f64;
            println!(
                "| {name} | {ranking} | {:.3} | {:.3} | {:.3} |",
                mean(judgement.recall),
                mean(judgement.gain),
                mean(judgement.reciprocal)
            );
        }
        Ok(())
    }
}

impl Set {
    /// The share of the nearest chunks, reckoned from whole vectors, that a scan of codes brings: as it is, and as the server
    /// does it, which rescores four times as many.
    fn compare_scans(&self, model: &Model) -> Outcome<(f64, f64)> {
        let texts: Vec<&str> = self.chunks.iter().map(|(_, text)| text.as_str()).collect();
        let vectors: Vec<Vec<Vec<f32>>> = model
            .embed(&texts)
            .into_iter()
            .map(|vector| vec![vector])
            .collect();
        let index = index(&vectors)?;
        let whole = || (0..).zip(&vectors).map(|(key, of)| (key, of[0].as_slice()));
        let (mut bare, mut rescored) = (0, 0);
        for question in &self.questions {
            let query = model.embed(&[&question.text]).remove(0);
            let exact: HashSet<u64> = rescore(&query, whole(), JUDGED)?
                .iter()
                .map(|hit| hit.key)
                .collect();
            let candidates = index.scan(&Query::new(&query)?, 4 * JUDGED, |_| true)?;
            let keys = || candidates.iter().map(|found| found.key);
            bare += keys()
                .take(JUDGED)
                .filter(|key| exact.contains(key))
                .count();
            let full = keys().map(|key| (key, vectors[key as usize][0].as_slice()));
            let best = rescore(&query, full, JUDGED)?;
            rescored += best.iter().filter(|hit| exact.contains(&hit.key)).count();
        }
        let wanted = (self.questions.len() * JUDGED) as f64;
        Ok((bare as f64 / wanted, rescored as f64 / wanted))
    }
}

impl Question {
    fn read(line: &str, chunks: &[(String, String)]) -> Outcome<Self> {
        let [text, file, words] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("no question, file and words: {line}").into());
        };
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = plain(words);
        let holds = |(name, text): &(String, String)| name == file && plain(text).contains(&words);
        let relevant: HashSet<u64> = (0..)
            .zip(chunks)
            .filter(|(_, chunk)| holds(chunk))
            .map(|(key, _)| key)
            .collect();
        if relevant.is_empty() {
            return Err(format!("no chunk of {file} holds `{words}`").into());
        }
        Ok(Self {
            text: text.to_owned(),
            relevant,
        })
    }
}

/// What [`Model::embed`] combines windows to: they are of equal length, and a query needs no length.
fn mean(windows: &[Vec<f32>]) -> Vec<f32> {
    let mut mean = vec![0.0; windows[0].len()];
    for window in windows {
        for (sum, number) in mean.iter_mut().zip(window) {
            *sum += number;
        }
    }
    mean
}

fn index(vectors: &[Vec<Vec<f32>>]) -> Outcome<Index> {
    let mut index = Index::new(vectors[0][0].len())?;
    for (key, windows) in (0..).zip(vectors) {
        for window in windows {
            index.append(0, [(key, &Code::new(window)?)])?;
        }
    }
    Ok(index)
}

fn nearest(index: &Index, vectors: &[Vec<Vec<f32>>], query: &[f32]) -> Outcome<Vec<Hit>> {
    let candidates = index.scan(&Query::new(query)?, 4 * DEPTH, |_| true)?;
    let full = candidates.iter().flat_map(|found| {
        vectors[found.key as usize]
            .iter()
            .map(|window| (found.key, window.as_slice()))
    });
    Ok(rescore(query, full, DEPTH)?)
}

/// BM25.
struct Lexicon {
    /// Of each term the chunks that hold it, and how often.
    postings: HashMap<String, Vec<(u64, f64)>>,
    lengths: Vec<f64>,
}

impl Lexicon {
    fn new(texts: &[&str]) -> Self {
        let mut lexicon = Self {
            postings: HashMap::new(),
            lengths: Vec::new(),
        };
        for (key, text) in (0..).zip(texts) {
            let mut counts: HashMap<String, f64> = HashMap::new();
            for term in lexical::index_text(text).split(' ') {
                *counts.entry(term.to_owned()).or_default() += 1.0;
            }
            lexicon.lengths.push(counts.values().sum());
            for (term, count) in counts {
                lexicon.postings.entry(term).or_default().push((key, count));
            }
        }
        lexicon
    }

    fn search(&self, query: &str) -> Vec<u64> {
        let number = self.lengths.len() as f64;
        let mean = self.lengths.iter().sum::<f64>() / number;
        let mut scores: HashMap<u64, f64> = HashMap::new();
        for term in lexical::terms(query) {
            let holders = self.postings.get(&term).map_or(&[][..], Vec::as_slice);
            let held = holders.len() as f64;
            let rarity = (1.0 + (number - held + 0.5) / (held + 0.5)).ln();
            for &(key, count) in holders {
                let length = 0.25 + 0.75 * self.lengths[key as usize] / mean;
                *scores.entry(key).or_default() += rarity * count * 2.2 / (count + 1.2 * length);
            }
        }
        let mut scores: Vec<(u64, f64)> = scores.into_iter().collect();
        scores.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        scores.truncate(DEPTH);
        scores.into_iter().map(|(key, _)| key).collect()
    }
}

/// Sums over questions.
#[derive(Default)]
struct Judgement {
    questions: usize,
    recall: f64,
    gain: f64,
    reciprocal: f64,
}

impl Judgement {
    fn add(&mut self, ranking: &[u64], relevant: &HashSet<u64>) {
        let ranking = &ranking[..ranking.len().min(JUDGED)];
        let places: Vec<usize> = (0..)
            .zip(ranking)
            .filter(|(_, key)| relevant.contains(key))
            .map(|(place, _)| place)
            .collect();
        let gain = |place: usize| 1.0 / (place as f64 + 2.0).log2();
        let ideal: f64 = (0..relevant.len().min(JUDGED)).map(gain).sum();
        self.questions += 1;
        self.recall += places.len() as f64 / relevant.len().min(JUDGED) as f64;
        self.gain += places.iter().copied().map(gain).sum::<f64>() / ideal;
        self.reciprocal += places
            .first()
            .map_or(0.0, |place| 1.0 / (*place as f64 + 1.0));
    }
}
