//! argon2id, with the parameters OWASP names (19 MiB, 2 passes, 1 lane).

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use super::Error;
use crate::Engine;
use crate::secret::Secret;

/// The longest password in bytes; more would only be work for us.
const LONGEST: usize = 1024;

/// Whether somebody may have this password. Length is what counts (NIST SP
/// 800-63B §5.1.1.2); no rules about its characters.
pub(super) fn acceptable(password: &Secret<String>) -> Result<(), Error> {
    if password.expose().chars().count() < 8 {
        return Err(Error::Invalid("a password has at least 8 characters"));
    }
    if password.expose().len() > LONGEST {
        return Err(Error::Invalid("a password has at most 1,024 bytes"));
    }
    Ok(())
}

fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(hashing)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hashing(error: impl std::fmt::Display) -> Error {
    Error::Hashing(error.to_string())
}

/// Runs the slow part off the async threads, two at a time.
async fn apart<T, F>(engine: &Engine, work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    let permit = engine
        .people
        .hashing
        .clone()
        .acquire_owned()
        .await
        .map_err(hashing)?;
    tokio::task::spawn_blocking(move || {
        // The permit goes with the work: a caller that gives up frees nothing early.
        let _permit = permit;
        work()
    })
    .await
    .map_err(hashing)?
}

/// The PHC string of a password.
pub(super) async fn hash(engine: &Engine, password: Secret<String>) -> Result<String, Error> {
    let salt = crate::ids::random::<16>(&*engine.rng);
    apart(engine, move || {
        let salt = SaltString::encode_b64(&salt).map_err(hashing)?;
        let hash = argon2()?
            .hash_password(password.expose().as_bytes(), &salt)
            .map_err(hashing)?;
        Ok(hash.to_string())
    })
    .await
}

/// Whether a password is the one. Without a hash the work is done all the same,
/// so that time does not tell who exists.
pub(super) async fn matches(
    engine: &Engine,
    password: Secret<String>,
    hash: Option<String>,
) -> Result<bool, Error> {
    apart(engine, move || {
        if password.expose().len() > LONGEST {
            return Ok(false);
        }
        let Some(hash) = hash else {
            let salt = SaltString::encode_b64(&[0; 16]).map_err(hashing)?;
            let _ = argon2()?
                .hash_password(password.expose().as_bytes(), &salt)
                .map_err(hashing)?;
            return Ok(false);
        };
        let hash = PasswordHash::new(&hash).map_err(hashing)?;
        Ok(argon2()?
            .verify_password(password.expose().as_bytes(), &hash)
            .is_ok())
    })
    .await
}
