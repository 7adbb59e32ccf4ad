//! Looks at what is committed after each commit, and holds it against what was there before.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use loomgate_domain::{
    Message, Run, RunId, RunStep, ThreadId,
    message::MessageStatus,
    run::{EventId, RunState, RunStatus, StepDetails, StepStatus, ToolCall},
};
use loomgate_store::{DrivenDatabase, Driver, EventRow, Store};

use crate::{
    client::{assistant, everything, is_enqueued, short, workspace},
    trace::{Rule, Violation, holds},
};

/// Sees what is committed.
pub(crate) struct Observer {
    store: Store,
    driver: Driver,
    pub(crate) threads: BTreeMap<ThreadId, ThreadSeen>,
    pub(crate) runs: BTreeMap<RunId, RunSeen>,
}

/// A thread, as it was last seen.
#[derive(Debug, Default)]
pub(crate) struct ThreadSeen {
    pub(crate) messages: Vec<Message>,
    /// Runs that wait until those before them have ended.
    pub(crate) waiting: Vec<RunId>,
    pub(crate) is_there: bool,
    /// It was there, and is not any more.
    pub(crate) is_gone: bool,
}

/// A run, as it was last seen.
#[derive(Debug)]
pub(crate) struct RunSeen {
    pub(crate) run: Run,
    /// How many leases there were.
    attempt: i64,
    owner: Owner,
    pub(crate) steps: Vec<RunStep>,
    /// The turns that were counted: how often, and how many tokens in all.
    pub(crate) turns: BTreeMap<usize, Turn>,
    pub(crate) journal: Vec<EventRow>,
}

/// Which process has a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// It was not seen who took it.
    Unknown,
    Nobody,
    Process(u32),
}

/// What is counted of a turn of the model.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Turn {
    pub(crate) times: u64,
    pub(crate) tokens: u64,
}

/// What just happened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Whose transaction it was; none: nobody's.
    pub(crate) committer: Option<u32>,
    pub(crate) now_ms: i64,
}

impl Observer {
    /// Also makes what has to be there from the start.
    pub(crate) fn new(database: &DrivenDatabase) -> Self {
        let (store, driver) = database.attach(4).unwrap();
        let mut observer = Self {
            store,
            driver,
            threads: BTreeMap::new(),
            runs: BTreeMap::new(),
        };
        let store = observer.store.clone();
        let insert = async move { store.assistants().insert(&workspace(), assistant()).await };
        observer.see(insert).unwrap();
        observer
    }

    /// Carries a request to the store out, at once.
    fn see<T>(&mut self, wanted: impl Future<Output = T>) -> T {
        let mut wanted = std::pin::pin!(wanted);
        loop {
            if let Some(found) = wanted.as_mut().now_or_never() {
                return found;
            }
            if !self.driver.read() {
                self.driver.begin(1);
                self.driver.commit();
            }
        }
    }

    /// Looks at a thread.
    pub(crate) fn look(&mut self, thread: &ThreadId, moment: Moment) -> Result<(), Violation> {
        let (store, id) = (self.store.clone(), thread.clone());
        let lists = self.see(async move {
            let runs = store.runs();
            let runs = runs.list(&workspace(), &id, everything()).await.unwrap();
            let messages = store.messages();
            let messages = messages.list(&workspace(), &id, None, everything()).await;
            Some((runs?.items, messages.unwrap()?.items))
        });
        let seen = self.threads.entry(thread.clone()).or_default();
        let Some((runs, messages)) = lists else {
            seen.is_gone |= seen.is_there;
            seen.is_there = false;
            return Ok(());
        };
        seen.is_there = true;
        in_order(&seen.messages, &messages)?;
        seen.messages = messages;
        let active = runs.iter().filter(|run| run.state.status().is_active());
        let (behind, locks): (Vec<&Run>, Vec<&Run>) = active.partition(|run| may_wait(run));
        holds(Rule::Lock, locks.len() <= 1, || {
            format!("several runs are active: {locks:?}")
        })?;
        let waiting = behind
            .iter()
            .filter(|run| run.state.status() == RunStatus::Queued);
        // Of several, the first has its turn.
        let waiting = waiting.skip(usize::from(locks.is_empty()));
        seen.waiting = waiting.map(|run| run.id.clone()).collect();
        for run in runs {
            self.look_at(run, moment)?;
        }
        Ok(())
    }

