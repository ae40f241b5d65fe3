//! Ids that may be used once: `jti` of assertions and proofs (RFC 7523 §3,
//! RFC 9449 §11.1). They are kept as hashes until the token they came in has
//! run out, so that every instance knows them.

use crate::Engine;
use crate::storage::{Error, Tx};

/// Notes a use. Answers whether it was the first.
///
/// `whose` keeps the ids of different clients or keys apart; `until` is when
/// the token they came in runs out, Unix milliseconds.
pub(super) async fn first_use(
    engine: &Engine,
    whose: &str,
    jti: &str,
    until: i64,
) -> Result<bool, Error> {
    let hash = engine
        .keys
        .hash("jti", format!("{whose}\0{jti}").as_bytes());
    engine
        .store
        .write(move |tx| Box::pin(async move { tx.use_jti(hash, until).await }))
        .await
}

impl Tx {
    async fn use_jti(&mut self, hash: [u8; 32], until: i64) -> Result<bool, Error> {
        let done = self
            .swap(
                "insert into used_jtis (jti_hash, expires_at) values ($1, $2) \
                 on conflict (jti_hash) do nothing returning jti_hash",
                vec![hash.to_vec().into(), until.into()],
            )
            .await?;
        Ok(done.is_some())
    }

    /// Forgets ids whose tokens have run out, at most a thousand.
    pub(super) async fn sweep_jtis(&mut self) -> Result<u64, Error> {
        let now = self.now();
        self.execute(
            "delete from used_jtis where jti_hash in \
             (select jti_hash from used_jtis where expires_at < $1 limit 1000)",
            vec![now.into()],
        )
        .await
    }
}
