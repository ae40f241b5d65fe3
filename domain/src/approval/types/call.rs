//! `call`: any API call of a linked account, with its body.
//!
//! What the agent names is what is sent: the path and the query are taken as
//! they stand and must be in normal form already, JSON is sent in its canonical
//! form (RFC 8785), any other body byte for byte.

use evidence::json::{Limits, canonical, is_canonical, parse_strict};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::checks::line;
use super::{ExactCall, Rows, json_body, row};
use crate::approval::Risk;
use crate::vault;

/// How long a body may be, in bytes: a person must be able to read it.
const MOST_BODY: usize = 16 * 1024;
/// How long path and query may be, in bytes.
const MOST_PATH: usize = 2_000;
/// What stands for the host where only the form of a path is looked at.
const ANY_HOST: &str = "https://host.invalid";
/// Names of parameters by which a provider acts for another account than the
/// one that is shown (RFC 6750 §2.3 and older forms of it).
const CREDENTIALS: [&str; 2] = ["access_token", "oauth_token"];
const FORM: &str = "application/x-www-form-urlencoded";

/// One call: `{"type":"call","connection":"google-oauth2","method":"POST","path":"/calendar/v3/calendars","body":{"summary":"Team"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The connection, by name.
    pub connection: String,
    /// Another API host of the connection's entry than the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// The raw path below the API host's base, with its first slash.
    pub path: String,
    /// The raw query, without its `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The media type of a body that is text. Without it the body is JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The body: any JSON value, or the text that `content_type` tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

impl Call {
    pub(super) fn checked(self) -> Result<Self, String> {
        line("connection", &self.connection)?;
        let name = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.'
        };
        if self
            .host
            .as_ref()
            .is_some_and(|host| host.is_empty() || host.len() > 253 || !host.bytes().all(name))
        {
            return Err("`host` is not the name of a host in lower case".to_owned());
        }
        if !["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(&self.method.as_str()) {
            return Err("`method` must be GET, HEAD, POST, PUT, PATCH or DELETE".to_owned());
        }
        if self.path.contains('?') {
            return Err("`path` may not hold a query; give it as `query`".to_owned());
        }
        let whole = self.path_and_query();
        if whole.len() > MOST_PATH {
            return Err(format!(
                "`path` and `query` are longer than {MOST_PATH} bytes"
            ));
        }
        // Whether an encoded slash is data is known with the account.
        vault::check_path(&whole, vault::EncodedSlash::Data).map_err(str::to_owned)?;
        // An address that a reader of addresses writes otherwise is sent otherwise.
        let full = format!("{ANY_HOST}{whole}");
        if Url::parse(&full)
            .ok()
            .is_none_or(|url| url.as_str() != full)
        {
            return Err("`path` or `query` is not in normal form".to_owned());
        }
        self.query
            .as_deref()
            .map_or(Ok(()), |query| names("query", query))?;
        self.check_body()?;
        Ok(self)
    }

    fn check_body(&self) -> Result<(), String> {
        if self.body.is_some() && matches!(self.method.as_str(), "GET" | "HEAD") {
            return Err("a call with GET or HEAD has no body".to_owned());
        }
        let Some(media) = self.content_type.as_deref() else {
            return within_limit(self.bytes().len());
        };
        let Some(Value::String(text)) = &self.body else {
            return Err("with `content_type`, `body` must be text".to_owned());
        };
        within_limit(text.len())?;
        let bare = media_type(media).ok_or("`content_type` is not a plain media type")?;
        if bare.starts_with("multipart/") || bare.starts_with("message/") {
            // One body with further calls or messages in it, as batch endpoints take.
            return Err("`content_type` may not be of several parts".to_owned());
        }
        let bad =
            |character: char| character.is_control() && !matches!(character, '\n' | '\r' | '\t');
        if text.chars().any(bad) {
            return Err("`body` has control characters".to_owned());
        }
        if bare.ends_with("json") {
            parse_strict(text.as_bytes(), Limits::BODY).map_err(|error| {
                format!("`body` is not JSON that is read one way only: {error}")
            })?;
        }
        if bare == FORM {
            names("body", text)?;
        }
        Ok(())
    }

    fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match (&self.body, &self.content_type) {
            (None, _) => Vec::new(),
            (Some(Value::String(text)), Some(_)) => text.as_bytes().to_vec(),
            (Some(value), _) => canonical(value),
        }
    }

    /// The exact call: a pure function of the details and the account.
    #[must_use]
    pub fn call(&self, account_id: &str) -> ExactCall {
        ExactCall {
            account_id: account_id.to_owned(),
            connection: self.connection.clone(),
            host: self.host.clone(),
            method: self.method.clone(),
            path_and_query: self.path_and_query(),
            headers: match (&self.body, &self.content_type) {
                (None, _) => Vec::new(),
                (Some(_), Some(media)) => vec![("content-type".to_owned(), media.clone())],
                (Some(_), None) => json_body(),
            },
            body: self.bytes(),
        }
    }

    /// Reading is of less weight than changing: nobody here knows what a call changes.
    pub(super) fn risk(&self) -> Risk {
        match self.method.as_str() {
            "GET" | "HEAD" => Risk::Medium,
            _ => Risk::High,
        }
    }
}

