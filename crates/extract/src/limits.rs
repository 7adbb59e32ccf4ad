//! What one document may cost.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds on what is read and written; passing one ends with a refusal that names it.
///
/// They bound work inside the parsers. Memory and time are bounded from outside, by
/// [`Confinement`], because a parser's own use of memory cannot be counted from within.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of the file.
    pub input_bytes: u64,
    /// Characters (Unicode scalar values) of the text.
    pub output_chars: usize,
    /// Entries of an archive (docx, pptx and xlsx are archives).
    pub entries: usize,
    /// Unpacked bytes of one entry.
    pub entry_bytes: u64,
    /// Unpacked bytes in all: of the entries that are read, or of what a PDF draws.
    pub unpacked_bytes: u64,
    /// Unpacked bytes for each packed byte of an entry, once it is larger than 16 MiB.
    pub ratio: u64,
    /// Elements inside each other in a part of an office document.
    pub depth: usize,
    /// Pages, slides or sheets.
    pub pages: usize,
    /// Drawing operators of a PDF in all.
    pub operators: u64,
}

impl Default for Limits {
    /// The original took files of 512 MB and 5,000,000 tokens (`contract/behaviour.md`, section 12);
    /// a token is about four characters.
    fn default() -> Self {
        Self {
            input_bytes: 512 << 20,
            output_chars: 20_000_000,
            entries: 10_000,
            entry_bytes: 256 << 20,
            unpacked_bytes: 1 << 30,
            ratio: 200,
            depth: 256,
            pages: 20_000,
            operators: 100_000_000,
        }
    }
}

/// Bounds on the child process, kept by the kernel and by the parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Address space that the child may take beyond what it has when it starts, in bytes.
    pub memory_bytes: u64,
    /// Processor time of the child, in seconds; a file that needs more is at fault itself.
    pub cpu_seconds: u64,
    /// Time from the child's start to its whole answer, waiting for the file included. Well above
    /// `cpu_seconds`, because what ends by it is not the file's fault: the machine or its storage is slow.
    pub wall_clock: Duration,
    /// Children at once, of one [`Extractor`](crate::Extractor).
    pub at_once: usize,
}

impl Default for Confinement {
    fn default() -> Self {
        Self {
            memory_bytes: 2 << 30,
            cpu_seconds: 120,
            wall_clock: Duration::from_mins(5),
            at_once: 2,
        }
    }
}
