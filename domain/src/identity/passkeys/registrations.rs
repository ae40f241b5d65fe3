//! A passkey is added.

use std::sync::Arc;

use evidence::webauthn::{Algorithm, Asked, ClientData, Registered, Registration, RelyingParty};

use super::assertions::vouch;
use super::challenges::{Open, Purpose};
use super::{
    CHALLENGE_MS, HOLD_MS, MOST, Passkey, PasskeyError, PasskeyState, Proof, RECENT_MS, VouchedBy,
    acceptable_name, codes, relying_party,
};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::identity::{Person, State, sessions};
use crate::secret::Secret;
use crate::storage::{self, Tx};

/// What the browser makes a passkey with (`PublicKeyCredentialCreationOptions`):
/// discoverable, user verification required, attestation `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// The challenge, 32 random bytes.
    pub challenge: [u8; 32],
    /// The relying party's id.
    pub rp_id: String,
    /// `user.id`: the person's id.
    pub user_id: String,
    /// `user.name`: their address.
    pub user_name: String,
    /// `user.displayName`.
    pub display_name: String,
    /// `pubKeyCredParams`, the one to prefer first.
    pub algorithms: Vec<i64>,
    /// `excludeCredentials`: ids and transports of those they have.
    pub exclude: Vec<(Vec<u8>, Vec<String>)>,
    /// How long the browser may take, in milliseconds.
    pub timeout_ms: i64,
}

/// What `navigator.credentials.create` answered, as bytes, and a name for it.
#[derive(Clone, Debug)]
pub struct FinishRegistration {
    /// `response.clientDataJSON`.
    pub client_data_json: Vec<u8>,
    /// `response.attestationObject`.
    pub attestation_object: Vec<u8>,
    /// `response.getTransports()`.
    pub transports: Vec<String>,
    /// As the person calls it, 1 to 60 characters.
    pub name: String,
}

/// A passkey that was added.
pub struct Enrolled {
    /// It.
    pub passkey: Passkey,
    /// New recovery codes, shown this once, if the person had none left.
    pub recovery_codes: Option<Vec<Secret<String>>>,
}

/// Judges a proof: what it lets be done, or why it does not.
///
/// A recovery code is only looked at; it is used up when the passkey is there.
pub(super) async fn judge_proof(
    tx: &mut Tx,
    engine: &Engine,
    party: &RelyingParty,
    person_id: &str,
    session_hash: &[u8; 32],
    proof: &Proof,
) -> Result<Result<VouchedBy, PasskeyError>, storage::Error> {
    match proof {
        Proof::SignIn { at } => {
            if ever_had_one(tx, engine, person_id).await? {
                return Ok(Err(PasskeyError::NeedsPasskey));
            }
            let age = tx.now() - at;
            if !(0..=RECENT_MS).contains(&age) {
                return Ok(Err(PasskeyError::SignInAgain));
            }
            Ok(Ok(VouchedBy::SignIn))
        }
        Proof::Passkey(answer) => {
            let person = Some(person_id);
            let used = vouch(
                tx,
                engine,
                party,
                Purpose::Vouch,
                person,
                session_hash,
                answer,
            );
            Ok(used.await?.map(|used| VouchedBy::Passkey(used.passkey.id)))
        }
        Proof::RecoveryCode(code) => {
            let found = tx.unused_recovery_code(engine, person_id, code).await?;
            Ok(found
                .map(|code| VouchedBy::Recovery(code.id))
                .ok_or(PasskeyError::RecoveryCode))
        }
    }
}

/// Also if all were revoked, or taken out of the database: the password alone
/// does not get back in.
async fn ever_had_one(
    tx: &mut Tx,
    engine: &Engine,
    person_id: &str,
) -> Result<bool, storage::Error> {
    let person = tx.person(&engine.keys, person_id).await?;
    Ok(
        person.is_none_or(|stored| stored.person.passkeys_since.is_some())
            || !tx.passkeys_of(engine, person_id).await?.is_empty(),
    )
}

/// From the first one on, the person's own row says that they have had one.
async fn note_first(tx: &mut Tx, engine: &Engine, person_id: &str) -> Result<(), storage::Error> {
    if let Some(mut stored) = tx.person(&engine.keys, person_id).await?
        && stored.person.passkeys_since.is_none()
    {
        stored.person.passkeys_since = Some(tx.now());
        tx.update_person(
            &engine.keys,
            &stored.person,
            stored.password_hash.as_deref(),
        )
        .await?;
    }
    Ok(())
}

/// The person, held until this write ends: nobody else adds a passkey of
/// theirs meanwhile.
pub(super) async fn active_person(
    tx: &mut Tx,
    engine: &Engine,
    person_id: &str,
) -> Result<Option<Person>, storage::Error> {
    tx.hold_person(person_id).await?;
    let found = tx.person(&engine.keys, person_id).await?;
    Ok(found
        .map(|stored| stored.person)
        .filter(|person| person.state == State::Active))
}

