//! How often somebody may do something, counted in memory of this instance
//! (a generic cell rate: a burst, and one more after each interval).
//!
//! Every limit is in [`Limit`]; who is over it hears after how many seconds to
//! come back (429 and `Retry-After` on the wire).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{self, Clock as _};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::clock::Clock;

/// What is counted, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Codes of devices that a person types, right or wrong: 20, then one every
    /// 15 seconds. A code has 34 bits and lives ten minutes (RFC 8628 §5.1).
    UserCode,
}

impl Limit {
    const ALL: [Self; 1] = [Self::UserCode];

    const fn quota(self) -> (u32, Duration) {
        match self {
            Self::UserCode => (20, Duration::from_secs(15)),
        }
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
    counters: Vec<Counter>,
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
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let clock = Ticks(clock);
        let counter = |limit: Limit| {
            let (burst, interval) = limit.quota();
            let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
            let quota = Quota::with_period(interval)
                .unwrap_or(Quota::per_second(NonZeroU32::MIN))
                .allow_burst(burst);
            RateLimiter::new(quota, HashMapStateStore::default(), clock.clone())
        };
        Self {
            counters: Limit::ALL.into_iter().map(counter).collect(),
            clock,
        }
    }

    /// Counts one more for `key`.
    ///
    /// # Errors
    /// It is one too many.
    pub fn count(&self, limit: Limit, key: &str) -> Result<(), TooOften> {
        let Some(counter) = self.counters.get(limit as usize) else {
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
        let limits = Limits::new(Arc::new(clock.clone()));
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
}
