//! The exact call: the bytes an approval is about.

use evidence::digest::{base64url, from_base64url, sha256};
use evidence::json::canonical;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A call to a provider, complete to the last byte but for the credential.
/// The proxy sends these bytes, not the agent's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExactCall {
    /// The account whose credential is injected.
    pub account_id: String,
    /// The connection, as the agent names it.
    pub connection: String,
    /// Another host of the connection's entry; `None` is its default API host.
    pub host: Option<String>,
    /// The method, in capitals.
    pub method: String,
    /// Path (with its first slash) and query below the base of the host, raw, before any decoding.
    pub path_and_query: String,
    /// Headers, names in lower case, in the order they are sent.
    pub headers: Vec<(String, String)>,
    /// The body's exact bytes.
    #[serde(with = "as_text")]
    pub body: Vec<u8>,
}

/// What an agent sends to the proxy with the token of an approval.
#[derive(Clone, Debug)]
pub struct AgentCall {
    /// The connection in the address.
    pub connection: String,
    /// The host in the address (`~host`), if it names one.
    pub host: Option<String>,
    /// The method.
    pub method: String,
    /// Path (with its first slash) and query as they came, before any decoding.
    pub path_and_query: String,
    /// Headers as they came: name and value.
    pub headers: Vec<(String, String)>,
    /// The body as it came.
    pub body: Vec<u8>,
}

/// The first thing in which an agent's request differs from what was approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEqual {
    /// Another method.
    #[error("the method is not the approved one")]
    Method,
    /// Another connection.
    #[error("the connection is not the approved one")]
    Connection,
    /// Another host.
    #[error("the host is not the approved one")]
    Host,
    /// Another path or query.
    #[error("the path or query is not the approved one")]
    Path,
    /// Another content type.
    #[error("the content-type is not the approved one")]
    ContentType,
    /// A header that would make a provider read another request than the approved one.
    #[error("a header changes how the request is read (content-encoding or a method override)")]
    Header,
    /// Another body.
    #[error("the body is not byte for byte the approved one")]
    Body,
}

impl ExactCall {
    /// The tagged canonical form (RFC 8785) that digests and signatures cover.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        canonical(&json!({
            "tag": "attorn-exact-call-v1",
            "account": self.account_id,
            "connection": self.connection,
            "host": self.host,
            "method": self.method,
            "path_and_query": self.path_and_query,
            "headers": self.headers,
            "body": base64url(&self.body),
        }))
    }

    /// SHA-256 of [`ExactCall::canonical`].
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        sha256(&self.canonical())
    }

    /// The request that the agent must send, to the last byte: what it is told
    /// with the token (RFC 9396 §7.1), since it need not know how a call is
    /// made of its details. `proxy` is the address of ours that takes it.
    #[must_use]
    pub fn for_agent(&self, proxy: &str) -> Value {
        let host = self.host.as_ref().map(|host| format!("/~{host}"));
        let url = format!(
            "{proxy}/{}{}{}",
            self.connection,
            host.unwrap_or_default(),
            self.path_and_query
        );
        let mut call = json!({ "method": self.method, "url": url });
        if let Some((_, media)) = self.headers.first() {
            call["content_type"] = media.as_str().into();
            call["body"] = String::from_utf8_lossy(&self.body).into();
        }
        call
    }

    /// Compares an agent's request with this call.
    ///
    /// # Errors
    /// The first difference found.
    pub fn same_as(&self, asked: &AgentCall) -> Result<(), NotEqual> {
        if asked.method != self.method {
            return Err(NotEqual::Method);
        }
        if asked.connection != self.connection {
            return Err(NotEqual::Connection);
        }
        if asked.host != self.host {
            return Err(NotEqual::Host);
        }
        if asked.path_and_query != self.path_and_query {
            return Err(NotEqual::Path);
        }
        for (name, value) in &asked.headers {
            let name = name.to_ascii_lowercase();
            let changes_meaning = name == "content-encoding"
                && !value.eq_ignore_ascii_case("identity")
                || name.contains("method-override")
                || name == "x-http-method";
            if changes_meaning {
                return Err(NotEqual::Header);
            }
        }
        let wanted = media_type(&self.headers);
        let given = media_type(&asked.headers);
        if given.len() != wanted.len()
            || given
                .iter()
                .zip(&wanted)
                .any(|(given, wanted)| !same_media_type(given, wanted))
        {
            return Err(NotEqual::ContentType);
        }
        if asked.body != self.body {
            return Err(NotEqual::Body);
        }
        Ok(())
    }
}

