//! Slack. POST with a form for every method but posting: Slack takes it everywhere.

use std::collections::HashMap;

use bytes::Bytes;
use evidence::json::canonical;
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{Refused, SLACK, array, form, members, request, table, text};
use crate::agent::runs::Answer;
use crate::vault::proxy::{ProxyAnswer, ProxyRequest};

fn slack(answer: &ProxyAnswer) -> Result<Map<String, Value>, Refused> {
    let members = members("Slack", answer)?;
    if members.get("ok").and_then(Value::as_bool) == Some(true) {
        return Ok(members);
    }
    let code: String = members
        .get("error")
        .and_then(Value::as_str)
        .unwrap_or("no reason given")
        .chars()
        .filter(|character| {
            character.is_ascii_alphanumeric() || *character == '_' || *character == ' '
        })
        .take(60)
        .collect();
    Err(Refused(format!("Slack refused: {code}.")))
}

/// The channels of a workspace.
pub(in crate::agent) fn list_channels() -> ProxyRequest {
    let arguments = form(&[
        ("exclude_archived", "true"),
        ("limit", "200"),
        ("types", "public_channel"),
    ]);
    request(
        SLACK,
        Method::POST,
        "/conversations.list".to_owned(),
        Some(arguments),
    )
}

pub(in crate::agent) fn channels(answer: &ProxyAnswer) -> Result<Answer, Refused> {
    let members = slack(answer)?;
    let rows: Vec<Vec<String>> = array(&members, "channels")
        .iter()
        .map(|channel| {
            let topic = Some(text(channel, "/topic/value"))
                .filter(|topic| !topic.is_empty())
                .unwrap_or_else(|| text(channel, "/purpose/value"));
            let count = channel.get("num_members").and_then(Value::as_i64);
            vec![
                format!("#{}", text(channel, "/name")),
                topic,
                count.map(|count| count.to_string()).unwrap_or_default(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(Answer::text("There are no channels that you can see."));
    }
    let title = match rows.len() {
        1 => "One channel".to_owned(),
        many => format!("{many} channels"),
    };
    Ok(table(title, &["Channel", "Topic", "Members"], rows))
}

/// The id of a channel by its name.
pub(in crate::agent) fn channel_id(answer: &ProxyAnswer, name: &str) -> Result<String, Refused> {
    let members = slack(answer)?;
    array(&members, "channels")
        .iter()
        .find(|channel| text(channel, "/name") == name)
        .map(|channel| text(channel, "/id"))
        .filter(|id| !id.is_empty())
        .ok_or_else(|| Refused(format!("There is no channel #{name} that you can see.")))
}

pub(in crate::agent) fn last_messages(channel_id: &str) -> ProxyRequest {
    let arguments = form(&[("channel", channel_id), ("limit", "10")]);
    request(
        SLACK,
        Method::POST,
        "/conversations.history".to_owned(),
        Some(arguments),
    )
}

pub(in crate::agent) fn user_info(user: &str) -> ProxyRequest {
    request(
        SLACK,
        Method::POST,
        "/users.info".to_owned(),
        Some(form(&[("user", user)])),
    )
}

/// The name of a user; the id where Slack does not say.
pub(in crate::agent) fn user_name(answer: &ProxyAnswer, user: &str) -> String {
    let members = slack(answer).map(Value::Object).unwrap_or(Value::Null);
    [
        "/user/profile/display_name",
        "/user/real_name",
        "/user/profile/real_name",
        "/user/name",
    ]
    .iter()
    .map(|path| text(&members, path))
    .find(|name| !name.is_empty())
    .unwrap_or_else(|| user.to_owned())
}

/// One message of a channel.
pub(in crate::agent) struct Message {
    pub(in crate::agent) user: String,
    at: String,
    text: String,
}

/// The messages of a channel, the oldest first.
pub(in crate::agent) fn messages(answer: &ProxyAnswer) -> Result<Vec<Message>, Refused> {
    let members = slack(answer)?;
    let mut messages: Vec<Message> = array(&members, "messages")
        .iter()
        .map(|message| Message {
            user: [
                text(message, "/user"),
                text(message, "/username"),
                text(message, "/bot_id"),
            ]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_default(),
            at: text(message, "/ts")
                .split('.')
                .next()
                .and_then(|seconds| seconds.parse().ok())
                .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
                .map(minute)
                .unwrap_or_default(),
            text: text(message, "/text"),
        })
        .collect();
    messages.reverse();
    Ok(messages)
}

pub(in crate::agent) fn messages_table(
    channel: &str,
    messages: Vec<Message>,
    names: &HashMap<String, String>,
) -> Answer {
    if messages.is_empty() {
        return Answer::text(format!("Nobody has written anything in #{channel}."));
    }
    let rows = messages
        .into_iter()
        .map(|message| {
            let name = names.get(&message.user).cloned();
            vec![message.at, name.unwrap_or(message.user), message.text]
        })
        .collect();
    table(
        format!("The last messages in #{channel}"),
        &["When (UTC)", "Who", "Message"],
        rows,
    )
}

fn minute(at: OffsetDateTime) -> String {
    format!("{} {:02}:{:02}", at.date(), at.hour(), at.minute())
}

/// What is asked for before posting: details of type `slack_message`.
pub(in crate::agent) fn message_details(channel: &str, text: &str) -> Value {
    json!([{"type": "slack_message", "connection": SLACK, "channel": channel, "text": text}])
}

/// The request that those details compile to, byte for byte; the proxy compares.
pub(in crate::agent) fn post_message(channel: &str, text: &str) -> ProxyRequest {
    let mut headers = HeaderMap::new();
    let json_type = HeaderValue::from_static("application/json; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, json_type);
    ProxyRequest {
        connection: SLACK.to_owned(),
        host: None,
        method: Method::POST,
        path_and_query: "/chat.postMessage".to_owned(),
        headers,
        body: Bytes::from(canonical(&json!({"channel": channel, "text": text}))),
    }
}

/// Whether Slack says that it failed on the way, when part may have been done.
///
/// Source: <https://docs.slack.dev/reference/methods/chat.postMessage#errors>.
pub(in crate::agent) fn unsure(answer: &ProxyAnswer) -> bool {
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = json.get("error").and_then(Value::as_str);
    matches!(
        code,
        Some("fatal_error" | "internal_error" | "request_timeout" | "service_unavailable")
    )
}

/// Whether Slack says that it posted.
pub(in crate::agent) fn posted(answer: &ProxyAnswer) -> Result<(), Refused> {
    slack(answer).map(|_| ())
}
