//! How often somebody may do something, counted in memory of this instance
//! (a generic cell rate: a burst, and one more after each interval).
//!
//! Every limit is in [`Limit`]; who is over it hears after how many seconds to
//! come back (429 and `Retry-After` on the wire).

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{self, Clock as _};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use serde::Deserialize;

use crate::clock::Clock;

/// What is counted, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Codes of devices that a person types, right or wrong: 20, then one every
    /// 15 seconds. A code has 34 bits and lives ten minutes (RFC 8628 §5.1).
    UserCode,
    /// Requests of a client that proved itself; of a public one, which anybody
    /// can name, from one address.
    Client,
    /// Requests of one client for approvals of one person.
    Approval,
    /// Wrong proofs for one client from one address.
    WrongProof,
    /// Registrations from one address.
    Registration,
    /// Sign-ins through another provider begun from one address: 30, then one
    /// every 10 seconds. Each asks the provider.
    Upstream,
    /// Sign-ins by passkey begun from one address: 30, then one every 2 seconds.
    /// Each writes a challenge.
    Passkey,
}

/// How often is too often; ten times as many may come at once. 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// Requests a client may make each second.
    pub client_per_second: u32,
    /// Approvals a client may ask of one person each minute.
    pub approvals_per_minute: u32,
    /// Approvals of one client that may wait for one person at the same time.
    pub approvals_waiting: u32,
    /// Wrong proofs for one client taken from one address each minute.
    pub wrong_proofs_per_minute: u32,
    /// Registrations taken from one address each minute.
    pub registrations_per_minute: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            client_per_second: 5_000,
            approvals_per_minute: 120,
            approvals_waiting: 50,
            wrong_proofs_per_minute: 60,
            registrations_per_minute: 12,
        }
    }
}

impl Limit {
    const ALL: [Self; 7] = [
        Self::UserCode,
        Self::Client,
        Self::Approval,
        Self::WrongProof,
        Self::Registration,
        Self::Upstream,
        Self::Passkey,
    ];

    /// How many may come at once, and after how long one more; `None` is no limit.
    fn quota(self, quotas: &Quotas) -> Option<(u32, Duration)> {
        let (count, of) = match self {
            Self::UserCode => return Some((20, Duration::from_secs(15))),
            Self::Upstream => return Some((30, Duration::from_secs(10))),
            Self::Passkey => return Some((30, Duration::from_secs(2))),
            Self::Client => (quotas.client_per_second, Duration::from_secs(1)),
            Self::Approval => (quotas.approvals_per_minute, Duration::from_secs(60)),
            Self::WrongProof => (quotas.wrong_proofs_per_minute, Duration::from_secs(60)),
            Self::Registration => (quotas.registrations_per_minute, Duration::from_secs(60)),
        };
        (count > 0).then(|| (count.saturating_mul(10), of / count))
    }
}

/// As many are counted for each limit. Past that, keys never seen before go
/// uncounted until older ones are forgotten: memory stays bounded, and a flood
/// of made-up keys shuts nobody out.
const MOST: usize = 100_000;

/// The engine's clock, as the counting wants it.
#[derive(Clone)]
struct Ticks(Arc<dyn Clock>);

impl clock::Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(u64::try_from(self.0.monotonic()).unwrap_or(0) * 1_000_000)
    }
}

type Counter = RateLimiter<String, HashMapStateStore<String>, Ticks, NoOpMiddleware<Nanos>>;

/// The counters.
pub struct Limits {
    clock: Ticks,
    /// One for each of [`Limit::ALL`]; `None` is no limit.
    counters: Vec<Option<Counter>>,
    /// Who was over which limit, until when (monotonic milliseconds).
    shut: Mutex<HashMap<(usize, String), i64>>,
}

/// Somebody does something too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too often; try again in {retry_after_s} s")]
pub struct TooOften {
    /// After how many seconds to try again, at least one.
    pub retry_after_s: u64,
}

