//! The program from outside. This test also has it built along with all others, for `make test`.

use std::process::Command;

#[test]
fn what_can_not_be_is_refused() {
    let program = env!("CARGO_BIN_EXE_loomgate-bench");
    let cases: [(&[&str], &str); 2] = [
        (&["start", "--blocks", "0"], "0 is not in 1.."),
        (
            &["start", "--binary", "/nowhere/loomgate"],
            "/nowhere/loomgate",
        ),
    ];
    for (arguments, why) in cases {
        let output = Command::new(program).args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(error.contains(why), "{error}");
    }
}
