//! What a resource of ours says to a request whose access token is missing or
//! not good enough (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1).

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use domain::oauth::{Code, OauthError, dpop};

use crate::door::Door;

/// The refusal, with a challenge for each way to present a token. `metadata`
/// is the last part of the resource's metadata address, such as `proxy`;
/// without one the challenge names none.
pub fn refused(
    door: &Door,
    metadata: Option<&str>,
    presented: bool,
    error: &OauthError,
) -> Response {
    let mut response = super::refusal(error);
    if !matches!(
        error.code,
        Code::InvalidToken | Code::InsufficientScope | Code::InvalidDpopProof | Code::UseDpopNonce
    ) {
        return response;
    }
    let mut shared = String::new();
    if let Some(metadata) = metadata {
        let address = door
            .engine
            .settings
            .url(&format!(".well-known/oauth-protected-resource/{metadata}"));
        shared.push_str(&format!(", resource_metadata=\"{address}\""));
    }
    // RFC 6750 §3.1: who presented nothing is told no error.
    if presented {
        shared.push_str(&format!(
            ", error=\"{}\", error_description=\"{}\"",
            error.code.word(),
            error.plain()
        ));
    }
    let of_proof = matches!(error.code, Code::InvalidDpopProof | Code::UseDpopNonce);
    let bearer = (!of_proof).then(|| format!("Bearer realm=\"attorn\"{shared}"));
    let proof = format!(
        "DPoP realm=\"attorn\", algs=\"{}\"{shared}",
        dpop::ALGORITHMS.join(" ")
    );
    for challenge in bearer.into_iter().chain([proof]) {
        if let Ok(value) = HeaderValue::from_str(&challenge) {
            response
                .headers_mut()
                .append(header::WWW_AUTHENTICATE, value);
        }
    }
    response
}

/// The header with the nonce for the next proof.
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
