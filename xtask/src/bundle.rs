//! The client side: `app` compiled to wasm, with the script that loads it.

use std::fs;
use std::path::{Path, PathBuf};

use wasm_bindgen_cli_support::Bindgen;

use crate::files::{self, at};
use crate::run::{self, Result, root, say};
use crate::setup::{TARGET, WasmStd};
use crate::styles::kb;

/// The most that a first visit may load, script and wasm together, brotli, in bytes.
pub const BUDGET: usize = 250_000;

/// How hard the compiler tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// What is shipped: small, slow to build.
    Shipped,
    /// Quick to build, several times the size: no budget applies.
    Quick,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Shipped => "wasm-release",
            Self::Quick => "dev",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Shipped => "wasm-release",
            Self::Quick => "debug",
        }
    }
}

/// Leaves `app.js`, `app_bg.wasm` and their packed forms in `pkg`, unless what they are
/// made from has not changed since.
///
/// # Errors
/// The compiler's, or a shipped bundle over [`BUDGET`].
pub fn build(
    pkg: &Path,
    profile: Profile,
    wasm_std: impl FnOnce() -> Result<WasmStd>,
) -> Result<()> {
    let stamp = crate::run::target().join("site.stamp");
    let inputs = inputs()?;
    let print = files::fingerprint(&inputs, profile.name())?;
    let complete = ["app.js", "app_bg.wasm"]
        .iter()
        .all(|name| pkg.join(name).is_file());
    if complete && fs::read_to_string(&stamp).is_ok_and(|old| old == print) {
        say("client bundle: unchanged");
        return within_budget(pkg, profile);
    }
    let wasm_std = wasm_std()?;
    say(format!(
        "client bundle: compiling app for {TARGET} ({}; minutes when cold)",
        profile.name()
    ));
    run::run(
        wasm_std
            .cargo("rustc")
            .args([
                "--package",
                "app",
                "--lib",
                "--crate-type",
                "cdylib",
                "--target",
                TARGET,
            ])
            .args([
                "--profile",
                profile.name(),
                "--no-default-features",
                "--features",
                "hydrate",
            ]),
    )?;
    let wasm = wasm_std
        .target()
        .join(TARGET)
        .join(profile.folder())
        .join("app.wasm");

    fs::remove_dir_all(pkg).ok();
    at(pkg, fs::create_dir_all(pkg))?;
    bind(&wasm, pkg).map_err(|error| format!("wasm-bindgen: {error:#}"))?;
    for file in files::walk(pkg)? {
        if file
            .extension()
            .is_some_and(|kind| kind == "js" || kind == "wasm")
        {
            files::compress(&file)?;
        }
    }
    within_budget(pkg, profile)?;
    files::write(&stamp, print.as_bytes())
}

fn bind(wasm: &Path, pkg: &Path) -> std::result::Result<(), Box<dyn std::error::Error>> {
    Bindgen::new()
        .input_path(wasm)
        .out_name("app")
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(pkg)?;
    Ok(())
}

/// Everything that goes into the bundle, and how it is made.
fn inputs() -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for part in [
        "app",
        "evidence",
        "Cargo.toml",
        "Cargo.lock",
        "rust-toolchain.toml",
    ] {
        all.extend(files::walk(&root().join(part))?);
    }
    let public = root().join("app/public");
    all.retain(|path| !path.starts_with(&public));
    all.push(root().join("xtask/src/bundle.rs"));
    Ok(all)
}

fn within_budget(pkg: &Path, profile: Profile) -> Result<()> {
    let [wasm, script] = ["app_bg.wasm.br", "app.js.br"].map(|name| files::length(&pkg.join(name)));
    let total = wasm + script;
    say(format!(
        "client bundle: {} kB brotli (wasm {}, script {}; at most {})",
        kb(total),
        kb(wasm),
        kb(script),
        kb(BUDGET)
    ));
    if profile == Profile::Shipped && total > BUDGET {
        return Err(format!(
            "the client bundle is {} kB over its budget",
            kb(total - BUDGET)
        ));
    }
    Ok(())
}
