//! The program from outside. This test also has it built along with all others, for `make test`.

use std::process::Command;

#[test]
fn what_can_not_be_is_refused() {
    let program = env!("CARGO_BIN_EXE_loomgate-chaos");
    let cases: [(&[&str], &str); 3] = [
        (&["--replicas", "2"], "one server"),
        (&["--database", "postgres"], "ensure-postgres.sh"),
        (
            &["--database", "postgres", "--postgres-bin", "/nowhere"],
            "/nowhere/initdb",
        ),
    ];
    for (arguments, why) in cases {
        let output = Command::new(program).args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(error.contains(why), "{error}");
    }
}
