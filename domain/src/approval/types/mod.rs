//! The types of `authorization_details` (RFC 9396) that Attorn knows.
//!
//! An executable type has a pure function from its details to the exact call,
//! and another that reads what is shown back from the bytes of that call. A
//! display-only type says on the page that the agent carries it out. Types that
//! are not here are refused: what we cannot render nobody should approve.

mod calendar_event;
mod call;
mod checks;
mod display;
mod gmail_send;
mod message;
mod salesforce_update;
mod slack_message;
mod wanted;

pub use calendar_event::CalendarEvent;
pub use call::Call;
pub use display::{Deployment, Payment};
pub use gmail_send::GmailSend;
pub use salesforce_update::SalesforceUpdate;
pub use slack_message::SlackMessage;

pub(super) use checks::line;
pub(crate) use wanted::details_for;

use evidence::json::{Limits, parse_strict};
use serde_json::{Map, Value, json};
use url::Url;

use super::call::ExactCall;
use super::policies;
use super::render::Risk;

/// How many display-only entries one request may have.
const MOST_ENTRIES: usize = 5;

/// What a type is called and whether Attorn executes it, for documentation and
/// metadata (`authorization_details_types_supported`).
pub const KNOWN: [(&str, bool); 8] = [
    ("call", true),
    ("slack_message", true),
    ("calendar_event", true),
    ("gmail_send", true),
    ("salesforce_update", true),
    ("deployment", false),
    ("payment", false),
    ("demonstration", false),
];

/// The JSON Schema (draft 2020-12) of a type's entry, without its `$id`. It
/// says what has the right form; some rules, as of letters that look like
/// others, only the server checks.
#[must_use]
pub fn schema(name: &str) -> Option<Value> {
    let text = match name {
        "call" => include_str!("schemas/call.json"),
        "slack_message" => include_str!("schemas/slack_message.json"),
        "calendar_event" => include_str!("schemas/calendar_event.json"),
        "gmail_send" => include_str!("schemas/gmail_send.json"),
        "salesforce_update" => include_str!("schemas/salesforce_update.json"),
        "deployment" => include_str!("schemas/deployment.json"),
        "payment" => include_str!("schemas/payment.json"),
        "demonstration" => include_str!("schemas/demonstration.json"),
        _ => return None,
    };
    serde_json::from_str(text).ok()
}

/// Labels and values, as they are read back.
pub(super) type Rows = Vec<(String, String)>;

fn row(label: &str, value: &str) -> (String, String) {
    (label.to_owned(), value.to_owned())
}

/// The headers of a call whose body is JSON.
fn json_body() -> Vec<(String, String)> {
    vec![(
        "content-type".to_owned(),
        "application/json; charset=utf-8".to_owned(),
    )]
}

/// One entry, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Details {
    /// Executable: any call.
    Call(Call),
    /// Executable: posts one message.
    SlackMessage(SlackMessage),
    /// Executable: adds one event to a calendar.
    CalendarEvent(CalendarEvent),
    /// Executable: sends one mail.
    GmailSend(GmailSend),
    /// Executable: changes one record.
    SalesforceUpdate(SalesforceUpdate),
    /// Display only.
    Deployment(Deployment),
    /// Display only.
    Payment(Payment),
    /// Display only, any members: for trying things out.
    Demonstration(Map<String, Value>),
}

/// Reads `authorization_details` from the text of a request parameter.
///
/// # Errors
/// A sentence for `invalid_authorization_details`.
pub fn from_text(text: &str) -> Result<Value, String> {
    parse_strict(text.as_bytes(), Limits::INTEGERS).map_err(|error| error.to_string())
}

/// Reads and checks the entries.
///
/// # Errors
/// A sentence for `invalid_authorization_details` (RFC 9396 §5). It names the
/// member at fault, never its value.
pub fn parse(details: &Value) -> Result<Vec<Details>, String> {
    let entries = details
        .as_array()
        .filter(|entries| !entries.is_empty())
        .ok_or("authorization_details is not an array with an entry")?;
    if entries.len() > MOST_ENTRIES {
        return Err(format!("more than {MOST_ENTRIES} authorization details"));
    }
    let entries: Vec<_> = entries.iter().map(entry).collect::<Result<_, _>>()?;
    if entries.len() > 1 && entries.iter().any(Details::is_executable) {
        return Err("details that Attorn executes must be the only entry".to_owned());
    }
    Ok(entries)
}

