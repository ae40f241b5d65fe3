//! Challenges: asked once, answered once.

use std::str::FromStr;

use super::{CHALLENGE_MS, VouchedBy};
use crate::Engine;
use crate::storage::{self, Tx};

const TABLE: &str = "webauthn_challenges";

/// What a challenge is for. An answer to one never counts for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A new passkey.
    Register,
    /// Signing in.
    SignIn,
    /// Vouching for a new passkey or new recovery codes.
    Vouch,
}

impl Purpose {
    const fn word(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::SignIn => "sign-in",
            Self::Vouch => "vouch",
        }
    }
}

impl FromStr for Purpose {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Register, Self::SignIn, Self::Vouch]
            .into_iter()
            .find(|purpose| purpose.word() == word)
            .ok_or(())
    }
}

/// What the browser is asked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The challenge, 32 random bytes.
    pub challenge: [u8; 32],
    /// The relying party's id.
    pub rp_id: String,
    /// Credential ids that may answer, with their transports; with none, the
    /// person chooses (discoverable credentials).
    pub allow: Vec<(Vec<u8>, Vec<String>)>,
    /// How long the browser may take, in milliseconds.
    pub timeout_ms: i64,
}

/// A row, its MAC checked.
pub(super) struct Open {
    pub(super) purpose: Purpose,
    pub(super) person_id: Option<String>,
    pub(super) session_hash: [u8; 32],
    pub(super) vouched_by: Option<VouchedBy>,
}

impl Open {
    fn covered(&self, hash: &[u8; 32], expires_at: i64) -> Vec<u8> {
        serde_json::json!([
            evidence::digest::base64url(hash),
            self.purpose.word(),
            self.person_id,
            evidence::digest::base64url(&self.session_hash),
            self.vouched_by.as_ref().map(ToString::to_string),
            expires_at.to_string(),
        ])
        .to_string()
        .into_bytes()
    }
}

fn hash(engine: &Engine, challenge: &[u8]) -> [u8; 32] {
    engine.keys.hash("webauthn challenge", challenge)
}

impl Tx {
    pub(super) async fn open_challenge(
        &mut self,
        engine: &Engine,
        challenge: &[u8; 32],
        open: &Open,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        let (hash, expires_at) = (hash(engine, challenge), now + CHALLENGE_MS);
        let (mac, mac_key) = engine.keys.mac(TABLE, &open.covered(&hash, expires_at));
        self.execute(
            "insert into webauthn_challenges (challenge_hash, purpose, person_id, session_hash, vouched_by, \
             created_at, expires_at, mac, mac_key) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            vec![
                hash.into(),
                open.purpose.word().into(),
                open.person_id.clone().into(),
                open.session_hash.into(),
                open.vouched_by.as_ref().map(ToString::to_string).into(),
                now.into(),
                expires_at.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Uses a challenge up. `None` if it is unknown, used up, expired, or for
    /// another purpose or session: in each case it is gone afterwards.
    pub(super) async fn take_challenge(
        &mut self,
        engine: &Engine,
        challenge: &[u8],
        purpose: Purpose,
        session_hash: &[u8; 32],
    ) -> Result<Option<Open>, storage::Error> {
        let hash = hash(engine, challenge);
        let Some(row) = self
            .swap(
                "delete from webauthn_challenges where challenge_hash = $1 returning *",
                vec![hash.into()],
            )
            .await?
        else {
            return Ok(None);
        };
        let open = Open {
            purpose: row.word(TABLE, "purpose")?,
            person_id: row.get("person_id")?,
            session_hash: row.digest(TABLE, "session_hash")?,
            vouched_by: row
                .get::<Option<String>>("vouched_by")?
                .map(|text| text.parse().map_err(|()| row.bad(TABLE, "vouched_by")))
                .transpose()?,
        };
        let expires_at: i64 = row.get("expires_at")?;
        let (mac, key): (Vec<u8>, String) = (row.get("mac")?, row.get("mac_key")?);
        let covered = open.covered(&hash, expires_at);
        if !engine.keys.mac_holds(TABLE, &covered, &mac, &key) {
            return Err(row.bad(TABLE, "mac"));
        }
        let fits = open.purpose == purpose
            && open.session_hash == *session_hash
            && expires_at > self.now();
        Ok(fits.then_some(open))
    }
}

/// Forgets challenges that have expired, at most a thousand; answers how many.
/// Upkeep only: an expired one never counts.
///
/// # Errors
/// The database's.
pub async fn sweep(engine: &Engine) -> Result<u64, storage::Error> {
    engine
        .store
        .write(move |tx| {
            Box::pin(async move {
                let now = tx.now();
                tx.execute(
                    "delete from webauthn_challenges where challenge_hash in \
                     (select challenge_hash from webauthn_challenges where expires_at <= $1 limit 1000)",
                    vec![now.into()],
                )
                .await
            })
        })
        .await
}
