//! Answers of providers that the database does not take at the moment, on disk.
//!
//! A refresh token that rotates lives on in the provider's answer alone. While
//! the database is away the process keeps that answer and tries again
//! (`flight/keeping.rs`); here it also lies on disk, so that the process may
//! end meanwhile. Upkeep brings what lies here into the database.
//!
//! What always holds here: a file holds one answer, sealed as a candidate's row
//! holds it, with a MAC over the whole. It is on disk (fsync of file and folder)
//! before it has its name, only its owner reads it, and it goes once the row is
//! there. There are at most [`MOST`] files, and none older than [`KEPT_MS`].
//!
//! The folder belongs to one machine. Where several share a database, an answer
//! waits for the machine that heard it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use super::held::Held;
use super::{Error, TokenKind, refresh};
use crate::Engine;
use crate::storage;

/// As many answers may wait on disk.
pub const MOST: usize = 4_096;
/// For so long one waits (milliseconds).
pub const KEPT_MS: i64 = 7 * 24 * 3_600_000;
/// A file is not longer than this: an answer of a provider is bounded, too.
const LONGEST: u64 = 1 << 20;
/// What the MACs are for.
const MAC: &str = "answer_journal";
const ENDING: &str = "answer";

/// A provider's answer, sealed as a candidate.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    pub account: String,
    pub kind: String,
    pub epoch: i64,
    #[serde(with = "bytes")]
    pub parent: Vec<u8>,
    pub holder: String,
    #[serde(with = "bytes")]
    pub sealed: Vec<u8>,
}

/// An answer that lies on disk.
pub(super) struct Noted(PathBuf);

/// Puts an answer on disk; `None`, and a line in the log, where that cannot be.
pub(super) async fn note(engine: &Engine, answer: &Answer) -> Option<Noted> {
    let folder = engine.settings.journal.clone()?;
    let text = serde_json::to_string(answer).ok()?;
    let (mac, key) = engine.keys.mac(MAC, text.as_bytes());
    let bytes = format!("{text}\n{key} {}\n", BASE64.encode(mac));
    let name = format!(
        "{:013}-{}.{ENDING}",
        engine.now(),
        crate::ids::id("answer", engine.now(), &*engine.rng)
    );
    match blocking(move || write(&folder, &name, bytes.as_bytes())).await {
        Ok(path) => Some(Noted(path)),
        Err(error) => {
            tracing::error!(%error, account = answer.account, "a provider's answer cannot be put on disk; it is in memory alone");
            None
        }
    }
}

/// Takes an answer off the disk again: its row is there.
pub(super) async fn forget(noted: Noted) {
    remove(noted.0).await;
}

/// Brings answers that wait on disk into the database and makes them current.
/// Says how many came in.
///
/// # Errors
/// The folder's, or the database's; what waits goes on waiting.
pub async fn replay(engine: &Engine) -> Result<usize, Error> {
    let Some(folder) = engine.settings.journal.clone() else {
        return Ok(0);
    };
    // The original of a copy looks after the grants.
    if !engine.adoption.is_adopted() {
        return Ok(0);
    }
    let waiting = blocking(move || waiting(&folder))
        .await
        .map_err(|error| storage::Error::Setup(format!("the journal: {error}")))?;
    let mut came = 0;
    for (at, path) in waiting {
        match read(engine, &path).await {
            Some(answer) => match bring_in(engine, &answer).await? {
                Place::Taken => {
                    tracing::info!(
                        account = answer.account,
                        "a provider's answer came from the disk into the database"
                    );
                    came += 1;
                    remove(path).await;
                    make_current(engine, &answer).await?;
                    continue;
                }
                Place::Past => {
                    remove(path).await;
                    continue;
                }
                Place::NotYet => {}
            },
            // Somebody is writing it, or was when the process ended.
            None if is_unfinished(&path) => {}
            // Torn, or of another deployment: left alone, and told of once.
            None => {
                if refresh::locked(&engine.vault.unreadable).insert(path.clone()) {
                    tracing::error!(path = %path.display(), "an answer on disk cannot be read");
                }
            }
        }
        if at < engine.now() - KEPT_MS {
            tracing::error!(path = %path.display(), "an answer waited on disk for too long and is dropped");
            refresh::locked(&engine.vault.unreadable).remove(&path);
            remove(path).await;
        }
    }
    Ok(came)
}

/// What the database says of an answer.
enum Place {
    /// It is a candidate now.
    Taken,
    /// The grant has gone on without it, or is gone.
    Past,
    /// The database is from before the question: a backup that was put back.
    NotYet,
}

