//! A consistent copy of a SQLite file while it is written to, and the check
//! that a file is whole.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::{Error, Pool, Store};

/// What to say where somebody else's tool is the right one.
const POSTGRES: &str = "this database is PostgreSQL's: back it up with pg_dump --format=custom, or with the \
     cluster's own base backups and archived log, and restore it with pg_restore; a restored database notices that it is elsewhere \
     and waits for attorn adopt";

/// Refuses PostgreSQL, in words.
///
/// # Errors
/// Always.
pub fn not_here<T>() -> Result<T, Error> {
    Err(Error::Setup(POSTGRES.to_owned()))
}

impl Store {
    /// Copies what is committed now into a new file, which only its user may
    /// read, and syncs it. Writers go on meanwhile.
    ///
    /// # Errors
    /// When there is such a file, it cannot be written, or this is PostgreSQL.
    pub async fn copy_to(&self, to: &Path) -> Result<(), Error> {
        let Pool::Sqlite { path, .. } = &self.pool else {
            return not_here();
        };
        let says = |error: std::io::Error| Error::Setup(format!("{}: {error}", to.display()));
        // SQLite takes an empty file that is there, with the rights it has.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .map_err(says)?;
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .connect()
            .await?;
        sqlx::query("vacuum into $1")
            .bind(to.to_string_lossy().into_owned())
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        file.sync_all().map_err(says)?;
        sync_folder(to)
    }

    /// Whether SQLite finds the whole file in order; what it says where not.
    ///
    /// # Errors
    /// The database's.
    pub async fn check_file(&self) -> Result<Option<String>, Error> {
        let rows = self
            .reader()
            .await?
            .all("pragma integrity_check(20)", vec![])
            .await?;
        let mut words = Vec::new();
        for row in &rows {
            words.push(row.get::<String>("integrity_check")?);
        }
        let words = words.join("; ");
        Ok((words != "ok").then_some(words))
    }
}

/// Makes sure that a new name in a folder survives a power cut.
///
/// # Errors
/// When the folder cannot be synced.
pub fn sync_folder(path: &Path) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Error::Setup(format!("{}: {error}", folder.display())))
}
