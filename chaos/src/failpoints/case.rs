//! One case: a scene whose server is aborted at one crossing, started again, and left to go on; then
//! everything that was acknowledged is looked for.

use std::{fmt, path::Path, process::ExitStatus, time::Duration};

use anyhow::Context as _;
use loomgate_bench::statistics::Dice;
use tokio::{task::JoinSet, time::timeout};

use super::{
    boundary::{Crossing, Trace, short},
    place::{Place, SERVER},
    scene::{Apis, Played, Scene},
};
use crate::{
    client,
    database::Database,
    report::{Report, Storm},
    verdict::{Seen, Verdict},
};

/// How long a scene may take.
pub(super) const LONGEST: Duration = Duration::from_mins(2);
/// How long what a server does by itself may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Before a commit, or behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moment {
    Before,
    After,
}

/// Where a process is aborted.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) moment: Moment,
    /// As in [`super::boundary::Crossing`]; 0: the first one at all.
    pub(super) number: u64,
    pub(super) name: String,
}

impl Plan {
    /// As the program reads it.
    pub(super) fn words(&self) -> String {
        let moment = match self.moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        format!("{moment} {} {}", self.number, self.name)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = match self.moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        write!(f, "{moment} {} {}", self.number, short(&self.name))
    }
}

/// What came of a case.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) trace: Trace,
    /// How many crossings there were when the server listened.
    pub(super) at_start: usize,
    /// What was violated.
    pub(super) broken: Vec<String>,
    /// What stands in the database in the end, where that has to be the same each time.
    pub(super) left: Vec<String>,
}

impl Outcome {
    /// The crossings that belong to the scene.
    pub(super) fn own_crossings(&self, scene: Scene) -> &[Crossing] {
        let start = if scene.is_about_start() {
            0
        } else {
            self.at_start
        };
        &self.trace.crossings[start..]
    }
}

/// Plays a scene in a place that was prepared for it. Without a plan it goes undisturbed to its end.
pub(super) async fn run(
    scene: Scene,
    place: &mut Place,
    plan: Option<&Plan>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    place.arm(plan);
    let mut playing = Playing::default();
    playing.task.spawn(scene.play(Apis::of(place)));
    let end = live(scene, place, &mut playing, &mut outcome.at_start).await;
    outcome.trace = place.trace()?;
    let broken = match end {
        _ if outcome.trace.is_aborted => None,
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("the server ended by itself: {status}")),
        Err(error) => Some(format!("{error:#}")),
    };
    place.disarm();
    place.start().await?;
    let played = timeout(LONGEST, playing.end()).await;
    let played = played.context("the scene does not come to its end")??;
    outcome.broken = check(played, place).await?;
    outcome.broken.extend(broken);
    Ok(outcome)
}

/// A scene that is being played, or was.
#[derive(Default)]
struct Playing {
    task: JoinSet<anyhow::Result<Played>>,
    played: Option<anyhow::Result<Played>>,
}

impl Playing {
    /// Waits until it was played. May be given up and asked again.
    async fn wait(&mut self) {
        if self.played.is_none() {
            let played = self.task.join_next().await;
            let played = played.context("nothing is played").and_then(|it| Ok(it?));
            self.played = Some(played.flatten());
        }
    }

    async fn end(mut self) -> anyhow::Result<Played> {
        self.wait().await;
        self.played.context("nothing was played")?
    }
}

/// The life of the server that may be aborted: its end. A server that is aborted before it listens
/// does not start, which is an error.
async fn live(
    scene: Scene,
    place: &mut Place,
    playing: &mut Playing,
    at_start: &mut usize,
) -> anyhow::Result<ExitStatus> {
    place.start().await?;
    *at_start = place.trace()?.crossings.len();
    let trace = place.trace_file();
    let played = async {
        playing.wait().await;
        crossed(&trace, scene.awaits()).await
    };
    tokio::select! {
        status = place.stage.exited(SERVER) => return status,
        seen = played => seen?,
        () = scene.is_time_to_stop(&place.model) => {}
    }
    place.stage.stop(SERVER).await
}

/// Waits until all of these were crossed, for as long as a scene may take: what is missing then, the
/// table says.
pub(super) async fn crossed(trace: &Path, names: &[&str]) -> anyhow::Result<()> {
    let all = async {
        loop {
            let crossings = Trace::read(trace)?.crossings;
            let mut names = names.iter();
            if names.all(|name| crossings.iter().any(|it| short(&it.name) == *name)) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, all).await.unwrap_or(Ok(()))
}

/// What is not as it has to be, once the server was started again.
pub(super) async fn check(played: Played, place: &mut Place) -> anyhow::Result<Vec<String>> {
    let apis = Apis::of(place);
    let mut broken = played.ledger.check(&apis.admin).await?;
    let mut seen = Vec::new();
    if let Some((client, history)) = played.history {
        let api = &apis.of[client as usize];
        let facts = client::look(api, &history, &mut Dice::new(0)).await;
        let threads = vec![(history, facts)];
        seen.push(Seen { client, threads });
    }
    let log = place.stage.log()?;
    place.kill().await?;
    let database = Database::open(&place.records).await?;
    broken.extend(played.ledger.check_rows(&database).await?);
    for run in database.locked_wrongly().await? {
        broken.push(format!("{run} locks its thread wrongly"));
    }
    for file in database.half_searchable().await? {
        broken.push(format!("{file} is in a vector store by halves"));
    }
    for file in database.half_embedded().await? {
        broken.push(format!("{file} has vectors by halves"));
    }
    for store in database.counted_wrongly().await? {
        broken.push(format!("{store} has other files than it counts"));
    }
    let mut report = Report::new(Storm::default());
    let verdict = Verdict::of(&seen, (&database, &log), &|_| false, &mut report).await?;
    if !verdict.is_good() {
        let mut text = Vec::new();
        verdict.tell(&mut text)?;
        broken.push(String::from_utf8_lossy(&text).into_owned());
    }
    Ok(broken)
}
