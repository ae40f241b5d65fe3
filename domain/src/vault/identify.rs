//! Who somebody is at the provider, by the entry's rule.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value};
use url::Url;

use super::connections::Stored;
use super::providers::{IdentityFrom, Sites, host_fits};
use super::shapes::text;
use super::wire::{
    Found, TokenAnswer, TokenError, authenticate, bearer, judged, own_headers, send,
};
use crate::Engine;
use crate::identity::id_token::{self, Expected};
use crate::oauth::jws::{self, Compact};

/// Who somebody is at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub tenant: String,
    pub subject: String,
    pub label: String,
}

fn refused(code: &str) -> TokenError {
    TokenError::Refused(code.to_owned())
}

/// Asks who the token speaks for, by the entry's rule. `nonce` is what was sent
/// along with the authorization request.
pub(super) async fn identify(
    engine: &Engine,
    stored: &Stored,
    answer: &TokenAnswer,
    nonce: &str,
) -> Result<Identity, TokenError> {
    let rule = &stored.entry.identity;
    let found = &answer.found;
    let json = match rule.from {
        IdentityFrom::Answer => Value::Null,
        IdentityFrom::IdToken => Value::Object(claims(engine, stored, found, nonce).await?),
        IdentityFrom::Introspection => introspected(engine, stored, answer).await?,
        IdentityFrom::Endpoint => told(engine, stored, answer, endpoint(stored)?).await?,
        IdentityFrom::AnswerUrl => {
            told(engine, stored, answer, named_address(stored, found)?).await?
        }
        IdentityFrom::TokenAnswer => match told(engine, stored, answer, endpoint(stored)?).await {
            // The token answer has said who it is; only the name is missing.
            Err(TokenError::Down { .. } | TokenError::Limited { .. }) => Value::Null,
            other => other?,
        },
    };
    let identity = read(stored, found, &json)?;
    match &rule.sites {
        Some(sites) => Ok(Identity {
            label: with_sites(engine, stored, answer, sites, identity.label).await?,
            ..identity
        }),
        None => Ok(identity),
    }
}

/// What the answer says, and the token answer before it.
fn read(stored: &Stored, found: &Found, json: &Value) -> Result<Identity, TokenError> {
    let rule = &stored.entry.identity;
    let at = match &rule.org_tenant {
        Some(at) if found.for_org => at,
        _ => &rule.tenant,
    };
    let (mut tenant, mut subject) = (text(json, at), text(json, &rule.subject));
    if rule.from == IdentityFrom::TokenAnswer {
        let agrees = |said: &Option<String>, told: &Option<String>| {
            said.is_none() || told.is_none() || said == told
        };
        if !agrees(&subject, &found.subject) || !agrees(&tenant, &found.tenant) {
            return Err(refused("identity_mismatch"));
        }
    }
    if matches!(rule.from, IdentityFrom::TokenAnswer | IdentityFrom::Answer) {
        tenant = found.tenant.clone().or(tenant);
        subject = found.subject.clone().or(subject);
    }
    let subject = subject.ok_or_else(|| refused("identity_missing"))?;
    let mut label = rule
        .label
        .iter()
        .find_map(|at| text(json, at))
        .or_else(|| found.label.clone())
        .unwrap_or_else(|| subject.clone());
    if let Some(at) = &rule.tenant_label
        && let Some(name) = text(json, at).or_else(|| found.tenant_name.clone())
    {
        label = format!("{label} in {name}");
    }
    Ok(Identity {
        tenant: tenant.unwrap_or_default(),
        subject,
        label: shown(&label),
    })
}

fn shown(label: &str) -> String {
    label
        .chars()
        .filter(|c| !c.is_control())
        .take(120)
        .collect()
}

fn endpoint(stored: &Stored) -> Result<Url, TokenError> {
    let url = stored.endpoints.identity.clone();
    url.ok_or_else(|| refused("identity_missing"))
}

/// The address that the token answer names. The token goes there: only to the
/// origin that gave it, or to a host of the entry.
fn named_address(stored: &Stored, found: &Found) -> Result<Url, TokenError> {
    let hosts = &stored.entry.identity.hosts;
    found
        .identity_url
        .as_deref()
        .and_then(|url| Url::parse(url).ok())
        .filter(|url| {
            let host = url.host_str().unwrap_or_default();
            url.origin() == stored.endpoints.token.origin()
                || url.scheme() == "https"
                    && url.port().is_none()
                    && hosts.iter().any(|pattern| host_fits(pattern, host))
        })
        .ok_or_else(|| refused("identity_elsewhere"))
}

