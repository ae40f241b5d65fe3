//! Forgetting what has run out, some at a time.

use crate::Engine;
use crate::storage::Error;

/// Forgets at most a thousand of each: codes that ran out more than a day ago
/// (until then a replay is known for what it is), pushed requests, requests of devices, and ids that
/// work once whose tokens have run out. Answers how many.
///
/// # Errors
/// Storage's.
pub async fn sweep(engine: &Engine) -> Result<u64, Error> {
    engine
        .store
        .write(move |tx| {
            Box::pin(async move {
                let before = tx.now() - 24 * 60 * 60 * 1000;
                Ok(tx.sweep_codes(before).await?
                    + tx.sweep_devices(before).await?
                    + tx.sweep_jtis().await?
                    + tx.sweep_pushed().await?)
            })
        })
        .await
}
