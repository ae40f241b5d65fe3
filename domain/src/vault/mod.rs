//! The vault: people's accounts elsewhere, and the tokens that come with them.
//!
//! The map:
//! - [`providers`]: the catalogue, data in `providers.toml`. [`own`]: what a deployment
//!   adds to it; [`discover`]: from an OpenID provider's own words.
//! - [`connections`]: a provider set up with a client id and secret.
//! - [`link`]: a person links an account (authorization code, PKCE).
//! - [`connect`]: the same at a client's request (`/me/v1/connected-accounts`).
//! - [`accounts`]: what a person has linked; unlinking. [`revocations`]: telling the provider.
//! - [`permissions`]: what a person lets one client do with one account.
//! - [`fresh_token`] and `step.rs`: one refresh at a time, never an answer lost.
//! - [`journal`]: answers on disk while the database is away.
//! - [`ahead`]: refreshing before anybody waits for it. `breaker.rs`: sparing a provider that is unwell.
//! - [`release`]: a provider token for a client. [`proxy`]: the call without the token.
//!
//! What always holds here: tokens lie sealed under the account's own data key,
//! bound to their row, their provider client and the origins they may travel
//! to (`envelope.rs`). A provider's answer is sealed and stored before anything
//! is decided about it. The default permission is none.

pub mod accounts;
pub mod ahead;
mod approved;
mod breaker;
pub mod connect;
pub mod connections;
pub mod discover;
pub(crate) mod envelope;
mod error;
mod flight;
mod flight_sql;
mod headers;
mod held;
mod identify;
pub mod journal;
mod legible;
pub mod link;
mod linked;
mod origins;
mod overrides;
pub mod own;
pub(crate) mod pages;
pub mod permissions;
mod permissions_sql;
mod permitted;
pub mod providers;
pub mod proxy;
mod refresh;
mod release;
pub mod revocations;
mod revoke;
#[cfg(test)]
mod rotation_tests;
mod scrub;
mod shapes;
mod sql;
mod step;
mod suspect;
mod verdict;
mod wire;

pub use accounts::{Account, AccountState};
pub use connections::Connection;
pub use error::{Error, Reason};
pub(crate) use headers::{check_path, overrides_method};
pub use overrides::Overrides;
pub use permissions::{AccessMode, Permission};
pub(crate) use providers::EncodedSlash;
pub use refresh::{FreshToken, Memory, TokenKind, fresh_token};
pub use release::{OnBehalf, Release, Released, release};
pub(crate) use sql::WRAPPED;
