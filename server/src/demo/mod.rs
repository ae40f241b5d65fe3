//! `attorn demo`: everything on this machine.
//!
//! Sandbox providers over real HTTP, two seeded people, the embedded agent, an
//! example agent from outside, three connections. All secrets are random per
//! data folder, and the folder is marked so that `serve` refuses it. Seeding
//! goes through the same verbs as the product; nothing in the product's path
//! knows of the demo but one route, which exists only here.

mod authority;
pub mod decide;
mod env_file;
mod folder;
mod seed;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use domain::Engine;
use sandbox::{Config as SandboxConfig, Provider, Sandbox};
use tokio::net::TcpListener;
use url::Url;

use crate::config::{Config, Registration};
use crate::serve::{self, Error};
use folder::Folder;

/// `attorn demo`
#[derive(Args, Clone, Default)]
pub struct Demo {
    /// Port on loopback; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Data folder; made if missing. Delete it to start anew.
    #[arg(long, default_value = ".demo")]
    pub data: PathBuf,
    /// Serve HTTPS with a certificate authority of its own.
    #[arg(long)]
    pub tls: bool,
    /// Start with these accounts linked: slack, google, salesforce.
    #[arg(long, value_delimiter = ',')]
    pub link: Vec<String>,
    /// Write what an outside client needs to this file, once everything answers.
    #[arg(long)]
    pub env_file: Option<PathBuf>,
}

/// Starts everything and serves until stopped.
///
/// # Errors
/// A sentence that says why it did not start.
pub async fn run(demo: Demo, mut config: Config) -> Result<(), Error> {
    let links = providers(&demo.link)?;
    let folder = Folder::open(&demo.data)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, demo.port));
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Error(format!(
            "cannot listen on {address}: {error}; choose another port with --port"
        ))
    })?;
    let port = listener.local_addr().map_err(Error::new)?.port();
    let scheme = if demo.tls { "https" } else { "http" };
    config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    config.server.public_url =
        Url::parse(&format!("{scheme}://localhost:{port}/")).map_err(Error::new)?;
    if std::env::var_os("ATTORN_DATABASE__URL").is_none() {
        config.database.url = format!("sqlite:{}", folder.path("attorn.db").display());
    }
    config.vault.key_file = folder.path("key/attorn.key");
    config.oauth.registration = Registration::Open;
    config.outbound.allow_loopback = true;
    let authority = if demo.tls {
        Some(authority::open(&folder)?)
    } else {
        None
    };
    if let Some(authority) = &authority {
        config.server.tls_cert = Some(authority.certificate.clone());
        config.server.tls_key = Some(authority.key.clone());
    }

    let engine = serve::engine(&config).await?;
    let door = serve::door(engine.clone(), &config, Some(folder.secrets.decide.clone()));
    let sandbox = start_sandbox(&folder, &door.options.link_callback()).await?;
    let seeded = seed::seed(&engine, &folder, &sandbox).await?;
    seed::link(&engine, &door, &seeded, &links).await?;
    let watcher = tokio::spawn(seed::permit_example_agent(engine.clone(), seeded.clone()));
    let running = serve::start(door, listener, &config).await?;

    if let Some(path) = &demo.env_file {
        let tokens = seed::tokens(&engine, &seeded).await?;
        let ca = authority.as_ref().map(|authority| authority.ca.as_path());
        env_file::write(path, &engine, &folder, &seeded, &tokens, ca)?;
    }
    greet(
        &engine,
        &folder,
        &sandbox,
        authority.as_ref().map(|authority| authority.ca.as_path()),
    );
    let outcome = running.until(serve::stop_signal()).await;
    watcher.abort();
    sandbox.stop().await;
    outcome
}

fn providers(names: &[String]) -> Result<Vec<Provider>, Error> {
    names
        .iter()
        .filter(|name| !name.trim().is_empty())
        .map(|name| {
            name.trim().parse().map_err(|_| {
                Error(format!(
                    "--link takes slack, google and salesforce, not {name}"
                ))
            })
        })
        .collect()
}

async fn start_sandbox(folder: &Folder, callback: &str) -> Result<Sandbox, Error> {
    let mut config = SandboxConfig::system();
    config.host = "localhost".to_owned();
    config.port = folder.sandbox_port();
    config.clients = Provider::ALL
        .into_iter()
        .map(|provider| {
            let mut client = sandbox::Client::new(
                provider,
                seed::provider_client_id(provider),
                &folder.secrets.provider_secret,
                [callback.to_owned()],
            );
            client.name = "Attorn".to_owned();
            client
        })
        .collect();
    let sandbox = match Sandbox::start(config.clone()).await {
        Ok(sandbox) => sandbox,
        // The port of last time is taken: another one.
        Err(_) => {
            config.port = 0;
            Sandbox::start(config).await.map_err(Error::new)?
        }
    };
    folder.keep_sandbox_port(&sandbox.url());
    Ok(sandbox)
}

fn greet(engine: &Engine, folder: &Folder, sandbox: &Sandbox, ca: Option<&std::path::Path>) {
    let secrets = &folder.secrets;
    println!();
    println!("  Attorn is ready:  {}", engine.settings.issuer);
    println!();
    println!("  Sign in as        {}", seed::PERSON_EMAIL);
    println!("  with password     {}", secrets.person_password);
    println!();
    println!("  The admin is      {}", seed::ADMIN_EMAIL);
    println!("  with password     {}", secrets.admin_password);
    println!();
    println!("  Sandbox providers {}", sandbox.url());
    if let Some(ca) = ca {
        println!("  Trust this CA     {}", ca.display());
    }
    println!(
        "  Data folder       {}   (delete it to start anew)",
        folder.root.display()
    );
    println!("  Stop with Ctrl-C.");
    println!();
}
