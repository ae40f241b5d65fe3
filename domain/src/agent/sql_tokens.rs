//! The SQL of consents and of the agent's own tokens.

use crate::storage::{Error, Tx};

/// What a consent left behind: the sealed PKCE verifier, and the run it is for.
type Begun = (Vec<u8>, Option<String>);

impl Tx {
    pub(super) async fn insert_consent(
        &mut self,
        state_hash: &[u8; 32],
        person_id: &str,
        session_hash: &[u8; 32],
        verifier_sealed: Vec<u8>,
        run_id: Option<String>,
        expires_at: i64,
    ) -> Result<(), Error> {
        let now = self.now();
        // Old ones go as new ones come; nothing refers to them.
        self.execute(
            "delete from agent_consents where expires_at < $1",
            vec![now.into()],
        )
        .await?;
        self.execute(
            "insert into agent_consents (state_hash, person_id, session_hash, verifier_sealed, run_id, created_at, \
             expires_at) values ($1, $2, $3, $4, $5, $6, $7)",
            vec![
                state_hash.into(),
                person_id.into(),
                session_hash.into(),
                verifier_sealed.into(),
                run_id.into(),
                now.into(),
                expires_at.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Uses a consent up, once, for the person and session that began it.
    pub(super) async fn use_consent(
        &mut self,
        state_hash: &[u8; 32],
        person_id: &str,
        session_hash: &[u8; 32],
    ) -> Result<Option<Begun>, Error> {
        let now = self.now();
        let row = self
            .swap(
                "update agent_consents set used_at = $1 where state_hash = $2 and person_id = $3 \
                 and session_hash = $4 and used_at is null and expires_at > $1 returning verifier_sealed, run_id",
                vec![
                    now.into(),
                    state_hash.into(),
                    person_id.into(),
                    session_hash.into(),
                ],
            )
            .await?;
        row.map(|row| Ok((row.get("verifier_sealed")?, row.get("run_id")?)))
            .transpose()
    }

    /// Wrapped data key, the id of what wrapped it, and the sealed refresh token.
    pub(super) async fn agent_token(
        &mut self,
        person_id: &str,
        client_id: &str,
    ) -> Result<Option<(Vec<u8>, String, Vec<u8>)>, Error> {
        let sql = "select data_key, kek_id, refresh_sealed from agent_tokens where person_id = $1 and client_id = $2";
        let row = self
            .optional(sql, vec![person_id.into(), client_id.into()])
            .await?;
        row.map(|row| {
            Ok((
                row.get("data_key")?,
                row.get("kek_id")?,
                row.get("refresh_sealed")?,
            ))
        })
        .transpose()
    }

    pub(super) async fn put_agent_token(
        &mut self,
        person_id: &str,
        client_id: &str,
        data_key: Vec<u8>,
        kek_id: &str,
        refresh_sealed: Vec<u8>,
    ) -> Result<(), Error> {
        let now = self.now();
        self.execute(
            "insert into agent_tokens (person_id, client_id, data_key, kek_id, refresh_sealed, updated_at) \
             values ($1, $2, $3, $4, $5, $6) on conflict (person_id) do update set client_id = excluded.client_id, \
             data_key = excluded.data_key, kek_id = excluded.kek_id, refresh_sealed = excluded.refresh_sealed, \
             updated_at = excluded.updated_at",
            vec![
                person_id.into(),
                client_id.into(),
                data_key.into(),
                kek_id.into(),
                refresh_sealed.into(),
                now.into(),
            ],
        )
        .await?;
        Ok(())
    }
}
