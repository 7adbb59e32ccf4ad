//! Prints what the crate's inner loops cost, on one thread, beside the raw loops that bound them:
//!
//! ```text
//! cargo run --release -p loomgate-search --example search_bench -- scan
//! cargo run --release -p loomgate-search --example search_bench -- chunk FILE...
//! cargo run --release -p loomgate-search --example search_bench -- embed MODEL_FOLDER FILE...
//! ```
//!
//! `embed` also measures recall: chunks of the files are embedded and searched with other chunks of them.

#![expect(clippy::print_stdout, reason = "prints figures")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]
#![expect(clippy::cast_possible_truncation, reason = "keys are numbers of rows")]

use std::{env, fs, hint::black_box, path::Path, time::Instant};

use loomgate_search::{
    ChunkingStrategy, chunks,
    embed::Model,
    vector::{Code, Index, Query, cosine, rescore},
};
use loomgate_tokens::cl100k_base;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["scan"] => {
            scan(384)?;
            scan(1536)
        }
        ["chunk", files @ ..] => chunk(&read(files)?),
        ["embed", model, files @ ..] => embed(Path::new(model), &read(files)?),
        _ => Err("say `scan`, `chunk FILE...` or `embed MODEL_FOLDER FILE...`".into()),
    }
}

fn read(files: &[&str]) -> Result<String, std::io::Error> {
    let texts: Result<Vec<String>, _> = files.iter().map(fs::read_to_string).collect();
    Ok(texts?.join("\n\n"))
}

/// Rows of a scan.
const ROWS: usize = 100_000;
/// Times that something is measured; the best counts, as others use the machine too.
const TIMES: usize = 31;

fn scan(dimensions: usize) -> Outcome {
    let mut seed = 1_u64;
    let mut vector = || -> Vec<f32> { (0..dimensions).map(|_| random(&mut seed)).collect() };
    let mut index = Index::new(dimensions)?;
    let mut full: Vec<f32> = Vec::with_capacity(ROWS * dimensions);
    let mut codes: Vec<i8> = Vec::with_capacity(ROWS * dimensions);
    for row in 0..ROWS {
        let vector = vector();
        index.append(row as u64 / 50, [(row as u64, &Code::new(&vector)?)])?;
        codes.extend(
            Code::new(&vector)?.to_bytes()[4..]
                .iter()
                .map(|byte| byte.cast_signed()),
        );
        full.extend(vector);
    }
    let query = vector();
    let ready = Query::new(&query)?;
    println!(
        "{ROWS} rows x {dimensions}, {} bytes a row in memory ({:.2} bytes a dimension)",
        index.bytes() / ROWS,
        index.bytes() as f64 / (ROWS * dimensions) as f64
    );
    let read_floats = best(|| {
        full.as_chunks::<16>()
            .0
            .iter()
            .fold([0.0_f32; 16], |mut sums, row| {
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, number)| *sum += number);
                sums
            })
    });
    let products = best(|| {
        full.chunks_exact(dimensions)
            .map(|row| product(row, &query))
            .fold(0.0_f32, f32::max)
    });
    let read_codes = best(|| {
        codes
            .as_chunks::<32>()
            .0
            .iter()
            .fold([0_i8; 32], |mut sums, row| {
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, number)| *sum ^= number);
                sums
            })
    });
    println!(
        "  reading f32 {read_floats:.2} ms, raw f32 scan {products:.2} ms, reading int8 {read_codes:.2} ms"
    );
    let ready_time = best(|| Query::new(&query));
    let all = best(|| index.scan(&ready, 40, |_| true));
    let all_codes = best(|| index.scan_all_codes(&ready, 40));
    let some = best(|| index.scan(&ready, 40, |group| group % 10 == 0));
    let candidates = index.scan(&ready, 40, |_| true)?;
    let rescoring = best(|| {
        let vectors = candidates.iter().map(|found| {
            (
                found.key,
                &full[found.key as usize * dimensions..][..dimensions],
            )
        });
        rescore(&query, vectors, 10)
    });
    println!(
        "  query made ready {ready_time:.3} ms, scan {all:.2} ms, of all codes {all_codes:.2} ms, scan of a tenth {some:.2} ms, rescoring 40 {rescoring:.3} ms"
    );
    println!(
        "  whole query / reading int8: {:.2}; / raw f32 scan: {:.2}",
        (ready_time + all + rescoring) / read_codes,
        (ready_time + all + rescoring) / products
    );
    Ok(())
}

