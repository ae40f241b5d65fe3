//! What falls due and is sent to somebody else: a round when a signal says so
//! and now and then besides, and in each round a bounded number of turns, so
//! that one who is slow does not keep the others waiting.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;

use crate::Engine;

/// How often what is due is looked for when no signal says so, in milliseconds.
const EVERY_MS: i64 = 1_000;
/// How many are sent at once.
const AT_ONCE: usize = 64;

/// How often one is tried: at once, then after 5, 10, 20, 40 and 80 seconds.
const ATTEMPTS: i64 = 6;
/// Milliseconds after the first attempt; doubled each time.
const BACKOFF_MS: i64 = 5_000;
/// Nobody else tries one that was claimed less than this ago (milliseconds).
pub(crate) const CLAIM_MS: i64 = 30_000;

/// How one attempt ended.
pub(crate) enum End {
    /// It was taken.
    Done,
    /// Trying again changes nothing.
    GivenUp(String),
    /// Not now; perhaps the other side said after how long.
    Failed(String, Option<Duration>),
}

impl End {
    /// What becomes of it after so many attempts: its state, why, and in how
    /// many milliseconds it is tried again.
    pub(crate) fn settled(self, attempts: i64) -> (&'static str, Option<String>, i64) {
        match self {
            Self::Done => ("done", None, 0),
            Self::GivenUp(why) => ("given_up", Some(why), 0),
            Self::Failed(why, _) if attempts >= ATTEMPTS => ("given_up", Some(why), 0),
            Self::Failed(why, after) => {
                let asked = after.and_then(|after| i64::try_from(after.as_millis()).ok());
                let backoff = BACKOFF_MS << (attempts - 1).clamp(0, 10);
                ("due", Some(why), asked.unwrap_or(0).max(backoff))
            }
        }
    }
}

/// Does a round at once, at each signal of `topic`, and every second, until
/// `shutdown`.
pub(crate) async fn follow<F>(
    engine: &Engine,
    topic: &str,
    shutdown: impl Future<Output = ()> + Send,
    round: impl Fn() -> F + Send,
) where
    F: Future<Output = ()> + Send,
{
    let mut signals = engine.store.signals();
    tokio::pin!(shutdown);
    loop {
        round().await;
        let next = engine
            .clock
            .sleep_until(engine.clock.monotonic() + EVERY_MS);
        tokio::pin!(next);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                () = &mut next => break,
                signal = signals.recv() => match signal {
                    Ok(signal) if signal.topic == topic => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}

/// Tries what is due (id, and to whom), in bounded turns; answers how many
/// were settled.
pub(crate) async fn round<F: Future<Output = bool>>(
    due: Vec<(String, String)>,
    of_one: usize,
    try_one: impl Fn(String) -> F,
) -> usize {
    let tries = turns(due, of_one).into_iter().map(try_one);
    let settled = futures::future::join_all(tries).await;
    settled.into_iter().filter(|settled| *settled).count()
}

/// Whose turn it is of what is due (id, and to whom): `of_one` for each, and
/// 64 in all.
fn turns(due: Vec<(String, String)>, of_one: usize) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    due.into_iter()
        .filter_map(|(id, whom)| {
            let count = counts.entry(whom).or_default();
            *count += 1;
            (*count <= of_one).then_some(id)
        })
        .take(AT_ONCE)
        .collect()
}
