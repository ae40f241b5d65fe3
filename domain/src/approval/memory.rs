//! Requests that nobody has decided yet, by heart: the poll of one reads no row.
//!
//! What always holds here: memory says one thing only, that a request of this
//! client waits. Whatever else it may be, the row says it; and a request is
//! forgotten in the moment its row moves.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::policies;
use super::read::Approval;
use crate::storage::{Feed, Heed, Signal};

/// What the move of a request is signalled as, beside `approval`, which also
/// tells of new ones.
pub(super) const MOVED: &str = "approval_moved";

/// As many are known at most; polls of others read their row.
const MOST: usize = 500_000;

/// A request that waits.
struct Waiting {
    client_id: Arc<str>,
    /// Unix milliseconds.
    expires_at: i64,
}

#[derive(Default)]
struct Known {
    /// By the keyed hash of the `auth_req_id`.
    waiting: HashMap<[u8; 32], Waiting>,
    /// The same hash, by the public id.
    hashes: HashMap<Box<str>, [u8; 32]>,
    /// Ids of clients, each once.
    clients: HashSet<Arc<str>>,
}

impl Known {
    fn forget(&mut self, id: &str) {
        if let Some(hash) = self.hashes.remove(id) {
            self.waiting.remove(&hash);
        }
    }

    fn client(&mut self, id: &str) -> Arc<str> {
        if let Some(known) = self.clients.get(id) {
            return known.clone();
        }
        if self.clients.len() >= 10_000 {
            self.clients.clear();
        }
        let id: Arc<str> = id.into();
        self.clients.insert(id.clone());
        id
    }
}

/// Requests that wait, and the policies in force.
pub struct Memory {
    feed: Feed,
    pending: Arc<Pending>,
    pub(super) policies: policies::Memory,
}

#[derive(Default)]
struct Pending {
    moves: AtomicU64,
    known: Mutex<Known>,
}

/// How many requests had moved when reading began.
#[derive(Clone, Copy)]
pub(super) struct Ticket(u64);

impl Memory {
    /// Knows nothing yet; hears of moves from `feed`.
    #[must_use]
    pub fn new(feed: &Feed) -> Self {
        let pending = Arc::new(Pending::default());
        feed.tell(pending.clone());
        Self {
            feed: feed.clone(),
            pending,
            policies: policies::Memory::new(feed),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.pending.known()
    }

    /// Whether this request is known to wait at `now` (Unix milliseconds), and
    /// is this client's.
    pub(super) fn waits(&self, hash: &[u8; 32], client_id: &str, now: i64) -> bool {
        self.feed.is_alive()
            && self
                .known()
                .waiting
                .get(hash)
                .is_some_and(|at| *at.client_id == *client_id && at.expires_at > now)
    }

    /// Take one before reading the row of a request that is to be kept.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.pending.moves.load(Ordering::Acquire))
    }

    /// Keeps a request that was read after `ticket` was taken.
    pub(super) fn keep(&self, ticket: Ticket, hash: [u8; 32], approval: &Approval) {
        let mut known = self.known();
        if self.pending.moves.load(Ordering::Acquire) == ticket.0 {
            known.keep(hash, approval);
        }
    }

    /// Keeps a request that is about to be written: nobody can have decided it
    /// yet, and who decides it a moment later is heard. It is forgotten unless
    /// it is said to be [`Expected::written`].
    pub(super) fn expect(&self, hash: [u8; 32], approval: &Approval) -> Expected {
        self.known().keep(hash, approval);
        Expected {
            pending: self.pending.clone(),
            id: Some(approval.id.clone()),
        }
    }
}

/// A request that is being written.
pub(super) struct Expected {
    pending: Arc<Pending>,
    id: Option<String>,
}

impl Expected {
    /// It was committed.
    pub(super) fn written(mut self) {
        self.id = None;
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        if let Some(id) = &self.id {
            self.pending.known().forget(id);
        }
    }
}

impl Known {
    fn keep(&mut self, hash: [u8; 32], approval: &Approval) {
        if self.waiting.len() >= MOST {
            return;
        }
        let client_id = self.client(&approval.client_id);
        self.hashes.insert(approval.id.as_str().into(), hash);
        self.waiting.insert(
            hash,
            Waiting {
                client_id,
                expires_at: approval.expires_at,
            },
        );
    }
}

impl Pending {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heed for Pending {
    fn heed(&self, signal: &Signal) {
        if signal.topic == MOVED {
            let mut known = self.known();
            self.moves.fetch_add(1, Ordering::AcqRel);
            known.forget(&signal.id);
        }
    }

    fn forget_all(&self) {
        let mut known = self.known();
        self.moves.fetch_add(1, Ordering::AcqRel);
        *known = Known::default();
    }
}
