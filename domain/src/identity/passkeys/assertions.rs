//! A passkey signs: signing in, and vouching for another one.

use evidence::webauthn::{
    Asked, Asserted, Assertion, ClientData, PublicKey, RelyingParty, WebauthnError,
    counter_advances,
};

use super::challenges::{Challenge, Open, Purpose};
use super::{CHALLENGE_MS, Passkey, PasskeyError, PasskeyState, list, relying_party};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::identity::{Person, State, sessions};
use crate::limits::Limit;
use crate::storage::{self, Tx};

/// What `navigator.credentials.get` answered, as bytes.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `rawId`.
    pub credential_id: Vec<u8>,
    /// `response.clientDataJSON`.
    pub client_data_json: Vec<u8>,
    /// `response.authenticatorData`.
    pub authenticator_data: Vec<u8>,
    /// `response.signature`.
    pub signature: Vec<u8>,
    /// `response.userHandle`, if there was one: the person's id.
    pub user_handle: Option<Vec<u8>>,
}

/// A passkey that signed just now.
#[derive(Clone, Debug)]
pub struct Used {
    /// The passkey, its counter and last use already new.
    pub passkey: Passkey,
    /// What it said.
    pub asserted: Asserted,
}

/// Begins a sign-in with any passkey the person chooses. `address` is where
/// the request came from, and is counted.
///
/// # Errors
/// [`PasskeyError::TooOften`], [`PasskeyError::NoRelyingParty`].
pub async fn begin_sign_in(
    engine: &Engine,
    session_id: &str,
    address: Option<&str>,
) -> Result<Challenge, PasskeyError> {
    engine
        .limits
        .count(Limit::Passkey, address.unwrap_or_default())?;
    // No list of credentials: it would tell who exists, and has which.
    begin(engine, session_id, Purpose::SignIn, None, Vec::new()).await
}

/// Begins an assertion by one of the person's passkeys, that vouches for
/// another one or for new recovery codes.
///
/// # Errors
/// [`PasskeyError::Unknown`] if they have none that counts now.
pub async fn begin_vouching(
    engine: &Engine,
    person_id: &str,
    session_id: &str,
) -> Result<Challenge, PasskeyError> {
    let now = engine.now();
    let allow: Vec<_> = list(engine, person_id)
        .await?
        .into_iter()
        .filter(|passkey| passkey.counts(now))
        .map(|passkey| (passkey.credential_id, passkey.transports))
        .collect();
    if allow.is_empty() {
        return Err(PasskeyError::Unknown);
    }
    let person = Some(person_id.to_owned());
    begin(engine, session_id, Purpose::Vouch, person, allow).await
}

async fn begin(
    engine: &Engine,
    session_id: &str,
    purpose: Purpose,
    person_id: Option<String>,
    allow: Vec<(Vec<u8>, Vec<String>)>,
) -> Result<Challenge, PasskeyError> {
    let party = relying_party(engine)?;
    let challenge = crate::ids::random::<32>(&*engine.rng);
    let session_hash = sessions::hash(engine, session_id);
    let at = engine.clone();
    engine
        .store
        .write(move |tx| {
            let (engine, person_id) = (at.clone(), person_id.clone());
            Box::pin(async move {
                let open = Open {
                    purpose,
                    person_id,
                    session_hash,
                    vouched_by: None,
                };
                tx.open_challenge(&engine, &challenge, &open).await
            })
        })
        .await?;
    Ok(Challenge {
        challenge,
        rp_id: party.id().to_owned(),
        allow,
        timeout_ms: CHALLENGE_MS,
    })
}

/// Signs somebody in by a passkey.
///
/// # Errors
/// See [`PasskeyError`]. The challenge is used up in any case.
pub async fn finish_sign_in(
    engine: &Engine,
    session_id: &str,
    answer: Answer,
) -> Result<(Person, Passkey), PasskeyError> {
    let party = relying_party(engine)?;
    let session_hash = sessions::hash(engine, session_id);
    let at = engine.clone();
    engine
        .store
        .write(move |tx| {
            let (engine, party, answer) = (at.clone(), party.clone(), answer.clone());
            Box::pin(async move {
                let purpose = Purpose::SignIn;
                let used =
                    vouch(tx, &engine, &party, purpose, None, &session_hash, &answer).await?;
                let used = match used {
                    Ok(used) => used,
                    Err(refused) => return Ok(Err(refused)),
                };
                // §7.2: with no person named before, the answer must name one.
                if answer.user_handle.is_none() {
                    return Ok(Err(PasskeyError::Unknown));
                }
                let person = tx.person(&engine.keys, &used.passkey.person_id).await?;
                let Some(person) = person.filter(|found| found.person.state == State::Active)
                else {
                    tx.record(
                        Event::new(Kind::SignInRefused)
                            .person(&used.passkey.person_id)
                            .data("reason", "locked"),
                    );
                    return Ok(Err(PasskeyError::Locked));
                };
                tx.record(
                    Event::new(Kind::SignedIn)
                        .person(&person.person.id)
                        .data("passkey", used.passkey.id.as_str()),
                );
                Ok::<_, storage::Error>(Ok((person.person, used.passkey)))
            })
        })
        .await?
}

