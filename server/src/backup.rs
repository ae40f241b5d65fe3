//! Backing up and restoring the SQLite file. A backup is one file: the database
//! as it was at one moment. The key-encryption key and the configuration are not
//! in it. Both ways the copy is opened, checked whole and its audit log verified
//! before anything is called done.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use domain::audit::{self, Event, Kind};
use domain::storage::{self, Location, copy};
use domain::{Engine, adoption};

use crate::config::Config;
use crate::serve::{self, Error};

/// Writes a backup of the running database to `to`.
///
/// # Errors
/// A sentence; then there is no file `to`.
pub async fn backup(engine: &Engine, config: &Config, to: &Path) -> Result<String, Error> {
    if engine.store.is_shared() {
        return copy::not_here().map_err(Error::new);
    }
    if to.exists() {
        return Err(Error(format!(
            "{} is there already; nothing is written over a backup",
            to.display()
        )));
    }
    engine
        .store
        .write(|tx| {
            Box::pin(async move {
                tx.record(Event::new(Kind::DeploymentBackedUp));
                Ok::<_, storage::Error>(())
            })
        })
        .await
        .map_err(Error::new)?;
    let partial = Partial::beside(to)?;
    engine.store.copy_to(&partial.0).await.map_err(Error::new)?;
    let proof = proved(config, &partial.0, false).await?;
    partial.becomes(to)?;
    Ok(format!(
        "Backed up to {}: {proof}\nIt is of no use without the key-encryption key {}, which is not in it, and neither is the configuration: keep both elsewhere.",
        to.display(),
        engine.keys.keks().wraps()
    ))
}

/// Puts a backup where the configuration has the database.
///
/// # Errors
/// A sentence; then there is no database.
pub async fn restore(config: &Config, from: &Path) -> Result<String, Error> {
    let location: Location = config.database.url.parse().map_err(Error::new)?;
    let Location::Sqlite(to) = location else {
        return copy::not_here().map_err(Error::new);
    };
    for path in [to.clone(), with_suffix(&to, "-wal")] {
        if path.exists() {
            return Err(Error(format!(
                "{} is there already: stop the server and move it away first, with its -wal and -shm",
                path.display()
            )));
        }
    }
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(Error::new)?;
    }
    let partial = Partial::beside(&to)?;
    let says = |error: std::io::Error| Error(format!("{}: {error}", from.display()));
    std::fs::copy(from, &partial.0).map_err(says)?;
    std::fs::set_permissions(&partial.0, Permissions::from_mode(0o600)).map_err(says)?;
    let proof = proved(config, &partial.0, true).await?;
    partial.becomes(&to)?;
    Ok(format!(
        "Restored to {}: {proof}\nIt renews, revokes and links nothing until you run attorn adopt. Do that only if the original never runs again.",
        to.display()
    ))
}

/// A file that is not yet what it shall be; gone when it does not become it.
struct Partial(PathBuf);

impl Partial {
    fn beside(path: &Path) -> Result<Self, Error> {
        let partial = Self(with_suffix(path, ".partial"));
        partial.remove();
        if partial.0.exists() {
            return Err(Error(format!("{} is in the way", partial.0.display())));
        }
        Ok(partial)
    }

    fn remove(&self) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(with_suffix(&self.0, suffix));
        }
        let _ = std::fs::remove_file(self.0.with_extension("lock"));
    }

    fn becomes(self, path: &Path) -> Result<(), Error> {
        File::open(&self.0)
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&self.0, path))
            .map_err(|error| Error(format!("{}: {error}", path.display())))?;
        copy::sync_folder(path).map_err(Error::new)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        self.remove();
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens a copy with its keys, and proves it. Closing folds everything into the file.
async fn proved(config: &Config, path: &Path, restored: bool) -> Result<String, Error> {
    let engine = serve::engine_at(config, Location::Sqlite(path.to_owned())).await?;
    let outcome = prove(&engine, restored).await;
    engine.store.close().await;
    outcome
}

async fn prove(engine: &Engine, restored: bool) -> Result<String, Error> {
    if let Some(words) = engine.store.check_file().await.map_err(Error::new)? {
        return Err(Error(format!("the file is damaged: {words}")));
    }
    let report = audit::verify(engine, None).await.map_err(Error::new)?;
    if !report.is_sound() {
        return Err(Error(format!("its audit log does not verify:\n{report}")));
    }
    if restored {
        adoption::mark_restored(engine).await.map_err(Error::new)?;
    }
    Ok(format!(
        "the file is whole and its audit log of {} entries verifies.",
        report.entries
    ))
}
