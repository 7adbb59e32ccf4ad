//! What clients ask the model, and the one right answer: a function of the question and of the
//! outputs of its calls, so that the checker knows it without having heard it.

use loomgate_bench::statistics::Dice;
use serde_json::{Value, json};

/// Words of answers; some of several bytes a letter, so that cuts fall into letters too.
const WORDS: [&str; 12] = [
    "thread", "loom", "weft", "café", "織機", "shuttle", "warp", "naïve", "🧵", "bobbin", "fabric",
    "Größe",
];

/// A question. Its text names all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    /// No other question has it.
    pub(crate) number: u32,
    /// How often the model calls functions before it answers.
    pub(crate) rounds: u32,
}

/// Tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
}

impl Usage {
    pub(crate) fn total(self) -> u64 {
        self.prompt + self.completion
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            prompt: self.prompt + other.prompt,
            completion: self.completion + other.completion,
        }
    }

    /// From the JSON of runs and steps.
    pub(crate) fn of(json: &Value) -> Option<Self> {
        Some(Self {
            prompt: json["prompt_tokens"].as_u64()?,
            completion: json["completion_tokens"].as_u64()?,
        })
    }

    pub(crate) fn json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.total(),
        })
    }
}

impl Question {
    /// As a user asks it. `attempt` tells apart what was posted again.
    pub(crate) fn text(self, attempt: u32) -> String {
        let Self { number, rounds } = self;
        format!("Question {number} of {rounds} rounds, attempt {attempt}")
    }

    /// From its text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, rest) = text.strip_prefix("Question ")?.split_once(" of ")?;
        let (rounds, _) = rest.split_once(" rounds")?;
        Some(Self {
            number: number.parse().ok()?,
            rounds: rounds.parse().ok()?,
        })
    }

    /// The last question in a request's bytes, wherever it stands.
    pub(crate) fn last_in(request: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(request);
        text.rmatch_indices("Question ")
            .find_map(|(at, _)| Self::parse(&text[at..]))
    }

    /// The ids of the calls of a round.
    pub(crate) fn calls(self, round: u32) -> Vec<String> {
        let count = 1 + (self.number + round) % 3;
        (0..count)
            .map(|call| format!("call_{}_{round}_{call}", self.number))
            .collect()
    }

    /// What the model says after all rounds, in the pieces that it is streamed in. `outputs` are
    /// those of all calls, in their order.
    pub(crate) fn pieces(self, outputs: &[String]) -> Vec<String> {
        let mut dice = Dice::new(u64::from(self.number));
        let mut pieces = vec![format!("Answer {}:", self.number)];
        for _ in 0..3 + dice.below(40) {
            pieces.push(format!(" {}", WORDS[dice.below(WORDS.len())]));
        }
        pieces.extend(outputs.iter().map(|output| format!(" [{output}]")));
        pieces
    }

    /// The answer in one text.
    pub(crate) fn answer(self) -> String {
        let calls = (0..self.rounds).flat_map(|round| self.calls(round));
        let outputs: Vec<_> = calls.map(|call| right_output(&call)).collect();
        self.pieces(&outputs).concat()
    }

    /// What a turn takes.
    pub(crate) fn usage(self, turn: u32) -> Usage {
        Usage {
            prompt: u64::from(10 + self.number % 50 + turn),
            completion: u64::from(5 + self.number % 30 + turn),
        }
    }

    /// What all its turns take.
    pub(crate) fn whole_usage(self) -> Usage {
        let turns = (0..=self.rounds).map(|turn| self.usage(turn));
        turns.fold(Usage::default(), Usage::plus)
    }
}

/// What a client answers to a call.
pub(crate) fn right_output(call: &str) -> String {
    format!("output of {call}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_back_from_its_text_and_from_a_request() {
        let question = Question {
            number: 70_123,
            rounds: 2,
        };
        assert_eq!(Question::parse(&question.text(3)), Some(question));
        let earlier = Question {
            number: 1,
            rounds: 0,
        };
        let request = format!(
            "{{\"a\":\"{}\",\"b\":\"{}\"}}",
            earlier.text(1),
            question.text(1)
        );
        assert_eq!(Question::last_in(request.as_bytes()), Some(question));
        assert_eq!(Question::parse("A note."), None);
    }

    #[test]
    fn an_answer_holds_the_outputs_of_all_rounds_in_order() {
        let question = Question {
            number: 4,
            rounds: 2,
        };
        let answer = question.answer();
        let calls = [question.calls(0), question.calls(1)].concat();
        assert_eq!(calls.len(), 5);
        let ends = calls.iter().map(|call| answer.find(&right_output(call)));
        assert!(ends.is_sorted_by(|a, b| a.is_some() && a < b), "{answer}");
        assert_eq!(question.whole_usage().prompt, 14 + 15 + 16);
    }
}
