//! Clients that register themselves (RFC 7591, OpenID Connect Registration)
//! and manage that registration (RFC 7592).
//!
//! Who may is the deployment's policy. What such a client can be is less than
//! what an admin can make: no audiences beyond our own, no resource server, no
//! worker; everything else it gets from the person who consents. Members we do
//! not know are ignored (§2); those we know and cannot do are refused.

use aws_lc_rs::constant_time;
use serde_json::{Map, Value, json};

use super::authorize::{ME_SCOPES, STANDARD_SCOPES};
use super::client_metadata::{AuthMethod, ClientMetadata};
use super::clients::{self, Client, ClientKind, ClientState, GrantType, Source, secret_hash};
use super::error::{Code, OauthError};
use super::registration::{NewClient, RegistrationPolicy};
use super::request_head::RequestHead;
use super::sql::StoredClient;
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::limits::Limit;
use crate::secret::Secret;
use crate::vault::AccessMode;

/// Members that are kept in [`ClientMetadata`] under their own names.
const KEPT: [&str; 20] = [
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "jwks",
    "jwks_uri",
    "id_token_signed_response_alg",
    "post_logout_redirect_uris",
    "client_uri",
    "logo_uri",
    "policy_uri",
    "tos_uri",
    "contacts",
    "application_type",
    "software_id",
    "software_version",
    "default_max_age",
    "require_pushed_authorization_requests",
    "dpop_bound_access_tokens",
    "backchannel_token_delivery_mode",
    "backchannel_client_notification_endpoint",
    "backchannel_user_code_parameter",
];

/// A registration as it is answered: everything registered, and the secrets
/// where they were made just now.
pub struct Registered {
    client: Client,
    secret: Option<Secret<String>>,
    management: Secret<String>,
}

fn bad(words: impl Into<String>) -> OauthError {
    OauthError::new(Code::InvalidClientMetadata, words)
}

impl From<clients::Error> for OauthError {
    fn from(error: clients::Error) -> Self {
        match error {
            clients::Error::Storage(error) => error.into(),
            error => bad(error.to_string()),
        }
    }
}

/// What a client asks to be.
pub(super) fn read(body: &Map<String, Value>) -> Result<NewClient, OauthError> {
    let mut kept = Map::new();
    for name in KEPT {
        if let Some(value) = body.get(name).filter(|value| !value.is_null()) {
            kept.insert(name.to_owned(), value.clone());
        }
    }
    // RFC 7591 §2: the default.
    kept.entry("token_endpoint_auth_method")
        .or_insert_with(|| "client_secret_basic".into());
    let metadata: ClientMetadata =
        serde_json::from_value(Value::Object(kept)).map_err(|error| {
            bad(format!(
                "a member has a value that is not supported: {error}"
            ))
        })?;
    let words = |name: &str| -> Result<Option<Vec<String>>, OauthError> {
        match body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(all)) if all.len() <= 50 => all
                .iter()
                .map(|one| one.as_str().map(str::to_owned))
                .collect::<Option<Vec<String>>>()
                .map(Some)
                .ok_or_else(|| bad(format!("{name} must be an array of texts"))),
            Some(_) => Err(bad(format!("{name} must be an array of at most 50 texts"))),
        }
    };
    let redirect_uris = words("redirect_uris")?.unwrap_or_default();
    for uri in &redirect_uris {
        super::registration::check_redirect(uri)
            .map_err(|error| OauthError::new(Code::InvalidRedirectUri, error.to_string()))?;
    }
    let grant_types = match words("grant_types")? {
        None => vec![GrantType::AuthorizationCode],
        Some(all) => all
            .iter()
            .map(|word| word.parse())
            .collect::<Result<_, ()>>()
            .map_err(|()| bad("a grant type is not supported"))?,
    };
    let uses_code = grant_types.contains(&GrantType::AuthorizationCode);
    let response_types = words("response_types")?;
    if let Some(all) = &response_types
        && (all.iter().any(|one| one != "code") || (all.is_empty() == uses_code))
    {
        return Err(bad(
            "the response type is code, with the grant type authorization_code",
        ));
    }
    if uses_code && redirect_uris.is_empty() {
        return Err(OauthError::new(
            Code::InvalidRedirectUri,
            "redirect_uris is missing",
        ));
    }
    if body
        .get("subject_type")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind != "public")
    {
        return Err(bad("the subject type is public"));
    }
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    // RFC 7591 §2: what is asked for beyond what may be had is left out.
    let scopes = text("scope").map_or_else(Vec::new, |asked| {
        asked
            .split(' ')
            .filter(|scope| ME_SCOPES.contains(scope))
            .map(str::to_owned)
            .collect()
    });
    let public = metadata.token_endpoint_auth_method == Some(AuthMethod::None);
    Ok(NewClient {
        kind: if public {
            ClientKind::Public
        } else {
            ClientKind::Confidential
        },
        redirect_uris,
        grant_types,
        scopes,
        access_mode: Some(AccessMode::Call),
        metadata,
        ..NewClient::confidential(
            text("client_name").unwrap_or("Unnamed client"),
            Source::Registration,
        )
    })
}

