//! How many wrong passwords were tried lately, in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use super::sql::PERSON;
use super::{Error, Person};
use crate::storage::{Feed, Known};

/// Failures that are let pass within [`WINDOW`].
const FAILURES: usize = 10;
/// Milliseconds over which failures count.
const WINDOW: i64 = 5 * 60 * 1000;
/// How many keys are kept before old ones are swept.
const SWEEP_AT: usize = 10_000;

/// What this room keeps in memory: recent failures, and who may compute a password.
pub struct Memory {
    failures: Mutex<HashMap<String, Vec<i64>>>,
    /// argon2id takes 19 MiB and 17 ms of a core; two at a time, or a flood of
    /// sign-ins would starve everything else.
    pub(super) hashing: Arc<Semaphore>,
    /// Who is who.
    pub(super) known: Arc<Known<Arc<Person>>>,
    /// Ids by client and address, as they were once; never believed.
    pub(super) addresses: Cache<String, String>,
}

/// As many people are known at most.
const MOST_PEOPLE: usize = 50_000;

impl Memory {
    /// Knows nobody yet; hears of changes from `feed`.
    #[must_use]
    pub fn new(feed: &Feed) -> Self {
        Self {
            failures: Mutex::default(),
            hashing: Arc::new(Semaphore::new(2)),
            known: Known::new(feed, PERSON, MOST_PEOPLE),
            addresses: Cache::new(MOST_PEOPLE),
        }
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<i64>>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses when one of `keys` has failed too often. `now` is monotonic.
    pub(super) fn check(&self, keys: &[String], now: i64) -> Result<(), Error> {
        let failures = self.failures();
        for key in keys {
            let Some(times) = failures.get(key) else {
                continue;
            };
            let mut recent = times.iter().filter(|at| now - **at < WINDOW);
            let oldest = recent.next().copied();
            if let Some(oldest) = oldest.filter(|_| recent.count() + 1 >= FAILURES) {
                let wait = (oldest + WINDOW - now).max(0);
                return Err(Error::TooManyAttempts {
                    retry_after_s: u64::try_from(wait).unwrap_or(0).div_ceil(1000).max(1),
                });
            }
        }
        Ok(())
    }

    pub(super) fn failed(&self, keys: &[String], now: i64) {
        let mut failures = self.failures();
        if failures.len() >= SWEEP_AT {
            failures.retain(|_, times| times.last().is_some_and(|at| now - at < WINDOW));
        }
        // Still full of recent ones: a flood from many places. Those keys are
        // kept, new ones are not counted, and memory stays bounded.
        let full = failures.len() >= SWEEP_AT * 10;
        for key in keys {
            if full && !failures.contains_key(key) {
                continue;
            }
            let times = failures.entry(key.clone()).or_default();
            times.retain(|at| now - at < WINDOW);
            times.push(now);
        }
    }

    /// Whoever knows the password starts afresh; their address does not, or one
    /// own account would buy endless guesses at others.
    pub(super) fn succeeded(&self, keys: &[String]) {
        if let Some(person) = keys.first() {
            self.failures().remove(person);
        }
    }
}
