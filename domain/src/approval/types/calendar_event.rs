//! `calendar_event`: one event in a Google calendar (`events.insert`,
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events/insert>).

use evidence::json::{Limits, canonical, is_canonical, parse_strict_object};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::checks::{address, line, maybe_line, text};
use super::{ExactCall, Rows, json_body, row};

/// How many guests one event may have here: a person must be able to read them.
const MOST_GUESTS: usize = 50;
const MOST_DESCRIPTION: usize = 4_000;

/// One event: `{"type":"calendar_event","connection":"google-oauth2","summary":"Review","start":"2026-11-26T10:00:00+01:00","end":"2026-11-26T11:00:00+01:00"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarEvent {
    /// The connection, by name.
    pub connection: String,
    /// The calendar's id; `primary` is the person's own.
    #[serde(default = "primary")]
    pub calendar: String,
    /// Its title.
    pub summary: String,
    /// When it begins: a time with its offset (RFC 3339), or a day.
    pub start: String,
    /// When it ends, of the same form; of a day: the first that is no longer of it.
    pub end: String,
    /// The zone the times are shown in (`Europe/Berlin`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The guests' addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attendees: Vec<String>,
    /// Whether Google sends the guests invitations.
    #[serde(default)]
    pub invite: bool,
}

fn primary() -> String {
    "primary".to_owned()
}

/// A moment of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Day(Date),
    Time(OffsetDateTime),
}

impl Moment {
    fn read(text: &str) -> Option<Self> {
        let day = format_description!("[year]-[month]-[day]");
        if let Ok(date) = Date::parse(text, day) {
            let same = date.format(day).is_ok_and(|again| again == text);
            return same.then_some(Self::Day(date));
        }
        // `2026-11-26T10:00:00+01:00`: no fraction, no other letters.
        let shape =
            text.len() >= 20 && text.as_bytes()[10] == b'T' && !text.contains(['.', 't', 'z', ' ']);
        let time = OffsetDateTime::parse(text, &Rfc3339)
            .ok()
            .filter(|_| shape)?;
        (1970..=9998)
            .contains(&time.year())
            .then_some(Self::Time(time))
    }

    /// As people read it: `Thursday 26 November 2026, 10:00 (UTC+01:00)`.
    fn words(self) -> Option<String> {
        let day = format_description!("[weekday] [day padding:none] [month repr:long] [year]");
        match self {
            Self::Day(date) => date.format(day).ok(),
            Self::Time(time) => {
                let clock = if time.second() == 0 {
                    time.format(format_description!("[hour]:[minute]"))
                } else {
                    time.format(format_description!("[hour]:[minute]:[second]"))
                };
                let offset = time.offset();
                let zone = if offset.is_utc() {
                    "UTC".to_owned()
                } else {
                    let sign = if offset.is_negative() { '-' } else { '+' };
                    let (hours, minutes, _) = offset.as_hms();
                    format!("UTC{sign}{:02}:{:02}", hours.abs(), minutes.abs())
                };
                Some(format!(
                    "{}, {} ({zone})",
                    time.format(day).ok()?,
                    clock.ok()?
                ))
            }
        }
    }
}

