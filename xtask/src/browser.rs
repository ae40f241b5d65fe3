//! The browser tests: what they need, and starting them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt;
use crate::build::{SITE_ROOT, site};
use crate::files::{self, at};
use crate::run::{self, Result, root, say};
use crate::test::Counts;

/// The variable that brings the tests the browser.
const CHROMIUM: &str = "ATTORN_CHROMIUM";

/// What Playwright asks for.
const OLDEST_NODE: u32 = 20;

/// Runs every story in a real browser against `binary`.
pub fn run(binary: &Path, counts: &mut Counts) -> Result<()> {
    let chromium = chromium()?;
    let node = Node::find()?;
    packages(&node)?;
    say("browser tests");
    let mut playwright = node.packaged("playwright");
    playwright
        .arg("test")
        .env(CHROMIUM, chromium)
        .env("ATTORN_BINARY", binary)
        .env(SITE_ROOT, site());
    let succeeded = run::watched(&mut playwright, |line| counts.read_plain(line))?;
    if succeeded {
        Ok(())
    } else {
        Err("browser tests failed".to_owned())
    }
}

/// Checks the types of the stories, which the test runner itself ignores.
pub fn check_types() -> Result<()> {
    let node = Node::find()?;
    packages(&node)?;
    run::run(node.packaged("tsc").arg("--noEmit"))
}

fn folder() -> PathBuf {
    root().join("end2end")
}

fn chromium() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(CHROMIUM) {
        return run::find(&given).ok_or_else(|| format!("{CHROMIUM} names no program"));
    }
    let known = [
        "chromium",
        "chromium-browser",
        "google-chrome-stable",
        "google-chrome",
    ];
    if let Some(found) = known.iter().find_map(run::find) {
        return Ok(found);
    }
    apt::install(&["chromium", "fonts-liberation"], "a Chromium browser")?;
    run::find("chromium").ok_or_else(|| "chromium is installed but not in PATH".to_owned())
}

/// `npm ci`, unless the lock file is the one installed last.
fn packages(node: &Node) -> Result<()> {
    let lock = folder().join("package-lock.json");
    let print = files::fingerprint(std::slice::from_ref(&lock), "")?;
    let stamp = folder().join("node_modules/.installed-lock");
    if fs::read_to_string(&stamp).is_ok_and(|old| old == print) {
        return Ok(());
    }
    say("browser tests: installing their npm packages");
    run::run(node.command("npm").args(["ci", "--no-audit", "--no-fund"]))?;
    at(&stamp, fs::write(&stamp, print))
}

/// A Node.js that is new enough.
struct Node {
    /// `PATH` with it in front.
    path: OsString,
}

impl Node {
    /// The machine's, or else one that npm brings.
    fn find() -> Result<Self> {
        if !(run::exists("node") && run::exists("npm")) {
            apt::install(&["nodejs", "npm"], "Node.js 20 or newer")?;
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        if major("node")? >= OLDEST_NODE {
            return Ok(Self { path });
        }
        // Debian 12 has 18. The npm package `node` carries the program itself.
        let home = run::target().join("node");
        let bin = home.join("node_modules/node/bin");
        if !bin.join("node").is_file() {
            say("fetching a newer Node.js from npm");
            at(&home, fs::create_dir_all(&home))?;
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--prefix"])
                .arg(&home)
                .arg("node@22");
            run::output(npm.current_dir(&home))?;
        }
        let with_it = std::iter::once(bin).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(with_it).map_err(|error| error.to_string())?;
        Ok(Self { path })
    }

    /// A program in the tests' folder that finds this Node.js.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder()).env("PATH", &self.path);
        command
    }

    /// One of the programs that the tests' packages bring.
    fn packaged(&self, program: &str) -> Command {
        self.command(folder().join("node_modules/.bin").join(program))
    }
}

fn major(node: &str) -> Result<u32> {
    let version = run::output(Command::new(node).arg("--version"))?;
    let number = version.trim().trim_start_matches('v').split('.').next();
    number
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| format!("`{node} --version` said {version}"))
}
