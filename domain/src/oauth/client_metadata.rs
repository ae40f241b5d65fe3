//! What a client is registered with beyond the columns of its row: members of
//! RFC 7591 §2, OpenID Connect Registration §2, RP-Initiated Logout §3.1,
//! CIBA Core §4, RFC 9126 §6 and RFC 9449 §5.2, under their names there.
//!
//! It is one JSON text in the row and covered by the row's MAC.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::clients::Error;
use super::exchange::worker;
use super::jws;
use crate::keyring::SigningAlg;

/// How a client proves who it is (RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// `Authorization: Basic`; the body is taken as well.
    ClientSecretBasic,
    /// In the body; Basic is taken as well.
    ClientSecretPost,
    /// A JWT that the client signed (RFC 7523 §2.2).
    PrivateKeyJwt,
    /// A public client: PKCE stands for it.
    None,
}

impl AuthMethod {
    /// Every one, as discovery names them.
    pub const WORDS: [&'static str; 4] = [
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "none",
    ];
}

/// How the answer to an approval reaches the client (CIBA Core §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// It asks for it.
    #[default]
    Poll,
    /// It is told, and asks then.
    Ping,
    /// It is sent the tokens.
    Push,
}

impl Delivery {
    /// The word on the wire and in the database.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Ping => "ping",
            Self::Push => "push",
        }
    }
}

impl std::str::FromStr for Delivery {
    type Err = ();
    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "poll" => Ok(Self::Poll),
            "ping" => Ok(Self::Ping),
            "push" => Ok(Self::Push),
            _ => Err(()),
        }
    }
}

/// A privileged worker: it names the person itself in a token that it signs,
/// instead of presenting one of the person's (DESIGN: Token exchange).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrivilegedWorker {
    /// Where it may come from: addresses or networks (`192.0.2.0/24`). Empty: nowhere.
    pub ip_allow_list: Vec<String>,
    /// What it may have of which connection; nothing else.
    pub connections: Vec<WorkerGrant>,
}

impl PrivilegedWorker {
    fn check(&self) -> Result<(), Error> {
        if self.ip_allow_list.len() > 50 || self.connections.len() > 50 {
            return invalid("a privileged worker has at most 50 networks and 50 connections");
        }
        let wrong = self
            .ip_allow_list
            .iter()
            .find(|entry| worker::network(entry).is_none());
        if let Some(entry) = wrong {
            return Err(Error::Invalid(format!(
                "{entry} is no address and no network like 192.0.2.0/24"
            )));
        }
        Ok(())
    }
}

/// What a privileged worker may have of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerGrant {
    /// The connection's name.
    pub connection: String,
    /// The scopes it may ask for, at most.
    pub scopes: Vec<String>,
}

/// Metadata of a client. Everything may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientMetadata {
    /// `None`: its secret in either way, or none for a public client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<AuthMethod>,
    /// The one algorithm of its assertions; `None` takes any of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<String>,
    /// Its public keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// Where its public keys are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<Url>,
    /// How its ID tokens are signed: RS256 (default), ES256 or EdDSA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token_signed_response_alg: Option<String>,
    /// Where a browser may be sent after signing out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
    /// Its page for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<Url>,
    /// Its picture; kept, never fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<Url>,
    /// What it does with data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<Url>,
    /// Its terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<Url>,
    /// Whom to write to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// `native` or `web`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_type: Option<String>,
    /// Which program it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// In which version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    /// `max_age` where a request names none, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_max_age: Option<u32>,
    /// Its requests come by `/oauth/par` only.
    #[serde(skip_serializing_if = "is_false")]
    pub require_pushed_authorization_requests: bool,
    /// All its access tokens are bound to a key (RFC 9449 §5.2).
    #[serde(skip_serializing_if = "is_false")]
    pub dpop_bound_access_tokens: bool,
    /// How it learns of decisions.
    #[serde(skip_serializing_if = "is_poll")]
    pub backchannel_token_delivery_mode: Delivery,
    /// Where it is told of them, with ping and push.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_client_notification_endpoint: Option<Url>,
    /// Its requests carry the person's user code (CIBA Core §7.1).
    #[serde(skip_serializing_if = "is_false")]
    pub backchannel_user_code_parameter: bool,
    /// The client that may act for people with this one's access tokens
    /// (RFC 8693 §4.4); set by an admin only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub may_act: Option<String>,
    /// It may name people itself; set by an admin only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileged_worker: Option<PrivilegedWorker>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_poll(delivery: &Delivery) -> bool {
    *delivery == Delivery::Poll
}

