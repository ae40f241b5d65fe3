//! Key providers that are asked over the network: the key-encryption key never
//! comes here. HashiCorp Vault's Transit engine and AWS KMS, by their wire APIs.
//!
//! What always holds here: a call has a time-out and is tried a second time at
//! most; what was unwrapped is kept for a while ([`Remembered`]), so that a
//! token that is asked for again and again does not ask for its key each time,
//! and an outage of the provider is felt only by keys that nobody used of late.

mod aws;
mod aws_current;
mod aws_identity;
mod remembered;
mod sigv4;
mod transit;

pub use aws::AwsKms;
pub use aws_identity::{AwsCredentials, AwsIdentity, ContainerToken};
pub use remembered::{Remember, Remembered};
pub use transit::{Transit, TransitToken};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use url::Url;
use zeroize::Zeroize as _;

use super::Error;
use crate::outbound::{self, Answer, Ask, Outbound};

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A key and its frame are far below this.
const LIMIT: usize = 64 * 1024;

/// Posts JSON. A call that brought no answer, or an answer that asks for
/// patience, is made once more: wrapping and unwrapping change nothing.
async fn post(
    outbound: &Arc<dyn Outbound>,
    who: &str,
    url: &Url,
    body: &Bytes,
    headers: impl Fn() -> Result<HeaderMap, Error>,
) -> Result<Answer, Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        let ask = Ask {
            method: http::Method::POST,
            url: url.clone(),
            headers: headers()?,
            body: body.clone(),
            timeout: TIMEOUT,
            limit: LIMIT,
        };
        match outbound.send(ask).await {
            Ok(answer) if is_passing(answer.status) && tries < 2 => {}
            Ok(answer) => return Ok(answer),
            Err(error) if tries >= 2 || matches!(error, outbound::Error::TooLarge(_)) => {
                return Err(Error::Unavailable(format!("{who} did not answer: {error}")));
            }
            Err(_) => {}
        }
    }
}

fn is_passing(status: http::StatusCode) -> bool {
    status.is_server_error() || status == http::StatusCode::TOO_MANY_REQUESTS
}

/// A member of an answer, as text.
fn member<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(Value::as_str)
}

/// Bytes that held a key, once nobody else holds them.
fn forget(body: Bytes) {
    if let Ok(mut body) = body.try_into_mut() {
        body.as_mut().zeroize();
    }
}

/// A parsed answer that held a key in `path`.
fn forget_member(value: &mut Value, path: &str) {
    if let Some(Value::String(text)) = value.pointer_mut(path) {
        text.zeroize();
    }
}
