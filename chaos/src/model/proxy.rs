//! A proxy before the model that breaks what it passes on. Which fault a request meets follows
//! from the seed, its question and how often that was asked; none while it is calm.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use loomgate_bench::statistics::Dice;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{Request, answer, find};
use crate::{
    line::{self, left},
    question::Question,
};

/// What can happen to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Its line breaks.
    Line(line::Fault),
    /// A byte of a text is one that no UTF-8 has.
    InvalidUtf8,
    /// Status 200, and in it an error.
    ErrorBody,
}

/// Their names, in the order of [`Fault::index`].
pub(crate) const FAULTS: [&str; LINES + 2] = {
    let [reset, half_open, drip, truncated] = line::FAULTS;
    let (invalid, error) = ("invalid UTF-8", "200 with an error body");
    [reset, half_open, drip, truncated, invalid, error]
};

/// How many of them are faults of lines.
const LINES: usize = line::FAULTS.len();

impl Fault {
    /// Draws one. A quarter of all requests meet one; a few questions meet one each time.
    fn draw(seed: u64, number: u32, attempt: u32) -> Self {
        let of_question = seed ^ (u64::from(number) << 20);
        let is_cursed = Dice::new(of_question).below(40) == 0;
        let mut dice = Dice::new(of_question ^ (u64::from(attempt) << 52));
        if !is_cursed && dice.below(4) != 0 {
            return Self::None;
        }
        // Half of the cuts come before the first byte, the others within the first words.
        let after = dice.below(2) * dice.below(2_000);
        match dice.below(FAULTS.len()) {
            0..LINES => Self::Line(line::Fault::draw(&mut dice, after)),
            LINES => Self::InvalidUtf8,
            _ => Self::ErrorBody,
        }
    }

    fn index(self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Line(fault) => Some(fault.index()),
            Self::InvalidUtf8 => Some(LINES),
            Self::ErrorBody => Some(LINES + 1),
        }
    }
}

/// What it has done.
#[derive(Debug, Default)]
struct Book {
    attempts: HashMap<u32, u32>,
    faults: HashMap<u32, u32>,
    kinds: [u64; FAULTS.len()],
}

/// Serves until it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

struct Shared {
    seed: u64,
    model: SocketAddr,
    is_calm: AtomicBool,
    book: Mutex<Book>,
}

impl Proxy {
    /// On a free port, before the model at `model`.
    pub(crate) async fn start(model: SocketAddr, seed: u64) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            seed,
            model,
            is_calm: AtomicBool::new(false),
            book: Mutex::default(),
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            _serving: serving,
        })
    }

    /// From now on it passes everything on.
    pub(crate) fn calm(&self) {
        self.shared.is_calm.store(true, Ordering::Relaxed);
    }

    /// How many faults requests with this question have met.
    pub(crate) fn faults_of(&self, number: u32) -> u32 {
        let book = self.shared.book();
        book.faults.get(&number).copied().unwrap_or(0)
    }

    /// How many faults of each kind there were.
    pub(crate) fn kinds(&self) -> [u64; FAULTS.len()] {
        self.shared.book().kinds
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault that a request meets.
    fn next(&self, request: &Request) -> Fault {
        let Some(question) = Question::last_in(request.body()) else {
            return Fault::None;
        };
        if self.is_calm.load(Ordering::Relaxed) {
            return Fault::None;
        }
        let mut book = self.book();
        let attempt = book.attempts.entry(question.number).or_default();
        *attempt += 1;
        let fault = Fault::draw(self.seed, question.number, *attempt);
        if let Some(kind) = fault.index() {
            *book.faults.entry(question.number).or_default() += 1;
            book.kinds[kind] += 1;
        }
        fault
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // Either end may go away at any time.
            let _ = pass_on(stream, &shared).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn pass_on(mut client: TcpStream, shared: &Shared) -> anyhow::Result<()> {
    client.set_nodelay(true)?;
    let request = Request::read(&mut client).await?;
    let fault = shared.next(&request);
    if fault == Fault::ErrorBody {
        let error = r#"{"error":{"message":"out of thread","type":"server_error"}}"#;
        return answer(&mut client, "200 OK", error).await;
    }
    let mut model = TcpStream::connect(shared.model).await?;
    model.write_all(&request.bytes).await?;
    let (mut buffer, mut seen) = (Vec::new(), Seen::default());
    loop {
        buffer.clear();
        let came = tokio::select! {
            came = model.read_buf(&mut buffer) => came?,
            // The client leaves: so does the proxy.
            () = left(&client) => return Ok(()),
        };
        if came == 0 {
            return Ok(());
        }
        seen.look(&buffer);
        match fault {
            // Never in an answer's end, where it would be a matter of luck whether its usage was
            // heard.
            Fault::Line(fault) if !seen.is_at_its_end => {
                if let Some(end) = fault.pass(&mut client, seen.passed, &buffer).await? {
                    return Ok(end.befall(&client).await?);
                }
            }
            Fault::InvalidUtf8 => {
                spoil(&mut buffer);
                client.write_all(&buffer).await?;
            }
            _ => client.write_all(&buffer).await?,
        }
        seen.passed += buffer.len();
    }
}

/// How far an answer has come.
#[derive(Default)]
struct Seen {
    passed: usize,
    /// The end of what was looked at: names may be cut.
    tail: Vec<u8>,
    is_at_its_end: bool,
}

impl Seen {
    fn look(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        let ends: [&[u8]; 2] = [b"\"finish_reason\":\"", b"\"usage\":{"];
        self.is_at_its_end |= ends.iter().any(|end| find(&self.tail, end).is_some());
        let kept = self.tail.len().saturating_sub(24);
        self.tail.drain(..kept);
    }
}

/// Puts a byte that no UTF-8 has into the first text.
fn spoil(bytes: &mut [u8]) {
    for name in [&b"\"content\":\""[..], b"\\\"of\\\":\\\""] {
        if let Some(at) = find(bytes, name)
            && let Some(first) = bytes.get_mut(at + name.len())
        {
            *first = 0xff;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_faults_and_all_of_them() {
        let draw = |number, attempt| Fault::draw(9, number, attempt);
        let drawn: Vec<_> = (0..2_000).map(|number| draw(number, 1)).collect();
        assert!(
            (0..2_000)
                .map(|number| draw(number, 1))
                .eq(drawn.iter().copied())
        );
        for kind in 0..FAULTS.len() {
            assert!(drawn.iter().any(|fault| fault.index() == Some(kind)));
        }
        let calm = drawn.iter().filter(|fault| **fault == Fault::None).count();
        assert!((1_300..1_650).contains(&calm), "{calm}");
        assert!((0..2_000).any(|number| draw(number, 2) != draw(number, 1)));
    }

    #[test]
    fn the_end_of_an_answer_is_seen_wherever_its_bytes_are_cut() {
        let mut seen = Seen::default();
        seen.look(b"data: {\"content\":\"a\"}");
        seen.look(b"\"finish_re");
        assert!(!seen.is_at_its_end);
        seen.look(b"ason\":\"stop\"");
        assert!(seen.is_at_its_end);
    }

    #[test]
    fn a_spoiled_text_is_no_utf8() {
        let mut bytes = b"{\"content\":\"abc\"}".to_vec();
        spoil(&mut bytes);
        assert!(std::str::from_utf8(&bytes).is_err());
        assert_eq!(bytes.len(), 17);
    }
}