impl CalendarEvent {
    pub(super) fn checked(self) -> Result<Self, String> {
        line("connection", &self.connection)?;
        let of_id = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte);
        if self.calendar.is_empty()
            || self.calendar.len() > 200
            || !self.calendar.bytes().all(of_id)
            || self.calendar.bytes().all(|byte| byte == b'.')
        {
            return Err("`calendar` is not a calendar's id".to_owned());
        }
        line("summary", &self.summary)?;
        let in_order = match (Moment::read(&self.start), Moment::read(&self.end)) {
            (Some(Moment::Day(start)), Some(Moment::Day(end))) => start < end,
            (Some(Moment::Time(start)), Some(Moment::Time(end))) => start < end,
            _ => {
                return Err(
                    "`start` and `end` must both be times with an offset (2026-11-26T10:00:00+01:00) or both days (2026-11-26)"
                        .to_owned(),
                );
            }
        };
        if !in_order {
            return Err("`end` must be later than `start`".to_owned());
        }
        let of_zone = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-/".contains(&byte);
        if self
            .time_zone
            .as_ref()
            .is_some_and(|zone| zone.is_empty() || zone.len() > 50 || !zone.bytes().all(of_zone))
        {
            return Err("`time_zone` is not the name of a time zone".to_owned());
        }
        maybe_line("location", self.location.as_deref())?;
        if let Some(about) = &self.description {
            text("description", about, MOST_DESCRIPTION)?;
        }
        if self.attendees.len() > MOST_GUESTS {
            return Err(format!("`attendees` are more than {MOST_GUESTS}"));
        }
        for guest in &self.attendees {
            address("attendees", guest)?;
        }
        if self.invite && self.attendees.is_empty() {
            return Err("`invite` needs `attendees`".to_owned());
        }
        Ok(self)
    }

    /// The exact call: a pure function of the details and the account.
    #[must_use]
    pub fn call(&self, account_id: &str) -> ExactCall {
        let moment = |text: &str| {
            let name = if text.contains('T') {
                "dateTime"
            } else {
                "date"
            };
            let mut moment = json!({ name: text });
            if let Some(zone) = &self.time_zone {
                moment["timeZone"] = zone.as_str().into();
            }
            moment
        };
        let mut body = json!({
            "summary": self.summary,
            "start": moment(&self.start),
            "end": moment(&self.end),
        });
        if let Some(location) = &self.location {
            body["location"] = location.as_str().into();
        }
        if let Some(about) = &self.description {
            body["description"] = about.as_str().into();
        }
        if !self.attendees.is_empty() {
            let guests = self.attendees.iter();
            body["attendees"] = guests.map(|guest| json!({"email": guest})).collect();
        }
        let updates = if self.invite { "all" } else { "none" };
        ExactCall {
            account_id: account_id.to_owned(),
            connection: self.connection.clone(),
            host: None,
            method: "POST".to_owned(),
            path_and_query: format!(
                "/calendar/v3/calendars/{}/events?sendUpdates={updates}",
                self.calendar
            ),
            headers: json_body(),
            body: canonical(&body),
        }
    }
}

/// Reads an event back from the call's own bytes.
pub(super) fn read_back(call: &ExactCall) -> Option<Rows> {
    let rest = call
        .path_and_query
        .strip_prefix("/calendar/v3/calendars/")?;
    let (calendar, updates) = rest.split_once("/events?sendUpdates=")?;
    let mut body = parse_strict_object(&call.body, Limits::INTEGERS)
        .ok()
        .filter(|_| is_canonical(&call.body))?;
    let mut take = |name: &str| match body.remove(name) {
        None => Some(None),
        Some(Value::String(text)) => Some(Some(text)),
        Some(_) => None,
    };
    let (summary, location, about) = (take("summary")??, take("location")?, take("description")?);
    let (start, zone) = moment(body.remove("start")?)?;
    let (end, same_zone) = moment(body.remove("end")?)?;
    if zone != same_zone {
        return None;
    }
    let guests = match body.remove("attendees") {
        None => Vec::new(),
        Some(guests) => guests
            .as_array()?
            .iter()
            .map(guest)
            .collect::<Option<Vec<_>>>()?,
    };
    if !body.is_empty() {
        return None;
    }
    let mut rows = vec![row("Event", &summary), row("Starts", &start.words()?)];
    let label = if matches!(end, Moment::Day(_)) {
        "Ends before"
    } else {
        "Ends"
    };
    rows.push(row(label, &end.words()?));
    rows.extend(zone.iter().map(|zone| row("Time zone", zone)));
    rows.extend(location.iter().map(|text| row("Location", text)));
    rows.extend(about.iter().map(|text| row("Description", text)));
    if !guests.is_empty() {
        rows.push(row("Guests", &guests.join("\n")));
    }
    let invitations = match (updates, guests.is_empty()) {
        ("all", false) => "Google sends them to all guests",
        ("none", false) => "none are sent",
        ("none", true) => "",
        _ => return None,
    };
    if !invitations.is_empty() {
        rows.push(row("Invitations", invitations));
    }
    let calendar = if calendar == "primary" {
        "primary (your own)"
    } else {
        calendar
    };
    rows.push(row("Calendar", calendar));
    Some(rows)
}

fn moment(value: Value) -> Option<(Moment, Option<String>)> {
    let Value::Object(mut members) = value else {
        return None;
    };
    let take = |members: &mut Map<String, Value>, name: &str| match members.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let zone = take(&mut members, "timeZone");
    let (text, is_day) = match take(&mut members, "dateTime") {
        Some(text) => (text, false),
        None => (take(&mut members, "date")?, true),
    };
    let moment = Moment::read(&text)?;
    let fits = members.is_empty() && matches!(moment, Moment::Day(_)) == is_day;
    fits.then_some((moment, zone))
}

