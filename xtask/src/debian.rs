//! A wasm32 standard library out of Debian's archive, for machines that reach no
//! other place. Nothing is installed: packages are fetched and unpacked below `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::{self, at};
use crate::run::{self, Result, say};
use crate::setup::{Compiler, TARGET, WasmStd, libdir};

/// Suites that carry recent compilers, in the order in which we would rather use them.
const SUITES: [&str; 3] = ["trixie-backports", "forky", "sid"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Rung 4: builds the library for the workspace's own compiler into `sysroot`,
/// from Debian's `rust-src` of the very same release.
pub fn build_sysroot(compiler: &Compiler, sysroot: &Path) -> Result<()> {
    only_on_debian()?;
    let work = fresh_folder("rust-src")?;
    let apt = private_sources(&work)?;
    say(format!(
        "fetching the sources of rustc {} from Debian",
        compiler.release
    ));
    run::output(apt(&["update", "-q"]).current_dir(&work))?;
    let package = format!("rust-src={}*", compiler.release);
    fetch(&work, apt(&["download", "-q", &package]))?;
    let library = work
        .join("usr/src")
        .join(format!("rustc-{}", compiler.release))
        .join("library");
    compile(&work, &library, sysroot, |_| {})?;
    fs::remove_dir_all(&work).ok();
    Ok(())
}

/// Rung 5: Debian's security suite keeps a recent compiler for its browsers. It comes
/// with sources, so it can have a library built for it too, and compile the bundle.
pub fn foreign_compiler() -> Result<WasmStd> {
    only_on_debian()?;
    let home = run::target().join("wasm-sysroot/rustc-web");
    let (unpacked, sysroot) = (home.join("unpacked"), home.join("sysroot"));
    let rustc = unpacked.join("usr/bin/rustc");
    let library_path = unpacked.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    let wasm_std = WasmStd {
        env: vec![
            ("RUSTC".to_owned(), rustc.display().to_string()),
            (
                "LD_LIBRARY_PATH".to_owned(),
                library_path.display().to_string(),
            ),
            (
                "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER".to_owned(),
                linker()?,
            ),
            (
                "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS".to_owned(),
                format!("--sysroot {}", sysroot.display()),
            ),
        ],
        args: vec![
            "--target-dir".to_owned(),
            foreign_target().display().to_string(),
        ],
        foreign: true,
    };
    if libdir(&sysroot).is_dir() {
        return Ok(wasm_std);
    }

    let work = fresh_folder("rustc-web")?;
    say("fetching Debian's own compiler");
    run::output(Command::new("apt-get").args(["update", "-q"])).ok();
    let wanted = packages_of_rustc_web()?;
    let mut download = Command::new("apt-get");
    download.args(["download", "-q"]).args(&wanted);
    fetch(&work, download)?;
    fs::remove_dir_all(&home).ok();
    at(&home, fs::create_dir_all(&home))?;
    at(&unpacked, fs::rename(&work, &unpacked))?;

    let sources = unpacked.join("usr/src");
    let library = at(&sources, fs::read_dir(&sources))?
        .flatten()
        .map(|entry| entry.path().join("library"))
        .find(|path| path.is_dir())
        .ok_or("rust-web-src holds no library")?;
    let stub = fresh_folder("rustc-web-stub")?;
    compile(&stub, &library, &sysroot, |command| {
        command
            .env("RUSTC", &rustc)
            .env("LD_LIBRARY_PATH", &library_path);
    })?;
    fs::remove_dir_all(&stub).ok();
    Ok(wasm_std)
}

/// Another compiler's output gets a folder of its own.
pub fn foreign_target() -> PathBuf {
    run::target().join("rustc-web")
}

fn only_on_debian() -> Result<()> {
    if run::exists("apt-get") && run::exists("dpkg-deb") && Path::new(KEYRING).is_file() {
        Ok(())
    } else {
        Err("this is no Debian".to_owned())
    }
}

/// An empty folder for one fetch; what an interrupted run left is removed.
fn fresh_folder(name: &str) -> Result<PathBuf> {
    let dir = run::target().join("wasm-sysroot/work").join(name);
    fs::remove_dir_all(&dir).ok();
    at(&dir, fs::create_dir_all(&dir))?;
    Ok(dir)
}

/// An `apt-get` that sees only [`SUITES`] and keeps its state in `work`, so that the
/// machine's own package lists stay as they are.
fn private_sources(work: &Path) -> Result<impl Fn(&[&str]) -> Command + use<>> {
    let mirror = mirror()?;
    let sources: String = SUITES
        .iter()
        .map(|suite| format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))
        .collect();
    let list = work.join("sources.list");
    files::write(&list, sources.as_bytes())?;
    for dir in ["lists/partial", "cache/archives/partial"] {
        at(work, fs::create_dir_all(work.join(dir)))?;
    }
    let options = [
        format!("Dir::Etc::SourceList={}", list.display()),
        "Dir::Etc::SourceParts=/nonexistent".to_owned(),
        format!("Dir::State::Lists={}", work.join("lists").display()),
        format!("Dir::Cache={}", work.join("cache").display()),
        "Acquire::Languages=none".to_owned(),
        "APT::Sandbox::User=".to_owned(),
    ];
    Ok(move |words: &[&str]| {
        let mut command = Command::new("apt-get");
        for option in &options {
            command.args(["-o", option]);
        }
        command.args(words);
        command
    })
}

