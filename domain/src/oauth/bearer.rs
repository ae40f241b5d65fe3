//! An access token as it is presented at a resource of ours: `/proxy`, `/me`,
//! `/userinfo` (RFC 6750 §2.1, RFC 9449 §7.1).

use super::access::{self, Presented};
use super::dpop;
use super::error::{Code, OauthError};
use super::request_head::RequestHead;
use crate::Engine;

/// Checks the access token of this request for one audience, and the proof
/// where it is bound to a key. It is taken in the `Authorization` header only.
///
/// # Errors
/// `invalid_token` (also when there is none), `invalid_dpop_proof`,
/// `use_dpop_nonce`; all with status 401.
pub async fn present(
    engine: &Engine,
    head: &RequestHead,
    audience: &str,
) -> Result<Presented, OauthError> {
    let presented = present_any(engine, head).await?;
    if presented.audience != audience {
        return Err(OauthError::token("for another audience"));
    }
    Ok(presented)
}

/// As [`present`], for a token of any audience: only for resources that look
/// at [`Presented::audience`] themselves.
pub(super) async fn present_any(
    engine: &Engine,
    head: &RequestHead,
) -> Result<Presented, OauthError> {
    let header = head.authorization.as_deref().unwrap_or_default();
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    let token = token.trim();
    let with_proof = scheme.eq_ignore_ascii_case("dpop");
    if token.is_empty() || !(with_proof || scheme.eq_ignore_ascii_case("bearer")) {
        return Err(OauthError::token("there is none"));
    }
    let presented = access::read(engine, token).await?;
    let Some(bound) = &presented.jkt else {
        // RFC 9449 §7.1: what is not bound is not presented as if it were.
        return if with_proof {
            Err(OauthError::token("presented with DPoP but bound to no key"))
        } else {
            Ok(presented)
        };
    };
    if !with_proof {
        // §7.2: a bound token found lying about must not pass as a plain one.
        return Err(OauthError::token("bound to a key but presented as Bearer"));
    }
    let proof = dpop::check(engine, head, Some(token)).await;
    match proof.map_err(unauthorized)? {
        Some(jkt) if jkt == *bound => Ok(presented),
        Some(_) => Err(OauthError::token("bound to another key")),
        None => Err(unauthorized(OauthError::new(
            Code::InvalidDpopProof,
            "the DPoP header is missing",
        ))),
    }
}

/// At a resource a bad proof is a 401 (RFC 9449 §7.1).
fn unauthorized(mut error: OauthError) -> OauthError {
    if matches!(error.code, Code::InvalidDpopProof | Code::UseDpopNonce) {
        error.status = 401;
    }
    error
}
