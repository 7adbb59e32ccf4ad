//! The child process, and programs that are worse than it.

use std::{
    future::Future,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use loomgate_extract::{Code, Confinement, Extractor, Format, Limits, Refusal, Text};
use tokio::io::AsyncRead;

use crate::build::pdf::{deflated, lines, pages, stream};

/// Long enough that nothing ends by it which ends by itself.
const PATIENT: Duration = Duration::from_mins(1);

fn confinement() -> Confinement {
    Confinement {
        memory_bytes: 512 << 20,
        cpu_seconds: 30,
        wall_clock: PATIENT,
        at_once: 2,
    }
}

/// The real child.
fn extractor(confinement: Confinement) -> Extractor {
    extractor_within(Limits::default(), confinement)
}

pub(crate) fn extractor_within(limits: Limits, confinement: Confinement) -> Extractor {
    let program = env!("CARGO_BIN_EXE_loomgate-extract");
    Extractor::new(program, ["--child"], limits, confinement)
}

/// A shell in the child's place.
fn shell(script: &str, confinement: Confinement) -> Extractor {
    Extractor::new("/bin/sh", ["-c", script], Limits::default(), confinement)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn send(extractor: &Extractor, format: Format, bytes: &[u8]) -> Result<Text, Refusal> {
    run(extractor.extract(format, bytes, bytes.len() as u64))
}

#[track_caller]
fn refused(extractor: &Extractor, bytes: &[u8], code: Code, says: &str) {
    let refusal = send(extractor, Format::Pdf, bytes).unwrap_err();
    assert_eq!(refusal.code, code, "{refusal}");
    assert!(refusal.message.contains(says), "{refusal}");
}

#[test]
fn a_child_reads_as_the_parent_would() {
    let extractor = extractor(confinement());
    let document = pages(&[&lines(&["One"]), &lines(&["Two"])], "", &[]);
    assert_eq!(
        send(&extractor, Format::Pdf, &document),
        crate::read(Format::Pdf, &document)
    );
    let long = "Zeile für Zeile\n".repeat(200_000);
    assert_eq!(
        send(&extractor, Format::Plain, long.as_bytes())
            .unwrap()
            .text,
        long.trim_end()
    );
    assert_eq!(
        send(&extractor, Format::Plain, b"caf\xE9"),
        crate::read(Format::Plain, b"caf\xE9")
    );
    refused(&extractor, b"no PDF", Code::InvalidFile, "looks like text");
}

#[test]
fn too_much_memory_is_named() {
    // Each layer of deflate makes a thousand bytes of one.
    let bomb = deflated(&deflated(&vec![b' '; 256 << 20]));
    let form = stream(
        "/Subtype /Form /BBox [0 0 1 1] /Filter [/FlateDecode /FlateDecode]",
        &bomb,
    );
    let document = pages(&[b"/Fm Do"], "/XObject << /Fm 4 0 R >>", &[form]);
    let extractor = extractor(Confinement {
        memory_bytes: 64 << 20,
        ..confinement()
    });
    refused(
        &extractor,
        &document,
        Code::InvalidFile,
        "more than 64 MB of memory",
    );
    // The next file is read as if nothing had been.
    assert_eq!(
        send(&extractor, Format::Plain, b"text").unwrap().text,
        "text"
    );
}

#[test]
fn too_much_processor_time_is_named() {
    let document = pages(&[b"0 0 m 1 1 l ".repeat(12_000_000).as_slice()], "", &[]);
    let extractor = extractor(Confinement {
        cpu_seconds: 1,
        ..confinement()
    });
    refused(
        &extractor,
        &document,
        Code::InvalidFile,
        "more than 1 seconds of processor time",
    );
}

#[test]
fn too_long_is_named_and_the_child_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 1000", pid.display());
    let extractor = shell(
        &script,
        Confinement {
            wall_clock: Duration::from_secs(1),
            ..confinement()
        },
    );
    // It neither reads what it is sent, which is more than a pipe holds, nor answers.
    refused(
        &extractor,
        &vec![b'x'; 1 << 20],
        Code::ServerError,
        "within 1 seconds",
    );
    assert!(is_gone(&pid));
}

#[test]
fn a_child_that_talks_without_end_is_ended() {
    let limits = Limits {
        output_chars: 1000,
        pages: 1,
        ..Limits::default()
    };
    let extractor = Extractor::new("/bin/sh", ["-c", "exec yes"], limits, confinement());
    refused(&extractor, b"x", Code::InvalidFile, "without end");
    let complains = shell(
        "yes >&2 & sleep 0.1; kill $!; exec yes nonsense | head -c 100",
        confinement(),
    );
    refused(&complains, b"x", Code::InvalidFile, "nonsense");
}

#[test]
fn an_answer_is_not_believed() {
    // Headers of 2, 2 and 38 bytes: no answer, no JSON, and a text that is no UTF-8.
    for (script, code) in [
        (r"printf '\002\000\000\000{}'", Code::InvalidFile),
        (r"printf '\002\000\000\000xx'", Code::InvalidFile),
        (r"printf '\377\377\377\377{}'", Code::InvalidFile),
        (
            r#"printf '\040\000\000\000{"text":{"bytes":1,"places":[]}} \377'"#,
            Code::InvalidFile,
        ),
        ("exit 0", Code::InvalidFile),
    ] {
        let script = format!("cat > /dev/null; {script}");
        refused(&shell(&script, confinement()), b"x", code, "nonsense");
    }
}

#[test]
fn ends_of_children_are_told_apart() {
    for (script, code, says) in [
        ("kill -XCPU $$", Code::InvalidFile, "processor time"),
        (
            "echo memory allocation of 9 bytes failed >&2; kill -ABRT $$",
            Code::InvalidFile,
            "512 MB of memory",
        ),
        ("kill -SEGV $$", Code::InvalidFile, "nested too deeply"),
        ("kill -KILL $$", Code::ServerError, "ended from outside"),
        ("exit 3", Code::ServerError, "did not work on this machine"),
    ] {
        refused(&shell(script, confinement()), b"x", code, says);
    }
}

#[test]
fn what_is_the_machines_fault_may_be_tried_again() {
    let missing = Extractor::new("/no/such/program", ["x"], Limits::default(), confinement());
    assert!(
        send(&missing, Format::Plain, b"x")
            .unwrap_err()
            .is_retryable()
    );
    let extractor = extractor(confinement());
    let short = run(extractor.extract(Format::Plain, &b"short"[..], 10));
    assert!(short.unwrap_err().is_retryable());
    let broken = run(extractor.extract(Format::Plain, Broken, 10));
    assert!(broken.unwrap_err().is_retryable());
}

/// A file on a broken disk.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("the disk is broken")))
    }
}