/// Takes the challenge that the answer says it answers, and the answer.
/// A refusal is no `Err` outside: what it changed (the challenge, the event)
/// must be committed.
pub(super) async fn vouch(
    tx: &mut Tx,
    engine: &Engine,
    party: &RelyingParty,
    purpose: Purpose,
    person_id: Option<&str>,
    session_hash: &[u8; 32],
    answer: &Answer,
) -> Result<Result<Used, PasskeyError>, storage::Error> {
    let challenge = match ClientData::parse(&answer.client_data_json) {
        Ok(client_data) => client_data.challenge().to_owned(),
        Err(refused) => return Ok(Err(refused.into())),
    };
    let open = tx
        .take_challenge(engine, &challenge, purpose, session_hash)
        .await?
        .filter(|open| open.person_id.as_deref() == person_id);
    if open.is_none() {
        return Ok(Err(PasskeyError::Challenge));
    }
    judge(tx, engine, party, person_id, &challenge, answer).await
}

/// Judges an answer to a challenge that the caller knows was asked, and has
/// not been answered before. For other rooms, inside their own write:
/// decisions are signed over challenges that they compute.
///
/// # Errors
/// The database's. A refusal is no `Err` outside: the event it leaves must be
/// committed.
pub async fn judge(
    tx: &mut Tx,
    engine: &Engine,
    party: &RelyingParty,
    person_id: Option<&str>,
    challenge: &[u8],
    answer: &Answer,
) -> Result<Result<Used, PasskeyError>, storage::Error> {
    let found = tx
        .hold_passkey_by_credential(engine, &answer.credential_id)
        .await?
        .filter(|passkey| person_id.is_none_or(|person| person == passkey.person_id));
    let Some(mut passkey) = found else {
        return Ok(Err(PasskeyError::Unknown));
    };
    let now = tx.now();
    let outcome = answered(&passkey, party, challenge, answer, now);
    let asserted = match outcome {
        Ok(asserted) => asserted,
        Err(refused) => {
            let counter = matches!(refused, PasskeyError::Webauthn(WebauthnError::Counter));
            let kind = if counter {
                Kind::PasskeyCounter
            } else {
                Kind::PasskeyRefused
            };
            tx.record(passkey.event(kind).data("reason", refused.to_string()));
            return Ok(Err(refused));
        }
    };
    passkey.sign_count = asserted.sign_count;
    passkey.backed_up = asserted.backed_up;
    passkey.last_used_at = Some(now);
    tx.update_passkey(engine, &passkey).await?;
    Ok(Ok(Used { passkey, asserted }))
}

fn answered(
    passkey: &Passkey,
    party: &RelyingParty,
    challenge: &[u8],
    answer: &Answer,
    now: i64,
) -> Result<Asserted, PasskeyError> {
    if passkey.state != PasskeyState::Active {
        return Err(PasskeyError::Unknown);
    }
    let handle = answer.user_handle.as_deref();
    if handle.is_some_and(|handle| handle != passkey.person_id.as_bytes()) {
        return Err(PasskeyError::Unknown);
    }
    let asked = Asked {
        relying_party: party,
        challenge,
        user_verification: true,
    };
    let assertion = Assertion {
        client_data_json: &answer.client_data_json,
        authenticator_data: &answer.authenticator_data,
        signature: &answer.signature,
    };
    let key = PublicKey::from_cose(&passkey.public_key)?;
    let asserted = assertion.verify(&asked, &key, !passkey.device_bound)?;
    counter_advances(passkey.sign_count, asserted.sign_count)?;
    // Said only to who holds it.
    if let Some(until) = passkey.hold_until.filter(|until| *until > now) {
        return Err(PasskeyError::OnHold { until });
    }
    Ok(asserted)
}

/// Whether this very passkey of this person counts now. For other rooms, inside
/// their own write: what a passkey signed is judged again before it is carried out.
///
/// # Errors
/// The database's; a row whose MAC is wrong is refused.
pub(crate) async fn still_counts(
    tx: &mut Tx,
    engine: &Engine,
    person_id: &str,
    credential_id: &[u8],
    public_key: &[u8],
) -> Result<bool, storage::Error> {
    let now = tx.now();
    let found = tx.passkey_by_credential(engine, credential_id).await?;
    Ok(found.is_some_and(|passkey| {
        passkey.person_id == person_id && passkey.public_key == public_key && passkey.counts(now)
    }))
}
