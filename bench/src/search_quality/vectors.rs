//! What vectors find by themselves, and what scans of their codes miss.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "keys are numbers of chunks"
)]

use std::{collections::HashSet, path::Path};

use anyhow::Context as _;
use loomgate_search::{
    ChunkingStrategy, chunks,
    embed::Model,
    vector::{Code, Hit, Index, Query, rescore},
};

use super::{
    JUDGED, Judgement,
    set::{self, Set},
};

/// How deep rankings are.
const DEPTH: usize = 50;
/// Chunks of the large set, at the most: embedding one takes some milliseconds.
const MOST: usize = 20_000;

/// A scan, and its recall.
type Scans = (String, Vec<(&'static str, f64)>);

pub(super) struct Found {
    /// As the program does it: one vector for each chunk.
    pub(super) mean: Judgement,
    /// With a vector for each window of a chunk.
    pub(super) best: Judgement,
    pub(super) scans: Vec<(&'static str, f64)>,
}

impl Found {
    pub(super) fn of(set: &Set, model: &Model) -> anyhow::Result<Self> {
        let texts: Vec<&str> = set.chunks.iter().map(|chunk| &*chunk.text).collect();
        let windows = model.embed_windows(&texts);
        let means: Vec<Vec<Vec<f32>>> = windows.iter().map(|windows| vec![mean(windows)]).collect();
        let (mean_index, window_index) = (index(&means)?, index(&windows)?);
        let (mut mean, mut best) = (Judgement::default(), Judgement::default());
        let mut queries = Vec::new();
        for question in &set.questions {
            let query = model.embed(&[&question.text]).remove(0);
            for (vectors, index, judgement) in [
                (&means, &mean_index, &mut mean),
                (&windows, &window_index, &mut best),
            ] {
                let hits = nearest(index, vectors, &query)?;
                let ranking: Vec<_> = hits.iter().map(|hit| Some(hit.key as usize)).collect();
                judgement.add(&ranking, &question.relevant);
            }
            queries.push(query);
        }
        Ok(Self {
            mean,
            best,
            scans: compare(&means, &mean_index, &queries)?,
        })
    }
}

/// What scans find among many chunks of another text, asked the same questions.
pub(super) fn large(text: &str, questions: &Path, model: &Model) -> anyhow::Result<Scans> {
    let strategy = ChunkingStrategy::new(200, 100)?;
    let all = chunks(text, strategy, usize::MAX).take(MOST);
    let all: Vec<&str> = all
        .map(|chunk| Ok(chunk?.text))
        .collect::<anyhow::Result<_>>()?;
    let vectors = all.chunks(256).flat_map(|some| model.embed(some));
    let vectors: Vec<Vec<Vec<f32>>> = vectors.map(|vector| vec![vector]).collect();
    let questions = set::lines(questions)?;
    let texts = questions.iter().filter_map(|line| line.split('\t').next());
    let queries = texts.map(|text| model.embed(&[text]).remove(0));
    let queries: Vec<_> = queries.collect();
    let name = format!("{} of 200/100, other text", vectors.len());
    Ok((name, compare(&vectors, &index(&vectors)?, &queries)?))
}

/// The share of the nearest chunks, reckoned from whole vectors, that scans of codes bring.
fn compare(
    vectors: &[Vec<Vec<f32>>],
    index: &Index,
    queries: &[Vec<f32>],
) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let whole = || (0..).zip(vectors).map(|(key, of)| (key, of[0].as_slice()));
    let (mut bare, mut signs, mut rescored) = (0, 0, 0);
    for query in queries {
        let exact: HashSet<u64> = rescore(query, whole(), JUDGED)?
            .iter()
            .map(|hit| hit.key)
            .collect();
        let ready = Query::new(query)?;
        let among = |keys: &[u64]| keys.iter().filter(|key| exact.contains(key)).count();
        let keys = |found: &[loomgate_search::vector::Candidate]| -> Vec<u64> {
            found.iter().map(|found| found.key).collect()
        };
        bare += among(&keys(&index.scan_all_codes(&ready, JUDGED)?));
        // As the program does it: four times as many by signs and codes, half of them rescored.
        let candidates = keys(&index.scan(&ready, 4 * JUDGED, |_| true)?);
        signs += among(candidates.get(..JUDGED).context("too few chunks")?);
        let near = candidates.iter().take(2 * JUDGED);
        let full = near.map(|key| (*key, vectors[*key as usize][0].as_slice()));
        let best: Vec<u64> = rescore(query, full, JUDGED)?
            .iter()
            .map(|hit| hit.key)
            .collect();
        rescored += among(&best);
    }
    let wanted = (queries.len() * JUDGED) as f64;
    Ok(vec![
        ("all codes of 8 bits", bare as f64 / wanted),
        ("signs, then codes of the best", signs as f64 / wanted),
        (
            "as served: twice as many, rescored",
            rescored as f64 / wanted,
        ),
    ])
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

fn index(vectors: &[Vec<Vec<f32>>]) -> anyhow::Result<Index> {
    let first = vectors.first().and_then(|windows| windows.first());
    let mut index = Index::new(first.context("no chunks")?.len())?;
    for (key, windows) in (0..).zip(vectors) {
        for window in windows {
            index.append(0, [(key, &Code::new(window)?)])?;
        }
    }
    Ok(index)
}

fn nearest(index: &Index, vectors: &[Vec<Vec<f32>>], query: &[f32]) -> anyhow::Result<Vec<Hit>> {
    let candidates = index.scan(&Query::new(query)?, 4 * DEPTH, |_| true)?;
    let full = candidates.iter().flat_map(|found| {
        let windows = vectors[found.key as usize].iter();
        windows.map(|window| (found.key, window.as_slice()))
    });
    Ok(rescore(query, full, DEPTH)?)
}