#[test]
fn a_future_that_is_dropped_takes_its_child_along() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!(
        "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000",
        pid.display()
    );
    let extractor = shell(&script, confinement());
    run(async {
        // A file of which nothing comes.
        let (_file, source) = tokio::io::duplex(1);
        {
            let reading = pin!(extractor.extract(Format::Plain, source, 1));
            tokio::select! {
                ended = reading => panic!("{ended:?}"),
                () = until(|| pid.exists()) => assert!(!is_gone(&pid)),
            }
        }
        until(|| is_gone(&pid)).await;
    });
}

#[test]
fn no_more_children_run_than_are_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("lock");
    // Each takes the only lock, and fails when another holds it.
    let script = format!(
        "cat > /dev/null; mkdir {0} || exit 7; rmdir {0}; kill -SEGV $$",
        lock.display()
    );
    let extractor = shell(
        &script,
        Confinement {
            at_once: 1,
            ..confinement()
        },
    );
    run(async {
        let all = (0..8).map(|_| extractor.extract(Format::Plain, &b"x"[..], 1));
        for ended in join_all(all).await {
            assert!(ended.unwrap_err().message.contains("nested too deeply"));
        }
    });
}

#[test]
fn a_child_has_no_environment_and_no_handles() {
    let folder = tempfile::tempdir().unwrap();
    let (seen, held) = (folder.path().join("seen"), folder.path().join("held"));
    let open = std::fs::File::create(&held).unwrap();
    // What the shell sets itself is no matter.
    let script = format!(
        "cat > /dev/null; {{ /usr/bin/env; ls -l /proc/self/fd; pwd; }} > {}",
        seen.display()
    );
    assert!(std::env::vars_os().any(|(name, _)| name == "CARGO_MANIFEST_DIR"));
    let _ = send(&shell(&script, confinement()), Format::Plain, b"x");
    drop(open);
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(!seen.contains("CARGO") && !seen.contains("HOME="), "{seen}");
    assert!(seen.contains("/proc/") && !seen.contains("held"), "{seen}");
    assert!(seen.ends_with("\n/\n"), "{seen}");
}

