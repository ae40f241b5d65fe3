//! Token families: all tokens that came from one authorization. Revoking the
//! family ends them together (RFC 9700 §4.14.2).

use crate::identity::SignIn;
use crate::storage::{Error, Row};

const DAY: i64 = 24 * 60 * 60 * 1000;
/// A family that is not used for so long ends (milliseconds).
pub const IDLE_MS: i64 = 30 * DAY;
/// A family ends after so long, whatever its use (milliseconds).
pub const ABSOLUTE_MS: i64 = 180 * DAY;

/// All tokens that came from one authorization.
#[derive(Clone, Debug)]
pub struct Family {
    /// `fam_…`
    pub id: String,
    /// Whose tokens.
    pub client_id: String,
    /// For whom.
    pub person_id: Option<String>,
    /// From which approval.
    pub approval_id: Option<String>,
    /// What was granted; no token of the family has more.
    pub scopes: Vec<String>,
    /// The audience it was granted for.
    pub audience: String,
    /// The sign-in it was granted in.
    pub sign_in: Option<SignIn>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// When it ends unless used, Unix milliseconds.
    pub idle_expires_at: i64,
    /// When it ends at the latest, Unix milliseconds.
    pub expires_at: i64,
    /// When it was last used, Unix milliseconds.
    pub last_used_at: Option<i64>,
    /// When it was revoked, Unix milliseconds.
    pub revoked_at: Option<i64>,
    /// The thumbprint of the key its refresh tokens are bound to: those of a
    /// public client that proved one (RFC 9449 §5).
    pub dpop_jkt: Option<String>,
}

/// The sign-in that the columns `auth_time` and `acr` tell of.
pub(super) fn sign_in(row: &Row, table: &'static str) -> Result<Option<SignIn>, Error> {
    let how = row
        .get::<Option<String>>("acr")?
        .map(|word| word.parse().map_err(|()| row.bad(table, "acr")))
        .transpose()?;
    let at: Option<i64> = row.get("auth_time")?;
    Ok(at.map(|at| SignIn { at, how }))
}

impl Family {
    pub(super) fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            client_id: row.get("client_id")?,
            person_id: row.get("person_id")?,
            approval_id: row.get("approval_id")?,
            scopes: row.json("token_families", "scopes")?,
            audience: row.get("audience")?,
            sign_in: sign_in(row, "token_families")?,
            created_at: row.get("created_at")?,
            idle_expires_at: row.get("idle_expires_at")?,
            expires_at: row.get("expires_at")?,
            last_used_at: row.get("last_used_at")?,
            revoked_at: row.get("revoked_at")?,
            dpop_jkt: row.get("dpop_jkt")?,
        })
    }

    /// Whether its refresh tokens may be used at `now`.
    #[must_use]
    pub const fn is_live(&self, now: i64) -> bool {
        self.revoked_at.is_none() && now < self.expires_at && now < self.idle_expires_at
    }
}
