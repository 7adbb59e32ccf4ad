//! How well written questions find the passages that answer them: asked of the program over HTTP, by words alone and by
//! words and vectors, on both databases; and what vectors bring by themselves, in this process.
//!
//! Each line of the questions has a question, the file that answers it, and words of the passage that does, with tabs
//! between them. Every chunk of that file that holds the words is relevant. Prints tables in Markdown.

mod judgement;
mod served;
mod set;
mod vectors;

use std::{io::Write, path::PathBuf};

use loomgate_bench::cluster::Cluster;
use loomgate_search::{ChunkingStrategy, embed::Model};

use self::{judgement::Judgement, served::Place, set::Set};

/// Sizes of chunks in tokens, with how many of them two have in common: the default, and small ones.
const SIZES: [(usize, usize); 2] = [(800, 400), (200, 100)];
/// So many results of a question are judged.
const JUDGED: usize = 10;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The program to ask; a release build.
    #[arg(long, default_value = "target/release/loomgate")]
    binary: PathBuf,
    /// The folder of a sentence encoder; scripts/get-embedding-model.sh prints it.
    #[arg(long)]
    model: PathBuf,
    /// The folder of the documents.
    #[arg(long)]
    docs: PathBuf,
    /// The questions.
    #[arg(long)]
    questions: PathBuf,
    /// A text of many more chunks, for what scans of large stores find.
    #[arg(long)]
    more: PathBuf,
    /// The folder of PostgreSQL's programs; scripts/ensure-postgres.sh prints it.
    #[arg(long)]
    postgres_bin: PathBuf,
}

pub(crate) async fn run(options: &Options, out: &mut impl Write) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::start(&options.postgres_bin, folder.path(), "", None).await?;
    let model = Model::load(&options.model)?;
    let mut scans = Vec::new();
    writeln!(
        out,
        "| chunks | ranking | recall@{JUDGED} | nDCG@{JUDGED} | MRR |"
    )?;
    writeln!(out, "| --- | --- | ---: | ---: | ---: |")?;
    for (size, overlap) in SIZES {
        let strategy = ChunkingStrategy::new(size, overlap)?;
        let set = Set::read(&options.docs, &options.questions, strategy)?;
        let name = format!("{} of {size}/{overlap}", set.chunks.len());
        let mut row = |ranking: &str, judgement: &Judgement| {
            writeln!(out, "| {name} | {ranking} | {judgement} |")
        };
        for model in [None, Some(&*options.model)] {
            let what = model.map_or("words", |_| "words and vectors");
            for (engine, database) in [
                ("SQLite", None),
                (
                    "PostgreSQL",
                    Some(
                        cluster
                            .database(&format!("{what}{size}").replace(' ', "_"))
                            .await?,
                    ),
                ),
            ] {
                let place = Place {
                    binary: &options.binary,
                    database: database.as_deref(),
                    model,
                };
                let judged = served::ask(&place, &set, (size, overlap)).await?;
                row(&format!("{what}, {engine}"), &judged)?;
            }
        }
        let found = vectors::Found::of(&set, &model)?;
        row("vectors alone, mean of windows", &found.mean)?;
        row("vectors alone, best window", &found.best)?;
        scans.push((name, found.scans));
    }
    let text = std::fs::read_to_string(&options.more)?;
    scans.push(vectors::large(&text, &options.questions, &model)?);
    writeln!(
        out,
        "\n| chunks | scan | recall@{JUDGED} of the exactly nearest |"
    )?;
    writeln!(out, "| --- | --- | ---: |")?;
    for (name, scans) in scans {
        for (scan, recall) in scans {
            writeln!(out, "| {name} | {scan} | {recall:.3} |")?;
        }
    }
    Ok(())
}
