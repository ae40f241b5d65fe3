//! `build`, and the commands that build and then start the server.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::bundle::{self, Profile};
use crate::files;
use crate::run::{self, Result, root, say};
use crate::{setup, styles};

/// The variable that tells the server where its files are.
pub const SITE_ROOT: &str = "ATTORN_SERVER__SITE_ROOT";

/// Packages that make up the product. xtask stays out: it is built by itself before
/// anything else, and together with it the shared dependencies would get
/// other features and be built a second time.
pub const PRODUCT: [&str; 3] = ["--workspace", "--exclude", "xtask"];

/// What `build` can be told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Optimise the server.
    pub release: bool,
    /// How to build the bundle.
    pub bundle: Profile,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            release: false,
            bundle: Profile::Shipped,
        }
    }
}

/// `cargo xtask build`
pub fn command(words: &[String]) -> Result<()> {
    let mut options = Options::default();
    for word in words {
        match word.as_str() {
            "--release" => options.release = true,
            "--dev" => options.bundle = Profile::Quick,
            other => return Err(format!("build does not know `{other}`")),
        }
    }
    everything(options).map(drop)
}

/// `cargo xtask demo …` and `cargo xtask serve …`: becomes the server, so that signals
/// reach it and its exit code is ours.
pub fn and_start(subcommand: &str, words: &[String]) -> Result<()> {
    let binary = everything(Options::default())?;
    let error = Command::new(&binary)
        .arg(subcommand)
        .args(words)
        .env(SITE_ROOT, site())
        .exec();
    Err(format!("{}: {error}", binary.display()))
}

/// Builds whatever is not up to date and tells where the server's binary is.
pub fn everything(options: Options) -> Result<PathBuf> {
    client(options.bundle)?;
    server(options.release)
}

/// The folder the server serves files from.
pub fn site() -> PathBuf {
    run::target().join("site")
}

fn client(profile: Profile) -> Result<()> {
    let site = site();
    let pkg = site.join("pkg");
    // The bundle empties `pkg`, so it goes first.
    bundle::build(&pkg, profile, setup::wasm_std)?;
    styles::build(&pkg)?;
    files::mirror(&root().join("app/public"), &site, "pkg")
}

fn server(release: bool) -> Result<PathBuf> {
    say("server: compiling (about ten minutes when cold, seconds afterwards)");
    let mut cargo = run::cargo();
    cargo.arg("build").args(PRODUCT).args(["--bin", "attorn"]);
    if release {
        cargo.arg("--release");
    }
    run::run(&mut cargo)?;
    Ok(run::target()
        .join(if release { "release" } else { "debug" })
        .join("attorn"))
}
