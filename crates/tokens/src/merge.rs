//! Byte pair encoding: what stands side by side and is a token together is merged, lowest rank first.

/// The rank of what is no token.
const NONE: u32 = u32::MAX;

/// The end of a part, and the rank that it would have together with the next one.
struct Part {
    end: usize,
    with_next: u32,
}

/// The lengths of a piece's tokens. Quadratic in the piece's length, like the piece is short.
pub(crate) fn merge(piece: &[u8], rank: impl Fn(&[u8]) -> Option<u32>) -> Vec<usize> {
    if piece.is_empty() {
        return Vec::new();
    }
    // Most pieces are tokens.
    if rank(piece).is_some() {
        return vec![piece.len()];
    }
    let rank = |start: usize, end: usize| rank(&piece[start..end]).unwrap_or(NONE);
    let pair = |start: usize| {
        if start + 2 <= piece.len() {
            rank(start, start + 2)
        } else {
            NONE
        }
    };
    let mut parts: Vec<Part> = (0..piece.len())
        .map(|start| Part {
            end: start + 1,
            with_next: pair(start),
        })
        .collect();
    let start_of =
        |parts: &[Part], at: usize| at.checked_sub(1).map_or(0, |before| parts[before].end);
    // The first of the lowest.
    while let Some(at) = (0..parts.len()).min_by_key(|&at| parts[at].with_next)
        && parts[at].with_next != NONE
    {
        parts[at].end = parts[at + 1].end;
        parts.remove(at + 1);
        for changed in at.saturating_sub(1)..=at {
            parts[changed].with_next = match parts.get(changed + 1) {
                Some(next) => rank(start_of(&parts, changed), next.end),
                None => NONE,
            };
        }
    }
    let mut start = 0;
    let length = |part: &Part| part.end - std::mem::replace(&mut start, part.end);
    parts.iter().map(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_rank_is_merged_first_and_the_leftmost_of_equals() {
        let rank = |token: &[u8]| match token {
            b"bc" => Some(1),
            b"ab" => Some(2),
            b"aa" => Some(3),
            [_] => Some(9),
            _ => None,
        };
        assert_eq!(merge(b"abc", rank), [1, 2]);
        assert_eq!(merge(b"abab", rank), [2, 2]);
        assert_eq!(merge(b"aaa", rank), [2, 1]);
        assert_eq!(merge(b"", rank), [0; 0]);
    }
}
