//! The authorization server: clients, consents, and our own tokens.
//!
//! The map:
//! - [`clients`]: who may talk to us; [`authenticate`]: proving it.
//! - [`authorize`]: the code flow up to the redirect; [`consents`]: what a
//!   person allowed which client.
//! - [`token`]: the token endpoint; `code`, `refresh`, `client_credentials`,
//!   `ciba`, `exchange`: one file per grant.
//! - [`backchannel`]: a request for an approval (CIBA), read from the wire.
//! - [`access`], [`id_token`]: tokens as signed statements; [`revoke`]: ending them.
//! - [`metadata`]: what we say about ourselves. [`error`]: one table of codes.
//!
//! What always holds here: an access token is for one audience; codes and
//! refresh tokens are kept as keyed hashes; all tokens of one authorization
//! form a family and can be ended together; nothing is issued to a frozen
//! client or for a locked person, because the rows are read in the write that
//! issues.

pub mod access;
pub mod clients;
pub mod error;
pub mod families;
mod jwt;
pub mod params;
mod sql;

pub use access::Presented;
pub use clients::{Client, ClientKind, ClientState, GrantType, NewClient, Source};
pub use error::{Code, OauthError};
pub use params::Params;

use aws_lc_rs::constant_time;

use crate::Engine;
use crate::secret::Secret;
