//! Passkeys: what people sign in and decide with (W3C Web Authentication
//! Level 3; the checks are `evidence::webauthn`).
//!
//! What always holds here:
//! - The first passkey of a person needs a recent sign-in without one; every
//!   further one needs an assertion by an older one, or a recovery code. That
//!   stays so when all were revoked: whoever has the password alone never
//!   gets in beside an owner of passkeys.
//! - A passkey from a recovery code is on hold for 24 hours ([`HOLD_MS`]) and
//!   proves nothing until then; its event says so, and every browser of
//!   the person is told at once.
//! - A challenge is answered once, within five minutes, by the session that
//!   asked. A refused answer uses it up as well.
//! - An authenticator whose counter does not go on is refused: it may have
//!   been copied.
//! - Rows carry MACs: a passkey, a challenge or a recovery code that another
//!   hand wrote is refused on load.
//!
//! Every verb that proves something takes the answer of the authenticator
//! itself, never somebody's word that there was one. The one exception is
//! [`Proof::SignIn`], which is the door's to say.

mod assertions;
mod challenges;
mod codes;
mod options;
mod registrations;
mod sql;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use evidence::digest::{base64url, sha256};
use evidence::webauthn::{RelyingParty, WebauthnError};

use super::Error as IdentityError;
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::limits::TooOften;
use crate::secret::Secret;
use crate::storage;

pub(crate) use assertions::still_counts;
pub use assertions::{Answer, Used, begin_sign_in, begin_vouching, finish_sign_in, judge};
pub use challenges::{Challenge, sweep};
pub use codes::{codes_left, help_back, renew_codes};
pub use registrations::{
    Creation, Enrolled, FinishRegistration, begin_registration, finish_registration,
};

/// How long a challenge may be answered, in milliseconds.
pub const CHALLENGE_MS: i64 = 5 * 60 * 1000;
/// How long a passkey from a recovery code is on hold, in milliseconds.
pub const HOLD_MS: i64 = 24 * 60 * 60 * 1000;
/// How recent a sign-in must be to count as proof, in milliseconds.
pub const RECENT_MS: i64 = 10 * 60 * 1000;
/// How many active passkeys a person may have.
pub const MOST: usize = 20;

/// What let a passkey be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VouchedBy {
    /// A recent sign-in: only for somebody who never had one.
    SignIn,
    /// An assertion by an older passkey (its id).
    Passkey(String),
    /// A recovery code (its id).
    Recovery(String),
}

impl fmt::Display for VouchedBy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::SignIn => f.write_str("sign-in"),
            Self::Passkey(id) => write!(f, "passkey:{id}"),
            Self::Recovery(id) => write!(f, "recovery:{id}"),
        }
    }
}

impl FromStr for VouchedBy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(':') {
            None if text == "sign-in" => Ok(Self::SignIn),
            Some(("passkey", id)) => Ok(Self::Passkey(id.to_owned())),
            Some(("recovery", id)) => Ok(Self::Recovery(id.to_owned())),
            _ => Err(()),
        }
    }
}

/// Where a passkey stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyState {
    /// It counts, unless it is on hold.
    Active,
    /// It never counts again.
    Revoked,
}

impl PasskeyState {
    /// The word in rows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }
}

impl FromStr for PasskeyState {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "active" => Ok(Self::Active),
            "revoked" => Ok(Self::Revoked),
            _ => Err(()),
        }
    }
}

/// A person's passkey. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// `pky_…`
    pub id: String,
    /// Whose it is.
    pub person_id: String,
    /// The credential's id, as the authenticator knows it.
    pub credential_id: Vec<u8>,
    /// The public key, a COSE key.
    pub public_key: Vec<u8>,
    /// How it signs: `ES256`, `EdDSA` or `RS256`.
    pub alg: String,
    /// The signature counter at its last use; 0 if it does not count.
    pub sign_count: u32,
    /// How it may be reached (`internal`, `usb`, …), a hint for browsers.
    pub transports: Vec<String>,
    /// Whether it cannot leave its device (BE is not set).
    pub device_bound: bool,
    /// Whether it was backed up at its last use.
    pub backed_up: bool,
    /// As the person calls it.
    pub name: String,
    /// Whether it counts.
    pub state: PasskeyState,
    /// What let it be added.
    pub vouched_by: VouchedBy,
    /// Until when it proves nothing, Unix milliseconds.
    pub hold_until: Option<i64>,
    /// Since when, Unix milliseconds.
    pub created_at: i64,
    /// When it last signed.
    pub last_used_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

impl Passkey {
    /// Whether it is on hold at this time (Unix milliseconds).
    #[must_use]
    pub fn on_hold(&self, now: i64) -> bool {
        self.hold_until.is_some_and(|until| until > now)
    }

    /// Whether it proves anything at this time (Unix milliseconds).
    #[must_use]
    pub fn counts(&self, now: i64) -> bool {
        self.state == PasskeyState::Active && !self.on_hold(now)
    }

    /// SHA-256 of the public key: what the audit log names it by.
    #[must_use]
    pub fn key_digest(&self) -> [u8; 32] {
        sha256(&self.public_key)
    }

    fn event(&self, kind: Kind) -> Event {
        Event::new(kind)
            .person(&self.person_id)
            .data("passkey", self.id.as_str())
            .data("key", base64url(&self.key_digest()))
    }
}

