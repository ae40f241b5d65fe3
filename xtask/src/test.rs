//! `test`: everything on both databases, then from outside: the browser, and the clients of others.

use std::path::Path;

use crate::browser;
use crate::build::{self, Options, PRODUCT, SITE_ROOT, site};
use crate::database::{self, Postgres};
use crate::run::{self, Result, say};

/// Tells the tests which database to run on: `sqlite` or `postgres`.
const DATABASE: &str = "ATTORN_TEST_DATABASE";

/// Tests counted so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Tests that did what they say.
    pub passed: u64,
    /// Tests that did not.
    pub failed: u64,
}

impl Counts {
    /// Takes in a line of `cargo test`: `test result: ok. 5 passed; 0 failed; …`.
    pub fn read_cargo(&mut self, line: &str) {
        if let Some(result) = line.trim_start().strip_prefix("test result: ") {
            self.add(result.split_once(". ").map_or("", |(_, rest)| rest), ';');
        }
    }

    /// Takes in the closing line of our own reporter: `5 passed, 0 failed`.
    pub fn read_plain(&mut self, line: &str) {
        if line
            .split_once(" passed, ")
            .is_some_and(|(n, _)| n.parse::<u64>().is_ok())
        {
            self.add(line, ',');
        }
    }

    fn add(&mut self, list: &str, separator: char) {
        for part in list.split(separator) {
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|word| word.parse::<u64>().ok());
            match (number, words.next()) {
                (Some(n), Some("passed")) => self.passed += n,
                (Some(n), Some("failed")) => self.failed += n,
                _ => {}
            }
        }
    }
}

/// `cargo xtask test`
pub fn command(parts: &[String]) -> Result<()> {
    let known = ["sqlite", "postgres", "browser", "clients"];
    if let Some(other) = parts.iter().find(|part| !known.contains(&part.as_str())) {
        return Err(format!("test knows {}, not `{other}`", known.join(", ")));
    }
    let wants = |part: &str| parts.is_empty() || parts.iter().any(|word| word == part);
    let mut counts = Counts::default();
    let outcome = (|| {
        let binary = build::everything(Options::default())?;
        if wants("sqlite") {
            on_sqlite(&mut counts)?;
        }
        if wants("postgres") {
            on_postgres(&mut counts)?;
        }
        if wants("browser") {
            in_browser(&binary, &mut counts)?;
        }
        if wants("clients") {
            with_clients(&binary, &mut counts)?;
        }
        Ok(())
    })();
    close(counts, outcome)
}

/// Prints the closing line, which never hides a failure.
pub fn close(mut counts: Counts, outcome: Result<()>) -> Result<()> {
    if outcome.is_err() && counts.failed == 0 {
        counts.failed = 1;
    }
    println!("{} passed, {} failed", counts.passed, counts.failed);
    outcome
}

/// xtask's own tests, and the product's on SQLite.
pub fn on_sqlite(counts: &mut Counts) -> Result<()> {
    say("tests on SQLite");
    cargo_test(&["--package", "xtask"], &[], counts)?;
    cargo_test(&PRODUCT, &[(DATABASE, "sqlite")], counts)
}

/// The product's tests on PostgreSQL.
pub fn on_postgres(counts: &mut Counts) -> Result<()> {
    let postgres = Postgres::start()?;
    say("tests on PostgreSQL");
    cargo_test(
        &PRODUCT,
        &[(DATABASE, "postgres"), (database::URL, &postgres.url)],
        counts,
    )
}

/// The stories in a browser.
pub fn in_browser(binary: &Path, counts: &mut Counts) -> Result<()> {
    browser::run(binary, counts)
}

/// The client libraries of others.
pub fn with_clients(binary: &Path, counts: &mut Counts) -> Result<()> {
    browser::run_clients(binary, counts)
}

fn cargo_test(packages: &[&str], env: &[(&str, &str)], counts: &mut Counts) -> Result<()> {
    let mut cargo = run::cargo();
    cargo
        .args(["test", "--no-fail-fast"])
        .args(packages)
        .env_remove(DATABASE)
        .env_remove(database::URL)
        .envs(env.iter().copied())
        .env(SITE_ROOT, site());
    let succeeded = run::watched(&mut cargo, |line| counts.read_cargo(line))?;
    if succeeded {
        Ok(())
    } else {
        Err("tests failed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_s_and_the_browser_s_results_add_up() {
        let mut counts = Counts::default();
        counts.read_cargo("test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.12s");
        counts.read_cargo("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s");
        counts.read_cargo("test a_test_result ... ok");
        counts.read_plain("7 passed, 1 failed, 2 skipped");
        counts.read_plain("nobody passed, 4 failed");
        assert_eq!(
            counts,
            Counts {
                passed: 15,
                failed: 3
            }
        );
    }
}
