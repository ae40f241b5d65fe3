//! Tools: a plan as requests to the proxy, and answers as rows for the page.
//! Pure functions; nothing here sends anything.

mod google;
mod salesforce;
mod slack;

use bytes::Bytes;
use evidence::json::{Limits, parse_strict_object};
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Map, Value};

use super::planner::Plan;
use super::runs::Answer;
use crate::vault::proxy::{ProxyAnswer, ProxyRequest};

pub(super) use google::{day, events, list_mails, mail, mail_ids, mails, one_mail};
pub(super) use salesforce::{list_opportunities, opportunities};
pub(super) use slack::{
    channel_id, channels, last_messages, list_channels, message_details, messages, messages_table,
    post_message, posted, unsure, user_info, user_name,
};

/// The connections by their usual names.
pub(super) const SLACK: &str = "sign-in-with-slack";
pub(super) const GOOGLE: &str = "google-oauth2";
pub(super) const SALESFORCE: &str = "salesforce";

/// The connection a plan needs; a demonstration needs none.
pub(super) const fn connection(plan: &Plan) -> Option<&'static str> {
    match plan {
        Plan::ListChannels {} | Plan::ShowMessages { .. } | Plan::PostMessage { .. } => Some(SLACK),
        Plan::ShowCalendar { .. } | Plan::ListMails {} => Some(GOOGLE),
        Plan::ListOpportunities {} => Some(SALESFORCE),
        Plan::Deploy { .. } => None,
    }
}

/// What people call the provider behind a connection.
pub(super) fn provider_name(connection: &str) -> &str {
    match connection {
        SLACK => "Slack",
        GOOGLE => "Google",
        SALESFORCE => "Salesforce",
        other => other,
    }
}

/// The provider's answer is not what the tool hoped for; the sentence says why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) String);

fn request(
    connection: &str,
    method: Method,
    path_and_query: String,
    form: Option<String>,
) -> ProxyRequest {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if form.is_some() {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form);
    }
    ProxyRequest {
        connection: connection.to_owned(),
        host: None,
        method,
        path_and_query,
        headers,
        body: form.map(Bytes::from).unwrap_or_default(),
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    let mut out = url::form_urlencoded::Serializer::new(String::new());
    out.extend_pairs(pairs);
    out.finish()
}

/// The members of a JSON answer, or a sentence about an answer that is none.
fn members(provider: &str, answer: &ProxyAnswer) -> Result<Map<String, Value>, Refused> {
    // Providers may send numbers of any kind; only the text must have one meaning.
    let limits = Limits {
        bytes: 4 * 1024 * 1024,
        depth: 64,
        ..Limits::BODY
    };
    let parsed = parse_strict_object(&answer.body, limits);
    if !answer.status.is_success() {
        let said = parsed.ok().and_then(|members| message(&members));
        let said = said.map(|text| format!(" ({text})")).unwrap_or_default();
        return Err(Refused(format!(
            "{provider} answered with status {}{said}.",
            answer.status.as_u16()
        )));
    }
    parsed.map_err(|_| {
        Refused(format!(
            "{provider} answered with something that is not JSON."
        ))
    })
}

/// The message in an error answer of Google's kind.
fn message(members: &Map<String, Value>) -> Option<String> {
    let text = members.get("error")?.get("message")?.as_str()?;
    Some(text.chars().take(200).collect())
}

fn text(value: &Value, path: &str) -> String {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn array<'a>(members: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    members
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn table(title: impl Into<String>, columns: &[&str], rows: Vec<Vec<String>>) -> Answer {
    Answer::Table {
        title: title.into(),
        columns: columns.iter().map(|&name| name.to_owned()).collect(),
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::planner::Day;
    use http::StatusCode;
    use serde_json::json;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    fn answer(body: Value) -> ProxyAnswer {
        ProxyAnswer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_string()),
        }
    }

    fn rows(answer: &Answer) -> &[Vec<String>] {
        match answer {
            Answer::Table { rows, .. } => rows,
            Answer::Text { text } => panic!("{text}"),
        }
    }

    #[test]
    fn what_slack_refuses_with_200_is_a_refusal() {
        let refused =
            channels(&answer(json!({"ok": false, "error": "missing_scope"}))).unwrap_err();
        assert_eq!(refused, Refused("Slack refused: missing_scope.".to_owned()));
        assert!(posted(&answer(json!([]))).is_err());
    }

    #[test]
    fn channels_become_rows() {
        let answer = channels(&answer(json!({"ok": true, "channels": [
            {"id": "C1", "name": "general", "topic": {"value": "News"}, "num_members": 3},
            {"id": "C2", "name": "ops", "topic": {"value": ""}, "purpose": {"value": "Runs"}}]})))
        .unwrap();
        assert_eq!(
            rows(&answer),
            [["#general", "News", "3"], ["#ops", "Runs", ""]]
        );
    }

    #[test]
    fn a_day_is_the_day_where_the_calendar_is() {
        // 23:30 UTC on the 23rd is 00:30 on the 24th in Berlin.
        let now = OffsetDateTime::parse("2026-11-23T23:30:00Z", &Rfc3339).unwrap();
        let now = now.unix_timestamp() * 1000;
        let body = json!({"items": [
            {"summary": "Late", "start": {"dateTime": "2026-11-23T22:00:00+01:00"}, "end": {"dateTime": "2026-11-23T23:00:00+01:00"}},
            {"summary": "Stand-up", "location": "Room 2", "start": {"dateTime": "2026-11-24T09:00:00+01:00"}, "end": {"dateTime": "2026-11-24T09:15:00+01:00"}},
            {"summary": "Gone", "status": "cancelled", "start": {"dateTime": "2026-11-24T10:00:00+01:00"}},
            {"summary": "Holiday", "start": {"date": "2026-11-24"}, "end": {"date": "2026-11-25"}},
            {"summary": "Yesterday", "start": {"date": "2026-11-23"}, "end": {"date": "2026-11-24"}},
            {"start": {"dateTime": "2026-11-25T09:00:00+01:00"}, "end": {"dateTime": "2026-11-25T10:00:00+01:00"}}]});
        let today = day(&answer(body.clone()), Day::Today, now).unwrap();
        assert_eq!(
            rows(&today),
            [
                ["09:00–09:15", "Stand-up", "Room 2"],
                ["all day", "Holiday", ""]
            ]
        );
        let tomorrow = day(&answer(body), Day::Tomorrow, now).unwrap();
        assert_eq!(rows(&tomorrow), [["09:00–10:00", "(no title)", ""]]);
    }

    #[test]
    fn the_request_to_post_is_what_the_details_compile_to() {
        let details =
            crate::approval::types::parse(&message_details("general", "It’s \"out\"\n🙂")).unwrap();
        let [crate::approval::types::Details::SlackMessage(message)] = details.as_slice() else {
            panic!("{details:?}")
        };
        let (call, request) = (
            message.call("acc_1"),
            post_message("general", "It’s \"out\"\n🙂"),
        );
        assert_eq!(call.body, request.body.to_vec());
        assert_eq!(call.path_and_query, request.path_and_query);
        assert_eq!(
            call.headers[0].1.as_bytes(),
            request.headers[header::CONTENT_TYPE].as_bytes()
        );
    }

    #[test]
    fn an_answer_that_is_no_json_is_told_so() {
        let html = ProxyAnswer {
            status: StatusCode::BAD_GATEWAY,
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"<html>"),
        };
        assert_eq!(
            opportunities(&html).unwrap_err().0,
            "Salesforce answered with status 502."
        );
    }
}
