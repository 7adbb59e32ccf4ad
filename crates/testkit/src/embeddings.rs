//! A real model of embeddings: all-MiniLM-L6-v2, as Loomgate runs it itself.

#![expect(clippy::unwrap_used, reason = "only tests call this")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Its folder, downloaded once.
///
/// # Panics
/// If it can not be had; what the script says stands in the message.
pub fn model() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/get-embedding-model.sh");
    let output = Command::new(script).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}
