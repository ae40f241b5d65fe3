//! Recovery codes: ten, each good for one new passkey, which is then on hold.
//!
//! A code has 80 random bits, so a keyed hash keeps it as well as a slow one
//! would; the key is not in the database.

use std::sync::Arc;

use super::registrations::{active_person, judge_proof};
use super::{PasskeyError, Proof, relying_party};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::identity::{Role, State, sessions};
use crate::secret::Secret;
use crate::storage::{self, Row, Tx};

const TABLE: &str = "recovery_codes";
/// How many there are.
const COUNT: usize = 10;
/// Crockford's base 32: no letter that is taken for a digit.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A new code, `xxxx-xxxx-xxxx-xxxx`.
fn one(engine: &Engine) -> Secret<String> {
    let random = crate::ids::random::<16>(&*engine.rng);
    let mut code = String::with_capacity(19);
    for (position, byte) in random.iter().enumerate() {
        if position > 0 && position % 4 == 0 {
            code.push('-');
        }
        code.push(char::from(LETTERS[usize::from(byte & 31)]));
    }
    Secret::new(code)
}

/// Ten new codes.
pub(super) fn make(engine: &Engine) -> Vec<Secret<String>> {
    std::iter::repeat_with(|| one(engine)).take(COUNT).collect()
}

/// A code as it is hashed: as people may type it, in capitals, with spaces, and
/// with the letters that stand for digits.
fn normal(code: &Secret<String>) -> Secret<String> {
    let text = code
        .expose()
        .chars()
        .filter(|letter| !matches!(letter, '-' | ' '))
        .take(64)
        .map(|letter| match letter.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        });
    Secret::new(text.collect())
}

fn hash(engine: &Engine, code: &Secret<String>) -> [u8; 32] {
    let code = normal(code);
    engine.keys.hash("recovery code", code.expose().as_bytes())
}

/// A row of `recovery_codes`, its MAC checked.
pub(super) struct Code {
    pub(super) id: String,
    person_id: String,
    code_hash: [u8; 32],
    used_at: Option<i64>,
}

impl Code {
    fn covered(&self) -> Vec<u8> {
        serde_json::json!([
            self.id,
            self.person_id,
            evidence::digest::base64url(&self.code_hash),
            self.used_at.map(|at| at.to_string()),
        ])
        .to_string()
        .into_bytes()
    }

    fn from_row(engine: &Engine, row: &Row) -> Result<Self, storage::Error> {
        let code = Self {
            id: row.get("id")?,
            person_id: row.get("person_id")?,
            code_hash: row.digest(TABLE, "code_hash")?,
            used_at: row.get("used_at")?,
        };
        let (mac, key): (Vec<u8>, String) = (row.get("mac")?, row.get("mac_key")?);
        if engine.keys.mac_holds(TABLE, &code.covered(), &mac, &key) {
            Ok(code)
        } else {
            Err(row.bad(TABLE, "mac"))
        }
    }
}

/// How many unused recovery codes a person has.
///
/// # Errors
/// The database's.
pub async fn codes_left(engine: &Engine, person_id: &str) -> Result<usize, storage::Error> {
    let mut reader = engine.store.reader().await?;
    reader.recovery_codes_left(engine, person_id).await
}

/// Gives a person ten new recovery codes; the old ones no longer count. Takes
/// the same proof as a new passkey, but no recovery code.
///
/// # Errors
/// See [`PasskeyError`].
pub async fn renew_codes(
    engine: &Engine,
    person_id: &str,
    session_id: &str,
    proof: Proof,
) -> Result<Vec<Secret<String>>, PasskeyError> {
    if matches!(proof, Proof::RecoveryCode(_)) {
        return Err(PasskeyError::NeedsPasskey);
    }
    let party = relying_party(engine)?;
    let session_hash = sessions::hash(engine, session_id);
    let codes = Arc::new(make(engine));
    let (at, id) = (engine.clone(), person_id.to_owned());
    let (proof, offered) = (Arc::new(proof), codes.clone());
    engine
        .store
        .write(move |tx| {
            let (engine, party, id) = (at.clone(), party.clone(), id.clone());
            let (proof, codes) = (proof.clone(), offered.clone());
            Box::pin(async move {
                if active_person(tx, &engine, &id).await?.is_none() {
                    return Ok(Err(PasskeyError::Locked));
                }
                let judged = judge_proof(tx, &engine, &party, &id, &session_hash, &proof).await?;
                if let Err(refused) = judged {
                    return Ok(Err(refused));
                }
                tx.replace_recovery_codes(&engine, &id, &codes).await?;
                Ok::<_, storage::Error>(Ok(()))
            })
        })
        .await??;
    Ok(codes.to_vec())
}