fn within_limit(length: usize) -> Result<(), String> {
    if length > MOST_BODY {
        return Err(format!("`body` is longer than {MOST_BODY} bytes"));
    }
    Ok(())
}

/// Parameters that make the call another one than its method and account say.
fn names(place: &str, encoded: &str) -> Result<(), String> {
    if vault::overrides_method(encoded) {
        return Err(format!(
            "`{place}` has a parameter that overrides the method"
        ));
    }
    let credential = |(name, _): (std::borrow::Cow<'_, str>, _)| {
        CREDENTIALS.contains(&name.to_ascii_lowercase().as_str())
    };
    if form_urlencoded::parse(encoded.as_bytes()).any(credential) {
        return Err(format!("`{place}` has a credential of its own"));
    }
    Ok(())
}

/// `type/subtype` without parameters, if that and `charset=utf-8` is all there is.
fn media_type(text: &str) -> Option<&str> {
    let bare = text
        .strip_suffix("; charset=utf-8")
        .or_else(|| text.strip_suffix(";charset=utf-8"))
        .unwrap_or(text);
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$&^_.+-".contains(&byte)
    };
    let part = |part: &str| !part.is_empty() && part.bytes().all(fits);
    let good = bare.len() <= 100
        && bare
            .split_once('/')
            .is_some_and(|(kind, sub)| part(kind) && part(sub));
    good.then_some(bare)
}

/// Reads a call back from its own bytes. `base` is where its path begins.
pub(super) fn read_back(call: &ExactCall, base: &Url) -> Option<Rows> {
    let host = base.host_str()?;
    let port = base
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    let (path, query) = match call.path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (call.path_and_query.as_str(), None),
    };
    let path = format!("{}{path}", base.path().trim_end_matches('/'));
    let mut rows = vec![
        row("Method", &call.method),
        row("Host", &format!("{host}{port}")),
        row("Path", &path),
    ];
    if path.contains('%') {
        rows.push(row("Path, decoded", &decoded_path(&path)));
    }
    if let Some(query) = query {
        rows.push(row("Query", query));
        if query.contains(['%', '+']) {
            rows.push(row("Query, decoded", &pairs(query)));
        }
    }
    let media = match call.headers.as_slice() {
        [] if call.body.is_empty() => return Some(rows),
        [(name, media)] if name == "content-type" => media,
        _ => return None,
    };
    let text = std::str::from_utf8(&call.body).ok()?;
    rows.push(row("Content type", media));
    rows.push(row("Body", &pretty(text)));
    if media_type(media) == Some(FORM) && text.contains(['%', '+']) {
        rows.push(row("Body, decoded", &pairs(text)));
    }
    Some(rows)
}

/// JSON with a line per member, if that says the very same; else the text as it is.
fn pretty(text: &str) -> String {
    parse_strict(text.as_bytes(), Limits::INTEGERS)
        .ok()
        .filter(|_| is_canonical(text.as_bytes()))
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| text.to_owned())
}

