//! What clients ask for next.

use loomgate_domain::{
    CallId, RunId, ThreadId, WhenLocked,
    run::{FunctionCall, RunState},
};

use crate::{history::What, process::Process, world::World};

#[derive(Debug, Clone, Copy)]
enum Wish {
    Thread,
    Message,
    Run,
    Outputs,
    WrongOutputs,
    SameOutputs,
    Metadata,
    Cancel,
    Delete,
    Reopen,
    Get,
    List,
}

impl World {
    /// Has a client ask for something.
    pub(crate) fn ask(&mut self) {
        let Some(slot) = self.any(Process::is_serving) else {
            return;
        };
        if let Some(what) = self.wish() {
            self.request(slot, what);
        }
    }

    fn wish(&mut self) -> Option<What> {
        let wish = self.random.weighted(&[
            (4, Wish::Thread),
            (10, Wish::Message),
            (30, Wish::Run),
            (20, Wish::Outputs),
            (4, Wish::WrongOutputs),
            (5, Wish::SameOutputs),
            (8, Wish::Metadata),
            (6, Wish::Cancel),
            (1, Wish::Delete),
            (10, Wish::Reopen),
            (6, Wish::Get),
            (6, Wish::List),
        ]);
        let number = self.ops.len();
        let few = |world: &World| world.threads.len() < world.scenario.threads;
        match wish {
            _ if self.threads.is_empty() && self.random.chance(50) => Some(self.new_thread(number)),
            Wish::Thread if few(self) => Some(self.new_thread(number)),
            Wish::Thread | Wish::Message => Some(What::PostMessage {
                thread: self.thread()?,
                text: format!("q{number}"),
                when: self.when_locked(),
            }),
            Wish::Run => Some(What::CreateRun {
                thread: if few(self) && self.random.chance(30) {
                    None
                } else {
                    Some(self.thread()?)
                },
                texts: self.texts(number),
                stream: self.random.chance(65),
                parallel: self.random.chance(80),
                when: self.when_locked(),
            }),
            Wish::Outputs => self.outputs(number),
            Wish::WrongOutputs => self.wrong_outputs(number),
            Wish::SameOutputs => self.same_outputs(),
            Wish::Metadata => {
                let (thread, run) = self.run_of()?;
                let messages = &self.observer.threads.get(&thread)?.messages;
                if messages.is_empty() || self.random.chance(50) {
                    return Some(What::ModifyRun { thread, run });
                }
                let message = messages[self.random.below(messages.len())].id.clone();
                Some(What::ModifyMessage { thread, message })
            }
            Wish::Cancel => {
                let (thread, run) = self.run_of()?;
                Some(What::Cancel { thread, run })
            }
            Wish::Delete => Some(What::DeleteThread {
                thread: self.thread()?,
            }),
            Wish::Reopen => {
                let (thread, run) = self.run_of()?;
                Some(What::Reopen {
                    after: self.heard(&run),
                    thread,
                    run,
                })
            }
            Wish::Get => {
                let (thread, run) = self.run_of()?;
                Some(What::Get { thread, run })
            }
            Wish::List => Some(What::List {
                thread: self.thread()?,
            }),
        }
    }

    /// What a request wants if its thread is locked.
    fn when_locked(&mut self) -> WhenLocked {
        let when = self.random.weighted(&[
            (60, "fail"),
            (20, "enqueue"),
            (4, "wait=1"),
            (8, "wait=20"),
            (2, "cancel_previous=1"),
            (6, "cancel_previous=20"),
        ]);
        when.parse().unwrap()
    }

    fn new_thread(&mut self, number: usize) -> What {
        What::CreateThread {
            thread: ThreadId::trusted(format!("thread_000{number:021}")),
            texts: self.texts(number),
        }
    }

    fn outputs(&mut self, number: usize) -> Option<What> {
        let (thread, run, calls) = self.waiting()?;
        let outputs = calls.into_iter().enumerate();
        let outputs = outputs.map(|(at, it)| (it.id, format!("o{number}.{at}")));
        Some(What::Submit {
            thread,
            run,
            outputs: outputs.collect(),
            stream: self.random.chance(65),
        })
    }

