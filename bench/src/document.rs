//! Writing results into a document, between markers, so that nobody types a figure.

use std::{path::Path, process::Command};

use anyhow::Context;

/// Replaces what stands between the markers of `name`.
pub fn replace(path: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let document = std::fs::read_to_string(path)?;
    let begin = format!("<!-- generated: {name} -->\n");
    let end = "<!-- end generated -->";
    let missing = || format!("no markers of {name} in {}", path.display());
    let (before, rest) = document.split_once(&begin).with_context(missing)?;
    let (_, after) = rest.split_once(end).with_context(missing)?;
    std::fs::write(path, format!("{before}{begin}{text}{end}{after}"))?;
    Ok(())
}

/// What the figures were measured on, in one line.
pub fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    // Of the machine: this process may have been kept to one of them.
    let is_core = |line: &&str| line.starts_with("processor");
    let cores = cpu.lines().filter(is_core).count();
    format!(
        "{cores} cores of {model}; {}; {}; commit {}",
        output("uname", &["-sr"]),
        output("rustc", &["--version"]),
        commit(),
    )
}

/// What is measured, as git names it.
pub fn commit() -> String {
    output("git", &["rev-parse", "--short", "HEAD"])
}

/// The build that a program is of: `dist`, `release`, `debug`.
pub fn build(binary: &Path) -> String {
    let build = binary.parent().and_then(Path::file_name);
    build.map_or_else(
        || "unknown".to_owned(),
        |build| build.to_string_lossy().into_owned(),
    )
}

fn output(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(
            || format!("{program}: unknown"),
            |text| text.trim().to_owned(),
        )
}