async fn bring_in(engine: &Engine, answer: &Answer) -> Result<Place, Error> {
    let Ok(kind) = answer.kind.parse::<TokenKind>() else {
        return Ok(Place::NotYet);
    };
    let answer = answer.clone();
    let place = engine
        .store
        .write(move |tx| {
            let answer = answer.clone();
            Box::pin(async move {
                // Unlinked: its data key is gone, and nobody can open it.
                if !tx.lock_living(&answer.account).await? {
                    return Ok::<_, storage::Error>(Place::Past);
                }
                let Some(grant) = tx.grant_row(&answer.account, kind).await? else {
                    return Ok(Place::Past);
                };
                if grant.epoch > answer.epoch {
                    return Ok(Place::Past);
                }
                let is_child = grant.refresh_hash.as_ref() == Some(&answer.parent);
                if grant.epoch < answer.epoch || !is_child {
                    return Ok(Place::NotYet);
                }
                // Stored already: this one, whose writer did not hear of it, or a
                // later one of somebody who asked again.
                let (account, parent) = (&answer.account, &answer.parent);
                if tx.candidate(account, kind, parent).await?.is_none() {
                    let sealed = (answer.holder.as_str(), answer.sealed.as_slice());
                    tx.keep_candidate(account, kind, answer.epoch, parent, sealed)
                        .await?;
                }
                Ok(Place::Taken)
            })
        })
        .await?;
    Ok(place)
}

/// Starts what makes a stored answer current. Nobody waits for it.
async fn make_current(engine: &Engine, answer: &Answer) -> Result<(), Error> {
    let Ok(kind) = answer.kind.parse() else {
        return Ok(());
    };
    if let Some(held) = Held::load(engine, &answer.account, kind).await? {
        drop(refresh::start(engine, &held));
    }
    Ok(())
}

/// Whether a file has not got its name yet.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_none_or(|name| name.starts_with('.'))
}

async fn read(engine: &Engine, path: &Path) -> Option<Answer> {
    if is_unfinished(path) {
        return None;
    }
    let path = path.to_owned();
    let text = blocking(move || {
        let mut text = String::new();
        File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
        Ok(text)
    })
    .await
    .ok()?;
    let (answer, mac) = text.split_once('\n')?;
    let (key, mac) = mac.trim_end().split_once(' ')?;
    let mac = BASE64.decode(mac).ok()?;
    if !engine.keys.mac_holds(MAC, answer.as_bytes(), &mac, key) {
        return None;
    }
    serde_json::from_str(answer).ok()
}

async fn remove(path: PathBuf) {
    let removed = blocking(move || match fs::remove_file(&path) {
        // Another process has been quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    });
    if let Err(error) = removed.await {
        tracing::warn!(%error, "an answer that is stored cannot be taken off the disk");
    }
}

/// Makes the folder, which only its owner enters.
///
/// # Errors
/// The file system's.
pub fn prepare(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

/// Files and when they were written, the oldest first.
fn waiting(folder: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let files = match fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for file in files.take(2 * MOST) {
        let path = file?.path();
        let is_answer = path.extension().is_some_and(|ending| ending == ENDING);
        let name = path.file_name().and_then(|name| name.to_str());
        let at = name
            .and_then(|name| name.trim_start_matches('.').split_once('-'))
            .and_then(|(at, _)| at.parse().ok());
        if let (true, Some(at)) = (is_answer, at) {
            found.push((at, path));
        }
    }
    found.sort();
    Ok(found)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    prepare(folder)?;
    if waiting(folder)?.len() >= MOST {
        return Err(io::Error::other(format!("{MOST} answers wait already")));
    }
    let (unnamed, path) = (folder.join(format!(".{name}")), folder.join(name));
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unnamed)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&unnamed, &path));
    if let Err(error) = written {
        let _ = fs::remove_file(&unnamed);
        return Err(error);
    }
    File::open(folder)?.sync_all()?;
    Ok(path)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Bytes as text in JSON.
mod bytes {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use base64::Engine as _;

    use super::BASE64;

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        BASE64.decode(text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_journal_takes_no_more() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..MOST {
            File::create(folder.path().join(format!("{number:013}-x.{ENDING}"))).unwrap();
        }
        let more = write(folder.path(), "0000000000000-y.answer", b"z");
        assert!(more.unwrap_err().to_string().contains("wait already"));
        fs::remove_file(folder.path().join("0000000000000-x.answer")).unwrap();
        write(folder.path(), "0000000000000-y.answer", b"z").unwrap();
    }

    #[test]
    fn only_its_owner_reads_an_answer() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("answers");
        let path = write(&journal, "0000000000001-y.answer", b"z").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&journal), mode(&path)), (0o700, 0o600));
    }

    #[test]
    fn what_was_not_written_to_its_end_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".0000000000001-x.answer", "notes.txt", "x.answer"] {
            File::create(folder.path().join(name)).unwrap();
        }
        let found = waiting(folder.path()).unwrap();
        assert_eq!(found.len(), 1, "it goes with its age");
        assert!(is_unfinished(&found[0].1));
    }
}
