//! Muting: an agent that asks too often rings nobody's devices for a while.
//!
//! What always holds here: only notices are held back. Its requests are listed,
//! can be decided and expire as ever; the person sees who is muted and until
//! when, and takes it back with one press.

use crate::Engine;
use crate::audit::{Event, Kind};
use crate::oauth;
use crate::storage::{self, Tx};

/// For how long an agent can be muted, in hours.
pub const HOURS: [i64; 3] = [1, 8, 7 * 24];
const HOUR_MS: i64 = 60 * 60 * 1000;

/// One agent that a person has muted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mute {
    /// The client's id.
    pub client_id: String,
    /// Its name, as it is registered.
    pub agent: String,
    /// Until when, Unix milliseconds.
    pub until: i64,
}

/// Why nobody is muted.
#[derive(Debug, thiserror::Error)]
pub enum MuteError {
    /// Not one of [`HOURS`].
    #[error("choose for how long")]
    Hours,
    /// No such agent.
    #[error("there is no such agent")]
    NotFound,
    /// The client could not be looked up.
    #[error(transparent)]
    Client(#[from] oauth::clients::Error),
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// Holds an agent's notices to a person back for so many [`HOURS`] from now.
///
/// # Errors
/// See [`MuteError`].
pub async fn mute(
    engine: &Engine,
    person_id: &str,
    client_id: &str,
    hours: i64,
) -> Result<(), MuteError> {
    if !HOURS.contains(&hours) {
        return Err(MuteError::Hours);
    }
    if oauth::clients::get(engine, client_id).await?.is_none() {
        return Err(MuteError::NotFound);
    }
    set(engine, person_id, client_id, Some(hours * HOUR_MS)).await?;
    Ok(())
}

/// Lets an agent's notices through again.
///
/// # Errors
/// The database's.
pub async fn unmute(
    engine: &Engine,
    person_id: &str,
    client_id: &str,
) -> Result<(), storage::Error> {
    set(engine, person_id, client_id, None).await
}

async fn set(
    engine: &Engine,
    person_id: &str,
    client_id: &str,
    for_ms: Option<i64>,
) -> Result<(), storage::Error> {
    let (person, client) = (person_id.to_owned(), client_id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (person, client) = (person.clone(), client.clone());
            Box::pin(async move {
                let until = for_ms.map(|length| tx.now() + length);
                let changed = tx.set_mute(&person, &client, until).await?;
                if changed {
                    let kind = match until {
                        Some(_) => Kind::AgentMuted,
                        None => Kind::AgentUnmuted,
                    };
                    let mut event = Event::new(kind).person(&person).client(&client);
                    if let Some(until) = until {
                        event = event.data("until", until);
                    }
                    tx.record(event);
                    tx.signal(Some(&person), "approval", &client);
                }
                Ok(())
            })
        })
        .await
}

/// Whom a person has muted now, the first to come back first; at most 100.
///
/// # Errors
/// The database's.
pub async fn list(engine: &Engine, person_id: &str) -> Result<Vec<Mute>, MuteError> {
    let mut reader = engine.store.reader().await?;
    let all = reader.mutes(person_id, engine.now()).await?;
    drop(reader);
    let mut mutes = Vec::new();
    for (client_id, until) in all {
        let client = oauth::clients::get(engine, &client_id).await?;
        mutes.push(Mute {
            agent: client.map_or_else(|| client_id.clone(), |client| client.name),
            client_id,
            until,
        });
    }
    Ok(mutes)
}

impl Tx {
    async fn set_mute(
        &mut self,
        person_id: &str,
        client_id: &str,
        until: Option<i64>,
    ) -> Result<bool, storage::Error> {
        let changed = match until {
            Some(until) => {
                self.execute(
                    "insert into notice_mutes (person_id, client_id, until) values ($1, $2, $3) \
                     on conflict (person_id, client_id) do update set until = excluded.until",
                    vec![person_id.into(), client_id.into(), until.into()],
                )
                .await?
            }
            None => {
                self.execute(
                    "delete from notice_mutes where person_id = $1 and client_id = $2",
                    vec![person_id.into(), client_id.into()],
                )
                .await?
            }
        };
        Ok(changed > 0)
    }

    async fn mutes(
        &mut self,
        person_id: &str,
        now: i64,
    ) -> Result<Vec<(String, i64)>, storage::Error> {
        let sql = "select client_id, until from notice_mutes where person_id = $1 and until > $2 \
                   order by until, client_id limit 100";
        let rows = self.all(sql, vec![person_id.into(), now.into()]).await?;
        rows.iter()
            .map(|row| Ok((row.get("client_id")?, row.get("until")?)))
            .collect()
    }

    /// Whether this person hears nothing of this client now.
    pub(super) async fn is_muted(
        &mut self,
        person_id: &str,
        client_id: &str,
    ) -> Result<bool, storage::Error> {
        let now = self.now();
        let sql =
            "select until from notice_mutes where person_id = $1 and client_id = $2 and until > $3";
        let args = vec![person_id.into(), client_id.into(), now.into()];
        Ok(self.optional(sql, args).await?.is_some())
    }
}
