//! The program from outside. This test also has it built along with all others, for `make test`.

use std::process::Command;

#[test]
fn what_is_not_built_yet_is_refused() {
    let program = env!("CARGO_BIN_EXE_loomgate-chaos");
    let arguments = ["--postgres", "postgres://localhost/x"];
    let output = Command::new(program).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains("not built yet"), "{error}");
}
