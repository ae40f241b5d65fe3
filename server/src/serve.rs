//! Starting, serving and stopping.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use domain::clock::SystemClock;
use domain::ids::{Rng, SystemRng};
use domain::keyring::{self, FileKey, KeyEncryption, KeySet, StaticKey};
use domain::outbound::{GuardedOutbound, HttpOutbound};
use domain::storage::Location;
use domain::vault::connections::{self, NewConnection, Source};
use domain::vault::discover::discover;
use domain::vault::{journal, own};
use domain::{Engine, Parts, Settings};
use leptos::config::LeptosOptions;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, KeyProvider};
use crate::door::{Door, Options, Peer};
use crate::key_providers::{self, Around};
use crate::tls::TlsListener;

/// How long requests under way may take to end after the stop signal.
const GRACE: Duration = Duration::from_secs(30);

/// A sentence that says why the program does not start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

impl Error {
    /// From anything that can be said.
    pub fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Opens database and keys as configured.
///
/// # Errors
/// A sentence.
pub async fn engine(config: &Config) -> Result<Engine, Error> {
    let database = config.database.url.parse().map_err(Error::new)?;
    engine_at(config, database).await
}

/// As [`engine`], with another database.
///
/// # Errors
/// A sentence.
pub async fn engine_at(config: &Config, database: Location) -> Result<Engine, Error> {
    let rng: Arc<dyn Rng> = Arc::new(SystemRng);
    let random: [u8; 6] = domain::ids::random(&*rng);
    let instance = random.iter().fold("instance_".to_owned(), |name, byte| {
        name + &format!("{byte:02x}")
    });
    let around = Around {
        rng: rng.clone(),
        clock: Arc::new(SystemClock::new()),
        outbound: Arc::new(HttpOutbound::new().map_err(Error::new)?),
    };
    let parts = Parts {
        database,
        clock: around.clock.clone(),
        rng,
        outbound: around.outbound.clone(),
        guarded: Arc::new(
            GuardedOutbound::new(config.outbound.allow_loopback).map_err(Error::new)?,
        ),
        settings: Settings {
            issuer: config.server.public_url.to_string(),
            instance,
            registration: config.oauth.policy(),
            quotas: config.limits,
            rotate_keys_days: config.keys.rotate_days,
            passkey_policy: config.approvals.passkey,
            policies: config.approvals.policies().map_err(Error::new)?,
            push_contact: config.push_contact(),
            journal: config.journal(),
            mail: config.mail.server().map_err(Error::new)?,
            sign_in: config
                .sign_in
                .iter()
                .map(crate::config::SignIn::upstream)
                .collect::<Result<_, _>>()
                .map_err(Error::new)?,
        },
    };
    let engine = Engine::start(parts, |new| key_set(config, new, &around))
        .await
        .map_err(Error::new)?;
    let (wraps, wanted) = (engine.keys.keks().wraps(), engine.keys.keks().wanted());
    if wraps != wanted {
        tracing::warn!(
            "the vault is wrapped with {wraps}, the configuration names {wanted} first: run attorn keys rotate --vault-key"
        );
    }
    Ok(engine)
}

/// The keys that the configuration names. Makes a key file only for a new database.
///
/// # Errors
/// When one cannot be read.
pub fn key_set(config: &Config, new: bool, around: &Around) -> Result<KeySet, keyring::Error> {
    let rng = &around.rng;
    let mut others: Vec<Arc<dyn KeyEncryption>> = Vec::new();
    for path in &config.vault.old_key_files {
        others.push(Arc::new(FileKey::read(path, rng.clone())?));
    }
    for key in &config.vault.old_keys {
        others.push(Arc::new(StaticKey::from_base64(key.expose(), rng.clone())?));
    }
    let mut first = None;
    for (provider, key) in [
        (
            KeyProvider::Transit,
            key_providers::transit(config, around)?,
        ),
        (KeyProvider::AwsKms, key_providers::aws_kms(config, around)?),
    ] {
        let Some(key) = key else { continue };
        if provider == config.vault.provider {
            first = Some(key);
        } else {
            others.push(key);
        }
    }
    let first = match first {
        Some(first) => first,
        None => first_key(config, new, rng.clone())?,
    };
    Ok(KeySet { first, others })
}

fn first_key(
    config: &Config,
    new: bool,
    rng: Arc<dyn Rng>,
) -> Result<Arc<dyn KeyEncryption>, keyring::Error> {
    if let Some(key) = &config.vault.key {
        return Ok(Arc::new(StaticKey::from_base64(key.expose(), rng)?));
    }
    let path = &config.vault.key_file;
    let key = if new && !path.exists() {
        FileKey::create(path, rng)?
    } else {
        FileKey::read(path, rng)?
    };
    Ok(Arc::new(key))
}

/// Adds the providers of the configuration to the catalogue. An OpenID provider
/// that is known already, by the same words, is not asked again.
async fn providers(engine: &Engine, config: &Config) -> Result<(), Error> {
    for entry in &config.providers {
        own::put(engine, None, entry.clone(), Source::Config)
            .await
            .map_err(|error| Error(format!("provider {}: {error}", entry.id)))?;
    }
    for ask in &config.openid_providers {
        let says = |error: domain::vault::Error| Error(format!("provider {}: {error}", ask.id));
        let known = own::entry(engine, &ask.id).await.map_err(says)?;
        if known.is_some_and(|entry| ask.made(&entry)) {
            continue;
        }
        let entry = discover(engine, ask.clone(), Source::Config)
            .await
            .map_err(says)?;
        own::put(engine, None, entry, Source::Config)
            .await
            .map_err(says)?;
    }
    Ok(())
}

/// Sets up the providers and connections of the configuration.
///
/// # Errors
/// A sentence that names the provider or connection.
pub async fn connections(engine: &Engine, config: &Config) -> Result<(), Error> {
    providers(engine, config).await?;
    for connection in &config.connections {
        let says = |what: String| Error(format!("connection {}: {what}", connection.id));
        let client_secret = match (&connection.client_secret, &connection.client_secret_env) {
            (Some(secret), None) => secret.0.clone(),
            (None, Some(name)) => std::env::var(name)
                .map_err(|_| says(format!("the environment has no {name}")))?
                .into(),
            _ => {
                return Err(says(
                    "give one of client_secret and client_secret_env".to_owned(),
                ));
            }
        };
        let new = NewConnection {
            id: connection.id.clone(),
            provider: connection.provider.clone(),
            client_id: connection.client_id.clone(),
            client_secret,
            scopes: connection.scopes.clone(),
            overrides: connection.overrides.clone(),
            source: Source::Config,
        };
        connections::put(engine, new)
            .await
            .map_err(|error| says(error.to_string()))?;
    }
    Ok(())
}

/// The door for this configuration.
#[must_use]
pub fn door(engine: Engine, config: &Config, demo_secret: Option<String>) -> Door {
    let issuer = config.server.public_url.clone();
    let options = Options {
        hosts: Options::hosts_of(&issuer),
        issuer,
        trusted_proxies: config.server.trusted_proxies.clone(),
        site_root: site_root(config.server.site_root.as_deref()),
        demo_secret,
    };
    let leptos = LeptosOptions::builder()
        .output_name("app")
        .site_pkg_dir("pkg")
        .build();
    Door {
        engine,
        leptos: Arc::new(leptos),
        options: Arc::new(options),
    }
}

/// `site` beside the program, or where `cargo xtask build` puts it.
fn site_root(configured: Option<&Path>) -> PathBuf {
    if let Some(path) = configured {
        return path.to_owned();
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|exe| exe.parent().map(|folder| folder.join("site")));
    match beside {
        Some(path) if path.is_dir() => path,
        _ => PathBuf::from("target/site"),
    }
}

/// A server that listens and is not yet asked to stop.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<io::Result<()>>,
    tasks: TaskTracker,
    engine: Engine,
}

