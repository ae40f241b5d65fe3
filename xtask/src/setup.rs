//! The wasm32 standard library, by whichever way this machine offers.
//!
//! A ladder; the first rung that holds is taken, and a warm run is two questions
//! to rustc:
//!
//! 1. the toolchain has it;
//! 2. we have built a sysroot of our own before;
//! 3. rustup can fetch it;
//! 4. Debian has the sources of this very release: build it from them;
//! 5. Debian has a newer compiler with sources: build the bundle with that one.
//!
//! `ATTORN_WASM_STD=debian` skips the third, `debian-compiler` goes straight to the fifth.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian;
use crate::run::{self, Result, say};

/// What the client side is compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// How cargo is to be called for the wasm side.
#[derive(Debug, Clone, Default)]
pub struct WasmStd {
    /// Variables for the cargo call.
    pub env: Vec<(String, String)>,
    /// Words after `cargo SUBCOMMAND`.
    pub args: Vec<String>,
    /// Set when the compiler is not the workspace's own (rung 5). Its output must not mix
    /// with the other's, and clippy, which is the workspace's, cannot read it.
    pub foreign: bool,
}

impl WasmStd {
    /// A cargo call for the wasm side: `subcommand` and what it needs to find the library.
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = run::cargo();
        command
            .arg(subcommand)
            .args(&self.args)
            .envs(self.env.iter().cloned());
        command
    }

    /// Where cargo puts what it compiles for the wasm side.
    pub fn target(&self) -> PathBuf {
        if self.foreign {
            debian::foreign_target()
        } else {
            run::target()
        }
    }

    fn with_sysroot(dir: &Path) -> Self {
        let flags = format!("--sysroot {}", dir.display());
        let name = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS".to_owned();
        Self {
            env: vec![(name, flags)],
            ..Self::default()
        }
    }
}

/// Climbs the ladder.
pub fn wasm_std() -> Result<WasmStd> {
    let way = std::env::var("ATTORN_WASM_STD").unwrap_or_default();
    match way.as_str() {
        "" | "debian" => {}
        "debian-compiler" => return debian::foreign_compiler(),
        other => {
            return Err(format!(
                "ATTORN_WASM_STD is debian or debian-compiler, not `{other}`"
            ));
        }
    }
    let compiler = Compiler::ask()?;
    if holds_core(&compiler.libdir) {
        return Ok(WasmStd::default());
    }
    let own = run::target().join("wasm-sysroot").join(compiler.name());
    if holds_core(&libdir(&own)) {
        return Ok(WasmStd::with_sysroot(&own));
    }
    say(format!(
        "this toolchain ({}) has no standard library for {TARGET}",
        compiler.release
    ));
    let mut refusals = Vec::new();

    if way == "debian" {
        say("not asking rustup for it (ATTORN_WASM_STD=debian)");
    } else {
        match from_rustup() {
            Ok(()) if holds_core(&compiler.libdir) => return Ok(WasmStd::default()),
            Ok(()) => refusals.push("rustup: answered, but the library is not there".to_owned()),
            Err(refusal) => refusals.push(format!("rustup: {refusal}")),
        }
    }
    match debian::build_sysroot(&compiler, &own) {
        Ok(()) => return Ok(WasmStd::with_sysroot(&own)),
        Err(refusal) => refusals.push(format!("Debian's sources of this release: {refusal}")),
    }
    match debian::foreign_compiler() {
        Ok(wasm_std) => return Ok(wasm_std),
        Err(refusal) => refusals.push(format!("Debian's own compiler: {refusal}")),
    }
    Err(format!(
        "no way to a standard library for {TARGET}:\n  {}\nWith rustup and a network: rustup target add {TARGET}",
        refusals.join("\n  ")
    ))
}

/// The folder of a sysroot that holds the target's libraries.
pub fn libdir(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib").join(TARGET).join("lib")
}

fn holds_core(libdir: &Path) -> bool {
    std::fs::read_dir(libdir).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

/// `rustup target add`, given up after three minutes: where its servers are
/// filtered away it may otherwise retry for a long time.
fn from_rustup() -> Result<()> {
    if !run::exists("rustup") {
        return Err("not installed".to_owned());
    }
    say(format!("asking rustup for {TARGET}"));
    let mut command = if run::exists("timeout") {
        let mut command = Command::new("timeout");
        command.args(["180", "rustup"]);
        command
    } else {
        Command::new("rustup")
    };
    command
        .current_dir(run::root())
        .env("RUSTUP_MAX_RETRIES", "1");
    run::output(command.args(["target", "add", TARGET])).map(drop)
}

/// What rustc says of itself.
pub struct Compiler {
    /// `1.95.0`
    pub release: String,
    hash: String,
    libdir: PathBuf,
}

impl Compiler {
    fn ask() -> Result<Self> {
        let verbose = run::output(run::rustc().arg("-vV"))?;
        let field = |name: &str| {
            let found = verbose
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            found
                .map(str::to_owned)
                .ok_or_else(|| format!("`rustc -vV` tells no {name}"))
        };
        let libdir =
            run::output(run::rustc().args(["--print", "target-libdir", "--target", TARGET]))?;
        Ok(Self {
            release: field("release")?,
            hash: field("commit-hash")?.chars().take(9).collect(),
            libdir: PathBuf::from(libdir.trim()),
        })
    }

    /// A library fits one build of the compiler only, so the sysroot is named after it.
    fn name(&self) -> String {
        format!("{}-{}", self.release, self.hash)
    }
}
