//! What was measured of file search: a page for people.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::{fmt::Write as _, time::Duration};

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) files: usize,
    /// Of text.
    pub(super) bytes: usize,
    pub(super) chunks: u32,
    pub(super) chunk_tokens: usize,
    pub(super) upload: Duration,
    pub(super) indexing: Duration,
    /// Of the server process, while it indexed.
    pub(super) indexing_cpu: Duration,
    pub(super) searches: Vec<Duration>,
    /// Of the server process, in all of them.
    pub(super) search_cpu: Duration,
    /// In turns with the searches.
    pub(super) scans: Vec<Duration>,
    pub(super) scan_bytes: usize,
    /// Of the ten nearest of an exact search, the part that is found by vectors alone.
    pub(super) recall: f64,
    /// Resident bytes of the server: before, when all was indexed, after the searches, and after a
    /// restart with one search.
    pub(super) resident: [u64; 4],
    /// From the start of the process to its listening, and to its first result.
    pub(super) ready: Vec<[Duration; 2]>,
    /// What was listed; then its first page, one in the middle, its last, each so many times.
    pub(super) pages: Vec<(&'static str, [Vec<Duration>; 3])>,
}

impl Figures {
    pub(super) fn write(&self, machine: &str, binary: &str) -> Result<String, std::fmt::Error> {
        let mut text = format!(
            "# File search: what it costs\n\n\
             Written by `make bench W=W7`. Measured on {machine}; `{binary}` build; embedded database, files in a folder, \
             everything else as it is by default.\n\n"
        );
        let out = &mut text;
        let megabytes = self.bytes as f64 / 1e6;
        writeln!(
            out,
            "{} files of {:.1} MB in all, made-up words with the frequencies of a natural language, cut into {} chunks of \
             {} tokens. Their vectors (384 numbers each) come from a stand-in that costs little.\n",
            self.files, megabytes, self.chunks, self.chunk_tokens,
        )?;
        if binary == "debug" {
            writeln!(
                out,
                "**A debug build: times are several times those of a release.**\n"
            )?;
        }
        writeln!(out, "| ingest | |\n| --- | ---: |")?;
        let rate = |time: Duration| megabytes / time.as_secs_f64();
        writeln!(
            out,
            "| uploads, 8 at a time | {:.1} MB/s |",
            rate(self.upload)
        )?;
        writeln!(
            out,
            "| indexing: read, cut, written, searchable | {:.2} MB/s |",
            rate(self.indexing)
        )?;
        writeln!(
            out,
            "| the server's processor time for it | {:.0} ms a MB |\n",
            millis(self.indexing_cpu) / megabytes
        )?;
        self.write_searches(out)?;
        self.write_memory(out)?;
        self.write_start(out)?;
        self.write_pages(out)?;
        Ok(text)
    }

    fn write_searches(&self, out: &mut String) -> std::fmt::Result {
        let (search, scan) = (at(&self.searches, 50), at(&self.scans, 50));
        writeln!(
            out,
            "| a search of {} chunks, 10 results, one connection | p50 | p95 |",
            self.chunks
        )?;
        writeln!(out, "| --- | ---: | ---: |")?;
        for (words, times) in [
            ("over HTTP: words and vectors, fused", &self.searches),
            (
                "a scan of the codes of as many vectors, in turns with it",
                &self.scans,
            ),
        ] {
            let (median, late) = (millis(at(times, 50)), millis(at(times, 95)));
            writeln!(out, "| {words} | {median:.2} ms | {late:.2} ms |")?;
        }
        writeln!(
            out,
            "\nA search takes {:.2} times that scan at the median (goal: 1.5 at most). The server's processor time is {:.2} ms a search. Of the \
             10 nearest of an exact search it finds {:.3}, by vectors that have nothing to do with each other (no word of the \
             question is anywhere), which is the hardest case for the short codes; real ones: `docs/search-quality.md`.\n",
            search.as_secs_f64() / scan.as_secs_f64(),
            millis(self.search_cpu) / self.searches.len() as f64,
            self.recall,
        )
    }

    fn write_memory(&self, out: &mut String) -> std::fmt::Result {
        let [before, indexed, searched, restarted] = self.resident.map(|bytes| bytes >> 20);
        writeln!(
            out,
            "| resident memory of the server | MiB |\n| --- | ---: |\n\
             | before anything | {before} |\n| when all was indexed | {indexed} |\n\
             | after the searches | {searched} |\n| after a restart, with one search | {restarted} |\n\
             | the codes of as many vectors alone | {} |\n",
            self.scan_bytes >> 20
        )
    }

    fn write_start(&self, out: &mut String) -> std::fmt::Result {
        let of = |which: usize| {
            let times: Vec<_> = self.ready.iter().map(|times| times[which]).collect();
            millis(at(&times, 50))
        };
        writeln!(
            out,
            "| after a kill (SIGKILL), median of {} | |\n| --- | ---: |\n\
             | from the start of the process to its listening | {:.0} ms |\n\
             | to the results of its first search | {:.0} ms |\n",
            self.ready.len(),
            of(0),
            of(1)
        )
    }

    fn write_pages(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "| a page of 20 of a list, p50 | first | middle | last | last to first |"
        )?;
        writeln!(out, "| --- | ---: | ---: | ---: | ---: |")?;
        for (list, pages) in &self.pages {
            let [first, middle, last] = pages.each_ref().map(|times| millis(at(times, 50)));
            writeln!(
                out,
                "| {list} | {first:.2} ms | {middle:.2} ms | {last:.2} ms | {:.2} |",
                last / first
            )?;
        }
        Ok(())
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The time that so many of a hundred do not exceed.
fn at(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    let place = times.len() * percent / 100;
    times
        .get(place.min(times.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let times: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(at(&times, 50), Duration::from_millis(51));
        assert_eq!(at(&times, 95), Duration::from_millis(96));
        assert_eq!(at(&times[..1], 95), Duration::from_millis(100));
    }
}
