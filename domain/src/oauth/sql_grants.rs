//! The SQL of authorization codes, refresh tokens and consents.

use super::authorize::AccountAccess;
use super::consents::Consent;
use super::families::{Family, sign_in};
use crate::identity::SignIn;
use crate::storage::{Error, Json, Row, Tx};

/// What changes of consents are signalled as.
pub(super) const CONSENT: &str = "consent";

/// The id of a consent in signals.
pub(super) fn pair(person: &str, client: &str) -> String {
    format!("{person} {client}")
}

/// A row of `authorization_codes`.
#[derive(Clone)]
pub(super) struct CodeRow {
    pub(super) client_id: String,
    pub(super) person_id: String,
    pub(super) family_id: String,
    pub(super) redirect_uri: String,
    pub(super) scopes: Vec<String>,
    pub(super) audience: String,
    pub(super) details: Vec<AccountAccess>,
    pub(super) nonce: Option<String>,
    pub(super) code_challenge: String,
    pub(super) sign_in: SignIn,
    pub(super) created_at: i64,
    pub(super) expires_at: i64,
    pub(super) used_at: Option<i64>,
    /// The key it was asked for with (RFC 9449 §10).
    pub(super) dpop_jkt: Option<String>,
}

/// Where a refresh token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefreshState {
    /// Usable.
    Active,
    /// Used; a successor was issued.
    Rotated,
    /// A sibling was used in its stead.
    Revoked,
}

impl std::str::FromStr for RefreshState {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "active" => Ok(Self::Active),
            "rotated" => Ok(Self::Rotated),
            "revoked" => Ok(Self::Revoked),
            _ => Err(()),
        }
    }
}

/// A row of `refresh_tokens`.
#[derive(Clone)]
pub(super) struct RefreshRow {
    pub(super) hash: [u8; 32],
    pub(super) parent_hash: Option<Vec<u8>>,
    pub(super) state: RefreshState,
    pub(super) rotated_at: Option<i64>,
}

impl CodeRow {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            client_id: row.get("client_id")?,
            person_id: row.get("person_id")?,
            family_id: row.get("family_id")?,
            redirect_uri: row.get("redirect_uri")?,
            scopes: row.json("authorization_codes", "scopes")?,
            audience: row.get("audience")?,
            details: row.json("authorization_codes", "details")?,
            nonce: row.get("nonce")?,
            code_challenge: row.get("code_challenge")?,
            sign_in: sign_in(row, "authorization_codes")?
                .ok_or_else(|| row.bad("authorization_codes", "auth_time"))?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            used_at: row.get("used_at")?,
            dpop_jkt: row.get("dpop_jkt")?,
        })
    }
}

