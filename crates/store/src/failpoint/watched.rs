//! A transaction that knows whether a row was changed in it.

use std::ops::ControlFlow;

use crate::{
    Error,
    tx::{Dialect, Tx, Value, Visit},
};

pub(super) struct Watched<'t> {
    tx: &'t mut dyn Tx,
    pub(super) has_changed: bool,
}

impl<'t> Watched<'t> {
    pub(super) fn new(tx: &'t mut dyn Tx) -> Self {
        Self {
            tx,
            has_changed: false,
        }
    }
}

impl Tx for Watched<'_> {
    fn dialect(&self) -> Dialect {
        self.tx.dialect()
    }

    fn uses_pgvector(&self) -> bool {
        self.tx.uses_pgvector()
    }

    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<usize, Error> {
        let changed = self.tx.execute(sql, values)?;
        self.has_changed |= changed > 0;
        Ok(changed)
    }

    fn execute_all(
        &mut self,
        sql: &'static str,
        rows: &[Vec<Value<'_>>],
    ) -> Result<Vec<usize>, Error> {
        let changed = self.tx.execute_all(sql, rows)?;
        self.has_changed |= changed.iter().any(|changed| *changed > 0);
        Ok(changed)
    }

    fn visit(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        let mut has_rows = false;
        self.tx
            .visit(sql, values, &mut |row| -> Result<ControlFlow<()>, Error> {
                has_rows = true;
                visit(row)
            })?;
        // Rows of a change are those that `RETURNING` names.
        self.has_changed |= has_rows && sql.contains("RETURNING");
        Ok(())
    }

    fn visit_locked(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        self.tx.visit_locked(sql, values, visit)
    }

    fn announce_work(&mut self) -> Result<(), Error> {
        self.tx.announce_work()
    }
}
