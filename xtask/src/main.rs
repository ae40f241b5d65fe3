//! `cargo xtask`: sets the tree up, builds it, runs it and tests it.
//!
//! One program in place of a pile of scripts, so that a fresh clone needs
//! nothing but a Rust toolchain. `main` only reads the first word; every
//! command lives in the file of its name.

// The house hands clocks and waits in, so that rules can be tested (clippy.toml).
// This program is not part of the product: it times its own stages and waits for
// the database it has started.
#![allow(clippy::disallowed_methods)]

mod apt;
mod arrows;
mod bench;
mod browser;
mod build;
mod bundle;
mod ci;
mod database;
mod debian;
mod files;
mod run;
mod setup;
mod styles;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask COMMAND

  setup              make the wasm32 standard library available, whatever it takes
  build [--release] [--dev]
                     client bundle, styles, static files and the server;
                     --release optimises the server, --dev skips optimising the bundle
  demo [ARGS…]       build, then `attorn demo ARGS…`
  serve [ARGS…]      build, then `attorn serve ARGS…`
  test [PART…]       everything on SQLite, on PostgreSQL, in a browser, and with the
                     client libraries of others;
                     PART is any of: sqlite postgres browser clients
  check [WORD…]      lints and architecture checks, or those whose name has a WORD:
                     format, lock files, arrows, wasm wall, licences, types,
                     host clippy, wasm clippy, documentation
  ci                 `check`, then `test`
  bench [SCENARIO…] [--attorn PATH] [--write] [ARGS…]
                     measures what the server costs against others in one run
                     (docs/benchmarks.md); --attorn takes another program than the one
                     of this tree, --write puts the report into docs/benchmarks.md,
                     ARGS are `attorn-bench run`'s: --repeats N, --seconds N, --many N …

Environment
  ATTORN_WASM_STD=debian   do not ask rustup for the wasm32 standard library
  ATTORN_TEST_POSTGRES     URL of a PostgreSQL server to test on instead of a temporary one
  ATTORN_CHROMIUM          path of the browser to test with
";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    let outcome = match command.as_str() {
        "setup" => setup::wasm_std().map(drop),
        "build" => build::command(&rest),
        "demo" | "serve" => build::and_start(&command, &rest),
        "test" => test::command(&rest),
        "check" => ci::check(&rest),
        "ci" => ci::command(),
        "bench" => bench::command(&rest),
        "" | "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => Err(format!("there is no command `{other}`\n\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
