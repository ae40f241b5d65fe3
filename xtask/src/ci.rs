//! `ci` and its first half, `check`: what must hold before a change is taken. Cheap stages first; the first that
//! fails ends the run.

use std::path::PathBuf;
use std::time::Instant;

use crate::build::{self, Options, PRODUCT};
use crate::run::{self, Result, say};
use crate::setup::{self, TARGET};
use crate::test::{self, Counts};
use crate::{arrows, browser};

/// `cargo xtask ci`
pub fn command() -> Result<()> {
    let mut stages = Stages::default();
    let mut counts = Counts::default();
    let outcome = all(&mut stages, &mut counts);
    stages.print();
    test::close(counts, outcome)
}

/// `cargo xtask check [WORD…]`: only the stages whose name has one of the words.
pub fn check(words: &[String]) -> Result<()> {
    let mut stages = Stages {
        only: words.to_vec(),
        ..Stages::default()
    };
    let outcome = lints(&mut stages);
    stages.print();
    outcome
}

fn all(stages: &mut Stages, counts: &mut Counts) -> Result<()> {
    lints(stages)?;
    stages.run("wasm32 standard library", || setup::wasm_std().map(drop))?;
    let mut binary = PathBuf::new();
    stages.run("build", || {
        binary = build::everything(Options::default())?;
        Ok(())
    })?;
    stages.run("tests on SQLite", || test::on_sqlite(counts))?;
    stages.run("tests on PostgreSQL", || test::on_postgres(counts))?;
    stages.run("browser tests", || test::in_browser(&binary, counts))?;
    stages.run("clients of others", || test::with_clients(&binary, counts))
}

fn lints(stages: &mut Stages) -> Result<()> {
    stages.run("format", || {
        run::run(run::cargo().args(["fmt", "--all", "--check"]))
    })?;
    stages.run("lock files", arrows::check_lock_files)?;
    stages.run("arrows", arrows::check)?;
    stages.run("wasm wall", arrows::check_wasm_wall)?;
    stages.run("licences and bans", deny)?;
    stages.run("types of the tests from outside", browser::check_types)?;
    stages.run("host clippy", clippy)?;
    stages.run("wasm clippy", clippy_wasm)?;
    stages.run("documentation", documentation)
}

/// Where cargo-deny is not installed its stage says so: it is no package of Debian's
/// and takes long to build. Advisories need a fetch and belong to a release.
fn deny() -> Result<()> {
    if !run::exists("cargo-deny") {
        say("cargo-deny is not installed: licences, bans and sources are not checked here");
        return Ok(());
    }
    run::run(run::cargo().args(["deny", "check", "bans", "licenses", "sources"]))
}

/// The host's side. xtask by itself, so that its features do not mix with the product's.
fn clippy() -> Result<()> {
    for packages in [&["--package", "xtask"][..], &PRODUCT[..]] {
        run::run(run::cargo().arg("clippy").args(packages).args([
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))?;
    }
    Ok(())
}

fn clippy_wasm() -> Result<()> {
    let wasm_std = setup::wasm_std()?;
    if wasm_std.foreign {
        say("skipped: the library was built by another compiler than clippy's");
        return Ok(());
    }
    run::run(
        wasm_std
            .cargo("clippy")
            .args(["--package", "app", "--lib", "--target", TARGET])
            .args([
                "--no-default-features",
                "--features",
                "hydrate",
                "--",
                "-D",
                "warnings",
            ]),
    )
}

fn documentation() -> Result<()> {
    let mut cargo = run::cargo();
    cargo
        .args(["doc", "--no-deps"])
        .args(PRODUCT)
        .env("RUSTDOCFLAGS", "-D warnings");
    run::run(&mut cargo)
}

/// Names and times of what has run.
#[derive(Default)]
struct Stages {
    /// Words of which a stage's name must have one, if there are any.
    only: Vec<String>,
    done: Vec<(&'static str, u64, bool)>,
}

impl Stages {
    fn run(&mut self, name: &'static str, stage: impl FnOnce() -> Result<()>) -> Result<()> {
        if !self.only.is_empty() && !self.only.iter().any(|word| name.contains(word.as_str())) {
            return Ok(());
        }
        println!("--- {name}");
        let begun = Instant::now();
        let outcome = stage();
        self.done
            .push((name, begun.elapsed().as_secs(), outcome.is_ok()));
        outcome.map_err(|error| format!("stage `{name}`: {error}"))
    }

    fn print(&self) {
        println!("\nseconds  stage");
        for (name, seconds, succeeded) in &self.done {
            println!(
                "{seconds:7}  {name}{}",
                if *succeeded { "" } else { "  FAILED" }
            );
        }
        println!();
    }
}