/// Begins to add a passkey, with a proof that it may be added.
///
/// # Errors
/// See [`PasskeyError`]; a challenge that the proof answered is used up.
pub async fn begin_registration(
    engine: &Engine,
    person_id: &str,
    session_id: &str,
    proof: Proof,
) -> Result<Creation, PasskeyError> {
    let party = relying_party(engine)?;
    let limited = [format!("recovery code {person_id}")];
    let by_code = matches!(proof, Proof::RecoveryCode(_));
    if by_code {
        let now = engine.clock.monotonic();
        engine
            .people
            .check(&limited, now)
            .map_err(super::too_many)?;
    }
    let challenge = crate::ids::random::<32>(&*engine.rng);
    let session_hash = sessions::hash(engine, session_id);
    let (at, id, proof) = (engine.clone(), person_id.to_owned(), Arc::new(proof));
    let begun = engine
        .store
        .write(move |tx| {
            let (engine, party, id) = (at.clone(), party.clone(), id.clone());
            let proof = proof.clone();
            Box::pin(async move {
                let Some(person) = active_person(tx, &engine, &id).await? else {
                    return Ok(Err(PasskeyError::Locked));
                };
                let judged = judge_proof(tx, &engine, &party, &id, &session_hash, &proof).await?;
                let vouched_by = match judged {
                    Ok(vouched_by) => vouched_by,
                    Err(refused) => return Ok(Err(refused)),
                };
                let active = active_passkeys(tx, &engine, &id).await?;
                if active.len() >= MOST {
                    return Ok(Err(PasskeyError::TooMany));
                }
                let open = Open {
                    purpose: Purpose::Register,
                    person_id: Some(id),
                    session_hash,
                    vouched_by: Some(vouched_by),
                };
                tx.open_challenge(&engine, &challenge, &open).await?;
                let exclude = active
                    .into_iter()
                    .map(|passkey| (passkey.credential_id, passkey.transports))
                    .collect();
                Ok::<_, storage::Error>(Ok(Creation {
                    challenge,
                    rp_id: party.id().to_owned(),
                    user_id: person.id,
                    user_name: person.email,
                    display_name: person.name,
                    algorithms: Algorithm::ALL.map(Algorithm::number).to_vec(),
                    exclude,
                    timeout_ms: CHALLENGE_MS,
                }))
            })
        })
        .await?;
    if by_code && matches!(begun, Err(PasskeyError::RecoveryCode)) {
        engine.people.failed(&limited, engine.clock.monotonic());
    }
    begun
}

async fn active_passkeys(
    tx: &mut Tx,
    engine: &Engine,
    person_id: &str,
) -> Result<Vec<Passkey>, storage::Error> {
    let all = tx.passkeys_of(engine, person_id).await?;
    Ok(all
        .into_iter()
        .filter(|passkey| passkey.state == PasskeyState::Active)
        .collect())
}

/// Adds the passkey that an authenticator made.
///
/// # Errors
/// See [`PasskeyError`]; the challenge is used up in any case, a recovery code
/// only if the passkey is there.
pub async fn finish_registration(
    engine: &Engine,
    person_id: &str,
    session_id: &str,
    made: FinishRegistration,
) -> Result<Enrolled, PasskeyError> {
    let party = relying_party(engine)?;
    let name = acceptable_name(&made.name)?;
    let session_hash = sessions::hash(engine, session_id);
    let codes = Arc::new(codes::make(engine));
    let (at, person, made) = (engine.clone(), person_id.to_owned(), Arc::new(made));
    let offered = codes.clone();
    let enrolled = engine
        .store
        .write(move |tx| {
            let (engine, party, person) = (at.clone(), party.clone(), person.clone());
            let (made, name, codes) = (made.clone(), name.clone(), offered.clone());
            Box::pin(async move {
                if active_person(tx, &engine, &person).await?.is_none() {
                    return Ok(Err(PasskeyError::Locked));
                }
                let (registered, vouched_by) =
                    match answered(tx, &engine, &party, &person, &session_hash, &made).await? {
                        Ok(answered) => answered,
                        Err(refused) => return Ok(Err(refused)),
                    };
                if tx.knows_credential(&registered.credential_id).await? {
                    return Ok(Err(PasskeyError::Known));
                }
                if let Err(refused) = still_stands(tx, &engine, &person, &vouched_by).await? {
                    return Ok(Err(refused));
                }
                let now = tx.now();
                let hold = matches!(vouched_by, VouchedBy::Recovery(_));
                let passkey = Passkey {
                    id: tx.new_id("pky"),
                    person_id: person,
                    alg: registered.public_key.algorithm().name().to_owned(),
                    public_key: registered.public_key.as_cose().to_vec(),
                    credential_id: registered.credential_id,
                    sign_count: registered.sign_count,
                    transports: well_formed(&made.transports),
                    device_bound: !registered.backup_eligible,
                    backed_up: registered.backed_up,
                    name,
                    state: PasskeyState::Active,
                    vouched_by,
                    hold_until: hold.then_some(now + HOLD_MS),
                    created_at: now,
                    last_used_at: None,
                    revoked_at: None,
                };
                tx.insert_passkey(&engine, &passkey).await?;
                note_first(tx, &engine, &passkey.person_id).await?;
                tx.record(added(&passkey));
                if hold {
                    tx.notices_of_device(&engine, &passkey.person_id).await?;
                }
                let new_codes =
                    tx.recovery_codes_left(&engine, &passkey.person_id).await? == 0 && !hold;
                if new_codes {
                    tx.replace_recovery_codes(&engine, &passkey.person_id, &codes)
                        .await?;
                }
                Ok::<_, storage::Error>(Ok((passkey, new_codes)))
            })
        })
        .await;
    match enrolled {
        // Registered by another instance in this very moment.
        Err(error) if error.is_unique_violation() => Err(PasskeyError::Known),
        enrolled => {
            let (passkey, new_codes) = enrolled??;
            Ok(Enrolled {
                passkey,
                recovery_codes: new_codes.then(|| codes.to_vec()),
            })
        }
    }
}

