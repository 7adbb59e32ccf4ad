//! The child process: reads one file, answers, ends.

use std::{
    io::{self, Read, Write},
    panic::{self, AssertUnwindSafe},
    thread,
};

use crate::{
    confine, extract,
    frame::{self, Answer},
    refusal::Refusal,
    text::Text,
    too_large,
};

/// Stack of the thread that reads the file, in bytes. Parsers bound their depth; this is room for it.
const STACK: usize = 64 << 20;

/// Carries out one request of an [`Extractor`](crate::Extractor): takes the request's limits on, reads
/// the file, writes one answer. The process should end when it returns.
///
/// A panic of a parser becomes a refusal. What cannot be caught (memory, processor time, the stack)
/// ends the process, and the parent says so.
///
/// # Errors
/// When the request is none, or the answer cannot be written; there is nobody to tell then.
pub fn main(mut stdin: impl Read + Send, mut stdout: impl Write + Send) -> io::Result<()> {
    // Of a panic only its place is told: its message may quote the file.
    panic::set_hook(Box::new(|panic| {
        if let Some(place) = panic.location() {
            let _ = writeln!(io::stderr(), "a parser gave up at {place}");
        }
    }));
    thread::scope(|scope| {
        let reader = thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, || serve(&mut stdin, &mut stdout))?;
        reader
            .join()
            .map_err(|_| io::Error::other("the reader gave up"))?
    })
}

fn serve(stdin: &mut impl Read, stdout: &mut impl Write) -> io::Result<()> {
    let request = frame::read_request(stdin)?;
    let answer = match confine::confine(&request.confinement) {
        Ok(()) => read(&request, stdin),
        Err(error) => Err(Refusal::server(format!(
            "The reader of files could not be confined on this machine: {error}."
        ))),
    };
    match answer {
        Ok(Text { text, places }) => {
            let bytes = text.len() as u64;
            frame::write_answer(stdout, &Answer::Text { bytes, places }, &text)
        }
        Err(refusal) => frame::write_answer(stdout, &Answer::Refused(refusal), ""),
    }
}

fn read(request: &frame::Request, stdin: &mut impl Read) -> Result<Text, Refusal> {
    if request.bytes > request.limits.input_bytes {
        return Err(too_large(&request.limits));
    }
    let mut bytes = Vec::new();
    let length = usize::try_from(request.bytes).map_err(|_| too_large(&request.limits))?;
    bytes.reserve_exact(length);
    let read = stdin.take(request.bytes).read_to_end(&mut bytes);
    if read.is_err() || bytes.len() != length {
        return Err(Refusal::server("The file did not reach its reader whole."));
    }
    let extracted = panic::catch_unwind(AssertUnwindSafe(|| {
        extract(request.format, &bytes, &request.limits)
    }));
    extracted.unwrap_or_else(|_| {
        Err(Refusal::invalid(
            "The file is damaged in a way that its reader could not get past. Save or export it again and upload that.",
        ))
    })
}
