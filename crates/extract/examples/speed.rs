//! `cargo run --release --example speed -p loomgate-extract [FILE..]` prints how fast each kind of text is
//! read, in megabytes of the file a second, in this process: of some text that is made here, and of files.

use std::{
    env, fs,
    io::{self, Write},
    path::Path,
    time::Instant,
};

use loomgate_extract::{Format, Limits, extract};

/// Least time of a measurement, in seconds.
const LEAST: f64 = 0.5;

fn main() -> io::Result<()> {
    let words = "The quick brown fox jumps over the lazy dog, again and again. ";
    let kinds = [
        (Format::Plain, words.repeat(50_000)),
        (
            Format::Html,
            format!("<div><h2>{words}</h2><p>{words}</p><ul><li>{words}</ul></div>").repeat(10_000),
        ),
        (Format::Html, "<div>".repeat(500_000) + words),
        (
            Format::Json,
            format!(
                "[{}1]",
                format!("{{\"text\":\"{words}\",\"number\":[1,2,3]}},").repeat(20_000)
            ),
        ),
        (
            Format::Delimited,
            "Name,Text\n".to_owned() + &format!("Ada,\"{words}\"\n").repeat(30_000),
        ),
        (
            Format::Doc,
            format!(
                "{{\\rtf1\\ansi {}}}",
                format!("\\b {words}\\b0\\par ").repeat(20_000)
            ),
        ),
    ];
    for (format, text) in kinds {
        report(&format!("{format:?}"), format, text.as_bytes())?;
    }
    for file in env::args().skip(1) {
        let format = Format::of_name(&file).map_err(io::Error::other)?;
        let name = Path::new(&file).file_name().unwrap_or_default();
        report(&name.to_string_lossy(), format, &fs::read(&file)?)?;
    }
    Ok(())
}

fn report(name: &str, format: Format, bytes: &[u8]) -> io::Result<()> {
    let begun = Instant::now();
    let mut runs = 0;
    let read = loop {
        let read = extract(format, bytes, &Limits::default());
        runs += 1;
        if begun.elapsed().as_secs_f64() > LEAST {
            break read;
        }
    };
    let seconds = begun.elapsed().as_secs_f64() / f64::from(runs);
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    let megabytes = bytes.len() as f64 / 1e6;
    let found = match read {
        Ok(text) => format!("{} bytes of text", text.text.len()),
        Err(refusal) => refusal.message,
    };
    writeln!(
        io::stdout(),
        "{name:<24} {megabytes:>8.2} MB {:>8.1} MB/s  {found}",
        megabytes / seconds
    )
}
