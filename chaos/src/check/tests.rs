//! A history that is as it should be, and one change of it for every rule.

use super::*;
use crate::{
    events::{Event, EventId},
    history::{Message, Op, Outcome, Run, Step},
    question::{Question, Usage},
};

const QUESTION: Question = Question {
    number: 3,
    rounds: 1,
};

fn event(id: &str, name: &str, data: &str) -> Event {
    Event {
        id: id.parse().ok(),
        name: name.to_owned(),
        data: data.to_owned(),
    }
}

fn delta(id: &str, message: &str, word: &str) -> Event {
    let data =
        format!(r#"{{"id":"{message}","delta":{{"content":[{{"text":{{"value":"{word}"}}}}]}}}}"#);
    event(id, "thread.message.delta", &data)
}

/// A leg in whose middle the server was killed: 1.4 was told and not stored.
fn leg() -> Vec<Event> {
    let whole = r#"{"id":"m2","content":[{"text":{"value":"ab"}}]}"#;
    vec![
        event("0.1", "thread.run.created", "{}"),
        event("1.2", "thread.message.created", r#"{"id":"m1"}"#),
        delta("1.3", "m1", "a"),
        delta("1.4", "m1", "b"),
        event("2.4", "thread.message.incomplete", r#"{"id":"m1"}"#),
        event("2.5", "thread.message.created", r#"{"id":"m2"}"#),
        delta("2.6", "m2", "ab"),
        event("2.7", "thread.message.completed", whole),
        event("2.8", "done", "[DONE]"),
    ]
}

fn good() -> (History, Facts) {
    let run = || "r1".to_owned();
    let call = QUESTION.calls(0)[0].clone();
    let output = crate::question::right_output(&call);
    let ops = vec![
        Op::Posted {
            text: "first".to_owned(),
            outcome: Outcome::Done,
        },
        Op::Posted {
            text: "refused".to_owned(),
            outcome: Outcome::Refused("locked".to_owned()),
        },
        Op::Asked {
            name: "3-1".to_owned(),
            text: Some("second".to_owned()),
            outcome: Outcome::Done,
        },
        Op::Known {
            run: run(),
            name: "3-1".to_owned(),
            question: QUESTION,
        },
        Op::Modified {
            run: run(),
            number: 1,
            outcome: Outcome::Done,
        },
        Op::Modified {
            run: run(),
            number: 2,
            outcome: Outcome::Lost,
        },
        Op::Submitted {
            run: run(),
            outputs: vec![(call.clone(), output.clone())],
            outcome: Outcome::Done,
        },
        Op::Read {
            run: run(),
            events: leg(),
        },
        Op::Saw {
            run: run(),
            status: "completed".to_owned(),
        },
        Op::Listed {
            messages: ["a", "b", "c"].map(str::to_owned).to_vec(),
        },
    ];
    let message = |id: &str, text: &str| Message {
        id: id.to_owned(),
        is_finished: true,
        text: text.to_owned(),
        ..Message::default()
    };
    let answer = Message {
        is_of_assistant: true,
        run: Some(run()),
        ..message("c", &QUESTION.answer())
    };
    let step = |turn, outputs| Step {
        usage: QUESTION.usage(turn),
        outputs,
    };
    let mut replay = leg();
    replay.remove(3);
    replay.remove(0);
    let facts = Facts {
        messages: vec![message("a", "first"), message("b", "second"), answer],
        runs: vec![Run {
            id: run(),
            name: "3-1".to_owned(),
            status: "completed".to_owned(),
            number: 2,
            usage: QUESTION.whole_usage(),
            steps: vec![step(0, vec![(call, Some(output))]), step(1, Vec::new())],
        }],
        replays: vec![(run(), leg()[0].id.unwrap(), replay)],
        locked: None,
    };
    let history = History {
        thread: "t1".to_owned(),
        entries: (0..).zip(ops).collect(),
    };
    (history, facts)
}

fn checked((history, facts): &(History, Facts)) -> Vec<Violation> {
    check(history, facts, &|_| false)
}

/// What one change of the good history breaks.
#[track_caller]
fn breaks(rule: Rule, change: impl FnOnce(&mut History, &mut Facts)) {
    let mut case = good();
    change(&mut case.0, &mut case.1);
    let found = checked(&case);
    assert!(
        found.iter().any(|violation| violation.rule == rule),
        "{found:?}"
    );
    assert!(!found[0].to_string().is_empty());
}

fn add(history: &mut History, op: Op) {
    history.entries.push((99, op));
}

#[test]
fn a_good_history_breaks_nothing() {
    assert_eq!(checked(&good()), []);
}

#[test]
fn an_acknowledged_write_that_is_missing_or_there_twice_is_found() {
    breaks(Rule::Writes, |_, facts| {
        facts.messages.remove(0);
    });
    breaks(Rule::Writes, |_, facts| {
        let twice = facts.messages[0].clone();
        facts.messages.insert(1, twice);
    });
    breaks(Rule::Writes, |_, facts| {
        facts.messages[1].text = "refused".to_owned();
    });
    breaks(Rule::Writes, |_, facts| facts.runs.clear());
    breaks(Rule::Writes, |_, facts| facts.runs[0].number = 0);
    breaks(Rule::Writes, |_, facts| facts.runs[0].number = 3);
    breaks(Rule::Writes, |_, facts| {
        let other = Run {
            id: "r2".to_owned(),
            status: "completed".to_owned(),
            ..Run::default()
        };
        facts.runs.push(other);
    });
}

#[test]
fn a_lost_write_may_be_there_or_not_but_wholly() {
    let lost = || Op::Asked {
        name: "4-1".to_owned(),
        text: Some("lost".to_owned()),
        outcome: Outcome::Lost,
    };
    let mut case = good();
    add(&mut case.0, lost());
    assert_eq!(checked(&case), []);
    breaks(Rule::Writes, |history, facts| {
        add(history, lost());
        facts.messages.push(Message {
            id: "d".to_owned(),
            text: "lost".to_owned(),
            ..Message::default()
        });
    });
}

#[test]
fn a_lost_number_may_come_true_late_and_not_for_ever() {
    let add_at = |history: &mut History, at_ms, number, outcome| {
        let run = "r1".to_owned();
        let op = Op::Modified {
            run,
            number,
            outcome,
        };
        history.entries.push((at_ms, op));
    };
    let mut case = good();
    add_at(&mut case.0, 100, 5, Outcome::Lost);
    add_at(&mut case.0, 6_000, 6, Outcome::Done);
    case.1.runs[0].number = 5;
    assert_eq!(checked(&case), []);
    breaks(Rule::Writes, |history, facts| {
        add_at(history, 100, 5, Outcome::Lost);
        add_at(history, 6_200, 6, Outcome::Done);
        facts.runs[0].number = 5;
    });
}

#[test]
fn another_order_is_found() {
    breaks(Rule::Order, |_, facts| facts.messages.swap(0, 1));
    breaks(Rule::Order, |_, facts| facts.messages.swap(1, 2));
}

#[test]
fn two_active_runs_and_a_locked_thread_are_found() {
    breaks(Rule::Lock, |_, facts| facts.locked = Some("400".to_owned()));
    breaks(Rule::Lock, |_, facts| {
        facts.runs[0].status = "requires_action".to_owned();
        let other = facts.runs[0].clone();
        facts.runs.push(other);
    });
}

#[test]
fn a_run_that_does_not_end_or_ends_twice_is_found() {
    breaks(Rule::Ends, |_, facts| {
        facts.runs[0].status = "in_progress".to_owned();
    });
    breaks(Rule::Ends, |_, facts| {
        facts.runs[0].status = "failed".to_owned();
    });
    breaks(Rule::Ends, |history, _| {
        let run = "r1".to_owned();
        let outcome = Outcome::Done;
        add(history, Op::Cancelled { run, outcome });
    });
    breaks(Rule::Ends, |_, facts| {
        facts.runs[0].status = "cancelled".to_owned();
    });
}

#[test]
fn a_wrong_answer_is_found() {
    breaks(Rule::Answers, |_, facts| facts.messages[2].text.push('!'));
    breaks(Rule::Answers, |_, facts| {
        facts.messages[2].is_finished = false;
    });
    breaks(Rule::Answers, |_, facts| {
        let twice = facts.messages[2].clone();
        facts.messages.push(twice);
    });
}

#[test]
fn a_run_may_fail_only_where_the_model_did() {
    let mut case = good();
    case.0
        .entries
        .retain(|(_, op)| !matches!(op, Op::Saw { .. }));
    case.1.runs[0].status = "failed".to_owned();
    case.1.messages[2].is_finished = false;
    case.0.entries.pop();
    assert_eq!(check(&case.0, &case.1, &|number| number == 3), []);
    assert_eq!(checked(&case)[0].rule, Rule::Answers);
}

#[test]
fn outputs_that_are_missing_or_strange_or_there_twice_are_found() {
    breaks(Rule::Outputs, |_, facts| {
        facts.runs[0].steps[0].outputs[0].1 = None;
    });
    breaks(Rule::Outputs, |_, facts| {
        facts.runs[0].steps[0].outputs[0].1 = Some("another".to_owned());
    });
    breaks(Rule::Outputs, |_, facts| {
        let again = facts.runs[0].steps[0].outputs.clone();
        facts.runs[0].steps[1].outputs = again;
    });
}

#[test]
fn usage_that_is_counted_twice_is_found() {
    breaks(Rule::Usage, |_, facts| {
        let again = facts.runs[0].steps[0].usage;
        facts.runs[0].usage = facts.runs[0].usage.plus(again);
    });
    breaks(Rule::Usage, |_, facts| {
        let more = Step {
            usage: Usage {
                prompt: 1,
                completion: 1,
            },
            outputs: Vec::new(),
        };
        facts.runs[0].usage = facts.runs[0].usage.plus(more.usage);
        facts.runs[0].steps.push(more);
    });
}

/// The events that were read.
fn read(history: &mut History) -> &mut Vec<Event> {
    let mut ops = history.entries.iter_mut();
    let read = ops.find_map(|(_, op)| match op {
        Op::Read { events, .. } => Some(events),
        _ => None,
    });
    read.unwrap()
}

#[test]
fn a_gap_a_repeat_and_another_replay_are_found() {
    // A gap, in what was read and in what is told again.
    breaks(Rule::Streams, |history, _| drop(read(history).remove(5)));
    breaks(Rule::Streams, |_, facts| drop(facts.replays[0].2.remove(4)));
    breaks(Rule::Streams, |history, _| {
        let again = read(history)[2].clone();
        read(history).insert(3, again);
    });
    breaks(Rule::Streams, |_, facts| {
        facts.replays[0].2[1].data.push(' ');
    });
    // More than words was lost.
    breaks(Rule::Streams, |history, _| {
        read(history)[3].name = "thread.run.step.created".to_owned();
    });
    // The end is lost.
    breaks(Rule::Streams, |_, facts| drop(facts.replays[0].2.pop()));
    // Words that are not those of the message; words of one that is closed.
    breaks(Rule::Streams, |history, _| {
        read(history)[6] = delta("2.6", "m2", "a");
    });
    breaks(Rule::Streams, |history, _| {
        read(history)[6] = delta("2.6", "m1", "ab");
    });
}

#[test]
fn what_a_client_could_not_believe_is_told() {
    breaks(Rule::Requests, |history, _| {
        let what = "500".to_owned();
        add(history, Op::Wrong { what });
    });
    assert_eq!(
        EventId {
            attempt: 2,
            number: 8
        },
        leg()[8].id.unwrap()
    );
}
