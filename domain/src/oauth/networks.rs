//! From where a refresh token is used that does not rotate.
//!
//! Rotation finds a stolen token by its second use. A client that opted out of
//! it has nothing that would: so its person and the log hear when such a token
//! is used from a network that it was never used from before. Networks are kept
//! hashed, and only in the event is one in clear (erasable there).

use super::clients::Client;
use super::families::Family;
use super::request_head::RequestHead;
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::storage::{Error, Tx};

/// As many networks are known of a family; past that the oldest is forgotten.
const MOST: i64 = 20;

/// A use of a family's refresh token, if it is to be watched.
#[derive(Clone)]
pub(super) struct Use {
    network: String,
    hash: [u8; 32],
}

/// What to watch of this use: nothing where the token rotates, or where nobody
/// can say from where it came.
pub(super) fn of(
    engine: &Engine,
    head: &RequestHead,
    client: &Client,
    family: &Family,
) -> Option<Use> {
    let network = head.network();
    if client.rotate_refresh || network.is_empty() {
        return None;
    }
    let named = format!("{} {network}", family.id);
    Some(Use {
        hash: engine.keys.hash("network", named.as_bytes()),
        network,
    })
}

impl Tx {
    /// Whether the family was used from there before.
    pub(super) async fn network_is_known(
        &mut self,
        family: &Family,
        used: &Use,
    ) -> Result<bool, Error> {
        let sql =
            "select family_id from family_networks where family_id = $1 and network_hash = $2";
        let args = vec![(&family.id).into(), used.hash.into()];
        Ok(self.optional(sql, args).await?.is_some())
    }

    /// Notes the network. From the second one on, it is an event.
    pub(super) async fn note_network(&mut self, family: &Family, used: &Use) -> Result<(), Error> {
        let now = self.now();
        let sql = "select count(*) as known from family_networks where family_id = $1";
        let row = self.optional(sql, vec![(&family.id).into()]).await?;
        let known: i64 = row.map_or(Ok(0), |row| row.get("known"))?;
        let first = self
            .swap(
                "insert into family_networks (family_id, network_hash, seen_at) values ($1, $2, $3) \
                 on conflict (family_id, network_hash) do nothing returning family_id",
                vec![(&family.id).into(), used.hash.into(), now.into()],
            )
            .await?;
        if first.is_none() || known == 0 {
            return Ok(());
        }
        if known >= MOST {
            self.execute(
                "delete from family_networks where family_id = $1 and network_hash in \
                 (select network_hash from family_networks where family_id = $1 order by seen_at limit 1)",
                vec![(&family.id).into()],
            )
            .await?;
        }
        let event = Event::new(Kind::TokenNewNetwork)
            .client(&family.client_id)
            .data("family", family.id.as_str())
            .private("network", used.network.as_str());
        self.record(match &family.person_id {
            Some(person) => event.person(person),
            None => event,
        });
        self.signal(family.person_id.as_deref(), "activity", &family.id);
        Ok(())
    }
}
