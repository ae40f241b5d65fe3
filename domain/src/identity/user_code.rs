//! A person's user code (CIBA Core §7.1): something only they know, which a
//! program that asks for approvals must tell, so that nobody who merely knows
//! an address makes their device buzz.
//!
//! Kept like a password. Wrong ones count for the client that sends them, so
//! that one cannot shut out another.

use super::{Error, password};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::limits::TooOften;
use crate::secret::Secret;
use crate::storage::{self, Tx};

/// Characters a code has at least and at most.
const LENGTH: std::ops::RangeInclusive<usize> = 4..=64;

/// Why a code does not count.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// The person has one, and none was sent.
    #[error("the person's user code is needed")]
    Missing,
    /// It is not theirs.
    #[error("that is not the person's user code")]
    Invalid,
    /// Too many wrong ones of this client.
    #[error(transparent)]
    TooOften(#[from] TooOften),
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The code could not be computed.
    #[error("the code could not be checked: {0}")]
    Hashing(String),
}

/// Gives a person a user code, or with `None` takes it away.
///
/// # Errors
/// [`Error::Invalid`] for one that is too short or too long.
pub async fn set(
    engine: &Engine,
    person_id: &str,
    code: Option<Secret<String>>,
) -> Result<(), Error> {
    let hash = match code {
        None => None,
        Some(code) => {
            if !LENGTH.contains(&code.expose().chars().count()) {
                return Err(Error::Invalid("a code has 4 to 64 characters"));
            }
            Some(password::hash(engine, code).await?)
        }
    };
    let (at, id) = (engine.clone(), person_id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, id, hash) = (at.clone(), id.clone(), hash.clone());
            Box::pin(async move {
                tx.put_user_code(&engine, &id, hash.as_deref()).await?;
                tx.record(
                    Event::new(Kind::UserCodeChanged)
                        .person(&id)
                        .data("set", hash.is_some()),
                );
                Ok::<_, storage::Error>(())
            })
        })
        .await?;
    Ok(())
}

/// Whether a person has one.
///
/// # Errors
/// The database's.
pub async fn has(engine: &Engine, person_id: &str) -> Result<bool, storage::Error> {
    let mut reader = engine.store.reader().await?;
    Ok(reader.user_code(engine, person_id).await?.is_some())
}

/// Checks the code that a client sent for a person. Who has none needs none.
///
/// # Errors
/// See [`CodeError`].
pub async fn check(
    engine: &Engine,
    client_id: &str,
    person_id: &str,
    code: Option<&Secret<String>>,
) -> Result<(), CodeError> {
    let mut reader = engine.store.reader().await?;
    let Some(hash) = reader.user_code(engine, person_id).await? else {
        return Ok(());
    };
    drop(reader);
    let code = code.ok_or(CodeError::Missing)?;
    let counted = [format!("user code {client_id} {person_id}")];
    if let Err(Error::TooManyAttempts { retry_after_s }) =
        engine.people.check(&counted, engine.clock.monotonic())
    {
        return Err(TooOften { retry_after_s }.into());
    }
    let right = password::matches(engine, code.clone(), Some(hash))
        .await
        .map_err(|error| CodeError::Hashing(error.to_string()))?;
    if right {
        engine.people.succeeded(&counted);
        return Ok(());
    }
    engine.people.failed(&counted, engine.clock.monotonic());
    Err(CodeError::Invalid)
}

fn covered(person_id: &str, hash: &str) -> Vec<u8> {
    serde_json::json!([person_id, hash])
        .to_string()
        .into_bytes()
}

impl Tx {
    async fn user_code(
        &mut self,
        engine: &Engine,
        person_id: &str,
    ) -> Result<Option<String>, storage::Error> {
        let sql = "select hash, mac, mac_key from user_codes where person_id = $1";
        let Some(row) = self.optional(sql, vec![person_id.into()]).await? else {
            return Ok(None);
        };
        let hash: String = row.get("hash")?;
        let (mac, key): (Vec<u8>, String) = (row.get("mac")?, row.get("mac_key")?);
        let covered = covered(person_id, &hash);
        if !engine.keys.mac_holds("user_codes", &covered, &mac, &key) {
            return Err(row.bad("user_codes", "mac"));
        }
        Ok(Some(hash))
    }

    async fn put_user_code(
        &mut self,
        engine: &Engine,
        person_id: &str,
        hash: Option<&str>,
    ) -> Result<(), storage::Error> {
        let Some(hash) = hash else {
            self.execute(
                "delete from user_codes where person_id = $1",
                vec![person_id.into()],
            )
            .await?;
            return Ok(());
        };
        let now = self.now();
        let (mac, key) = engine.keys.mac("user_codes", &covered(person_id, hash));
        self.execute(
            "insert into user_codes (person_id, hash, updated_at, mac, mac_key) values ($1, $2, $3, $4, $5) \
             on conflict (person_id) do update set hash = excluded.hash, updated_at = excluded.updated_at, \
             mac = excluded.mac, mac_key = excluded.mac_key",
            vec![
                person_id.into(),
                hash.into(),
                now.into(),
                mac.into(),
                key.into(),
            ],
        )
        .await?;
        Ok(())
    }
}
