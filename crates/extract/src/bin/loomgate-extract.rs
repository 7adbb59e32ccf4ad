//! `loomgate-extract FILE` prints the text of a file, read as the server reads it: in a confined child.

use std::{
    env,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use loomgate_extract::{Confinement, Extractor, Format, Limits, child};

/// Makes this program the child.
const CHILD: &str = "--child";

fn main() -> ExitCode {
    let argument = env::args_os().nth(1).unwrap_or_default();
    let done = match argument.to_str() {
        Some(CHILD) => child::main(io::stdin(), io::stdout()).map_err(|error| error.to_string()),
        Some("" | "--help") => Err("usage: loomgate-extract FILE".to_owned()),
        _ => print(Path::new(&argument)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}

fn print(path: &Path) -> Result<(), String> {
    let format = Format::of_name(&path.to_string_lossy()).map_err(|error| error.to_string())?;
    let file = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let extractor = Extractor::new(program, [CHILD], Limits::default(), Confinement::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let text = runtime
        .map_err(|error| error.to_string())?
        .block_on(extractor.extract(format, &*file, file.len() as u64))
        .map_err(|refusal| format!("{}: {refusal}", refusal.code.as_str()))?;
    writeln!(io::stdout(), "{}", text.text).map_err(|error| error.to_string())
}
