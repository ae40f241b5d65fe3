//! Whether a client has anything to do with a person.

use crate::Engine;
use crate::storage::{Error, Tx};

impl Tx {
    async fn has_relation(&mut self, client_id: &str, person_id: &str) -> Result<bool, Error> {
        let now = self.now();
        let consent = "select 1 as found from consents \
                       where person_id = $1 and client_id = $2 and revoked_at is null";
        let family = "select 1 as found from token_families where person_id = $1 and client_id = $2 \
                      and revoked_at is null and expires_at > $3 limit 1";
        Ok(self
            .optional(consent, vec![person_id.into(), client_id.into()])
            .await?
            .is_some()
            || self
                .optional(family, vec![person_id.into(), client_id.into(), now.into()])
                .await?
                .is_some())
    }
}

/// Whether the person consented to the client, or the client holds tokens of
/// theirs. Permissions are the vault's to know.
///
/// # Errors
/// The database's.
pub async fn has_relation(
    engine: &Engine,
    client_id: &str,
    person_id: &str,
) -> Result<bool, Error> {
    engine
        .store
        .reader()
        .await?
        .has_relation(client_id, person_id)
        .await
}
