//! People, their passwords, their sessions, and signing in through others.
//!
//! What always holds here:
//! - An e-mail address is kept in lower case and belongs to one person.
//! - A password is kept as argon2id only, computed off the async threads and
//!   at most two at a time.
//! - Signing in as nobody takes as long as signing in with a wrong password,
//!   and answers the same.
//! - Who signs in [`upstream`] is known by issuer and subject, not by address.
//! - A row of `people` carries a MAC; one that was changed behind our back is
//!   refused on load.

mod attempts;
pub(crate) mod id_token;
pub mod passkeys;
mod password;
pub mod sessions;
mod sql;
#[cfg(test)]
mod tests;
pub mod upstream;
pub mod user_code;

use std::sync::Arc;

use crate::Engine;
use crate::audit::{Event, Kind};
use crate::secret::Secret;
use crate::storage;

pub use attempts::Memory;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the database and on the wire.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = ();
            fn from_str(word: &str) -> Result<Self, ()> {
                match word { $($word => Ok(Self::$variant),)+ _ => Err(()) }
            }
        }
    };
}

words! {
    /// What somebody may do in the console.
    Role {
        /// Their own accounts, agents and approvals.
        Person => "person",
        /// Also everybody's clients, connections and the audit log.
        Admin => "admin",
    }
}

words! {
    /// Whether somebody may act at all.
    State {
        /// They may.
        Active => "active",
        /// They may not sign in, and no token of theirs works.
        Locked => "locked",
    }
}

words! {
    /// How somebody signed in.
    How {
        /// With the password kept here.
        Password => "urn:attorn:acr:password",
        /// Through another OpenID provider.
        Upstream => "urn:attorn:acr:upstream",
        /// With a passkey.
        Passkey => "urn:attorn:acr:passkey",
    }
}

/// A sign-in of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// When, Unix milliseconds.
    pub at: i64,
    /// How; its word is the authentication context class (`acr`, OpenID Connect
    /// Core §2). `None` where that was not noted.
    pub how: Option<How>,
}

impl SignIn {
    /// One that happens at this moment.
    #[must_use]
    pub fn now(engine: &Engine, how: How) -> Self {
        Self {
            at: engine.now(),
            how: Some(how),
        }
    }
}

/// With the password, as the tests' people do.
#[cfg(any(test, feature = "testing"))]
impl From<i64> for SignIn {
    fn from(at: i64) -> Self {
        Self {
            at,
            how: Some(How::Password),
        }
    }
}

/// Somebody who signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// `per_…`
    pub id: String,
    /// In lower case, unique.
    pub email: String,
    /// As they call themselves.
    pub name: String,
    /// What they may do in the console.
    pub role: Role,
    /// Whether they may act at all.
    pub state: State,
    /// Since when, Unix milliseconds.
    pub created_at: i64,
    /// When they got their first passkey, Unix milliseconds. Stays when all are
    /// revoked.
    pub passkeys_since: Option<i64>,
}

/// A person to be.
pub struct NewPerson {
    /// Any case; kept in lower case.
    pub email: String,
    /// 1 to 200 characters.
    pub name: String,
    /// At least 8 characters, at most 1,024 bytes.
    pub password: Secret<String>,
    /// What they may do in the console.
    pub role: Role,
}

/// Why something about a person did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// No such person, or that is not their password. Never says which.
    #[error("the e-mail address or the password is wrong")]
    WrongPassword,
    /// The person is locked. Said only to somebody who knows the password.
    #[error("this person is locked; an admin can unlock them")]
    Locked,
    /// Too many wrong passwords for this address or this person.
    #[error("too many attempts; try again in {retry_after_s} seconds")]
    TooManyAttempts {
        /// After how many seconds to try again.
        retry_after_s: u64,
    },
    /// Another person has this address.
    #[error("somebody with this e-mail address exists already")]
    EmailTaken,
    /// A field cannot be accepted; the sentence says why.
    #[error("{0}")]
    Invalid(&'static str),
    /// No such person.
    #[error("there is no such person")]
    NotFound,
    /// Only an admin may do this, and nobody may lock themselves out.
    #[error("only another admin may do this")]
    NotAllowed,
    /// The password could not be computed.
    #[error("the password could not be checked: {0}")]
    Hashing(String),
}

/// An e-mail address as it is kept.
fn normal_email(email: &str) -> Result<String, Error> {
    let email = email.trim().to_lowercase();
    let well_formed = email.len() <= 254
        && email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        })
        && !email
            .chars()
            .any(|letter| letter.is_whitespace() || letter.is_control());
    if well_formed {
        Ok(email)
    } else {
        Err(Error::Invalid("that is not an e-mail address"))
    }
}