fn bearer(head: &RequestHead) -> Option<&str> {
    let (scheme, token) = head.authorization.as_deref()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether somebody may register at all.
fn admitted(engine: &Engine, head: &RequestHead) -> Result<(), OauthError> {
    match &engine.settings.registration {
        RegistrationPolicy::Open => Ok(()),
        RegistrationPolicy::Off => Err(OauthError {
            status: 403,
            ..OauthError::new(
                Code::AccessDenied,
                "clients do not register themselves here; ask an admin",
            )
        }),
        RegistrationPolicy::Token(token) => {
            let right = bearer(head).is_some_and(|presented| {
                constant_time::verify_slices_are_equal(
                    &engine.keys.hash("registration", presented.as_bytes()),
                    &engine.keys.hash("registration", token.expose().as_bytes()),
                )
                .is_ok()
            });
            if right {
                Ok(())
            } else {
                Err(OauthError::token("wrong or missing initial access token"))
            }
        }
    }
}

/// Registers a client (RFC 7591 §3).
///
/// # Errors
/// `invalid_redirect_uri`, `invalid_client_metadata`, or that it may not.
pub async fn register(
    engine: &Engine,
    head: &RequestHead,
    body: &Map<String, Value>,
) -> Result<Registered, OauthError> {
    admitted(engine, head)?;
    engine.limits.count(Limit::Registration, &head.network())?;
    let (client, secret) = clients::register(engine, read(body)?).await?;
    let management = engine.new_token("att_ra");
    let hash = management_hash(engine, management.expose());
    let id = client.id.clone();
    engine
        .store
        .write(move |tx| {
            let id = id.clone();
            Box::pin(async move { tx.set_registration_hash(&id, hash).await })
        })
        .await?;
    Ok(Registered {
        client,
        secret,
        management,
    })
}

fn management_hash(engine: &Engine, token: &str) -> [u8; 32] {
    engine
        .keys
        .hash("registration_access_token", token.as_bytes())
}

/// The client whose registration access token this is, and the token: each
/// answer has it (RFC 7592 §3).
async fn managed(
    engine: &Engine,
    head: &RequestHead,
    id: &str,
) -> Result<(StoredClient, Secret<String>), OauthError> {
    // RFC 7592 §2.1: whoever asks wrongly learns nothing of which clients are.
    let refused = || OauthError::token("wrong or missing registration access token");
    let token = bearer(head).ok_or_else(refused)?;
    let mut rx = engine.store.reader().await?;
    if !rx
        .has_registration_hash(id, management_hash(engine, token))
        .await?
    {
        return Err(refused());
    }
    rx.client(&engine.keys, id)
        .await?
        .filter(|stored| stored.client.state == ClientState::Active)
        .map(|stored| (stored, Secret::new(token.to_owned())))
        .ok_or_else(refused)
}

/// Reads a registration (RFC 7592 §2.1).
///
/// # Errors
/// `invalid_token`.
pub async fn read_back(
    engine: &Engine,
    head: &RequestHead,
    id: &str,
) -> Result<Registered, OauthError> {
    let (stored, management) = managed(engine, head, id).await?;
    Ok(Registered {
        client: stored.into_client(),
        secret: None,
        management,
    })
}

/// Replaces a registration (RFC 7592 §2.2): what is left out is taken away.
/// A client stays confidential or public, and keeps its secret.
///
/// # Errors
/// `invalid_token`, `invalid_redirect_uri`, `invalid_client_metadata`.
pub async fn replace(
    engine: &Engine,
    head: &RequestHead,
    id: &str,
    body: &Map<String, Value>,
) -> Result<Registered, OauthError> {
    let (stored, management) = managed(engine, head, id).await?;
    if body.get("client_id").and_then(Value::as_str) != Some(id) {
        return Err(bad("client_id must be the client's own"));
    }
    if let Some(secret) = body.get("client_secret") {
        let hash = secret.as_str().map(|secret| secret_hash(engine, secret));
        if hash.is_none() || hash != stored.secret_hash {
            return Err(bad(
                "client_secret is not the client's own; leave it out, it stays",
            ));
        }
    }
    let old = stored.client;
    let new = read(body)?;
    if new.kind != old.kind || new.metadata.uses_private_key() != old.metadata.uses_private_key() {
        return Err(bad(
            "how a client proves itself cannot change; register another one",
        ));
    }
    let client = clients::replace(engine, id, new).await?;
    Ok(Registered {
        client,
        secret: None,
        management,
    })
}

/// Ends a registration (RFC 7592 §2.3): the client is frozen, and nothing it
/// holds works. Its row stays for the audit log's sake.
///
/// # Errors
/// `invalid_token`.
pub async fn end(engine: &Engine, head: &RequestHead, id: &str) -> Result<(), OauthError> {
    managed(engine, head, id).await?;
    clients::freeze(engine, None, id, ClientState::Frozen).await?;
    let id = id.to_owned();
    engine
        .store
        .write(move |tx| {
            let id = id.clone();
            Box::pin(async move {
                tx.forget_registration(&id).await?;
                tx.record(
                    Event::new(Kind::ClientChanged)
                        .client(&id)
                        .data("registration", "ended by the client"),
                );
                Ok::<_, OauthError>(())
            })
        })
        .await
}

impl Registered {
    /// The JSON body (RFC 7591 §3.2.1, RFC 7592 §3). Send it with `no-store`.
    #[must_use]
    pub fn body(&self, engine: &Engine) -> Secret<String> {
        let client = &self.client;
        let mut body = match serde_json::to_value(&client.metadata) {
            Ok(Value::Object(body)) => body,
            _ => Map::new(),
        };
        let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
        let uses_code = client.may(GrantType::AuthorizationCode);
        put("client_id", client.id.as_str().into());
        put("client_id_issued_at", (client.created_at / 1000).into());
        put("client_name", client.name.as_str().into());
        put("redirect_uris", json!(client.redirect_uris));
        put("grant_types", json!(client.grant_types));
        put(
            "response_types",
            json!(if uses_code { &["code"][..] } else { &[] }),
        );
        put("subject_type", "public".into());
        put(
            "id_token_signed_response_alg",
            client.metadata.id_token_alg().name().into(),
        );
        let scopes: Vec<&str> = STANDARD_SCOPES
            .into_iter()
            .chain(client.scopes.iter().map(String::as_str))
            .collect();
        put("scope", scopes.join(" ").into());
        put(
            "registration_client_uri",
            engine
                .settings
                .url(&format!("oidc/register/{}", client.id))
                .into(),
        );
        if let Some(secret) = &self.secret {
            put("client_secret", secret.expose().as_str().into());
            put("client_secret_expires_at", 0.into());
        }
        let management = self.management.expose().as_str();
        put("registration_access_token", management.into());
        Secret::new(Value::Object(body).to_string())
    }
}
