//! Voluntary application server identification (RFC 8292): a token signed by
//! our key, which browsers were told when they subscribed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde_json::json;
use url::Url;

use crate::keyring::{self, Jwk, SigningKey};

/// How long a token lives, in seconds. §2: not more than 24 hours; half of it
/// bears clocks that are wrong.
const LIFE_S: i64 = 12 * 60 * 60;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum VapidError {
    /// `sub` must be a `mailto:` or `https:` address (§2.1).
    #[error("the contact for push services must be a mailto: or https: address")]
    Contact,
    /// The endpoint has no origin.
    #[error("the push endpoint is not an address with an origin")]
    Endpoint,
    /// The key is not an ES256 key.
    #[error("the key for push services is not an ES256 key")]
    Key,
    /// The key did not sign.
    #[error(transparent)]
    Signing(#[from] keyring::Error),
}

/// `applicationServerKey`: the key as an uncompressed point, base64url.
///
/// # Errors
/// [`VapidError::Key`].
pub fn application_server_key(jwk: &Jwk) -> Result<String, VapidError> {
    let part = |part: &Option<String>| {
        part.as_deref()
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .filter(|bytes| bytes.len() == 32)
            .ok_or(VapidError::Key)
    };
    if jwk.kty != "EC" || jwk.crv.as_deref() != Some("P-256") {
        return Err(VapidError::Key);
    }
    let point = [&[4][..], &part(&jwk.x)?, &part(&jwk.y)?].concat();
    Ok(URL_SAFE_NO_PAD.encode(point))
}

/// The `Authorization` header of a push to this endpoint (§3). `contact` is
/// where the push service's operator may write to; `now` is Unix milliseconds.
///
/// # Errors
/// See [`VapidError`].
pub fn authorization(
    key: &SigningKey,
    endpoint: &Url,
    contact: &str,
    now: i64,
) -> Result<HeaderValue, VapidError> {
    let is_contact = contact
        .strip_prefix("mailto:")
        .is_some_and(|mail| mail.contains('@'))
        || contact.starts_with("https://");
    if !is_contact {
        return Err(VapidError::Contact);
    }
    let origin = endpoint.origin();
    if !origin.is_tuple() {
        return Err(VapidError::Endpoint);
    }
    let public = application_server_key(&key.jwk)?;
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = encode(json!({"typ": "JWT", "alg": "ES256"}));
    let claims = encode(json!({
        "aud": origin.ascii_serialization(),
        "exp": now / 1000 + LIFE_S,
        "sub": contact,
    }));
    let signed = format!("{head}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())?);
    let mut header = HeaderValue::try_from(format!("vapid t={signed}.{signature}, k={public}"))
        .map_err(|_| VapidError::Endpoint)?;
    header.set_sensitive(true);
    Ok(header)
}
