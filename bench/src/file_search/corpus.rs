//! Texts to be indexed, and questions about them: made-up words whose frequencies are those of a natural
//! language, so that an index of words has long lists and short ones.

use loomgate_bench::statistics::Dice;

/// Different words.
const WORDS: u32 = 20_000;
const SYLLABLES: [&str; 24] = [
    "ba", "cor", "de", "fin", "gal", "ho", "in", "jor", "ka", "len", "mi", "nor", "os", "pel",
    "qua", "ri", "sun", "ta", "ul", "ven", "wi", "xa", "yor", "zen",
];
/// Words of a sentence.
const SENTENCE: usize = 14;

/// What texts are made of.
pub(super) struct Corpus {
    words: Vec<String>,
    /// The sum of the frequencies up to each word, by Zipf's law.
    sums: Vec<f64>,
    dice: Dice,
}

impl Corpus {
    pub(super) fn new(seed: u64) -> Self {
        let mut words = Vec::with_capacity(WORDS as usize);
        let mut sums = Vec::with_capacity(WORDS as usize);
        let mut sum = 0.0;
        for rank in 0..WORDS {
            words.push(word(rank));
            sum += 1.0 / (f64::from(rank) + 2.7);
            sums.push(sum);
        }
        Self {
            words,
            sums,
            dice: Dice::new(seed),
        }
    }

    /// A text of at least so many bytes.
    pub(super) fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 16);
        let mut words = 0;
        while text.len() < bytes {
            let rank = self.rank();
            text.push_str(&self.words[rank]);
            words += 1;
            text.push_str(match words {
                n if n % (10 * SENTENCE) == 0 => ".\n\n",
                n if n % SENTENCE == 0 => ". ",
                _ => " ",
            });
        }
        text
    }

    /// A question of four words, none of which is among the hundred that are in nearly every chunk.
    pub(super) fn question(&mut self) -> String {
        let mut chosen = Vec::new();
        while chosen.len() < 4 {
            let rank = self.rank();
            if rank >= 100 {
                chosen.push(self.words[rank].clone());
            }
        }
        chosen.join(" ")
    }

    fn rank(&mut self) -> usize {
        let whole = self.sums.last().copied().unwrap_or(1.0);
        #[expect(clippy::cast_precision_loss, reason = "30 bits are exact")]
        let drawn = self.dice.below(1 << 30) as f64 / f64::from(1 << 30) * whole;
        let rank = self.sums.partition_point(|sum| *sum < drawn);
        rank.min(self.sums.len() - 1)
    }
}

/// The word of a rank: frequent words are short.
fn word(rank: u32) -> String {
    let mut rest = rank as usize;
    let mut word = String::new();
    loop {
        word.push_str(SYLLABLES[rest % SYLLABLES.len()]);
        rest /= SYLLABLES.len();
        if rest == 0 {
            return word;
        }
        rest -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_differ_and_texts_are_the_same_each_time() {
        let words: HashSet<String> = (0..WORDS).map(word).collect();
        assert_eq!(words.len(), WORDS as usize);
        let text = Corpus::new(1).text(1_000);
        assert!((1_000..1_040).contains(&text.len()));
        assert_eq!(text, Corpus::new(1).text(1_000));
        assert_ne!(text, Corpus::new(2).text(1_000));
    }
}