async fn told(
    engine: &Engine,
    stored: &Stored,
    answer: &TokenAnswer,
    url: Url,
) -> Result<Value, TokenError> {
    let rule = &stored.entry.identity;
    let mut headers = own_headers(&stored.entry);
    headers.extend(bearer(&answer.tokens.access)?);
    let method = if rule.method == "POST" {
        Method::POST
    } else {
        Method::GET
    };
    let body = rule.body.clone().unwrap_or_default();
    if !body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let outbound = &**stored.outbound(engine);
    let answer = send(outbound, method, url, headers, Bytes::from(body)).await?;
    judged(&stored.entry, &answer)
}

/// What the provider says of its token (RFC 7662 §2).
async fn introspected(
    engine: &Engine,
    stored: &Stored,
    answer: &TokenAnswer,
) -> Result<Value, TokenError> {
    let mut headers = own_headers(&stored.entry);
    let mut form = vec![
        ("token", answer.tokens.access.expose().clone()),
        ("token_type_hint", "access_token".to_owned()),
    ];
    let way = stored.entry.client_auth;
    authenticate(engine, stored, way, &mut headers, &mut form).await?;
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    let body = serde_urlencoded::to_string(&form).map_err(|_| refused("token_unprintable"))?;
    let outbound = &**stored.outbound(engine);
    let url = endpoint(stored)?;
    let answer = send(outbound, Method::POST, url, headers, Bytes::from(body)).await?;
    let json = judged(&stored.entry, &answer)?;
    if json.get("active") == Some(&Value::Bool(false)) {
        return Err(refused("identity_missing"));
    }
    Ok(json)
}

/// The claims of the ID token, once it is known to be the provider's and for us.
async fn claims(
    engine: &Engine,
    stored: &Stored,
    found: &Found,
    nonce: &str,
) -> Result<Map<String, Value>, TokenError> {
    let bad = |why: &str| {
        tracing::warn!(
            connection = stored.connection.id,
            why,
            "an ID token was refused"
        );
        refused("id_token_refused")
    };
    let rule = stored.entry.id_token.as_ref();
    let (Some(rule), Some(url)) = (rule, stored.endpoints.jwks.clone()) else {
        return Err(refused("identity_missing"));
    };
    let Some(token) = &found.id_token else {
        return Err(refused("id_token_missing"));
    };
    let outbound = &**stored.outbound(engine);
    let headers: HeaderMap = own_headers(&stored.entry);
    let answer = send(outbound, Method::GET, url, headers, Bytes::new()).await?;
    let keys = jws::key_set(&judged(&stored.entry, &answer)?).map_err(bad)?;
    let token = Compact::parse(token.expose()).map_err(bad)?;
    // The tenant's id in the issuer: whichever tenant it is, the key is the provider's.
    let tid = token.text("tid").unwrap_or_default();
    if tid.contains(['/', '?', '#']) {
        return Err(bad("with a tenant that is no id"));
    }
    let expected = Expected {
        issuer: &rule.issuer.replace("{tid}", tid),
        client_id: &stored.connection.client_id,
        nonce,
        now: engine.now() / 1000,
    };
    id_token::check(&token, &keys, &expected).map_err(bad)?;
    Ok(token.claims)
}

/// Names of at most this many sites are shown.
const SITES: usize = 3;

/// The label with the sites that the grant covers. A list that cannot be had
/// costs the account its sites' names, nothing else.
async fn with_sites(
    engine: &Engine,
    stored: &Stored,
    answer: &TokenAnswer,
    sites: &Sites,
    label: String,
) -> Result<String, TokenError> {
    let Some(url) = stored.endpoints.sites.clone() else {
        return Ok(label);
    };
    let mut headers = own_headers(&stored.entry);
    headers.extend(bearer(&answer.tokens.access)?);
    let outbound = &**stored.outbound(engine);
    let names = match send(outbound, Method::GET, url, headers, Bytes::new()).await {
        Ok(answer) if answer.status.is_success() => {
            serde_json::from_slice::<Vec<Value>>(&answer.body).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let mut names: Vec<String> = names
        .iter()
        .filter_map(|site| text(site, &sites.name))
        .collect();
    names.dedup();
    if names.is_empty() {
        return Ok(label);
    }
    let more = names.len().saturating_sub(SITES);
    names.truncate(SITES);
    let mut listed = names.join(", ");
    if more > 0 {
        listed.push_str(&format!(" and {more} more"));
    }
    Ok(shown(&format!("{label} in {listed}")))
}
