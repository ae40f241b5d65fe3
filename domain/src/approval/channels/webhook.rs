//! The signed webhook, in the form of Standard Webhooks 1.0
//! (<https://www.standardwebhooks.com>), which libraries in many languages
//! verify: `webhook-id`, `webhook-timestamp` and
//! `webhook-signature: v1,{base64}` over `{id}.{timestamp}.{body}`.

use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use evidence::digest::base64;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use super::NoticeChannel;
use super::deliver::Says;
use crate::Engine;
use crate::approval::push::retry_after;
use crate::approval::read::Approval;
use crate::due::End;
use crate::outbound::Ask;
use crate::secret::Secret;
use crate::storage;

/// How long an app may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);

fn key(engine: &Engine, channel_id: &str) -> [u8; 32] {
    engine
        .keys
        .hash("webhook signing key", channel_id.as_bytes())
}

/// What an app checks the signatures of its channel with: `whsec_` and 32 bytes
/// in base64. It is made from a key of the deployment and kept nowhere.
#[must_use]
pub fn secret(engine: &Engine, channel_id: &str) -> Secret<String> {
    Secret::new(format!("whsec_{}", base64(&key(engine, channel_id))))
}

fn signature(key: &[u8; 32], id: &str, timestamp: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", base64(tag.as_ref()))
}

fn instant(at: i64) -> String {
    OffsetDateTime::from_unix_timestamp(at.div_euclid(1000))
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

fn body(engine: &Engine, says: &Says<'_>) -> Value {
    let of = |approval: &Approval| {
        json!({
            "approval": approval.id,
            "agent": approval.shown.agent,
            "title": approval.shown.title,
            "risk": approval.shown.risk,
            "state": approval.state.word(),
            "expires_at": instant(approval.expires_at),
            "url": engine.settings.url(&format!("approve/{}", approval.id)),
        })
    };
    let (kind, data) = match says {
        Says::Asked(approval) => ("approval.asked", of(approval)),
        Says::Ended(approval) => ("approval.ended", of(approval)),
        Says::Device => (
            "device.recovered",
            json!({"url": engine.settings.url("devices")}),
        ),
        Says::Test => ("test", json!({"url": engine.settings.url("devices")})),
    };
    json!({"type": kind, "timestamp": instant(engine.now()), "data": data})
}

/// Makes one delivery, through the guarded client.
pub(super) async fn deliver(
    engine: &Engine,
    id: &str,
    channel: &NoticeChannel,
    says: &Says<'_>,
) -> Result<End, storage::Error> {
    let Ok(url) = Url::parse(&channel.target) else {
        return Ok(End::GivenUp("the address is none".to_owned()));
    };
    let body = body(engine, says).to_string();
    let timestamp = engine.now().div_euclid(1000);
    let signature = signature(&key(engine, &channel.id), id, timestamp, &body);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in [
        ("webhook-id", id),
        ("webhook-timestamp", &timestamp.to_string()),
        ("webhook-signature", &signature),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let answer = engine
        .guarded
        .send(Ask {
            method: Method::POST,
            url,
            headers,
            body: Bytes::from(body),
            timeout: TIMEOUT,
            limit: 16 * 1024,
        })
        .await;
    Ok(match answer {
        Ok(answer) if answer.status.is_success() => End::Done,
        Ok(answer) => {
            let why = format!("answered {}", answer.status.as_u16());
            let later = answer.status.is_server_error()
                || matches!(
                    answer.status,
                    StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
                );
            if later {
                End::Failed(why, retry_after(&answer.headers, engine.now()))
            } else {
                End::GivenUp(why)
            }
        }
        Err(error) => End::Failed(error.to_string(), None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's `hmac`, over the id, time and body of an example.
    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        let body = r#"{"test": 2432232314}"#;
        let of = |key: &[u8; 32]| signature(key, "msg_1", 1_614_265_330, body);
        assert_eq!(of(&[7; 32]), PYTHON);
        assert_ne!(of(&[8; 32]), PYTHON);
    }

    const PYTHON: &str = "v1,4tb+MnkCTqymlrGQQ6f66PPeMjMas7AHx6XI40qL5MA=";
}