/// Listens and serves; upkeep runs beside it.
///
/// # Errors
/// When the address cannot be had or the certificate cannot be read.
pub async fn start(door: Door, listener: TcpListener, config: &Config) -> Result<Running, Error> {
    if let Some(folder) = &door.engine.settings.journal
        && let Err(error) = journal::prepare(folder)
    {
        tracing::warn!(%error, folder = %folder.display(), "answers of providers cannot wait on disk while the database is away");
    }
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    crate::upkeep::start(&door.engine, &tasks, &stop);
    let engine = door.engine.clone();
    let app: Router = crate::router(&door);
    let address = listener.local_addr().map_err(Error::new)?;
    let stopped = stop.clone();
    let service = app.into_make_service_with_connect_info::<Peer>();
    let server = match (&config.server.tls_cert, &config.server.tls_key) {
        (Some(certificates), Some(key)) => {
            let tls = crate::tls::config(certificates, key).map_err(Error)?;
            let listener = TlsListener::new(listener, tls).map_err(Error::new)?;
            tokio::spawn(async move {
                axum::serve(listener, service)
                    .with_graceful_shutdown(stopped.cancelled_owned())
                    .await
            })
        }
        _ => tokio::spawn(async move {
            axum::serve(listener, service)
                .with_graceful_shutdown(stopped.cancelled_owned())
                .await
        }),
    };
    tasks.close();
    Ok(Running {
        address,
        stop,
        server,
        tasks,
        engine,
    })
}

impl Running {
    /// Serves until the signal to stop, then lets requests under way end.
    ///
    /// # Errors
    /// When serving broke off.
    pub async fn until(self, signal: impl Future<Output = ()>) -> Result<(), Error> {
        signal.await;
        self.stop().await
    }

    /// Stops: no new requests, those under way end, the store is closed.
    ///
    /// # Errors
    /// When serving broke off.
    pub async fn stop(mut self) -> Result<(), Error> {
        tracing::info!("stopping: requests under way may end");
        self.stop.cancel();
        let ended = tokio::time::timeout(GRACE, &mut self.server).await;
        let outcome = match ended {
            Ok(Ok(served)) => served.map_err(Error::new),
            Ok(Err(error)) => Err(Error::new(error)),
            Err(_) => {
                self.server.abort();
                tracing::warn!("some requests did not end in time and were cut off");
                Ok(())
            }
        };
        let _ = tokio::time::timeout(GRACE, self.tasks.wait()).await;
        self.engine.store.close().await;
        outcome
    }
}

/// Resolves at SIGTERM or Ctrl-C.
pub async fn stop_signal() {
    let interrupt = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}

/// The file that marks a data folder of `attorn demo`.
pub const DEMO_MARK: &str = "made-by-attorn-demo";
