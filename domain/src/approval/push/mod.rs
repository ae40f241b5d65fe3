//! Web Push: a notice to a person's browser, over a push service that neither
//! reads nor forges it.
//!
//! - [`encrypt`]: the message encrypted for one subscription (RFC 8291 on
//!   RFC 8188).
//! - [`vapid`]: who we are, for the push service (RFC 8292).
//! - [`send`]: one delivery (RFC 8030), its end as an [`Outcome`].
//! - [`subscriptions`]: the browsers of a person.
//! - [`notices`]: what they are told, and when it is tried again.
//!
//! What always holds here: the address came from a browser, so only the
//! guarded client calls it; a payload is padded, so that its length tells
//! nothing; what is shown is decided by our worker from the payload, and the
//! payload never carries a credential.

pub mod encrypt;
pub mod notices;
mod retry_after;
mod send;
mod sql;
pub mod subscriptions;
#[cfg(test)]
mod tests;
pub mod vapid;

pub(super) use retry_after::retry_after;
pub(crate) use sql::WRAPPED;

pub use send::{Outcome, Push, SendError, Topic, Urgency, send};

use crate::secret::Secret;

/// The public key of a browser's subscription: an uncompressed P-256 point.
pub const PUBLIC_KEY: usize = 65;

/// What a browser gave us to encrypt with (`PushSubscription.getKey`).
#[derive(Clone)]
pub struct Keys {
    /// `p256dh`.
    pub p256dh: [u8; PUBLIC_KEY],
    /// `auth`: known to the browser and us only.
    pub auth: Secret<[u8; 16]>,
}
