//! Storage: one SQL text on SQLite and PostgreSQL, and one door for writes.
//!
//! What always holds here:
//! - [`Store::write`] is the only way to change a row. A verb handed to it is
//!   re-runnable; its answer leaves only after the commit.
//! - A verb that answers `Err` has changed nothing and recorded no event.
//! - On SQLite one task runs queued verbs in batches that share one commit
//!   (group commit); on PostgreSQL each verb has its own transaction.
//! - Events and wake-up signals pushed on a [`Tx`] belong to the same write.
//! - Rows are kept in memory only over the [`Feed`], which hears of every change.
//!
//! The SQL itself lies in the rooms (`impl Tx { pub(super) … }`).

pub mod copy;
mod feed;
mod known;
mod listen;
mod place;
mod readers;
mod row;
mod tx;
mod writer;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, PgPool};
use tokio::sync::broadcast;

use crate::clock::Clock;
use crate::ids::{self, Rng};

pub use feed::{FRESH_MS, Feed, Heed};
pub use known::{Known, Ticket};
pub use row::{Json, Row, Value};
pub use tx::{EventRow, Tx};

/// What a write needs beside the database, so that verbs take nothing from the air.
#[derive(Clone)]
pub struct Ground {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    deployment: Arc<OnceLock<String>>,
}

impl Ground {
    /// Time and randomness; the deployment's id follows once the keys are open.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Self {
        Self {
            clock,
            rng,
            deployment: Arc::new(OnceLock::new()),
        }
    }

    /// Sets the id that every audit leaf carries. The first call counts.
    pub fn set_deployment(&self, id: &str) {
        let _ = self.deployment.set(id.to_owned());
    }
}

/// Which database. Parsed from `sqlite:PATH` or `postgres://…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file, owned by one process.
    Sqlite(PathBuf),
    /// A server shared by several instances.
    Postgres(String),
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            return Ok(Self::Sqlite(PathBuf::from(
                path.strip_prefix("//").unwrap_or(path),
            )));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        Err(Error::Setup(
            "the database must be given as `sqlite:PATH` or `postgres://…`".to_owned(),
        ))
    }
}

/// What can go wrong in storage.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused or is away.
    #[error("the database answered: {0}")]
    Database(#[from] sqlx::Error),
    /// The migrations could not be applied.
    #[error("the database could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row that no state can explain.
    #[error("{table}.{column} of row {id} holds something no state can explain")]
    BadRow {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's id, or what stands for it.
        id: String,
    },
    /// A write was tried through a reader: a defect.
    #[error("a reader may not write")]
    ReadOnly,
    /// Too many writes are waiting.
    #[error("too many writes are waiting")]
    Busy,
    /// The store was closed while the write waited.
    #[error("the store is closed")]
    Closed,
    /// The database cannot be used as it is set up; the sentence says why.
    #[error("{0}")]
    Setup(String),
}

impl Error {
    /// Whether a unique key refused the row.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.is_unique_violation())
    }

    /// Whether the store was closed: nothing will be written any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed | Self::Database(sqlx::Error::PoolClosed))
    }

    /// Whether running the verb again may succeed (PostgreSQL: serialisation, deadlock).
    fn is_transient(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error))
            if matches!(error.code().as_deref(), Some("40001" | "40P01")))
    }
}

/// Something changed that a page or a waiter may want to look at. A hint, never
/// the truth: whoever wakes reads the row.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Signal {
    /// Whose pages are concerned; `None` for what only admins see.
    pub person: Option<String>,
    /// What kind of thing: `approval`, `account`, `run`, `event`, `permission`, `client`, `session`.
    pub topic: String,
    /// Its id.
    pub id: String,
}

#[derive(Clone)]
enum Pool {
    Sqlite {
        readers: readers::Readers,
        writer: writer::Queue,
        path: PathBuf,
    },
    Postgres(PgPool),
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    ground: Ground,
    changes: Changes,
    _lock: Option<Arc<std::fs::File>>,
}

/// Where committed changes go: first to whoever keeps rows in memory, then to
/// whoever waits.
#[derive(Clone)]
struct Changes {
    feed: Feed,
    signals: broadcast::Sender<Signal>,
}

impl Changes {
    fn pass_on(&self, signals: Vec<Signal>) {
        self.feed.pass_on(&signals);
        for signal in signals {
            // Nobody waits: fine.
            let _ = self.signals.send(signal);
        }
    }
}

/// A connection to PostgreSQL that was idle for longer is asked whether it lives.
const IDLE: Duration = Duration::from_secs(1);

/// A verb's future.
pub type Verb<'t, T, E> = BoxFuture<'t, Result<T, E>>;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

impl Store {
    /// Opens the database and brings it up to date. A SQLite file is created
    /// where there is none and locked for this process.
    ///
    /// # Errors
    /// When the database is away, owned by another process, or set up in a way
    /// that could lose an answered write.
    pub async fn open(location: &Location, ground: Ground) -> Result<Self, Error> {
        let changes = Changes {
            feed: Feed::new(
                ground.clock.clone(),
                matches!(location, Location::Postgres(_)),
            ),
            signals: broadcast::Sender::new(1024),
        };
        match location {
            Location::Sqlite(path) => Self::open_sqlite(path, ground, changes).await,
            Location::Postgres(url) => Self::open_postgres(url, ground, changes).await,
        }
    }

