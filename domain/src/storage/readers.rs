//! Connections to SQLite that only read.
//!
//! A pool of our own: sqlx's asks a connection whether it lives before and after
//! each use, and each of these is a trip to the connection's thread and back,
//! which is most of what reading one row costs. A file does not go away.

use std::sync::{Arc, PoisonError};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::Error;

/// As many may read at once; others wait for their turn.
const MOST: usize = 4;

/// The connections.
#[derive(Clone)]
pub(super) struct Readers {
    turns: Arc<Semaphore>,
    all: Arc<std::sync::Mutex<Vec<Arc<Mutex<SqliteConnection>>>>>,
}

impl Readers {
    pub(super) async fn open(options: &SqliteConnectOptions) -> Result<Self, Error> {
        let mut all = Vec::with_capacity(MOST);
        for _ in 0..MOST {
            all.push(Arc::new(Mutex::new(options.connect().await?)));
        }
        Ok(Self {
            turns: Arc::new(Semaphore::new(MOST)),
            all: Arc::new(std::sync::Mutex::new(all)),
        })
    }

    pub(super) async fn acquire(&self) -> Result<Reading, Error> {
        let turn = self.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|_| Error::Closed)?;
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        // There are as many turns as connections: one is free.
        let free = all
            .iter()
            .find_map(|connection| connection.clone().try_lock_owned().ok());
        Ok(Reading {
            connection: free.ok_or(Error::Closed)?,
            _turn: turn,
        })
    }

    /// Waits until nobody reads any more, and lets nobody in again.
    pub(super) async fn close(&self) {
        let everybody = u32::try_from(MOST).unwrap_or(u32::MAX);
        let last = self.turns.acquire_many(everybody).await;
        self.turns.close();
        drop(last);
        let all = std::mem::take(&mut *self.all.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in all.into_iter().filter_map(Arc::into_inner) {
            if let Err(error) = connection.into_inner().close().await {
                tracing::warn!(%error, "a reading connection could not be closed in words");
            }
        }
    }
}

/// A connection for one reader; another has it once this is dropped.
pub(super) struct Reading {
    // Given back before the turn is.
    pub(super) connection: OwnedMutexGuard<SqliteConnection>,
    _turn: OwnedSemaphorePermit,
}
