//! Marks: what tells whether a process has the keys that the database was written with.

use crate::{
    Error,
    pool::Pool,
    tx::{statements, values},
};

statements! {
    KEEP = "INSERT INTO marks (name, mark) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    GET = "SELECT mark FROM marks WHERE name = $1";
    REPLACE = "INSERT INTO marks (name, mark) VALUES ($1, $2) \
        ON CONFLICT (name) DO UPDATE SET mark = excluded.mark";
}

/// The marks of a [`crate::Store`].
#[derive(Debug)]
pub struct Marks<'s>(pub(crate) &'s Pool);

impl Marks<'_> {
    /// The mark of a name; this one, where there was none.
    pub async fn keep(&self, name: &'static str, mark: String) -> Result<String, Error> {
        self.0
            .write(move |tx| {
                tx.execute(KEEP, values![name, &mark])?;
                tx.row(GET, values![name], |row| Ok(row.text(0)?.to_owned()))?
                    .ok_or_else(|| Error::corrupt("marks lost a row"))
            })
            .await
    }

    /// Sets the mark of a name.
    pub async fn replace(&self, name: &'static str, mark: String) -> Result<(), Error> {
        self.0
            .write_one(move |tx| tx.execute(REPLACE, values![name, &mark]).map(|_| ()))
            .await
    }
}
