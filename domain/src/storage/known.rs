//! Rows known by heart: a bounded cache over the [`Feed`].
//!
//! A row is kept with a [`Ticket`] taken before it was read; if anything of its
//! topic changed in between, it is not kept. So what is here was never
//! overtaken by a change that this process has heard of.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;

use super::{Feed, Heed, Signal};

/// How many changes of the topic had been heard when reading began.
#[derive(Clone, Copy, Debug)]
pub struct Ticket(u64);

/// Rows of one kind, by id.
pub struct Known<V: Clone> {
    feed: Feed,
    topic: &'static str,
    changes: AtomicU64,
    keeping: Mutex<()>,
    rows: Cache<String, V>,
}

impl<V: Clone + Send + Sync + 'static> Known<V> {
    /// Keeps at most `most` rows, each until a signal of `topic` names it.
    #[must_use]
    pub fn new(feed: &Feed, topic: &'static str, most: usize) -> Arc<Self> {
        let known = Arc::new(Self {
            feed: feed.clone(),
            topic,
            changes: AtomicU64::new(0),
            keeping: Mutex::new(()),
            rows: Cache::new(most),
        });
        feed.tell(known.clone());
        known
    }

    /// The row, if it is known and the feed is alive.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<V> {
        self.feed.is_alive().then(|| self.rows.get(id)).flatten()
    }

    /// What changes of these rows are signalled as.
    pub(super) const fn topic(&self) -> &'static str {
        self.topic
    }

    /// Take one before reading a row that is to be kept.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        Ticket(self.changes.load(Ordering::Acquire))
    }

    /// Keeps a row that was read after `ticket` was taken.
    pub fn keep(&self, ticket: Ticket, id: &str, row: V) {
        let _keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        if self.changes.load(Ordering::Acquire) == ticket.0 {
            self.rows.insert(id.to_owned(), row);
        }
    }
}

impl<V: Clone + Send + Sync> Heed for Known<V> {
    fn heed(&self, signal: &Signal) {
        if signal.topic == self.topic {
            let _keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
            self.changes.fetch_add(1, Ordering::AcqRel);
            self.rows.remove(&signal.id);
        }
    }

    fn forget_all(&self) {
        let _keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;

    fn changed(id: &str) -> Vec<Signal> {
        vec![Signal {
            person: None,
            topic: "row".to_owned(),
            id: id.to_owned(),
        }]
    }

    fn known(shared: bool) -> (ManualClock, Feed, Arc<Known<u32>>) {
        let clock = ManualClock::at(0);
        let feed = Feed::new(Arc::new(clock.clone()), shared);
        let known = Known::new(&feed, "row", 10);
        (clock, feed, known)
    }

    #[test]
    fn a_row_is_known_until_it_changes() {
        let (_, feed, known) = known(false);
        known.keep(known.ticket(), "a", 1);
        known.keep(known.ticket(), "b", 2);
        assert_eq!(known.get("a"), Some(1));
        feed.pass_on(&changed("a"));
        assert_eq!((known.get("a"), known.get("b")), (None, Some(2)));
    }

    #[test]
    fn a_row_that_changed_while_it_was_read_is_not_kept() {
        let (_, feed, known) = known(false);
        let ticket = known.ticket();
        feed.pass_on(&changed("a"));
        known.keep(ticket, "a", 1);
        assert_eq!(known.get("a"), None);
    }

    #[test]
    fn a_feed_that_is_not_proven_alive_is_not_relied_on() {
        let (clock, feed, known) = known(true);
        known.keep(known.ticket(), "a", 1);
        assert_eq!(known.get("a"), None, "nothing was heard yet");
        feed.prove(0);
        assert_eq!(known.get("a"), Some(1));
        clock.advance(Duration::from_millis(501));
        assert_eq!(known.get("a"), None, "the proof is too old");
        feed.prove(501);
        assert_eq!(known.get("a"), Some(1));
        feed.break_off();
        feed.prove(501);
        assert_eq!(known.get("a"), None, "a broken feed forgets");
    }
}
