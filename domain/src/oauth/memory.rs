//! What this room knows by heart, so that the hot paths read no row twice.

use std::sync::Arc;

use super::client_keys::KeySets;
use super::sql::{CLIENT, StoredClient};
use crate::Engine;
use crate::storage::{self, Feed, Known};

/// As many clients are known at most.
const MOST_CLIENTS: usize = 10_000;

/// Clients, and key sets fetched of late.
pub struct Memory {
    clients: Arc<Known<StoredClient>>,
    pub(super) key_sets: KeySets,
}

impl Memory {
    /// Knows nothing yet; hears of changes from `feed`.
    #[must_use]
    pub fn new(feed: &Feed) -> Self {
        Self {
            clients: Known::new(feed, CLIENT, MOST_CLIENTS),
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
    let known = &engine.oauth.clients;
    if let Some(stored) = known.get(id) {
        return Ok(Some(stored));
    }
    let ticket = known.ticket();
    let found = engine
        .store
        .reader()
        .await?
        .client(&engine.keys, id)
        .await?;
    if let Some(stored) = &found {
        known.keep(ticket, id, stored.clone());
    }
    Ok(found)
}
