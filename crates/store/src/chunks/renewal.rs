//! Words that are made anew: an update of the database has them stand in the index in another way.

use super::{Chunks, rows};
use crate::{
    Error,
    tx::{Value, statements, values},
};

/// Says from which chunk on.
const MARK: &str = "words_from";

statements! {
    FROM = "SELECT mark FROM marks WHERE name = $1";
    LOT = "SELECT seq, workspace_id, entry, text FROM chunks WHERE seq > $1 ORDER BY seq LIMIT $2";
    SET = "UPDATE marks SET mark = $1 WHERE name = $2";
    DONE = "DELETE FROM marks WHERE name = $1";
}

impl Chunks<'_> {
    /// Makes the words of up to `most` chunks anew, as `words_of` knows them, where an update of the database asked
    /// for it. Returns how many chunks those were; 0: nothing is left to be done.
    pub async fn renew_words(
        &self,
        words_of: fn(&str) -> String,
        most: u32,
    ) -> Result<usize, Error> {
        self.0
            .write(move |tx| {
                let from = tx.lock(FROM, values![MARK], |row| Ok(row.text(0)?.to_owned()))?;
                let Some(from) = from else {
                    return Ok(0);
                };
                let from: i64 = from
                    .parse()
                    .map_err(|_| Error::corrupt(format!("the mark {MARK} is {from}")))?;
                let lot = tx.rows(LOT, values![from, i64::from(most)], |row| {
                    let text = row.text(3)?.to_owned();
                    Ok((
                        row.integer(0)?,
                        row.text(1)?.to_owned(),
                        row.integer(2)?,
                        text,
                    ))
                })?;
                let numbers: Vec<i64> = lot.iter().map(|(seq, ..)| *seq).collect();
                let Some(last) = numbers.last() else {
                    tx.execute(DONE, values![MARK])?;
                    return Ok(0);
                };
                // What was copied from elsewhere has them already.
                rows::forget(tx, &numbers)?;
                let texts = lot
                    .iter()
                    .map(|(seq, ws, entry, text)| (*seq, Value::from(ws), *entry, &**text));
                rows::index_texts(tx, texts, words_of)?;
                tx.execute(SET, values![last.to_string(), MARK])?;
                Ok(numbers.len())
            })
            .await
    }
}
