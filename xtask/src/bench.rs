//! `bench`: builds what is measured and what measures it, starts the database, and hands over to
//! `attorn-bench`. A report, never a gate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::browser;
use crate::database::Postgres;
use crate::files::at;
use crate::run::{self, Result, root, say};

/// Where the peer lies.
const PEER: &str = "bench/peer";
/// The page with the report.
const PAGE: &str = "docs/benchmarks.md";
/// Between these lines of it.
const BEGIN: &str = "<!-- report -->";
const END: &str = "<!-- end of report -->";

/// `cargo xtask bench`
pub fn command(words: &[String]) -> Result<()> {
    let (mut attorn, mut write, mut rest) = (None, false, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--attorn" => {
                let path = words.next().ok_or("--attorn wants the path of a program")?;
                attorn = Some(PathBuf::from(path));
            }
            "--write" => write = true,
            _ => rest.push(word),
        }
    }
    let bench = build(attorn.is_none())?;
    let attorn = attorn.unwrap_or_else(|| run::target().join("release/attorn"));
    browser::install_peer(PEER)?;
    let postgres = Postgres::durable()?;

    let out = run::target().join("bench");
    at(&out, fs::create_dir_all(&out))?;
    let mut measure = Command::new(bench);
    measure
        .arg("run")
        .args(rest)
        .arg("--attorn")
        .arg(&attorn)
        .arg("--peer")
        .arg(root().join(PEER))
        // Not in /tmp, which may be memory: what is durable there costs nothing.
        .arg("--scratch")
        .arg(&out)
        .arg("--out")
        .arg(&out)
        .args(["--postgres", &postgres.url]);
    if let Some(pid) = postgres.pid() {
        measure.args(["--postgres-pid", &pid.to_string()]);
    }
    say(format!("measuring {}", attorn.display()));
    run::run(&mut measure)?;
    say(format!("the report is in {}", out.display()));
    if write {
        let report = out.join("report.md");
        let report = at(&report, fs::read_to_string(&report))?;
        put(&root().join(PAGE), &report)?;
        say(format!("{PAGE} has it too"));
    }
    Ok(())
}

/// Builds the measuring program and, if it is wanted, the server; gives the former. Both at once, so that
/// what they share has the same features and is built once.
fn build(server: bool) -> Result<PathBuf> {
    say("bench: compiling (about fifteen minutes when cold)");
    let mut cargo = run::cargo();
    cargo.args(["build", "--release", "--package", "server"]);
    cargo.args(["--package", "bench", "--bin", "attorn-bench"]);
    if server {
        cargo.args(["--bin", "attorn"]);
    }
    run::run(&mut cargo)?;
    Ok(run::target().join("release/attorn-bench"))
}

fn put(page: &Path, report: &str) -> Result<()> {
    let text = at(page, fs::read_to_string(page))?;
    let whole = replace(&text, report)
        .ok_or_else(|| format!("{} has no lines {BEGIN} and {END}", page.display()))?;
    at(page, fs::write(page, whole))
}

/// The text with another report between the marks.
fn replace(text: &str, report: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{BEGIN}\n\n{}\n\n{END}{after}",
        report.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = replace(&text, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n"));
        assert_eq!(replace("no marks", "new"), None);
    }
}
