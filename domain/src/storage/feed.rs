//! Hearing of what was committed, here and in other instances, in time: the
//! ground that memory of rows stands on.
//!
//! What always holds here:
//! - Whoever listens ([`Heed`]) has heard of a write of this process before the
//!   write is answered.
//! - On SQLite there is no other process, so the feed is always alive. On
//!   PostgreSQL it is alive while a word that this process sent to itself came
//!   back within the last [`FRESH_MS`]: notifications arrive in the order of
//!   their commits, so everything that was committed before it has been heard.
//! - Whoever keeps rows in memory asks [`Feed::is_alive`] before each use, and
//!   forgets everything when the feed was broken.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::Signal;
use crate::clock::Clock;

/// How old the last proof may be, in milliseconds.
pub const FRESH_MS: i64 = 500;
/// How often the proof is renewed, in milliseconds.
pub(super) const PULSE_MS: i64 = 150;

/// Somebody who keeps in memory what rows say.
pub trait Heed: Send + Sync {
    /// Something changed. Called before the write is answered; must be quick.
    fn heed(&self, signal: &Signal);
    /// Changes may have gone unheard.
    fn forget_all(&self);
}

/// The changes of one database, as this process hears them. Cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    shared: bool,
    /// When the newest word to ourselves that came back was sent, on the
    /// monotonic clock.
    proven_at: AtomicI64,
    heeding: RwLock<Vec<Arc<dyn Heed>>>,
}

impl Feed {
    pub(super) fn new(clock: Arc<dyn Clock>, shared: bool) -> Self {
        Self(Arc::new(Inner {
            clock,
            shared,
            proven_at: AtomicI64::new(i64::MIN),
            heeding: RwLock::default(),
        }))
    }

    /// Whether everything committed until [`FRESH_MS`] ago has been heard.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        if !self.0.shared {
            return true;
        }
        let oldest = self.0.clock.monotonic() - FRESH_MS;
        self.0.proven_at.load(Ordering::Acquire) >= oldest
    }

    /// From now on `who` hears of every change.
    pub fn tell(&self, who: Arc<dyn Heed>) {
        let mut heeding = self
            .0
            .heeding
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        heeding.push(who);
    }

    fn each(&self, what: impl Fn(&dyn Heed)) {
        let heeding = self
            .0
            .heeding
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        for who in heeding.iter() {
            what(&**who);
        }
    }

    /// These changes were committed.
    pub(super) fn pass_on(&self, signals: &[Signal]) {
        for signal in signals {
            self.each(|who| who.heed(signal));
        }
    }

    /// A word that was sent at `sent_at` (monotonic) came back.
    pub(super) fn prove(&self, sent_at: i64) {
        self.0.proven_at.fetch_max(sent_at, Ordering::AcqRel);
    }

    /// The connection was lost: what happened meanwhile went unheard.
    pub(super) fn break_off(&self) {
        self.0.proven_at.store(i64::MIN, Ordering::Release);
        self.each(|who| who.forget_all());
    }
}
