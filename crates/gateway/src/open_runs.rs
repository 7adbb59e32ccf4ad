//! Runs at providers that were seen before their end. Each is counted once: by whoever sees its end
//! first. The set outlives the process: what changes in it is handed out to be written, and comes
//! back at the next start.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use loomgate_domain::{
    Timestamp, WorkspaceId,
    limit::{Charge, ClosedRun, OpenRun},
};

/// The most runs that are waited for. When there are more, those that expire first are forgotten.
const MOST: usize = 100_000;
/// Callers may ask late: a run is waited for so much longer than it may take, in seconds.
const LATE: i64 = 3_600;
/// How long a run may take that does not say it, and the longest that any may say, in seconds.
const UNSAID: i64 = 24 * 3_600;
const LONGEST: i64 = 30 * UNSAID;

/// Which run: a caller's workspace, the account and the run's id there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RunKey {
    pub(crate) workspace: WorkspaceId,
    pub(crate) account: Arc<str>,
    pub(crate) run: Arc<str>,
}

/// The runs, and what of them is not written yet.
#[derive(Debug, Default)]
pub(crate) struct OpenRuns {
    until: HashMap<Arc<RunKey>, i64>,
    /// The same by time.
    ends: BTreeSet<(i64, Arc<RunKey>)>,
    opened: HashSet<Arc<RunKey>>,
    /// With what each has used.
    closed: HashMap<Arc<RunKey>, Vec<Charge>>,
}

impl OpenRuns {
    /// A run was seen before its end. `expires_at` is what it says itself, in unix seconds.
    pub(crate) fn open(&mut self, key: RunKey, expires_at: Option<i64>, now: Timestamp) {
        // What was seen to end is only seen late to be open.
        if self.until.contains_key(&key) || self.closed.contains_key(&key) {
            return;
        }
        let expires = expires_at.unwrap_or(now.0.saturating_add(UNSAID));
        let until = expires.clamp(now.0, now.0.saturating_add(LONGEST)) + LATE;
        let key = Arc::new(key);
        self.opened.insert(Arc::clone(&key));
        self.insert(key, until);
        while self.until.len() > MOST {
            self.forget_first();
        }
    }

    /// Whether a run is waited for.
    pub(crate) fn awaits(&self, key: &RunKey) -> bool {
        self.until.contains_key(key)
    }

    /// A run was seen to have ended, and has used so much. Whether it was waited for.
    pub(crate) fn close(&mut self, key: &RunKey, charges: Vec<Charge>) -> bool {
        let Some((key, until)) = self.until.remove_entry(key) else {
            return false;
        };
        self.ends.remove(&(until, Arc::clone(&key)));
        self.closed.insert(key, charges);
        true
    }

    /// What other processes have left, or wait for, too. Those that nobody waits for any more are
    /// forgotten, unless they are not written yet.
    pub(crate) fn load(&mut self, runs: Vec<OpenRun>) {
        let mut theirs = HashSet::with_capacity(runs.len());
        for OpenRun {
            workspace,
            account,
            run,
            until,
        } in runs
        {
            let key = RunKey {
                workspace,
                account,
                run,
            };
            let key = Arc::new(key);
            if !self.closed.contains_key(&key) && !self.until.contains_key(&key) {
                self.insert(Arc::clone(&key), until.0);
            }
            theirs.insert(key);
        }
        let is_over = |key: &&Arc<RunKey>| !theirs.contains(*key) && !self.opened.contains(*key);
        let over: Vec<_> = self.until.keys().filter(is_over).cloned().collect();
        for key in over {
            if let Some(until) = self.until.remove(&key) {
                self.ends.remove(&(until, key));
            }
        }
    }

    /// What was opened and closed since the last time; what is waited for no more is closed.
    pub(crate) fn drain(&mut self, now: Timestamp) -> (Vec<OpenRun>, Vec<ClosedRun>) {
        while self.ends.first().is_some_and(|(until, _)| *until <= now.0) {
            self.forget_first();
        }
        let until = &self.until;
        let row = |key: Arc<RunKey>| OpenRun {
            until: Timestamp(until.get(&key).copied().unwrap_or(0)),
            workspace: key.workspace.clone(),
            account: Arc::clone(&key.account),
            run: Arc::clone(&key.run),
        };
        let opened = self.opened.drain().map(row).collect();
        let closed = self.closed.drain().map(|(key, charges)| ClosedRun {
            run: row(key),
            charges,
        });
        (opened, closed.collect())
    }

    /// Takes back what was drained and could not be written.
    pub(crate) fn restore(&mut self, opened: Vec<OpenRun>, closed: Vec<ClosedRun>) {
        let key = |run: OpenRun| {
            Arc::new(RunKey {
                workspace: run.workspace,
                account: run.account,
                run: run.run,
            })
        };
        // One that has ended meanwhile was never written: it has to be opened for its end to count.
        self.opened.extend(opened.into_iter().map(key));
        for ClosedRun { run, charges } in closed {
            self.closed.entry(key(run)).or_insert(charges);
        }
    }

    fn insert(&mut self, key: Arc<RunKey>, until: i64) {
        self.ends.insert((until, Arc::clone(&key)));
        self.until.insert(key, until);
    }