/// What lets a passkey be added, or recovery codes be renewed.
pub enum Proof {
    /// The person signed in without a passkey at this time (Unix milliseconds).
    SignIn {
        /// When.
        at: i64,
    },
    /// The answer to a challenge of [`begin_vouching`].
    Passkey(Answer),
    /// A recovery code.
    RecoveryCode(Secret<String>),
}

/// Why something about a passkey did not happen.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The issuer is not an address at which browsers have passkeys.
    #[error("passkeys need an https address, or localhost")]
    NoRelyingParty,
    /// The sign-in is too long ago.
    #[error("sign in again first")]
    SignInAgain,
    /// A sign-in is not enough: this person has, or had, passkeys.
    #[error("confirm with a passkey that you have, or use a recovery code")]
    NeedsPasskey,
    /// The challenge is unknown, used up, expired, or of another session.
    #[error("this took too long or was answered already; try again")]
    Challenge,
    /// The authenticator's answer failed a check.
    #[error("the passkey's answer does not count: {0}")]
    Webauthn(#[from] WebauthnError),
    /// No passkey of this person, or none that counts any more.
    #[error("this passkey is not known here")]
    Unknown,
    /// The passkey comes from a recovery code and its hold is not over.
    #[error("this passkey is on hold")]
    OnHold {
        /// Until when, Unix milliseconds.
        until: i64,
    },
    /// The credential is registered already (§7.1).
    #[error("this passkey is registered already")]
    Known,
    /// The person has as many as they may.
    #[error("you have {MOST} passkeys; remove one first")]
    TooMany,
    /// A name of no or too many characters.
    #[error("a name has 1 to 60 characters")]
    Name,
    /// Not an unused recovery code of this person.
    #[error("that is not one of your unused recovery codes")]
    RecoveryCode,
    /// Too often.
    #[error(transparent)]
    TooOften(#[from] TooOften),
    /// Only an active admin may do this, and not for themselves.
    #[error("only another admin may do this")]
    NotAllowed,
    /// The person is locked, or gone.
    #[error("this person may not sign in")]
    Locked,
}

/// Who asks authenticators in this deployment.
///
/// # Errors
/// [`PasskeyError::NoRelyingParty`].
pub fn relying_party(engine: &Engine) -> Result<RelyingParty, PasskeyError> {
    RelyingParty::of_issuer(&engine.settings.issuer).ok_or(PasskeyError::NoRelyingParty)
}

fn acceptable_name(name: &str) -> Result<String, PasskeyError> {
    let name = name.trim();
    let length = name.chars().count();
    if (1..=60).contains(&length) && !name.chars().any(char::is_control) {
        Ok(name.to_owned())
    } else {
        Err(PasskeyError::Name)
    }
}

/// Counts a wrong recovery code like a wrong password: per person.
fn too_many(error: IdentityError) -> PasskeyError {
    match error {
        IdentityError::TooManyAttempts { retry_after_s } => {
            PasskeyError::TooOften(TooOften { retry_after_s })
        }
        IdentityError::Storage(error) => PasskeyError::Storage(error),
        _ => PasskeyError::RecoveryCode,
    }
}

/// A person's passkeys that were not revoked, the oldest first.
///
/// # Errors
/// The database's.
pub async fn list(engine: &Engine, person_id: &str) -> Result<Vec<Passkey>, storage::Error> {
    let mut reader = engine.store.reader().await?;
    let all = reader.passkeys_of(engine, person_id).await?;
    Ok(all
        .into_iter()
        .filter(|passkey| passkey.state == PasskeyState::Active)
        .collect())
}

/// Gives a passkey another name.
///
/// # Errors
/// [`PasskeyError::Name`], [`PasskeyError::Unknown`].
pub async fn rename(
    engine: &Engine,
    person_id: &str,
    id: &str,
    name: &str,
) -> Result<Passkey, PasskeyError> {
    let name = acceptable_name(name)?;
    change(engine, person_id, id, move |passkey, _| {
        passkey.name.clone_from(&name);
        Kind::PasskeyRenamed
    })
    .await
}

/// Revokes a passkey for good: a lost device's, or one that is not needed. It
/// needs no proof beyond a session, because it takes and never gives.
///
/// # Errors
/// [`PasskeyError::Unknown`].
pub async fn revoke(engine: &Engine, person_id: &str, id: &str) -> Result<Passkey, PasskeyError> {
    change(engine, person_id, id, |passkey, now| {
        passkey.state = PasskeyState::Revoked;
        passkey.revoked_at = Some(now);
        Kind::PasskeyRevoked
    })
    .await
}

async fn change(
    engine: &Engine,
    person_id: &str,
    id: &str,
    how: impl Fn(&mut Passkey, i64) -> Kind + Clone + Send + Sync + 'static,
) -> Result<Passkey, PasskeyError> {
    let (at, person, id) = (engine.clone(), person_id.to_owned(), id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, person, id) = (at.clone(), person.clone(), id.clone());
            let how = how.clone();
            Box::pin(async move {
                let mut passkey = tx
                    .hold_passkey(&engine, &id)
                    .await?
                    .filter(|passkey| passkey.person_id == person)
                    .filter(|passkey| passkey.state == PasskeyState::Active)
                    .ok_or(PasskeyError::Unknown)?;
                let now = tx.now();
                let kind = how(&mut passkey, now);
                tx.update_passkey(&engine, &passkey).await?;
                tx.record(passkey.event(kind));
                Ok(passkey)
            })
        })
        .await
}
