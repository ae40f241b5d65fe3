//! The browsers of a person that are told of requests.
//!
//! - An endpoint is one browser's, and belongs to who subscribed with it last:
//!   two people on one browser never get each other's notices.
//! - A subscription that ends loses its keys and its address in the same write.
//! - A row carries a MAC: one that sends notices elsewhere is refused on load.

use std::sync::Arc;

use url::Url;

use super::encrypt::{EncryptError, Once, encrypt};
use super::send::Outcome;
use super::sql::Kept;
use super::{Keys, PUBLIC_KEY};
use crate::audit::Kind;
use crate::secret::Secret;
use crate::storage;
use crate::vault::envelope::{DataKey, Place, Wrapped};
use crate::{Engine, keyring};

pub(super) const TABLE: &str = "push_subscriptions";
/// How many browsers of one person are told.
pub const MOST: usize = 20;
/// The longest endpoint, in bytes.
const LONGEST_ENDPOINT: usize = 2048;
/// As many deliveries in a row fail before a subscription is given up.
const MOST_FAILURES: i64 = 20;

/// What a browser handed over (`PushSubscription`), and a name for it.
pub struct NewSubscription {
    /// `endpoint`.
    pub endpoint: Url,
    /// `getKey("p256dh")`.
    pub p256dh: Vec<u8>,
    /// `getKey("auth")`.
    pub auth: Secret<Vec<u8>>,
    /// As the person calls the browser, 1 to 60 characters.
    pub name: String,
}

/// A browser that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// `psh_…`
    pub id: String,
    /// Whose it is.
    pub person_id: String,
    /// As the person calls it.
    pub name: String,
    /// The push service's host: all that pages show of the endpoint.
    pub host: String,
    /// Since when, Unix milliseconds.
    pub created_at: i64,
    /// When a push was last taken for it.
    pub last_used_at: Option<i64>,
    /// How many deliveries failed in a row.
    pub failures: i64,
}

/// A subscription with what it takes to send to it.
pub struct Target {
    /// The subscription's id.
    pub id: String,
    /// Where to.
    pub endpoint: Url,
    /// What to encrypt with.
    pub keys: Keys,
}

/// Why a browser is not told.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The keys.
    #[error(transparent)]
    Keyring(#[from] keyring::Error),
    /// The endpoint is no address that may be called.
    #[error("the push endpoint is not an https address")]
    Endpoint,
    /// The keys are not those of a subscription.
    #[error("the keys of the subscription are not acceptable")]
    Keys,
    /// A name of no or too many characters.
    #[error("a name has 1 to 60 characters")]
    Name,
    /// The person has as many as they may.
    #[error("{MOST} of your browsers are told already; remove one first")]
    TooMany,
    /// No such subscription of this person.
    #[error("there is no such browser here")]
    NotFound,
}

pub(super) fn host(endpoint: &str) -> String {
    Url::parse(endpoint)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_default()
}

fn endpoint_hash(engine: &Engine, endpoint: &str) -> [u8; 32] {
    engine.keys.hash("push endpoint", endpoint.as_bytes())
}

fn place(id: &str, person_id: &str, endpoint: &str) -> Place {
    Place::of("push auth", &[id, person_id, endpoint])
}

/// Has a browser of a person told of requests. If it is subscribed already, the
/// new keys and name take the place of the old.
///
/// # Errors
/// See [`SubscribeError`].
pub async fn subscribe(
    engine: &Engine,
    person_id: &str,
    new: NewSubscription,
) -> Result<Subscription, SubscribeError> {
    let name = new.name.trim().to_owned();
    if !(1..=60).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(SubscribeError::Name);
    }
    // Whether the address may be called at all, the guarded client judges at each call.
    let endpoint = new.endpoint.as_str().to_owned();
    let callable = matches!(new.endpoint.scheme(), "https" | "http") && new.endpoint.has_host();
    if !callable || endpoint.len() > LONGEST_ENDPOINT {
        return Err(SubscribeError::Endpoint);
    }
    let keys = checked_keys(engine, &new)?;
    let id = crate::ids::id("psh", engine.now(), &*engine.rng);
    let (key, wrapped) = DataKey::make(engine, TABLE, &id).await?;
    let auth = Secret::new(evidence::digest::base64url(keys.auth.expose()));
    let sealed = key.seal(engine, &place(&id, person_id, &endpoint), auth.expose())?;
    let Wrapped { key, kek_id } = wrapped;
    let kept = Arc::new(Kept {
        shown: Subscription {
            id,
            person_id: person_id.to_owned(),
            name,
            host: host(&endpoint),
            created_at: engine.now(),
            last_used_at: None,
            failures: 0,
        },
        endpoint_hash: Some(endpoint_hash(engine, &endpoint).to_vec()),
        endpoint,
        p256dh: keys.p256dh.to_vec(),
        auth_sealed: Some(sealed),
        wrapped: Some(key),
        kek_id: Some(kek_id),
        ended_at: None,
    });
    let at = engine.clone();
    engine
        .store
        .write(move |tx| {
            let (engine, kept) = (at.clone(), kept.clone());
            Box::pin(async move {
                let hash = endpoint_hash(&engine, &kept.endpoint);
                if let Some(old) = tx.hold_subscription_at(&engine, hash).await? {
                    tx.end_subscription(&engine, old, "subscribed again")
                        .await?;
                }
                let person = &kept.shown.person_id;
                if tx.active_subscriptions(&engine, person).await?.len() >= MOST {
                    return Err(SubscribeError::TooMany);
                }
                tx.insert_subscription(&engine, &kept).await?;
                tx.record(kept.event(Kind::PushSubscribed));
                Ok(kept.shown.clone())
            })
        })
        .await
}

