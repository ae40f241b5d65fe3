//! Asking a provider to end a token.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::connections::Stored;
use super::providers::{ClientAuth, RevocationStyle};
use super::wire::{TokenError, authenticate, bearer, judged, own_headers, send};
use crate::Engine;
use crate::secret::Secret;

/// One call to a revocation endpoint. `Ok` when the token is surely no longer good.
pub(super) async fn ask_revoke(
    engine: &Engine,
    stored: &Stored,
    token: &Secret<String>,
) -> Result<(), TokenError> {
    let Some(url) = stored.endpoints.revoke.clone() else {
        return Ok(());
    };
    let style = stored.entry.revocation.style;
    let mut headers = own_headers(&stored.entry);
    let mut form = Vec::new();
    if stored.entry.revocation.authenticated && style != RevocationStyle::DeleteGrant {
        let way = stored.entry.client_auth;
        authenticate(engine, stored, way, &mut headers, &mut form).await?;
    }
    let unprintable = |_| TokenError::Refused("token_unprintable".to_owned());
    let text = token.expose().clone();
    let (method, url, body) = match style {
        // A form's media type would be refused where no form is taken (Dropbox).
        RevocationStyle::Bearer => {
            headers.extend(bearer(token)?);
            (Method::POST, url, Vec::new())
        }
        RevocationStyle::Form => {
            // RFC 7009 §2.1.
            form.push(("token", text));
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            );
            let body = serde_urlencoded::to_string(&form)
                .map_err(|_| TokenError::Refused("token_unprintable".to_owned()))?;
            (Method::POST, url, body.into_bytes())
        }
        RevocationStyle::Json => {
            form.push(("token", text));
            let object: Value = form
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Value::String(value)))
                .collect();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let body = serde_json::to_vec(&object).map_err(unprintable)?;
            (Method::POST, url, body)
        }
        RevocationStyle::DeleteGrant => {
            authenticate(engine, stored, ClientAuth::Basic, &mut headers, &mut form).await?;
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let body = serde_json::to_vec(&json!({ "access_token": text })).map_err(unprintable)?;
            (
                Method::DELETE,
                grant_of(url, &stored.connection.client_id)?,
                body,
            )
        }
    };
    let answer = send(
        &**stored.outbound(engine),
        method,
        url,
        headers,
        Bytes::from(body),
    )
    .await?;
    // RFC 7009 §2.2: an empty 200 is the good answer. Dropbox says `null`.
    let says_more = matches!(serde_json::from_slice(&answer.body), Ok(Value::Object(_)));
    if answer.status.is_success() && !says_more {
        return Ok(());
    }
    // GitHub answers so for a token it does not know any more.
    if style == RevocationStyle::DeleteGrant && answer.status == StatusCode::UNPROCESSABLE_ENTITY {
        return Ok(());
    }
    match judged(&stored.entry, &answer) {
        Ok(_) | Err(TokenError::InvalidGrant) => Ok(()),
        // RFC 7009 §2.2 and Google's and Salesforce's words for a token that is gone already.
        Err(TokenError::Refused(code))
            if matches!(code.as_str(), "invalid_token" | "unsupported_token_type")
                || stored.entry.errors.ended.contains(&code) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// `{revoke}/{client id}/grant`.
fn grant_of(mut url: Url, client_id: &str) -> Result<Url, TokenError> {
    url.path_segments_mut()
        .map_err(|()| TokenError::Refused("revocation_endpoint".to_owned()))?
        .pop_if_empty()
        .push(client_id)
        .push("grant");
    Ok(url)
}
