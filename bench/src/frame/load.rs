//! A block: some callers that make the same call again and again, for a while: each call right
//! after the answer to the last one, or at times that are fixed beforehand.
//!
//! The thread never sleeps: whoever writes to it need not wake it up, which on a virtual machine
//! costs as much as a relay's whole work and is nothing that a network would ask of it. It also
//! hits the fixed times to the microsecond.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use loomgate_bench::statistics::{count, median};
use tokio::{
    sync::Barrier,
    task::{JoinSet, yield_now},
};

use super::cell::{Datum, Figure, for_a_call};

/// Somebody who makes one call after the other, and checks every answer.
pub(crate) trait Caller: Send + 'static {
    /// Error: a wrong answer, or none.
    fn call(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// How much at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Calls of all callers in a second; none: as many as there can be.
    pub(crate) pace: Option<u32>,
    /// Calls of each caller before anything is measured.
    pub(crate) warm_up: u32,
    pub(crate) length: Duration,
    /// Whether the thread may sleep: it shares its core with what it calls.
    pub(crate) sleeps: bool,
}

impl Load {
    /// As many calls as there can be, with so many of each caller before.
    pub(crate) fn flat_out(warm_up: u32, length: Duration) -> Self {
        Self {
            pace: None,
            warm_up,
            length,
            sleeps: false,
        }
    }
}

/// What came of a block.
pub(crate) struct Done {
    /// How long the calls took, in seconds; at a pace from the time that they were due.
    pub(crate) latencies: Vec<f64>,
    /// From the first measured call to the end of the last, in seconds.
    pub(crate) seconds: f64,
    /// Calls, those before the measurement included.
    pub(crate) calls: u64,
}

/// What a server spent on all calls, where that is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    /// Time on processors.
    pub(crate) cpu: Option<Duration>,
    /// Transactions that reached the disk.
    pub(crate) commits: Option<u64>,
    /// SQL statements.
    pub(crate) statements: Option<u64>,
}

impl Spent {
    /// Nothing but time on processors.
    pub(crate) fn cpu(cpu: Duration) -> Self {
        Self {
            cpu: Some(cpu),
            ..Self::default()
        }
    }

    /// With what another server spent.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.zip(other.cpu).map(|(one, other)| one + other),
            commits: self
                .commits
                .zip(other.commits)
                .map(|(one, other)| one + other),
            statements: self
                .statements
                .zip(other.statements)
                .map(|(one, other)| one + other),
        }
    }

    /// What was spent since.
    pub(crate) fn since(self, before: Self) -> Self {
        fn less<T>(now: Option<T>, before: Option<T>, less: fn(T, T) -> T) -> Option<T> {
            Some(less(now?, before?))
        }
        Self {
            cpu: less(self.cpu, before.cpu, Duration::saturating_sub),
            commits: less(self.commits, before.commits, u64::saturating_sub),
            statements: less(self.statements, before.statements, u64::saturating_sub),
        }
    }
}

impl Done {
    /// Medians and rates; and what the server spent, for a call.
    pub(crate) fn datum(mut self, spent: Spent) -> Datum {
        let measured = self.latencies.len() as u64;
        let spent = [
            (Figure::Cpu, spent.cpu.map(|cpu| cpu.as_secs_f64())),
            (Figure::Commits, spent.commits.map(count)),
            (Figure::Statements, spent.statements.map(count)),
        ];
        let spent = spent
            .into_iter()
            .filter_map(|(figure, spent)| Some((figure, for_a_call(spent?, self.calls))));
        let times = [
            (Figure::P50, median(&mut self.latencies)),
            (Figure::PerSecond, count(measured) / self.seconds),
        ];
        times.into_iter().chain(spent).collect()
    }
}

/// Runs a block. A wrong answer ends it with an error.
pub(crate) async fn run<C: Caller>(callers: Vec<C>, load: Load) -> anyhow::Result<Done> {
    let mut awake = JoinSet::new();
    if !load.sleeps {
        awake.spawn(stay_awake());
    }
    let connections = u32::try_from(callers.len())?;
    let interval = load
        .pace
        .map(|pace| Duration::from_secs(1) * connections / pace);
    let warm = Arc::new(Barrier::new(callers.len()));
    let mut tasks = JoinSet::new();
    for (which, mut caller) in (0..).zip(callers) {
        let wait = interval.unwrap_or_default() * which / connections;
        let warm = Arc::clone(&warm);
        tasks.spawn(async move {
            // Whoever fails says so behind the barrier: nobody waits for it there.
            let mut warmed = Ok(());
            for _ in 0..load.warm_up {
                warmed = warmed.and(caller.call().await);
            }
            warm.wait().await;
            warmed?;
            let began = Instant::now();
            let latencies = call(&mut caller, began, (interval, wait), load.length).await?;
            anyhow::Ok((latencies, began, Instant::now()))
        });
    }
    let mut done = Done {
        latencies: Vec::new(),
        seconds: 0.0,
        calls: 0,
    };
    let mut span: Option<(Instant, Instant)> = None;
    while let Some(ended) = tasks.join_next().await {
        let (mut latencies, began, ended) = ended??;
        done.latencies.append(&mut latencies);
        span = Some(match span {
            Some((first, last)) => (first.min(began), last.max(ended)),
            None => (began, ended),
        });
    }
    done.seconds = span.map_or(0.0, |(first, last)| (last - first).as_secs_f64());
    done.calls = done.latencies.len() as u64 + u64::from(load.warm_up) * u64::from(connections);
    Ok(done)
}

/// Calls until the time is over, at least once.
async fn call(
    caller: &mut impl Caller,
    start: Instant,
    (interval, wait): (Option<Duration>, Duration),
    length: Duration,
) -> anyhow::Result<Vec<f64>> {
    let mut latencies = Vec::new();
    let mut due = start + wait;
    loop {
        let mut began = Instant::now();
        if let Some(interval) = interval {
            at(due).await;
            began = due;
            due += interval;
        }
        if began >= start + length && !latencies.is_empty() {
            return Ok(latencies);
        }
        caller.call().await?;
        latencies.push(began.elapsed().as_secs_f64());
    }
}

/// Waits for a time, to the microsecond; others run meanwhile.
pub(crate) async fn at(due: Instant) {
    while Instant::now() < due {
        yield_now().await;
    }
}

/// Keeps the thread from sleeping, until it is dropped.
pub(crate) async fn stay_awake() {
    loop {
        yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    struct Counts(u32);

    impl Caller for Counts {
        async fn call(&mut self) -> anyhow::Result<()> {
            yield_now().await;
            self.0 += 1;
            if self.0 == 3 {
                bail!("the third goes wrong");
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_wrong_answer_ends_a_block_also_before_the_measurement() {
        for warm_up in [0, 5] {
            let length = Duration::from_secs(5);
            let load = Load {
                pace: None,
                warm_up,
                length,
                sleeps: false,
            };
            let began = Instant::now();
            assert!(run(vec![Counts(0), Counts(9)], load).await.is_err());
            assert!(began.elapsed() < length);
        }
    }

    #[tokio::test]
    async fn calls_at_a_pace_are_as_many_as_were_due() {
        let load = Load {
            pace: Some(1_000),
            warm_up: 2,
            length: Duration::from_millis(50),
            sleeps: true,
        };
        let done = run(vec![Counts(9), Counts(9)], load).await.unwrap();
        assert_eq!(done.latencies.len(), 50);
        assert_eq!(done.calls, 54);
    }
}
