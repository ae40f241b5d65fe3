//! Calendar v3: the calendar list, and the events of one.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{caller, refused};
use crate::config::Person;
use crate::store::Shared;
use crate::wire::Ask;

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/google/calendar/v3/users/me/calendarList", get(list))
        .route(
            "/google/calendar/v3/calendars/{id}/events",
            get(events).post(create),
        )
}

/// When an event is: seeded ones stay near the present however long the sandbox runs.
enum When {
    /// So many days from today (UTC), from a minute of the day on.
    Day {
        offset: i64,
        minute: i64,
        minutes: i64,
    },
    At {
        start: i64,
        end: i64,
    },
}

struct Event {
    id: String,
    calendar: usize,
    summary: String,
    location: Option<String>,
    description: Option<String>,
    when: When,
}

impl Event {
    fn span(&self, now: i64) -> (i64, i64) {
        match self.when {
            When::At { start, end } => (start, end),
            When::Day {
                offset,
                minute,
                minutes,
            } => {
                let midnight = now - now.rem_euclid(DAY_MS) + offset * DAY_MS;
                let start = midnight + minute * MINUTE_MS;
                (start, start + minutes * MINUTE_MS)
            }
        }
    }

    fn shown(&self, now: i64, owner: &str) -> Value {
        let (start, end) = self.span(now);
        let mut shown = json!({
            "kind": "calendar#event",
            "id": self.id,
            "status": "confirmed",
            "summary": self.summary,
            "htmlLink": format!("https://calendar.example.com/event?eid={}", self.id),
            "creator": { "email": owner, "self": true },
            "organizer": { "email": owner, "self": true },
            "start": { "dateTime": written(start), "timeZone": "UTC" },
            "end": { "dateTime": written(end), "timeZone": "UTC" },
            "eventType": "default",
        });
        if let Some(location) = &self.location {
            shown["location"] = location.as_str().into();
        }
        if let Some(description) = &self.description {
            shown["description"] = description.as_str().into();
        }
        shown
    }
}

/// One person's calendars and their events.
pub(super) struct Calendars {
    /// Id and name; the first is the primary one.
    calendars: Vec<(String, String)>,
    events: Vec<Event>,
}

impl Calendars {
    pub fn seeded(person: &Person) -> Calendars {
        let mut calendars = vec![(person.email.clone(), person.email.clone())];
        let mut events = Vec::new();
        if person.has_data {
            calendars.push(("team@calendar.example.com".into(), "Team".into()));
            let seeds = [
                (0, "Stand-up", "Room 2", 0, 9 * 60, 15),
                (0, "Release review", "Room 4", 0, 11 * 60, 45),
                (
                    0,
                    "Lunch with the new colleagues",
                    "Canteen",
                    0,
                    12 * 60 + 30,
                    60,
                ),
                (0, "Budget for next year", "Room 1", 1, 10 * 60, 60),
                (0, "Stand-up", "Room 2", -1, 9 * 60, 15),
                (1, "Release 2.1", "", 0, 16 * 60, 60),
                (1, "Maintenance window", "", 2, 20 * 60, 120),
            ];
            for (index, (calendar, summary, location, offset, minute, minutes)) in
                seeds.into_iter().enumerate()
            {
                events.push(Event {
                    id: format!("evt{index}{}", person.email.len()),
                    calendar,
                    summary: summary.into(),
                    location: (!location.is_empty()).then(|| location.to_owned()),
                    description: None,
                    when: When::Day {
                        offset,
                        minute,
                        minutes,
                    },
                });
            }
        }
        Calendars { calendars, events }
    }

    fn find(&self, id: &str) -> Result<usize, Response> {
        if id == "primary" {
            return Ok(0);
        }
        let found = self.calendars.iter().position(|(known, _)| known == id);
        found.ok_or_else(|| refused(StatusCode::NOT_FOUND, "notFound", "Not Found"))
    }
}

fn written(ms: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000));
    moment
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_default()
}

fn moment(text: &str) -> Option<i64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some((moment.unix_timestamp_nanos() / 1_000_000) as i64)
}