    fn wrong_outputs(&mut self, number: usize) -> Option<What> {
        let (thread, run, mut calls) = self.waiting()?;
        calls.pop();
        let outputs = calls.into_iter();
        let outputs = outputs.map(|it| (it.id, format!("o{number}.wrong")));
        let mut outputs: Vec<_> = outputs.collect();
        if self.random.chance(50) {
            outputs.push((CallId::trusted("call_none"), format!("o{number}.none")));
        }
        Some(What::Submit {
            thread,
            run,
            outputs,
            stream: false,
        })
    }

    /// Once more, because the answer was lost, or too late.
    fn same_outputs(&mut self) -> Option<What> {
        let submits = self.ops.iter();
        let submits = submits.filter(|op| matches!(op.what, What::Submit { .. }));
        let submits: Vec<_> = submits.map(|op| op.number).collect();
        if submits.is_empty() {
            return None;
        }
        let op = self.random.pick(&submits);
        Some(self.ops[op].what.clone())
    }

    fn texts(&mut self, number: usize) -> Vec<String> {
        (0..self.random.below(3))
            .map(|at| format!("q{number}.{at}"))
            .collect()
    }

    /// A thread that clients know of. Some have been deleted.
    fn thread(&mut self) -> Option<ThreadId> {
        let here: Vec<_> = self
            .threads
            .iter()
            .filter(|it| !self.is_gone(it))
            .cloned()
            .collect();
        let known = if here.is_empty() || self.random.chance(3) {
            self.threads.clone()
        } else {
            here
        };
        (!known.is_empty()).then(|| known[self.random.below(known.len())].clone())
    }

    /// A run, a late one rather than an early one.
    fn run_of(&mut self) -> Option<(ThreadId, RunId)> {
        let runs: Vec<_> = self.observer.runs.values().map(|seen| &seen.run).collect();
        if runs.is_empty() {
            return None;
        }
        let at = self.random.below(runs.len());
        let active: Vec<_> = runs
            .iter()
            .filter(|it| it.state.status().is_active())
            .collect();
        let run = if active.is_empty() || self.random.chance(30) {
            runs[at]
        } else {
            active[at % active.len()]
        };
        Some((run.thread_id.clone(), run.id.clone()))
    }

    /// A run that waits for outputs.
    fn waiting(&mut self) -> Option<(ThreadId, RunId, Vec<FunctionCall>)> {
        let waiting = self
            .observer
            .runs
            .values()
            .filter(|seen| !self.is_gone(&seen.run.thread_id));
        let waiting: Vec<_> = waiting
            .filter_map(|seen| match &seen.run.state {
                RunState::RequiresAction { calls, .. } => Some((&seen.run, calls)),
                _ => None,
            })
            .collect();
        if waiting.is_empty() {
            return None;
        }
        let (run, calls) = waiting[self.random.below(waiting.len())];
        Some((run.thread_id.clone(), run.id.clone(), calls.clone()))
    }

    /// An event that a reader of the run was told, if there was one.
    fn heard(&mut self, run: &RunId) -> Option<loomgate_domain::run::EventId> {
        let readers: Vec<_> = self.readers.iter().filter(|it| it.run == *run).collect();
        if readers.is_empty() || self.random.chance(25) {
            return None;
        }
        let reader = readers[self.random.below(readers.len())];
        let heard = reader.heard.lock();
        let last = self.random.chance(60);
        let at = match heard.frames.len() {
            0 => return None,
            all if last => all - 1,
            all => self.random.below(all),
        };
        heard.frames[at].id
    }

    /// Hands in the outputs of half of the runs that wait for them. Whether there were any.
    pub(crate) fn answer_calls(&mut self) -> bool {
        let mut is_asked = false;
        for _ in 0..self.observer.runs.len() {
            let Some((thread, run, calls)) = self.waiting() else {
                break;
            };
            let Some(slot) = self.any(Process::is_serving) else {
                break;
            };
            let number = self.ops.len();
            if self.random.chance(50) {
                let outputs = calls.into_iter().enumerate();
                let outputs = outputs.map(|(at, it)| (it.id, format!("o{number}.{at}")));
                let what = What::Submit {
                    thread,
                    run,
                    outputs: outputs.collect(),
                    stream: self.random.chance(65),
                };
                self.request(slot, what);
                is_asked = true;
            }
        }
        is_asked
    }
}
