//! Changes that know nothing of what they change.

use super::lot::Lot;

/// A text in UTF-16, with a mark of the order of its bytes or without one.
pub(super) fn utf16(text: &str, bytes: fn(u16) -> [u8; 2], is_marked: bool) -> Vec<u8> {
    let mark = is_marked.then_some(0xFEFF);
    let units = mark.into_iter().chain(text.encode_utf16());
    units.flat_map(bytes).collect()
}

/// A few changes of one document: bits, cuts, pieces moved and doubled, numbers swapped.
pub(super) fn mutate(document: &[u8], lot: &mut Lot) -> Vec<u8> {
    let mut mutant = document.to_vec();
    for _ in 0..=lot.below(4) {
        let at = lot.below(mutant.len());
        let end = (at + 1 + lot.below(64)).min(mutant.len());
        match lot.below(8) {
            0 | 1 => {
                if let Some(byte) = mutant.get_mut(at) {
                    *byte ^= 1 << lot.below(8);
                }
            }
            2 => mutant.truncate(at),
            3 => {
                let piece = mutant[at..end].to_vec();
                let to = lot.below(mutant.len());
                mutant.splice(to..to, piece);
            }
            4 => drop(mutant.drain(at..end)),
            5 => {
                let other = lot.below(mutant.len().saturating_sub(4));
                let at = at.min(mutant.len().saturating_sub(4));
                for step in 0..4.min(mutant.len()) {
                    mutant.swap(at + step, other + step);
                }
            }
            6 => mutant[at..end].fill([0, 0xFF, b'9', b'<'][lot.below(4)]),
            _ => {
                let digit = mutant.iter().skip(at).position(u8::is_ascii_digit);
                if let Some(digit) = digit {
                    mutant.splice(at + digit..=at + digit, *b"99999999");
                }
            }
        }
    }
    mutant
}
