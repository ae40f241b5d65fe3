//! A copy must not kill the original.
//!
//! A restored backup, a staging clone: whoever renews a grant that rotates ends
//! the other's. So a database that finds itself elsewhere than where it was
//! adopted renews, revokes and links nothing, and does nothing by itself, until
//! an admin says that it takes the original's place. Tokens that live are served
//! meanwhile: that changes nothing at the provider.

use tokio::sync::watch;

use crate::Engine;
use crate::audit::{Event, Kind};
use crate::keyring::{self, Keyring};
use crate::storage::{self, Store};

/// Written over the place by a restore: nothing is there.
const NOWHERE: &str = "restored";

/// Whether this database was adopted where it is.
pub struct Adoption(watch::Sender<bool>);

impl Adoption {
    /// Looks where the database is, and takes a new one into care.
    pub(crate) async fn open(store: &Store, keys: &Keyring) -> Result<Self, storage::Error> {
        let place = store.place().await?;
        let (mac, key) = mac(keys, &place);
        let claim = place.clone();
        let claimed = store
            .write(move |tx| {
                let (place, key) = (claim.clone(), key.clone());
                Box::pin(async move { tx.claim_place(&place, mac, &key).await })
            })
            .await?;
        let adopted = claimed || is_here(store, keys, &place).await?;
        Ok(Self(watch::Sender::new(adopted)))
    }

    /// Whether it is.
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves once it is.
    pub async fn adopted(&self) {
        let mut seen = self.0.subscribe();
        // The sender lives as long as the engine, which whoever waits holds.
        let _ = seen.wait_for(|adopted| *adopted).await;
    }
}

fn mac(keys: &Keyring, place: &str) -> ([u8; 32], String) {
    keys.mac("deployment place", &bytes(keys, place))
}

fn bytes(keys: &Keyring, place: &str) -> Vec<u8> {
    format!("{}\0{place}", keys.deployment_id()).into_bytes()
}

async fn is_here(store: &Store, keys: &Keyring, place: &str) -> Result<bool, storage::Error> {
    let there = store.reader().await?.adopted_place().await?;
    Ok(there.is_some_and(|(there, mac, key)| {
        there == place && keys.mac_holds("deployment place", &bytes(keys, &there), &mac, &key)
    }))
}

/// Looks again where nobody had adopted it: another instance may have.
///
/// # Errors
/// The database's.
pub async fn look(engine: &Engine) -> Result<(), storage::Error> {
    if engine.adoption.is_adopted() {
        return Ok(());
    }
    let place = engine.store.place().await?;
    if is_here(&engine.store, &engine.keys, &place).await? {
        engine.adoption.0.send_replace(true);
    }
    Ok(())
}

/// This database takes the original's place from now on. Answers whether that
/// is news.
///
/// # Errors
/// The database's.
pub async fn adopt(engine: &Engine, by: &str) -> Result<bool, storage::Error> {
    look(engine).await?;
    if engine.adoption.is_adopted() {
        return Ok(false);
    }
    let place = engine.store.place().await?;
    let (mac, key) = mac(&engine.keys, &place);
    let by = by.to_owned();
    engine
        .store
        .write(move |tx| {
            let (place, key, by) = (place.clone(), key.clone(), by.clone());
            Box::pin(async move {
                tx.put_place(&place, Some((mac, &key))).await?;
                tx.record(Event::new(Kind::DeploymentAdopted).data("by", by));
                Ok::<_, storage::Error>(())
            })
        })
        .await?;
    engine.adoption.0.send_replace(true);
    Ok(true)
}

/// Marks a restored database: wherever it is, it is to be adopted.
///
/// # Errors
/// The database's, the keys'.
pub async fn mark_restored(engine: &Engine) -> Result<(), keyring::Error> {
    engine
        .store
        .write(|tx| {
            Box::pin(async move {
                tx.put_place(NOWHERE, None).await?;
                tx.record(Event::new(Kind::DeploymentRestored));
                Ok::<_, storage::Error>(())
            })
        })
        .await?;
    engine.adoption.0.send_replace(false);
    Ok(())
}
