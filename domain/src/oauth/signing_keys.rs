//! Taking turns of the keys that sign tokens.
//!
//! Ordinarily a new key is published for [`AHEAD_MS`] before it signs, so that
//! whoever keeps our keys has heard of it by then, and the old one is withdrawn
//! [`AFTER_MS`] later, when everything it signed has run out. A compromised key
//! is withdrawn at once, and every token it signed with it.

use std::sync::Arc;

use crate::Engine;
use crate::audit::{Event, Kind};
use crate::keyring::{self, Keyring, SigningAlg, TokenKeyRow};
use crate::storage;

/// A new key is published so long before it signs, milliseconds.
pub const AHEAD_MS: i64 = 24 * 60 * 60 * 1000;
/// An old key is withdrawn so long after the new one signs, milliseconds. No
/// token of ours lives nearly as long.
pub const AFTER_MS: i64 = 24 * 60 * 60 * 1000;

/// Why a rotation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The keys.
    #[error(transparent)]
    Keys(#[from] keyring::Error),
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// How a key gives way to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// With overlap.
    Orderly,
    /// At once: somebody else may have the old one.
    Compromised,
}

/// Keys of tokens that are not withdrawn, the oldest first.
///
/// # Errors
/// The database's.
pub async fn list(engine: &Engine) -> Result<Vec<TokenKeyRow>, storage::Error> {
    engine.store.reader().await?.token_keys().await
}

/// Makes the next key of each algorithm. `by` is the admin's id, `None` a command.
///
/// # Errors
/// See [`Error`]; nothing is changed then.
pub async fn rotate(engine: &Engine, by: Option<&str>, turn: Turn) -> Result<(), Error> {
    let by = by.unwrap_or("command");
    for alg in SigningAlg::ALL {
        next(engine, alg, turn, by, None).await?;
    }
    engine.keys.reload(&engine.store).await?;
    Ok(())
}

/// Makes the next key where the newest is about to have signed for as long as
/// the deployment wants, shreds what was withdrawn, and hears of keys that
/// other instances made. Called every minute, so that all know a key long
/// before it signs.
///
/// # Errors
/// See [`Error`].
pub async fn upkeep(engine: &Engine) -> Result<(), Error> {
    let now = engine.now();
    let every = i64::from(engine.settings.rotate_keys_days) * 24 * 60 * 60 * 1000;
    if every > 0 {
        let rows = list(engine).await?;
        for alg in SigningAlg::ALL {
            let newest = rows.iter().filter(|row| row.alg == alg);
            let newest = newest.map(|row| row.active_from).max().unwrap_or(0);
            if newest.saturating_add(every) <= now + AHEAD_MS {
                next(engine, alg, Turn::Orderly, "schedule", Some(newest)).await?;
            }
        }
    }
    engine
        .store
        .write(|tx| Box::pin(async move { tx.shred_retired_keys().await }))
        .await?;
    engine.keys.reload(&engine.store).await?;
    Ok(())
}

/// Makes one. With `after`, only if that is still when the newest began to
/// sign: of several instances, one makes it.
async fn next(
    engine: &Engine,
    alg: SigningAlg,
    turn: Turn,
    by: &str,
    after: Option<i64>,
) -> Result<(), Error> {
    let (keys, rng) = (engine.clone(), engine.rng.clone());
    // An RSA key takes half a second.
    let made = tokio::task::spawn_blocking(move || Keyring::make_token_key(alg, &*rng))
        .await
        .map_err(|_| keyring::Error::Unavailable("a key could not be made".to_owned()))??;
    let made = Arc::new(keys.keys.wrap_token_key(made).await?);
    let by = by.to_owned();
    engine
        .store
        .write(move |tx| {
            let (made, by) = (made.clone(), by.clone());
            Box::pin(async move {
                tx.hold_keys().await?;
                let rows = tx.token_keys().await?;
                let newest = rows.iter().filter(|row| row.alg == alg);
                let newest = newest.map(|row| row.active_from).max();
                if after.is_some() && after != newest {
                    return Ok::<_, storage::Error>(());
                }
                let now = tx.now();
                let (from, end) = match turn {
                    Turn::Orderly => (now + AHEAD_MS, now + AHEAD_MS + AFTER_MS),
                    Turn::Compromised => (now, now),
                };
                tx.retire_token_keys(alg, end).await?;
                tx.insert_token_key(&made, from).await?;
                tx.record(
                    Event::new(Kind::KeysChanged)
                        .data("key", made.kid())
                        .data("alg", alg.name())
                        .data("compromised", turn == Turn::Compromised)
                        .data("by", by),
                );
                Ok(())
            })
        })
        .await?;
    Ok(())
}
