//! The token endpoint (RFC 6749 §3.2): one request, one grant, one answer.
//!
//! Which check runs for which grant:
//!
//! | grant | client kind | subject | person and client active | family live | consumed |
//! |---|---|---|---|---|---|
//! | authorization_code | any | code of this client, PKCE | in the write | begins | code |
//! | refresh_token | any | token of this client | in the write | in the write | token, if it rotates |
//! | client_credentials | confidential | the client | in the write | none | nothing |
//! | CIBA | confidential | approval of this client | before and in the write | begins | approval |
//! | device_code | any | request of this client, allowed | in the write | begins | request |
//! | token exchange | confidential | see [`super::exchange`] | before release | before release | nothing |

use serde_json::{Map, Value};

use super::authenticate::client_of;
use super::clients::{Client, GrantType};
use super::error::{Code, OauthError};
use super::exchange::ExchangeRequest;
use super::params::Params;
use super::request_head::RequestHead;
use super::{access, ciba, client_credentials, code, device, dpop, exchange, refresh};
use crate::Engine;
use crate::secret::Secret;

/// RFC 8693.
pub const EXCHANGE_RFC: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The same under the name that Auth0's clients use.
pub const EXCHANGE_AUTH0: &str =
    "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token";

/// A request at the token endpoint, read but not yet judged.
pub enum TokenRequest {
    /// RFC 6749 §4.1.3 and RFC 7636 §4.5.
    Code {
        /// The code.
        code: Secret<String>,
        /// Must be the one of the authorization request, where it is sent
        /// (OAuth 2.1 no longer asks for it: PKCE does its work).
        redirect_uri: Option<String>,
        /// The PKCE verifier.
        verifier: Secret<String>,
        /// `audience` or `resource`, if it is named again.
        audience: Option<String>,
    },
    /// RFC 6749 §6.
    Refresh {
        /// The refresh token.
        token: Secret<String>,
        /// At most what was granted; `None` for all of it.
        scopes: Option<Vec<String>>,
        /// Another audience than the one granted first.
        audience: Option<String>,
    },
    /// RFC 6749 §4.4.
    ClientCredentials {
        /// What the client asks for; `None` for all it is registered for.
        scopes: Option<Vec<String>>,
        /// For which audience.
        audience: Option<String>,
    },
    /// CIBA Core 1.0 §10.1.
    Ciba {
        /// The agent's credential for its request.
        auth_req_id: Secret<String>,
        /// `audience` or `resource`, if it is named again.
        audience: Option<String>,
    },
    /// RFC 8628 §3.4.
    Device {
        /// The device's credential for its request.
        device_code: Secret<String>,
        /// `audience` or `resource`, if it is named again.
        audience: Option<String>,
    },
    /// RFC 8693.
    Exchange(ExchangeRequest),
}

impl TokenRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// `unsupported_grant_type`, `invalid_request`, `invalid_scope`, `invalid_target`.
    pub fn parse(params: &Params) -> Result<Self, OauthError> {
        let grant = params.need("grant_type")?;
        let secret = |name: &'static str| params.need(name).map(Secret::from);
        let audience = || Ok::<_, OauthError>(params.target()?.map(str::to_owned));
        if grant == EXCHANGE_AUTH0 {
            return Ok(Self::Exchange(ExchangeRequest::parse(params, true)?));
        }
        Ok(match grant.parse() {
            Ok(GrantType::AuthorizationCode) => Self::Code {
                code: secret("code")?,
                redirect_uri: params.get("redirect_uri").map(str::to_owned),
                verifier: secret("code_verifier")?,
                audience: audience()?,
            },
            Ok(GrantType::RefreshToken) => Self::Refresh {
                token: secret("refresh_token")?,
                scopes: params.scopes()?,
                audience: audience()?,
            },
            Ok(GrantType::ClientCredentials) => Self::ClientCredentials {
                scopes: params.scopes()?,
                audience: audience()?,
            },
            Ok(GrantType::Ciba) => Self::Ciba {
                auth_req_id: secret("auth_req_id")?,
                audience: audience()?,
            },
            Ok(GrantType::DeviceCode) => Self::Device {
                device_code: secret("device_code")?,
                audience: audience()?,
            },
            Ok(GrantType::TokenExchange) => Self::Exchange(ExchangeRequest::parse(params, false)?),
            Err(()) => {
                return Err(OauthError::new(
                    Code::UnsupportedGrantType,
                    "this grant type is not supported",
                ));
            }
        })
    }

    /// The grant a client must be registered for.
    #[must_use]
    pub const fn grant_type(&self) -> GrantType {
        match self {
            Self::Code { .. } => GrantType::AuthorizationCode,
            Self::Refresh { .. } => GrantType::RefreshToken,
            Self::ClientCredentials { .. } => GrantType::ClientCredentials,
            Self::Ciba { .. } => GrantType::Ciba,
            Self::Device { .. } => GrantType::DeviceCode,
            Self::Exchange(_) => GrantType::TokenExchange,
        }
    }
}

/// A good answer (RFC 6749 §5.1).
pub struct TokenAnswer {
    /// Ours, or for an exchange the provider's.
    pub access_token: Secret<String>,
    /// Seconds it has left.
    pub expires_in: i64,
    /// What it really allows. None at all is said of a provider's token only:
    /// a scope of ours has at least one word (RFC 6749 §3.3).
    pub scopes: Vec<String>,
    /// Only with `offline_access`; when it rotates, the new one.
    pub refresh_token: Option<Secret<String>>,
    /// Only with `openid`.
    pub id_token: Option<Secret<String>>,
    /// RFC 8693 §2.2.1, only of an exchange.
    pub issued_token_type: Option<String>,
    /// What was granted of RFC 9396 details.
    pub authorization_details: Option<Value>,
    /// Who approved it (ids), where policies named approvers.
    pub approved_by: Vec<String>,
    /// Whether the access token is bound to a key (RFC 9449 §5).
    pub bound: bool,
    /// Whether the access token is a provider's.
    pub of_provider: bool,
}

