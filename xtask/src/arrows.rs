//! Who may know whom: the arrows of the house, read off cargo's own view of the tree.

use std::collections::BTreeSet;

use crate::run::{self, Result, root};
use crate::setup::TARGET;

const NO_DEFAULTS: &[&str] = &["--no-default-features"];

/// A crate, by its folder, as built with some features, and the workspace crates it may name.
const ARROWS: &[(&str, &[&str], &[&str])] = &[
    ("evidence", &["--all-features"], &[]),
    ("domain", &[], &["evidence"]),
    ("app", &[], &["domain", "evidence"]),
    (
        "app",
        &["--no-default-features", "--features", "hydrate"],
        &["evidence"],
    ),
    ("server", &[], &["app", "domain", "evidence", "sandbox"]),
    ("server", NO_DEFAULTS, &["app", "domain", "evidence"]),
    ("sandbox", &[], &[]),
    ("sdk", &[], &[]),
    ("xtask", &[], &[]),
    ("bench", &[], &[]),
];

/// What must never reach the browser.
const SERVER_ONLY: [&str; 8] = [
    "sqlx",
    "sqlx-core",
    "tokio",
    "axum",
    "domain",
    "reqwest",
    "aws-lc-rs",
    "aws-lc-sys",
];

/// Every crate names only those it may.
pub fn check() -> Result<()> {
    let mut wrong = Vec::new();
    for (package, features, allowed) in ARROWS {
        if !root().join(package).join("Cargo.toml").is_file() {
            continue;
        }
        let mut cargo = run::cargo();
        cargo.args([
            "tree",
            "--package",
            package,
            "--edges",
            "normal,build",
            "--depth",
            "1",
        ]);
        let tree = run::output(cargo.args(["--prefix", "none", "--locked"]).args(*features))?;
        for named in members(&tree).filter(|name| name != package && !allowed.contains(name)) {
            wrong.push(format!(
                "{package} {} must not depend on {named}",
                features.join(" ")
            ));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

/// The wasm side of `app` holds nothing of the server's.
pub fn check_wasm_wall() -> Result<()> {
    let mut cargo = run::cargo();
    cargo.args([
        "tree",
        "--package",
        "app",
        "--target",
        TARGET,
        "--no-default-features",
    ]);
    cargo.args([
        "--features",
        "hydrate",
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
    ]);
    let tree = run::output(cargo.arg("--locked"))?;
    let found: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| SERVER_ONLY.contains(name))
        .collect();
    if found.is_empty() {
        Ok(())
    } else {
        let list: Vec<&str> = found.into_iter().collect();
        Err(format!(
            "the wasm side of app depends on {}",
            list.join(", ")
        ))
    }
}

/// Lock files record what was chosen, not where from: a registry's address in one
/// would tie every clone to the mirror of whoever wrote it.
pub fn check_lock_files() -> Result<()> {
    for folder in ["end2end", "end2end/clients", "bench/peer"] {
        let lock = root().join(folder).join("package-lock.json");
        let text = std::fs::read_to_string(&lock)
            .map_err(|error| format!("{}: {error}", lock.display()))?;
        if text.contains("\"resolved\": \"http") {
            return Err(format!(
                "{folder}/package-lock.json names a registry's host (see {folder}/.npmrc)"
            ));
        }
    }
    let lock =
        std::fs::read_to_string(root().join("Cargo.lock")).map_err(|error| error.to_string())?;
    // Cargo's own name for the public registry is an identifier, the same for everybody.
    let public = "registry+https://github.com/rust-lang/crates.io-index";
    let other = lock
        .lines()
        .filter_map(|line| line.strip_prefix("source = "))
        .find(|source| source.trim_matches('"') != public);
    match other {
        Some(source) => Err(format!("Cargo.lock has a crate from elsewhere: {source}")),
        None => Ok(()),
    }
}

/// The workspace's own crates in the output of `cargo tree`: they carry a path.
fn members(tree: &str) -> impl Iterator<Item = &str> {
    let here = format!("({}", root().display());
    tree.lines()
        .filter(move |line| line.contains(&here))
        .filter_map(|line| line.split_whitespace().next())
}