/// Creates a person.
///
/// # Errors
/// [`Error::EmailTaken`], [`Error::Invalid`] with a sentence, or storage's.
pub async fn create(engine: &Engine, new: NewPerson) -> Result<Person, Error> {
    let email = normal_email(&new.email)?;
    let name = new.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        return Err(Error::Invalid("a name has 1 to 200 characters"));
    }
    password::acceptable(&new.password)?;
    let hash = password::hash(engine, new.password).await?;
    let person = Person {
        id: crate::ids::id("per", engine.now(), &*engine.rng),
        email,
        name,
        role: new.role,
        state: State::Active,
        created_at: engine.now(),
        passkeys_since: None,
    };
    let at = engine.clone();
    let created = engine
        .store
        .write(move |tx| {
            let (engine, person, hash) = (at.clone(), person.clone(), hash.clone());
            Box::pin(async move {
                tx.insert_person(&engine.keys, &person, Some(&hash)).await?;
                tx.record(
                    Event::new(Kind::PersonCreated)
                        .person(&person.id)
                        .data("role", person.role.word())
                        .private("email", &person.email),
                );
                Ok::<_, storage::Error>(person)
            })
        })
        .await;
    match created {
        Err(error) if error.is_unique_violation() => Err(Error::EmailTaken),
        created => Ok(created?),
    }
}

/// Checks an e-mail address and a password. `address` is where the request
/// came from, for the limit of 10 failures in 5 minutes, which counts per
/// person and per address. It takes as long for nobody as for somebody.
///
/// # Errors
/// [`Error::WrongPassword`], [`Error::Locked`], [`Error::TooManyAttempts`].
pub async fn sign_in(
    engine: &Engine,
    email: &str,
    password: Secret<String>,
    address: Option<String>,
) -> Result<Person, Error> {
    let email = email.trim().to_lowercase();
    let limited: Vec<String> = std::iter::once(format!("email {email}"))
        .chain(address.as_ref().map(|address| format!("address {address}")))
        .collect();
    engine.people.check(&limited, engine.clock.monotonic())?;
    let found = engine
        .store
        .reader()
        .await?
        .person_by_email(&engine.keys, &email)
        .await?;
    let (person, hash) = match found {
        Some(stored) => (Some(stored.person), stored.password_hash),
        None => (None, None),
    };
    let right = password::matches(engine, password, hash).await?;
    let refused = |person: Option<&Person>, reason: &str| {
        let event = Event::new(Kind::SignInRefused).data("reason", reason);
        let event = match &address {
            Some(address) => event.private("address", address.as_str()),
            None => event,
        };
        match person {
            Some(person) => event.person(&person.id),
            None => event.private("email", email.chars().take(254).collect::<String>()),
        }
    };
    let Some(person) = person.as_ref().filter(|_| right) else {
        engine.people.failed(&limited, engine.clock.monotonic());
        // Written for nobody as for somebody: the time must not tell.
        record(engine, refused(person.as_ref(), "password")).await?;
        return Err(Error::WrongPassword);
    };
    let locked = person.state == State::Locked;
    let event = if locked {
        refused(Some(person), "locked")
    } else {
        Event::new(Kind::SignedIn).person(&person.id)
    };
    record(engine, event).await?;
    if locked {
        return Err(Error::Locked);
    }
    engine.people.succeeded(&limited);
    Ok(person.clone())
}

/// Gives somebody a new password, who knows the old one. All their sessions
/// end in the same write; the door begins a new one for who asked. Wrong
/// passwords count like those of a sign-in.
///
/// # Errors
/// [`Error::WrongPassword`], [`Error::TooManyAttempts`], [`Error::Locked`];
/// [`Error::Invalid`] for a new password that cannot be accepted.
pub async fn change_password(
    engine: &Engine,
    person_id: &str,
    current: Secret<String>,
    new: Secret<String>,
) -> Result<Person, Error> {
    password::acceptable(&new)?;
    let stored = engine
        .store
        .reader()
        .await?
        .person(&engine.keys, person_id)
        .await?
        .ok_or(Error::NotFound)?;
    let limited = [format!("email {}", stored.person.email)];
    engine.people.check(&limited, engine.clock.monotonic())?;
    let old_hash = stored.password_hash;
    if !password::matches(engine, current, old_hash.clone()).await? {
        engine.people.failed(&limited, engine.clock.monotonic());
        return Err(Error::WrongPassword);
    }
    let hash = password::hash(engine, new).await?;
    let (at, id) = (engine.clone(), person_id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, id) = (at.clone(), id.clone());
            let (hash, old_hash) = (hash.clone(), old_hash.clone());
            Box::pin(async move {
                tx.hold_person(&id).await?;
                let stored = tx.person(&engine.keys, &id).await?.ok_or(Error::NotFound)?;
                if stored.person.state == State::Locked {
                    return Err(Error::Locked);
                }
                // Changed by somebody else while this one was being computed.
                if stored.password_hash != old_hash {
                    return Err(Error::WrongPassword);
                }
                tx.update_person(&engine.keys, &stored.person, Some(&hash))
                    .await?;
                tx.delete_sessions_of(&id).await?;
                tx.record(Event::new(Kind::PasswordChanged).person(&id));
                tx.signal(Some(&id), "session", &id);
                Ok(stored.person)
            })
        })
        .await
}