impl TokenAnswer {
    /// An answer with an access token of ours.
    pub(super) fn of(access_token: Secret<String>, scopes: Vec<String>) -> Self {
        Self {
            access_token,
            expires_in: access::LIFETIME_S,
            scopes,
            refresh_token: None,
            id_token: None,
            issued_token_type: None,
            authorization_details: None,
            approved_by: Vec::new(),
            bound: false,
            of_provider: false,
        }
    }

    /// Says whether the access token is bound to a key.
    pub(super) fn bound(self, bound: bool) -> Self {
        Self { bound, ..self }
    }

    /// The JSON body. Send it with `Cache-Control: no-store`.
    #[must_use]
    pub fn body(&self) -> Secret<String> {
        self.body_with(&[])
    }

    /// The JSON body with further members.
    pub(super) fn body_with(&self, members: &[(&str, &str)]) -> Secret<String> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
        put("access_token", self.access_token.expose().as_str().into());
        put(
            "token_type",
            if self.bound { "DPoP" } else { "Bearer" }.into(),
        );
        put("expires_in", self.expires_in.into());
        if !self.scopes.is_empty() || self.of_provider {
            put("scope", self.scopes.join(" ").into());
        }
        for (name, token) in [
            ("refresh_token", &self.refresh_token),
            ("id_token", &self.id_token),
        ] {
            if let Some(token) = token {
                put(name, token.expose().as_str().into());
            }
        }
        for (name, value) in members {
            put(name, (*value).into());
        }
        if let Some(kind) = &self.issued_token_type {
            put("issued_token_type", kind.as_str().into());
        }
        if let Some(details) = &self.authorization_details {
            put("authorization_details", details.clone());
        }
        if !self.approved_by.is_empty() {
            put("approved_by", self.approved_by.clone().into());
        }
        Secret::new(Value::Object(body).to_string())
    }
}

/// Answers a request of an authenticated client in this process, from nowhere; `jkt` is the thumbprint of
/// the key whose possession it proved, if it did: the access token is bound to it.
///
/// # Errors
/// The wire error of the grant.
pub async fn grant(
    engine: &Engine,
    request: TokenRequest,
    client: &Client,
    jkt: Option<String>,
) -> Result<TokenAnswer, OauthError> {
    grant_to(engine, &RequestHead::default(), request, client, jkt).await
}

/// As [`grant`], for a request that came over the wire.
async fn grant_to(
    engine: &Engine,
    head: &RequestHead,
    request: TokenRequest,
    client: &Client,
    jkt: Option<String>,
) -> Result<TokenAnswer, OauthError> {
    if !client.may(request.grant_type()) {
        return Err(OauthError::new(
            Code::UnauthorizedClient,
            "this client is not registered for this grant type",
        ));
    }
    if client.metadata.dpop_bound_access_tokens && jkt.is_none() {
        return Err(OauthError::new(
            Code::InvalidDpopProof,
            "this client's tokens are bound to a key: send a DPoP proof",
        ));
    }
    match request {
        TokenRequest::Code {
            code,
            redirect_uri,
            verifier,
            audience,
        } => {
            let shown = code::Shown {
                redirect_uri,
                audience,
                jkt,
            };
            code::redeem(engine, client, &code, &verifier, shown).await
        }
        TokenRequest::Refresh {
            token,
            scopes,
            audience,
        } => refresh::redeem(engine, head, client, &token, scopes, audience, jkt).await,
        TokenRequest::ClientCredentials { scopes, audience } => {
            client_credentials::issue(engine, client, scopes, audience, jkt).await
        }
        TokenRequest::Ciba {
            auth_req_id,
            audience,
        } => ciba::redeem(engine, head, client, &auth_req_id, audience, jkt).await,
        TokenRequest::Device {
            device_code,
            audience,
        } => device::redeem(engine, client, &device_code, audience, jkt).await,
        TokenRequest::Exchange(request) => {
            exchange::exchange(engine, head, client, request, jkt).await
        }
    }
}

/// A token request may name the audience of its grant again, and no other
/// (RFC 8707 §2.2): nobody gets a token for something else than they asked for.
pub(super) fn same_target(asked: Option<&str>, granted: &str) -> Result<(), OauthError> {
    if asked.is_none_or(|asked| asked == granted) {
        return Ok(());
    }
    Err(OauthError::new(
        Code::InvalidTarget,
        "this grant is for another audience",
    ))
}

/// The whole endpoint: authenticates, reads, answers.
///
/// # Errors
/// The wire error.
pub async fn answer(
    engine: &Engine,
    head: &RequestHead,
    params: &Params,
) -> Result<TokenAnswer, OauthError> {
    let client = client_of(engine, head, params).await?;
    let request = TokenRequest::parse(params)?;
    // Before anything is used up: a client without a nonce comes back with one.
    let jkt = dpop::check(engine, head, None).await?;
    grant_to(engine, head, request, &client, jkt)
        .await
        .map_err(|mut error| {
            error.basic_challenge =
                head.authorization.is_some() && error.code == Code::InvalidClient;
            error
        })
}
