//! What a table holds, in a few bytes that are the same on both engines.

use std::fmt;

use super::{chunk, tables::Table};
use crate::{Error, pool::Pool, postgres::storable, tx::Value};

/// How many rows a table has, and the sum of their hashes: whatever their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    /// Rows.
    pub rows: u64,
    sum: [u64; 4],
}

/// The sum, as 64 hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sum
            .iter()
            .try_for_each(|lane| write!(f, "{lane:016x}"))
    }
}

impl Digest {
    fn add(&mut self, row: &[Value<'_>]) {
        self.rows += 1;
        let hash = hash(row);
        for (lane, bytes) in self.sum.iter_mut().zip(hash.as_bytes().chunks_exact(8)) {
            let mut word = [0; 8];
            word.copy_from_slice(bytes);
            *lane = lane.wrapping_add(u64::from_le_bytes(word));
        }
    }
}

/// Of each value its kind, its length and its bytes, so that no two rows look the same.
fn hash(row: &[Value<'_>]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for value in row {
        match value {
            Value::Null => hasher.update(&[0]),
            Value::Integer(integer) => hasher.update(&[1]).update(&integer.to_le_bytes()),
            Value::Text(text) => {
                let text = storable(text);
                hasher
                    .update(&[2])
                    .update(&(text.len() as u64).to_le_bytes())
                    .update(text.as_bytes())
            }
            Value::Bytes(bytes) => hasher
                .update(&[3])
                .update(&(bytes.len() as u64).to_le_bytes())
                .update(bytes),
        };
    }
    hasher.finalize()
}

/// Reads a whole table.
pub(super) async fn digest(
    pool: &Pool,
    table: &'static Table,
    step: &mut impl FnMut(u64),
) -> Result<Digest, Error> {
    let mut digest = Digest::default();
    let mut place = table.start();
    let read = table.read();
    loop {
        step(digest.rows);
        let rows = chunk(pool, table, read, place).await?;
        let Some(last) = rows.last() else {
            return Ok(digest);
        };
        place = table.place(last);
        for row in &rows {
            digest.add(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tx::values;

    #[test]
    fn rows_that_differ_have_other_sums_and_their_order_has_none() {
        let rows: [&[Value<'_>]; 7] = [
            values!["a", "b"],
            values!["ab", ""],
            values!["a", 1],
            values!["a", Value::Null],
            values!["a", ""],
            values!["b", "a"],
            values!["b", &b"a"[..]],
        ];
        let of = |rows: &[&[Value<'_>]]| {
            let mut digest = Digest::default();
            for row in rows {
                digest.add(row);
            }
            digest
        };
        for (at, one) in rows.iter().enumerate() {
            for other in &rows[at + 1..] {
                assert_ne!(of(&[one]), of(&[other]), "{one:?} {other:?}");
            }
        }
        let mut reversed = rows;
        reversed.reverse();
        assert_eq!(of(&rows), of(&reversed));
        assert_ne!(of(&rows), of(&rows[1..]));
    }
}
