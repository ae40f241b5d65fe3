//! Key providers over the network, as the configuration names them.

use std::sync::Arc;
use std::time::Duration;

use domain::Engine;
use domain::clock::Clock;
use domain::ids::Rng;
use domain::keyring::kms::{AwsIdentity, AwsKms, Remember, Remembered, Transit, TransitToken};
use domain::keyring::{self, KeyEncryption};
use domain::outbound::Outbound;
use domain::secret::Secret;

use crate::config::Config;

/// What key providers need.
pub struct Around {
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The client for addresses of our own configuration.
    pub outbound: Arc<dyn Outbound>,
}

impl Around {
    /// As a running engine has it.
    #[must_use]
    pub fn of(engine: &Engine) -> Self {
        Self {
            rng: engine.rng.clone(),
            clock: engine.clock.clone(),
            outbound: engine.outbound.clone(),
        }
    }

    fn remembered<K: KeyEncryption>(&self, config: &Config, key: K) -> Arc<dyn KeyEncryption> {
        let remember = Remember {
            most: config.vault.data_keys_kept,
            lifetime: Duration::from_secs(config.vault.data_keys_kept_seconds),
        };
        Arc::new(Remembered::new(key, self.clock.clone(), remember))
    }
}

fn of_environment(name: &str) -> Result<Secret<String>, keyring::Error> {
    std::env::var(name)
        .map(Secret::new)
        .map_err(|_| keyring::Error::Unavailable(format!("the environment has no {name}")))
}

type Maybe = Result<Option<Arc<dyn KeyEncryption>>, keyring::Error>;

/// The key of `[vault.transit]`, if there is that section.
pub(crate) fn transit(config: &Config, around: &Around) -> Maybe {
    let Some(transit) = &config.vault.transit else {
        return Ok(None);
    };
    let token = match &transit.token_file {
        Some(path) => TransitToken::File(path.clone()),
        None => TransitToken::Given(of_environment("VAULT_TOKEN")?),
    };
    let key = Transit::new(
        &transit.address,
        &transit.mount,
        &transit.key,
        transit.namespace.as_deref(),
        token,
        around.outbound.clone(),
    )?;
    Ok(Some(around.remembered(config, key)))
}

/// The key of `[vault.aws_kms]`, if there is that section.
pub(crate) fn aws_kms(config: &Config, around: &Around) -> Maybe {
    let Some(kms) = &config.vault.aws_kms else {
        return Ok(None);
    };
    let identity = AwsIdentity::of_environment(&kms.region, |name| std::env::var(name).ok())?;
    let key = AwsKms::new(
        &kms.region,
        &kms.key_id,
        kms.endpoint.as_ref(),
        identity,
        around.clock.clone(),
        around.outbound.clone(),
    )?;
    Ok(Some(around.remembered(config, key)))
}