fn media_type(headers: &[(String, String)]) -> Vec<String> {
    headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .map(|(_, value)| value.to_ascii_lowercase().replace([' ', '\t'], ""))
        .collect()
}

/// `application/json` is UTF-8 whether it says so or not (RFC 8259 §8.1); the
/// approved header is what is sent in any case.
fn same_media_type(given: &str, wanted: &str) -> bool {
    let bare = |text: &str| {
        text.strip_suffix(";charset=utf-8")
            .unwrap_or(text)
            .to_owned()
    };
    given == wanted || (bare(wanted) == "application/json" && bare(given) == "application/json")
}

/// base64url in JSON: bytes of any kind survive.
mod as_text {
    use super::{base64url, from_base64url};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&base64url(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        from_base64url(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn approved() -> ExactCall {
        ExactCall {
            account_id: "acc_1".to_owned(),
            connection: "sign-in-with-slack".to_owned(),
            host: None,
            method: "POST".to_owned(),
            path_and_query: "/chat.postMessage".to_owned(),
            headers: vec![(
                "content-type".to_owned(),
                "application/json; charset=utf-8".to_owned(),
            )],
            body: br##"{"channel":"#general","text":"hi"}"##.to_vec(),
        }
    }

    fn asked() -> AgentCall {
        let call = approved();
        AgentCall {
            connection: call.connection,
            host: None,
            method: call.method,
            path_and_query: "/chat.postMessage".to_owned(),
            headers: vec![
                ("Content-Type".to_owned(), "application/json".to_owned()),
                ("Accept".to_owned(), "*/*".to_owned()),
            ],
            body: call.body,
        }
    }

    #[test]
    fn the_same_request_is_accepted() {
        assert_eq!(approved().same_as(&asked()), Ok(()));
    }

    #[test]
    fn every_difference_has_its_name() {
        type Change = fn(&mut AgentCall);
        let cases: Vec<(NotEqual, Change)> = vec![
            (NotEqual::Method, |call| call.method = "post".to_owned()),
            (NotEqual::Connection, |call| call.connection.push('x')),
            (NotEqual::Host, |call| {
                call.host = Some("files.slack.com".to_owned())
            }),
            (NotEqual::Path, |call| call.path_and_query.push_str("?a=b")),
            (NotEqual::Path, |call| {
                call.path_and_query = "//chat.postMessage".to_owned()
            }),
            (NotEqual::Path, |call| {
                call.path_and_query = "/chat%2EpostMessage".to_owned()
            }),
            (NotEqual::ContentType, |call| call.headers.clear()),
            (NotEqual::ContentType, |call| {
                call.headers[0].1 = "text/plain".to_owned()
            }),
            (NotEqual::ContentType, |call| {
                call.headers
                    .push(("content-type".to_owned(), "application/json".to_owned()))
            }),
            (NotEqual::Header, |call| {
                call.headers
                    .push(("X-HTTP-Method-Override".to_owned(), "DELETE".to_owned()))
            }),
            (NotEqual::Header, |call| {
                call.headers
                    .push(("content-encoding".to_owned(), "gzip".to_owned()))
            }),
            (NotEqual::Body, |call| call.body.push(b' ')),
            (NotEqual::Body, |call| {
                call.body = br##"{"text":"hi","channel":"#general"}"##.to_vec()
            }),
        ];
        for (what, change) in cases {
            let mut call = asked();
            change(&mut call);
            assert_eq!(approved().same_as(&call), Err(what), "{call:?}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_byte_of_the_body_is_never_equal(position: usize, to: u8) {
            let mut call = asked();
            let position = position % call.body.len();
            prop_assume!(call.body[position] != to);
            call.body[position] = to;
            prop_assert_eq!(approved().same_as(&call), Err(NotEqual::Body));
        }

        #[test]
        fn a_call_is_read_back_as_it_was_kept(body: Vec<u8>) {
            let call = ExactCall { body, ..approved() };
            let text = serde_json::to_string(&call).unwrap();
            let back: ExactCall = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(back.digest(), call.digest());
            prop_assert_eq!(back, call);
        }
    }
}