impl Limits {
    /// Counts nothing yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, quotas: &Quotas) -> Self {
        let clock = Ticks(clock);
        let counter = |limit: Limit| {
            let (burst, interval) = limit.quota(quotas)?;
            let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
            let quota = Quota::with_period(interval)
                .unwrap_or(Quota::per_second(NonZeroU32::MIN))
                .allow_burst(burst);
            let store = HashMapStateStore::default();
            Some(RateLimiter::new(quota, store, clock.clone()))
        };
        Self {
            counters: Limit::ALL.into_iter().map(counter).collect(),
            clock,
            shut: Mutex::default(),
        }
    }

    /// Whether `key` may try at all: not while [`Self::count_wrong`] keeps it out.
    ///
    /// # Errors
    /// It is kept out.
    pub fn check(&self, limit: Limit, key: &str) -> Result<(), TooOften> {
        let mut shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        if shut.is_empty() {
            return Ok(());
        }
        let now = self.clock.0.monotonic();
        let place = (limit as usize, key.to_owned());
        match shut.get(&place) {
            Some(until) if *until > now => Err(TooOften {
                retry_after_s: u64::try_from(*until - now).unwrap_or(1).div_ceil(1000),
            }),
            Some(_) => {
                shut.remove(&place);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Counts one more that went wrong; one too many keeps `key` out for a
    /// while, right or wrong.
    ///
    /// # Errors
    /// It is one too many.
    pub fn count_wrong(&self, limit: Limit, key: &str) -> Result<(), TooOften> {
        self.count(limit, key).inspect_err(|too_often| {
            let now = self.clock.0.monotonic();
            let wait = i64::try_from(too_often.retry_after_s).unwrap_or(1) * 1000;
            let mut shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
            if shut.len() >= MOST {
                shut.retain(|_, until| *until > now);
            }
            if shut.len() < MOST {
                shut.insert((limit as usize, key.to_owned()), now + wait);
            }
        })
    }

    /// Counts one more for `key`.
    ///
    /// # Errors
    /// It is one too many.
    pub fn count(&self, limit: Limit, key: &str) -> Result<(), TooOften> {
        let Some(Some(counter)) = self.counters.get(limit as usize) else {
            return Ok(());
        };
        if counter.len() >= MOST {
            counter.retain_recent();
            if counter.len() >= MOST {
                return Ok(());
            }
        }
        counter
            .check_key(&key.to_owned())
            .map_err(|not_until| TooOften {
                retry_after_s: not_until
                    .wait_time_from(self.clock.now())
                    .as_millis()
                    .div_ceil(1000)
                    .try_into()
                    .unwrap_or(u64::MAX)
                    .max(1),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn past_the_burst_one_more_is_let_through_after_each_interval() {
        let clock = ManualClock::at(0);
        let limits = Limits::new(Arc::new(clock.clone()), &Quotas::default());
        for _ in 0..20 {
            assert_eq!(limits.count(Limit::UserCode, "ada"), Ok(()));
        }
        let refused = Err(TooOften { retry_after_s: 15 });
        assert_eq!(limits.count(Limit::UserCode, "ada"), refused);
        assert_eq!(limits.count(Limit::UserCode, "grace"), Ok(()));
        clock.advance(Duration::from_secs(15));
        assert_eq!(limits.count(Limit::UserCode, "ada"), Ok(()));
        assert_eq!(limits.count(Limit::UserCode, "ada"), refused);
    }

    #[test]
    fn who_was_wrong_too_often_is_kept_out_for_a_while_and_nobody_else() {
        let clock = ManualClock::at(0);
        let quotas = Quotas {
            wrong_proofs_per_minute: 1,
            ..Quotas::default()
        };
        let limits = Limits::new(Arc::new(clock.clone()), &quotas);
        for _ in 0..10 {
            assert_eq!(limits.count_wrong(Limit::WrongProof, "a"), Ok(()));
        }
        assert_eq!(limits.check(Limit::WrongProof, "a"), Ok(()));
        let refused = Err(TooOften { retry_after_s: 60 });
        assert_eq!(limits.count_wrong(Limit::WrongProof, "a"), refused);
        assert_eq!(limits.check(Limit::WrongProof, "a"), refused);
        assert_eq!(limits.check(Limit::WrongProof, "b"), Ok(()));
        clock.advance(Duration::from_secs(60));
        assert_eq!(limits.check(Limit::WrongProof, "a"), Ok(()));
    }

    #[test]
    fn no_limit_is_none() {
        let clock = ManualClock::at(0);
        let quotas = Quotas {
            client_per_second: 0,
            ..Quotas::default()
        };
        let limits = Limits::new(Arc::new(clock), &quotas);
        for _ in 0..100_000 {
            assert_eq!(limits.count(Limit::Client, "a"), Ok(()));
        }
    }
}