/// Gives one more recovery code for somebody who lost their passkeys and their
/// codes, for an admin to hand over. It opens nothing by itself: who uses it
/// must be signed in as the person, the passkey is on hold for a day, and the
/// person is told. `admin_id` is `None` when the operator does it by command.
///
/// # Errors
/// [`PasskeyError::NotAllowed`] for who is no active admin, or for an admin
/// about themselves; [`PasskeyError::Locked`] for who is locked or nobody.
pub async fn help_back(
    engine: &Engine,
    admin_id: Option<&str>,
    person_id: &str,
) -> Result<Secret<String>, PasskeyError> {
    let code = Arc::new(one(engine));
    let (at, offered) = (engine.clone(), code.clone());
    let (admin, id) = (admin_id.map(str::to_owned), person_id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, code) = (at.clone(), offered.clone());
            let (admin, id) = (admin.clone(), id.clone());
            Box::pin(async move {
                if let Some(admin) = &admin {
                    let by = tx.person(&engine.keys, admin).await?;
                    let may = by.is_some_and(|by| {
                        by.person.role == Role::Admin && by.person.state == State::Active
                    });
                    if !may || *admin == id {
                        return Err(PasskeyError::NotAllowed);
                    }
                }
                if active_person(tx, &engine, &id).await?.is_none() {
                    return Err(PasskeyError::Locked);
                }
                tx.insert_recovery_code(&engine, &id, &code).await?;
                let by = admin.as_deref().unwrap_or("command");
                let event = Event::new(Kind::RecoveryCodesIssued).person(&id);
                tx.record(event.data("by", by));
                Ok(())
            })
        })
        .await?;
    Ok((*code).clone())
}

impl Tx {
    /// Writes new codes in place of the old ones, and the event.
    pub(super) async fn replace_recovery_codes(
        &mut self,
        engine: &Engine,
        person_id: &str,
        codes: &[Secret<String>],
    ) -> Result<(), storage::Error> {
        self.execute(
            "delete from recovery_codes where person_id = $1",
            vec![person_id.into()],
        )
        .await?;
        for code in codes {
            self.insert_recovery_code(engine, person_id, code).await?;
        }
        self.record(Event::new(Kind::RecoveryCodesIssued).person(person_id));
        Ok(())
    }

    async fn insert_recovery_code(
        &mut self,
        engine: &Engine,
        person_id: &str,
        code: &Secret<String>,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        let code = Code {
            id: self.new_id("rec"),
            person_id: person_id.to_owned(),
            code_hash: hash(engine, code),
            used_at: None,
        };
        let (mac, mac_key) = engine.keys.mac(TABLE, &code.covered());
        self.execute(
            "insert into recovery_codes (id, person_id, code_hash, created_at, mac, mac_key) \
             values ($1, $2, $3, $4, $5, $6)",
            vec![
                code.id.into(),
                person_id.into(),
                code.code_hash.into(),
                now.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn recovery_codes_left(
        &mut self,
        engine: &Engine,
        person_id: &str,
    ) -> Result<usize, storage::Error> {
        let sql = "select * from recovery_codes where person_id = $1 limit 100";
        let rows = self.all(sql, vec![person_id.into()]).await?;
        let mut left = 0;
        for row in &rows {
            left += usize::from(Code::from_row(engine, row)?.used_at.is_none());
        }
        Ok(left)
    }

    /// The unused code of this person with this text.
    pub(super) async fn unused_recovery_code(
        &mut self,
        engine: &Engine,
        person_id: &str,
        code: &Secret<String>,
    ) -> Result<Option<Code>, storage::Error> {
        let row = self
            .optional(
                "select * from recovery_codes where code_hash = $1",
                vec![hash(engine, code).into()],
            )
            .await?;
        let code = row.map(|row| Code::from_row(engine, &row)).transpose()?;
        Ok(code.filter(|code| code.person_id == person_id && code.used_at.is_none()))
    }

    /// Uses a code up; whether it could be.
    pub(super) async fn use_recovery_code(
        &mut self,
        engine: &Engine,
        person_id: &str,
        id: &str,
    ) -> Result<bool, storage::Error> {
        let now = self.now();
        let row = self
            .swap(
                "update recovery_codes set used_at = used_at where id = $1 returning *",
                vec![id.into()],
            )
            .await?;
        let code = row.map(|row| Code::from_row(engine, &row)).transpose()?;
        let Some(mut code) =
            code.filter(|code| code.person_id == person_id && code.used_at.is_none())
        else {
            return Ok(false);
        };
        code.used_at = Some(now);
        let (mac, mac_key) = engine.keys.mac(TABLE, &code.covered());
        let done = self
            .execute(
                "update recovery_codes set used_at = $2, mac = $3, mac_key = $4 where id = $1 and used_at is null",
                vec![id.into(), now.into(), mac.into(), mac_key.into()],
            )
            .await?;
        Ok(done == 1)
    }
}