/// The mirror this machine uses already.
fn mirror() -> Result<String> {
    let all =
        run::output(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]))?;
    all.lines()
        .find(|uri| uri.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
        .ok_or_else(|| "apt knows no mirror of Debian's main archive".to_owned())
}

/// Downloads packages into `work` and unpacks them there.
fn fetch(work: &Path, mut download: Command) -> Result<()> {
    run::output(download.current_dir(work))?;
    let archives: Vec<_> = at(work, fs::read_dir(work))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "deb"))
        .collect();
    if archives.is_empty() {
        return Err("nothing was fetched".to_owned());
    }
    for archive in archives {
        run::output(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(work))?;
        at(&archive, fs::remove_file(&archive))?;
    }
    Ok(())
}

/// Builds std for the target in an empty crate and lays the libraries into `sysroot`.
///
/// `RUSTC_BOOTSTRAP` and `-Zforce-unstable-if-unmarked` are how the compiler's own
/// build does it; embedded bitcode is what fat LTO of the bundle needs later.
fn compile(
    work: &Path,
    library: &Path,
    sysroot: &Path,
    with: impl FnOnce(&mut Command),
) -> Result<()> {
    if !library.is_dir() {
        return Err(format!("{} is not there", library.display()));
    }
    say(format!(
        "compiling the standard library for {TARGET} (about a minute)"
    ));
    let stub = work.join("stub");
    let manifest =
        "[package]\nname = \"stub\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n";
    files::write(&stub.join("Cargo.toml"), manifest.as_bytes())?;
    files::write(&stub.join("src/lib.rs"), b"")?;
    let mut command = run::cargo();
    command
        .current_dir(&stub)
        .args([
            "build",
            "--quiet",
            "--release",
            "-Zbuild-std=std,panic_abort",
            "--target",
            TARGET,
        ])
        .arg("--target-dir")
        .arg(stub.join("target"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", library)
        .env(
            "RUSTFLAGS",
            "-Cembed-bitcode=yes -Zforce-unstable-if-unmarked",
        );
    with(&mut command);
    run::run(&mut command)?;

    // Renamed into place at the end: half a sysroot must not pass for one.
    let built = stub.join("target").join(TARGET).join("release/deps");
    let half = work.join("sysroot");
    for file in files::walk(&built)? {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libstub-") {
            files::write(&libdir(&half).join(name), &at(&file, fs::read(&file))?)?;
        }
    }
    fs::remove_dir_all(sysroot).ok();
    if let Some(parent) = sysroot.parent() {
        at(parent, fs::create_dir_all(parent))?;
    }
    at(sysroot, fs::rename(&half, sysroot))
}

/// The compiler, its sources, and what else of its own it needs to run. Everything
/// further is on any Debian.
fn packages_of_rustc_web() -> Result<Vec<String>> {
    let mut wanted = vec!["rustc-web".to_owned(), "rust-web-src".to_owned()];
    let mut next = 0;
    while let Some(package) = wanted.get(next).cloned() {
        next += 1;
        let depends =
            run::output(Command::new("apt-cache").args(["depends", "--important", &package]))?;
        for line in depends.lines() {
            let Some(name) = line.trim().strip_prefix("Depends: ") else {
                continue;
            };
            let own = name.starts_with("libstd-rust-web") || name.starts_with("libllvm");
            if own && !wanted.iter().any(|known| known == name) {
                wanted.push(name.to_owned());
            }
        }
    }
    Ok(wanted)
}

/// The linker that came with the workspace's compiler reads the other one's objects too.
fn linker() -> Result<String> {
    let sysroot = run::output(run::rustc().args(["--print", "sysroot"]))?;
    let verbose = run::output(run::rustc().arg("-vV"))?;
    let host = verbose
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap_or_default();
    let path = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-lld");
    if path.is_file() {
        Ok(path.display().to_string())
    } else {
        run::find("wasm-ld-22")
            .map(|path| path.display().to_string())
            .ok_or_else(|| "no linker for wasm (package lld-22)".to_owned())
    }
}