    fn forget_first(&mut self) {
        if let Some((_, key)) = self.ends.pop_first() {
            self.until.remove(&key);
            self.opened.remove(&key);
            self.closed.insert(key, Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000);

    fn key(run: &str) -> RunKey {
        RunKey {
            workspace: WorkspaceId::trusted("ws_a"),
            account: "vk:main".into(),
            run: run.into(),
        }
    }

    fn names(runs: &[OpenRun]) -> Vec<&str> {
        let mut names: Vec<_> = runs.iter().map(|run| &*run.run).collect();
        names.sort_unstable();
        names
    }

    fn ended(runs: &[ClosedRun]) -> Vec<&str> {
        runs.iter().map(|it| &*it.run.run).collect()
    }

    #[test]
    fn a_run_is_closed_once_and_only_where_it_was_seen_open() {
        let mut runs = OpenRuns::default();
        assert!(!runs.close(&key("run_1"), Vec::new()));
        runs.open(key("run_1"), Some(NOW.0 + 600), NOW);
        for other in [
            RunKey {
                workspace: WorkspaceId::trusted("ws_b"),
                ..key("run_1")
            },
            RunKey {
                account: "vk:other".into(),
                ..key("run_1")
            },
        ] {
            assert!(!runs.close(&other, Vec::new()), "{other:?}");
        }
        assert!(runs.close(&key("run_1"), Vec::new()));
        assert!(!runs.close(&key("run_1"), Vec::new()));
    }

    #[test]
    fn what_is_written_leads_to_the_same_set() {
        let mut runs = OpenRuns::default();
        runs.open(key("run_1"), Some(NOW.0 + 600), NOW);
        runs.open(key("run_2"), None, NOW);
        let (opened, closed) = runs.drain(NOW);
        assert_eq!((opened.len(), closed.len()), (2, 0));
        assert_eq!(runs.drain(NOW), (Vec::new(), Vec::new()));
        let until = |name: &str| opened.iter().find(|run| &*run.run == name).unwrap().until;
        assert_eq!(until("run_1"), Timestamp(NOW.0 + 600 + LATE));
        assert_eq!(until("run_2"), Timestamp(NOW.0 + UNSAID + LATE));

        let mut next = OpenRuns::default();
        next.load(opened);
        assert!(next.close(&key("run_1"), Vec::new()));
        assert_eq!(ended(&next.drain(NOW).1), ["run_1"]);
        // Seen again before its end: nothing new.
        next.open(key("run_2"), None, NOW);
        assert_eq!(next.drain(NOW).0, []);
    }

    #[test]
    fn what_was_not_written_is_written_next_time_unless_it_has_changed() {
        let mut runs = OpenRuns::default();
        for run in ["run_1", "run_2"] {
            runs.open(key(run), None, NOW);
        }
        let (opened, closed) = runs.drain(NOW);
        runs.close(&key("run_1"), Vec::new());
        runs.restore(opened, closed);
        let (opened, closed) = runs.drain(NOW);
        assert_eq!(
            (names(&opened), ended(&closed)),
            // That it was open is what its end is counted by.
            (vec!["run_1", "run_2"], vec!["run_1"])
        );
        runs.restore(Vec::new(), closed);
        // Told too late.
        runs.open(key("run_1"), None, NOW);
        let (opened, closed) = runs.drain(NOW);
        assert_eq!((opened, ended(&closed)), (Vec::new(), vec!["run_1"]));
    }

    #[test]
    fn what_others_wait_for_is_waited_for_here() {
        let (mut ours, mut theirs) = (OpenRuns::default(), OpenRuns::default());
        ours.open(key("run_1"), None, NOW);
        ours.open(key("run_2"), None, NOW);
        let (written, _) = ours.drain(NOW);
        theirs.load(written.clone());
        assert!(theirs.awaits(&key("run_1")));
        // They close one, and one is not written yet.
        ours.open(key("run_3"), None, NOW);
        let left = written.into_iter().filter(|run| &*run.run != "run_1");
        ours.load(left.collect());
        assert!(!ours.awaits(&key("run_1")));
        assert!(ours.awaits(&key("run_2")) && ours.awaits(&key("run_3")));
        // One that was closed here does not come back.
        let run = ours.drain(NOW).0;
        assert!(ours.close(&key("run_3"), Vec::new()));
        ours.load(run);
        assert!(!ours.awaits(&key("run_3")));
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut runs = OpenRuns::default();
        runs.open(key("run_1"), Some(NOW.0 + 600), NOW);
        runs.open(key("run_2"), Some(i64::MAX), NOW);
        let late = Timestamp(NOW.0 + 600 + LATE);
        let (opened, closed) = runs.drain(late);
        assert_eq!(
            (names(&opened), ended(&closed)),
            (vec!["run_2"], vec!["run_1"])
        );
        assert!(!runs.close(&key("run_1"), Vec::new()));
        let last = Timestamp(NOW.0 + LONGEST + LATE);
        assert_eq!(ended(&runs.drain(last).1), ["run_2"]);
        assert!(runs.until.is_empty() && runs.ends.is_empty());
    }

    #[test]
    fn there_are_never_more_than_the_most() {
        let mut runs = OpenRuns::default();
        for index in 0..MOST + 5 {
            let expires = NOW.0 + i64::try_from(index).unwrap();
            runs.open(key(&format!("run_{index}")), Some(expires), NOW);
        }
        assert_eq!((runs.until.len(), runs.ends.len()), (MOST, MOST));
        assert!(!runs.close(&key("run_4"), Vec::new()) && runs.close(&key("run_5"), Vec::new()));
    }
}
