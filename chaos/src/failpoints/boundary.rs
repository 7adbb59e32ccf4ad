//! Boundaries: what they are called, which ones a program has, and which ones were crossed.

use std::{collections::BTreeSet, path::Path};

use anyhow::ensure;

/// What the name of a job's boundary begins with; it goes on with the type of a closure, and `>`.
const JOB: &str = "loomgate_store::failpoint::Written<";

/// The boundaries of all jobs that a program can send, as their names stand in its file.
pub(super) fn in_program(binary: &Path) -> anyhow::Result<BTreeSet<String>> {
    let bytes = std::fs::read(binary)?;
    let mut names = BTreeSet::new();
    let mut rest = &*bytes;
    while let Some(at) = find(rest, JOB.as_bytes()) {
        rest = &rest[at..];
        if let Some(name) = name_at(rest) {
            names.insert(name.to_owned());
        }
        rest = &rest[JOB.len()..];
    }
    ensure!(
        !names.is_empty(),
        "{} has no failpoints: only debug builds do",
        binary.display()
    );
    Ok(names)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = haystack[at..].iter().position(|byte| *byte == needle[0]) {
        at += found;
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The name at the beginning: up to the bracket that closes its first one. Nothing else ends it.
fn name_at(bytes: &[u8]) -> Option<&str> {
    let mut depth = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'<' => depth += 1,
            // Not the arrow of a function.
            b'>' if bytes[at - 1] != b'-' => {
                depth -= 1;
                if depth == 0 {
                    return std::str::from_utf8(&bytes[..=at]).ok();
                }
            }
            0 => return None,
            _ => {}
        }
    }
    None
}

/// Whether there is a commit in it, with a before and an after.
pub(super) fn is_job(name: &str) -> bool {
    name.starts_with(JOB)
}

/// A name for people: the store's method, and in parentheses for what it was called, if for several
/// things.
pub(super) fn short(name: &str) -> String {
    let Some(inner) = name.strip_prefix(JOB) else {
        return name.to_owned();
    };
    let path = without_impls(inner.strip_suffix('>').unwrap_or(inner));
    let path = path.replace("::{{closure}}", "");
    let path = path.replace("loomgate_store::", "").replace("<'_>", "");
    let Some((method, arguments)) = path.split_once('<') else {
        return path;
    };
    // The innermost of what they name, results and types of functions aside.
    let without_results = arguments.replace("-> ", "-> of ");
    let named = without_results.split(['<', '>', ',']).map(str::trim);
    let mut ours = named.filter(|path| path.starts_with("loomgate_") && !path.contains("Error"));
    let last = ours.next_back().unwrap_or(arguments);
    format!("{method} ({})", last.trim_start_matches("loomgate_"))
}

/// A path without its `<impl ..>::`.
fn without_impls(path: &str) -> String {
    let Some(at) = path.find("<impl ") else {
        return path.to_owned();
    };
    let (before, rest) = path.split_at(at);
    let behind = name_at(rest.as_bytes()).map_or("", |group| &rest[group.len()..]);
    let behind = behind.strip_prefix("::").unwrap_or(behind);
    without_impls(&format!("{before}{behind}"))
}

/// A boundary that was crossed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crossing {
    pub(super) name: String,
    /// How many crossings of this name there were by then that changed something; 0: this one did not.
    pub(super) number: u64,
}

/// What a process has written down.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) crossings: Vec<Crossing>,
    /// It ended as was planned.
    pub(super) is_aborted: bool,
}

impl Trace {
    /// From its file, which is missing where nothing was crossed.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self::parse(&text))
    }

    /// How often a name was crossed.
    pub(super) fn count(&self, name: &str) -> usize {
        self.crossings.iter().filter(|it| it.name == name).count()
    }

    fn parse(text: &str) -> Self {
        let mut trace = Self::default();
        for line in text.lines() {
            let Some((changes, name)) = line.split_once(' ') else {
                trace.is_aborted |= line == "abort";
                continue;
            };
            let number = if changes == "1" {
                let before = trace.crossings.iter().filter(|it| it.name == name);
                before.map(|it| it.number).max().unwrap_or(0) + 1
            } else {
                0
            };
            let name = name.to_owned();
            trace.crossings.push(Crossing { name, number });
        }
        trace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_among_other_bytes() {
        let one = format!("{JOB}a::<impl a::B<'_>>::c::{{{{closure}}}}>");
        let two = format!("{JOB}d<fn(u8) -> e::F<g>, h>::{{{{closure}}}}>");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::write(
            &path,
            format!("\0\u{1}lo{one}{two}loom{one}>>\0{JOB}cut\0>"),
        )
        .unwrap();
        assert_eq!(in_program(&path).unwrap(), BTreeSet::from([one, two]));
        std::fs::write(&path, "nothing").unwrap();
        assert!(in_program(&path).is_err());
    }

    #[test]
    fn a_short_name_tells_the_method_and_for_what() {
        let closure = "::{{closure}}::{{closure}}>";
        let beside = format!("{JOB}loomgate_store::keys::Keys<'_>::put{closure}");
        assert_eq!(short(&beside), "keys::Keys::put");
        let plain = format!(
            "{JOB}loomgate_store::runs::<impl loomgate_store::runs::Runs<'_>>::claim{closure}"
        );
        assert_eq!(short(&plain), "runs::claim");
        let inner =
            "loomgate_engine::commands::<impl loomgate_engine::Engine>::cancel::{{closure}}";
        let generic = format!(
            "{JOB}loomgate_store::runs::<impl loomgate_store::Runs<'_>>::command<E, {inner}>{closure}"
        );
        assert_eq!(short(&generic), "runs::command (engine::commands::cancel)");
        let outer = "loomgate_engine::command::command";
        let nested = generic.replace(inner, &format!("{outer}<{inner}>::{{{{closure}}}}"));
        assert_eq!(short(&nested), "runs::command (engine::commands::cancel)");
        let function = generic.replace(inner, &format!("{outer}<fn(&'_ loomgate_a::B) -> a::B>"));
        assert_eq!(short(&function), "runs::command (engine::command::command)");
        assert_eq!(short("migration of store 2.1"), "migration of store 2.1");
    }

    #[test]
    fn crossings_that_change_something_are_counted() {
        let trace = Trace::parse("0 a\n1 a\n1 b\n0 a\n1 a\nabort\n");
        let numbers: Vec<_> = trace.crossings.iter().map(|it| it.number).collect();
        assert_eq!(numbers, [0, 1, 1, 0, 2]);
        assert!(trace.is_aborted && !Trace::parse("1 a\n").is_aborted);
    }
}
