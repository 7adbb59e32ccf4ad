//! Failpoints: where tests have this process abort, right before or right after something is
//! committed. Debug builds alone have them; in any other, all of this is nothing.
//!
//! Every change of a database is a job or a migration. A job's boundary has the name of its closure's
//! type, and with it that of the method of the store that made it, down to the types that it was made
//! with: nobody gives it one, and none can be forgotten. The binary holds the names of all jobs that it
//! can send, as type names of [`Written`], so that a test can tell which ones it has not seen.
//!
//! Start at [`Boundary`]. A process is aborted as a whole, so it has one plan ([`arm`]).

#[cfg(debug_assertions)]
mod armed;
#[cfg(debug_assertions)]
mod watched;

#[cfg(debug_assertions)]
use std::marker::PhantomData;

use crate::{Error, tx::Tx};

#[cfg(debug_assertions)]
pub use armed::{PlanError, arm};

/// A job that writes, by the type of its closure. Only its name is used.
#[cfg(debug_assertions)]
struct Written<F>(PhantomData<F>);

/// Where a job's changes come to stand.
#[derive(Debug)]
pub(crate) struct Boundary {
    /// None: it changes nothing.
    #[cfg(debug_assertions)]
    name: Option<&'static str>,
    /// Which crossing of its name this is, once the job has run.
    #[cfg(debug_assertions)]
    crossing: Option<armed::Crossing>,
}

impl Boundary {
    /// That of a job that writes.
    pub(crate) fn of<F>() -> Self {
        Self {
            #[cfg(debug_assertions)]
            name: Some(std::any::type_name::<Written<F>>()),
            #[cfg(debug_assertions)]
            crossing: None,
        }
    }

    /// That of a job that reads.
    pub(crate) fn none() -> Self {
        Self {
            #[cfg(debug_assertions)]
            name: None,
            #[cfg(debug_assertions)]
            crossing: None,
        }
    }

    /// Runs a job. `is_alone`: it has one statement, with which it is committed where no transaction is
    /// opened around it.
    pub(crate) fn run<T>(
        &mut self,
        tx: &mut dyn Tx,
        is_alone: bool,
        work: impl Fn(&mut dyn Tx) -> Result<T, Error>,
    ) -> Result<T, Error> {
        #[cfg(debug_assertions)]
        if let Some((name, armed)) = self.name.zip(armed::get()) {
            let commits_itself = is_alone && tx.dialect() == crate::tx::Dialect::Postgres;
            if commits_itself {
                armed.before_next(name);
            }
            let mut watched = watched::Watched::new(tx);
            let result = work(&mut watched);
            if result.is_ok() {
                // Of a job that is run again, the first time counts.
                self.crossing
                    .get_or_insert_with(|| armed.cross(name, watched.has_changed));
            }
            return result;
        }
        #[cfg(not(debug_assertions))]
        let _ = is_alone;
        work(tx)
    }

    /// The job has run, and is about to be committed.
    pub(crate) fn before(&self) {
        #[cfg(debug_assertions)]
        if let Some((crossing, armed)) = self.crossing.as_ref().zip(armed::get()) {
            armed.before(crossing);
        }
    }

    /// It is committed, and nobody was told yet.
    pub(crate) fn after(&self) {
        #[cfg(debug_assertions)]
        if let Some((crossing, armed)) = self.crossing.as_ref().zip(armed::get()) {
            armed.after(crossing);
        }
    }
}

/// A point that no job crosses: between two statements of a migration, or behind a change of a file. Its
/// name is its own, and stands nowhere else.
pub fn point(what: std::fmt::Arguments<'_>) {
    #[cfg(debug_assertions)]
    if let Some(armed) = armed::get() {
        armed.point(&what.to_string());
    }
    #[cfg(not(debug_assertions))]
    let _ = what;
}
