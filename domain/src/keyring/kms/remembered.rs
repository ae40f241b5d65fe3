//! Unwrapped keys, kept for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use quick_cache::sync::Cache;

use super::super::{Error, KeyEncryption, sha256};
use crate::clock::Clock;
use crate::secret::Secret;

/// How many unwrapped keys are kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remember {
    /// At most so many.
    pub most: usize,
    /// So long after they were unwrapped.
    pub lifetime: Duration,
}

impl Default for Remember {
    fn default() -> Self {
        Self {
            most: 10_000,
            lifetime: Duration::from_secs(300),
        }
    }
}

#[derive(Clone)]
struct Kept {
    key: Arc<Secret<Vec<u8>>>,
    /// On the monotonic clock, milliseconds.
    until: i64,
}

/// A key provider that is asked again only for what it was not asked for of
/// late. What is kept is found by a digest of the wrapped bytes and of the row,
/// so other bytes or another row are always asked for; and who no longer has
/// the wrapped bytes, because they were shredded, finds nothing.
pub struct Remembered<K> {
    inner: K,
    clock: Arc<dyn Clock>,
    lifetime_ms: i64,
    kept: Cache<[u8; 32], Kept>,
    trouble: Mutex<Option<String>>,
}

impl<K: KeyEncryption> Remembered<K> {
    /// Remembers for `inner`.
    pub fn new(inner: K, clock: Arc<dyn Clock>, remember: Remember) -> Self {
        Self {
            inner,
            clock,
            lifetime_ms: i64::try_from(remember.lifetime.as_millis()).unwrap_or(i64::MAX),
            kept: Cache::new(remember.most),
            trouble: Mutex::new(None),
        }
    }

    fn name(wrapped: &[u8], aad: &[u8]) -> [u8; 32] {
        let length = (aad.len() as u64).to_be_bytes();
        sha256(&[&length, aad, wrapped].concat())
    }

    fn noted<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        let trouble = match &outcome {
            Err(Error::Unavailable(words)) => Some(words.clone()),
            _ => None,
        };
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        outcome
    }

    fn keep(&self, key: Secret<Vec<u8>>) -> Kept {
        Kept {
            key: Arc::new(key),
            until: self.clock.monotonic().saturating_add(self.lifetime_ms),
        }
    }
}

#[async_trait]
impl<K: KeyEncryption> KeyEncryption for Remembered<K> {
    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn wrap(&self, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
        let wrapped = self.noted(self.inner.wrap(plain, aad).await)?;
        let kept = self.keep(Secret::new(plain.to_vec()));
        self.kept.insert(Self::name(&wrapped, aad), kept);
        Ok(wrapped)
    }

    async fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let name = Self::name(wrapped, aad);
        let now = self.clock.monotonic();
        self.kept.remove_if(&name, |kept| kept.until <= now);
        // However many ask for the same key at once, the provider is asked once.
        let kept = self
            .kept
            .get_or_insert_async(&name, async {
                let key = self.noted(self.inner.unwrap(wrapped, aad).await)?;
                Ok::<_, Error>(self.keep(key))
            })
            .await?;
        Ok((*kept.key).clone())
    }

    fn may_have_wrapped(&self, wrapped: &[u8]) -> bool {
        self.inner.may_have_wrapped(wrapped)
    }

    fn trouble(&self) -> Option<String> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::clock::ManualClock;
    use crate::ids::SeededRng;
    use crate::keyring::StaticKey;

    struct Counted(StaticKey, Arc<AtomicUsize>);

    #[async_trait]
    impl KeyEncryption for Counted {
        fn id(&self) -> &str {
            self.0.id()
        }
        async fn wrap(&self, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
            self.0.wrap(plain, aad).await
        }
        async fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.unwrap(wrapped, aad).await
        }
    }

    #[tokio::test]
    async fn a_key_is_asked_for_once_in_its_lifetime_and_never_for_another_row() {
        let (clock, calls) = (ManualClock::at(0), Arc::new(AtomicUsize::new(0)));
        let key = StaticKey::new(Secret::new([1; 32]), Arc::new(SeededRng::new(1)));
        let wrapped = key.wrap(b"data key", b"row").await.unwrap();
        let remember = Remember {
            most: 16,
            lifetime: Duration::from_secs(300),
        };
        let kept = Remembered::new(
            Counted(key, calls.clone()),
            Arc::new(clock.clone()),
            remember,
        );
        for _ in 0..100 {
            let plain = kept.unwrap(&wrapped, b"row").await.unwrap();
            assert_eq!(plain.expose(), b"data key");
        }
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert!(kept.unwrap(&wrapped, b"other row").await.is_err());
        let mut flipped = wrapped.clone();
        flipped[15] ^= 1;
        assert!(kept.unwrap(&flipped, b"row").await.is_err());
        assert_eq!(calls.load(Ordering::Relaxed), 3, "a refusal is not kept");
        clock.advance(Duration::from_secs(300));
        kept.unwrap(&wrapped, b"row").await.unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 4);
        // However many keys are asked for, only so many are kept.
        for row in 0..200_u8 {
            let wrapped = kept.wrap(b"data key", &[row]).await.unwrap();
            kept.unwrap(&wrapped, &[row]).await.unwrap();
        }
        assert_eq!(
            calls.load(Ordering::Relaxed),
            4,
            "what was wrapped here is known"
        );
        assert!(kept.kept.len() <= 16);
    }
}
