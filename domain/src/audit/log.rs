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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn signed_as(origin: &str, pair: &Ed25519KeyPair) -> StoredCheckpoint {
        let checkpoint = Checkpoint {
            origin: origin.to_owned(),
            size: 3,
            root: [9; 32],
        };
        StoredCheckpoint {
            size: 3,
            root: vec![9; 32],
            note: checkpoint::sign(&checkpoint, origin, pair).unwrap(),
            created_at: 0,
        }
    }

    #[tokio::test]
    async fn a_log_keeps_its_name_when_the_deployment_moves() {
        let bench = Bench::new().await;
        let first = Log::open(&bench, None).unwrap();
        let name = format!("attorn.test/audit/{}", bench.keys.deployment_id());
        assert_eq!(first.origin(), name);
        let elsewhere = signed_as("old.test/audit/dep_1", &first.pair);
        let moved = Log::open(&bench, Some(&elsewhere)).unwrap();
        assert_eq!(moved.origin(), "old.test/audit/dep_1");
        assert_eq!(moved.read(&elsewhere.note).unwrap().size, 3);
    }

    #[tokio::test]
    async fn a_checkpoint_of_another_key_has_no_say_in_the_name() {
        let bench = Bench::new().await;
        let foreign = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let foreign = signed_as("foreign.test/audit/dep_1", &foreign);
        let log = Log::open(&bench, Some(&foreign)).unwrap();
        assert!(log.origin().starts_with("attorn.test/"));
        assert!(log.read(&foreign.note).is_err());
    }
}
