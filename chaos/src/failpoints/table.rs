//! What came of all cases, boundary by boundary: a table for people.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};

use super::{
    boundary::{is_job, short},
    case::{Moment, Outcome, Plan},
    scene::Scene,
};

/// What a boundary is counted under: the statements of a migration's step are one.
fn row(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((step, number)) if number.parse::<u32>().is_ok() => format!("{step}, each statement"),
        _ => short(name),
    }
}

/// What came of the cases of one boundary.
#[derive(Debug, Default)]
struct Line {
    /// A point, which has no commit in it: there is nothing behind it that is not before the next.
    is_point: bool,
    scenes: BTreeSet<&'static str>,
    /// How often a process was aborted before and after.
    aborted: [u64; 2],
    violations: u64,
}

/// All of them, by their short names.
#[derive(Debug, Default)]
pub(super) struct Table {
    lines: BTreeMap<String, Line>,
    /// Cases whose crossing did not come again: scenes are not the same to the millisecond.
    unreached: u64,
    is_whole: bool,
    expected: BTreeSet<String>,
    crossed: BTreeSet<String>,
    undisturbed: Vec<String>,
}

impl Table {
    /// A scene that nothing was done to.
    pub(super) fn rehearsed(&mut self, scene: Scene, outcome: &Outcome) {
        let broken = outcome.broken.iter();
        let broken = broken.map(|what| format!("{}, undisturbed: {what}", scene.words()));
        self.undisturbed.extend(broken);
        let crossings = outcome.trace.crossings.iter();
        self.crossed.extend(crossings.map(|it| short(&it.name)));
    }

    /// Boundaries that have to be crossed; at all of them something has to be aborted, if the table is
    /// `whole`.
    pub(super) fn expect(&mut self, names: &BTreeSet<String>, whole: bool) {
        self.expected.extend(names.iter().map(|name| short(name)));
        self.is_whole = whole;
    }

    /// Counts a case.
    pub(super) fn case(&mut self, scene: Scene, plan: &Plan, outcome: &Outcome) {
        let line = self.lines.entry(row(&plan.name)).or_default();
        line.is_point = !is_job(&plan.name);
        line.violations += outcome.broken.len() as u64;
        if outcome.trace.is_aborted {
            line.scenes.insert(scene.words());
            line.aborted[usize::from(plan.moment == Moment::After)] += 1;
        } else {
            self.unreached += 1;
        }
    }

    /// What is missing in the whole, or was wrong from the beginning.
    pub(super) fn missing(&self) -> Vec<String> {
        let never = self.expected.difference(&self.crossed);
        let never = never.map(|name| format!("no scene crosses {name}"));
        let lines = self.lines.iter().filter(|_| self.is_whole);
        let moments = lines.flat_map(|(name, line)| {
            let counts = ["before", "after"].into_iter().zip(line.aborted);
            let counts = counts.take(if line.is_point { 1 } else { 2 });
            let missed = counts.filter(|(_, count)| *count == 0);
            missed.map(move |(moment, _)| format!("nothing was aborted {moment} {name}"))
        });
        let missing = never.chain(moments);
        missing.chain(self.undisturbed.iter().cloned()).collect()
    }

    pub(super) fn is_good(&self) -> bool {
        self.missing().is_empty() && self.lines.values().all(|line| line.violations == 0)
    }

    /// As it stands in a document.
    pub(super) fn text(&self, time: Duration) -> String {
        let mut text = String::new();
        // Writing to a String can not fail.
        let _ = self.write(&mut text, time);
        text
    }

    fn write(&self, text: &mut String, time: Duration) -> std::fmt::Result {
        let aborts = self.lines.values().flat_map(|line| line.aborted);
        writeln!(
            text,
            "{} boundaries, {} aborts in {:.0} s ({} more were not reached a second time).\n",
            self.lines.len(),
            aborts.sum::<u64>(),
            time.as_secs_f64(),
            self.unreached
        )?;
        writeln!(
            text,
            "| boundary | aborted before | after | in scenes | violations |"
        )?;
        writeln!(text, "| --- | ---: | ---: | --- | ---: |")?;
        for (name, line) in &self.lines {
            let Line {
                is_point,
                scenes,
                aborted: [before, after],
                violations,
            } = line;
            let after = if *is_point { "" } else { &after.to_string() };
            let scenes: Vec<_> = scenes.iter().copied().collect();
            let scenes = scenes.join(", ");
            writeln!(
                text,
                "| `{name}` | {before} | {after} | {scenes} | {violations} |"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::boundary::{Crossing, Trace},
        *,
    };

    const NAME: &str = "loomgate_store::failpoint::Written<loomgate_store::a::b::{{closure}}>";

    fn table(aborts: &[Moment]) -> Table {
        let mut table = Table::default();
        let trace = || Trace {
            crossings: vec![Crossing {
                name: NAME.to_owned(),
                number: 1,
            }],
            is_aborted: true,
        };
        let outcome = || Outcome {
            trace: trace(),
            ..Outcome::default()
        };
        table.rehearsed(Scene::Polled, &outcome());
        table.expect(&BTreeSet::from([NAME.to_owned()]), true);
        for moment in aborts {
            let plan = Plan {
                moment: *moment,
                number: 1,
                name: NAME.to_owned(),
            };
            table.case(Scene::Polled, &plan, &outcome());
        }
        table
    }

    #[test]
    fn a_table_is_good_when_all_was_aborted_and_nothing_violated() {
        let good = table(&[Moment::Before, Moment::After]);
        assert_eq!(good.missing(), [""; 0]);
        assert!(good.is_good());
        let text = good.text(Duration::from_secs(3));
        assert!(
            text.contains("| `a::b` | 1 | 1 | polled runs | 0 |"),
            "{text}"
        );
        let half = table(&[Moment::Before]);
        assert_eq!(half.missing(), ["nothing was aborted after a::b"]);
        assert!(!half.is_good());
    }

    #[test]
    fn what_no_scene_crosses_is_missing() {
        let mut table = table(&[Moment::Before, Moment::After]);
        table.expect(&BTreeSet::from([NAME.replace("b::", "c::")]), true);
        assert_eq!(table.missing(), ["no scene crosses a::c"]);
        assert!(!table.is_good());
    }

    #[test]
    fn a_violation_and_a_scene_that_fails_by_itself_are_not_good() {
        let broken = Outcome {
            broken: vec!["lost".to_owned()],
            ..Outcome::default()
        };
        let both = [Moment::Before, Moment::After];
        let mut undisturbed = table(&both);
        undisturbed.rehearsed(Scene::Polled, &broken);
        assert_eq!(undisturbed.missing(), ["polled runs, undisturbed: lost"]);
        let mut violated = table(&both);
        let plan = Plan {
            moment: Moment::After,
            number: 1,
            name: NAME.to_owned(),
        };
        violated.case(Scene::Polled, &plan, &broken);
        assert!(!violated.is_good());
    }
}
