//! Tools: a plan as requests to the proxy, and answers as rows for the page.
//! Pure functions; nothing here sends anything.

use bytes::Bytes;
use evidence::json::{Limits, canonical, parse_strict_object};
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, OffsetDateTime, UtcOffset};

use super::planner::{Day, Plan};
use super::runs::Answer;
use crate::vault::proxy::{ProxyAnswer, ProxyRequest};

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

// Slack ------------------------------------------------------------------------
// POST with a form for every method: Slack takes it everywhere.

/// The channels of a workspace.
pub(super) fn list_channels() -> ProxyRequest {
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

pub(super) fn channels(answer: &ProxyAnswer) -> Result<Answer, Refused> {
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
pub(super) fn channel_id(answer: &ProxyAnswer, name: &str) -> Result<String, Refused> {
    let members = slack(answer)?;
    array(&members, "channels")
        .iter()
        .find(|channel| text(channel, "/name") == name)
        .map(|channel| text(channel, "/id"))
        .filter(|id| !id.is_empty())
        .ok_or_else(|| Refused(format!("There is no channel #{name} that you can see.")))
}

pub(super) fn last_messages(channel_id: &str) -> ProxyRequest {
    let arguments = form(&[("channel", channel_id), ("limit", "10")]);
    request(
        SLACK,
        Method::POST,
        "/conversations.history".to_owned(),
        Some(arguments),
    )
}

pub(super) fn user_info(user: &str) -> ProxyRequest {
    request(
        SLACK,
        Method::POST,
        "/users.info".to_owned(),
        Some(form(&[("user", user)])),
    )
}

/// The name of a user; the id where Slack does not say.
pub(super) fn user_name(answer: &ProxyAnswer, user: &str) -> String {
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
pub(super) struct Message {
    pub(super) user: String,
    at: String,
    text: String,
}

/// The messages of a channel, the oldest first.
pub(super) fn messages(answer: &ProxyAnswer) -> Result<Vec<Message>, Refused> {
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

pub(super) fn messages_table(
    channel: &str,
    messages: Vec<Message>,
    names: &std::collections::HashMap<String, String>,
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
pub(super) fn message_details(channel: &str, text: &str) -> Value {
    json!([{"type": "slack_message", "connection": SLACK, "channel": channel, "text": text}])
}

/// The request that those details compile to, byte for byte; the proxy compares.
pub(super) fn post_message(channel: &str, text: &str) -> ProxyRequest {
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

/// Whether Slack says that it posted.
pub(super) fn posted(answer: &ProxyAnswer) -> Result<(), Refused> {
    slack(answer).map(|_| ())
}

// Google -----------------------------------------------------------------------

/// Events around `now` (Unix milliseconds): enough for the day wherever the calendar is.
pub(super) fn events(now: i64) -> Result<ProxyRequest, Refused> {
    let odd = |_| Refused("The clock of this machine shows no usable time.".to_owned());
    let now = OffsetDateTime::from_unix_timestamp(now.div_euclid(1000)).map_err(odd)?;
    let write = |at: OffsetDateTime| {
        at.format(&Rfc3339)
            .map_err(|_| Refused("A time could not be written.".to_owned()))
    };
    let query = form(&[
        ("maxResults", "250"),
        ("orderBy", "startTime"),
        ("singleEvents", "true"),
        ("timeMax", &write(now + Duration::hours(72))?),
        ("timeMin", &write(now - Duration::hours(48))?),
    ]);
    let path = format!("/calendar/v3/calendars/primary/events?{query}");
    Ok(request(GOOGLE, Method::GET, path, None))
}

/// The events of one day, by the clock of the place where each event is: its
/// times carry their offset from UTC.
pub(super) fn day(answer: &ProxyAnswer, day: Day, now: i64) -> Result<Answer, Refused> {
    let members = members("Google", answer)?;
    let now = OffsetDateTime::from_unix_timestamp(now.div_euclid(1000))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let items = array(&members, "items");
    let time =
        |event: &Value, which: &str| OffsetDateTime::parse(&text(event, which), &Rfc3339).ok();
    let here = items
        .iter()
        .find_map(|event| time(event, "/start/dateTime"))
        .map_or(UtcOffset::UTC, OffsetDateTime::offset);
    let wanted = |offset: UtcOffset| -> Option<Date> {
        let date = now.to_offset(offset).date();
        match day {
            Day::Today => Some(date),
            Day::Tomorrow => date.next_day(),
        }
    };
    let mut rows = Vec::new();
    for event in items {
        if text(event, "/status") == "cancelled" {
            continue;
        }
        let when = if let Some(start) = time(event, "/start/dateTime") {
            if Some(start.date()) != wanted(start.offset()) {
                continue;
            }
            let end = time(event, "/end/dateTime").map(|end| end.to_offset(start.offset()));
            let clock = |at: OffsetDateTime| format!("{:02}:{:02}", at.hour(), at.minute());
            let end = end
                .map(|end| format!("–{}", clock(end)))
                .unwrap_or_default();
            format!("{}{end}", clock(start))
        } else {
            let Some(date) = wanted(here).map(|date| date.to_string()) else {
                continue;
            };
            let (first, after) = (text(event, "/start/date"), text(event, "/end/date"));
            // The end of an all-day event is the day after it; dates compare as text.
            if first.is_empty() || first > date || after <= date && first != date {
                continue;
            }
            "all day".to_owned()
        };
        let title = Some(text(event, "/summary")).filter(|title| !title.is_empty());
        rows.push(vec![
            when,
            title.unwrap_or_else(|| "(no title)".to_owned()),
            text(event, "/location"),
        ]);
    }
    let word = match day {
        Day::Today => "today",
        Day::Tomorrow => "tomorrow",
    };
    if rows.is_empty() {
        return Ok(Answer::text(format!(
            "There is nothing on your calendar {word}."
        )));
    }
    Ok(table(
        format!("On your calendar {word}"),
        &["When", "What", "Where"],
        rows,
    ))
}

pub(super) fn list_mails() -> ProxyRequest {
    let query = form(&[("labelIds", "INBOX"), ("maxResults", "10")]);
    request(
        GOOGLE,
        Method::GET,
        format!("/gmail/v1/users/me/messages?{query}"),
        None,
    )
}

/// Ids of the newest mails.
pub(super) fn mail_ids(answer: &ProxyAnswer) -> Result<Vec<String>, Refused> {
    let members = members("Google", answer)?;
    let safe = |id: &String| {
        !id.is_empty()
            && id.len() < 100
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    Ok(array(&members, "messages")
        .iter()
        .map(|mail| text(mail, "/id"))
        .filter(safe)
        .take(10)
        .collect())
}

pub(super) fn one_mail(id: &str) -> ProxyRequest {
    let query = form(&[
        ("format", "metadata"),
        ("metadataHeaders", "From"),
        ("metadataHeaders", "Subject"),
        ("metadataHeaders", "Date"),
    ]);
    request(
        GOOGLE,
        Method::GET,
        format!("/gmail/v1/users/me/messages/{id}?{query}"),
        None,
    )
}

/// One row: from whom, about what, when.
pub(super) fn mail(answer: &ProxyAnswer) -> Result<Vec<String>, Refused> {
    let members = Value::Object(members("Google", answer)?);
    let headers = members
        .pointer("/payload/headers")
        .and_then(Value::as_array);
    let find = |name: &str| {
        headers
            .into_iter()
            .flatten()
            .find(|header| text(header, "/name").eq_ignore_ascii_case(name))
            .map(|header| text(header, "/value"))
            .unwrap_or_default()
    };
    Ok(vec![find("from"), find("subject"), find("date")])
}

pub(super) fn mails(rows: Vec<Vec<String>>) -> Answer {
    if rows.is_empty() {
        return Answer::text("Your inbox is empty.");
    }
    table("Your latest mails", &["From", "Subject", "Date"], rows)
}

// Salesforce -------------------------------------------------------------------

pub(super) fn list_opportunities() -> ProxyRequest {
    let query = "SELECT Id, Name, StageName, Amount, CloseDate FROM Opportunity WHERE IsClosed = false ORDER BY CloseDate LIMIT 50";
    let path = format!("/services/data/v62.0/query?{}", form(&[("q", query)]));
    request(SALESFORCE, Method::GET, path, None)
}

pub(super) fn opportunities(answer: &ProxyAnswer) -> Result<Answer, Refused> {
    let members = members("Salesforce", answer)?;
    let rows: Vec<Vec<String>> = array(&members, "records")
        .iter()
        .map(|record| {
            let amount = record.get("Amount").filter(|amount| !amount.is_null());
            vec![
                text(record, "/Name"),
                text(record, "/StageName"),
                amount.map(ToString::to_string).unwrap_or_default(),
                text(record, "/CloseDate"),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(Answer::text("You have no open opportunities."));
    }
    Ok(table(
        "Your open opportunities",
        &["Name", "Stage", "Amount", "Close date"],
        rows,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

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
