//! The authorization server: clients, consents, and our own tokens.
//!
//! The map:
//! - [`clients`]: who may talk to us, registered by an admin or by themselves
//!   ([`dynamic_registration`], `metadata_document`); [`authenticate`]: proving it, by secret
//!   or `assertion`; `jws`, `client_keys`, `replay`: other people's tokens,
//!   their keys, and ids that work once; [`RequestHead`]: what a request says
//!   outside its parameters.
//! - [`authorize`]: judging a request of the code flow; [`allow`], [`deny`]:
//!   what the person answers; [`consents`]: what they allowed which client.
//! - [`par`]: requests that were pushed; [`introspect`], [`userinfo`]: what a
//!   token is worth, and whom it is about.
//! - [`signing_keys`]: the keys of tokens take turns.
//! - [`logout`]: signing out at the wish of a client.
//! - [`token`]: the token endpoint; `code`, `refresh`, `client_credentials`,
//!   `ciba`, `exchange`: one file per grant.
//! - [`device`]: a device without a browser; its person answers here.
//! - [`backchannel`]: a request for an approval (CIBA), read from the wire;
//!   `person_hint`: whom it is about; [`notify`]: telling the client of its end.
//! - [`dpop`]: tokens bound to a key; [`present`]: a token at a resource of ours.
//! - [`access`], `id_token`: tokens as signed statements; [`revoke()`]: ending them.
//! - `memory`: what this room knows by heart.
//! - [`metadata`]: what we say about ourselves. [`error`]: one table of codes.
//!
//! Which check runs at which endpoint, in this order:
//!
//! | endpoint | size, duplicates, NUL | who asks | key (DPoP) | counted by | and then |
//! |---|---|---|---|---|---|
//! | `/authorize` | [`Params::query`] | client by id, address exact; then the person's session | `dpop_jkt` bound to the code | — | [`authorize`] |
//! | `/oauth/par` | [`Params`] | [`client_of`] | bound to the code | client | as `/authorize` |
//! | `/oauth/token` | [`Params`] | [`client_of`] | `dpop::check` | client; wrong proofs by client and address | the table in [`token`] |
//! | `/bc-authorize` | [`Params`] | [`client_of`], confidential | — | client; client and person | one hint, the person's relation to the client, user code, details |
//! | `/oauth/device/code` | [`Params`] | [`client_of`] | — | client | scopes, audience |
//! | `/oauth/revoke` | [`Params`] | [`client_of`] | — | client | the token is this client's |
//! | `/oauth/introspect` | [`Params`] | [`client_of`], confidential | — | client | the token is this client's, or for its audience |
//! | `/userinfo`, `/me`, `/proxy` | [`RequestHead`] | access token by [`present`] | where the token is bound | — | audience, scope; client, person and family by their rows |
//! | `/oidc/register` | strict JSON | policy, initial token | — | address | [`dynamic_registration`] |
//! | `/oidc/register/{id}` | strict JSON | registration access token | — | — | the registration is the token's |
//! | `/oidc/logout` | [`Params`] | `id_token_hint`, or the person is asked | — | — | registered addresses only |
//!
//! What always holds here: an access token is for one audience; codes and
//! refresh tokens are kept as keyed hashes; all tokens of one authorization
//! form a family and can be ended together; nothing is issued to a frozen
//! client or for a locked person, because the rows are read in the write that
//! issues.

pub mod access;
mod assertion;
mod authenticate;
pub mod authorize;
pub mod backchannel;
mod bearer;
mod ciba;
mod client_credentials;
mod client_keys;
mod client_metadata;
pub mod clients;
mod code;
pub mod consent_page;
pub mod consents;
pub mod device;
pub mod dpop;
pub mod dynamic_registration;
pub mod error;
pub mod exchange;
pub mod families;
mod first;
mod id_token;
pub mod introspect;
pub(crate) mod jws;
mod jwt;
pub mod logout;
mod memory;
pub mod metadata;
mod metadata_document;
mod networks;
pub mod notify;
pub mod par;
pub mod params;
mod person_hint;
mod refresh;
mod registration;
mod replay;
mod request_head;
mod revoke;
pub mod signing_keys;
mod sql;
mod sql_grants;
mod sweep;
#[cfg(test)]
mod tests;
pub mod token;
pub mod userinfo;

pub use access::Presented;
pub use authenticate::{ClientCredentials, Via, authenticate, client_of};
pub use authorize::{AccountAccess, AuthorizeError, AuthorizeRequest};
pub use bearer::present;
pub use clients::{
    AuthMethod, Client, ClientKind, ClientMetadata, ClientState, Delivery, GrantType, NewClient,
    Source,
};
pub use consent_page::{Offered, allow, consent_needed, deny, offered};
pub use consents::has_relation;
pub use error::{Code, OauthError};
pub use memory::Memory;
pub use params::Params;
pub use registration::RegistrationPolicy;
pub use request_head::RequestHead;
pub use revoke::revoke;
pub use sweep::sweep;
pub use token::{TokenAnswer, TokenRequest};
