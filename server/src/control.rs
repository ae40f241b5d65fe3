//! Commands beside a running server. Its SQLite file has one owner, so the
//! owner carries them out: `attorn` asks it over a Unix socket beside the file.
//!
//! The socket is its user's alone (mode 0600, and the other side's user is
//! asked for): whoever may write to it may read the database and the key file.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::oauth::signing_keys::{self, Turn};
use domain::storage::Location;
use domain::{Engine, adoption, rotation};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::backup;
use crate::config::Config;
use crate::key_providers::Around;
use crate::serve::{self, Error};

/// A request is one line of at most so many bytes.
const LONGEST: u64 = 64 * 1024;

/// What can be asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Ask {
    /// Wrap everything with the key that the configuration names now.
    RotateVaultKey,
    /// New keys that sign tokens.
    RotateSigningKeys {
        /// The old ones end at once.
        compromised: bool,
    },
    /// Which keys there are.
    Keys,
    /// This database takes the original's place.
    Adopt,
    /// Write a backup.
    Backup {
        /// The new file, with its whole path.
        to: PathBuf,
    },
}

/// What came of it, in words.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Done(String),
    Failed(String),
}

/// Reads the configuration as it is now.
pub type Reload = Arc<dyn Fn() -> Result<Config, Error> + Send + Sync>;

/// Carries out what was asked, wherever it was asked.
///
/// # Errors
/// A sentence.
pub async fn carry_out(engine: &Engine, config: &Config, ask: Ask) -> Result<String, Error> {
    match ask {
        Ask::RotateVaultKey => rotate(engine, config).await,
        Ask::RotateSigningKeys { compromised } => {
            let turn = if compromised {
                Turn::Compromised
            } else {
                Turn::Orderly
            };
            signing_keys::rotate(engine, None, turn)
                .await
                .map_err(Error::new)?;
            keys(engine).await
        }
        Ask::Keys => keys(engine).await,
        Ask::Adopt => adopt(engine).await,
        Ask::Backup { to } => backup::backup(engine, config, &to).await,
    }
}

async fn rotate(engine: &Engine, config: &Config) -> Result<String, Error> {
    let keys = serve::key_set(config, false, &Around::of(engine)).map_err(Error::new)?;
    engine.keys.keks().learn(keys);
    let report = rotation::rotate(engine, "command")
        .await
        .map_err(Error::new)?;
    if report.broken > 0 {
        return Err(Error(format!(
            "{} keys do not open, so the rotation is not done and the old key must stay: {}",
            report.broken,
            report.named.join(", ")
        )));
    }
    Ok(format!(
        "{} keys were wrapped anew; everything is wrapped with {}.",
        report.wrapped, report.key
    ))
}

/// A line for each key: its id, what it is for and until when.
async fn keys(engine: &Engine) -> Result<String, Error> {
    let now = engine.now();
    let mut lines = String::new();
    for key in signing_keys::list(engine).await.map_err(Error::new)? {
        let state = match (key.active_from > now, key.retired_at) {
            (true, _) => format!("signs from {}", day(key.active_from)),
            (false, None) => "signs".to_owned(),
            (false, Some(end)) => format!("ends {}", day(end)),
        };
        lines.push_str(&format!("{}\t{}\t{state}\n", key.kid, key.alg.name()));
    }
    lines.push_str(&format!("{}\twraps the vault", engine.keys.keks().wraps()));
    Ok(lines)
}

/// As RFC 3339 writes it, in UTC.
fn day(at: i64) -> String {
    time::OffsetDateTime::from_unix_timestamp(at.div_euclid(1000))
        .ok()
        .and_then(|at| {
            at.format(&time::format_description::well_known::Rfc3339)
                .ok()
        })
        .unwrap_or_else(|| at.to_string())
}

async fn adopt(engine: &Engine) -> Result<String, Error> {
    let news = adoption::adopt(engine, "command")
        .await
        .map_err(Error::new)?;
    let words = if news {
        "Adopted: this database takes the original's place. Never run the original again."
    } else {
        "There is nothing to adopt: this database is where it belongs."
    };
    Ok(words.to_owned())
}

fn socket(config: &Config) -> Option<PathBuf> {
    match config.database.url.parse::<Location>() {
        Ok(Location::Sqlite(path)) => Some(path.with_extension("sock")),
        _ => None,
    }
}

/// Asks the server that owns the database; `None` when none does, or any may.
///
/// # Errors
/// What it said.
pub async fn ask_running(config: &Config, ask: &Ask) -> Result<Option<String>, Error> {
    let Some(path) = socket(config) else {
        return Ok(None);
    };
    let Ok(stream) = UnixStream::connect(&path).await else {
        return Ok(None);
    };
    let mut stream = BufReader::new(stream);
    let mut line = serde_json::to_string(ask).map_err(Error::new)?;
    line.push('\n');
    stream
        .write_all(line.as_bytes())
        .await
        .map_err(Error::new)?;
    line.clear();
    stream.read_line(&mut line).await.map_err(Error::new)?;
    match serde_json::from_str(&line) {
        Ok(Told::Done(words)) => Ok(Some(words)),
        Ok(Told::Failed(words)) => Err(Error(words)),
        Err(_) => Err(Error(
            "the server ended before it answered; ask again once it serves".to_owned(),
        )),
    }
}

/// Listens until it is dropped.
pub struct Control {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        // The next server makes it anew whether this succeeds or not.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens beside the SQLite file; nothing on PostgreSQL, where a command may
/// open the database itself.
/// A socket that cannot be made (its path is too long, say) is told and no
/// reason not to serve.
pub fn listen(engine: &Engine, config: &Config, reload: Reload) -> Option<Control> {
    let path = socket(config)?;
    let made = bind(&path).and_then(|listener| Ok((listener, std::fs::metadata(&path)?.uid())));
    let (listener, owner) = match made {
        Ok(made) => made,
        Err(error) => {
            tracing::warn!(%error, socket = %path.display(), "commands beside this server will not reach it");
            return None;
        }
    };
    let engine = engine.clone();
    let task = tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            if stream
                .peer_cred()
                .is_ok_and(|peer| peer.uid() == owner || peer.uid() == 0)
            {
                tokio::spawn(answer(engine.clone(), reload.clone(), stream));
            }
        }
    });
    Some(Control { path, task })
}

/// Nobody else may reach it, not even for a moment: it is made in a folder of
/// its own and moved. The file's lock is ours, so one that lies there is left over.
fn bind(path: &Path) -> std::io::Result<UnixListener> {
    let folder = path.with_extension("sock.new");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder)?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
    let made = folder.join("s");
    let listener = UnixListener::bind(&made)?;
    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&made, path)?;
    std::fs::remove_dir(&folder)?;
    Ok(listener)
}

async fn answer(engine: Engine, reload: Reload, stream: UnixStream) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    if BufReader::new(read.take(LONGEST))
        .read_line(&mut line)
        .await
        .is_err()
    {
        return;
    }
    // Whoever asked may go away: what was begun is ended all the same.
    let task = tokio::spawn(async move {
        let ask = serde_json::from_str(&line).map_err(Error::new)?;
        carry_out(&engine, &reload()?, ask).await
    });
    let told = match task.await {
        Ok(Ok(words)) => Told::Done(words),
        Ok(Err(error)) => Told::Failed(error.to_string()),
        Err(_) => Told::Failed("it broke off; the log says why".to_owned()),
    };
    if let Ok(mut words) = serde_json::to_vec(&told) {
        words.push(b'\n');
        let _ = write.write_all(&words).await;
    }
}
