//! What a process that is to abort was told: at which crossing, and where it writes down which ones
//! there are.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write as _},
    path::Path,
    str::FromStr,
    sync::{Mutex, OnceLock, PoisonError},
};

static ARMED: OnceLock<Armed> = OnceLock::new();

/// Aborts this process where `plan` says, and writes every crossing down in the file `trace`.
///
/// A plan is `before N NAME` or `after N NAME`: at the N-th crossing of a name, counted from 1, that
/// has changed a row; at the first one at all, where N is 0. A line of the trace is `C NAME`, C being
/// 1 where rows were changed and else 0, and at last `abort`, where this process was aborted.
pub fn arm(plan: Option<&str>, trace: Option<&Path>) -> Result<(), PlanError> {
    let trace = trace.map(|path| File::options().create(true).append(true).open(path));
    let armed = Armed {
        plan: plan.map(str::parse).transpose()?,
        trace: trace.transpose()?,
        crossed: Mutex::default(),
    };
    // A process that is armed again keeps its first plan.
    ARMED.get_or_init(|| armed);
    Ok(())
}

/// None: nobody armed this process.
pub(super) fn get() -> Option<&'static Armed> {
    ARMED.get()
}

/// A plan that can not be followed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// What it says.
    #[error("not `before N NAME` or `after N NAME`: {0}")]
    Unknown(String),
    /// The file of the trace.
    #[error("the trace: {0}")]
    Trace(#[from] io::Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

/// A crossing of a boundary.
#[derive(Debug)]
pub(super) struct Crossing {
    name: String,
    /// How many there were that changed something; 0: this one did not.
    number: u64,
    is_first: bool,
}

#[derive(Debug)]
struct Plan {
    moment: Moment,
    number: u64,
    name: String,
}

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let unknown = || PlanError::Unknown(text.to_owned());
        let mut parts = text.splitn(3, ' ');
        let moment = match parts.next() {
            Some("before") => Moment::Before,
            Some("after") => Moment::After,
            _ => return Err(unknown()),
        };
        let number = parts.next().and_then(|number| number.parse().ok());
        let name = parts.next().filter(|name| !name.is_empty());
        Ok(Self {
            moment,
            number: number.ok_or_else(unknown)?,
            name: name.ok_or_else(unknown)?.to_owned(),
        })
    }
}

impl Plan {
    fn is_at(&self, moment: Moment, crossing: &Crossing) -> bool {
        let is_number = match self.number {
            0 => crossing.is_first,
            number => crossing.number == number,
        };
        self.moment == moment && is_number && self.name == crossing.name
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    all: u64,
    changing: u64,
}

#[derive(Debug)]
pub(super) struct Armed {
    plan: Option<Plan>,
    trace: Option<File>,
    crossed: Mutex<HashMap<String, Count>>,
}

impl Armed {
    /// A job that is committed by its one statement is about to run. It may change nothing; its
    /// crossing is the next one that may.
    pub(super) fn before_next(&self, name: &str) {
        let crossed = self.crossed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = crossed.get(name).copied().unwrap_or_default();
        drop(crossed);
        self.before(&Crossing {
            name: name.to_owned(),
            number: count.changing + 1,
            is_first: count.all == 0,
        });
    }

    /// What crosses is about to be committed.
    pub(super) fn before(&self, crossing: &Crossing) {
        self.abort_at(Moment::Before, crossing);
    }

    /// It is committed.
    pub(super) fn after(&self, crossing: &Crossing) {
        self.abort_at(Moment::After, crossing);
    }

    /// A point that no job crosses. There is nothing behind it to tell apart from what is before.
    pub(super) fn point(&self, name: &str) {
        self.before(&self.cross(name, true));
    }

    /// Counts a crossing.
    pub(super) fn cross(&self, name: &str, has_changed: bool) -> Crossing {
        let mut crossed = self.crossed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = crossed.entry(name.to_owned()).or_default();
        count.all += 1;
        count.changing += u64::from(has_changed);
        self.tell(&format!("{} {name}", u8::from(has_changed)));
        Crossing {
            name: name.to_owned(),
            number: if has_changed { count.changing } else { 0 },
            is_first: count.all == 1,
        }
    }

    fn abort_at(&self, moment: Moment, crossing: &Crossing) {
        let plan = self.plan.as_ref();
        if plan.is_some_and(|plan| plan.is_at(moment, crossing)) {
            self.abort();
        }
    }

    /// As SIGKILL would: nothing is closed, nobody is told.
    fn abort(&self) -> ! {
        self.tell("abort");
        std::process::abort();
    }

    /// In one piece: others write, too.
    fn tell(&self, line: &str) {
        if let Some(mut trace) = self.trace.as_ref() {
            // Whoever reads it misses the line.
            let _ = trace.write_all(format!("{line}\n").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_met_at_its_crossing_alone() {
        let plan: Plan = "after 2 a::b<C, D>".parse().unwrap();
        let crossing = |name: &str, number, is_first| Crossing {
            name: String::from(name),
            number,
            is_first,
        };
        assert!(plan.is_at(Moment::After, &crossing("a::b<C, D>", 2, false)));
        assert!(!plan.is_at(Moment::Before, &crossing("a::b<C, D>", 2, false)));
        assert!(!plan.is_at(Moment::After, &crossing("a::b<C, D>", 1, true)));
        assert!(!plan.is_at(Moment::After, &crossing("a::b", 2, false)));
        let first: Plan = "before 0 a".parse().unwrap();
        assert!(first.is_at(Moment::Before, &crossing("a", 0, true)));
        assert!(!first.is_at(Moment::Before, &crossing("a", 0, false)));
        for text in ["", "after", "after 1", "after 1 ", "later 1 a", "after x a"] {
            assert!(text.parse::<Plan>().is_err(), "{text}");
        }
    }
}
