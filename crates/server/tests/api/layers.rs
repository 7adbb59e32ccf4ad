//! Who may import whom: the table of `ARCHITECTURE.md`, held by what cargo says.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

/// Crate, and what it may import of ours.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("loomgate-domain", &[]),
    ("loomgate-wire", &["loomgate-domain"]),
    ("loomgate-store", &["loomgate-domain"]),
    ("loomgate-gateway", &["loomgate-domain", "loomgate-wire"]),
    ("loomgate-tokens", &[]),
    ("loomgate-search", &["loomgate-tokens"]),
    ("loomgate-vault", &[]),
    ("loomgate-extract", &[]),
    ("loomgate-blobs", &[]),
    (
        "loomgate-engine",
        &[
            "loomgate-domain",
            "loomgate-search",
            "loomgate-store",
            "loomgate-tokens",
            "loomgate-wire",
        ],
    ),
    (
        "loomgate-server",
        &[
            "loomgate-blobs",
            "loomgate-domain",
            "loomgate-engine",
            "loomgate-extract",
            "loomgate-gateway",
            "loomgate-search",
            "loomgate-store",
            "loomgate-vault",
            "loomgate-wire",
        ],
    ),
];

/// Library, and the only crates that may import it.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("rusqlite", &["loomgate-chaos", "loomgate-store"]),
    (
        "tokio-postgres",
        &["loomgate-chaos", "loomgate-store", "loomgate-testkit"],
    ),
    ("chacha20poly1305", &["loomgate-vault"]),
    ("ndarray", &["loomgate-search"]),
    ("pulp", &["loomgate-search"]),
    ("safetensors", &["loomgate-search"]),
    ("tiktoken-rs", &["loomgate-tokens"]),
    ("object_store", &["loomgate-blobs"]),
    ("axum", &["loomgate-server", "loomgate-testkit"]),
    ("csv", &["loomgate-extract"]),
    ("hayro-font", &["loomgate-extract"]),
    ("hayro-syntax", &["loomgate-extract"]),
    ("html5gum", &["loomgate-extract"]),
    ("quick-xml", &["loomgate-extract"]),
    ("zip", &["loomgate-extract"]),
    (
        "reqwest",
        &["loomgate-gateway", "loomgate-server", "loomgate-testkit"],
    ),
];

#[test]
fn crates_import_only_what_they_may() {
    let metadata = metadata();
    for package in packages(&metadata) {
        let name = package["name"].as_str().unwrap();
        let imports = imports(package);
        if let Some((_, may)) = MAY_IMPORT.iter().find(|(known, _)| *known == name) {
            for import in imports
                .iter()
                .filter(|import| import.starts_with("loomgate-"))
            {
                assert!(
                    may.contains(&import.as_str()),
                    "{name} may not import {import}"
                );
            }
        } else {
            assert!(
                ["loomgate-bench", "loomgate-chaos", "loomgate-testkit"].contains(&name),
                "{name} does not stand in the table"
            );
        }
        for (library, only_in) in ONLY_IN {
            if imports.contains(*library) {
                assert!(only_in.contains(&name), "{name} may not import {library}");
            }
        }
    }
}

#[test]
fn the_domain_does_no_io_and_the_long_build_stays_away() {
    let metadata = metadata();
    let domain = packages(&metadata)
        .find(|package| package["name"] == "loomgate-domain")
        .unwrap();
    let may: BTreeSet<_> = ["serde", "serde_json", "thiserror"]
        .map(String::from)
        .into();
    assert!(imports(domain).is_subset(&may));
    let locked = metadata["packages"].as_array().unwrap();
    assert!(locked.iter().all(|package| package["name"] != "aws-lc-sys"));
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    let members = metadata["workspace_members"].as_array().unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.filter(|package| members.contains(&package["id"]))
}

/// What a package imports for its own code; what only its tests import does not count.
fn imports(package: &Value) -> BTreeSet<String> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    let own = dependencies.filter(|dependency| dependency["kind"].is_null());
    own.map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect()
}