async fn list(State(inner): State<Shared>, ask: Ask) -> Result<Response, Response> {
    let scopes = [
        "calendar",
        "calendar.readonly",
        "calendar.calendarlist",
        "calendar.calendarlist.readonly",
    ];
    let bearer = caller(&inner, &ask, &scopes)?;
    let state = inner.state();
    let calendars = &state.google.calendars[bearer.family.person].calendars;
    let items = calendars.iter().enumerate().map(|(index, (id, name))| {
        let mut item = json!({
            "kind": "calendar#calendarListEntry",
            "id": id,
            "summary": name,
            "timeZone": "UTC",
            "selected": true,
            "accessRole": "owner",
        });
        if index == 0 {
            item["primary"] = true.into();
        }
        item
    });
    let answer = json!({ "kind": "calendar#calendarList", "items": items.collect::<Vec<_>>() });
    Ok(Json(answer).into_response())
}

fn bound(ask: &Ask, name: &str) -> Result<Option<i64>, Response> {
    let Some(text) = ask.query.get(name) else {
        return Ok(None);
    };
    // As Google does: a bound without an offset from UTC is no moment.
    moment(text)
        .map(Some)
        .ok_or_else(|| refused(StatusCode::BAD_REQUEST, "badRequest", "Bad Request"))
}

async fn events(
    State(inner): State<Shared>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Response> {
    let scopes = [
        "calendar",
        "calendar.readonly",
        "calendar.events",
        "calendar.events.readonly",
    ];
    let bearer = caller(&inner, &ask, &scopes)?;
    let (from, until) = (bound(&ask, "timeMin")?, bound(&ask, "timeMax")?);
    let by_start = ask.query.get("orderBy") == Some("startTime");
    if by_start && ask.query.get("singleEvents") != Some("true") {
        let message = "The requested ordering is not available for the particular query.";
        return Err(refused(StatusCode::BAD_REQUEST, "badRequest", message));
    }
    let limit = ask
        .query
        .get("maxResults")
        .and_then(|n| n.parse().ok())
        .unwrap_or(250);
    let now = inner.now();
    let state = inner.state();
    let mine = &state.google.calendars[bearer.family.person];
    let calendar = mine.find(&id)?;
    let mut found: Vec<(i64, &Event)> = mine
        .events
        .iter()
        .map(|event| (event.span(now), event))
        // timeMin bounds the end and timeMax the start, both exclusively.
        .filter(|((start, end), event)| {
            event.calendar == calendar
                && from.is_none_or(|from| *end > from)
                && until.is_none_or(|until| *start < until)
        })
        .map(|((start, _), event)| (start, event))
        .collect();
    if by_start {
        found.sort_by_key(|(start, _)| *start);
    }
    let owner = &inner.people[bearer.family.person].email;
    let items: Vec<Value> = found
        .into_iter()
        .take(limit)
        .map(|(_, event)| event.shown(now, owner))
        .collect();
    let answer = json!({
        "kind": "calendar#events",
        "summary": mine.calendars[calendar].1,
        "timeZone": "UTC",
        "accessRole": "owner",
        "items": items,
    });
    Ok(Json(answer).into_response())
}

async fn create(
    State(inner): State<Shared>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Response> {
    let bearer = caller(&inner, &ask, &["calendar", "calendar.events"])?;
    let invalid = |message: &str| refused(StatusCode::BAD_REQUEST, "required", message);
    let given = ask.json().ok_or_else(|| invalid("Parse Error"))?;
    let at = |edge: &str| given[edge]["dateTime"].as_str().and_then(moment);
    let start = at("start").ok_or_else(|| invalid("Missing start time."))?;
    let end = at("end").ok_or_else(|| invalid("Missing end time."))?;
    if end < start {
        return Err(refused(
            StatusCode::BAD_REQUEST,
            "timeRangeEmpty",
            "The time range is empty.",
        ));
    }
    let text = |name: &str| given[name].as_str().map(str::to_owned);
    let mut state = inner.state();
    let mine = &mut state.google.calendars[bearer.family.person];
    let event = Event {
        id: format!("made{}", inner.serial()),
        calendar: mine.find(&id)?,
        summary: text("summary").unwrap_or_default(),
        location: text("location"),
        description: text("description"),
        when: When::At { start, end },
    };
    let shown = event.shown(inner.now(), &inner.people[bearer.family.person].email);
    mine.events.push(event);
    Ok(Json(shown).into_response())
}
