//! The parent's side: a child for each file, and what became of it.

use std::{
    ffi::OsString,
    io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::Semaphore,
    time,
};

use crate::{
    format::Format,
    frame::{self, Answer, Request},
    limits::{Confinement, Limits},
    refusal::Refusal,
    text::{Place, Text},
    too_large,
};

/// Bytes of the file that are held on their way to the child.
const BUFFER: usize = 64 << 10;

/// Tells jemalloc, which the server allocates with, to have no thread of its own: the child gives its rights up
/// for one thread, and it does not live for long.
const ALLOCATOR: (&str, &str) = ("MALLOC_CONF", "background_thread:false");

/// How much of what the child complains of is kept, in bytes.
const COMPLAINT: usize = 4 << 10;

/// Longest message of a refusal, in characters: parts of it may come from the file.
const LONGEST_MESSAGE: usize = 600;

/// Reads files in children of its own.
///
/// Shared by all who read files, it bounds how many children there are at once. In this process it
/// takes a buffer for each file on its way, and the text.
#[derive(Debug)]
pub struct Extractor {
    program: PathBuf,
    args: Vec<OsString>,
    limits: Limits,
    confinement: Confinement,
    places: Semaphore,
}

/// Why a child has no answer.
enum Failure {
    /// The file could not be read where it is kept.
    Source(io::Error),
    /// The child, or a pipe to it.
    Pipe(io::Error),
    /// The child said more than it may.
    TooMuch,
    /// It was still not finished.
    TooLong,
}

impl Extractor {
    /// An extractor whose children are `program` with `args`, which must call
    /// [`child::main`](crate::child::main): usually this same program and a hidden subcommand.
    pub fn new(
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = impl Into<OsString>>,
        limits: Limits,
        confinement: Confinement,
    ) -> Self {
        let places = confinement.at_once.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
            limits,
            confinement,
            places: Semaphore::new(places),
        }
    }

    /// The text of a file of `bytes` bytes, or why it has none.
    ///
    /// Waits for a place among the children. When the future is dropped, its child is killed. A
    /// refusal is [retryable](Refusal::is_retryable) when the file could not be read where it is
    /// kept, when no child could be started, when it was ended from outside, or when it came to no end
    /// although it did not use up its processor time.
    pub async fn extract(
        &self,
        format: Format,
        file: impl AsyncRead + Unpin,
        bytes: u64,
    ) -> Result<Text, Refusal> {
        if bytes > self.limits.input_bytes {
            return Err(too_large(&self.limits));
        }
        let unavailable = |error| {
            Refusal::server(format!(
                "The file could not be read on this machine: {error}. Try again."
            ))
        };
        let _place = self
            .places
            .acquire()
            .await
            .map_err(|error| unavailable(io::Error::other(error)))?;
        let request = Request {
            format,
            limits: self.limits.clone(),
            confinement: self.confinement.clone(),
            bytes,
        };
        let header = frame::encode(&request).map_err(unavailable)?;
        let mut child = self.start().map_err(unavailable)?;
        let conversation = converse(&mut child, &header, file, bytes, self.longest_answer());
        let outcome = time::timeout(self.confinement.wall_clock, conversation)
            .await
            .unwrap_or(Err(Failure::TooLong));
        match outcome {
            Ok((status, answer, complaint)) if status.success() => {
                tracing::trace!(complaint, "a file was read");
                self.understand(answer)
            }
            Ok((status, _, complaint)) => {
                tracing::debug!(complaint, %status, "the reader of a file died");
                Err(self.explain(status, &complaint))
            }
            Err(failure) => {
                // It is ours to end; that it has ended already is no matter.
                let _ = child.start_kill();
                let _ = child.wait().await;
                Err(match failure {
                    Failure::Source(error) | Failure::Pipe(error) => unavailable(error),
                    Failure::TooMuch => Refusal::invalid(
                        "The file made its reader answer without end. Save or export it again and upload that.",
                    ),
                    Failure::TooLong => self.too_long(),
                })
            }
        }
    }

    /// A child that has pipes and nothing else of this process.
    ///
    /// Handles are closed on the way, as the standard library opens all of them to be; its environment
    /// is [`ALLOCATOR`] alone; and it has a group of its own, so that no terminal ends it before its parent does.
    fn start(&self) -> io::Result<Child> {
        Command::new(&self.program)
            .args(&self.args)
            .env_clear()
            .env(ALLOCATOR.0, ALLOCATOR.1)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    /// Bytes that an answer may have: the longest text, and a header for it.
    fn longest_answer(&self) -> u64 {
        const PLACE: u64 = 1 << 10;
        const HEADER: u64 = 1 << 20;
        let text = (self.limits.output_chars as u64).saturating_mul(4);
        let places = (self.limits.pages as u64).saturating_mul(PLACE);
        text.saturating_add(places).saturating_add(HEADER)
    }

    /// What a child answered that ended well. It has read a stranger's file: nothing of it is believed.
    fn understand(&self, mut answer: Vec<u8>) -> Result<Text, Refusal> {
        let (header, at) = frame::read_header(&answer).map_err(|_| nonsense())?;
        match header {
            Answer::Refused(refusal) => Err(Refusal {
                message: refusal
                    .message
                    .chars()
                    .filter(|char| !char.is_control())
                    .take(LONGEST_MESSAGE)
                    .collect(),
                ..refusal
            }),
            Answer::Text { bytes, places } => {
                answer.drain(..at);
                let text = String::from_utf8(answer).map_err(|_| nonsense())?;
                let sound = bytes == text.len() as u64
                    && text.chars().count() <= self.limits.output_chars
                    && are_within(&places, &text);
                if sound {
                    Ok(Text { text, places })
                } else {
                    Err(nonsense())
                }
            }
        }
    }

    /// Why a child died, in words for the owner of the file.
    fn explain(&self, status: ExitStatus, complaint: &str) -> Refusal {
        use rustix::process::Signal;
        let signal = status.signal().and_then(Signal::from_named_raw);
        match signal {
            Some(Signal::XCPU) => Refusal::invalid(format!(
                "The file needed more than {} seconds of processor time to be read. Split it into smaller files, or \
                 export it again.",
                self.confinement.cpu_seconds
            )),
            Some(Signal::ABORT) if complaint.contains("memory allocation of") => {
                Refusal::invalid(format!(
                    "The file needed more than {} MB of memory to be read. Split it into smaller files, or export it \
                     again.",
                    self.confinement.memory_bytes >> 20
                ))
            }
            Some(Signal::ABORT | Signal::SEGV | Signal::BUS) => Refusal::invalid(
                "The file is nested too deeply or damaged in a way that its reader could not get past. Export it again \
                 and upload that.",
            ),
            Some(_) => {
                Refusal::server("The reading of the file was ended from outside. Try again.")
            }
            None => Refusal::server(format!(
                "The reader of the file did not work on this machine ({status}). Try again."
            )),
        }
    }

    fn too_long(&self) -> Refusal {
        Refusal::server(format!(
            "The file could not be read within {} seconds, which the machine or its storage was too slow for. Try again.",
            self.confinement.wall_clock.as_secs()
        ))
    }
}

