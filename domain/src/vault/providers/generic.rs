//! An entry from what an admin knows of a provider: its endpoints, or its issuer's
//! discovery document.

use url::Url;

use super::{
    AbsentExpiry, AnswerShape, ClientAuth, EncodedSlash, Errors, Host, IdToken, Identity,
    IdentityFrom, Provider, Refresh, RefreshRule, Revocation, Scope, TokenBody,
};

/// An ordinary OAuth 2 provider (RFC 6749), as an admin describes it.
#[derive(Clone, Debug)]
pub struct Generic {
    /// Its id here.
    pub id: String,
    /// The name people know it by.
    pub name: String,
    /// Where its documentation is.
    pub source_page: Url,
    /// The authorization endpoint.
    pub authorize: Url,
    /// The token endpoint.
    pub token: Url,
    /// The revocation endpoint (RFC 7009).
    pub revoke: Option<Url>,
    /// How our client authenticates.
    pub client_auth: ClientAuth,
    /// Whether it takes a code challenge (S256).
    pub pkce: bool,
    /// Where its API is.
    pub api: Url,
    /// How to learn who it is.
    pub identity: GenericIdentity,
    /// What a refresh does.
    pub rule: RefreshRule,
    /// Scopes to ask for: name and what it allows.
    pub scopes: Vec<(String, String)>,
}

/// How to learn who it is.
#[derive(Clone, Debug)]
pub enum GenericIdentity {
    /// From the ID token (OpenID Connect).
    IdToken {
        /// The issuer, exactly as it names itself.
        issuer: String,
        /// Its keys.
        jwks: Url,
    },
    /// From an endpoint that takes the access token.
    Endpoint {
        /// Where it is.
        url: Url,
        /// Pointer to whoever it is; never an address that may be given to somebody else.
        subject: String,
        /// Pointer to what people know the account by.
        label: String,
    },
}

impl From<Generic> for Provider {
    fn from(from: Generic) -> Self {
        let (identity, id_token) = match from.identity {
            GenericIdentity::IdToken { issuer, jwks } => {
                let label = ["/email", "/preferred_username", "/name"];
                let identity = identity(IdentityFrom::IdToken, None, "/sub", &label);
                (identity, Some(IdToken { issuer, jwks }))
            }
            GenericIdentity::Endpoint {
                url,
                subject,
                label,
            } => {
                let label = [label.as_str()];
                let found = identity(IdentityFrom::Endpoint, Some(url), &subject, &label);
                (found, None)
            }
        };
        // RFC 6749 §5.1 leaves a missing lifetime to the documentation. An hour
        // is asked again soon enough; what cannot be refreshed is used until it
        // is refused.
        let (absent_expiry, assume_seconds) = match from.rule {
            RefreshRule::None => (AbsentExpiry::Never, 0),
            _ => (AbsentExpiry::Assume, 3600),
        };
        Self {
            id: from.id,
            name: from.name,
            source_page: from.source_page,
            tried: "unverified".to_owned(),
            quirks: Vec::new(),
            unsure: Vec::new(),
            authorize: from.authorize,
            authorize_hops: Vec::new(),
            token: from.token,
            revoke: from.revoke,
            parameters: Vec::new(),
            client_auth: from.client_auth,
            token_body: TokenBody::Form,
            answer: AnswerShape::Rfc6749,
            pkce: from.pkce,
            scope_parameter: "scope".to_owned(),
            bot_scope_parameter: None,
            scope_separator: " ".to_owned(),
            unauthorized_means_not_executed: false,
            encoded_slash: EncodedSlash::default(),
            authorize_parameters: [].into(),
            headers: [].into(),
            hosts: vec![Host {
                name: from.api.host_str().unwrap_or_default().to_owned(),
                base: from.api,
            }],
            instance: None,
            identity,
            id_token,
            refresh: Refresh {
                rule: from.rule,
                may_rotate: false,
                grace_seconds: 0,
                ends_old_access: false,
                idle_days: None,
                lifetime_days: None,
                token_limit: None,
                absent_expiry,
                assume_seconds,
            },
            revocation: Revocation {
                authenticated: true,
                ..Revocation::default()
            },
            errors: Errors::default(),
            scopes: from
                .scopes
                .into_iter()
                .map(|(name, words)| Scope {
                    name,
                    words,
                    also: None,
                    default: true,
                })
                .collect(),
        }
    }
}

fn identity(from: IdentityFrom, url: Option<Url>, subject: &str, label: &[&str]) -> Identity {
    Identity {
        from,
        url,
        method: "GET".to_owned(),
        body: None,
        pointer: None,
        hosts: Vec::new(),
        tenant: String::new(),
        org_tenant: None,
        subject: subject.to_owned(),
        label: label.iter().map(|at| (*at).to_owned()).collect(),
        tenant_label: None,
        sites: None,
    }
}