impl Consent {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            person_id: row.get("person_id")?,
            client_id: row.get("client_id")?,
            scopes: row.json("consents", "scopes")?,
            details: row.json("consents", "details")?,
            audiences: row.json("consents", "audiences")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

impl Tx {
    pub(super) async fn insert_code(
        &mut self,
        hash: [u8; 32],
        code: &CodeRow,
    ) -> Result<(), Error> {
        self.execute(
            "insert into authorization_codes (code_hash, client_id, person_id, family_id, redirect_uri, scopes, audience, \
             details, nonce, code_challenge, auth_time, created_at, expires_at, dpop_jkt, acr) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
            vec![
                hash.into(),
                (&code.client_id).into(),
                (&code.person_id).into(),
                (&code.family_id).into(),
                (&code.redirect_uri).into(),
                Json(&code.scopes).into(),
                (&code.audience).into(),
                Json(&code.details).into(),
                (&code.nonce).into(),
                (&code.code_challenge).into(),
                code.sign_in.at.into(),
                code.created_at.into(),
                code.expires_at.into(),
                (&code.dpop_jkt).into(),
                code.sign_in.how.map(|how| how.word().to_owned()).into(),
            ],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn code(&mut self, hash: [u8; 32]) -> Result<Option<CodeRow>, Error> {
        self.optional(
            "select * from authorization_codes where code_hash = $1",
            vec![hash.into()],
        )
        .await?
        .map(|row| CodeRow::from_row(&row))
        .transpose()
    }

    /// Uses a code up; answers whether this call did.
    pub(super) async fn use_code(&mut self, hash: [u8; 32]) -> Result<bool, Error> {
        let now = self.now();
        let done = self
            .swap(
                "update authorization_codes set used_at = $2 where code_hash = $1 and used_at is null returning used_at",
                vec![hash.into(), now.into()],
            )
            .await?;
        Ok(done.is_some())
    }

    /// Forgets codes that ran out before `before`, at most a thousand. They are
    /// kept for a while after use, so that a replay is known for what it is.
    pub(super) async fn sweep_codes(&mut self, before: i64) -> Result<u64, Error> {
        self.execute(
            "delete from authorization_codes where code_hash in \
             (select code_hash from authorization_codes where expires_at < $1 limit 1000)",
            vec![before.into()],
        )
        .await
    }

    pub(super) async fn insert_refresh(
        &mut self,
        hash: [u8; 32],
        family: &str,
        parent: Option<[u8; 32]>,
    ) -> Result<(), Error> {
        let now = self.now();
        self.execute(
            "insert into refresh_tokens (token_hash, family_id, parent_hash, state, created_at) values ($1, $2, $3, 'active', $4)",
            vec![
                hash.into(),
                family.into(),
                parent.map(|hash| hash.to_vec()).into(),
                now.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// A refresh token and its family.
    pub(super) async fn refresh_token(
        &mut self,
        hash: [u8; 32],
    ) -> Result<Option<(RefreshRow, Family)>, Error> {
        let row = self
            .optional(
                "select f.*, t.parent_hash, t.state, t.rotated_at \
                 from refresh_tokens t join token_families f on f.id = t.family_id where t.token_hash = $1",
                vec![hash.into()],
            )
            .await?;
        row.map(|row| {
            let family = Family::from_row(&row)?;
            let token = RefreshRow {
                hash,
                parent_hash: row.get("parent_hash")?,
                state: row.word("refresh_tokens", "state")?,
                rotated_at: row.get("rotated_at")?,
            };
            Ok((token, family))
        })
        .transpose()
    }

    /// Marks a refresh token as used, and ends its siblings: of several answers
    /// to the same question one is kept. Answers whether this call marked it.
    pub(super) async fn rotate_refresh_token(&mut self, token: &RefreshRow) -> Result<bool, Error> {
        let now = self.now();
        let done = self
            .swap_all(
                "update refresh_tokens set state = case when token_hash = $1 then 'rotated' else 'revoked' end, \
                 rotated_at = case when token_hash = $1 then $2 else rotated_at end \
                 where (token_hash = $1 or parent_hash = $3) and state = 'active' \
                 returning token_hash",
                vec![
                    token.hash.into(),
                    now.into(),
                    (&token.parent_hash).into(),
                ],
            )
            .await?;
        for row in &done {
            if row.get::<Vec<u8>>("token_hash")? == token.hash {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a successor of this token was used already.
    pub(super) async fn successor_was_used(&mut self, hash: [u8; 32]) -> Result<bool, Error> {
        let row = self
            .optional(
                "select state from refresh_tokens where parent_hash = $1 and state = 'rotated' limit 1",
                vec![hash.into()],
            )
            .await?;
        Ok(row.is_some())
    }

    pub(super) async fn consent(
        &mut self,
        person: &str,
        client: &str,
    ) -> Result<Option<Consent>, Error> {
        self.optional(
            "select * from consents where person_id = $1 and client_id = $2 and revoked_at is null",
            vec![person.into(), client.into()],
        )
        .await?
        .map(|row| Consent::from_row(&row))
        .transpose()
    }

    pub(super) async fn consents_of(
        &mut self,
        person: &str,
        limit: i64,
    ) -> Result<Vec<Consent>, Error> {
        let rows = self
            .all(
                "select * from consents where person_id = $1 and revoked_at is null order by updated_at desc, id limit $2",
                vec![person.into(), limit.into()],
            )
            .await?;
        rows.iter().map(Consent::from_row).collect()
    }

    pub(super) async fn put_consent(&mut self, consent: &Consent) -> Result<(), Error> {
        self.execute(
            "insert into consents (id, person_id, client_id, scopes, details, audiences, created_at, updated_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $7) \
             on conflict (person_id, client_id) do update \
             set scopes = excluded.scopes, details = excluded.details, audiences = excluded.audiences, updated_at = excluded.updated_at, revoked_at = null",
            vec![
                (&consent.id).into(),
                (&consent.person_id).into(),
                (&consent.client_id).into(),
                Json(&consent.scopes).into(),
                Json(&consent.details).into(),
                Json(&consent.audiences).into(),
                consent.updated_at.into(),
            ],
        )
        .await?;
        self.signal(None, CONSENT, &pair(&consent.person_id, &consent.client_id));
        Ok(())
    }

    pub(super) async fn revoke_consent(
        &mut self,
        person: &str,
        client: &str,
    ) -> Result<bool, Error> {
        let now = self.now();
        let done = self
            .swap(
                "update consents set revoked_at = $3 where person_id = $1 and client_id = $2 and revoked_at is null returning id",
                vec![person.into(), client.into(), now.into()],
            )
            .await?;
        if done.is_some() {
            self.signal(None, CONSENT, &pair(person, client));
        }
        Ok(done.is_some())
    }
}