    async fn open_sqlite(path: &Path, ground: Ground, changes: Changes) -> Result<Self, Error> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(|error| {
                Error::Setup(format!("cannot create {}: {error}", folder.display()))
            })?;
        }
        let lock_path = path.with_extension("lock");
        let lock = std::fs::File::create(&lock_path).map_err(|error| {
            Error::Setup(format!("cannot create {}: {error}", lock_path.display()))
        })?;
        if lock.try_lock().is_err() {
            return Err(Error::Setup(format!(
                "{} is in use by another attorn process; stop it first",
                path.display()
            )));
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            // A file does not go away; asking costs a trip to the connection's thread.
            .test_before_acquire(false)
            .connect_with(options.clone())
            .await?;
        MIGRATIONS.run(&writer).await?;
        let readers = readers::Readers::open(&options.read_only(true)).await?;
        let writer = writer::spawn(writer, ground.clone(), changes.clone());
        Ok(Self {
            pool: Pool::Sqlite {
                readers,
                writer,
                path: path.to_owned(),
            },
            ground,
            changes,
            _lock: Some(Arc::new(lock)),
        })
    }

    async fn open_postgres(url: &str, ground: Ground, changes: Changes) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(url)?;
        let pool = PgPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(Duration::from_secs(10))
            // Asking costs a round trip: only where somebody may have hung up.
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for > IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(options)
            .await?;
        let durable: String = sqlx::query_scalar("select current_setting('synchronous_commit')")
            .fetch_one(&pool)
            .await?;
        if durable == "off" {
            return Err(Error::Setup(
                "PostgreSQL runs with synchronous_commit = off: an answered write could be lost; set it to on".to_owned(),
            ));
        }
        MIGRATIONS.run(&pool).await?;
        let store = Self {
            pool: Pool::Postgres(pool.clone()),
            ground: ground.clone(),
            changes: changes.clone(),
            _lock: None,
        };
        let me = ids::id("ear", ground.clock.now(), &*ground.rng);
        tokio::spawn(listen::pulse(
            pool.clone(),
            ground.clock.clone(),
            me.clone(),
        ));
        tokio::spawn(listen::listen(pool, ground.clock, me, changes));
        Ok(store)
    }

    /// Runs one verb as one atomic write. The verb may be run more than once;
    /// only what its last run did is kept.
    ///
    /// # Errors
    /// The verb's own error (nothing was changed), or storage's.
    pub async fn write<T, E, F>(&self, verb: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t mut Tx) -> Verb<'t, T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match &self.pool {
            Pool::Sqlite { writer, .. } => writer.run(verb).await,
            Pool::Postgres(pool) => {
                // A task of its own: a caller that goes away cannot stop a verb halfway.
                let (pool, ground, changes) =
                    (pool.clone(), self.ground.clone(), self.changes.clone());
                match tokio::spawn(
                    async move { write_postgres(&pool, &ground, &changes, &verb).await },
                )
                .await
                {
                    Ok(answer) => answer,
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => Err(Error::Closed.into()),
                }
            }
        }
    }

    /// A connection that only reads.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn reader(&self) -> Result<Tx, Error> {
        Ok(match &self.pool {
            Pool::Sqlite { readers, .. } => {
                Tx::sqlite_reader(readers.acquire().await?, self.ground.clone())
            }
            Pool::Postgres(pool) => Tx::postgres_reader(pool.acquire().await?, self.ground.clone()),
        })
    }

    /// Changes as they are committed, here and in other instances.
    #[must_use]
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.changes.signals.subscribe()
    }

    /// What rows in memory stand on.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.changes.feed
    }

    /// Whether this is PostgreSQL (shared with other instances).
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self.pool, Pool::Postgres(_))
    }

    /// Finishes queued writes and closes the connections.
    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite {
                readers, writer, ..
            } => {
                // The last connection folds the write-ahead log into the file, and a reader may not: without this
                // order a copy of the file alone lacks what was written last.
                readers.close().await;
                writer.close().await;
            }
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}

async fn write_postgres<T, E, F>(
    pool: &PgPool,
    ground: &Ground,
    changes: &Changes,
    verb: &F,
) -> Result<T, E>
where
    F: for<'t> Fn(&'t mut Tx) -> Verb<'t, T, E> + Send + Sync,
    T: Send,
    E: From<Error> + Send,
{
    let mut tries = 0;
    loop {
        tries += 1;
        let mut tx = Tx::postgres_writer(pool.begin().await.map_err(Error::from)?, ground.clone());
        let outcome = verb(&mut tx).await;
        let transient = tx.transient_failure;
        match outcome {
            Ok(answer) => match tx.commit().await {
                Ok(sent) => {
                    // Other instances hear it by NOTIFY, this one at once.
                    changes.pass_on(sent);
                    return Ok(answer);
                }
                Err(error) if error.is_transient() && tries < 5 => {}
                Err(error) => return Err(error.into()),
            },
            Err(error) => {
                tx.rollback().await;
                if !(transient && tries < 5) {
                    return Err(error);
                }
            }
        }
    }
}
