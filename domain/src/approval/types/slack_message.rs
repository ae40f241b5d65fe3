//! `slack_message`: one message in one channel
//! (`chat.postMessage`, <https://docs.slack.dev/reference/methods/chat.postMessage/>).

use evidence::json::{Limits, parse_strict_object};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checks::{line, text};
use super::{ExactCall, Rows, json_body, row};

/// Slack cuts longer texts (chat.postMessage: at most 4,000 characters advised).
const MOST_TEXT: usize = 4_000;

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

impl SlackMessage {
    pub(super) fn checked(mut self) -> Result<Self, String> {
        line("connection", &self.connection)?;
        self.channel =
            channel(&self.channel).ok_or("`channel` is neither a channel's id nor its name")?;
        text("text", &self.text, MOST_TEXT)?;
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
            headers: json_body(),
            body: evidence::json::canonical(&json!({"channel": self.channel, "text": self.text})),
        }
    }
}

/// Reads a message back from the call's own bytes.
pub(super) fn read_back(call: &ExactCall) -> Option<Rows> {
    let body = parse_strict_object(&call.body, Limits::INTEGERS).ok()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let (channel, message) = (text("channel")?, text("text")?);
    if body.len() != 2 {
        return None;
    }
    // Names are in lower case, ids in capitals; people know a name by its `#`.
    let channel = if channel.starts_with(|first: char| first.is_ascii_uppercase()) {
        channel.to_owned()
    } else {
        format!("#{channel}")
    };
    Some(vec![row("Message", message), row("Channel", &channel)])
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
