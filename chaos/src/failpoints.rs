//! Failpoints: the server, and commands that change the database, are aborted at every commit, before
//! and after, started again, and checked. What there is to cross is found out by playing each scene
//! once undisturbed; that no write of the store is left out, by the names that the program itself
//! holds (`crates/store/src/failpoint.rs`).

mod attachments;
mod boundary;
mod case;
mod command;
mod documents;
mod old;
mod pen;
mod place;
mod records;
mod renewal;
mod rounds;
mod scene;
mod table;

use std::{collections::BTreeSet, io::Write, rc::Rc, time::Instant};

use anyhow::Context as _;
use loomgate_bench::{
    document,
    statistics::{Dice, any_number},
};
use tokio::task::{JoinSet, LocalSet};

use self::{
    boundary::{Crossing, is_job, short},
    case::{Moment, Outcome, Plan},
    place::{Places, Prepared},
    scene::Scene,
    table::Table,
};
use crate::{ground::Engine, stage, storm};

/// What the short names of those begin with whose every crossing is another one: a run's begin, its
/// calls, its end.
const RUNS: [&str; 2] = ["runs::advance", "events::"];

/// How often a case is played until its crossing comes: scenes are not the same to the millisecond.
const ATTEMPTS: usize = 3;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Every crossing. Without it, of all but those of runs and their events the first and the last of a
    /// name in a scene.
    #[arg(long)]
    all: bool,
    /// Places at the same time: 3, or 8 on PostgreSQL, where they mostly wait for leases to end.
    #[arg(long)]
    jobs: Option<usize>,
    /// Only one in so many cases, drawn by `--seed`.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    one_in: u16,
    /// What they are drawn from. Without one it is any.
    #[arg(long)]
    seed: Option<u64>,
    /// Only scenes and boundaries whose names hold this.
    #[arg(long, default_value = "")]
    only: String,
}

/// A scene that was played undisturbed.
struct Rehearsal {
    scene: Scene,
    prepared: Prepared,
    outcome: Outcome,
}

/// Whether all went as it should.
pub(crate) async fn run(
    options: &Options,
    storm: &storm::Options,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    // A database that is looked at stays on its thread.
    let here = LocalSet::new();
    here.run_until(play_all(options, storm, out)).await
}

async fn play_all(
    options: &Options,
    storm: &storm::Options,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let began = Instant::now();
    let known = boundary::in_program(&storm.binary)?;
    let folder = tempfile::tempdir()?;
    let jobs = options.jobs.unwrap_or(match storm.ground.database {
        Engine::Sqlite => 3,
        Engine::Postgres => 8,
    });
    let places = Places::new(storm, jobs, folder.path()).await?;
    let places = Rc::new(places);
    let mut table = Table::default();
    let rehearsals = rehearse(&places).await?;
    for rehearsal in &rehearsals {
        let Rehearsal { scene, outcome, .. } = &**rehearsal;
        let crossings = outcome.trace.crossings.len();
        writeln!(out, "failpoints: {}: {crossings} crossings", scene.words())?;
        table.rehearsed(*scene, outcome);
    }
    let mut cases = cases(&rehearsals, options.all);
    let is_whole = options.only.is_empty() && options.one_in == 1;
    cases.retain(|(rehearsal, plan)| {
        let names = format!("{} {plan}", rehearsal.scene.words());
        names.contains(&options.only)
    });
    let seed = options.seed.unwrap_or_else(any_number);
    let mut dice = Dice::new(seed);
    cases.retain(|_| dice.below(options.one_in.into()) == 0);
    table.expect(&known, is_whole);
    writeln!(out, "failpoints: {} cases of seed {seed}", cases.len())?;
    let mut running = JoinSet::new();
    for (rehearsal, plan) in cases {
        let places = Rc::clone(&places);
        running.spawn_local(async move {
            let outcome = abort(&places, &rehearsal, &plan).await;
            (rehearsal.scene, plan, outcome)
        });
    }
    while let Some(done) = running.join_next().await {
        let (scene, plan, outcome) = done?;
        for broken in &outcome.broken {
            writeln!(
                out,
                "failpoints: VIOLATED: {}, {plan}: {broken}",
                scene.words()
            )?;
        }
        table.case(scene, &plan, &outcome);
    }
    for rehearsal in &rehearsals {
        rehearsal.prepared.remove(&places).await?;
    }
    let mut text = stage::measured(&storm.binary);
    text.push_str(&table.text(began.elapsed()));
    out.write_all(text.as_bytes())?;
    for missing in table.missing() {
        writeln!(out, "failpoints: MISSED: {missing}")?;
    }
    let document = storm.document.as_ref();
    if let Some(path) = document.filter(|_| is_whole && table.is_good()) {
        let engine = match storm.ground.database {
            Engine::Sqlite => "failpoints on SQLite",
            Engine::Postgres => "failpoints on PostgreSQL",
        };
        document::replace(path, engine, &text)?;
    }
    Ok(table.is_good())
}

