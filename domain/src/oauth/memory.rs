//! What this room knows by heart, so that the hot paths read no row twice.

use std::sync::Arc;

use super::client_keys::KeySets;
use super::sql::{CLIENT, StoredClient};
use super::sql_grants::CONSENT;
use crate::Engine;
use crate::storage::{self, Feed, Known};

/// As many clients are known at most.
const MOST_CLIENTS: usize = 10_000;
/// As many pairs of person and client.
const MOST_RELATIONS: usize = 100_000;

/// Clients, and key sets fetched of late.
pub struct Memory {
    pub(super) clients: Arc<Known<StoredClient>>,
    /// Whether a person (first) has a standing consent to a client.
    pub(super) relations: Arc<Known<bool>>,
    pub(super) key_sets: KeySets,
}

impl Memory {
    /// Knows nothing yet; hears of changes from `feed`.
    #[must_use]
    pub fn new(feed: &Feed) -> Self {
        Self {
            clients: Known::new(feed, CLIENT, MOST_CLIENTS),
            relations: Known::new(feed, CONSENT, MOST_RELATIONS),
            key_sets: KeySets::default(),
        }
    }
}

/// A client as it was at most [`storage::FRESH_MS`] ago. Good enough to see who
/// asks; whatever is issued reads the row again in its own write, so that a
/// frozen client gets nothing from then on.
///
/// # Errors
/// The database's.
pub(super) async fn client(
    engine: &Engine,
    id: &str,
) -> Result<Option<StoredClient>, storage::Error> {
    if let Some(stored) = engine.oauth.clients.get(id) {
        return Ok(Some(stored));
    }
    engine.store.reader().await?.known_client(engine, id).await
}
