//! Scenes of runs: what a client does with one thread. Everything that it was told is checked as after
//! a storm.

use crate::{
    client::{AtOutputs, Plan, Round},
    question::Question,
};

/// The number of a question that the model takes its time for: something can be done meanwhile.
const SLOW: u32 = super::records::SLOW.number;

/// The number of a question that the model answers word by word, for longer than what was told waits to be
/// stored.
const SPARING: u32 = 5;

fn round(number: u32, rounds: u32, plan: Plan) -> Round {
    Round {
        question: Question { number, rounds },
        comes_with_run: number.is_multiple_of(2),
        plan,
    }
}

fn streamed() -> Plan {
    Plan {
        is_streamed: true,
        ..Plan::quiet()
    }
}

/// Runs that are polled, with and without calls, some of them in parallel.
pub(super) fn polled() -> Vec<Round> {
    let twice = Plan {
        at_outputs: AtOutputs::SubmitTwice,
        modifies_at: Some(1),
        ..Plan::quiet()
    };
    vec![round(1, 0, Plan::quiet()), round(2, 2, twice)]
}

/// Runs that are streamed; one stream is dropped and opened again.
pub(super) fn streaming() -> Vec<Round> {
    let dropped = Plan {
        drops_at: Some(6),
        ..streamed()
    };
    let twice = Plan {
        at_outputs: AtOutputs::SubmitTwice,
        modifies_at: Some(3),
        ..streamed()
    };
    vec![round(SPARING, 0, dropped), round(2, 1, twice)]
}

/// Runs that are cancelled: while they wait, while the model thinks, and while it talks.
pub(super) fn cancelling() -> Vec<Round> {
    let waiting = Plan {
        at_outputs: AtOutputs::Cancel,
        ..Plan::quiet()
    };
    let working = Plan {
        cancels_at: Some(2),
        ..Plan::quiet()
    };
    let talking = Plan {
        cancels_at: Some(8),
        ..streamed()
    };
    vec![
        round(1, 1, waiting.clone()),
        round(SLOW, 0, working),
        round(3, 0, talking),
        round(
            4,
            1,
            Plan {
                is_streamed: true,
                ..waiting
            },
        ),
    ]
}

/// A long run, whose lease is renewed; a message and a run are refused beside it.
pub(super) fn beside() -> Vec<Round> {
    let plan = Plan {
        posts_at: Some(2),
        intrudes_at: Some(3),
        modifies_at: Some(4),
        ..Plan::quiet()
    };
    vec![round(SLOW, 0, plan)]
}

/// A run that is under way when its server is deployed anew.
pub(super) fn deployed() -> Vec<Round> {
    vec![round(SLOW, 1, streamed())]
}

/// A run that waits for its client until it expires.
pub(super) fn expiring() -> Vec<Round> {
    let leave = Plan {
        at_outputs: AtOutputs::Leave,
        ..Plan::quiet()
    };
    vec![round(1, 1, leave)]
}
