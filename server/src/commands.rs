//! Commands beside `serve`. On SQLite the database belongs to one process: a
//! command beside a running `serve` is refused by the store with a sentence.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use attorn_server::config::Config;
use attorn_server::control;
use attorn_server::serve::{self, Error};
use clap::Subcommand;
use domain::identity::{self, NewPerson, Role};
use domain::ids::SystemRng;
use domain::keyring::{FileKey, KeyEncryption as _};
use domain::oauth::clients::{
    self, ClientKind, ClientState, Entrusted, NewClient, PrivilegedWorker, Source, WorkerGrant,
};
use domain::secret::Secret;
use domain::storage::Location;
use domain::vault::{AccessMode, own, providers};

/// `attorn user …`
#[derive(Subcommand)]
pub enum User {
    /// Create a person. The password is read from standard input.
    Create {
        /// E-mail address: what they sign in with.
        email: String,
        /// Their name.
        #[arg(long)]
        name: String,
        /// Make them an admin.
        #[arg(long)]
        admin: bool,
    },
    /// List people.
    List,
    /// Lock a person: sessions end, tokens stop working.
    Lock {
        /// E-mail address.
        email: String,
    },
    /// Unlock a person.
    Unlock {
        /// E-mail address.
        email: String,
    },
}

/// `attorn client …`
#[derive(Subcommand)]
pub enum Client {
    /// Register a client and print its secret, once.
    Create {
        /// Its name, as people see it.
        name: String,
        /// A public client: no secret, PKCE.
        #[arg(long)]
        public: bool,
        /// Where it may be sent back to; may be given several times.
        #[arg(long = "redirect-uri")]
        redirect_uris: Vec<String>,
        /// Audiences it may ask tokens for; may be given several times.
        #[arg(long = "audience")]
        audiences: Vec<String>,
        /// What it asks people for: `call` or `release`.
        #[arg(long, value_parser = access_mode)]
        access_mode: Option<AccessMode>,
        /// Keep one refresh token instead of rotating (confidential clients).
        #[arg(long)]
        keep_refresh_token: bool,
    },
    /// List clients.
    List,
    /// Freeze a client: nothing is issued to it, its tokens stop working.
    Freeze {
        /// Client id.
        id: String,
    },
    /// Thaw a client.
    Thaw {
        /// Client id.
        id: String,
    },
    /// Set what only an admin decides; what is not given is taken away, but for keys.
    Entrust {
        /// Client id.
        id: String,
        /// Its public keys: a file with a JWK Set.
        #[arg(long)]
        jwks: Option<PathBuf>,
        /// Where a privileged worker asks from: an address or a network; may be given several times.
        #[arg(long = "allow-from", requires = "connections")]
        allow_from: Vec<String>,
        /// What a privileged worker may have, `name=scope,scope`; may be given several times.
        #[arg(long = "connection", value_parser = worker_grant, requires = "allow_from")]
        connections: Vec<WorkerGrant>,
        /// The client that may act for people with this one's access tokens.
        #[arg(long)]
        may_act: Option<String>,
    },
    /// Make a new secret and print it; the old one ends.
    Secret {
        /// Client id.
        id: String,
    },
}

/// `attorn provider …`
#[derive(Subcommand)]
pub enum Provider {
    /// Say what is wrong with an entry of the catalogue, in sentences.
    Check {
        /// A file with `[[provider]]` tables, or the id of a provider.
        what: String,
    },
}

/// `attorn keys …`
#[derive(Subcommand)]
pub enum Keys {
    /// List the keys that sign tokens, and say which key wraps the vault.
    List,
    /// Make new ones: published now, signing in a day; the old ones end a day later.
    Rotate {
        /// Somebody else may have the old ones: they end at once, and all tokens with them.
        #[arg(long)]
        compromised: bool,
        /// Not those: wrap the vault with the key that the configuration names now, while the server serves.
        #[arg(long, conflicts_with = "compromised")]
        vault_key: bool,
    },
    /// Make a file with a new key for the vault.
    Create {
        /// The file; it must not be there yet.
        path: PathBuf,
    },
}

/// `attorn approval …`
#[derive(Subcommand)]
pub enum Approval {
    /// Prove which passkey decided, over which bytes and which text, and that the audit log says so.
    Verify {
        /// The approval's public id, `apr_…`.
        id: String,
        /// Write the evidence to this file, for `attorn-verify --decision`. It says what was approved.
        #[arg(long)]
        evidence: Option<PathBuf>,
    },
}

