//! The key-encryption keys that a process knows: the one that wraps, and those
//! that may still have wrapped something.
//!
//! Which one wraps is for the database to say, so that all instances agree;
//! which ones are known is for the configuration.

use std::sync::{Arc, PoisonError, RwLock};

use super::{Error, KeyEncryption};
use crate::secret::Secret;

/// The keys that a configuration names.
#[derive(Clone)]
pub struct KeySet {
    /// The one that shall wrap: a new database's, and the aim of a rotation.
    pub first: Arc<dyn KeyEncryption>,
    /// Those that may have wrapped something before.
    pub others: Vec<Arc<dyn KeyEncryption>>,
}

impl KeySet {
    fn all(&self) -> impl Iterator<Item = &Arc<dyn KeyEncryption>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The key with this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Arc<dyn KeyEncryption>> {
        self.all().find(|key| key.id() == id)
    }

    /// The ids of all, for a sentence.
    #[must_use]
    pub fn ids(&self) -> String {
        let ids: Vec<_> = self.all().map(|key| key.id()).collect();
        ids.join(", ")
    }
}

impl<K: KeyEncryption> From<Arc<K>> for KeySet {
    fn from(key: Arc<K>) -> Self {
        Self {
            first: key,
            others: Vec::new(),
        }
    }
}

/// Wraps with one key, unwraps with any that is known.
pub struct Keks(RwLock<Known>);

#[derive(Clone)]
struct Known {
    set: KeySet,
    wraps: Arc<dyn KeyEncryption>,
}

impl Keks {
    pub(super) fn new(set: KeySet, wraps: &str) -> Result<Self, Error> {
        let wraps = needed(&set, wraps)?;
        Ok(Self(RwLock::new(Known { set, wraps })))
    }

    fn known(&self) -> Known {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The id of the key that wraps now.
    #[must_use]
    pub fn wraps(&self) -> String {
        self.known().wraps.id().to_owned()
    }

    /// The id of the key that the configuration wants to wrap.
    #[must_use]
    pub fn wanted(&self) -> String {
        self.known().set.first.id().to_owned()
    }

    /// Why the key that wraps cannot be had at present, if it is so.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.known().wraps.trouble()
    }

    /// Whether a key with this id is known.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.known().set.find(id).is_some()
    }

    /// Wraps `plain` for the row that `aad` names; with the id of the key.
    ///
    /// # Errors
    /// The key provider's.
    pub async fn wrap(&self, plain: &[u8], aad: &[u8]) -> Result<(Vec<u8>, String), Error> {
        let key = self.known().wraps;
        Ok((key.wrap(plain, aad).await?, key.id().to_owned()))
    }

    /// Unwraps what any known key wrapped for the same row.
    ///
    /// # Errors
    /// [`Error::DoesNotOpen`] when none of them did; the key provider's.
    pub async fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let Known { set, wraps } = self.known();
        let others = set.all().filter(|key| key.id() != wraps.id());
        // What a key wrapped is authentic: trying another one cannot open it wrongly.
        for key in std::iter::once(&wraps).chain(others) {
            if !key.may_have_wrapped(wrapped) {
                continue;
            }
            match key.unwrap(wrapped, aad).await {
                Err(Error::DoesNotOpen) => {}
                outcome => return outcome,
            }
        }
        Err(Error::DoesNotOpen)
    }

    /// Learns the keys of a changed configuration. What was known stays known:
    /// something in memory may still be wrapped with it.
    pub fn learn(&self, set: KeySet) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let old: Vec<_> = known
            .set
            .all()
            .filter(|key| set.find(key.id()).is_none())
            .cloned()
            .collect();
        known.set = set;
        known.set.others.extend(old);
    }

    /// From now on this key wraps.
    ///
    /// # Errors
    /// When it is not known here.
    pub(crate) fn wrap_with(&self, id: &str) -> Result<(), Error> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.wraps = needed(&known.set, id)?;
        Ok(())
    }
}

fn needed(set: &KeySet, id: &str) -> Result<Arc<dyn KeyEncryption>, Error> {
    set.find(id).cloned().ok_or_else(|| {
        Error::Unavailable(format!(
            "this database needs the key-encryption key {id}, but the configuration gives {}",
            set.ids()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SeededRng;
    use crate::keyring::StaticKey;

    fn key(byte: u8) -> Arc<StaticKey> {
        let rng = Arc::new(SeededRng::new(u64::from(byte)));
        Arc::new(StaticKey::new(Secret::new([byte; 32]), rng))
    }

    #[tokio::test]
    async fn what_a_former_key_wrapped_opens_until_it_is_no_longer_known() {
        let (old, new) = (key(1), key(2));
        let keks = Keks::new(old.clone().into(), old.id()).unwrap();
        let (wrapped, id) = keks.wrap(b"data key", b"row").await.unwrap();
        assert_eq!(id, old.id());
        keks.learn(new.clone().into());
        assert_eq!(
            (keks.wraps(), keks.wanted()),
            (old.id().into(), new.id().into())
        );
        keks.wrap_with(new.id()).unwrap();
        let plain = keks.unwrap(&wrapped, b"row").await.unwrap();
        assert_eq!(plain.expose(), b"data key");
        assert!(keks.unwrap(&wrapped, b"other row").await.is_err());
        let (_, id) = keks.wrap(b"data key", b"row").await.unwrap();
        assert_eq!(id, new.id());

        let alone = Keks::new(new.clone().into(), new.id()).unwrap();
        assert!(matches!(
            alone.unwrap(&wrapped, b"row").await,
            Err(Error::DoesNotOpen)
        ));
        assert!(Keks::new(new.into(), old.id()).is_err());
    }
}