fn invalid<T>(sentence: &str) -> Result<T, Error> {
    Err(Error::Invalid(sentence.to_owned()))
}

impl ClientMetadata {
    /// The algorithm of its ID tokens.
    #[must_use]
    pub fn id_token_alg(&self) -> SigningAlg {
        match self.id_token_signed_response_alg.as_deref() {
            Some("ES256") => SigningAlg::Es256,
            Some("EdDSA") => SigningAlg::EdDsa,
            _ => SigningAlg::Rs256,
        }
    }

    /// Whether it proves itself with its own key.
    #[must_use]
    pub fn uses_private_key(&self) -> bool {
        self.token_endpoint_auth_method == Some(AuthMethod::PrivateKeyJwt)
    }

    /// Judges what somebody wants to register.
    ///
    /// # Errors
    /// [`Error::Invalid`] with a sentence.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.jwks.is_some() && self.jwks_uri.is_some() {
            return invalid("give jwks or jwks_uri, not both");
        }
        if let Some(set) = &self.jwks {
            jws::key_set(set).map_err(|words| Error::Invalid(words.to_owned()))?;
        }
        if self.uses_private_key() && self.jwks.is_none() && self.jwks_uri.is_none() {
            return invalid("private_key_jwt needs jwks or jwks_uri");
        }
        let alg = self.token_endpoint_auth_signing_alg.as_deref();
        if alg.is_some_and(|alg| !jws::ALGORITHMS.contains(&alg)) {
            return invalid("that token_endpoint_auth_signing_alg is not taken here");
        }
        let alg = self.id_token_signed_response_alg.as_deref();
        if alg.is_some_and(|alg| !["RS256", "ES256", "EdDSA"].contains(&alg)) {
            return invalid("id_token_signed_response_alg is RS256, ES256 or EdDSA");
        }
        if self.post_logout_redirect_uris.len() > 50 || self.contacts.len() > 20 {
            return invalid("there are too many addresses");
        }
        for uri in &self.post_logout_redirect_uris {
            super::registration::check_redirect(uri)?;
        }
        // RFC 8252 does not speak of plain http here; a person's browser goes there.
        for page in [
            &self.client_uri,
            &self.logo_uri,
            &self.policy_uri,
            &self.tos_uri,
        ]
        .into_iter()
        .flatten()
        {
            if !matches!(page.scheme(), "https" | "http") {
                return invalid("client_uri, logo_uri, policy_uri and tos_uri are web addresses");
            }
        }
        for (name, address) in [
            ("jwks_uri", &self.jwks_uri),
            (
                "backchannel_client_notification_endpoint",
                &self.backchannel_client_notification_endpoint,
            ),
        ] {
            if let Some(address) = address {
                fetchable(name, address)?;
            }
        }
        let told = self.backchannel_token_delivery_mode != Delivery::Poll;
        if told != self.backchannel_client_notification_endpoint.is_some() {
            return invalid(
                "backchannel_client_notification_endpoint goes with the delivery modes ping and push, and only with them",
            );
        }
        if self.backchannel_token_delivery_mode == Delivery::Push && self.dpop_bound_access_tokens {
            return invalid(
                "tokens that are pushed cannot be bound to a key; leave out dpop_bound_access_tokens, or use ping",
            );
        }
        if let Some(worker) = &self.privileged_worker {
            worker.check()?;
            if self.jwks.is_none() && self.jwks_uri.is_none() {
                return invalid("a privileged worker needs jwks or jwks_uri");
            }
        }
        let application = self.application_type.as_deref();
        if application.is_some_and(|kind| !["web", "native"].contains(&kind)) {
            return invalid("application_type is web or native");
        }
        Ok(())
    }
}

/// Whether the guarded client could ever call this address: https, or http on
/// loopback (which it calls in demo and tests only).
fn fetchable(name: &str, address: &Url) -> Result<(), Error> {
    let loopback = matches!(
        address.host_str(),
        Some("localhost" | "127.0.0.1" | "[::1]")
    );
    if address.scheme() == "https" || (address.scheme() == "http" && loopback) {
        return Ok(());
    }
    Err(Error::Invalid(format!("{name} must be an https address")))
}
