//! Numbers events, extends the tree, signs checkpoints.
//!
//! Any number of instances may run it: the row of `audit_tree` is claimed by a
//! compare-and-swap on its size, and whoever loses changes nothing. Writers of
//! events never wait for it.
//!
//! The order is that of (time, id) *within a batch*. On PostgreSQL an event
//! whose transaction commits after a younger one was numbered simply gets a
//! later index: the index says when the log took an event in, `at` says when it
//! happened, and only the index never changes.

use std::future::Future;
use std::pin::pin;

use evidence::merkle::{Frontier, leaf_hash};
use tokio::sync::broadcast::{Receiver, error::RecvError, error::TryRecvError};

use super::Error;
use super::log::Log;
use super::sql::StoredCheckpoint;
use crate::Engine;
use crate::storage::Signal;

/// How many events are numbered in one write.
const BATCH: i64 = 1000;
/// Between the starts of two batches, in milliseconds, so that a busy house
/// signs four checkpoints a second and not one an event.
const PAUSE: i64 = 250;
/// The longest time between two looks, in milliseconds, should no signal come.
const LONGEST: i64 = 1000;

/// Numbers up to 1000 events, extends the tree and signs it, as one write.
/// Answers how many; nought also when another instance was faster.
///
/// # Errors
/// [`Error::Damaged`] when the stored tree is not the one that was signed last.
pub async fn run_once(engine: &Engine) -> Result<usize, Error> {
    // A look without a write, so that an idle house commits nothing.
    if !engine.store.reader().await?.audit_has_unsequenced().await? {
        return Ok(0);
    }
    let signer = engine.clone();
    engine
        .store
        .write(move |tx| {
            let engine = signer.clone();
            Box::pin(async move {
                let now = tx.now();
                let tree = tx.audit_tree().await?;
                let planted = tree.is_none();
                let mut frontier = tree.map_or_else(Frontier::new, |tree| tree.frontier);
                let size = frontier.size();
                if planted && !tx.audit_plant_tree(now).await? {
                    return Ok(0);
                }
                if !tx.audit_claim_tree(size, now).await? {
                    return Ok(0);
                }
                // From here on nobody else numbers, so what is read belongs together.
                let newest = tx.audit_newest().await?;
                let log = Log::open(&engine, newest.as_ref())?;
                must_be_signed(&log, &frontier, newest.as_ref())?;
                let mut numbered = tx.audit_number(size, BATCH).await?;
                numbered.sort_unstable_by_key(|(index, _)| *index);
                if numbered.is_empty() {
                    return Ok(0);
                }
                for (_, leaf) in &numbered {
                    // From the bytes, not from the column: the bytes are what is proved.
                    frontier.append(leaf_hash(leaf));
                }
                let (grown, root) = (frontier.size(), frontier.root());
                let note = log.sign(grown, root)?;
                tx.audit_grow_tree(size, &frontier, now).await?;
                tx.audit_add_checkpoint(grown, root, &note, now).await?;
                tx.signal(None, "checkpoint", &grown.to_string());
                Ok(numbered.len())
            })
        })
        .await
}

/// The tree that is about to grow must be the one that was signed last: nobody
/// may slip another one under our next signature.
fn must_be_signed(
    log: &Log,
    tree: &Frontier,
    newest: Option<&StoredCheckpoint>,
) -> Result<(), Error> {
    let Some(newest) = newest else {
        return match tree.size() {
            0 => Ok(()),
            _ => Err(Error::Damaged("there is no checkpoint")),
        };
    };
    let signed = log
        .read(&newest.note)
        .map_err(|_| Error::Damaged("the checkpoint is not signed by our key"))?;
    if signed.size != tree.size() || signed.root != tree.root() {
        return Err(Error::Damaged("size or root differ"));
    }
    Ok(())
}

/// Runs until `shutdown` resolves; then numbers what is there and returns.
/// Wakes on events, at most every 250 ms, and looks at least once a second.
pub async fn run(engine: &Engine, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    // Listening begins before the first look, so that no event falls between.
    let mut signals = engine.store.signals();
    loop {
        let began = engine.clock.monotonic();
        forget_waiting(&mut signals);
        look(engine).await;
        let woken = async {
            tokio::select! {
                () = next_event(&mut signals) => {}
                () = engine.clock.sleep_until(began + LONGEST) => {}
            }
            engine.clock.sleep_until(began + PAUSE).await;
        };
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            () = woken => {}
        }
    }
    look(engine).await;
}

/// Numbers all there is.
async fn look(engine: &Engine) {
    loop {
        match run_once(engine).await {
            Ok(0) => return,
            Ok(count) => tracing::debug!(count, "numbered events"),
            Err(error) => {
                tracing::error!(%error, "events could not be numbered");
                return;
            }
        }
    }
}

/// What was signalled until now is committed, and the look that follows sees it.
fn forget_waiting(signals: &mut Receiver<Signal>) {
    while matches!(signals.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {}
}

/// Resolves when an event may have been recorded. A receiver that lagged has
/// missed something, which may have been one.
async fn next_event(signals: &mut Receiver<Signal>) {
    loop {
        match signals.recv().await {
            Ok(signal) if signal.topic != "event" => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            // The store is going away; only the clock is left to wake on.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