/// Takes the challenge and judges the answer (§7.1).
async fn answered(
    tx: &mut Tx,
    engine: &Engine,
    party: &RelyingParty,
    person: &str,
    session_hash: &[u8; 32],
    made: &FinishRegistration,
) -> Result<Result<(Registered, VouchedBy), PasskeyError>, storage::Error> {
    let challenge = match ClientData::parse(&made.client_data_json) {
        Ok(client_data) => client_data.challenge().to_owned(),
        Err(refused) => return Ok(Err(refused.into())),
    };
    let taken = tx
        .take_challenge(engine, &challenge, Purpose::Register, session_hash)
        .await?
        .filter(|open| open.person_id.as_deref() == Some(person));
    let Some(vouched_by) = taken.and_then(|open| open.vouched_by) else {
        return Ok(Err(PasskeyError::Challenge));
    };
    let asked = Asked {
        relying_party: party,
        challenge: &challenge,
        user_verification: true,
    };
    let registration = Registration {
        client_data_json: &made.client_data_json,
        attestation_object: &made.attestation_object,
    };
    Ok(registration
        .verify(&asked)
        .map(|registered| (registered, vouched_by))
        .map_err(PasskeyError::from))
}

/// Whether what vouched minutes ago still does; a recovery code is used up here.
async fn still_stands(
    tx: &mut Tx,
    engine: &Engine,
    person: &str,
    vouched_by: &VouchedBy,
) -> Result<Result<(), PasskeyError>, storage::Error> {
    let all = tx.passkeys_of(engine, person).await?;
    let now = tx.now();
    let active = all
        .iter()
        .filter(|passkey| passkey.state == PasskeyState::Active)
        .count();
    if active >= MOST {
        return Ok(Err(PasskeyError::TooMany));
    }
    Ok(match vouched_by {
        VouchedBy::SignIn if ever_had_one(tx, engine, person).await? => {
            Err(PasskeyError::NeedsPasskey)
        }
        VouchedBy::SignIn => Ok(()),
        VouchedBy::Passkey(id) => all
            .iter()
            .any(|passkey| passkey.id == *id && passkey.counts(now))
            .then_some(())
            .ok_or(PasskeyError::NeedsPasskey),
        VouchedBy::Recovery(id) => {
            let used = tx.use_recovery_code(engine, person, id).await?;
            if used {
                let left = tx.recovery_codes_left(engine, person).await?;
                let event = Event::new(Kind::RecoveryCodeUsed)
                    .person(person)
                    .data("code", id.as_str())
                    .data("left", left);
                tx.record(event);
            }
            used.then_some(()).ok_or(PasskeyError::RecoveryCode)
        }
    })
}

/// The event of a new passkey; with a hold, it says until when.
fn added(passkey: &Passkey) -> Event {
    let event = passkey
        .event(Kind::PasskeyAdded)
        .data("alg", passkey.alg.as_str())
        .data("device_bound", passkey.device_bound)
        .data("vouched_by", passkey.vouched_by.to_string());
    match passkey.hold_until {
        Some(until) => event.data("hold_until", until),
        None => event,
    }
}

/// Transports are hints: those of a plausible form are kept, known or not.
fn well_formed(transports: &[String]) -> Vec<String> {
    transports
        .iter()
        .filter(|word| {
            (1..=20).contains(&word.len())
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        })
        .take(8)
        .cloned()
        .collect()
}
