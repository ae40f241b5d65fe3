//! Sparing a provider: how many calls at a time, when to call again, and
//! whether at all. One for each connection, in each instance's memory.
//!
//! Whoever wants to ask a token endpoint takes a [`Pass`] before the lease, so
//! that nobody holds a lease while it stands in line. A circuit breaker opens
//! when several grants in a row got no answer; when its time is over one call
//! is let through to see. Whose access token still lives is served meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::wire::TokenError;
use crate::clock::Clock;

/// How many calls to one connection's token endpoint are under way at a time.
const AT_ONCE: usize = 16;
/// How many may stand in line for them.
const IN_LINE: usize = 1_000;
/// For how long one stands in line (milliseconds).
const PATIENCE_MS: i64 = 30_000;
/// How many grants without an answer, one after the other, open the breaker. A
/// grant counts once: one that always fails is no reason to spare the others.
const FAILURES: usize = 5;
/// For how long it is open first; twice as long after each call that was let
/// through in vain (milliseconds).
const OPEN_MS: i64 = 10_000;
/// And at most (milliseconds).
const OPEN_AT_MOST_MS: i64 = 5 * 60_000;
/// One grant's `Retry-After` counts for the whole connection for so long at most (milliseconds).
const WAIT_AT_MOST_MS: i64 = 5 * 60_000;

/// The breakers of all connections.
#[derive(Default)]
pub(super) struct Breakers(Mutex<HashMap<String, Arc<Breaker>>>);

impl Breakers {
    /// The breaker of this connection.
    pub fn of(&self, connection: &str) -> Arc<Breaker> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(connection.to_owned()).or_default().clone()
    }
}

/// One connection's.
pub(super) struct Breaker {
    room: Arc<Semaphore>,
    line: Semaphore,
    state: Mutex<State>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(AT_ONCE)),
            line: Semaphore::new(IN_LINE),
            state: Mutex::default(),
        }
    }
}

/// Times are monotonic milliseconds.
#[derive(Default)]
struct State {
    /// The provider said when to come back.
    wait_until: i64,
    /// Grants that got no answer since the last that did.
    failing: Vec<String>,
    open: Option<Open>,
}

struct Open {
    until: i64,
    /// How often in a row it was opened.
    times: u32,
    /// A call was let through and is not back yet.
    probing: bool,
}

impl Open {
    fn new(now: i64, times: u32) -> Self {
        let open_ms = OPEN_MS << times.min(8);
        Self {
            until: now + open_ms.min(OPEN_AT_MOST_MS),
            times: times + 1,
            probing: false,
        }
    }
}

/// Whether the state of the breaker turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Opened,
    Closed,
    Same,
}

/// Leave to make one call.
pub(super) struct Pass {
    breaker: Arc<Breaker>,
    /// It is the one call that is let through.
    probe: bool,
    _room: OwnedSemaphorePermit,
}

impl Drop for Pass {
    fn drop(&mut self) {
        // Not made, or not told: let another through.
        if self.probe
            && let Some(open) = &mut self.breaker.state().open
        {
            open.probing = false;
        }
    }
}

impl Breaker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leave to make a call, or the seconds after which to try again.
    pub async fn pass(self: &Arc<Self>, clock: &dyn Clock) -> Result<Pass, u64> {
        self.state().gate(clock.monotonic())?;
        let _place = self.line.try_acquire().map_err(|_| 1_u64)?;
        let patience = clock.sleep_until(clock.monotonic() + PATIENCE_MS);
        let room = tokio::select! {
            room = self.room.clone().acquire_owned() => room.map_err(|_| 1_u64)?,
            () = patience => return Err(5),
        };
        // It may have opened while we stood in line.
        let mut state = self.state();
        state.gate(clock.monotonic())?;
        let probe = state.open.as_mut().is_some_and(|open| {
            open.probing = true;
            true
        });
        drop(state);
        Ok(Pass {
            breaker: self.clone(),
            probe,
            _room: room,
        })
    }
}

impl Pass {
    /// Notes what came of the call for this grant.
    pub fn came_back<T>(mut self, now: i64, grant: &str, answer: &Result<T, TokenError>) -> Turn {
        let wait_s = match answer {
            Err(TokenError::Limited { retry_after_s } | TokenError::Down { retry_after_s }) => {
                *retry_after_s
            }
            _ => None,
        };
        let limited = matches!(answer, Err(TokenError::Limited { .. }));
        let silent = matches!(
            answer,
            Err(TokenError::NotSent | TokenError::Lost(_) | TokenError::Down { .. })
        );
        let probe = std::mem::take(&mut self.probe);
        let mut state = self.breaker.state();
        if let Some(seconds) = wait_s {
            let wait_ms = i64::try_from(seconds).unwrap_or(60).saturating_mul(1000);
            state.wait_until = state.wait_until.max(now + wait_ms.min(WAIT_AT_MOST_MS));
        }
        if silent {
            state.silent(now, grant, probe)
        } else if limited {
            // Neither well nor ill.
            if let Some(open) = state.open.as_mut().filter(|_| probe) {
                open.probing = false;
            }
            Turn::Same
        } else {
            state.failing.clear();
            if state.open.take().is_some() {
                Turn::Closed
            } else {
                Turn::Same
            }
        }
    }
}

