//! `attorn-bench`: what Attorn costs, as a ratio to what others cost. `cargo xtask bench` builds
//! everything and starts it; docs/benchmarks.md says what is measured and how.

// The house hands clocks and waits in, so that rules can be tested (clippy.toml).
// This program is not part of the product: it reads the clock because that is its work.
#![allow(clippy::disallowed_methods)]

mod attorn;
mod control;

mod load;
mod machine;
mod meter;
mod others;
mod profile;
mod program;
mod report;
mod reverse;
mod scenarios;
mod setting;
mod upstream;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use meter::Result;
use serde_json::json;
use setting::{Postgres, Setting};

/// Measures Attorn against others.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure.
    Run(Box<Run>),
    /// Be the control: read forms, write JSON, nothing else.
    Control,
    /// Be the control of the proxy: a reverse proxy that does nothing else.
    ReverseProxy {
        /// Host and port of the upstream.
        upstream: String,
    },
    /// Be the provider behind the proxies.
    Upstream,
}

#[derive(Args)]
struct Run {
    /// Scenarios; all without.
    scenarios: Vec<String>,
    /// The `attorn` program.
    #[arg(long)]
    attorn: PathBuf,
    /// The folder of the peer, with its packages installed.
    #[arg(long)]
    peer: PathBuf,
    /// Where databases and logs go while it runs: on the disk that is to be measured.
    #[arg(long)]
    scratch: PathBuf,
    /// Where `report.md` and `report.json` go.
    #[arg(long)]
    out: PathBuf,
    /// A PostgreSQL server on which databases may be created.
    #[arg(long)]
    postgres: Option<String>,
    /// Its first process, to count its CPU time as well.
    #[arg(long, requires = "postgres")]
    postgres_pid: Option<u32>,
    /// Rounds for each program.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Seconds that a program is measured in a round.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Connections of the closed loops.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How many approvals are pending where many are.
    #[arg(long, default_value_t = 100_000)]
    many: usize,
    /// Sockets of the open loop, at most.
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// Seconds that the open loop is measured.
    #[arg(long, default_value_t = 60)]
    open_seconds: u64,
    /// Writes where Attorn's time goes beside the report, as `perf` sees it in one more round.
    #[arg(long)]
    profile: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(async {
            match cli.command {
                Command::Control => control::serve().await,
                Command::ReverseProxy { upstream } => reverse::serve(&upstream).await,
                Command::Upstream => upstream::serve().await,
                Command::Run(run) => measure(*run).await,
            }
        }),
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("attorn-bench: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(run: Run) -> Result<()> {
    let known: Vec<&str> = scenarios::ALL.iter().map(|(name, _)| *name).collect();
    if let Some(other) = run
        .scenarios
        .iter()
        .find(|name| !known.contains(&name.as_str()))
    {
        return Err(format!(
            "there is no scenario {other}; there are {}",
            known.join(", ")
        ));
    }
    let scratch = run.scratch.join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    let scratch = whole(&scratch)?;
    let mut setting = Setting::new(whole(&run.attorn)?, whole(&run.peer)?, scratch);
    setting.postgres = run.postgres.map(|url| Postgres {
        url,
        pid: run.postgres_pid,
    });
    setting.repeats = run.repeats.max(1);
    setting.measure = Duration::from_secs(run.seconds.max(1));
    setting.connections = run.connections.max(1);
    setting.many = run.many.max(1);
    setting.sockets = run.sockets.max(1);
    setting.profiles = run.profile.then(|| run.out.clone());
    setting.open = Duration::from_secs(run.open_seconds.max(1));
    let machine = machine::line(&setting);
    let mut outcomes = Vec::new();
    for name in known {
        if !run.scenarios.is_empty() && !run.scenarios.iter().any(|wanted| wanted == name) {
            continue;
        }
        eprintln!("==> {name}");
        let outcome = scenarios::run(name, &setting).await.map_err(|error| {
            let logs = setting.scratch.display();
            format!("{name}: {error}\nDatabases and logs are in {logs}")
        })?;
        for wrong in outcome.wrong() {
            eprintln!("    other answers: {wrong}");
        }
        for figure in &outcome.figures {
            eprintln!("    {}: {}", figure.what, figure.measured);
        }
        outcomes.push(outcome);
        // After each, so that a run that is stopped has not been for nothing.
        let report = report::markdown(&machine, &outcomes);
        write(&run.out.join("report.md"), &report)?;
        let all = json!({ "machine": machine, "outcomes": outcomes });
        let text = serde_json::to_string_pretty(&all).map_err(|error| error.to_string())?;
        write(&run.out.join("report.json"), &text)?;
    }
    print!("{}", report::markdown(&machine, &outcomes));
    fs::remove_dir_all(&setting.scratch).ok();
    Ok(())
}

fn whole(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