/// `attorn audit …`
#[derive(Subcommand)]
pub enum Audit {
    /// Recompute the tree and compare it with every signed checkpoint.
    Verify {
        /// A checkpoint kept outside, to find a second history.
        #[arg(long)]
        checkpoint: Option<PathBuf>,
    },
    /// Write every leaf as JSON lines, and the signed checkpoints beside them, as `attorn-verify` reads them.
    Export {
        /// Leaves go to this file.
        entries: PathBuf,
        /// Signed checkpoints go to this file.
        checkpoints: PathBuf,
    },
}

fn access_mode(word: &str) -> Result<AccessMode, String> {
    word.parse()
        .map_err(|_| "must be call or release".to_owned())
}

fn worker_grant(text: &str) -> Result<WorkerGrant, String> {
    let (connection, scopes) = text
        .split_once('=')
        .ok_or("must be name=scope,scope".to_owned())?;
    Ok(WorkerGrant {
        connection: connection.to_owned(),
        scopes: scopes
            .split(',')
            .filter(|scope| !scope.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

/// `attorn user`
pub async fn user(command: User, config: &Config) -> Result<ExitCode, Error> {
    let engine = serve::engine(config).await?;
    match command {
        User::Create { email, name, admin } => {
            let mut password = String::new();
            std::io::stdin()
                .read_to_string(&mut password)
                .map_err(Error::new)?;
            let password = Secret::from(password.trim_end_matches(['\r', '\n']));
            let role = if admin { Role::Admin } else { Role::Person };
            let person = identity::create(
                &engine,
                NewPerson {
                    email,
                    name,
                    password,
                    role,
                },
            )
            .await
            .map_err(Error::new)?;
            println!("{}\t{}", person.id, person.email);
        }
        User::List => {
            for person in identity::list(&engine, 1000).await.map_err(Error::new)? {
                println!(
                    "{}\t{}\t{}\t{}\t{}",
                    person.id,
                    person.email,
                    person.role.word(),
                    person.state.word(),
                    person.name
                );
            }
        }
        User::Lock { email } => set_state(&engine, &email, identity::State::Locked).await?,
        User::Unlock { email } => set_state(&engine, &email, identity::State::Active).await?,
    }
    engine.store.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn set_state(
    engine: &domain::Engine,
    email: &str,
    state: identity::State,
) -> Result<(), Error> {
    let person = identity::person_by_email(engine, email)
        .await
        .map_err(Error::new)?;
    let person =
        person.ok_or_else(|| Error(format!("there is nobody with the address {email}")))?;
    identity::set_state(engine, None, &person.id, state)
        .await
        .map_err(Error::new)?;
    println!("{}\t{}", person.email, state.word());
    Ok(())
}

/// `attorn client`
pub async fn client(command: Client, config: &Config) -> Result<ExitCode, Error> {
    let engine = serve::engine(config).await?;
    match command {
        Client::Create {
            name,
            public,
            redirect_uris,
            audiences,
            access_mode,
            keep_refresh_token,
        } => {
            let new = NewClient {
                kind: if public {
                    ClientKind::Public
                } else {
                    ClientKind::Confidential
                },
                redirect_uris,
                audiences,
                access_mode,
                rotate_refresh: !keep_refresh_token,
                ..NewClient::confidential(&name, Source::Command)
            };
            let (client, secret) = clients::register(&engine, new).await.map_err(Error::new)?;
            println!("client_id={}", client.id);
            if let Some(secret) = secret {
                println!("client_secret={}", secret.expose());
            }
        }
        Client::List => {
            for client in clients::list(&engine, 1000).await.map_err(Error::new)? {
                println!(
                    "{}\t{}\t{}\t{}",
                    client.id,
                    client.kind.word(),
                    client.state.word(),
                    client.name
                );
            }
        }
        Client::Freeze { id } => {
            clients::freeze(&engine, None, &id, ClientState::Frozen)
                .await
                .map_err(Error::new)?;
        }
        Client::Thaw { id } => {
            clients::freeze(&engine, None, &id, ClientState::Active)
                .await
                .map_err(Error::new)?;
        }
        Client::Entrust {
            id,
            jwks,
            allow_from,
            connections,
            may_act,
        } => {
            let jwks = jwks
                .map(|path| -> Result<_, Error> {
                    let text = std::fs::read(path).map_err(Error::new)?;
                    serde_json::from_slice(&text).map_err(Error::new)
                })
                .transpose()?;
            let with = Entrusted {
                jwks,
                privileged_worker: (!connections.is_empty()).then_some(PrivilegedWorker {
                    ip_allow_list: allow_from,
                    connections,
                }),
                may_act,
            };
            let client = clients::entrust(&engine, None, &id, with)
                .await
                .map_err(Error::new)?;
            let worker = client.metadata.privileged_worker.is_some();
            println!("{}\tprivileged worker: {worker}", client.id);
        }
        Client::Secret { id } => {
            let secret = clients::new_secret(&engine, None, &id)
                .await
                .map_err(Error::new)?;
            println!("client_secret={}", secret.expose());
        }
    }
    engine.store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// `attorn provider`. Answers failure when there is something to say.
pub async fn provider(command: Provider, config: &Config) -> Result<ExitCode, Error> {
    let Provider::Check { what } = command;
    let path = PathBuf::from(&what);
    let entries = if path.is_file() {
        let text = std::fs::read_to_string(&path).map_err(Error::new)?;
        providers::read(&text).map_err(|error| Error(format!("{what}: {error}")))?
    } else if let Some(entry) = providers::provider(&what) {
        vec![entry.clone()]
    } else {
        let entry = if is_there(config) {
            let engine = serve::engine(config).await?;
            let entry = own::entry(&engine, &what).await.map_err(Error::new)?;
            engine.store.close().await;
            entry
        } else {
            None
        };
        let entry = entry
            .ok_or_else(|| Error(format!("{what} is neither a file nor the id of a provider")))?;
        vec![(*entry).clone()]
    };
    let (words, code) = judged(&entries);
    print!("{words}");
    Ok(code)
}

/// Whether there is a database; a question must not make one.
fn is_there(config: &Config) -> bool {
    match config.database.url.parse::<Location>() {
        Ok(Location::Sqlite(path)) => path.exists(),
        _ => true,
    }
}

/// What is to be said about entries, a line each, and whether all are sound.
fn judged(entries: &[providers::Provider]) -> (String, ExitCode) {
    let (mut words, mut code) = (String::new(), ExitCode::SUCCESS);
    for entry in entries {
        let wrong = providers::check(entry);
        if wrong.is_empty() {
            words.push_str(&format!("{}: this entry is sound.\n", entry.id));
        } else {
            code = ExitCode::FAILURE;
        }
        for sentence in wrong {
            words.push_str(&format!("{}: {sentence}\n", entry.id));
        }
    }
    (words, code)
}

/// `attorn keys`
pub async fn keys(command: Keys, config: &Config) -> Result<ExitCode, Error> {
    let ask = match command {
        Keys::Create { path } => {
            let key = FileKey::create(&path, Arc::new(SystemRng)).map_err(Error::new)?;
            println!("{}\t{}", key.id(), path.display());
            return Ok(ExitCode::SUCCESS);
        }
        Keys::Rotate {
            vault_key: true, ..
        } => control::Ask::RotateVaultKey,
        Keys::Rotate { compromised, .. } => control::Ask::RotateSigningKeys { compromised },
        Keys::List => control::Ask::Keys,
    };
    carry_out(ask, config).await
}

/// `attorn adopt`
pub async fn adopt(config: &Config) -> Result<ExitCode, Error> {
    carry_out(control::Ask::Adopt, config).await
}

/// `attorn backup`
pub async fn backup(to: &Path, config: &Config) -> Result<ExitCode, Error> {
    let to = std::path::absolute(to).map_err(Error::new)?;
    carry_out(control::Ask::Backup { to }, config).await
}

/// Has the server that owns the database do it, or does it here.
async fn carry_out(ask: control::Ask, config: &Config) -> Result<ExitCode, Error> {
    let words = match control::ask_running(config, &ask).await? {
        Some(words) => words,
        None => {
            let engine = serve::engine(config).await?;
            let outcome = control::carry_out(&engine, config, ask).await;
            engine.store.close().await;
            outcome?
        }
    };
    println!("{words}");
    Ok(ExitCode::SUCCESS)
}

/// `attorn approval`
pub async fn approval(command: Approval, config: &Config) -> Result<ExitCode, Error> {
    let Approval::Verify { id, evidence: file } = command;
    let engine = serve::engine(config).await?;
    let kept = domain::approval::all_evidence_of(&engine, &id)
        .await
        .map_err(Error::new)?;
    let mut code = ExitCode::SUCCESS;
    if kept.is_empty() {
        println!("{id}: no decision on it was signed by a passkey.");
        code = ExitCode::FAILURE;
    } else {
        let log = domain::audit::verify(&engine, None)
            .await
            .map_err(Error::new)?;
        println!("{log}");
        if !log.is_sound() {
            code = ExitCode::FAILURE;
        }
    }
    for (at, text) in kept.iter().enumerate() {
        if let Some(file) = &file {
            // Of several who approved, each has a file: FILE, FILE.2, FILE.3 …
            let file = match at {
                0 => file.clone(),
                at => PathBuf::from(format!("{}.{}", file.display(), at + 1)),
            };
            std::fs::write(&file, text)
                .map_err(|error| Error(format!("{}: {error}", file.display())))?;
        }
        let attested = domain::audit::attest(&engine, text)
            .await
            .map_err(Error::new)?;
        match attested {
            Ok(attested) => println!("{attested}"),
            Err(finding) => {
                println!("{finding}");
                code = ExitCode::FAILURE;
            }
        }
    }
    engine.store.close().await;
    Ok(code)
}

/// `attorn audit`
pub async fn audit(command: Audit, config: &Config) -> Result<ExitCode, Error> {
    let engine = serve::engine(config).await?;
    let code = match command {
        Audit::Verify { checkpoint } => {
            let outside = checkpoint
                .map(std::fs::read_to_string)
                .transpose()
                .map_err(Error::new)?;
            match domain::audit::verify(&engine, outside.as_deref()).await {
                Ok(report) => {
                    println!("{report}");
                    if report.is_sound() {
                        ExitCode::SUCCESS
                    } else {
                        ExitCode::FAILURE
                    }
                }
                Err(error) => return Err(Error::new(error)),
            }
        }
        Audit::Export {
            entries,
            checkpoints,
        } => {
            let create = |path: &PathBuf| {
                std::fs::File::create(path)
                    .map_err(|error| Error(format!("{}: {error}", path.display())))
            };
            let (mut leaves, mut notes) = (create(&entries)?, create(&checkpoints)?);
            let exported = domain::audit::export(&engine, &mut leaves, &mut notes)
                .await
                .map_err(Error::new)?;
            leaves
                .sync_all()
                .and_then(|()| notes.sync_all())
                .map_err(Error::new)?;
            println!(
                "{} entries, {} checkpoints; verifier key {}",
                exported.entries, exported.checkpoints, exported.verifier_key
            );
            ExitCode::SUCCESS
        }
    };
    engine.store.close().await;
    Ok(code)
}

/// A data folder made by `attorn demo` has known passwords and a route that
/// plays the person: never serve it.
///
/// # Errors
/// When the folder of the database or of its key is marked.
pub fn refuse_demo_folder(config: &Config) -> Result<(), Error> {
    let database = match config.database.url.parse::<Location>() {
        Ok(Location::Sqlite(path)) => Some(path),
        _ => None,
    };
    // A demo's key lies one folder below its mark, wherever its database is.
    let key = config.vault.key_file.parent();
    for path in database.as_deref().into_iter().chain(key) {
        if path.with_file_name(DEMO_MARK).exists() {
            return Err(Error(format!(
                "{} was made by attorn demo; choose another database.url and vault.key_file for a real deployment",
                path.display()
            )));
        }
    }
    Ok(())
}

/// The file that marks a demo's data folder.
const DEMO_MARK: &str = attorn_server::serve::DEMO_MARK;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_an_entry_is_told_and_fails() {
        let text = r#"
            [[provider]]
            id = "acme"
            name = "Acme"
            source_page = "https://acme.example/docs"
            authorize = "https://acme.example/authorize"
            token = "http://acme.example/token"
            client_auth = "post"
            [[provider.hosts]]
            name = "api.acme.example"
            base = "https://api.acme.example"
            [provider.identity]
            from = "endpoint"
            url = "https://elsewhere.example/me"
            subject = "/id"
            label = ["/name"]
            [provider.refresh]
            rule = "keeps"
            absent_expiry = "never"
            [[provider.scopes]]
            name = "read"
            words = "read"
            default = true
        "#;
        let (words, code) = judged(&providers::read(text).unwrap());
        assert_ne!(code, ExitCode::SUCCESS);
        for part in [
            "acme: The token address",
            "the domain elsewhere.example",
            "The scope read is not put in words",
        ] {
            assert!(words.contains(part), "{words}");
        }
        let good = text
            .replace("http://", "https://")
            .replace("elsewhere", "acme")
            .replace(
                "\"read\"\n            default",
                "\"Read all\"\n            default",
            );
        let (words, code) = judged(&providers::read(&good).unwrap());
        assert_eq!(words, "acme: this entry is sound.\n");
        assert_eq!(code, ExitCode::SUCCESS);
    }
}