    fn look_at(&mut self, run: Run, moment: Moment) -> Result<(), Violation> {
        let id = run.id.clone();
        let now = match self.runs.remove(&id) {
            Some(before) if !before.run.state.status().is_active() => {
                let is_same = before.run.state == run.state && before.run.usage == run.usage;
                holds(Rule::Ends, is_same, || {
                    format!("{} had ended: {:?}, then {run:?}", short(&id), before.run)
                })?;
                RunSeen { run, ..before }
            }
            before => {
                let mut now = self.details(run, before.as_ref());
                if let Some(before) = before {
                    before.leads_to(&mut now, moment)?;
                }
                now
            }
        };
        self.runs.insert(id, now);
        Ok(())
    }

    fn details(&mut self, run: Run, before: Option<&RunSeen>) -> RunSeen {
        let (store, ws) = (self.store.clone(), workspace());
        let (id, thread) = (run.id.clone(), run.thread_id.clone());
        let after = before.and_then(|it| it.journal.last()).map(|row| row.last);
        let (attempt, steps, charges, rows) = self.see(async move {
            let events = store.events();
            let opening = events.open(&ws, &thread, &id, None).await.unwrap().unwrap();
            let steps = store.steps();
            let steps = steps.list(&ws, &thread, &id, everything()).await.unwrap();
            let charges = store.counters().load(id.as_str()).await.unwrap();
            let after = after.unwrap_or(EventId::START);
            let rows = events
                .follow(&ws, &id, after, u32::MAX)
                .await
                .unwrap()
                .unwrap();
            (
                opening.state.attempt,
                steps.unwrap().items,
                charges,
                rows.rows,
            )
        });
        let mut turns: BTreeMap<usize, Turn> = BTreeMap::new();
        for charge in charges {
            let (what, call) = charge.meter.split_once(':').unwrap();
            let turn = turns.entry(call.parse().unwrap()).or_default();
            match what {
                "turns" => turn.times = charge.amount,
                _ => turn.tokens = charge.amount,
            }
        }
        let known = before.map(|it| it.journal.clone()).unwrap_or_default();
        let new = rows.into_iter().map(|stored| stored.row);
        RunSeen {
            run,
            attempt,
            owner: match before {
                Some(before) => before.owner,
                None if attempt == 0 => Owner::Nobody,
                None => Owner::Unknown,
            },
            steps,
            turns,
            journal: known.into_iter().chain(new).collect(),
        }
    }

    /// All rows of a run's journal.
    pub(crate) fn journal(&mut self, run: &RunId) -> Vec<EventRow> {
        let (store, id) = (self.store.clone(), run.clone());
        let rows = self.see(async move {
            let events = store.events();
            events
                .follow(&workspace(), &id, EventId::START, u32::MAX)
                .await
                .unwrap()
        });
        let rows = rows.map(|it| it.rows).unwrap_or_default();
        rows.into_iter().map(|stored| stored.row).collect()
    }
}

impl RunSeen {
    fn leads_to(&self, now: &mut Self, moment: Moment) -> Result<(), Violation> {
        let name = short(&now.run.id);
        self.outputs_stay(now, &name)?;
        self.is_written_by_its_owner(now, moment, &name)?;
        self.journal_goes_on(now, &name)?;
        for (call, turn) in &now.turns {
            holds(Rule::Usage, turn.times == 1, || {
                format!("{name}: turn {call} was counted {} times", turn.times)
            })?;
        }
        if let RunState::Expired { .. } = now.run.state {
            let expires_ms = now.run.settings.expires_at.0 * 1000;
            holds(Rule::Ends, expires_ms <= moment.now_ms, || {
                format!("{name} expired before its time")
            })?;
        }
        Ok(())
    }

