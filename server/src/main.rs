//! The `attorn` program.

mod commands;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use attorn_server::backup;
use attorn_server::config::{Config, LogFormat};
use attorn_server::control;
use attorn_server::memory;
use attorn_server::serve::{self, Error};
use clap::{Args, Parser, Subcommand};
use tokio::net::TcpListener;

/// A request allocates a few hundred small pieces; this allocator makes each a
/// good deal cheaper than the system's (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The self-hosted identity layer for AI agents.
#[derive(Parser)]
#[command(name = "attorn", version, about)]
struct Cli {
    /// Configuration file (TOML). Every key is also an environment variable: `ATTORN_SERVER__LISTEN`.
    #[arg(long, global = true, env = "ATTORN_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (the default).
    Serve(Serve),
    /// Start everything on this machine with sandbox providers and seeded people.
    #[cfg(feature = "demo")]
    Demo(attorn_server::demo::Demo),
    /// Bring the database up to date and stop.
    Migrate,
    /// People.
    #[command(subcommand)]
    User(commands::User),
    /// Clients: agents and other programs.
    #[command(subcommand)]
    Client(commands::Client),
    /// Providers whose accounts people link.
    #[command(subcommand)]
    Provider(commands::Provider),
    /// The keys that sign tokens.
    #[command(subcommand)]
    Keys(commands::Keys),
    /// Write a backup of the database, while the server serves.
    Backup {
        /// The new file.
        to: PathBuf,
    },
    /// Put a backup where the configuration has the database.
    Restore {
        /// The backup.
        from: PathBuf,
    },
    /// Say that this copy of the database takes the original's place.
    Adopt,
    /// Decisions of people.
    #[command(subcommand)]
    Approval(commands::Approval),
    /// The audit log.
    #[command(subcommand)]
    Audit(commands::Audit),
}

#[derive(Args, Default)]
struct Serve {
    /// Certificate chain (PEM).
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM).
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // One crypto provider for the whole process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("attorn: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("attorn: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode, Error> {
    let command = cli.command.unwrap_or(Command::Serve(Serve::default()));
    let (mut config, warnings) =
        Config::load(cli.config.as_deref(), std::env::vars()).map_err(Error::new)?;
    if let Command::Serve(flags) = &command {
        config.server.tls_cert = flags.tls_cert.clone().or(config.server.tls_cert);
        config.server.tls_key = flags.tls_key.clone().or(config.server.tls_key);
    }
    logs(&config);
    if config.server.private_memory
        && let Err(error) = memory::keep_private()
    {
        tracing::warn!(%error, "core dumps cannot be forbidden; they would hold secrets");
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    match command {
        Command::Serve(_) => serve_until_stopped(&config, cli.config)
            .await
            .map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "demo")]
        Command::Demo(demo) => attorn_server::demo::run(demo, config)
            .await
            .map(|()| ExitCode::SUCCESS),
        Command::Migrate => {
            let engine = serve::engine(&config).await?;
            engine.store.close().await;
            println!("The database is up to date.");
            Ok(ExitCode::SUCCESS)
        }
        Command::User(command) => commands::user(command, &config).await,
        Command::Client(command) => commands::client(command, &config).await,
        Command::Provider(command) => commands::provider(command, &config).await,
        Command::Keys(command) => commands::keys(command, &config).await,
        Command::Backup { to } => commands::backup(&to, &config).await,
        Command::Restore { from } => {
            println!("{}", backup::restore(&config, &from).await?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Adopt => commands::adopt(&config).await,
        Command::Approval(command) => commands::approval(command, &config).await,
        Command::Audit(command) => commands::audit(command, &config).await,
    }
}

async fn serve_until_stopped(config: &Config, file: Option<PathBuf>) -> Result<(), Error> {
    commands::refuse_demo_folder(config)?;
    let engine = serve::engine(config).await?;
    serve::connections(&engine, config).await?;
    domain::agent::consent::register(&engine)
        .await
        .map_err(Error::new)?;
    let listener = TcpListener::bind(config.server.listen)
        .await
        .map_err(|error| {
            Error(format!(
                "cannot listen on {}: {error}",
                config.server.listen
            ))
        })?;
    if !engine.adoption.is_adopted() {
        tracing::error!(
            "this database is a copy that was not adopted here: nothing is renewed, revoked or linked until attorn adopt"
        );
    }
    let reload = Arc::new(move || {
        let (config, _) = Config::load(file.as_deref(), std::env::vars()).map_err(Error::new)?;
        Ok(config)
    });
    let _control = control::listen(&engine, config, reload);
    let door = serve::door(engine, config, None);
    let running = serve::start(door, listener, config).await?;
    tracing::info!(address = %running.address, issuer = %config.server.public_url, "serving");
    running.until(serve::stop_signal()).await
}

fn logs(config: &Config) {
    let filter =
        tracing_subscriber::EnvFilter::try_new(&config.log.filter).unwrap_or_else(|error| {
            eprintln!("attorn: log.filter: {error}; using info");
            tracing_subscriber::EnvFilter::new("info")
        });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let done = match config.log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = done {
        eprintln!("attorn: {error}");
    }
}
