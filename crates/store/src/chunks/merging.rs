//! The index of words in one piece, on SQLite.
//!
//! FTS5 keeps what each transaction added as a segment, and merges segments of like size whenever more come. When
//! nobody writes any more, a dozen are left, and a search looks for each of its tokens in all of them.

use crate::{
    Error,
    tx::{Dialect, Tx, sqlite_statements, values},
};

/// Pages that one step writes: a few milliseconds of the only writer.
const PAGES: i64 = 64;

sqlite_statements! {
    // Where FTS5 keeps what segments there are.
    STRUCTURE = "SELECT block FROM chunk_terms_data WHERE id = 10";
    // A negative number of pages: all segments together, of whatever size.
    MERGE = "INSERT INTO chunk_terms (chunk_terms, rank) VALUES ('merge', $1)";
}

/// Merges some of the index of words if it is in so many segments, of which two are the fewest that can be merged. Whether
/// it did: there may be more to do then. PostgreSQL keeps its index in one piece.
pub(crate) fn merge(tx: &mut dyn Tx, segments: u64) -> Result<bool, Error> {
    if tx.dialect() != Dialect::Sqlite {
        return Ok(false);
    }
    let count = tx.row(STRUCTURE, values![], |row| Ok(count(row.bytes(0)?)))?;
    let is_due = count.flatten().is_some_and(|it| it >= segments.max(2));
    if is_due {
        tx.execute(MERGE, values![-PAGES])?;
    }
    Ok(is_due)
}

/// How many segments there are: in FTS5's record of them the second number behind a cookie of four bytes, and a mark
/// of four more if any row was ever deleted without its text.
fn count(structure: &[u8]) -> Option<u64> {
    let rest = structure.get(4..)?;
    let rest = rest.strip_prefix(b"\xff\0\0\x01").unwrap_or(rest);
    let (_levels, rest) = number(rest)?;
    Some(number(rest)?.0)
}

/// A number of SQLite's: seven bits in each byte, the highest first, until one without the eighth.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = 1 + bytes.iter().position(|byte| byte & 0x80 == 0)?;
    // No count needs the ninth byte, which has eight.
    let (number, rest) = (length < 9).then(|| bytes.split_at(length))?;
    let bits = number.iter().map(|byte| u64::from(byte & 0x7f));
    Some((bits.fold(0, |sum, bits| sum << 7 | bits), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_counted() {
        assert_eq!(count(b"\0\0\0\x07\x03\x05\x99\x01"), Some(5));
        assert_eq!(count(b"\0\0\0\x07\xff\0\0\x01\x03\x81\x02"), Some(130));
        assert_eq!(count(b"\0\0\0\x07\x03"), None);
        assert_eq!(count(b"\0\0"), None);
    }
}
