//! What an agent has to ask for, so that the call it wanted to make is approved.

use evidence::json::{Limits, is_canonical, parse_strict_object};
use serde_json::{Value, json};

use super::{Details, parse};
use crate::approval::AgentCall;

/// `authorization_details` that compile to this very call, body and all; `None`
/// where no type can express it. `provider` is the connection's.
pub(crate) fn details_for(call: &AgentCall, provider: &str) -> Option<Value> {
    [slack_message(call, provider), any(call)]
        .into_iter()
        .flatten()
        .find_map(|entry| {
            let read = parse(&json!([entry])).ok()?;
            let [details] = read.as_slice() else {
                return None;
            };
            is_of(details, call).then(|| json!([details.normal()]))
        })
}

fn is_of(details: &Details, call: &AgentCall) -> bool {
    details.call("").is_some_and(|exact| {
        exact.connection == call.connection
            && exact.host == call.host
            && exact.method == call.method
            && exact.path_and_query == call.path_and_query
            && exact.body == call.body
    })
}

/// A message as people post one, which reads better than the call.
fn slack_message(call: &AgentCall, provider: &str) -> Option<Value> {
    if provider != "slack" {
        return None;
    }
    let mut entry = parse_strict_object(&call.body, Limits::INTEGERS).ok()?;
    entry.insert("type".to_owned(), "slack_message".into());
    entry.insert("connection".to_owned(), call.connection.clone().into());
    Some(Value::Object(entry))
}

fn any(call: &AgentCall) -> Option<Value> {
    let (path, query) = match call.path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (call.path_and_query.as_str(), None),
    };
    let mut entry = json!({
        "type": "call",
        "connection": call.connection,
        "method": call.method,
        "path": path,
    });
    if let Some(host) = &call.host {
        entry["host"] = host.as_str().into();
    }
    if let Some(query) = query {
        entry["query"] = query.into();
    }
    if call.body.is_empty() {
        return Some(entry);
    }
    let media = call
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .map(|(_, value)| value.to_ascii_lowercase());
    let is_json = media
        .as_deref()
        .is_none_or(|media| media.split(';').next() == Some("application/json"));
    if is_json && is_canonical(&call.body) {
        entry["body"] = serde_json::from_slice(&call.body).ok()?;
    } else {
        entry["content_type"] = media?.into();
        entry["body"] = std::str::from_utf8(&call.body).ok()?.into();
    }
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, path: &str, media: Option<&str>, body: &[u8]) -> AgentCall {
        AgentCall {
            connection: "conn".to_owned(),
            host: None,
            method: method.to_owned(),
            path_and_query: path.to_owned(),
            headers: media
                .map(|media| ("Content-Type".to_owned(), media.to_owned()))
                .into_iter()
                .collect(),
            body: body.to_vec(),
        }
    }

    fn wanted(call: &AgentCall, provider: &str) -> Value {
        details_for(call, provider).unwrap()[0].clone()
    }

    #[test]
    fn what_is_to_be_asked_for_is_the_call_itself() {
        let json = Some("application/json");
        let message = call(
            "POST",
            "/chat.postMessage",
            json,
            br#"{"channel":"ops","text":"hello"}"#,
        );
        assert_eq!(
            wanted(&message, "slack"),
            json!({"type": "slack_message", "connection": "conn", "channel": "ops", "text": "hello"})
        );
        assert_eq!(wanted(&message, "google")["type"], "call");
        let spaced = call(
            "POST",
            "/chat.postMessage",
            json,
            br#"{ "channel": "ops", "text": "hello" }"#,
        );
        assert_eq!(
            wanted(&spaced, "slack"),
            json!({"type": "call", "connection": "conn", "method": "POST", "path": "/chat.postMessage",
                "content_type": "application/json", "body": "{ \"channel\": \"ops\", \"text\": \"hello\" }"})
        );
        assert_eq!(
            wanted(&call("GET", "/a/b?c=d", None, b""), "slack"),
            json!({"type": "call", "connection": "conn", "method": "GET", "path": "/a/b", "query": "c=d"})
        );
    }

    #[test]
    fn what_no_type_can_express_is_not_made_up() {
        for (media, body) in [
            (Some("application/octet-stream"), &b"\xff\xfe"[..]),
            (None, b"plain"),
            (Some("multipart/form-data; boundary=x"), b"--x--"),
            (Some("text/plain"), &[b'x'; 100_000]),
        ] {
            let call = call("POST", "/upload", media, body);
            assert_eq!(details_for(&call, "slack"), None);
        }
    }
}
