//! A body that is put together from its pieces.

use bytes::{Bytes, BytesMut};
use http_body::Body;

/// Room that is made at once for a body that says how long it is, at most: what was only said costs
/// nobody more.
const AHEAD: u64 = 1 << 20;

/// The pieces of a body so far. Most bodies are one piece, which then needs no copy; room for all of another
/// is made once, with its second piece.
#[derive(Debug, Default)]
pub struct Gathered {
    first: Bytes,
    /// All pieces, once there is a second one.
    all: BytesMut,
    /// As far as the body says how long it is.
    room: usize,
}

impl Gathered {
    /// Of a body whose pieces are still to come.
    pub fn of(body: &impl Body) -> Self {
        let announced = body.size_hint().lower().min(AHEAD);
        Self {
            room: usize::try_from(announced).unwrap_or(0),
            ..Self::default()
        }
    }

    /// Puts the next piece behind the others.
    pub fn push(&mut self, piece: Bytes) {
        if self.bytes().is_empty() {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            let both = self.first.len() + piece.len();
            self.all.reserve(self.room.max(both));
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&piece);
    }

    /// Forgets what stands before the last `most` bytes.
    pub(crate) fn keep_last(&mut self, most: usize) {
        let bytes = self.bytes();
        let before = bytes.len().saturating_sub(most);
        if before > 0 {
            self.all = BytesMut::from(&bytes[before..]);
            self.first = Bytes::new();
        }
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        if self.all.is_empty() {
            &self.first
        } else {
            &self.all
        }
    }
}

impl From<Gathered> for Bytes {
    fn from(Gathered { first, all, .. }: Gathered) -> Self {
        if all.is_empty() { first } else { all.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[test]
    fn one_piece_is_not_copied_and_room_for_more_is_made_once() {
        let piece = Bytes::from(vec![b'a'; 1_000]);
        let body = Full::new(Bytes::from(vec![0; 3_000]));
        let mut gathered = Gathered::of(&body);
        gathered.push(piece.clone());
        assert_eq!(gathered.bytes().as_ptr(), piece.as_ptr());
        gathered.push(piece.clone());
        let at = gathered.bytes().as_ptr();
        gathered.push(piece.clone());
        assert_eq!(gathered.bytes().as_ptr(), at);
        assert_eq!(Bytes::from(gathered), vec![b'a'; 3_000]);
    }

    #[test]
    fn what_is_only_said_takes_no_room() {
        let body = Full::new(Bytes::from(vec![0; 8 << 20]));
        let mut gathered = Gathered::of(&body);
        gathered.push(Bytes::from_static(b"a"));
        gathered.push(Bytes::from_static(b"b"));
        assert!(gathered.all.capacity() < 2 << 20);
    }

    #[test]
    fn the_end_is_what_is_kept() {
        let mut gathered = Gathered::default();
        gathered.push(Bytes::from_static(b"abc"));
        gathered.keep_last(4);
        assert_eq!(gathered.bytes(), b"abc");
        gathered.keep_last(2);
        gathered.push(Bytes::from_static(b"de"));
        gathered.keep_last(3);
        assert_eq!(Bytes::from(gathered), "cde");
    }
}
