//! The types of `authorization_details` (RFC 9396) that Attorn knows.
//!
//! An executable type has a pure function from its details to the exact call.
//! A display-only type says on the page that the agent carries it out. Types
//! that are not here are refused: what we cannot render nobody should approve.

use evidence::json::{Limits, parse_strict};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::binding::is_deceptive;
use super::call::ExactCall;
use super::lookalikes::is_lookalike;
use super::render::Risk;

/// How many display-only entries one request may have.
const MOST_ENTRIES: usize = 5;
/// Slack cuts longer texts (chat.postMessage: at most 4,000 characters advised).
const MOST_TEXT: usize = 4_000;

/// What a type is called and whether Attorn executes it, for documentation and
/// metadata (`authorization_details_types_supported`).
pub const KNOWN: [(&str, bool); 4] = [
    ("slack_message", true),
    ("deployment", false),
    ("payment", false),
    ("demonstration", false),
];

/// One message in one channel: `{"type":"slack_message","connection":"sign-in-with-slack","channel":"#general","text":"…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackMessage {
    /// The connection, by name.
    pub connection: String,
    /// A channel's id, or its name with or without `#`; kept without.
    pub channel: String,
    /// The text, as Slack gets it.
    pub text: String,
}

/// A deployment that the agent carries out itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// What is deployed.
    pub service: String,
    /// Which version.
    pub version: String,
    /// Where to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// A payment that the agent carries out itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// The amount as text, so that no number format can round it: `149.90`.
    pub amount: String,
    /// ISO 4217, three capitals.
    pub currency: String,
    /// Who is paid.
    pub payee: String,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// One entry, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Details {
    /// Executable: posts one message.
    SlackMessage(SlackMessage),
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
        "slack_message" => read(members)
            .and_then(SlackMessage::checked)
            .map(Details::SlackMessage),
        "deployment" => read(members)
            .and_then(Deployment::checked)
            .map(Details::Deployment),
        "payment" => read(members)
            .and_then(Payment::checked)
            .map(Details::Payment),
        "demonstration" => demonstration(members).map(Details::Demonstration),
        _ => Err("an entry of authorization_details has a type that is not known here".to_owned()),
    }
}

fn line(name: &str, text: &str) -> Result<(), String> {
    if text.trim().is_empty() || text.chars().count() > 200 || text.chars().any(is_deceptive) {
        return Err(format!(
            "`{name}` must be 1 to 200 visible characters on one line"
        ));
    }
    if is_lookalike(text) {
        return Err(format!(
            "`{name}` has letters that look like those of another script"
        ));
    }
    Ok(())
}

impl SlackMessage {
    fn checked(mut self) -> Result<Self, String> {
        line("connection", &self.connection)?;
        self.channel =
            channel(&self.channel).ok_or("`channel` is neither a channel's id nor its name")?;
        let bad = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
        if self.text.trim().is_empty()
            || self.text.chars().count() > MOST_TEXT
            || self.text.chars().any(bad)
        {
            return Err(format!(
                "`text` must be 1 to {MOST_TEXT} characters without control characters"
            ));
        }
        Ok(self)
    }

    /// The exact call: a pure function of the details and the account.
    #[must_use]
    pub fn call(&self, account_id: &str) -> ExactCall {
        ExactCall {
            account_id: account_id.to_owned(),
            connection: self.connection.clone(),
            host: None,
            method: "POST".to_owned(),
            path_and_query: "/chat.postMessage".to_owned(),
            headers: vec![(
                "content-type".to_owned(),
                "application/json; charset=utf-8".to_owned(),
            )],
            body: evidence::json::canonical(&json!({"channel": self.channel, "text": self.text})),
        }
    }
}

/// The normal form of a channel, as it goes to Slack. An id is one of `C`, `G`,
/// `D` and capitals or digits; anything else is a name, which Slack keeps in
/// lower case, written without the `#` that people put in front.
fn channel(text: &str) -> Option<String> {
    let text = text.trim();
    let is_id = text.len() >= 3
        && text.starts_with(['C', 'G', 'D'])
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if is_id {
        return Some(text.to_owned());
    }
    let name = text.strip_prefix('#').unwrap_or(text);
    let fits = |character: char| {
        character.is_alphanumeric() && !character.is_uppercase()
            || matches!(character, '-' | '_' | '.')
    };
    let good = (1..=80).contains(&name.chars().count()) && name.chars().all(fits);
    good.then(|| name.to_owned())
}

