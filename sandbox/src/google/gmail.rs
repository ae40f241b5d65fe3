//! Gmail v1: messages, drafts and sending.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use serde_json::{Value, json};

use super::{caller, refused};
use crate::config::Person;
use crate::store::Shared;
use crate::wire::Ask;

/// Gmail's base64url, with or without padding on the way in.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const READ: [&str; 3] = ["https://mail.google.com/", "gmail.readonly", "gmail.modify"];
const COMPOSE: [&str; 3] = ["https://mail.google.com/", "gmail.compose", "gmail.modify"];
const SEND: [&str; 4] = [
    "https://mail.google.com/",
    "gmail.send",
    "gmail.compose",
    "gmail.modify",
];

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/google/gmail/v1/users/me/messages", get(list))
        .route("/google/gmail/v1/users/me/messages/{id}", get(one))
        .route("/google/gmail/v1/users/me/messages/send", post(send))
        .route("/google/gmail/v1/users/me/drafts", get(drafts).post(draft))
}

/// A mail that went out through the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMail {
    /// The sending person's address, whatever the mail's own header says.
    pub from: String,
    pub to: String,
    pub subject: String,
    /// The RFC 5322 text as it was handed in; bytes that are not UTF-8 are replaced.
    pub raw: String,
}

struct Mail {
    id: String,
    label: &'static str,
    unread: bool,
    at: i64,
    raw: String,
}

impl Mail {
    /// The fields of the header, in order.
    fn fields(&self) -> Vec<(&str, &str)> {
        let head = self.raw.lines().take_while(|line| !line.is_empty());
        head.filter_map(|line| {
            line.split_once(':')
                .map(|(name, value)| (name, value.trim()))
        })
        .collect()
    }

    fn field(&self, wanted: &str) -> &str {
        let found = self
            .fields()
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value).unwrap_or_default()
    }

    fn body(&self) -> &str {
        let found = self
            .raw
            .split_once("\r\n\r\n")
            .or_else(|| self.raw.split_once("\n\n"));
        found.map(|(_, body)| body).unwrap_or_default()
    }

    fn labels(&self) -> Vec<&'static str> {
        [self.label]
            .into_iter()
            .chain(self.unread.then_some("UNREAD"))
            .collect()
    }

    /// `is:unread`, `from:`, `subject:` and bare words, all of which must fit.
    fn fits(&self, query: &str) -> bool {
        query.split_whitespace().all(|term| {
            let contains =
                |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
            match term.split_once(':') {
                Some(("is", "unread")) => self.unread,
                Some(("in", label)) => self.label.eq_ignore_ascii_case(label),
                Some((field @ ("from" | "to" | "subject"), part)) => {
                    contains(self.field(field), part)
                }
                _ => contains(&self.raw, term),
            }
        })
    }

    fn brief(&self) -> Value {
        json!({ "id": self.id, "threadId": self.id })
    }

    fn shown(&self, format: &str) -> Value {
        let body = self.body();
        let mut shown = json!({
            "id": self.id,
            "threadId": self.id,
            "labelIds": self.labels(),
            "snippet": body.chars().take(100).collect::<String>(),
            "historyId": "1",
            "internalDate": self.at.to_string(),
            "sizeEstimate": self.raw.len(),
        });
        if format == "raw" {
            shown["raw"] = BASE64URL.encode(&self.raw).into();
        } else if format != "minimal" {
            let headers: Vec<Value> = self
                .fields()
                .into_iter()
                .map(|(name, value)| json!({ "name": name, "value": value }))
                .collect();
            shown["payload"] = json!({ "partId": "", "mimeType": "text/plain", "filename": "", "headers": headers });
            if format != "metadata" {
                shown["payload"]["body"] =
                    json!({ "size": body.len(), "data": BASE64URL.encode(body) });
            }
        }
        shown
    }
}

/// One person's mails, newest first where they are listed.
pub(super) struct Mailbox {
    owner: String,
    mails: Vec<Mail>,
}

impl Mailbox {
    pub fn seeded(now: i64, person: &Person) -> Mailbox {
        let seeds = [
            (
                "grace@example.com",
                "Release notes",
                "The notes for 2.1 are ready. Shall I send them?",
                true,
                1,
            ),
            (
                "billing@example.com",
                "Invoice 1042",
                "Your invoice for this month is attached.",
                true,
                5,
            ),
            (
                "travel@example.com",
                "Your train on Friday",
                "Departure 08:12, coach 7, seat 41.",
                false,
                26,
            ),
        ];
        let mails = seeds
            .iter()
            .enumerate()
            .filter(|_| person.has_data)
            .map(|(index, seed)| {
                let (from, subject, body, unread, hours) = *seed;
                Mail {
                    id: format!("18{index:014x}"),
                    label: "INBOX",
                    unread,
                    at: now - hours * 3_600_000,
                    raw: format!(
                        "From: {from}\r\nTo: {}\r\nSubject: {subject}\r\n\r\n{body}\r\n",
                        person.email
                    ),
                }
            });
        Mailbox {
            owner: person.email.clone(),
            mails: mails.collect(),
        }
    }