/// The types of the entries in normal form, as a row has them, and for a `call`
/// the type that sends the same: what holds for one holds for the other.
pub(super) fn names(details: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for entry in details.as_array().into_iter().flatten() {
        let text = |member: &str| entry.get(member).and_then(Value::as_str);
        let Some(name) = text("type") else { continue };
        names.push(name.to_owned());
        if name == "call"
            && let Some(same) = text("path").and_then(policies::type_of_path)
        {
            names.push(same.to_owned());
        }
    }
    names
}

fn entry(value: &Value) -> Result<Details, String> {
    let mut members = value
        .as_object()
        .cloned()
        .ok_or("an entry of authorization_details is not an object")?;
    let Some(Value::String(name)) = members.remove("type") else {
        return Err("an entry of authorization_details has no type".to_owned());
    };
    fn read<T: serde::de::DeserializeOwned>(members: Map<String, Value>) -> Result<T, String> {
        serde_json::from_value(Value::Object(members)).map_err(|error| error.to_string())
    }
    match name.as_str() {
        "call" => read(members).and_then(Call::checked).map(Details::Call),
        "slack_message" => read(members)
            .and_then(SlackMessage::checked)
            .map(Details::SlackMessage),
        "calendar_event" => read(members)
            .and_then(CalendarEvent::checked)
            .map(Details::CalendarEvent),
        "gmail_send" => read(members)
            .and_then(GmailSend::checked)
            .map(Details::GmailSend),
        "salesforce_update" => read(members)
            .and_then(SalesforceUpdate::checked)
            .map(Details::SalesforceUpdate),
        "deployment" => read(members)
            .and_then(Deployment::checked)
            .map(Details::Deployment),
        "payment" => read(members)
            .and_then(Payment::checked)
            .map(Details::Payment),
        "demonstration" => display::demonstration(members).map(Details::Demonstration),
        _ => Err("an entry of authorization_details has a type that is not known here".to_owned()),
    }
}

