//! The SQL of people and sessions.

use std::sync::Arc;

use super::sessions::SessionRecord;
use super::{Person, State};
use crate::Engine;
use crate::keyring::Keyring;
use crate::storage::{Error, Row, Tx};

/// What changes of people are signalled as.
pub(super) const PERSON: &str = "person";

/// A row of `people`.
pub(super) struct Stored {
    pub(super) person: Person,
    pub(super) password_hash: Option<String>,
}

/// What the MAC of a row covers: everything that decides who somebody is and
/// what they may do.
fn covered(person: &Person, password_hash: Option<&str>) -> Vec<u8> {
    let mut covered = vec![
        serde_json::json!(person.id),
        serde_json::json!(person.email),
        serde_json::json!(password_hash),
        serde_json::json!(person.role),
        serde_json::json!(person.state),
    ];
    // Only where there is one: rows from before it existed stay readable.
    if let Some(since) = person.passkeys_since {
        covered.push(serde_json::json!(since.to_string()));
    }
    serde_json::Value::Array(covered).to_string().into_bytes()
}

impl Stored {
    fn from_row(keys: &Keyring, row: &Row) -> Result<Self, Error> {
        let person = Person {
            id: row.get("id")?,
            email: row.get("email")?,
            name: row.get("name")?,
            role: row.word("people", "role")?,
            state: row.word("people", "state")?,
            created_at: row.get("created_at")?,
            passkeys_since: row.get("passkeys_since")?,
        };
        let password_hash: Option<String> = row.get("password_hash")?;
        let mac: Option<Vec<u8>> = row.get("mac")?;
        let mac_key: Option<String> = row.get("mac_key")?;
        let holds = mac.zip(mac_key).is_some_and(|(mac, key)| {
            let covered = covered(&person, password_hash.as_deref());
            keys.mac_holds("people", &covered, &mac, &key)
        });
        if !holds {
            return Err(row.bad("people", "mac"));
        }
        Ok(Self {
            person,
            password_hash,
        })
    }
}