fn nonsense() -> Refusal {
    Refusal::invalid(
        "The file made its reader answer nonsense. Save or export it again and upload that.",
    )
}

/// Sends the file and hears the answer, both at once; then waits for the end.
async fn converse(
    child: &mut Child,
    header: &[u8],
    file: impl AsyncRead + Unpin,
    bytes: u64,
    longest_answer: u64,
) -> Result<(ExitStatus, Vec<u8>, String), Failure> {
    let missing = || Failure::Pipe(io::Error::other("a pipe is missing"));
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let ((), answer, complaint) = tokio::try_join!(
        send(stdin, header, file, bytes),
        hear(stdout, longest_answer),
        complaint(stderr)
    )?;
    let status = child.wait().await.map_err(Failure::Pipe)?;
    Ok((status, answer, complaint))
}

/// Sends the header and the file. A child that stops listening has its reasons, and says them.
async fn send(
    mut to: ChildStdin,
    header: &[u8],
    file: impl AsyncRead + Unpin,
    bytes: u64,
) -> Result<(), Failure> {
    if to.write_all(header).await.is_err() {
        return Ok(());
    }
    let mut file = file.take(bytes);
    let mut left = bytes;
    let mut buffer = vec![0; BUFFER];
    while left > 0 {
        let read = file.read(&mut buffer).await.map_err(Failure::Source)?;
        if read == 0 {
            return Err(Failure::Source(io::ErrorKind::UnexpectedEof.into()));
        }
        left -= read as u64;
        if to.write_all(&buffer[..read]).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn hear(from: ChildStdout, longest: u64) -> Result<Vec<u8>, Failure> {
    let mut answer = Vec::new();
    let mut from = from.take(longest + 1);
    from.read_to_end(&mut answer).await.map_err(Failure::Pipe)?;
    if answer.len() as u64 > longest {
        return Err(Failure::TooMuch);
    }
    Ok(answer)
}

/// The beginning of what the child complains of; the rest is heard and forgotten.
async fn complaint(mut from: ChildStderr) -> Result<String, Failure> {
    let mut kept = Vec::new();
    let mut buffer = vec![0; COMPLAINT];
    loop {
        let read = from.read(&mut buffer).await.map_err(Failure::Pipe)?;
        if read == 0 {
            return Ok(String::from_utf8_lossy(&kept).into_owned());
        }
        let room = COMPLAINT - kept.len();
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
}

/// Whether places are ranges of the text, one after another.
fn are_within(places: &[Place], text: &str) -> bool {
    let mut end = 0;
    places.iter().all(|place| {
        let sound = end <= place.start && text.get(place.start..place.end).is_some();
        end = place.end;
        sound
    })
}