    /// What only a worker writes was written by the one that has the run, or just took it.
    fn is_written_by_its_owner(
        &self,
        now: &mut Self,
        moment: Moment,
        name: &str,
    ) -> Result<(), Violation> {
        let Some(committer) = moment.committer else {
            return Ok(());
        };
        let is_claimed = now.attempt > self.attempt;
        let may_write =
            is_claimed || self.owner == Owner::Unknown || self.owner == Owner::Process(committer);
        let has_begun = now.steps.len() > self.steps.len();
        let has_counted = now.turns.len() > self.turns.len();
        holds(
            Rule::Fence,
            may_write || !(has_begun || has_counted),
            || {
                format!(
                    "{name} was written to by process {committer}, and is of {:?}",
                    self.owner
                )
            },
        )?;
        now.owner = match now.run.state {
            RunState::InProgress { .. } | RunState::Cancelling { .. } if is_claimed => {
                Owner::Process(committer)
            }
            RunState::InProgress { .. } | RunState::Cancelling { .. } => self.owner,
            _ => Owner::Nobody,
        };
        Ok(())
    }

    /// What is new in the journal follows what was there, and was told by whoever had the run last.
    fn journal_goes_on(&self, now: &Self, name: &str) -> Result<(), Violation> {
        let mut last = self.journal.last().map_or(EventId::START, |row| row.last);
        for row in &now.journal[self.journal.len()..] {
            let follows = row.last.number - row.count == last.number;
            holds(Rule::Streams, follows, || {
                format!("{name}: {row:?} was told behind {last}")
            })?;
            let is_late = row.last.attempt > 0 && row.last.attempt < self.attempt;
            holds(Rule::Fence, !is_late, || {
                format!(
                    "{name}: {row:?} was told when lease {} was given out",
                    self.attempt
                )
            })?;
            last = row.last;
        }
        Ok(())
    }

    fn outputs_stay(&self, now: &Self, name: &str) -> Result<(), Violation> {
        for step in &self.steps {
            let same = now.steps.iter().find(|it| it.id == step.id);
            let stays = same.is_some_and(|it| match step.status {
                StepStatus::InProgress => true,
                _ => it == step,
            });
            holds(Rule::Outputs, stays, || {
                format!("{name}: {step:?} became {same:?}")
            })?;
        }
        Ok(())
    }

    /// The outputs of its calls that were taken.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = (&str, &str)> {
        let calls = self.steps.iter().filter_map(|step| match &step.details {
            StepDetails::ToolCalls { tool_calls } => Some(tool_calls),
            StepDetails::MessageCreation { .. } => None,
        });
        calls.flatten().filter_map(|call| match call {
            ToolCall::Function { id, function, .. } => {
                Some((id.as_str(), function.output.as_deref()?))
            }
            ToolCall::FileSearch { .. } => None,
        })
    }
}

/// Whether a run may be one that waits, or that was cancelled while it did: it locks no thread.
fn may_wait(run: &Run) -> bool {
    match run.state {
        RunState::Queued { started_at: None }
        | RunState::Cancelling {
            started_at: None,
            open: None,
        } => is_enqueued(run),
        _ => false,
    }
}

/// Messages are appended, and finished ones stay as they are. Those of the model may be taken out again.
fn in_order(before: &[Message], now: &[Message]) -> Result<(), Violation> {
    let mut places = now.iter();
    for message in before {
        let is_finished = message.status != MessageStatus::InProgress;
        let Some(same) = now.iter().find(|it| it.id == message.id) else {
            // A worker takes back what it, or one that was lost, said in a turn that came to nothing.
            let is_model = message.run_id.is_some();
            holds(Rule::Writes, !is_finished || is_model, || {
                format!("{message:?} is gone")
            })?;
            continue;
        };
        let is_next = places.next().is_some_and(|it| it.id == message.id);
        holds(Rule::Order, is_next, || {
            let ids = |list: &[Message]| list.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
            format!("{:?} became {:?}", ids(before), ids(now))
        })?;
        let is_same = same.status == message.status && same.content == message.content;
        holds(Rule::Answers, !is_finished || is_same, || {
            format!("{message:?} became {same:?}")
        })?;
    }
    Ok(())
}