fn product(one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    for (one, other) in one
        .as_chunks::<16>()
        .0
        .iter()
        .zip(other.as_chunks::<16>().0)
    {
        for lane in 0..16 {
            sums[lane] += one[lane] * other[lane];
        }
    }
    sums.iter().sum()
}

fn chunk(text: &str) -> Outcome {
    let megabytes = text.len() as f64 / 1e6;
    let start = Instant::now();
    let tokens = cl100k_base().count(text);
    println!(
        "{megabytes:.1} MB, {tokens} tokens: counted at {:.1} MB/s",
        megabytes / start.elapsed().as_secs_f64()
    );
    let start = Instant::now();
    let found =
        chunks(text, ChunkingStrategy::default(), usize::MAX).collect::<Result<Vec<_>, _>>()?;
    let mean = found.iter().map(|chunk| chunk.tokens).sum::<usize>() / found.len().max(1);
    println!(
        "{} chunks of {mean} tokens on average, at {:.1} MB/s",
        found.len(),
        megabytes / start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn embed(folder: &Path, text: &str) -> Outcome {
    let start = Instant::now();
    let model = Model::load(folder)?;
    println!(
        "model loaded in {:.0} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
    for (size, most) in [(800, 64), (100, 6000)] {
        let strategy = ChunkingStrategy::new(size, 0)?;
        let found = chunks(text, strategy, usize::MAX)
            .take(most)
            .collect::<Result<Vec<_>, _>>()?;
        let texts: Vec<&str> = found.iter().map(|chunk| chunk.text).collect();
        let start = Instant::now();
        let embeddings = model.embed(&texts);
        let seconds = start.elapsed().as_secs_f64();
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        println!(
            "{} chunks of {size} tokens: {:.1} chunks/s, {:.3} MB/s",
            texts.len(),
            texts.len() as f64 / seconds,
            bytes as f64 / 1e6 / seconds
        );
        if size == 100 {
            recall(&embeddings)?;
        }
    }
    Ok(())
}

/// Recall@10 of scan and rescoring, against exact search, a twentieth of the embeddings being the queries.
fn recall(embeddings: &[Vec<f32>]) -> Outcome {
    let (queries, rows): (Vec<_>, Vec<_>) = embeddings
        .iter()
        .enumerate()
        .partition(|(number, _)| number % 20 == 0);
    let mut index = Index::new(embeddings[0].len())?;
    for (key, vector) in &rows {
        index.append(0, [(*key as u64, &Code::new(vector)?)])?;
    }
    for oversample in [1, 2, 4] {
        let mut found = 0;
        for (_, query) in &queries {
            let mut exact: Vec<(f32, u64)> = rows
                .iter()
                .map(|(key, row)| Ok((cosine(query, row)?, *key as u64)))
                .collect::<Result<_, loomgate_search::vector::VectorError>>()?;
            exact.sort_by(|one, other| other.0.total_cmp(&one.0));
            let candidates = index.scan(&Query::new(query)?, 10 * oversample, |_| true)?;
            let vectors = candidates
                .iter()
                .map(|found| (found.key, embeddings[found.key as usize].as_slice()));
            let hits = rescore(query, vectors, 10)?;
            found += hits
                .iter()
                .filter(|hit| exact[..10].iter().any(|(_, key)| *key == hit.key))
                .count();
        }
        println!(
            "  recall@10 over {} rows, {} queries, {} candidates: {:.4}",
            rows.len(),
            queries.len(),
            10 * oversample,
            found as f64 / (10 * queries.len()) as f64
        );
    }
    Ok(())
}

/// Milliseconds.
fn best<R>(mut of: impl FnMut() -> R) -> f64 {
    let mut times: Vec<f64> = (0..TIMES)
        .map(|_| {
            let start = Instant::now();
            black_box(of());
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[0]
}

fn random(state: &mut u64) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 40) as f32 / 8_388_608.0 - 1.0
}
