//! What we say about ourselves: OpenID Connect Discovery, RFC 8414, RFC 9728
//! and the keys. Only what is true today.

use serde_json::{Value, json};

use super::authorize;
use super::clients::{AuthMethod, GrantType};
use super::dpop;
use super::registration::RegistrationPolicy;
use super::token::EXCHANGE_AUTH0;
use crate::Engine;
use crate::approval;
use crate::identity::How;

/// A resource of ours that takes access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `/proxy`
    Proxy,
    /// `/me/`
    Me,
}

/// `/.well-known/openid-configuration`.
#[must_use]
pub fn openid_configuration(engine: &Engine) -> Value {
    let url = |path: &str| engine.settings.url(path);
    let mut grants: Vec<&str> = GrantType::ALL.iter().map(|grant| grant.word()).collect();
    grants.push(EXCHANGE_AUTH0);
    let details: Vec<&str> = std::iter::once(authorize::ACCOUNT_ACCESS)
        .chain(approval::types::KNOWN.iter().map(|(name, _)| *name))
        .collect();
    let mut document = json!({
        "issuer": engine.settings.issuer,
        "authorization_endpoint": url("authorize"),
        "token_endpoint": url("oauth/token"),
        "revocation_endpoint": url("oauth/revoke"),
        "introspection_endpoint": url("oauth/introspect"),
        "userinfo_endpoint": url("userinfo"),
        "end_session_endpoint": url("oidc/logout"),
        "pushed_authorization_request_endpoint": url("oauth/par"),
        "require_pushed_authorization_requests": false,
        "device_authorization_endpoint": url("oauth/device/code"),
        "jwks_uri": url(".well-known/jwks.json"),
        "backchannel_authentication_endpoint": url("bc-authorize"),
        "backchannel_cancellation_endpoint": url("bc-authorize/cancel"),
        "backchannel_token_delivery_modes_supported": ["poll", "ping", "push"],
        "backchannel_user_code_parameter_supported": true,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": grants,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
        "dpop_signing_alg_values_supported": dpop::ALGORITHMS,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "acr_values_supported": How::ALL.iter().map(|how| how.word()).collect::<Vec<_>>(),
        "scopes_supported": authorize::SCOPES,
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "nonce", "at_hash", "name", "email", "email_verified"],
        "token_endpoint_auth_methods_supported": AuthMethod::WORDS,
        "token_endpoint_auth_signing_alg_values_supported": dpop::ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": AuthMethod::WORDS,
        "revocation_endpoint_auth_signing_alg_values_supported": dpop::ALGORITHMS,
        "introspection_endpoint_auth_methods_supported": AuthMethod::WORDS[..3],
        "introspection_endpoint_auth_signing_alg_values_supported": dpop::ALGORITHMS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "authorization_details_types_supported": details,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "protected_resources": [engine.settings.proxy_audience(), engine.settings.me_audience()],
    });
    document["client_id_metadata_document_supported"] =
        matches!(engine.settings.registration, RegistrationPolicy::Open).into();
    if !matches!(engine.settings.registration, RegistrationPolicy::Off) {
        document["registration_endpoint"] = url("oidc/register").into();
    }
    document
}

/// `/authorization-details/{type}`: the JSON Schema of a type's entry. `None`
/// for one that is not known here.
#[must_use]
pub fn details_schema(engine: &Engine, name: &str) -> Option<Value> {
    let mut schema = approval::types::schema(name)?;
    schema["$id"] = engine
        .settings
        .url(&format!("authorization-details/{name}"))
        .into();
    Some(schema)
}

/// `/authorization-details`: every type, who carries it out, and its schema's address.
#[must_use]
pub fn details_types(engine: &Engine) -> Value {
    let types = approval::types::KNOWN.iter().map(|(name, executable)| {
        json!({
            "type": name,
            "carried_out_by": if *executable { "attorn" } else { "agent" },
            "schema": engine.settings.url(&format!("authorization-details/{name}")),
        })
    });
    json!({ "types": types.collect::<Vec<_>>() })
}

/// `/.well-known/oauth-authorization-server` (RFC 8414): the same members;
/// those of OpenID are extensions there.
#[must_use]
pub fn authorization_server(engine: &Engine) -> Value {
    openid_configuration(engine)
}

/// `/.well-known/oauth-protected-resource/{proxy,me/}` (RFC 9728).
#[must_use]
pub fn protected_resource(engine: &Engine, which: Resource) -> Value {
    let (resource, name, scopes) = match which {
        Resource::Proxy => (
            engine.settings.proxy_audience(),
            "Calls with the accounts of a person",
            &[][..],
        ),
        Resource::Me => (
            engine.settings.me_audience(),
            "A person's linked accounts",
            &authorize::ME_SCOPES[..],
        ),
    };
    let mut document = json!({
        "resource": resource,
        "resource_name": name,
        "authorization_servers": [engine.settings.issuer],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": dpop::ALGORITHMS,
    });
    if !scopes.is_empty() {
        document["scopes_supported"] = json!(scopes);
    }
    document
}

/// `/.well-known/jwks.json` (RFC 7517): the keys of tokens. The audit log's
/// key is not among them: nothing it signs may pass for a token.
#[must_use]
pub fn jwks(engine: &Engine) -> Value {
    json!({ "keys": engine.keys.jwks(engine.now()) })
}