/// Records that somebody signed out.
///
/// # Errors
/// Storage's.
pub async fn signed_out(engine: &Engine, person_id: &str) -> Result<(), Error> {
    record(engine, Event::new(Kind::SignedOut).person(person_id)).await
}

async fn record(engine: &Engine, event: Event) -> Result<(), Error> {
    // An event is not cloned; a verb may run twice, so it is remade from parts.
    let event = std::sync::Arc::new(event);
    engine
        .store
        .write(move |tx| {
            let event = event.clone();
            Box::pin(async move {
                tx.record((*event).clone());
                Ok::<_, storage::Error>(())
            })
        })
        .await?;
    Ok(())
}

/// The person with this id.
///
/// # Errors
/// Storage's.
pub async fn person(engine: &Engine, id: &str) -> Result<Option<Person>, Error> {
    if let Some(person) = engine.people.known.get(id) {
        return Ok(Some(Person::clone(&person)));
    }
    let mut rx = engine.store.reader().await?;
    let found = rx.somebody(engine, id).await?;
    Ok(found.map(Arc::unwrap_or_clone))
}

/// The person with this e-mail address, in any case.
///
/// # Errors
/// Storage's.
pub async fn person_by_email(engine: &Engine, email: &str) -> Result<Option<Person>, Error> {
    let email = email.trim().to_lowercase();
    let mut rx = engine.store.reader().await?;
    let stored = rx.person_by_email(&engine.keys, &email).await?;
    Ok(stored.map(|stored| stored.person))
}

/// The person with this e-mail address, for a client that asks about the same
/// people again and again: without reading a row, if [`remember_for`] was told
/// of them and they still have that address. Nobody else is found any faster
/// than nobody at all.
///
/// # Errors
/// Storage's.
pub async fn person_by_email_for(
    engine: &Engine,
    client_id: &str,
    email: &str,
) -> Result<Option<Person>, Error> {
    let email = email.trim().to_lowercase();
    if let Some(id) = engine.people.addresses.get(&hint_key(client_id, &email))
        && let Some(found) = person(engine, &id).await?
        && found.email == email
    {
        return Ok(Some(found));
    }
    person_by_email(engine, &email).await
}

/// Remembers whom a client means by this address, after it was found that the
/// client may know.
pub fn remember_for(engine: &Engine, client_id: &str, email: &str, person: &Person) {
    let key = hint_key(client_id, &email.trim().to_lowercase());
    if engine.people.addresses.get(&key).as_ref() != Some(&person.id) {
        engine.people.addresses.insert(key, person.id.clone());
    }
}

fn hint_key(client_id: &str, email: &str) -> String {
    format!("{client_id}\0{email}")
}

/// People by age, oldest first, at most `limit`.
///
/// # Errors
/// Storage's.
pub async fn list(engine: &Engine, limit: i64) -> Result<Vec<Person>, Error> {
    let mut rx = engine.store.reader().await?;
    Ok(rx.people(&engine.keys, limit.clamp(1, 1000)).await?)
}

/// Locks or unlocks somebody. Locking ends their sessions in the same write;
/// their tokens stop working with it, because every check reads the row.
/// `admin_id` is `None` when the operator does it by command.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::NotAllowed`] for who is no active admin, or
/// for an admin about themselves.
pub async fn set_state(
    engine: &Engine,
    admin_id: Option<&str>,
    id: &str,
    state: State,
) -> Result<Person, Error> {
    let (at, admin, id) = (engine.clone(), admin_id.map(str::to_owned), id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, admin, id) = (at.clone(), admin.clone(), id.clone());
            Box::pin(async move {
                if let Some(admin) = &admin {
                    let by = tx
                        .person(&engine.keys, admin)
                        .await?
                        .ok_or(Error::NotAllowed)?;
                    let may = by.person.role == Role::Admin && by.person.state == State::Active;
                    if !may || *admin == id {
                        return Err(Error::NotAllowed);
                    }
                }
                tx.hold_person(&id).await?;
                let stored = tx.person(&engine.keys, &id).await?.ok_or(Error::NotFound)?;
                let mut person = stored.person;
                person.state = state;
                tx.update_person(&engine.keys, &person, stored.password_hash.as_deref())
                    .await?;
                if state == State::Locked {
                    tx.delete_sessions_of(&id).await?;
                    tx.signal(Some(&id), "session", &id);
                }
                let event = Event::new(Kind::PersonState)
                    .person(&id)
                    .data("state", state.word());
                tx.record(match admin {
                    Some(admin) => event.data("by", admin),
                    None => event.data("by", "command"),
                });
                Ok(person)
            })
        })
        .await
}