impl Deployment {
    fn checked(self) -> Result<Self, String> {
        line("service", &self.service)?;
        line("version", &self.version)?;
        self.environment
            .as_deref()
            .map_or(Ok(()), |text| line("environment", text))?;
        Ok(self)
    }
}

impl Payment {
    fn checked(self) -> Result<Self, String> {
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let (whole, cents) = self.amount.split_once('.').unwrap_or((&self.amount, "0"));
        if self.amount.len() > 20 || !digits(whole) || !digits(cents) {
            return Err("`amount` must be digits, with at most one point".to_owned());
        }
        if self.currency.len() != 3 || !self.currency.bytes().all(|byte| byte.is_ascii_uppercase())
        {
            return Err("`currency` must be three capitals (ISO 4217)".to_owned());
        }
        line("payee", &self.payee)?;
        self.reference
            .as_deref()
            .map_or(Ok(()), |text| line("reference", text))?;
        Ok(self)
    }
}

fn demonstration(members: Map<String, Value>) -> Result<Map<String, Value>, String> {
    if members.len() > 20 {
        return Err("a demonstration has at most 20 members".to_owned());
    }
    for (name, value) in &members {
        line("a member's name", name)?;
        if value.to_string().chars().count() > 1_000 {
            return Err("a member of a demonstration is longer than 1000 characters".to_owned());
        }
    }
    Ok(members)
}

impl Details {
    /// The value of `type`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::SlackMessage(_) => "slack_message",
            Self::Deployment(_) => "deployment",
            Self::Payment(_) => "payment",
            Self::Demonstration(_) => "demonstration",
        }
    }

    /// Whether Attorn itself sends the call.
    #[must_use]
    pub const fn is_executable(&self) -> bool {
        matches!(self, Self::SlackMessage(_))
    }

    pub(super) const fn risk(&self) -> Risk {
        match self {
            Self::SlackMessage(_) => Risk::Medium,
            Self::Deployment(_) | Self::Payment(_) => Risk::High,
            Self::Demonstration(_) => Risk::Low,
        }
    }

    pub(super) const fn title(&self) -> &'static str {
        match self {
            Self::SlackMessage(_) => "Post a message to Slack",
            Self::Deployment(_) => "Deploy a service",
            Self::Payment(_) => "Make a payment",
            Self::Demonstration(_) => "Demonstration: nothing is carried out by Attorn",
        }
    }

    /// The entry in its normal form, as it is granted with the token.
    #[must_use]
    pub fn normal(&self) -> Value {
        let value = match self {
            Self::SlackMessage(details) => serde_json::to_value(details),
            Self::Deployment(details) => serde_json::to_value(details),
            Self::Payment(details) => serde_json::to_value(details),
            Self::Demonstration(members) => Ok(Value::Object(members.clone())),
        };
        let mut value = value.unwrap_or_else(|_| json!({}));
        value["type"] = self.type_name().into();
        value
    }

    pub(super) fn rows(&self) -> Vec<(String, String)> {
        let row = |label: &str, value: &str| (label.to_owned(), value.to_owned());
        match self {
            Self::SlackMessage(details) => vec![
                row("Message", &details.text),
                row("Channel", &details.channel),
            ],
            Self::Deployment(details) => {
                let mut rows = vec![
                    row("Service", &details.service),
                    row("Version", &details.version),
                ];
                rows.extend(
                    details
                        .environment
                        .iter()
                        .map(|text| row("Environment", text)),
                );
                rows
            }
            Self::Payment(details) => {
                let mut rows = vec![
                    row(
                        "Amount",
                        &format!("{} {}", details.amount, details.currency),
                    ),
                    row("Payee", &details.payee),
                ];
                rows.extend(details.reference.iter().map(|text| row("Reference", text)));
                rows
            }
            Self::Demonstration(members) => members
                .iter()
                .map(|(name, value)| match value {
                    Value::String(text) => row(name, text),
                    other => row(name, &other.to_string()),
                })
                .collect(),
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
    fn channels_have_one_normal_form() {
        for (text, normal) in [
            ("general", Some("general")),
            ("#general", Some("general")),
            (" #team-ops ", Some("team-ops")),
            ("C024BE91L", Some("C024BE91L")),
            ("#größe", Some("größe")),
            ("##general", None),
            ("#General", None),
            ("a b", None),
            ("@anna", None),
            ("<!channel>", None),
            ("", None),
            ("#", None),
        ] {
            assert_eq!(channel(text).as_deref(), normal, "{text:?}");
        }
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
}
