//! Who somebody is at the provider, by the entry's rule.

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Method};
use serde_json::Value;
use url::Url;

use super::connections::Stored;
use super::providers::IdentityFrom;
use super::shapes::text;
use super::wire::{TokenAnswer, TokenError, bearer, judged, send};
use crate::Engine;

/// Who somebody is at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub tenant: String,
    pub subject: String,
    pub label: String,
}

/// Asks who the token speaks for, by the entry's rule.
pub(super) async fn identify(
    engine: &Engine,
    stored: &Stored,
    answer: &TokenAnswer,
) -> Result<Identity, TokenError> {
    let rule = &stored.entry.identity;
    let found = &answer.found;
    let unclear = || TokenError::Refused("identity_missing".to_owned());
    let url = match rule.from {
        IdentityFrom::TokenAnswer | IdentityFrom::Endpoint => {
            stored.endpoints.identity.clone().ok_or_else(unclear)?
        }
        IdentityFrom::AnswerUrl => {
            let url = found
                .identity_url
                .as_deref()
                .and_then(|url| Url::parse(url).ok());
            // The token goes there: only to the origin that gave it.
            url.filter(|url| url.origin() == stored.endpoints.token.origin())
                .ok_or_else(|| TokenError::Refused("identity_elsewhere".to_owned()))?
        }
    };
    let mut headers = bearer(&answer.tokens.access)?;
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let method = if rule.method == "POST" {
        Method::POST
    } else {
        Method::GET
    };
    let told = send(engine, method, url, headers, Bytes::new())
        .await
        .and_then(|answer| judged(stored.entry, &answer));
    let json = match (told, rule.from) {
        (Ok(json), _) => json,
        // The token answer has said who it is; only the name is missing.
        (Err(TokenError::Down { .. } | TokenError::Limited { .. }), IdentityFrom::TokenAnswer) => {
            Value::Null
        }
        (Err(error), _) => return Err(error),
    };
    let mut tenant = text(&json, &rule.tenant);
    let mut subject = text(&json, &rule.subject);
    if rule.from == IdentityFrom::TokenAnswer {
        let agrees = |said: &Option<String>, told: &Option<String>| {
            said.is_none() || told.is_none() || said == told
        };
        if !agrees(&subject, &found.subject) || !agrees(&tenant, &found.tenant) {
            return Err(TokenError::Refused("identity_mismatch".to_owned()));
        }
        tenant = found.tenant.clone().or(tenant);
        subject = found.subject.clone().or(subject);
    }
    let subject = subject.ok_or_else(unclear)?;
    let mut label = rule
        .label
        .iter()
        .find_map(|at| text(&json, at))
        .unwrap_or_else(|| subject.clone());
    if let Some(at) = &rule.tenant_label
        && let Some(name) = text(&json, at).or_else(|| found.tenant_name.clone())
    {
        label = format!("{label} in {name}");
    }
    Ok(Identity {
        tenant: tenant.unwrap_or_default(),
        subject,
        label: label
            .chars()
            .filter(|c| !c.is_control())
            .take(120)
            .collect(),
    })
}
