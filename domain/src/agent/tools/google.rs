//! Google Calendar and Gmail.

use http::Method;
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, OffsetDateTime, UtcOffset};

use super::{GOOGLE, Refused, array, form, members, request, table, text};
use crate::agent::planner::Day;
use crate::agent::runs::Answer;
use crate::vault::proxy::{ProxyAnswer, ProxyRequest};

/// Events around `now` (Unix milliseconds): enough for the day wherever the calendar is.
pub(in crate::agent) fn events(now: i64) -> Result<ProxyRequest, Refused> {
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
pub(in crate::agent) fn day(answer: &ProxyAnswer, day: Day, now: i64) -> Result<Answer, Refused> {
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

pub(in crate::agent) fn list_mails() -> ProxyRequest {
    let query = form(&[("labelIds", "INBOX"), ("maxResults", "10")]);
    request(
        GOOGLE,
        Method::GET,
        format!("/gmail/v1/users/me/messages?{query}"),
        None,
    )
}

/// Ids of the newest mails.
pub(in crate::agent) fn mail_ids(answer: &ProxyAnswer) -> Result<Vec<String>, Refused> {
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

pub(in crate::agent) fn one_mail(id: &str) -> ProxyRequest {
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
pub(in crate::agent) fn mail(answer: &ProxyAnswer) -> Result<Vec<String>, Refused> {
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

pub(in crate::agent) fn mails(rows: Vec<Vec<String>>) -> Answer {
    if rows.is_empty() {
        return Answer::text("Your inbox is empty.");
    }
    table("Your latest mails", &["From", "Subject", "Date"], rows)
}
