//! Where a database is, so that a copy of it can be told from the original.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sqlx::PgPool;
use sqlx::Row as _;

use super::{Error, Pool, Store};

/// The id of a machine, where it has one (systemd's, and of D-Bus before it).
const MACHINE_ID: &str = "/etc/machine-id";

impl Store {
    /// A digest of where this database is. A SQLite file: this machine, its
    /// path and its inode, which a copy of the file does not share. PostgreSQL:
    /// the cluster's identifier, which a standby shares and a restored dump does
    /// not, and the database within it; all instances see the same.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn place(&self) -> Result<String, Error> {
        let words = match &self.pool {
            Pool::Sqlite { path, .. } => of_file(path)?,
            Pool::Postgres(pool) => of_cluster(pool).await?,
        };
        Ok(evidence::digest::base64url(&crate::keyring::sha256(
            words.as_bytes(),
        )))
    }
}

fn of_file(path: &Path) -> Result<String, Error> {
    let says = |error: std::io::Error| Error::Setup(format!("{}: {error}", path.display()));
    let machine = std::fs::read_to_string(MACHINE_ID).unwrap_or_default();
    let inode = std::fs::metadata(path).map_err(says)?.ino();
    let path = path.canonicalize().map_err(says)?;
    Ok(format!(
        "file\0{}\0{inode}\0{}",
        machine.trim(),
        path.display()
    ))
}

async fn of_cluster(pool: &PgPool) -> Result<String, Error> {
    let database: String = sqlx::query(
        "select (select oid from pg_database where datname = current_database())::text as id",
    )
    .fetch_one(pool)
    .await?
    .try_get("id")?;
    let cluster = sqlx::query("select system_identifier::text as id from pg_control_system()")
        .fetch_one(pool)
        .await
        .and_then(|row| row.try_get::<String, _>("id"));
    let cluster = match cluster {
        Ok(id) => id,
        // Some services do not let this be asked: a dump is still told by the database.
        Err(sqlx::Error::Database(_)) => String::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(format!("cluster\0{cluster}\0{database}"))
}
