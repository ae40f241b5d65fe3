//! The SQL of passkeys.

use evidence::digest::base64url;

use super::Passkey;
use crate::Engine;
use crate::storage::{Error, Json, Row, Tx};

const TABLE: &str = "passkeys";

/// What the MAC of a row covers: every column of it.
fn covered(passkey: &Passkey) -> Vec<u8> {
    let time = |at: Option<i64>| at.map(|at| at.to_string());
    serde_json::json!([
        passkey.id,
        passkey.person_id,
        base64url(&passkey.credential_id),
        base64url(&passkey.public_key),
        passkey.alg,
        passkey.sign_count,
        passkey.transports,
        passkey.device_bound,
        passkey.backed_up,
        passkey.name,
        passkey.state.word(),
        passkey.vouched_by.to_string(),
        time(passkey.hold_until),
        passkey.created_at.to_string(),
        time(passkey.last_used_at),
        time(passkey.revoked_at),
    ])
    .to_string()
    .into_bytes()
}

fn from_row(engine: &Engine, row: &Row) -> Result<Passkey, Error> {
    let passkey = Passkey {
        id: row.get("id")?,
        person_id: row.get("person_id")?,
        credential_id: row.get("credential_id")?,
        public_key: row.get("public_key")?,
        alg: row.get("alg")?,
        sign_count: u32::try_from(row.get::<i64>("sign_count")?)
            .map_err(|_| row.bad(TABLE, "sign_count"))?,
        transports: row.json(TABLE, "transports")?,
        device_bound: row.get("device_bound")?,
        backed_up: row.get("backed_up")?,
        name: row.get("name")?,
        state: row.word(TABLE, "state")?,
        vouched_by: row.word(TABLE, "vouched_by")?,
        hold_until: row.get("hold_until")?,
        created_at: row.get("created_at")?,
        last_used_at: row.get("last_used_at")?,
        revoked_at: row.get("revoked_at")?,
    };
    let (mac, key): (Vec<u8>, String) = (row.get("mac")?, row.get("mac_key")?);
    if engine.keys.mac_holds(TABLE, &covered(&passkey), &mac, &key) {
        Ok(passkey)
    } else {
        Err(row.bad(TABLE, "mac"))
    }
}

impl Tx {
    pub(super) async fn insert_passkey(
        &mut self,
        engine: &Engine,
        passkey: &Passkey,
    ) -> Result<(), Error> {
        let (mac, mac_key) = engine.keys.mac(TABLE, &covered(passkey));
        self.execute(
            "insert into passkeys (id, person_id, credential_id, public_key, alg, sign_count, transports, \
             device_bound, backed_up, name, state, vouched_by, hold_until, created_at, mac, mac_key) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            vec![
                (&passkey.id).into(),
                (&passkey.person_id).into(),
                (&passkey.credential_id).into(),
                (&passkey.public_key).into(),
                (&passkey.alg).into(),
                i64::from(passkey.sign_count).into(),
                Json(&passkey.transports).into(),
                passkey.device_bound.into(),
                passkey.backed_up.into(),
                (&passkey.name).into(),
                passkey.state.word().into(),
                passkey.vouched_by.to_string().into(),
                passkey.hold_until.into(),
                passkey.created_at.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Writes what may change of a passkey. The row must be held, or somebody
    /// else's change would be lost and the MAC would not fit.
    pub(super) async fn update_passkey(
        &mut self,
        engine: &Engine,
        passkey: &Passkey,
    ) -> Result<(), Error> {
        let (mac, mac_key) = engine.keys.mac(TABLE, &covered(passkey));
        self.execute(
            "update passkeys set sign_count = $2, backed_up = $3, name = $4, state = $5, last_used_at = $6, \
             revoked_at = $7, mac = $8, mac_key = $9 where id = $1",
            vec![
                (&passkey.id).into(),
                i64::from(passkey.sign_count).into(),
                passkey.backed_up.into(),
                (&passkey.name).into(),
                passkey.state.word().into(),
                passkey.last_used_at.into(),
                passkey.revoked_at.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// The passkey, and nobody else changes it until this write ends (on
    /// PostgreSQL the update takes the row's lock).
    pub(super) async fn hold_passkey(
        &mut self,
        engine: &Engine,
        id: &str,
    ) -> Result<Option<Passkey>, Error> {
        self.swap(
            "update passkeys set state = state where id = $1 returning *",
            vec![id.into()],
        )
        .await?
        .map(|row| from_row(engine, &row))
        .transpose()
    }

    /// As [`Tx::hold_passkey`], by the authenticator's id of it.
    pub(super) async fn hold_passkey_by_credential(
        &mut self,
        engine: &Engine,
        credential_id: &[u8],
    ) -> Result<Option<Passkey>, Error> {
        self.swap(
            "update passkeys set state = state where credential_id = $1 returning *",
            vec![credential_id.into()],
        )
        .await?
        .map(|row| from_row(engine, &row))
        .transpose()
    }

    /// All of a person's, also revoked ones, the oldest first.
    pub(super) async fn passkeys_of(
        &mut self,
        engine: &Engine,
        person_id: &str,
    ) -> Result<Vec<Passkey>, Error> {
        let sql = "select * from passkeys where person_id = $1 order by created_at, id limit 1000";
        let rows = self.all(sql, vec![person_id.into()]).await?;
        rows.iter().map(|row| from_row(engine, row)).collect()
    }

    /// Whether anybody has, or had, a passkey with this id.
    pub(super) async fn knows_credential(&mut self, credential_id: &[u8]) -> Result<bool, Error> {
        let row = self
            .optional(
                "select id from passkeys where credential_id = $1",
                vec![credential_id.into()],
            )
            .await?;
        Ok(row.is_some())
    }

    /// The passkey with this id of the authenticator's, read only.
    pub(super) async fn passkey_by_credential(
        &mut self,
        engine: &Engine,
        credential_id: &[u8],
    ) -> Result<Option<Passkey>, Error> {
        self.optional(
            "select * from passkeys where credential_id = $1",
            vec![credential_id.into()],
        )
        .await?
        .map(|row| from_row(engine, &row))
        .transpose()
    }

    /// Nobody else changes this person until this write ends.
    pub(in crate::identity) async fn hold_person(&mut self, person_id: &str) -> Result<(), Error> {
        self.execute(
            "update people set updated_at = updated_at where id = $1",
            vec![person_id.into()],
        )
        .await?;
        Ok(())
    }
}
