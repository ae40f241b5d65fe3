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
use super::{Keys, PUBLIC_KEY};
use crate::audit::{Event, Kind};
use crate::secret::Secret;
use crate::storage::{self, Row, Tx};
use crate::vault::envelope::{DataKey, Place, Wrapped};
use crate::{Engine, keyring};

const TABLE: &str = "push_subscriptions";
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

/// A row, its MAC checked.
#[derive(Clone)]
struct Kept {
    shown: Subscription,
    endpoint: String,
    endpoint_hash: Option<Vec<u8>>,
    p256dh: Vec<u8>,
    auth_sealed: Option<Vec<u8>>,
    wrapped: Option<Vec<u8>>,
    kek_id: Option<String>,
    ended_at: Option<i64>,
}

impl Kept {
    fn covered(&self) -> Vec<u8> {
        use evidence::digest::base64url;
        let bytes = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| base64url(bytes));
        let time = |at: Option<i64>| at.map(|at| at.to_string());
        // The wrapped data key is left out: it changes when the key-encryption key does, and opens nothing else.
        serde_json::json!([
            self.shown.id,
            self.shown.person_id,
            self.endpoint,
            bytes(&self.endpoint_hash),
            base64url(&self.p256dh),
            bytes(&self.auth_sealed),
            self.shown.name,
            self.shown.failures,
            self.shown.created_at.to_string(),
            time(self.shown.last_used_at),
            time(self.ended_at),
        ])
        .to_string()
        .into_bytes()
    }

    fn from_row(engine: &Engine, row: &Row) -> Result<Self, storage::Error> {
        let endpoint: String = row.get("endpoint")?;
        let kept = Self {
            shown: Subscription {
                id: row.get("id")?,
                person_id: row.get("person_id")?,
                name: row.get("name")?,
                host: host(&endpoint),
                created_at: row.get("created_at")?,
                last_used_at: row.get("last_used_at")?,
                failures: row.get("failures")?,
            },
            endpoint,
            endpoint_hash: row.get("endpoint_hash")?,
            p256dh: row.get("p256dh")?,
            auth_sealed: row.get("auth_sealed")?,
            wrapped: row.get("data_key")?,
            kek_id: row.get("kek_id")?,
            ended_at: row.get("ended_at")?,
        };
        // The state is told by what the MAC covers.
        if (row.get::<String>("state")? == "active") != kept.ended_at.is_none() {
            return Err(row.bad(TABLE, "state"));
        }
        let (mac, key): (Vec<u8>, String) = (row.get("mac")?, row.get("mac_key")?);
        if engine.keys.mac_holds(TABLE, &kept.covered(), &mac, &key) {
            Ok(kept)
        } else {
            Err(row.bad(TABLE, "mac"))
        }
    }

    fn event(&self, kind: Kind) -> Event {
        Event::new(kind)
            .person(&self.shown.person_id)
            .data("subscription", self.shown.id.as_str())
            .data("host", self.shown.host.as_str())
    }
}

fn host(endpoint: &str) -> String {
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
        let (Some(wrapped), Some(sealed)) = (&kept.wrapped, &kept.auth_sealed) else {
            return Err(keyring::Error::DoesNotOpen.into());
        };
        let id = kept.shown.id;
        let key = DataKey::unwrap(engine, TABLE, &id, wrapped).await?;
        let place = place(&id, &kept.shown.person_id, &kept.endpoint);
        let auth = key.open(&place, sealed)?;
        let auth = evidence::digest::array_from_base64url(auth.expose())
            .map_err(|_| SubscribeError::Keys)?;
        targets.push(Target {
            id,
            endpoint: Url::parse(&kept.endpoint).map_err(|_| SubscribeError::Endpoint)?,
            keys: Keys {
                p256dh: keyed(&kept.p256dh)?,
                auth: Secret::new(auth),
            },
        });
    }
    Ok(targets)
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

impl Tx {
    async fn active_subscriptions(
        &mut self,
        engine: &Engine,
        person_id: &str,
    ) -> Result<Vec<Kept>, storage::Error> {
        let sql = "select * from push_subscriptions where person_id = $1 and state = 'active' \
                   order by created_at, id limit 100";
        let rows = self.all(sql, vec![person_id.into()]).await?;
        rows.iter().map(|row| Kept::from_row(engine, row)).collect()
    }

    /// The active subscription, and nobody else changes it until this write ends.
    async fn hold_subscription(
        &mut self,
        engine: &Engine,
        id: &str,
    ) -> Result<Option<Kept>, storage::Error> {
        let sql = "update push_subscriptions set state = state where id = $1 and state = 'active' returning *";
        let row = self.swap(sql, vec![id.into()]).await?;
        row.map(|row| Kept::from_row(engine, &row)).transpose()
    }

    /// As [`Tx::hold_subscription`], by its endpoint.
    async fn hold_subscription_at(
        &mut self,
        engine: &Engine,
        endpoint_hash: [u8; 32],
    ) -> Result<Option<Kept>, storage::Error> {
        let sql =
            "update push_subscriptions set state = state where endpoint_hash = $1 returning *";
        let row = self.swap(sql, vec![endpoint_hash.into()]).await?;
        row.map(|row| Kept::from_row(engine, &row)).transpose()
    }

    async fn insert_subscription(
        &mut self,
        engine: &Engine,
        kept: &Kept,
    ) -> Result<(), storage::Error> {
        let (mac, mac_key) = engine.keys.mac(TABLE, &kept.covered());
        self.execute(
            "insert into push_subscriptions (id, person_id, endpoint, endpoint_hash, p256dh, auth_sealed, data_key, \
             kek_id, name, state, failures, created_at, mac, mac_key) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'active', 0, $10, $11, $12)",
            vec![
                (&kept.shown.id).into(),
                (&kept.shown.person_id).into(),
                (&kept.endpoint).into(),
                (&kept.endpoint_hash).into(),
                (&kept.p256dh).into(),
                (&kept.auth_sealed).into(),
                (&kept.wrapped).into(),
                kept.kek_id.clone().into(),
                (&kept.shown.name).into(),
                kept.shown.created_at.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn update_subscription(
        &mut self,
        engine: &Engine,
        kept: &Kept,
    ) -> Result<(), storage::Error> {
        let (mac, mac_key) = engine.keys.mac(TABLE, &kept.covered());
        self.execute(
            "update push_subscriptions set failures = $2, last_used_at = $3, mac = $4, mac_key = $5 where id = $1",
            vec![
                (&kept.shown.id).into(),
                kept.shown.failures.into(),
                kept.shown.last_used_at.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Ends a subscription: its keys and its path at the push service go.
    async fn end_subscription(
        &mut self,
        engine: &Engine,
        mut kept: Kept,
        reason: &str,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        // RFC 8030 §8.3: who knows the address can send to it.
        kept.endpoint = format!("https://{}/", kept.shown.host);
        (kept.endpoint_hash, kept.auth_sealed) = (None, None);
        kept.ended_at = Some(now);
        let (mac, mac_key) = engine.keys.mac(TABLE, &kept.covered());
        self.execute(
            "update push_subscriptions set state = 'ended', endpoint = $2, endpoint_hash = null, auth_sealed = null, \
             data_key = null, kek_id = null, failures = $3, ended_at = $4, mac = $5, mac_key = $6 where id = $1",
            vec![
                (&kept.shown.id).into(),
                (&kept.endpoint).into(),
                kept.shown.failures.into(),
                now.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        self.record(kept.event(Kind::PushUnsubscribed).data("reason", reason));
        Ok(())
    }
}
