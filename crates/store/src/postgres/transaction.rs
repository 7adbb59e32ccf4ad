//! The transaction that a job sees.

use std::{ops::ControlFlow, pin::pin};

use futures::{
    TryStreamExt as _,
    future::{join, try_join_all},
};
use tokio_postgres::{Client, Statement};

use super::{
    Session, Target,
    fault::{self, Trouble},
};
use crate::{
    Error,
    queue::Access,
    tx::{Dialect, Tx, Value, Visit, postgres_statements},
};

/// One state for all statements. Such a transaction is never given up in favour of another.
const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// What is read to be written by is locked, statement by statement.
const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

postgres_statements! {
    NOTIFY = "SELECT pg_notify('loomgate_work', $1)";
}

/// A job that claimed to need one statement sent another.
#[derive(Debug, thiserror::Error)]
#[error("a job of one statement sent a second one")]
struct SecondStatement;

/// A job's statements on a session: in a transaction, or the one that needs none.
pub(super) struct Open<'s> {
    session: &'s mut Session,
    target: &'s Target,
    /// What this process is called among those that share the database.
    us: &'s str,
    access: Access,
    stage: Stage,
    /// Why the rest of the job can not run.
    pub(super) trouble: Option<Trouble>,
    pub(super) has_work: bool,
    pub(super) statements: u64,
}

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent; the transaction is opened for the first statement.
    Before,
    /// The transaction is open.
    Open,
    /// There will be none around the one statement.
    Single,
    /// The one statement was sent.
    SingleSent,
}

impl<'s> Open<'s> {
    pub(super) fn new(
        session: &'s mut Session,
        (target, us): (&'s Target, &'s str),
        access: Access,
    ) -> Self {
        let stage = match access {
            Access::Read | Access::Write => Stage::Before,
            Access::ReadOne | Access::WriteOne => Stage::Single,
        };
        Self {
            session,
            target,
            us,
            access,
            stage,
            trouble: None,
            has_work: false,
            statements: 0,
        }
    }

    /// Whether a change is on its way, with nothing to take it back.
    pub(super) fn sent_alone(&self) -> bool {
        self.access == Access::WriteOne && self.stage == Stage::SingleSent
    }

    /// Ends the transaction, if there is one.
    pub(super) fn end(&mut self, how: &'static str) -> Result<(), tokio_postgres::Error> {
        if self.stage != Stage::Open {
            return Ok(());
        }
        self.session
            .run(async |client| client.batch_execute(how).await)
    }

    /// Sends a statement; ahead of the first one, what opens the transaction.
    fn send<T>(
        &mut self,
        sql: &'static str,
        locks: bool,
        act: impl AsyncFnOnce(&Client, &Statement) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Error> {
        if self.trouble.is_some() {
            return Err(Error::Unavailable(fault::LOST));
        }
        self.statements += 1;
        if self.stage == Stage::SingleSent {
            return Err(Error::driver(SecondStatement));
        }
        let statement = self.session.statement(sql, locks);
        let statement = statement.map_err(|error| self.failed(sql, &error))?;
        let answer = match self.stage {
            Stage::Before => {
                self.stage = Stage::Open;
                let access = self.access;
                self.session.run(async |client| {
                    if access == Access::Read {
                        // Both are sent at once, in this order: should the first fail, then the
                        // other has done no harm.
                        let begun = client.batch_execute(BEGIN_READ);
                        let (begun, answer) = join(begun, act(client, &statement)).await;
                        return begun.and(answer);
                    }
                    client.batch_execute(BEGIN_WRITE).await?;
                    act(client, &statement).await
                })
            }
            Stage::Open => self
                .session
                .run(async |client| act(client, &statement).await),
            Stage::Single | Stage::SingleSent => {
                self.stage = Stage::SingleSent;
                self.session
                    .run(async |client| act(client, &statement).await)
            }
        };
        answer.map_err(|error| self.failed(sql, &error))
    }

    fn failed(&mut self, sql: &str, error: &tokio_postgres::Error) -> Error {
        self.trouble = fault::trouble(error);
        if self.trouble.is_none() && self.target.pgvector.is_lost(sql, error) {
            self.trouble = Some(Trouble::Conflict);
        }
        if self.trouble == Some(Trouble::Lost) && self.sent_alone() {
            return Error::Interrupted;
        }
        fault::error(error)
    }

    fn show(
        &mut self,
        sql: &'static str,
        locks: bool,
        values: &[Value<'_>],
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        self.send(sql, locks, async |client, statement| {
            let rows = client.query_raw(statement, values).await?;
            let mut rows = pin!(rows);
            while let Some(row) = rows.try_next().await? {
                match visit(&row) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => break,
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(()))
        })?
    }
}

impl Tx for Open<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn uses_pgvector(&self) -> bool {
        self.target.pgvector.is_used()
    }

    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<usize, Error> {
        let changed = self.send(sql, false, async |client, statement| {
            client.execute_raw(statement, values).await
        })?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn execute_all(
        &mut self,
        sql: &'static str,
        rows: &[Vec<Value<'_>>],
    ) -> Result<Vec<usize>, Error> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        self.statements += rows.len() as u64 - 1;
        let changed = self.send(sql, false, async |client, statement| {
            // Polled in their order, and so sent in it.
            let all = rows.iter().map(|row| client.execute_raw(statement, row));
            try_join_all(all).await
        })?;
        let changed = changed.into_iter();
        Ok(changed
            .map(|changed| usize::try_from(changed).unwrap_or(usize::MAX))
            .collect())
    }

    fn visit(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        self.show(sql, false, values, visit)
    }

    fn visit_locked(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        self.show(sql, true, values, visit)
    }

    fn announce_work(&mut self) -> Result<(), Error> {
        if !self.has_work {
            self.has_work = true;
            self.visit(NOTIFY, &[Value::from(self.us)], &mut |_| {
                Ok(ControlFlow::Break(()))
            })?;
        }
        Ok(())
    }
}
