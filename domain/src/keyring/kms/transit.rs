//! HashiCorp Vault's Transit secrets engine
//! (<https://developer.hashicorp.com/vault/api-docs/secret/transit>), which
//! OpenBao speaks too.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::super::{Error, KeyEncryption};
use super::{forget, forget_member, member, post};
use crate::outbound::Outbound;
use crate::secret::Secret;

/// What every ciphertext of Transit begins with.
const MARK: &[u8] = b"vault:";

/// How we prove ourselves to Vault.
#[derive(Clone)]
pub enum TransitToken {
    /// A token as it is.
    Given(Secret<String>),
    /// A file that holds one and may change, as Vault's agent writes it: read for every call.
    File(PathBuf),
}

impl TransitToken {
    fn header(&self) -> Result<HeaderValue, Error> {
        let text = match self {
            Self::Given(token) => token.clone(),
            Self::File(path) => Secret::new(std::fs::read_to_string(path).map_err(|error| {
                Error::Unavailable(format!("Vault's token {}: {error}", path.display()))
            })?),
        };
        let mut value = HeaderValue::from_str(text.expose().trim())
            .map_err(|_| Error::Unavailable("Vault's token is not a token".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// A key of a Transit engine: an AEAD one (`aes256-gcm96`, the default), since
/// the row's identity goes along as associated data.
pub struct Transit {
    id: String,
    encrypt: Url,
    decrypt: Url,
    namespace: Option<HeaderValue>,
    token: TransitToken,
    outbound: Arc<dyn Outbound>,
}

impl Transit {
    /// The key `key` of the engine at `mount` of the Vault at `address`.
    ///
    /// # Errors
    /// When these do not make an address, or the namespace is not one.
    pub fn new(
        address: &Url,
        mount: &str,
        key: &str,
        namespace: Option<&str>,
        token: TransitToken,
        outbound: Arc<dyn Outbound>,
    ) -> Result<Self, Error> {
        let plain = |text: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
            !text.is_empty() && text.chars().all(fits) && !text.contains("..")
        };
        if !plain(mount) || !plain(key) || key.contains('/') {
            return Err(Error::Unavailable(
                "a Transit engine and its key have names of letters, digits, `-`, `_` and `.`"
                    .to_owned(),
            ));
        }
        let mount = mount.trim_matches('/');
        let base = address.as_str().trim_end_matches('/');
        let at = |what: &str| {
            Url::parse(&format!("{base}/v1/{mount}/{what}/{key}"))
                .map_err(|_| Error::Unavailable("Vault's address is not an address".to_owned()))
        };
        let namespace = namespace
            .map(HeaderValue::from_str)
            .transpose()
            .map_err(|_| Error::Unavailable("Vault's namespace is not a name".to_owned()))?;
        Ok(Self {
            id: format!("transit:{mount}/{key}"),
            encrypt: at("encrypt")?,
            decrypt: at("decrypt")?,
            namespace,
            token,
            outbound,
        })
    }

    async fn call(&self, url: &Url, body: &Value) -> Result<Value, Error> {
        let body = Bytes::from(body.to_string());
        let answer = post(&self.outbound, "Vault", url, &body, || {
            let mut headers = HeaderMap::new();
            headers.insert(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
            headers.insert(
                HeaderName::from_static("x-vault-request"),
                HeaderValue::from_static("true"),
            );
            headers.insert(
                HeaderName::from_static("x-vault-token"),
                self.token.header()?,
            );
            if let Some(namespace) = &self.namespace {
                headers.insert(
                    HeaderName::from_static("x-vault-namespace"),
                    namespace.clone(),
                );
            }
            Ok(headers)
        })
        .await?;
        forget(body);
        let read: Option<Value> = serde_json::from_slice(&answer.body).ok();
        forget(answer.body);
        match (answer.status.as_u16(), read) {
            (200, Some(value)) => Ok(value),
            // What does not open is a bad request among others; the key, its
            // type and the policy were in order when something was wrapped.
            (400, Some(value)) => Err(refused(&value)),
            (403, _) => Err(Error::Unavailable(
                "Vault refuses the token, or its policy does not allow this key (403)".to_owned(),
            )),
            (404, _) => Err(Error::Unavailable(
                "Vault has no such Transit engine or key (404)".to_owned(),
            )),
            (status, _) => Err(Error::Unavailable(format!("Vault answered {status}"))),
        }
    }
}

/// A 400's sentences: what opens nothing, and what is set up wrongly.
fn refused(value: &Value) -> Error {
    let words = member(value, "/errors/0").unwrap_or_default();
    let closed = [
        "authentication failed",
        "invalid ciphertext",
        "unable to decrypt",
        "too old",
    ];
    if closed.iter().any(|part| words.contains(part)) {
        Error::DoesNotOpen
    } else {
        let words: String = words
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        Error::Unavailable(format!("Vault refused: {words}"))
    }
}

#[async_trait]
impl KeyEncryption for Transit {
    fn id(&self) -> &str {
        &self.id
    }

    async fn wrap(&self, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
        let mut body = json!({
            "plaintext": STANDARD.encode(plain),
            "associated_data": STANDARD.encode(aad),
        });
        let answer = self.call(&self.encrypt, &body).await;
        forget_member(&mut body, "/plaintext");
        let answer = answer?;
        let wrapped = member(&answer, "/data/ciphertext").unwrap_or_default();
        if wrapped.as_bytes().starts_with(MARK) {
            Ok(wrapped.as_bytes().to_vec())
        } else {
            Err(Error::Unavailable(
                "Vault answered no ciphertext".to_owned(),
            ))
        }
    }

    async fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let text = std::str::from_utf8(wrapped).map_err(|_| Error::DoesNotOpen)?;
        let body = json!({
            "ciphertext": text,
            "associated_data": STANDARD.encode(aad),
        });
        let mut answer = self.call(&self.decrypt, &body).await?;
        let plain = member(&answer, "/data/plaintext")
            .and_then(|text| STANDARD.decode(text).ok())
            .map(Secret::new);
        forget_member(&mut answer, "/data/plaintext");
        plain.ok_or_else(|| Error::Unavailable("Vault answered no plaintext".to_owned()))
    }

    fn may_have_wrapped(&self, wrapped: &[u8]) -> bool {
        wrapped.starts_with(MARK)
    }
}
