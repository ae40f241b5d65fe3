//! How often audited hits in the vault wait for the disk: calls of `fsync` and `fdatasync`, which
//! `strace` counts. It slows the server down, so nothing else is measured here.

use std::fs;
use std::path::Path;

use super::exchange;
use super::{SQLITE, say};
use crate::attorn;
use crate::load::{Caller, Step, until_done};
use crate::meter::Result;
use crate::report::{Figure, Series};
use crate::setting::Setting;
use crate::wire::Answer;

/// How many ask at once.
const CONNECTIONS: usize = 256;
/// How often each.
const EACH: u32 = 40;

/// Asks so often.
struct Counted {
    agent: exchange::Agent,
    left: u32,
}

impl Caller for Counted {
    fn next(&mut self) -> Step {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                self.agent.next()
            }
            None => Step::Rest,
        }
    }

    fn take(&mut self, answer: &Answer) -> std::result::Result<(), String> {
        self.agent.take(answer)
    }
}

/// Calls that have waited for the disk so far.
fn synced(trace: &Path) -> Result<usize> {
    let text =
        fs::read_to_string(trace).map_err(|error| format!("{}: {error}", trace.display()))?;
    // What is interrupted by another thread has a second line, which is not counted.
    let begun = |line: &&str| line.contains("fsync(") || line.contains("fdatasync(");
    Ok(text.lines().filter(begun).count())
}

pub async fn run(setting: &Setting) -> Result<(Vec<Figure>, Vec<Series>)> {
    let trace = setting.folder("syncs")?.join("trace");
    let program = attorn::demo_traced(setting, SQLITE, &trace).await?;
    let callers = || -> Result<Vec<Counted>> {
        (0..CONNECTIONS)
            .map(|_| {
                let agent = exchange::agent(&program)?;
                Ok(Counted { agent, left: EACH })
            })
            .collect()
    };
    say(format!(
        "{CONNECTIONS} callers, {EACH} hits each, after a round that does not count"
    ));
    until_done(&program, callers()?).await?;
    let before = synced(&trace)?;
    until_done(&program, callers()?).await?;
    let syncs = synced(&trace)? - before;
    let hits = CONNECTIONS * EACH as usize;
    let each = syncs as f64 * 1_000.0 / hits as f64;
    let figure = Figure::said(
        &format!("waits for the disk per 1,000 audited hits, SQLite, {CONNECTIONS} connections"),
        format!("{each:.1}: {syncs} calls of fsync or fdatasync for {hits} hits"),
        "≤ 50",
        Some(syncs > 0 && each <= 50.0),
    );
    Ok((vec![figure], Vec::new()))
}