/// Plays every scene once to its end.
async fn rehearse(places: &Rc<Places>) -> anyhow::Result<Vec<Rc<Rehearsal>>> {
    let mut rehearsing = JoinSet::new();
    for scene in Scene::ALL {
        let places = Rc::clone(places);
        rehearsing.spawn_local(async move {
            let about = || format!("the scene {}", scene.words());
            let prepared = places.prepare(scene).await.with_context(about)?;
            let outcome = places.play(scene, &prepared, None).await;
            anyhow::Ok(Rehearsal {
                scene,
                prepared,
                outcome: outcome.with_context(about)?,
            })
        });
    }
    let mut rehearsals = Vec::new();
    while let Some(done) = rehearsing.join_next().await {
        rehearsals.push(Rc::new(done??));
    }
    rehearsals.sort_by_key(|rehearsal| rehearsal.scene);
    Ok(rehearsals)
}

/// Plays a scene whose process is aborted, and compares what it leaves.
async fn abort(places: &Places, rehearsal: &Rehearsal, plan: &Plan) -> Outcome {
    let Rehearsal {
        scene,
        prepared,
        outcome: undisturbed,
    } = rehearsal;
    let mut outcome = Outcome::default();
    for _ in 0..ATTEMPTS {
        outcome = match places.play(*scene, prepared, Some(plan)).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome {
                broken: vec![format!("{error:#}")],
                ..Outcome::default()
            },
        };
        if outcome.trace.is_aborted || !outcome.broken.is_empty() {
            break;
        }
    }
    if outcome.broken.is_empty() && outcome.left != undisturbed.left {
        let differs = |line: &&String| !undisturbed.left.contains(line);
        let lines: Vec<_> = outcome.left.iter().filter(differs).collect();
        let what = format!("other things are left than undisturbed, among them {lines:?}");
        outcome.broken.push(what);
    }
    outcome
}

/// Where each scene is aborted.
fn cases(rehearsals: &[Rc<Rehearsal>], all: bool) -> Vec<(Rc<Rehearsal>, Plan)> {
    let mut cases = Vec::new();
    let mut planned = BTreeSet::new();
    for rehearsal in rehearsals {
        let crossings = rehearsal.outcome.own_crossings(rehearsal.scene);
        for crossing in chosen(crossings, all) {
            let is_new = planned.insert(&*crossing.name);
            // Points are those of the same start in every scene; migrations have their own.
            let is_again = !is_new && !is_job(&crossing.name) && rehearsal.scene != Scene::Migrated;
            if is_again && !all {
                continue;
            }
            cases.extend(plans(crossing).map(|plan| (Rc::clone(rehearsal), plan)));
        }
    }
    // Those that never changed anything are worth one case, where they come most often.
    let names = rehearsals.iter().flat_map(|it| &it.outcome.trace.crossings);
    for Crossing { name, .. } in names {
        if !planned.insert(name) {
            continue;
        }
        let count = |it: &&Rc<Rehearsal>| it.outcome.trace.count(name);
        if let Some(rehearsal) = rehearsals.iter().max_by_key(count) {
            let (name, number) = (name.clone(), 0);
            let plans = plans(&Crossing { name, number });
            cases.extend(plans.map(|plan| (Rc::clone(rehearsal), plan)));
        }
    }
    cases
}

/// Crossings that a process is aborted at: those that change something; without `all`, of most names
/// the first and the last.
fn chosen(crossings: &[Crossing], all: bool) -> Vec<&Crossing> {
    let changing = crossings.iter().filter(|crossing| crossing.number > 0);
    let is_chosen = |crossing: &&Crossing| {
        let of_name = crossings.iter().filter(|it| it.name == crossing.name);
        let last = of_name.map(|it| it.number).max();
        let is_of_run = RUNS.iter().any(|it| short(&crossing.name).starts_with(it));
        all || is_of_run || crossing.number == 1 || Some(crossing.number) == last
    };
    changing.filter(is_chosen).collect()
}

/// Before and after a crossing, as far as there is a commit in it.
fn plans(crossing: &Crossing) -> impl Iterator<Item = Plan> + use<> {
    let Crossing { name, number } = crossing.clone();
    let after = is_job(&name).then_some(Moment::After);
    [Moment::Before]
        .into_iter()
        .chain(after)
        .map(move |moment| Plan {
            moment,
            number,
            name: name.clone(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_change_of_each_name_are_chosen() {
        let crossing = |name: &str, number| Crossing {
            name: name.to_owned(),
            number,
        };
        let crossings = [
            crossing("a", 0),
            crossing("a", 1),
            crossing("b", 1),
            crossing("a", 2),
            crossing("a", 3),
            crossing("a", 0),
        ];
        let numbers = |all| -> Vec<_> {
            let chosen = chosen(&crossings, all).into_iter();
            chosen.map(|it| (&*it.name, it.number)).collect()
        };
        assert_eq!(numbers(false), [("a", 1), ("b", 1), ("a", 3)]);
        assert_eq!(numbers(true), [("a", 1), ("b", 1), ("a", 2), ("a", 3)]);
        let of_run = [1, 2, 3].map(|number| crossing("runs::advance::commit", number));
        assert_eq!(chosen(&of_run, false).len(), 3);
    }
}
