//! What the child gives up before it reads a file.

use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetError,
    Scope,
};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::limits::Confinement;

/// Seconds between the signal that ends the child for its processor time and the one that it cannot
/// survive.
const CPU_GRACE: u64 = 5;

/// Standard input, output and error: a process with them can open nothing.
const STREAMS: u64 = 3;

/// How much worse the child's turn at the processor is than the server's.
const NICENESS: i32 = 5;

/// Takes the limits on, for good. Everything that is opened must be open by now.
///
/// The kernel counts address space; what the program holds at its start (its own code, what its
/// allocator reserves) comes on top. No new handle can be had, so that there is no file to open and no
/// socket to connect, on any kernel; Landlock refuses the file system and the network once more where
/// the kernel has it (5.13, networks 6.7), and is done without where it has not.
pub(crate) fn confine(confinement: &Confinement) -> io::Result<()> {
    let held = held_bytes()?;
    let cpu = confinement.cpu_seconds.max(1);
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Fsize, 0, 0)?;
    limit(Resource::Cpu, cpu, cpu + CPU_GRACE)?;
    let space = held.saturating_add(confinement.memory_bytes);
    limit(Resource::As, space, space)?;
    // A worse turn is a courtesy to the server, not a protection.
    let _ = rustix::process::nice(NICENESS);
    forbid_files_and_networks().map_err(io::Error::other)?;
    limit(Resource::Nofile, STREAMS, STREAMS)
}

/// Sets a limit, or a smaller one that stands already.
fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let allowed = rustix::process::getrlimit(resource)
        .maximum
        .unwrap_or(u64::MAX);
    let limit = Rlimit {
        current: Some(soft.min(allowed)),
        maximum: Some(hard.min(allowed)),
    };
    setrlimit(resource, limit).map_err(io::Error::from)
}

/// Address space that the process has, in bytes.
fn held_bytes() -> io::Result<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let pages = pages
        .split(' ')
        .next()
        .and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::other("/proc/self/statm has no number"))?;
    Ok(pages.saturating_mul(rustix::param::page_size() as u64))
}

/// For the calling thread and those that it starts.
fn forbid_files_and_networks() -> Result<(), RulesetError> {
    let abi = ABI::V6;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .restrict_self()?;
    Ok(())
}
