//! One delivery to a push service (RFC 8030).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

use super::Keys;
use super::encrypt::{EncryptError, Once, encrypt};
use super::retry_after::retry_after;
use super::vapid::{self, VapidError};
use crate::Engine;
use crate::keyring::{SigningKey, sha256};
use crate::outbound::Ask;

/// How long a push service may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest TTL, in seconds: 72 hours, as long as a request can wait.
pub const LONGEST_TTL_S: u32 = 72 * 60 * 60;

/// How soon a device should be woken (RFC 8030 §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// On power and Wi-Fi.
    VeryLow,
    /// On power or Wi-Fi.
    Low,
    /// Not on low battery.
    Normal,
    /// Always.
    High,
}

impl Urgency {
    const fn word(self) -> &'static str {
        match self {
            Self::VeryLow => "very-low",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// What a later message takes the place of (RFC 8030 §5.4): 32 characters that
/// tell the push service nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic(String);

impl Topic {
    /// The topic of a thing, by its id.
    #[must_use]
    pub fn of(id: &str) -> Self {
        let digest = sha256(&[b"attorn push topic\0", id.as_bytes()].concat());
        Self(URL_SAFE_NO_PAD.encode(&digest[..24]))
    }

    /// Its text: at most 32 characters of base64url.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One message to one subscription.
pub struct Push<'a> {
    /// Where to: what the browser named.
    pub endpoint: &'a Url,
    /// The subscription's keys.
    pub keys: &'a Keys,
    /// What our worker reads; at most [`super::encrypt::LONGEST`] bytes.
    pub payload: &'a [u8],
    /// For how many seconds it is of use; at most `LONGEST_TTL_S`.
    pub ttl_s: u32,
    /// How soon the device should be woken.
    pub urgency: Urgency,
    /// What it takes the place of.
    pub topic: Option<&'a Topic>,
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The push service took it.
    Delivered,
    /// The subscription is no more: it is to be removed (RFC 8030 §7.3).
    Gone,
    /// Not now; the push service may say after how long to try again.
    Retry {
        /// After how long, if it said so; at most an hour.
        after: Option<Duration>,
        /// What happened, for the delivery log.
        why: String,
    },
    /// It will not take this message, and asking again changes nothing.
    Refused {
        /// The status.
        status: u16,
    },
}

/// Why nothing was sent: a fault of ours, or of the subscription.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The message.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// The token.
    #[error(transparent)]
    Vapid(#[from] VapidError),
}

/// Sends one message over the guarded client. `key` is the one browsers were
/// told when they subscribed, `contact` where a push service's operator may
/// write to.
///
/// # Errors
/// See [`SendError`]; whatever the push service does is an [`Outcome`].
pub async fn send(
    engine: &Engine,
    key: &SigningKey,
    contact: &str,
    push: &Push<'_>,
) -> Result<Outcome, SendError> {
    let body = encrypt(push.keys, push.payload, &Once::random(&*engine.rng))?;
    let mut headers = HeaderMap::new();
    let authorization = vapid::authorization(key, push.endpoint, contact, engine.now())?;
    headers.insert(AUTHORIZATION, authorization);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    let ttl = HeaderValue::from(push.ttl_s.min(LONGEST_TTL_S));
    headers.insert(HeaderName::from_static("ttl"), ttl);
    let urgency = HeaderValue::from_static(push.urgency.word());
    headers.insert(HeaderName::from_static("urgency"), urgency);
    if let Some(Ok(topic)) = push
        .topic
        .map(|topic| HeaderValue::try_from(topic.as_str()))
    {
        headers.insert(HeaderName::from_static("topic"), topic);
    }
    let answer = engine
        .guarded
        .send(Ask {
            method: Method::POST,
            url: push.endpoint.clone(),
            headers,
            body: Bytes::from(body),
            timeout: TIMEOUT,
            limit: 16 * 1024,
        })
        .await;
    Ok(match answer {
        Ok(answer) => judged(answer.status, &answer.headers, engine.now()),
        Err(error) => Outcome::Retry {
            after: None,
            why: error.to_string(),
        },
    })
}

fn judged(status: StatusCode, headers: &HeaderMap, now: i64) -> Outcome {
    match status {
        // RFC 8030 §5: 201; services also answer 200 and 202.
        status if status.is_success() => Outcome::Delivered,
        StatusCode::NOT_FOUND | StatusCode::GONE => Outcome::Gone,
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Outcome::Retry {
                after: retry_after(headers, now),
                why: format!("answered {}", status.as_u16()),
            }
        }
        status => Outcome::Refused {
            status: status.as_u16(),
        },
    }
}