fn pairs(encoded: &str) -> String {
    form_urlencoded::parse(encoded.as_bytes())
        .map(|(name, value)| format!("{name} = {value}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn decoded_path(path: &str) -> String {
    // In a path `+` stands for itself; nothing else differs from a form.
    let kept = path
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    form_urlencoded::parse(kept.as_bytes())
        .map(|(name, _)| name.into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::approval::types::{Details, parse};

    fn read(change: Value) -> Result<Call, String> {
        let mut entry =
            json!({"type": "call", "connection": "c", "method": "POST", "path": "/v1/things"});
        for (name, value) in change.as_object().unwrap() {
            entry[name] = value.clone();
        }
        match parse(&json!([entry]))?.remove(0) {
            Details::Call(call) => Ok(call),
            other => panic!("{other:?}"),
        }
    }

    fn rows(call: &Call) -> Rows {
        let base = Url::parse("https://api.example/base").unwrap();
        read_back(&call.call("acc_1"), &base).unwrap()
    }

    #[test]
    fn json_is_sent_in_its_canonical_form_and_shown_line_by_line() {
        let call =
            read(json!({"query": "a=1&b=%C3%A9", "body": {"b": [1, true], "a": "x"}})).unwrap();
        let exact = call.call("acc_1");
        assert_eq!(exact.path_and_query, "/v1/things?a=1&b=%C3%A9");
        assert_eq!(exact.body, br#"{"a":"x","b":[1,true]}"#);
        let shown: Vec<_> = rows(&call);
        let text = |at: usize| (shown[at].0.as_str(), shown[at].1.as_str());
        assert_eq!(text(0), ("Method", "POST"));
        assert_eq!(text(1), ("Host", "api.example"));
        assert_eq!(text(2), ("Path", "/base/v1/things"));
        assert_eq!(text(3), ("Query", "a=1&b=%C3%A9"));
        assert_eq!(text(4), ("Query, decoded", "a = 1\nb = é"));
        assert_eq!(text(5), ("Content type", "application/json; charset=utf-8"));
        assert_eq!(
            text(6),
            (
                "Body",
                "{\n  \"a\": \"x\",\n  \"b\": [\n    1,\n    true\n  ]\n}"
            )
        );
    }

    #[test]
    fn text_is_sent_byte_for_byte() {
        let call =
            read(json!({"content_type": "text/plain; charset=utf-8", "body": " a\r\nb "})).unwrap();
        assert_eq!(call.call("acc_1").body, b" a\r\nb ");
        let form = read(json!({"content_type": FORM, "body": "text=hi+%26+more"})).unwrap();
        assert_eq!(rows(&form).last().unwrap().1, "text = hi & more");
        // A fraction is no exact integer: as text it is sent and shown as it stands.
        let fraction =
            read(json!({"content_type": "application/json", "body": "{\"n\": 1.50}"})).unwrap();
        assert_eq!(rows(&fraction).last().unwrap().1, "{\"n\": 1.50}");
    }

    #[test]
    fn a_call_without_a_body_has_no_content_type() {
        let call = read(json!({"method": "DELETE"})).unwrap();
        assert!(call.call("acc_1").headers.is_empty());
        assert_eq!(rows(&call).len(), 3);
        assert_eq!(call.risk(), Risk::High);
        assert_eq!(read(json!({"method": "GET"})).unwrap().risk(), Risk::Medium);
    }

    #[test]
    fn paths_are_shown_decoded_too() {
        let call = read(json!({"path": "/v1/a+b/%C3%A9%20f"})).unwrap();
        assert_eq!(rows(&call)[3].1, "/base/v1/a+b/é f");
    }

    #[test]
    fn what_could_be_read_as_another_call_is_refused() {
        for bad in [
            json!({"method": "post"}),
            json!({"method": "TRACE"}),
            json!({"path": "v1"}),
            json!({"path": "/v1/../admin"}),
            json!({"path": "/v1//things"}),
            json!({"path": "/v1/%2e%2e/admin"}),
            json!({"path": "/v1/%2fadmin"}),
            json!({"path": "/v1?x=1"}),
            json!({"path": "/v1/é"}),
            json!({"path": "/v1 HTTP/1.1\r\nx: y"}),
            json!({"path": "/v1/\"x\""}),
            json!({"path": "/v1/%zz"}),
            json!({"query": "a=\"b\""}),
            json!({"query": "a=1#b"}),
            json!({"query": "_HttpMethod=DELETE"}),
            json!({"query": "%5Fmethod=DELETE"}),
            json!({"query": "access_token=x"}),
            json!({"host": "Api.Example"}),
            json!({"host": "api.example/x"}),
            json!({"host": "\u{430}pi.example"}),
            json!({"method": "GET", "body": {}}),
            json!({"content_type": "text/plain"}),
            json!({"content_type": "text/plain", "body": 1}),
            json!({"content_type": "Text/Plain", "body": "x"}),
            json!({"content_type": "text/plain\r\nx: y", "body": "x"}),
            json!({"content_type": "multipart/mixed", "body": "x"}),
            json!({"content_type": "message/http", "body": "x"}),
            json!({"content_type": "application/json", "body": "{\"a\":1,\"a\":2}"}),
            json!({"content_type": FORM, "body": "_method=DELETE"}),
            json!({"content_type": "text/plain", "body": "a\u{0}b"}),
            json!({"body": "x".repeat(MOST_BODY)}),
            json!({"headers": {"x-http-method-override": "DELETE"}}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn hidden_characters_of_a_body_are_shown() {
        let call = read(json!({"body": {"to": "pay \u{202e}001"}})).unwrap();
        let shown = crate::approval::visible(&rows(&call).last().unwrap().1);
        assert!(shown.contains("⟨U+202E⟩"), "{shown}");
    }
}
