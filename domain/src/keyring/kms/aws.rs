//! AWS Key Management Service
//! (<https://docs.aws.amazon.com/kms/latest/APIReference/>): `Encrypt` and `Decrypt`.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::{Position, Url};

use super::super::{Error, KeyEncryption, sha256};
use super::aws_current::Current;
use super::aws_identity::{AwsCredentials, AwsIdentity};
use super::sigv4::{Request, Scope, amz_date, authorization};
use super::{forget, forget_member, member, post};
use crate::clock::Clock;
use crate::outbound::Outbound;
use crate::secret::Secret;

/// What we put before KMS's own bytes, to know them again.
const MARK: &[u8] = b"awskms1:";
const JSON: &str = "application/x-amz-json-1.1";

/// A symmetric key of AWS KMS.
pub struct AwsKms {
    id: String,
    key_id: String,
    region: String,
    endpoint: Url,
    credentials: Current,
    clock: Arc<dyn Clock>,
    outbound: Arc<dyn Outbound>,
}

impl AwsKms {
    /// The key `key_id` (id, ARN or alias) in `region`; `endpoint` where it is
    /// not the region's public one.
    ///
    /// # Errors
    /// When these do not make an address.
    pub fn new(
        region: &str,
        key_id: &str,
        endpoint: Option<&Url>,
        identity: AwsIdentity,
        clock: Arc<dyn Clock>,
        outbound: Arc<dyn Outbound>,
    ) -> Result<Self, Error> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if region.is_empty() || !region.chars().all(fits) || key_id.is_empty() {
            return Err(Error::Unavailable(
                "AWS KMS needs a region such as eu-central-1 and the id of a key".to_owned(),
            ));
        }
        let endpoint = match endpoint {
            Some(endpoint) => Ok(endpoint.clone()),
            None => Url::parse(&format!("https://kms.{region}.amazonaws.com/")),
        };
        Ok(Self {
            id: format!("awskms:{key_id}"),
            key_id: key_id.to_owned(),
            region: region.to_owned(),
            endpoint: endpoint
                .map_err(|_| Error::Unavailable("the KMS endpoint is not an address".to_owned()))?,
            credentials: Current::new(identity, clock.clone(), outbound.clone()),
            clock,
            outbound,
        })
    }

    /// Which row a key belongs to. KMS binds it as additional authenticated
    /// data and writes it into CloudTrail in clear: hence a digest.
    fn context(aad: &[u8]) -> Value {
        json!({"attorn": STANDARD.encode(sha256(aad))})
    }

    fn headers(
        &self,
        credentials: &AwsCredentials,
        target: &str,
        body: &[u8],
    ) -> Result<HeaderMap, Error> {
        let date = amz_date(self.clock.now())?;
        let host = &self.endpoint[Position::BeforeHost..Position::AfterPort];
        let token = credentials.session_token.as_ref();
        let mut signed = vec![
            ("content-type", JSON),
            ("host", host),
            ("x-amz-date", &date),
        ];
        if let Some(token) = token {
            signed.push(("x-amz-security-token", token.expose()));
        }
        signed.push(("x-amz-target", target));
        let scope = Scope {
            access_key_id: &credentials.access_key_id,
            secret_access_key: &credentials.secret_access_key,
            region: &self.region,
            service: "kms",
        };
        let request = Request {
            method: "POST",
            path: self.endpoint.path(),
            query: "",
            headers: &signed,
            body,
        };
        let authorization = authorization(&scope, &request, &date);
        signed.push(("authorization", &authorization));
        let mut headers = HeaderMap::new();
        for (name, value) in signed {
            // The client sets it from the address.
            if name == "host" {
                continue;
            }
            let name = HeaderName::from_bytes(name.as_bytes());
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                Error::Unavailable("AWS credentials are not well formed".to_owned())
            })?;
            value.set_sensitive(true);
            if let Ok(name) = name {
                headers.insert(name, value);
            }
        }
        Ok(headers)
    }

    async fn call(&self, target: &str, body: &Value) -> Result<Value, Error> {
        let body = Bytes::from(body.to_string());
        let mut tries = 0;
        let answered = loop {
            tries += 1;
            let credentials = self.credentials.get().await?;
            let answer = post(&self.outbound, "AWS KMS", &self.endpoint, &body, || {
                self.headers(&credentials, target, &body)
            })
            .await?;
            let read: Option<Value> = serde_json::from_slice(&answer.body).ok();
            forget(answer.body);
            match (answer.status.as_u16(), read) {
                (200, Some(value)) => break Ok(value),
                // Taken back before their end: others may have come since.
                (_, Some(value)) if tries < 2 && has_ended(&value) => {
                    self.credentials.drop_ended(&credentials).await;
                }
                (status, Some(value)) => break Err(refused(status, &value)),
                (status, None) => {
                    break Err(Error::Unavailable(format!("AWS KMS answered {status}")));
                }
            }
        };
        forget(body);
        answered
    }
}

fn exception(value: &Value) -> &str {
    let name = member(value, "/__type").unwrap_or_default();
    name.rsplit('#').next().unwrap_or(name)
}

/// Whether it is the credentials that are no longer good.
fn has_ended(value: &Value) -> bool {
    matches!(
        exception(value),
        "ExpiredTokenException" | "UnrecognizedClientException" | "InvalidClientTokenId"
    )
}

/// By the name of the exception; its words may name accounts and keys.
fn refused(status: u16, value: &Value) -> Error {
    let name = exception(value);
    if matches!(name, "InvalidCiphertextException" | "IncorrectKeyException") {
        return Error::DoesNotOpen;
    }
    let name: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(80)
        .collect();
    Error::Unavailable(format!("AWS KMS refused: {name} ({status})"))
}

#[async_trait]
impl KeyEncryption for AwsKms {
    fn id(&self) -> &str {
        &self.id
    }

    async fn wrap(&self, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
        let mut body = json!({
            "KeyId": self.key_id,
            "Plaintext": STANDARD.encode(plain),
            "EncryptionContext": Self::context(aad),
        });
        let answer = self.call("TrentService.Encrypt", &body).await;
        forget_member(&mut body, "/Plaintext");
        let answer = answer?;
        let blob = member(&answer, "/CiphertextBlob").and_then(|text| STANDARD.decode(text).ok());
        let blob =
            blob.ok_or_else(|| Error::Unavailable("AWS KMS answered no ciphertext".to_owned()))?;
        Ok([MARK, &blob].concat())
    }

    async fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let blob = wrapped.strip_prefix(MARK).ok_or(Error::DoesNotOpen)?;
        let body = json!({
            "KeyId": self.key_id,
            "CiphertextBlob": STANDARD.encode(blob),
            "EncryptionContext": Self::context(aad),
        });
        let mut answer = self.call("TrentService.Decrypt", &body).await?;
        let plain = member(&answer, "/Plaintext")
            .and_then(|text| STANDARD.decode(text).ok())
            .map(Secret::new);
        forget_member(&mut answer, "/Plaintext");
        plain.ok_or_else(|| Error::Unavailable("AWS KMS answered no plaintext".to_owned()))
    }

    fn may_have_wrapped(&self, wrapped: &[u8]) -> bool {
        wrapped.starts_with(MARK)
    }
}