impl State {
    /// The seconds to wait, if nobody may call now.
    fn gate(&self, now: i64) -> Result<(), u64> {
        let (until, probing) = self
            .open
            .as_ref()
            .map_or((now, false), |open| (open.until, open.probing));
        let left = until.max(self.wait_until) - now;
        if left > 0 {
            Err(u64::try_from(left.div_euclid(1000) + 1).unwrap_or(1))
        } else if probing {
            Err(1)
        } else {
            Ok(())
        }
    }

    fn silent(&mut self, now: i64, grant: &str, probe: bool) -> Turn {
        if let Some(open) = &mut self.open {
            // Calls from before it opened say nothing new.
            if probe {
                *open = Open::new(now, open.times);
            }
            return Turn::Same;
        }
        if !self.failing.iter().any(|failing| failing == grant) {
            self.failing.push(grant.to_owned());
        }
        if self.failing.len() < FAILURES {
            return Turn::Same;
        }
        self.failing.clear();
        self.open = Some(Open::new(now, 0));
        Turn::Opened
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;

    const DOWN: Result<(), TokenError> = Err(TokenError::NotSent);

    async fn call(
        breaker: &Arc<Breaker>,
        clock: &ManualClock,
        grant: &str,
        answer: Result<(), TokenError>,
    ) -> Result<Turn, u64> {
        let pass = breaker.pass(clock).await?;
        Ok(pass.came_back(clock.monotonic(), grant, &answer))
    }

    #[tokio::test]
    async fn several_grants_without_an_answer_open_it_and_one_call_closes_it() {
        let (breaker, clock) = (Arc::new(Breaker::default()), ManualClock::at(0));
        for grant in ["a", "b", "c", "d"] {
            assert_eq!(call(&breaker, &clock, grant, DOWN).await, Ok(Turn::Same));
        }
        assert_eq!(call(&breaker, &clock, "e", DOWN).await, Ok(Turn::Opened));
        assert_eq!(call(&breaker, &clock, "f", Ok(())).await, Err(11));
        clock.advance(Duration::from_secs(10));
        // One is let through, nobody beside it.
        let probe = breaker.pass(&clock).await.ok().unwrap();
        assert_eq!(call(&breaker, &clock, "f", Ok(())).await, Err(1));
        assert_eq!(probe.came_back(clock.monotonic(), "a", &DOWN), Turn::Same);
        // In vain: twice as long.
        clock.advance(Duration::from_secs(19));
        assert_eq!(call(&breaker, &clock, "f", Ok(())).await, Err(2));
        clock.advance(Duration::from_secs(1));
        // A call that was let through and never made lets another through.
        drop(breaker.pass(&clock).await);
        let refused = Err(TokenError::InvalidGrant);
        assert_eq!(
            call(&breaker, &clock, "f", refused).await,
            Ok(Turn::Closed),
            "a no is an answer too"
        );
        assert_eq!(call(&breaker, &clock, "a", Ok(())).await, Ok(Turn::Same));
    }

    #[tokio::test]
    async fn one_grant_that_always_fails_does_not_open_it() {
        let (breaker, clock) = (Arc::new(Breaker::default()), ManualClock::at(0));
        for _ in 0..100 {
            assert_eq!(call(&breaker, &clock, "a", DOWN).await, Ok(Turn::Same));
        }
        // Nor do several, when others are answered between them.
        for number in 0..100 {
            let grant = number.to_string();
            assert_eq!(call(&breaker, &clock, &grant, DOWN).await, Ok(Turn::Same));
            if number % 4 == 2 {
                assert_eq!(call(&breaker, &clock, "b", Ok(())).await, Ok(Turn::Same));
            }
        }
    }

    #[tokio::test]
    async fn one_retry_after_is_kept_to_by_all_but_not_for_ever() {
        let (breaker, clock) = (Arc::new(Breaker::default()), ManualClock::at(0));
        let limited = |seconds| {
            Err(TokenError::Limited {
                retry_after_s: Some(seconds),
            })
        };
        assert_eq!(
            call(&breaker, &clock, "a", limited(40)).await,
            Ok(Turn::Same)
        );
        assert_eq!(call(&breaker, &clock, "b", Ok(())).await, Err(41));
        clock.advance(Duration::from_secs(40));
        assert_eq!(
            call(&breaker, &clock, "b", limited(3600)).await,
            Ok(Turn::Same)
        );
        clock.advance(Duration::from_secs(300));
        assert_eq!(call(&breaker, &clock, "c", Ok(())).await, Ok(Turn::Same));
    }

    #[tokio::test]
    async fn only_so_many_call_at_a_time_and_the_next_waits_its_turn() {
        let (breaker, clock) = (Arc::new(Breaker::default()), ManualClock::at(0));
        let mut calling = Vec::new();
        for _ in 0..AT_ONCE {
            calling.push(breaker.pass(&clock).await.ok().unwrap());
        }
        let mut next = Box::pin(breaker.pass(&clock));
        assert!(futures::poll!(&mut next).is_pending());
        calling.pop();
        assert!(next.await.is_ok());
        let mut late = Box::pin({
            calling.push(breaker.pass(&clock).await.ok().unwrap());
            breaker.pass(&clock)
        });
        assert!(futures::poll!(&mut late).is_pending());
        clock.advance(Duration::from_secs(30));
        assert_eq!(late.await.err(), Some(5));
    }
}
