//! The `loomgate` program.

use std::{io, process::ExitCode};

use clap::Parser as _;
use loomgate_server::{
    cli::{self, Cli},
    documents::READER,
};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // The server starts itself so to read a document. That process gives up its rights, and has no use for
    // what the others need.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == READER)
    {
        return match loomgate_extract::child::main(io::stdin(), io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    serve()
}

#[tokio::main]
async fn serve() -> ExitCode {
    cli::run(Cli::parse()).await
}