impl Details {
    /// The value of `type`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Call(_) => "call",
            Self::SlackMessage(_) => "slack_message",
            Self::CalendarEvent(_) => "calendar_event",
            Self::GmailSend(_) => "gmail_send",
            Self::SalesforceUpdate(_) => "salesforce_update",
            Self::Deployment(_) => "deployment",
            Self::Payment(_) => "payment",
            Self::Demonstration(_) => "demonstration",
        }
    }

    /// The connection that Attorn itself calls through, by name, if it does.
    #[must_use]
    pub fn connection(&self) -> Option<&str> {
        match self {
            Self::Call(details) => Some(&details.connection),
            Self::SlackMessage(details) => Some(&details.connection),
            Self::CalendarEvent(details) => Some(&details.connection),
            Self::GmailSend(details) => Some(&details.connection),
            Self::SalesforceUpdate(details) => Some(&details.connection),
            Self::Deployment(_) | Self::Payment(_) | Self::Demonstration(_) => None,
        }
    }

    /// Whether Attorn itself sends the call.
    #[must_use]
    pub fn is_executable(&self) -> bool {
        self.connection().is_some()
    }

    /// The provider that the connection must be of, by id and name; none: any.
    pub(super) const fn provider(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::SlackMessage(_) => Some(("slack", "Slack")),
            Self::CalendarEvent(_) | Self::GmailSend(_) => Some(("google", "Google")),
            Self::SalesforceUpdate(_) => Some(("salesforce", "Salesforce")),
            Self::Call(_) | Self::Deployment(_) | Self::Payment(_) | Self::Demonstration(_) => None,
        }
    }

    /// The exact call: a pure function of the details and the account. `None`
    /// for what Attorn only displays.
    #[must_use]
    pub fn call(&self, account_id: &str) -> Option<ExactCall> {
        match self {
            Self::Call(details) => Some(details.call(account_id)),
            Self::SlackMessage(details) => Some(details.call(account_id)),
            Self::CalendarEvent(details) => Some(details.call(account_id)),
            Self::GmailSend(details) => Some(details.call(account_id)),
            Self::SalesforceUpdate(details) => Some(details.call(account_id)),
            Self::Deployment(_) | Self::Payment(_) | Self::Demonstration(_) => None,
        }
    }

    pub(super) fn risk(&self) -> Risk {
        match self {
            Self::Call(details) => details.risk(),
            Self::SlackMessage(_)
            | Self::CalendarEvent(_)
            | Self::GmailSend(_)
            | Self::SalesforceUpdate(_) => Risk::Medium,
            Self::Deployment(_) | Self::Payment(_) => Risk::High,
            Self::Demonstration(_) => Risk::Low,
        }
    }

    pub(super) const fn title(&self) -> &'static str {
        match self {
            Self::Call(_) => "Make a call to a service",
            Self::SlackMessage(_) => "Post a message to Slack",
            Self::CalendarEvent(_) => "Add an event to Google Calendar",
            Self::GmailSend(_) => "Send a mail from your Gmail",
            Self::SalesforceUpdate(_) => "Change a record in Salesforce",
            Self::Deployment(_) => "Deploy a service",
            Self::Payment(_) => "Make a payment",
            Self::Demonstration(_) => "Demonstration: nothing is carried out by Attorn",
        }
    }

    /// The entry in its normal form, as it is granted with the token.
    #[must_use]
    pub fn normal(&self) -> Value {
        let value = match self {
            Self::Call(details) => serde_json::to_value(details),
            Self::SlackMessage(details) => serde_json::to_value(details),
            Self::CalendarEvent(details) => serde_json::to_value(details),
            Self::GmailSend(details) => serde_json::to_value(details),
            Self::SalesforceUpdate(details) => serde_json::to_value(details),
            Self::Deployment(details) => serde_json::to_value(details),
            Self::Payment(details) => serde_json::to_value(details),
            Self::Demonstration(members) => Ok(Value::Object(members.clone())),
        };
        let mut value = value.unwrap_or_else(|_| json!({}));
        value["type"] = self.type_name().into();
        value
    }

    /// What a person reads of the details that Attorn only displays.
    pub(super) fn rows(&self) -> Rows {
        match self {
            Self::Deployment(details) => details.rows(),
            Self::Payment(details) => details.rows(),
            Self::Demonstration(members) => display::demonstration_rows(members),
            // What Attorn executes is read back from the call.
            Self::Call(_)
            | Self::SlackMessage(_)
            | Self::CalendarEvent(_)
            | Self::GmailSend(_)
            | Self::SalesforceUpdate(_) => Rows::new(),
        }
    }

    /// What a person reads of a call of this type, from the call's own bytes.
    /// `base` is where its path begins. `None` if they are no such call: then
    /// nothing may be shown for it.
    pub(super) fn read_back(&self, call: &ExactCall, base: &Url) -> Option<Rows> {
        match self {
            Self::Call(_) => call::read_back(call, base),
            Self::SlackMessage(_) => slack_message::read_back(call),
            Self::CalendarEvent(_) => calendar_event::read_back(call),
            Self::GmailSend(_) => gmail_send::read_back(call),
            Self::SalesforceUpdate(_) => salesforce_update::read_back(call),
            Self::Deployment(_) | Self::Payment(_) | Self::Demonstration(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Details>, String> {
        from_text(text).and_then(|value| parse(&value))
    }

    #[test]
    fn a_slack_message_compiles_to_canonical_bytes() {
        let read = read(r##"[{"type":"slack_message","connection":"sign-in-with-slack","channel":"general","text":"release 2.1 is out"}]"##).unwrap();
        let [Details::SlackMessage(message)] = read.as_slice() else {
            panic!("{read:?}")
        };
        let call = message.call("acc_1");
        assert_eq!(
            String::from_utf8(call.body).unwrap(),
            r#"{"channel":"general","text":"release 2.1 is out"}"#
        );
        assert_eq!(call.method, "POST");
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for bad in [
            r#"{"type":"deployment","service":"a","version":"1"}"#,
            "[]",
            "null",
            "[1]",
            r#"[{"service":"a","version":"1"}]"#,
            r#"[{"type":"unheard_of"}]"#,
            r#"[{"type":1}]"#,
            r#"[{"type":"deployment","service":"a","service":"b","version":"1"}]"#,
            r#"[{"type":"deployment","service":"a","version":"1","more":"x"}]"#,
            r#"[{"type":"deployment","service":"a\u202eb","version":"1"}]"#,
            r#"[{"type":"deployment","service":"a","version":1}]"#,
            r#"[{"type":"payment","amount":"1","currency":"EUR","payee":"\u0410CME"}]"#,
            r#"[{"type":"payment","amount":"1e3","currency":"EUR","payee":"x"}]"#,
            r#"[{"type":"payment","amount":"1","currency":"eur","payee":"x"}]"#,
            r#"[{"type":"slack_message","connection":"c","channel":"x","text":"a\u0000"}]"#,
            r#"[{"type":"slack_message","connection":"c","channel":"x","text":" "}]"#,
            r#"[{"type":"slack_message","connection":"c","channel":"x","text":"\ud800"}]"#,
            r#"[{"type":"slack_message","connection":"c","channel":"x","text":"a"},{"type":"demonstration"}]"#,
            r#"[{"type":"demonstration","n":1.5}]"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_demonstration_takes_any_members_and_is_never_executed() {
        let read = read(r#"[{"type":"demonstration","note":"hello","n":[1,{"a":true}]}]"#).unwrap();
        assert!(!read[0].is_executable());
        assert_eq!(read[0].normal()["note"], "hello");
    }

    /// Entries of every type with all their members.
    const WHOLE: [&str; 8] = [
        r#"{"type":"call","connection":"c","host":"api.example","method":"POST","path":"/v1","query":"a=1","content_type":"text/plain","body":"x"}"#,
        r#"{"type":"slack_message","connection":"c","channel":"general","text":"x"}"#,
        r#"{"type":"calendar_event","connection":"c","calendar":"primary","summary":"x","start":"2026-11-26","end":"2026-11-27","time_zone":"UTC","location":"x","description":"x","attendees":["a@example.com"],"invite":true}"#,
        r#"{"type":"gmail_send","connection":"c","to":["a@example.com"],"cc":["b@example.com"],"bcc":["c@example.com"],"subject":"x","text":"x"}"#,
        r#"{"type":"salesforce_update","connection":"c","object":"Lead","id":"00Q000000000001","fields":{"Name":"x"},"api_version":"v62.0"}"#,
        r#"{"type":"deployment","service":"x","version":"1","environment":"x"}"#,
        r#"{"type":"payment","amount":"1","currency":"EUR","payee":"x","reference":"x"}"#,
        r#"{"type":"demonstration"}"#,
    ];

    #[test]
    fn every_schema_names_the_members_that_are_read_and_the_ones_that_are_needed() {
        for ((name, executable), whole) in KNOWN.into_iter().zip(WHOLE) {
            let entries = read(&format!("[{whole}]")).unwrap();
            assert_eq!(
                (entries[0].type_name(), entries[0].is_executable()),
                (name, executable)
            );
            let members = serde_json::from_str::<Map<String, Value>>(whole).unwrap();
            let schema = schema(name).unwrap();
            let properties = schema["properties"].as_object().unwrap();
            let names = |map: &Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(properties), names(&members), "{name}");
            assert_eq!(properties["type"]["const"], name);
            assert_eq!(
                schema["title"].as_str().unwrap(),
                entries[0].title().split(':').next().unwrap()
            );
            for member in members.keys().filter(|member| *member != "type") {
                let mut less = members.clone();
                less.remove(member);
                // A body's media type goes with the body.
                if member == "body" {
                    less.remove("content_type");
                }
                if member == "attendees" {
                    less.remove("invite");
                }
                let needed = schema["required"]
                    .as_array()
                    .unwrap()
                    .contains(&json!(member));
                assert_eq!(parse(&json!([less])).is_err(), needed, "{name}: {member}");
            }
        }
    }
}
