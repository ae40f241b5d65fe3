//! Signing out at the wish of a client (OpenID Connect RP-Initiated Logout 1.0).

use serde_json::Value;
use url::Url;

use super::clients::{self, Client};
use super::error::{Code, OauthError};
use super::jws::Compact;
use super::params::Params;
use crate::Engine;

/// An ID token of ours that somebody shows as a hint: who it is about and for
/// whom it was made. It may have run out (OIDC Core §3.1.2.1).
pub(super) struct Hint {
    pub(super) person_id: String,
    pub(super) client_id: String,
}

/// Reads an ID token of ours as a hint: its signature, issuer and kind are
/// checked, its time is not.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read_hint(engine: &Engine, token: &str) -> Result<Hint, &'static str> {
    let token = Compact::parse(token)?;
    // An access token is no ID token, whoever signed it.
    if token.typ() != "jwt" {
        return Err("it is no ID token");
    }
    let kid = token.head("kid").ok_or("without a key id")?;
    let key = engine
        .keys
        .verifying(kid, engine.now())
        .ok_or("signed with an unknown key")?;
    let Ok(Value::Object(key)) = serde_json::to_value(&key.jwk) else {
        return Err("signed with an unknown key");
    };
    token.verify(&key)?;
    if token.text("iss") != Some(&engine.settings.issuer) {
        return Err("of another issuer");
    }
    Ok(Hint {
        person_id: token.text("sub").ok_or("without a subject")?.to_owned(),
        client_id: token.text("aud").ok_or("without an audience")?.to_owned(),
    })
}

/// A wish to sign out.
#[derive(Clone, Debug)]
pub struct Logout {
    /// Who wishes it, if it says.
    pub client: Option<Client>,
    /// Whom its ID token is about, if it shows one.
    pub person_id: Option<String>,
    /// Where the browser goes then: registered by the client, `state` in it.
    pub to: Option<Url>,
}

impl Logout {
    /// Whether this person may be signed out without a question: the client
    /// shows an ID token about them (§2: anybody else must be asked).
    #[must_use]
    pub fn needs_no_question(&self, person_id: &str) -> bool {
        self.person_id.as_deref() == Some(person_id)
    }
}

/// Judges a request at the end-session endpoint.
///
/// # Errors
/// `invalid_request`: a hint that is not ours, a client that is not the hint's,
/// an address that the client has not registered (§3: never redirect there).
pub async fn check(engine: &Engine, params: &Params) -> Result<Logout, OauthError> {
    let hint = params
        .get("id_token_hint")
        .map(|token| {
            read_hint(engine, token).map_err(|cause| {
                OauthError::request("id_token_hint is no ID token from here").because(cause)
            })
        })
        .transpose()?;
    let named = params.get("client_id");
    if let (Some(hint), Some(named)) = (&hint, named)
        && hint.client_id != named
    {
        return Err(OauthError::request(
            "client_id is not the one of id_token_hint",
        ));
    }
    let client = match hint.as_ref().map(|hint| hint.client_id.as_str()).or(named) {
        Some(id) => Some(clients::known(engine, id).await?),
        None => None,
    };
    let to = match (params.get("post_logout_redirect_uri"), &client) {
        (None, _) => None,
        (Some(uri), Some(client))
            if client
                .metadata
                .post_logout_redirect_uris
                .iter()
                .any(|known| known == uri) =>
        {
            let mut to = Url::parse(uri).map_err(|error| {
                OauthError::request("post_logout_redirect_uri is no address").because(error)
            })?;
            if let Some(state) = params.get("state") {
                to.query_pairs_mut().append_pair("state", state);
            }
            Some(to)
        }
        (Some(_), _) => {
            return Err(OauthError::new(
                Code::InvalidRequest,
                "post_logout_redirect_uri is not registered for this client",
            ));
        }
    };
    Ok(Logout {
        client,
        person_id: hint.map(|hint| hint.person_id),
        to,
    })
}
