//! Where a run stood when its server was killed.

use crate::{database::Active, model::Stage};

/// A phase in the life of a run that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Queued,
    BetweenCommits,
    ModelSilent,
    ModelTelling,
    Waiting,
    QueuedAgain,
    Cancelling,
}

impl Phase {
    pub(crate) const ALL: [Self; 7] = [
        Self::Queued,
        Self::BetweenCommits,
        Self::ModelSilent,
        Self::ModelTelling,
        Self::Waiting,
        Self::QueuedAgain,
        Self::Cancelling,
    ];

    /// By what the database said after the kill, and the model right before it.
    pub(crate) fn of(run: &Active, model: Option<Stage>) -> Self {
        match (&*run.status, model) {
            ("queued", _) if run.was_begun => Self::QueuedAgain,
            ("queued", _) => Self::Queued,
            ("requires_action", _) => Self::Waiting,
            ("cancelling", _) => Self::Cancelling,
            (_, None) => Self::BetweenCommits,
            (_, Some(Stage::Silent)) => Self::ModelSilent,
            (_, Some(Stage::Telling)) => Self::ModelTelling,
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Queued => "queued, not begun",
            Self::BetweenCommits => "in progress, before or after a call of the model",
            Self::ModelSilent => "in progress, the model has not begun to answer",
            Self::ModelTelling => "in progress, the model is answering",
            Self::Waiting => "waiting for outputs",
            Self::QueuedAgain => "queued with outputs",
            Self::Cancelling => "cancelling",
        }
    }
}

/// Runs that were cut, by phase.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    /// Polled, and streamed.
    pub(crate) runs: [[u64; 2]; Phase::ALL.len()],
}

impl Cut {
    pub(crate) fn count(&mut self, run: &Active, model: Option<Stage>) {
        let phase = Phase::of(run, model);
        for (of, runs) in Phase::ALL.iter().zip(&mut self.runs) {
            if *of == phase {
                runs[usize::from(run.is_streamed)] += 1;
            }
        }
    }

    /// The phases in which no run was cut.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let phases = Phase::ALL.iter().zip(&self.runs);
        let missing = phases.filter(|(_, runs)| **runs == [0, 0]);
        missing.map(|(phase, _)| phase.words()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_counted_in_one_phase() {
        let mut cut = Cut::default();
        assert_eq!(cut.missing().len(), Phase::ALL.len());
        let run = |status: &str, was_begun| Active {
            status: status.to_owned(),
            was_begun,
            ..Active::default()
        };
        cut.count(&run("queued", false), None);
        cut.count(&run("queued", true), None);
        cut.count(&run("in_progress", true), None);
        cut.count(&run("in_progress", true), Some(Stage::Silent));
        cut.count(&run("in_progress", true), Some(Stage::Telling));
        cut.count(&run("requires_action", true), None);
        cut.count(&run("cancelling", true), Some(Stage::Telling));
        assert!(cut.runs.iter().all(|runs| *runs == [1, 0]));
        assert!(cut.missing().is_empty());
    }
}
