//! The tests from outside, in a browser and with the libraries of others: what they need, and starting them.

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

/// Where the tests with client libraries lie: a package of its own, because what they
/// need is large and none of the browser's business.
const CLIENTS: &str = "end2end/clients";

/// Where the stories lie.
const STORIES: &str = "end2end";

/// Runs every story in a real browser against `binary`.
pub fn run(binary: &Path, counts: &mut Counts) -> Result<()> {
    let chromium = chromium()?;
    let node = Node::find()?;
    packages(&node, STORIES)?;
    say("browser tests");
    let mut playwright = node.packaged(STORIES, "playwright");
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

/// Runs the client libraries of others, unmodified, against `binary`.
pub fn run_clients(binary: &Path, counts: &mut Counts) -> Result<()> {
    let node = Node::find()?;
    packages(&node, CLIENTS)?;
    let moto = python("moto-requirements.txt", "moto-python")?;
    let python = python("requirements.txt", "clients-python")?;
    say("tests with the clients of others");
    // The package brings the Node.js that its tests run on; `npm test` finds it.
    let mut npm = node.command(CLIENTS, "npm");
    npm.args(["--silent", "test"])
        .env("ATTORN_PYTHON", python)
        .env("ATTORN_MOTO_PYTHON", moto)
        .env("ATTORN_BINARY", binary)
        .env(SITE_ROOT, site());
    let succeeded = run::watched(&mut npm, |line| counts.read_plain(line))?;
    if succeeded {
        Ok(())
    } else {
        Err("tests with the clients of others failed".to_owned())
    }
}

/// Checks the types of the tests from outside, which those who run them ignore.
pub fn check_types() -> Result<()> {
    let node = Node::find()?;
    packages(&node, STORIES)?;
    packages(&node, CLIENTS)?;
    for folder in [STORIES, CLIENTS] {
        let mut tsc = node.packaged(STORIES, "tsc");
        tsc.arg("--noEmit").current_dir(root().join(folder));
        run::run(&mut tsc)?;
    }
    Ok(())
}

/// A Python that has the packages that this file of the clients' names.
fn python(requirements: &str, home: &str) -> Result<PathBuf> {
    let wanted = root().join(CLIENTS).join(requirements);
    let print = files::fingerprint(std::slice::from_ref(&wanted), "")?;
    let home = run::target().join(home);
    let python = home.join("bin/python");
    let stamp = home.join(".installed-requirements");
    if fs::read_to_string(&stamp).is_ok_and(|old| old == print) {
        return Ok(python);
    }
    say("client tests: installing their Python packages");
    // Debian's Python comes without `ensurepip`, which only making an environment shows.
    let make = || {
        let mut venv = Command::new("python3");
        run::output(venv.args(["-m", "venv", "--clear"]).arg(&home))
    };
    if make().is_err() {
        apt::install(&["python3-venv"], "Python 3 with its venv module")?;
        make()?;
    }
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        // What is imported is compiled then; most of it never is.
        "--no-compile",
    ])
    .args(["--no-input", "--requirement"])
    .arg(&wanted);
    run::run(&mut pip)?;
    at(&stamp, fs::write(&stamp, print))?;
    Ok(python)
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

/// What the peer of the benches needs, Node.js among it.
pub fn install_peer(folder: &str) -> Result<()> {
    packages(&Node::find()?, folder)
}

/// `npm ci` in this folder, unless its lock file is the one installed last.
fn packages(node: &Node, folder: &str) -> Result<()> {
    let lock = root().join(folder).join("package-lock.json");
    let print = files::fingerprint(std::slice::from_ref(&lock), "")?;
    let stamp = root().join(folder).join("node_modules/.installed-lock");
    if fs::read_to_string(&stamp).is_ok_and(|old| old == print) {
        return Ok(());
    }
    say(format!("{folder}: installing its npm packages"));
    run::run(
        node.command(folder, "npm")
            .args(["ci", "--no-audit", "--no-fund"]),
    )?;
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

    /// A program that starts in this folder and finds this Node.js.
    fn command(&self, folder: &str, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(root().join(folder))
            .env("PATH", &self.path);
        command
    }

    /// One of the programs that the folder's packages bring.
    fn packaged(&self, folder: &str, program: &str) -> Command {
        let bin = root().join(folder).join("node_modules/.bin");
        self.command(folder, bin.join(program))
    }
}

fn major(node: &str) -> Result<u32> {
    let version = run::output(Command::new(node).arg("--version"))?;
    let number = version.trim().trim_start_matches('v').split('.').next();
    number
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| format!("`{node} --version` said {version}"))
}