    pub fn sent(&self) -> Vec<SentMail> {
        let sent = self
            .mails
            .iter()
            .filter(|mail| mail.label == "SENT")
            .map(|mail| SentMail {
                from: self.owner.clone(),
                to: mail.field("to").to_owned(),
                subject: mail.field("subject").to_owned(),
                raw: mail.raw.clone(),
            });
        sent.collect()
    }
}

async fn list(State(inner): State<Shared>, ask: Ask) -> Result<Response, Response> {
    let bearer = caller(&inner, &ask, &READ)?;
    let query = ask.query.get("q").unwrap_or_default();
    let limit = ask
        .query
        .get("maxResults")
        .and_then(|n| n.parse().ok())
        .unwrap_or(100);
    let state = inner.state();
    let mut found: Vec<&Mail> = state.google.mailboxes[bearer.family.person]
        .mails
        .iter()
        .filter(|mail| mail.label != "DRAFT" && mail.fits(query))
        .collect();
    found.sort_by_key(|mail| std::cmp::Reverse(mail.at));
    let mut answer = json!({ "resultSizeEstimate": found.len() });
    // An empty mailbox answers without the member.
    if !found.is_empty() {
        answer["messages"] = found.into_iter().take(limit).map(Mail::brief).collect();
    }
    Ok(Json(answer).into_response())
}

async fn one(
    State(inner): State<Shared>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Response> {
    let bearer = caller(&inner, &ask, &READ)?;
    let state = inner.state();
    let mails = &state.google.mailboxes[bearer.family.person].mails;
    let mail = mails.iter().find(|mail| mail.id == id);
    let mail = mail.ok_or_else(|| {
        refused(
            StatusCode::NOT_FOUND,
            "notFound",
            "Requested entity was not found.",
        )
    })?;
    Ok(Json(mail.shown(ask.query.get("format").unwrap_or("full"))).into_response())
}

/// The mail in a `{"raw": …}` member.
fn handed_in(message: &Value) -> Result<String, Response> {
    let raw = message["raw"]
        .as_str()
        .and_then(|raw| BASE64URL.decode(raw).ok());
    let raw = raw.filter(|raw| !raw.is_empty()).ok_or_else(|| {
        refused(
            StatusCode::BAD_REQUEST,
            "invalidArgument",
            "'raw' RFC822 payload message string required",
        )
    })?;
    Ok(String::from_utf8_lossy(&raw).into_owned())
}

async fn send(State(inner): State<Shared>, ask: Ask) -> Result<Response, Response> {
    let bearer = caller(&inner, &ask, &SEND)?;
    let raw = handed_in(&ask.json().unwrap_or_default())?;
    let id = format!("19{:014x}", inner.serial());
    let mail = Mail {
        id,
        label: "SENT",
        unread: false,
        at: inner.now(),
        raw,
    };
    if !mail.field("to").contains('@') {
        return Err(refused(
            StatusCode::BAD_REQUEST,
            "invalidArgument",
            "Recipient address required",
        ));
    }
    let answer = json!({ "id": mail.id, "threadId": mail.id, "labelIds": mail.labels() });
    inner.state().google.mailboxes[bearer.family.person]
        .mails
        .push(mail);
    Ok(Json(answer).into_response())
}

async fn draft(State(inner): State<Shared>, ask: Ask) -> Result<Response, Response> {
    let bearer = caller(&inner, &ask, &COMPOSE)?;
    let raw = handed_in(&ask.json().unwrap_or_default()["message"])?;
    let id = format!("19{:014x}", inner.serial());
    let mail = Mail {
        id,
        label: "DRAFT",
        unread: false,
        at: inner.now(),
        raw,
    };
    let answer = draft_shown(&mail);
    inner.state().google.mailboxes[bearer.family.person]
        .mails
        .push(mail);
    Ok(Json(answer).into_response())
}

fn draft_shown(mail: &Mail) -> Value {
    let message = json!({ "id": mail.id, "threadId": mail.id, "labelIds": mail.labels() });
    json!({ "id": format!("r{}", mail.id), "message": message })
}

async fn drafts(State(inner): State<Shared>, ask: Ask) -> Result<Response, Response> {
    let scopes = [READ.as_slice(), &COMPOSE].concat();
    let bearer = caller(&inner, &ask, &scopes)?;
    let state = inner.state();
    let mails = state.google.mailboxes[bearer.family.person].mails.iter();
    let drafts: Vec<Value> = mails
        .filter(|mail| mail.label == "DRAFT")
        .map(draft_shown)
        .collect();
    let mut answer = json!({ "resultSizeEstimate": drafts.len() });
    if !drafts.is_empty() {
        answer["drafts"] = drafts.into();
    }
    Ok(Json(answer).into_response())
}