impl Tx {
    pub(super) async fn insert_person(
        &mut self,
        keys: &Keyring,
        person: &Person,
        password_hash: Option<&str>,
    ) -> Result<(), Error> {
        let (mac, mac_key) = keys.mac("people", &covered(person, password_hash));
        self.execute(
            "insert into people (id, email, name, password_hash, role, state, created_at, updated_at, mac, mac_key) \
             values ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9)",
            vec![
                (&person.id).into(),
                (&person.email).into(),
                (&person.name).into(),
                password_hash.map(str::to_owned).into(),
                person.role.word().into(),
                person.state.word().into(),
                person.created_at.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        self.signal(Some(&person.id), PERSON, &person.id);
        Ok(())
    }

    pub(super) async fn update_person(
        &mut self,
        keys: &Keyring,
        person: &Person,
        password_hash: Option<&str>,
    ) -> Result<(), Error> {
        let (mac, mac_key) = keys.mac("people", &covered(person, password_hash));
        let now = self.now();
        self.execute(
            "update people set name = $2, role = $3, state = $4, password_hash = $5, updated_at = $6, mac = $7, \
             mac_key = $8, passkeys_since = $9 where id = $1",
            vec![
                (&person.id).into(),
                (&person.name).into(),
                person.role.word().into(),
                person.state.word().into(),
                password_hash.into(),
                now.into(),
                mac.into(),
                mac_key.into(),
                person.passkeys_since.into(),
            ],
        )
        .await?;
        self.signal(Some(&person.id), PERSON, &person.id);
        Ok(())
    }

    pub(super) async fn person(
        &mut self,
        keys: &Keyring,
        id: &str,
    ) -> Result<Option<Stored>, Error> {
        self.optional("select * from people where id = $1", vec![id.into()])
            .await?
            .map(|row| Stored::from_row(keys, &row))
            .transpose()
    }

    pub(super) async fn person_by_email(
        &mut self,
        keys: &Keyring,
        email: &str,
    ) -> Result<Option<Stored>, Error> {
        self.optional("select * from people where email = $1", vec![email.into()])
            .await?
            .map(|row| Stored::from_row(keys, &row))
            .transpose()
    }

    pub(super) async fn people(
        &mut self,
        keys: &Keyring,
        limit: i64,
    ) -> Result<Vec<Person>, Error> {
        let rows = self
            .all(
                "select * from people order by created_at, id limit $1",
                vec![limit.into()],
            )
            .await?;
        rows.iter()
            .map(|row| Stored::from_row(keys, row).map(|stored| stored.person))
            .collect()
    }

    /// Whether somebody exists and is not locked. For other rooms, inside
    /// their own write: a person locked a moment ago gets nothing.
    pub(crate) async fn person_is_active(
        &mut self,
        engine: &Engine,
        id: &str,
    ) -> Result<bool, Error> {
        let found = self.somebody(engine, id).await?;
        Ok(found.is_some_and(|person| person.state == State::Active))
    }

    /// Who somebody is, read from the row. For other rooms, inside their own write.
    pub(crate) async fn person_now(
        &mut self,
        engine: &Engine,
        id: &str,
    ) -> Result<Option<Person>, Error> {
        let found = self.person(&engine.keys, id).await?;
        Ok(found.map(|stored| stored.person))
    }

    /// Who somebody is, by heart where that is as good as reading it.
    pub(super) async fn somebody(
        &mut self,
        engine: &Engine,
        id: &str,
    ) -> Result<Option<Arc<Person>>, Error> {
        let known = &engine.people.known;
        if let Some(person) = self.by_heart(known, id) {
            return Ok(Some(person));
        }
        let ticket = known.ticket();
        let found = self.person(&engine.keys, id).await?;
        let found = found.map(|stored| Arc::new(stored.person));
        if let Some(person) = &found {
            self.learn(known, ticket, id, person.clone());
        }
        Ok(found)
    }

    pub(super) async fn insert_session(
        &mut self,
        hash: [u8; 32],
        person: Option<&str>,
        data: &str,
        expires_at: i64,
    ) -> Result<bool, Error> {
        let now = self.now();
        let done = self
            .execute(
                "insert into sessions (id_hash, person_id, data, created_at, expires_at) values ($1, $2, $3, $4, $5) \
                 on conflict (id_hash) do nothing",
                vec![hash.into(), person.into(), data.into(), now.into(), expires_at.into()],
            )
            .await?;
        Ok(done == 1)
    }

    pub(super) async fn upsert_session(
        &mut self,
        hash: [u8; 32],
        person: Option<&str>,
        data: &str,
        expires_at: i64,
    ) -> Result<(), Error> {
        let now = self.now();
        self.execute(
            "insert into sessions (id_hash, person_id, data, created_at, expires_at) values ($1, $2, $3, $4, $5) \
             on conflict (id_hash) do update set person_id = excluded.person_id, data = excluded.data, expires_at = excluded.expires_at",
            vec![hash.into(), person.into(), data.into(), now.into(), expires_at.into()],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn session(
        &mut self,
        hash: [u8; 32],
        now: i64,
    ) -> Result<Option<SessionRecord>, Error> {
        let row = self
            .optional(
                "select person_id, data, expires_at from sessions where id_hash = $1 and expires_at > $2",
                vec![hash.into(), now.into()],
            )
            .await?;
        row.map(|row| {
            Ok(SessionRecord {
                person: row.get("person_id")?,
                data: row.get("data")?,
                expires_at: row.get("expires_at")?,
            })
        })
        .transpose()
    }

    pub(super) async fn delete_session(&mut self, hash: [u8; 32]) -> Result<(), Error> {
        self.execute("delete from sessions where id_hash = $1", vec![hash.into()])
            .await?;
        Ok(())
    }

    pub(super) async fn delete_sessions_of(&mut self, person: &str) -> Result<(), Error> {
        self.execute(
            "delete from sessions where person_id = $1",
            vec![person.into()],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn sweep_sessions(&mut self) -> Result<u64, Error> {
        let now = self.now();
        self.execute(
            "delete from sessions where id_hash in (select id_hash from sessions where expires_at <= $1 limit 1000)",
            vec![now.into()],
        )
        .await
    }
}
