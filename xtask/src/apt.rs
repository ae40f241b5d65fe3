//! Debian packages that some steps need.

use std::process::Command;
use std::sync::OnceLock;

use crate::run::{self, Result, say};

/// Installs packages, or tells the exact command where we may not.
///
/// `why` completes the sentence "… is needed".
pub fn install(packages: &[&str], why: &str) -> Result<()> {
    let list = packages.join(" ");
    if !run::exists("apt-get") {
        return Err(format!(
            "{why} is needed; on Debian or Ubuntu that is `apt-get install {list}`, elsewhere install the like"
        ));
    }
    if !run::is_root() {
        return Err(format!(
            "{why} is needed. Please run:\n  sudo apt-get install {list}"
        ));
    }
    update()?;
    say(format!("installing {list} ({why} is needed)"));
    run::run(
        Command::new("apt-get")
            .args(["install", "-q", "-y", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// Fetches Debian's package lists, once a run.
fn update() -> Result<()> {
    static DONE: OnceLock<Result<()>> = OnceLock::new();
    DONE.get_or_init(|| {
        say("fetching Debian's package lists");
        run::output(Command::new("apt-get").args(["update", "-q"])).map(drop)
    })
    .clone()
}
