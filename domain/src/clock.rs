//! Time is handed in, never taken from the air.
//!
//! `now` is wall time (Unix milliseconds) and goes into rows and tokens;
//! `monotonic` never jumps and is what deadlines and leases are waited on.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use tokio::sync::watch;

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Wall time in Unix milliseconds.
    fn now(&self) -> i64;
    /// Milliseconds since some fixed moment of this process; never goes back.
    fn monotonic(&self) -> i64;
    /// Resolves once [`Clock::monotonic`] has reached `deadline` (milliseconds).
    fn sleep_until(&self, deadline: i64) -> BoxFuture<'static, ()>;
}

/// The machine's clock.
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Starts the monotonic count at nought.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the machine's clock"
)]
impl Clock for SystemClock {
    fn now(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn monotonic(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn sleep_until(&self, deadline: i64) -> BoxFuture<'static, ()> {
        let left = u64::try_from(deadline.saturating_sub(self.monotonic())).unwrap_or(0);
        Box::pin(tokio::time::sleep(Duration::from_millis(left)))
    }
}

/// A clock wound by hand, for tests: time stands still until [`ManualClock::advance`].
#[derive(Clone)]
pub struct ManualClock {
    now: Arc<AtomicI64>,
    monotonic: Arc<watch::Sender<i64>>,
    turning: Arc<Mutex<()>>,
}

impl ManualClock {
    /// Starts at `now` (Unix milliseconds).
    #[must_use]
    pub fn at(now: i64) -> Self {
        Self {
            now: Arc::new(AtomicI64::new(now)),
            monotonic: Arc::new(watch::Sender::new(0)),
            turning: Arc::new(Mutex::new(())),
        }
    }

    /// Moves both times forward and wakes every sleeper whose time has come.
    pub fn advance(&self, by: Duration) {
        let _turning = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.now.fetch_add(by, Ordering::SeqCst);
        self.monotonic.send_modify(|at| *at += by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> i64 {
        *self.monotonic.borrow()
    }

    fn sleep_until(&self, deadline: i64) -> BoxFuture<'static, ()> {
        let mut time = self.monotonic.subscribe();
        Box::pin(async move {
            // The sender lives as long as any clone of this clock; without one
            // time can never come, and waiting for ever is the true answer.
            if time.wait_for(|at| *at >= deadline).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}
