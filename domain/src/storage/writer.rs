//! The write task of SQLite: queued verbs share one commit.
//!
//! A batch runs without savepoints. A verb that refuses before it changed a
//! row is answered at once; one that refuses after a change rolls the batch
//! back, and the batch is replayed verb by verb, each in its own transaction.

use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot};

use super::{Changes, Error, Ground, Tx, Verb};

/// How many verbs may wait; more are refused as [`Error::Busy`].
const QUEUE: usize = 4096;
/// How many verbs share one commit at most.
const BATCH: usize = 256;

/// What running a verb once came to.
enum Outcome {
    Done,
    Refused,
    Panicked,
}

/// A verb with the place its answer goes to.
trait Job: Send + Sync {
    /// Runs the verb and keeps its answer.
    fn run<'t>(&'t self, tx: &'t mut Tx) -> BoxFuture<'t, Outcome>;
    /// Sends the kept answer; after a failed commit, the failure instead.
    fn answer(&self, commit: Result<(), Error>);
}

struct Pending<F, T, E> {
    verb: F,
    kept: Mutex<Option<Result<T, E>>>,
    sender: Mutex<Option<oneshot::Sender<Result<T, E>>>>,
}

impl<F, T, E> Job for Pending<F, T, E>
where
    F: for<'t> Fn(&'t mut Tx) -> Verb<'t, T, E> + Send + Sync,
    T: Send,
    E: From<Error> + Send,
{
    fn run<'t>(&'t self, tx: &'t mut Tx) -> BoxFuture<'t, Outcome> {
        Box::pin(async move {
            let Ok(answer) = std::panic::AssertUnwindSafe((self.verb)(tx))
                .catch_unwind()
                .await
            else {
                return Outcome::Panicked;
            };
            let outcome = if answer.is_ok() {
                Outcome::Done
            } else {
                Outcome::Refused
            };
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            outcome
        })
    }

    fn answer(&self, commit: Result<(), Error>) {
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let sender = self
            .sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let (Some(sender), Some(kept)) = (sender, kept) else {
            return;
        };
        let _ = sender.send(commit.map_err(E::from).and(kept));
    }
}

/// The way to the write task.
#[derive(Clone)]
pub(super) struct Queue {
    sender: mpsc::Sender<Arc<dyn Job>>,
    pool: SqlitePool,
}

impl Queue {
    pub(super) async fn run<T, E, F>(&self, verb: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t mut Tx) -> Verb<'t, T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job = Arc::new(Pending {
            verb,
            kept: Mutex::new(None),
            sender: Mutex::new(Some(sender)),
        });
        self.sender.try_send(job).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::Closed,
        })?;
        receiver.await.unwrap_or_else(|_| Err(Error::Closed.into()))
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

pub(super) fn spawn(pool: SqlitePool, ground: Ground, changes: Changes) -> Queue {
    let (sender, mut receiver) = mpsc::channel::<Arc<dyn Job>>(QUEUE);
    let writer = Writer {
        pool: pool.clone(),
        ground,
        changes,
    };
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(BATCH);
        while receiver.recv_many(&mut batch, BATCH).await > 0 {
            writer.run(std::mem::take(&mut batch)).await;
        }
    });
    Queue { sender, pool }
}

struct Writer {
    pool: SqlitePool,
    ground: Ground,
    changes: Changes,
}

impl Writer {
    async fn begin(&self) -> Result<Tx, Error> {
        let tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Tx::sqlite_writer(tx, self.ground.clone()))
    }

    async fn run(&self, batch: Vec<Arc<dyn Job>>) {
        let Err(error) = self.together(&batch).await else {
            return;
        };
        if let Some(error) = error {
            tracing::warn!(%error, "a batch of writes could not be committed; running each alone");
        }
        for job in batch {
            self.alone(&*job).await;
        }
    }

    /// Runs all in one transaction. `Err` means that nothing was kept and
    /// nobody answered but those who refused before changing a row.
    async fn together(&self, batch: &[Arc<dyn Job>]) -> Result<(), Option<Error>> {
        let mut tx = self.begin().await.map_err(Some)?;
        for job in batch {
            let mark = tx.mark();
            let outcome = job.run(&mut tx).await;
            if !matches!(outcome, Outcome::Done) {
                let changed = tx.back_to(mark);
                if changed || matches!(outcome, Outcome::Panicked) {
                    tx.rollback().await;
                    return Err(None);
                }
            }
        }
        let signals = tx.commit().await.map_err(Some)?;
        // Before any answer: who was answered must not meet what was known before.
        self.changes.pass_on(signals);
        for job in batch {
            job.answer(Ok(()));
        }
        Ok(())
    }

    async fn alone(&self, job: &dyn Job) {
        let mut tx = match self.begin().await {
            Ok(tx) => tx,
            Err(error) => return job.answer(Err(error)),
        };
        match job.run(&mut tx).await {
            Outcome::Done => match tx.commit().await {
                Ok(signals) => {
                    self.changes.pass_on(signals);
                    job.answer(Ok(()));
                }
                Err(error) => job.answer(Err(error)),
            },
            Outcome::Refused => {
                tx.rollback().await;
                job.answer(Ok(()));
            }
            // The caller's receiver sees the sender gone, as `Closed`.
            Outcome::Panicked => tx.rollback().await,
        }
    }
}