/// The keys, tried: what cannot be encrypted for is refused now, not at night.
fn checked_keys(engine: &Engine, new: &NewSubscription) -> Result<Keys, SubscribeError> {
    let keys = Keys {
        p256dh: keyed(&new.p256dh)?,
        auth: Secret::new(
            new.auth
                .expose()
                .as_slice()
                .try_into()
                .map_err(|_| SubscribeError::Keys)?,
        ),
    };
    match encrypt(&keys, b"", &Once::random(&*engine.rng)) {
        Ok(_) => Ok(keys),
        Err(EncryptError::Key | EncryptError::TooLong | EncryptError::Crypto) => {
            Err(SubscribeError::Keys)
        }
    }
}

fn keyed(p256dh: &[u8]) -> Result<[u8; PUBLIC_KEY], SubscribeError> {
    p256dh.try_into().map_err(|_| SubscribeError::Keys)
}

/// Has a browser no longer told.
///
/// # Errors
/// [`SubscribeError::NotFound`].
pub async fn unsubscribe(engine: &Engine, person_id: &str, id: &str) -> Result<(), SubscribeError> {
    let (at, person, id) = (engine.clone(), person_id.to_owned(), id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, person, id) = (at.clone(), person.clone(), id.clone());
            Box::pin(async move {
                let kept = tx
                    .hold_subscription(&engine, &id)
                    .await?
                    .filter(|kept| kept.shown.person_id == person)
                    .ok_or(SubscribeError::NotFound)?;
                tx.end_subscription(&engine, kept, "by the person").await?;
                Ok(())
            })
        })
        .await
}

/// A person's browsers that are told, the oldest first.
///
/// # Errors
/// The database's.
pub async fn list(engine: &Engine, person_id: &str) -> Result<Vec<Subscription>, storage::Error> {
    let mut reader = engine.store.reader().await?;
    let all = reader.active_subscriptions(engine, person_id).await?;
    Ok(all.into_iter().map(|kept| kept.shown).collect())
}

/// What it takes to send to a person's browsers.
///
/// # Errors
/// The database's, or a key that does not open.
pub async fn targets(engine: &Engine, person_id: &str) -> Result<Vec<Target>, SubscribeError> {
    let mut reader = engine.store.reader().await?;
    let all = reader.active_subscriptions(engine, person_id).await?;
    drop(reader);
    let mut targets = Vec::new();
    for kept in all {
        targets.push(opened(engine, kept).await?);
    }
    Ok(targets)
}

/// Whose a browser is and what it takes to send to it; `None` if it is told no more.
pub(super) async fn target(
    engine: &Engine,
    id: &str,
) -> Result<Option<(String, Target)>, SubscribeError> {
    let mut reader = engine.store.reader().await?;
    let kept = reader.active_subscription(engine, id).await?;
    drop(reader);
    match kept {
        Some(kept) => {
            let person = kept.shown.person_id.clone();
            Ok(Some((person, opened(engine, kept).await?)))
        }
        None => Ok(None),
    }
}

async fn opened(engine: &Engine, kept: Kept) -> Result<Target, SubscribeError> {
    let (Some(wrapped), Some(sealed)) = (&kept.wrapped, &kept.auth_sealed) else {
        return Err(keyring::Error::DoesNotOpen.into());
    };
    let id = kept.shown.id;
    let key = DataKey::unwrap(engine, TABLE, &id, wrapped).await?;
    let place = place(&id, &kept.shown.person_id, &kept.endpoint);
    let auth = key.open(&place, sealed)?;
    let auth =
        evidence::digest::array_from_base64url(auth.expose()).map_err(|_| SubscribeError::Keys)?;
    Ok(Target {
        id,
        endpoint: Url::parse(&kept.endpoint).map_err(|_| SubscribeError::Endpoint)?,
        keys: Keys {
            p256dh: keyed(&kept.p256dh)?,
            auth: Secret::new(auth),
        },
    })
}

/// Notes how a delivery ended. A subscription that is gone ends, and so does
/// one for which `MOST_FAILURES` deliveries failed in a row.
///
/// # Errors
/// The database's.
pub async fn note(engine: &Engine, id: &str, outcome: &Outcome) -> Result<(), storage::Error> {
    let (at, id, outcome) = (engine.clone(), id.to_owned(), outcome.clone());
    engine
        .store
        .write(move |tx| {
            let (engine, id, outcome) = (at.clone(), id.clone(), outcome.clone());
            Box::pin(async move {
                // Ended meanwhile: nothing to note.
                let Some(mut kept) = tx.hold_subscription(&engine, &id).await? else {
                    return Ok(());
                };
                match outcome {
                    Outcome::Delivered => {
                        kept.shown.last_used_at = Some(tx.now());
                        kept.shown.failures = 0;
                    }
                    Outcome::Gone => return tx.end_subscription(&engine, kept, "gone").await,
                    Outcome::Retry { .. } | Outcome::Refused { .. } => kept.shown.failures += 1,
                }
                if kept.shown.failures >= MOST_FAILURES {
                    return tx.end_subscription(&engine, kept, "failures").await;
                }
                tx.update_subscription(&engine, &kept).await
            })
        })
        .await
}
