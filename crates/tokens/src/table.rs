//! The tokens of a vocabulary and their ranks.

use std::io::Read as _;

use flate2::read::ZlibDecoder;
use foldhash::{HashMap, HashMapExt as _};

/// Ranks by token. Tokens lie one behind the other, without an allocation each.
#[derive(Debug)]
pub(crate) struct Table(HashMap<&'static [u8], u32>);

impl Table {
    /// Of what the build has packed. The tokens stay for as long as the program runs.
    pub(crate) fn unpack(packed: &[u8]) -> Self {
        let mut bytes = Vec::new();
        // The build wrote it whole; a test compares every token.
        let _ = ZlibDecoder::new(packed).read_to_end(&mut bytes);
        let mut rest: &'static [u8] = bytes.leak();
        let tokens = std::iter::from_fn(|| {
            let (&length, behind) = rest.split_first()?;
            let (token, behind) = behind.split_at_checked(length.into())?;
            rest = behind;
            Some(token)
        });
        let mut ranks = HashMap::with_capacity(MOST);
        ranks.extend(tokens.zip(0..));
        ranks.shrink_to_fit();
        Self(ranks)
    }

    pub(crate) fn rank(&self, token: &[u8]) -> Option<u32> {
        self.0.get(token).copied()
    }
}

/// The tokens of the largest vocabulary, about.
const MOST: usize = 200_000;

#[cfg(test)]
mod tests {
    use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton};

    use crate::{Vocabulary, cl100k_base, o200k_base};

    #[test]
    fn every_token_has_its_rank() {
        let expect = |ours: &Vocabulary, theirs: &CoreBPE, tokens: u32| {
            assert_eq!(ours.table.0.len(), tokens as usize);
            let all = theirs._decode_native_and_split((0..tokens).collect());
            for (rank, token) in (0..).zip(all) {
                assert_eq!(ours.table.rank(&token), Some(rank));
            }
        };
        expect(cl100k_base(), cl100k_base_singleton(), 100_256);
        expect(o200k_base(), o200k_base_singleton(), 199_998);
    }
}
