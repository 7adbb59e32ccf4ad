//! The world of one seed: processes, a database, a model, clients, and the time. Each step, one of them
//! does something.

use std::{sync::Arc, time::Duration};

use loomgate_domain::{Clock as _, Limits, ThreadId};
use loomgate_engine::Settings;
use loomgate_store::DrivenDatabase;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::{
    check,
    client::{Report, Request, short},
    history::{Answer, Op, Reader, What},
    model::Calls,
    observer::{Moment, Observer},
    process::{Common, Process, VirtualClock},
    random::Random,
    trace::{Trace, Violation},
};

/// Jobs that one commit takes, at most.
pub(crate) const BATCH: usize = 4;

/// What the seed decides before anything happens.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// Whether several processes share the database, as on PostgreSQL; otherwise there is one, as on
    /// a file.
    pub(crate) is_shared: bool,
    pub(crate) steps: usize,
    pub(crate) threads: usize,
    pub(crate) lease: Duration,
    pub(crate) expiry: Duration,
}

/// Everything there is.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) trace: Trace,
    pub(crate) scenario: Scenario,
    pub(crate) common: Common,
    /// Where processes live, and die.
    pub(crate) slots: Vec<Option<Process>>,
    born: u32,
    pub(crate) ops: Vec<Op>,
    tasks: Vec<AbortHandle>,
    reports: Arc<Mutex<Vec<Report>>>,
    pub(crate) readers: Vec<Reader>,
    /// The threads that clients know of, or that the model was asked about.
    pub(crate) threads: Vec<ThreadId>,
    /// Those that there may be.
    watched: Vec<ThreadId>,
    pub(crate) observer: Observer,
    /// How many turns of the model were taken notice of.
    overheard: usize,
    /// Nothing goes wrong any more.
    pub(crate) is_calm: bool,
    /// Everything has come to its end.
    pub(crate) is_over: bool,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Work,
    Write,
    Read,
    Speak,
    Wait,
    Ask,
    Trouble,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let is_shared = random.chance(55);
        let slots = if is_shared { random.within(2, 3) } else { 1 };
        let scenario = Scenario {
            is_shared,
            steps: random.within(100, 300),
            threads: random.within(1, 3),
            lease: Duration::from_secs(random.within(2, 20) as u64),
            expiry: Duration::from_secs(random.pick(&[20, 60, 60, 600])),
        };
        let settings = Settings {
            limits: Limits {
                run_expiry_s: u32::try_from(scenario.expiry.as_secs()).unwrap(),
                ..Limits::default()
            },
            concurrency: random.pick(&[1, 2, 8, 256]),
            lease: scenario.lease,
            flush_bytes: random.pick(&[16, 16 * 1024]),
            ..Settings::default()
        };
        let database = DrivenDatabase::open(is_shared).unwrap();
        let observer = Observer::new(&database);
        let mut world = Self {
            trace: Trace::default(),
            common: Common {
                clock: Arc::new(VirtualClock::default()),
                calls: Arc::new(Mutex::new(Calls::new(random.fork()))),
                database,
                settings,
            },
            random,
            scenario,
            slots: Vec::new(),
            born: 0,
            ops: Vec::new(),
            tasks: Vec::new(),
            reports: Arc::default(),
            readers: Vec::new(),
            threads: Vec::new(),
            watched: Vec::new(),
            observer,
            overheard: 0,
            is_calm: false,
            is_over: false,
        };
        world
            .trace
            .note(format!("{:?} {:?}", world.scenario, world.common.settings));
        world.slots.resize_with(slots, || None);
        for slot in 0..slots {
            world.start(slot);
        }
        world
    }

    /// Lets the seed's steps happen, then everything come to its end, and checks it all.
    pub(crate) fn run(&mut self) -> Result<(), Violation> {
        for _ in 0..self.scenario.steps {
            self.trace.step += 1;
            self.step()?;
        }
        self.settle()?;
        self.is_over = true;
        check::in_the_end(self)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.common.clock.now_ms()
    }

    fn step(&mut self) -> Result<(), Violation> {
        // What waits for the database is seldom kept waiting for long.
        let is_prompt = self.random.chance(30);
        let action = self.random.weighted(&[
            (36, Action::Work),
            (20, Action::Write),
            (12, Action::Read),
            (14, Action::Speak),
            (6, Action::Wait),
            (10, Action::Ask),
            (4, Action::Trouble),
        ]);
        let action = match action {
            Action::Work if is_prompt && self.is_to_write() => Action::Write,
            Action::Work if is_prompt => Action::Read,
            other => other,
        };
        match action {
            Action::Write if self.is_to_write() => self.write(),
            Action::Read if !self.readable().is_empty() => {
                let slots = self.readable();
                let slot = self.random.pick(&slots);
                self.read(slot);
                Ok(())
            }
            Action::Speak => self.speak(),
            Action::Wait => {
                self.wait();
                Ok(())
            }
            Action::Ask => {
                self.ask();
                Ok(())
            }
            Action::Trouble => self.trouble(),
            Action::Work | Action::Write | Action::Read => {
                let polls = self.random.within(1, 12);
                match self.any(|process| !process.is_frozen) {
                    Some(slot) => self.work(slot, polls),
                    None => Ok(()),
                }
            }
        }
    }

    /// The slots of processes that are so.
    pub(crate) fn living(&self, so: impl Fn(&Process) -> bool) -> Vec<usize> {
        let is_so = |slot: &usize| self.slots[*slot].as_ref().is_some_and(&so);
        (0..self.slots.len()).filter(is_so).collect()
    }

    /// The slot of one of the processes that are so.
    pub(crate) fn any(&mut self, so: impl Fn(&Process) -> bool) -> Option<usize> {
        let slots = self.living(so);
        (!slots.is_empty()).then(|| self.random.pick(&slots))
    }

    pub(crate) fn start(&mut self, slot: usize) {
        self.born += 1;
        let random = self.random.fork();
        self.slots[slot] = Some(Process::start(self.born, &self.common, random));
        self.trace.note(format!("process {} starts", self.born));
    }

    pub(crate) fn work(&mut self, slot: usize, polls: usize) -> Result<(), Violation> {
        let Some(process) = &mut self.slots[slot] else {
            return Ok(());
        };
        process.work(polls);
        let (number, is_gone) = (process.number, process.is_gone());
        self.trace.note(format!("process {number} works ({polls})"));
        self.hear()?;
        if is_gone {
            self.trace.note(format!("process {number} has left"));
            self.end(slot);
        }
        Ok(())
    }

    fn is_to_write(&self) -> bool {
        self.is_open() || !self.writable().is_empty()
    }

    /// Whether a transaction is open: nobody else can read or write.
    pub(crate) fn is_open(&self) -> bool {
        !self.living(|it| it.driver.is_open()).is_empty()
    }

    /// Where something waits to be written. What a frozen process has sent to a database of another
    /// machine is on its way.
    pub(crate) fn writable(&self) -> Vec<usize> {
        let is_shared = self.scenario.is_shared;
        self.living(move |it| it.driver.writes() > 0 && (is_shared || !it.is_frozen))
    }

    pub(crate) fn readable(&self) -> Vec<usize> {
        let is_shared = self.scenario.is_shared;
        let is_open = self.is_open();
        self.living(move |it| !is_open && it.driver.reads() > 0 && (is_shared || !it.is_frozen))
    }

    fn write(&mut self) -> Result<(), Violation> {
        if let Some(slot) = self.living(|it| it.driver.is_open()).first() {
            return self.commit(*slot);
        }
        let slots = self.writable();
        let slot = self.random.pick(&slots);
        let most = self.random.within(1, BATCH);
        self.begin(slot, most);
        if self.random.chance(75) {
            self.commit(slot)?;
        }
        Ok(())
    }

    pub(crate) fn begin(&mut self, slot: usize, most: usize) {
        let Some(process) = &mut self.slots[slot] else {
            return;
        };
        let jobs = process.driver.begin(most);
        self.trace
            .note(format!("process {} writes {jobs} jobs", process.number));
    }

    pub(crate) fn commit(&mut self, slot: usize) -> Result<(), Violation> {
        let is_lost = self.scenario.is_shared && !self.is_calm && self.random.chance(3);
        let is_kept = self.random.chance(50);
        let hints = self.random.chance(70);
        let Some(process) = &mut self.slots[slot] else {
            return Ok(());
        };
        let number = process.number;
        let has_work = if is_lost {
            self.trace
                .note(format!("process {number} loses the line, kept: {is_kept}"));
            process.driver.interrupt(is_kept)
        } else {
            self.trace.note(format!("process {number} commits"));
            process.driver.commit()
        };
        if has_work && hints {
            for other in self.slots.iter().flatten().filter(|it| it.number != number) {
                other.driver.hint();
            }
        }
        let Some(process) = &self.slots[slot] else {
            return Ok(());
        };
        if process.driver.changed() == 0 {
            return Ok(());
        }
        self.look(Some(number))
    }

    pub(crate) fn read(&mut self, slot: usize) {
        let Some(process) = &mut self.slots[slot] else {
            return;
        };
        process.driver.read();
        self.trace.note(format!("process {} reads", process.number));
    }

    /// Looks at every thread.
    pub(crate) fn look(&mut self, committer: Option<u32>) -> Result<(), Violation> {
        let moment = Moment {
            committer,
            now_ms: self.now_ms(),
        };
        for thread in &self.watched {
            if self
                .observer
                .threads
                .get(thread)
                .is_none_or(|it| !it.is_gone)
            {
                self.observer.look(thread, moment)?;
            }
        }
        Ok(())
    }

    fn speak(&mut self) -> Result<(), Violation> {
        let speaking = self.common.calls.lock().speaking();
        if speaking.is_empty() {
            return match self.any(|process| !process.is_frozen) {
                Some(slot) => self.work(slot, 5),
                None => Ok(()),
            };
        }
        let call = self.random.pick(&speaking);
        self.say(call);
        Ok(())
    }

    /// Has a turn of the model say the next thing.
    pub(crate) fn say(&mut self, call: usize) {
        let said = self.common.calls.lock().list[call].speak();
        self.trace.note(format!("turn {call}: {said}"));
    }

    fn wait(&mut self) {
        let lease = self.scenario.lease;
        let by = self.random.weighted(&[
            (30, Duration::from_millis(5)),
            (25, Duration::from_millis(30)),
            (15, Duration::from_millis(120)),
            (12, Duration::from_millis(400)),
            (8, Duration::from_secs(1)),
            (6, lease / 3),
            (3, lease + Duration::from_secs(1)),
            (1, self.scenario.expiry),
        ]);
        self.pass(by);
    }

    pub(crate) fn pass(&mut self, by: Duration) {
        self.common.clock.advance(by);
        self.trace
            .note(format!("{by:?} pass: {} ms", self.now_ms()));
    }

    /// Has a process carry out what a client asks for.
    pub(crate) fn request(&mut self, slot: usize, what: What) {
        let is_hasty = self.random.chance(85);
        let pause = Duration::from_millis(self.random.pick(&[5, 50, 500]));
        let Some(process) = &self.slots[slot] else {
            return;
        };
        let (number, of) = (self.ops.len(), process.number);
        self.trace
            .note(format!("request {number} to process {of}: {what:?}"));
        let request = Request {
            op: number,
            what: what.clone(),
            engine: process.engine.clone(),
            store: process.store.clone(),
            ids: Arc::clone(&process.ids) as _,
            clock: Arc::clone(&self.common.clock),
            pause: if is_hasty { Duration::ZERO } else { pause },
            reports: Arc::clone(&self.reports),
        };
        self.tasks.push(process.spawn(request.serve()));
        if let What::CreateThread { thread, .. } = &what {
            self.watch(&thread.clone());
        }
        self.ops.push(Op {
            number,
            process: of,
            began: self.trace.step,
            what,
            answer: None,
            is_lost: false,
        });
    }

    /// Takes the answers that clients got.
    fn hear(&mut self) -> Result<(), Violation> {
        let reports = std::mem::take(&mut *self.reports.lock());
        for Report { op, answer, stream } in reports {
            self.trace
                .note(format!("request {op} is answered: {}", line(&answer)));
            if let Answer::Run(run) = &answer {
                self.learn(&run.thread_id.clone());
            }
            if let (What::CreateThread { thread, .. }, Answer::Done) = (&self.ops[op].what, &answer)
            {
                self.learn(&thread.clone());
            }
            self.ops[op].answer = Some((self.trace.step, answer));
            if let Some((run, from, heard)) = stream {
                self.readers.push(Reader {
                    op,
                    thread: run.thread_id,
                    run: run.id,
                    from,
                    heard,
                    task: self.tasks[op].clone(),
                });
            }
            check::answer(self, op)?;
        }
        self.overhear();
        Ok(())
    }

    /// Takes notice of the turns that the model was asked for.
    fn overhear(&mut self) {
        let calls = Arc::clone(&self.common.calls);
        for call in &calls.lock().list[self.overheard..] {
            self.overheard += 1;
            let (of, run) = (call.process, short(&call.run));
            let plan = &call.plan;
            self.trace.note(format!(
                "process {of} asks for turn {}, of {run}: {plan:?}",
                call.number
            ));
            self.learn(&call.thread);
        }
    }

    pub(crate) fn learn(&mut self, thread: &ThreadId) {
        if !self.threads.contains(thread) {
            self.threads.push(thread.clone());
        }
        self.watch(thread);
    }

    fn watch(&mut self, thread: &ThreadId) {
        if !self.watched.contains(thread) {
            self.watched.push(thread.clone());
        }
    }

    pub(crate) fn is_gone(&self, thread: &ThreadId) -> bool {
        self.observer
            .threads
            .get(thread)
            .is_some_and(|it| it.is_gone)
    }
}

fn line(answer: &Answer) -> String {
    match answer {
        Answer::Run(run) => format!("{} is {:?}", short(&run.id), run.state),
        other => format!("{other:?}"),
    }
}