#[test]
fn the_real_child_has_given_its_rights_up_before_it_reads() {
    let extractor = extractor(confinement());
    run(async {
        // The child waits for a file of which nothing comes.
        let (_file, source) = tokio::io::duplex(1);
        let reading = pin!(extractor.extract(Format::Plain, source, 1));
        let confined = until(|| {
            child_status("limits").is_some_and(|limits| limit(&limits, "open files") == ["3", "3"])
        });
        tokio::select! {
            ended = reading => panic!("{ended:?}"),
            () = confined => {
                let limits = child_status("limits").unwrap();
                assert_eq!(limit(&limits, "core file size"), ["0", "0"]);
                assert_eq!(limit(&limits, "file size"), ["0", "0"]);
                assert_eq!(limit(&limits, "cpu time"), ["30", "35"]);
                let space: u64 = limit(&limits, "address space")[0].parse().unwrap();
                assert!((512 << 20..1 << 30).contains(&space), "{space}");
                let environment = child_status("environ").unwrap();
                assert_eq!(environment, "MALLOC_CONF=background_thread:false\0");
                // What Landlock asks for before it takes rights away.
                let status = child_status("task/*/status").unwrap();
                assert!(status.contains("NoNewPrivs:\t1"), "{status}");
            }
        }
    });
}

/// A file below `/proc` of this test's only child; `task/*` stands for its youngest thread.
fn child_status(file: &str) -> Option<String> {
    let own = std::process::id();
    let child = std::fs::read_dir("/proc").unwrap().find_map(|entry| {
        let path = entry.ok()?.path();
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
        (parent == own.to_string()).then_some(path)
    })?;
    let path = match file.strip_prefix("task/*/") {
        None => child.join(file),
        Some(file) => {
            let threads = std::fs::read_dir(child.join("task")).ok()?;
            let youngest = threads
                .filter_map(Result::ok)
                .map(|thread| thread.path())
                .max()?;
            youngest.join(file)
        }
    };
    std::fs::read_to_string(path).ok()
}

/// Soft and hard value of a line of `/proc/PID/limits`.
fn limit<'l>(limits: &'l str, name: &str) -> Vec<&'l str> {
    let mut lines = limits.lines();
    let line = lines.find_map(|line| line.strip_prefix(&format!("Max {name}")));
    line.unwrap().split_whitespace().take(2).collect()
}

#[test]
fn the_program_prints_the_text_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    std::fs::write(&file, "<h1>Title</h1>").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
    let program = |argument: &Path| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_loomgate-extract"))
            .arg(argument)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    assert_eq!(
        program(&file),
        (true, "# Title\n".to_owned(), String::new())
    );
    let (worked, _, complaint) = program(Path::new("a.png"));
    assert!(!worked && complaint.contains("[.png]"), "{complaint}");
}

/// Whether the process whose number stands in a file is no more.
fn is_gone(pid: &PathBuf) -> bool {
    let Ok(pid) = std::fs::read_to_string(pid) else {
        return false;
    };
    !Path::new("/proc").join(pid.trim()).exists()
}

/// Waits until something is so.
async fn until(so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENT, "it never was so");
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(Box::pin).collect();
    let mut ended: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, end) in running.iter_mut().zip(&mut ended) {
            if end.is_none()
                && let Poll::Ready(output) = future.as_mut().poll(context)
            {
                *end = Some(output);
            }
        }
        if ended.iter().all(Option::is_some) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    ended.into_iter().flatten().collect()
}
