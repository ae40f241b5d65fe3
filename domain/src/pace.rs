//! How often a client may poll for one answer (CIBA Core §11, RFC 8628 §3.5).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Seconds between polls, unless a hasty client was told to wait longer.
pub const INTERVAL_S: i64 = 5;

/// When a client last asked about one thing, and how long it must wait.
#[derive(Clone, Copy)]
struct Pace {
    /// Monotonic milliseconds of the last poll.
    last: i64,
    /// Seconds to wait; grows by five with every poll that comes too soon.
    interval_s: i64,
}

/// How many paces are kept; beyond that the oldest go, and a client that had
/// to wait may ask at once: harmless, since a poll is only a read.
const MOST: usize = 1_000_000;

/// When each request was last polled, keyed by the keyed hash of the client's
/// credential for it. Losing it costs nobody anything.
pub struct Paces {
    last: Mutex<HashMap<[u8; 32], Pace>>,
    places: Arc<Semaphore>,
}

/// How many polls may wait for their answer at once; who finds no place is
/// answered as if it had not asked to wait.
const PLACES: usize = 1000;

impl Default for Paces {
    fn default() -> Self {
        Self {
            last: Mutex::default(),
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }
}

impl Paces {
    /// A place to wait in, until it is dropped.
    pub(crate) fn place_to_wait(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// Notes a poll of a pending request at `now` (monotonic milliseconds).
    /// `Err` is the number of seconds to wait (`slow_down` adds five seconds to
    /// the interval).
    pub(crate) fn poll(&self, key: [u8; 32], now: i64) -> Result<(), i64> {
        let mut paces = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if paces.len() >= MOST && !paces.contains_key(&key) {
            let oldest = now.saturating_sub(60_000);
            paces.retain(|_, pace| pace.last > oldest);
            if paces.len() >= MOST {
                paces.clear();
            }
        }
        match paces.get_mut(&key) {
            // The first poll may come at once.
            None => {
                let pace = Pace {
                    last: now,
                    interval_s: INTERVAL_S,
                };
                paces.insert(key, pace);
                Ok(())
            }
            Some(pace) => {
                let due = pace.last.saturating_add(pace.interval_s * 1000);
                pace.last = now;
                if now >= due {
                    return Ok(());
                }
                pace.interval_s = (pace.interval_s + 5).min(60);
                Err(pace.interval_s)
            }
        }
    }

    pub(crate) fn forget(&self, key: &[u8; 32]) {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_poll_comes_at_once_and_a_hasty_one_waits_longer_each_time() {
        let paces = Paces::default();
        let key = [1; 32];
        assert_eq!(paces.poll(key, 0), Ok(()));
        assert_eq!(paces.poll(key, 1_000), Err(10));
        assert_eq!(paces.poll(key, 2_000), Err(15));
        assert_eq!(paces.poll(key, 17_000), Ok(()));
        assert_eq!(paces.poll([2; 32], 0), Ok(()));
    }
}
