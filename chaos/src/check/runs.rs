//! Every run ends once, with the one right answer, the outputs that were taken, and its usage
//! counted once.

use std::collections::{HashMap, HashSet};

use super::{Found, Rule};
use crate::{
    client::WhenLocked,
    history::{Facts, History, Op, Outcome, Run, is_active},
    question::{Question, Usage},
};

pub(super) fn check(
    history: &History,
    facts: &Facts,
    has_failed: &dyn Fn(u32) -> bool,
    found: &mut Found,
) {
    let known = history.known();
    let active = facts.runs.iter().filter(|run| is_active(&run.status));
    let active: Vec<_> = active.map(|run| &*run.id).collect();
    found.expect(Rule::Lock, active.len() <= 1, || {
        format!("several runs are active: {active:?}")
    });
    for run in &facts.runs {
        let id = &run.id;
        let Some((name, question)) = known.get(&**id) else {
            found.expect(Rule::Writes, false, || {
                format!("{id} ({}) was made, and nobody asked for it", run.name)
            });
            continue;
        };
        found.expect(Rule::Writes, *name == run.name, || {
            format!("{id} was made as {name}, and is {}", run.name)
        });
        ends(history, run, found);
        answers(facts, run, *question, found);
        outputs(history, run, found);
        usage(run, *question, found);
        let is_of_model = run.status != "failed" || has_failed(question.number);
        found.expect(Rule::Answers, is_of_model, || {
            format!(
                "{id} failed, and the model never failed question {}",
                question.number
            )
        });
    }
}

fn ends(history: &History, run: &Run, found: &mut Found) {
    let Run { id, status, .. } = run;
    found.expect(
        Rule::Ends,
        !is_active(status) || status == "requires_action",
        || format!("{id} has not ended: {status}"),
    );
    let mut end: Option<&str> = None;
    let seen = history.entries.iter().filter_map(|(_, op)| match op {
        Op::Saw { run, status } if run == id => Some(&**status),
        _ => None,
    });
    for now in seen.chain([&**status]) {
        if let Some(end) = end {
            found.expect(Rule::Ends, now == end, || {
                format!("{id} was {end}, then {now}")
            });
        }
        if !is_active(now) {
            end = Some(now);
        }
    }
    let mut was_asked = false;
    for (_, op) in &history.entries {
        was_asked |= matches!(
            op,
            Op::Beside {
                when: WhenLocked::CancelPrevious,
                ..
            }
        );
        let Op::Cancelled { run, outcome } = op else {
            continue;
        };
        if run == id {
            was_asked |= !matches!(outcome, Outcome::Refused(_));
            let is_done = *outcome == Outcome::Done;
            found.expect(Rule::Ends, !is_done || status == "cancelled", || {
                format!("the cancellation of {id} was acknowledged, and it is {status}")
            });
        }
    }
    found.expect(Rule::Ends, was_asked || status != "cancelled", || {
        format!("{id} was cancelled, and nobody asked for it")
    });
}

fn answers(facts: &Facts, run: &Run, question: Question, found: &mut Found) {
    let of_run = facts.messages.iter();
    let of_run = of_run.filter(|message| message.run.as_ref() == Some(&run.id));
    let whole: Vec<_> = of_run
        .clone()
        .filter(|message| message.is_finished)
        .collect();
    if run.status == "completed" {
        let is_right =
            of_run.count() == 1 && whole.len() == 1 && whole[0].text == question.answer();
        found.expect(Rule::Answers, is_right, || {
            let texts: Vec<_> = whole.iter().map(|message| &message.text).collect();
            format!(
                "{} has the answers {texts:?}, not {:?}",
                run.id,
                question.answer()
            )
        });
    } else {
        found.expect(Rule::Answers, whole.is_empty(), || {
            format!("{} is {}, and has a whole answer", run.id, run.status)
        });
    }
}

fn outputs(history: &History, run: &Run, found: &mut Found) {
    let mut taken: HashMap<&str, &str> = HashMap::new();
    for (call, output) in run.steps.iter().flat_map(|step| &step.outputs) {
        if let Some(output) = output {
            let before = taken.insert(call, output);
            found.expect(Rule::Outputs, before.is_none(), || {
                format!("{}: two steps have an output of {call}", run.id)
            });
        }
    }
    let (mut acknowledged, mut sent) = (HashSet::new(), HashSet::new());
    for (_, op) in &history.entries {
        if let Op::Submitted {
            run: of,
            outputs,
            outcome,
        } = op
            && *of == run.id
        {
            let outputs = outputs.iter().map(|(call, output)| (&**call, &**output));
            sent.extend(outputs.clone());
            if *outcome == Outcome::Done {
                acknowledged.extend(outputs);
            }
        }
    }
    let there: HashSet<_> = taken.into_iter().collect();
    for (call, output) in acknowledged.difference(&there) {
        found.expect(Rule::Outputs, false, || {
            format!(
                "{}: output {output:?} of {call} was acknowledged, and is not there",
                run.id
            )
        });
    }
    for (call, output) in there.difference(&sent) {
        found.expect(Rule::Outputs, false, || {
            format!(
                "{}: output {output:?} of {call} is there, and was never sent",
                run.id
            )
        });
    }
}

fn usage(run: &Run, question: Question, found: &mut Found) {
    let steps = run.steps.iter().map(|step| step.usage);
    let steps = steps.fold(Usage::default(), Usage::plus);
    found.expect(Rule::Usage, steps == run.usage, || {
        format!("{}: steps took {steps:?}, the run {:?}", run.id, run.usage)
    });
    let whole = question.whole_usage();
    let is_right = run.status != "completed" || run.usage == whole;
    found.expect(Rule::Usage, is_right, || {
        format!(
            "{} took {:?}, the model counted {whole:?}",
            run.id, run.usage
        )
    });
}