fn guest(value: &Value) -> Option<String> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    members.get("email")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::types::{Details, parse};

    fn read(change: Value) -> Result<CalendarEvent, String> {
        let mut entry = json!({
            "type": "calendar_event", "connection": "google-oauth2", "summary": "Review",
            "start": "2026-11-26T10:00:00+01:00", "end": "2026-11-26T11:30:00+01:00",
        });
        for (name, value) in change.as_object().unwrap() {
            entry[name] = value.clone();
        }
        match parse(&json!([entry]))?.remove(0) {
            Details::CalendarEvent(event) => Ok(event),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_event_compiles_to_canonical_bytes_and_is_read_back_from_them() {
        let event = read(json!({
            "time_zone": "Europe/Berlin", "location": "Room 2", "description": "Bring\nnotes",
            "attendees": ["grace@example.com", "o@example.com"], "invite": true,
        }))
        .unwrap();
        let call = event.call("acc_1");
        assert_eq!(
            call.path_and_query,
            "/calendar/v3/calendars/primary/events?sendUpdates=all"
        );
        assert_eq!(
            String::from_utf8(call.body.clone()).unwrap(),
            r#"{"attendees":[{"email":"grace@example.com"},{"email":"o@example.com"}],"description":"Bring\nnotes","end":{"dateTime":"2026-11-26T11:30:00+01:00","timeZone":"Europe/Berlin"},"location":"Room 2","start":{"dateTime":"2026-11-26T10:00:00+01:00","timeZone":"Europe/Berlin"},"summary":"Review"}"#
        );
        let rows = read_back(&call).unwrap();
        let shown: Vec<_> = rows.iter().map(|(a, b)| format!("{a}: {b}")).collect();
        assert_eq!(
            shown,
            [
                "Event: Review",
                "Starts: Thursday 26 November 2026, 10:00 (UTC+01:00)",
                "Ends: Thursday 26 November 2026, 11:30 (UTC+01:00)",
                "Time zone: Europe/Berlin",
                "Location: Room 2",
                "Description: Bring\nnotes",
                "Guests: grace@example.com\no@example.com",
                "Invitations: Google sends them to all guests",
                "Calendar: primary (your own)",
            ]
        );
    }

    #[test]
    fn a_day_ends_before_the_next() {
        let event = read(json!({"start": "2026-12-24", "end": "2026-12-27", "calendar": "team@group.calendar.google.com"})).unwrap();
        let rows = read_back(&event.call("acc_1")).unwrap();
        assert_eq!(rows[1].1, "Thursday 24 December 2026");
        assert_eq!(rows[2], row("Ends before", "Sunday 27 December 2026"));
        assert_eq!(rows[3], row("Calendar", "team@group.calendar.google.com"));
    }

    #[test]
    fn a_call_with_more_in_it_is_not_read_back() {
        let call = read(json!({})).unwrap().call("acc_1");
        for body in [
            r#"{"end":{"date":"2026-12-27"},"start":{"date":"2026-12-24"},"summary":"x","visibility":"public"}"#,
            r#"{"end":{"dateTime":"2026-12-27"},"start":{"date":"2026-12-24"},"summary":"x"}"#,
            r#"{"end":{"date":"2026-12-27"},"summary":"x"}"#,
        ] {
            let other = ExactCall {
                body: body.into(),
                ..call.clone()
            };
            assert!(read_back(&other).is_none(), "{body}");
        }
        let path_and_query = format!("{}&supportsAttachments=true", call.path_and_query);
        assert!(
            read_back(&ExactCall {
                path_and_query,
                ..call
            })
            .is_none()
        );
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for bad in [
            json!({"summary": "Pay\u{420}al"}),
            json!({"summary": "two\nlines"}),
            json!({"start": "2026-11-26T10:00:00"}),
            json!({"start": "2026-11-26"}),
            json!({"start": "2026-02-30", "end": "2026-03-02"}),
            json!({"start": "2026-11-26T10:00:00.5+01:00"}),
            json!({"start": "2026-11-26T12:00:00+01:00"}),
            json!({"start": "tomorrow"}),
            json!({"calendar": "a/b"}),
            json!({"calendar": ".."}),
            json!({"calendar": "primary?x=1"}),
            json!({"time_zone": "Europe/Berlin\n"}),
            json!({"attendees": ["eve"]}),
            json!({"attendees": ["a@example.com"], "invite": "yes"}),
            json!({"invite": true}),
            json!({"recurrence": ["RRULE:FREQ=DAILY"]}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
