//! The log's name and key.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use evidence::checkpoint::{self, Checkpoint};
use evidence::note::{NoteError, SignedNote, VerifierKey};
use url::Url;

use super::Error;
use super::sql::StoredCheckpoint;
use crate::Engine;

/// The log as whoever signs for it or checks it sees it.
pub(super) struct Log {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl Log {
    /// A log keeps the name that its newest checkpoint carries, even when the
    /// deployment moves to another address: a new name would be a new log, and
    /// outside checkpoints could no longer be held against it. Only a
    /// checkpoint that our key signed has a say.
    pub(super) fn open(engine: &Engine, newest: Option<&StoredCheckpoint>) -> Result<Self, Error> {
        let key = engine.keys.log();
        let pair = Ed25519KeyPair::from_pkcs8(key.private_der.expose())
            .map_err(|error| Error::Key(error.to_string()))?;
        // From the private half: the public one lies in the database unsealed.
        let public: [u8; 32] = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| Error::Key("its public half has the wrong length".to_owned()))?;
        let named = |name: &str| VerifierKey::new(name, public);
        let kept = newest.and_then(|newest| {
            let text = SignedNote::parse(&newest.note).ok()?.text;
            let verifier = named(text.lines().next()?).ok()?;
            checkpoint::verify_with(&newest.note, std::slice::from_ref(&verifier)).ok()?;
            Some(verifier)
        });
        let verifier = match kept {
            Some(verifier) => verifier,
            None => named(&first_name(engine)).map_err(|error| Error::Key(error.to_string()))?,
        };
        Ok(Self { pair, verifier })
    }

    pub(super) fn origin(&self) -> &str {
        self.verifier.name()
    }

    pub(super) const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    pub(super) fn sign(&self, size: u64, root: [u8; 32]) -> Result<String, Error> {
        let checkpoint = Checkpoint {
            origin: self.origin().to_owned(),
            size,
            root,
        };
        checkpoint::sign(&checkpoint, self.origin(), &self.pair)
            .map_err(|error| Error::Key(error.to_string()))
    }

    /// What a note says, if this log signed it.
    pub(super) fn read(&self, note: &str) -> Result<Checkpoint, NoteError> {
        checkpoint::verify_with(note, std::slice::from_ref(&self.verifier))
    }
}

/// The name of a log that has signed nothing yet.
fn first_name(engine: &Engine) -> String {
    let issuer = Url::parse(&engine.settings.issuer).ok();
    let host = issuer.as_ref().and_then(Url::host_str).unwrap_or("attorn");
    format!("{host}/audit/{}", engine.keys.deployment_id())
}

/// The log's verifier key (C2SP signed-note), for whoever checks exports and
/// receipts: `name+id+key`. Hand it out by a way other than the export.
///
/// # Errors
/// The database's, or when the key cannot be used.
pub async fn verifier_key(engine: &Engine) -> Result<String, Error> {
    let newest = engine.store.reader().await?.audit_newest().await?;
    Ok(Log::open(engine, newest.as_ref())?.verifier().to_string())
}
