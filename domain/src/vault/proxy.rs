//! The credential-injecting proxy: a call without the token.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::Engine;

/// What an agent sent.
#[derive(Clone)]
pub struct ProxyRequest {
    /// The connection's name.
    pub connection: String,
    /// Another host of the provider's entry than the first (`/proxy/{connection}/~{host}/…`).
    pub host: Option<String>,
    /// The method.
    pub method: Method,
    /// Raw path (with its first slash) and query, below the host's base
    /// (`/chat.postMessage`: Slack's base is `https://slack.com/api`).
    pub path_and_query: String,
    /// The agent's headers; which of them are passed on is decided here.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// What the provider answered, credentials scrubbed.
pub struct ProxyAnswer {
    /// The status.
    pub status: StatusCode,
    /// The headers that may be passed on.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why the call was not made, or has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The presented token is not good here. The cause is only logged.
    #[error("the access token is not good for this: {0}")]
    Token(String),
    /// The request cannot be passed on; the sentence says why.
    #[error("{0}")]
    Refused(String),
    /// The approval does not cover this call, or was used already.
    #[error("the approval does not cover this: {0}")]
    Approval(String),
    /// The request may have been carried out, but its answer is lost.
    #[error("the provider's answer was lost; whether the call was carried out is not known")]
    Unknown,
    /// The provider's answer is larger than may be passed on, in bytes.
    #[error("the provider's answer is larger than {0} bytes")]
    TooLarge(usize),
    /// Account, permission or provider.
    #[error(transparent)]
    Vault(#[from] super::Error),
}

/// Request bodies are at most this long, in bytes.
pub const REQUEST_LIMIT: usize = 10 * 1024 * 1024;
/// Answers are at most this long, in bytes.
pub const ANSWER_LIMIT: usize = 25 * 1024 * 1024;

/// Makes one call for the client and person of `presented_token`.
///
/// # Errors
/// See [`Error`].
pub async fn call(
    engine: &Engine,
    presented_token: &str,
    request: ProxyRequest,
) -> Result<ProxyAnswer, Error> {
    let _ = (engine, presented_token, request);
    Err(super::Error::NotFound.into())
}
