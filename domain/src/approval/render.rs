//! What a person reads before they decide. Rendered by us; for a type that
//! Attorn executes, from the bytes of the call itself.

use evidence::digest::sha256;
use evidence::json::canonical;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::binding::is_deceptive;
use super::call::ExactCall;
use super::types::Details;

/// Who makes sure that only this is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnforcedBy {
    /// Attorn sends the approved bytes itself, once.
    Attorn,
    /// The agent; Attorn only passes the answer on.
    Agent,
}

impl EnforcedBy {
    /// The sentence on the decision page.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Attorn => "Attorn sends exactly this, once, within 10 minutes of your approval.",
            Self::Agent => {
                "The agent carries this out itself. Attorn passes your answer on and cannot check what the agent then does."
            }
        }
    }
}

/// How much is at stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Easily undone.
    Low,
    /// Others see it.
    Medium,
    /// Money or running systems.
    High,
}

/// One line of the details table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// What it is.
    pub label: String,
    /// Its value, with hidden characters made visible.
    pub value: String,
}

/// The text of the decision page, kept as evidence of what was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The name of the client that asks, as registered.
    pub agent: String,
    /// The headline, ours.
    pub title: String,
    /// The details table.
    pub fields: Vec<Field>,
    /// Who makes sure that only this is done.
    pub enforced_by: EnforcedBy,
    /// How much is at stake.
    pub risk: Risk,
    /// The template and its version, for example `slack_message/1`.
    pub template: String,
    /// The language (BCP 47).
    pub locale: String,
}

impl Shown {
    /// SHA-256 over the canonical form of everything shown, the template's
    /// version and the language among it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        sha256(self.canonical().as_bytes())
    }

    /// The canonical form (RFC 8785): the text that evidence keeps.
    #[must_use]
    pub fn canonical(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or(Value::Null);
        String::from_utf8_lossy(&canonical(&value)).into_owned()
    }
}

/// Makes hidden characters visible, so that what is read is what is there:
/// controls (but line ends), bidirectional formatting and invisible characters
/// become `⟨U+202E⟩`.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut last = ' ';
    for character in text.chars() {
        // Parts of emoji: variation selectors, and the joiner after a symbol.
        let of_emoji = matches!(character, '\u{fe0e}' | '\u{fe0f}')
            || character == '\u{200d}' && (last >= '\u{2190}');
        if character != '\n' && is_deceptive(character) && !of_emoji {
            out.push_str(&format!("⟨U+{:04X}⟩", u32::from(character)));
        } else {
            out.push(character);
        }
        last = character;
    }
    out
}

fn field(label: &str, value: &str) -> Field {
    Field {
        label: label.to_owned(),
        value: visible(value),
    }
}

/// A request that carries no details.
#[must_use]
pub(super) fn plain(agent: &str, scopes: &[String]) -> Shown {
    Shown {
        agent: visible(agent),
        title: "Confirm a request".to_owned(),
        fields: vec![field("Scopes", &scopes.join(" "))],
        enforced_by: EnforcedBy::Agent,
        risk: Risk::Medium,
        template: "plain/1".to_owned(),
        locale: "en".to_owned(),
    }
}

/// The rendering of what Attorn executes, read back from the call's own bytes.
/// `None` if the bytes are not such a call: then nothing may be shown for it.
#[must_use]
pub(super) fn executed(
    agent: &str,
    account: &str,
    details: &Details,
    call: &ExactCall,
    base: &Url,
) -> Option<Shown> {
    let rows = details.read_back(call, base)?;
    let mut fields: Vec<_> = rows
        .iter()
        .map(|(label, value)| field(label, value))
        .collect();
    fields.push(field("Account", account));
    fields.push(field("Connection", &call.connection));
    Some(Shown {
        agent: visible(agent),
        title: details.title().to_owned(),
        fields,
        enforced_by: EnforcedBy::Attorn,
        risk: details.risk(),
        template: format!("{}/1", details.type_name()),
        locale: "en".to_owned(),
    })
}

/// The rendering of details that Attorn only displays.
#[must_use]
pub(super) fn displayed(agent: &str, entries: &[Details]) -> Option<Shown> {
    let first = entries.first()?;
    let mut fields = Vec::new();
    for (position, entry) in entries.iter().enumerate() {
        for (label, value) in entry.rows() {
            let label = if entries.len() > 1 {
                format!("{}. {label}", position + 1)
            } else {
                label
            };
            fields.push(field(&visible(&label), &value));
        }
    }
    let risk = entries.iter().map(Details::risk).max()?;
    let title = match entries.len() {
        1 => first.title().to_owned(),
        many => format!("{} and {} more", first.title(), many - 1),
    };
    Some(Shown {
        agent: visible(agent),
        title,
        fields,
        enforced_by: EnforcedBy::Agent,
        risk,
        template: format!("{}/1", first.type_name()),
        locale: "en".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_shown_and_emoji_stay_whole() {
        assert_eq!(visible("pay \u{202e}001"), "pay ⟨U+202E⟩001");
        assert_eq!(visible("a\u{200d}b"), "a⟨U+200D⟩b");
        assert_eq!(visible("two\nlines"), "two\nlines");
        assert_eq!(visible("👩\u{200d}🚀 ❤\u{fe0f}"), "👩\u{200d}🚀 ❤\u{fe0f}");
    }

    #[test]
    fn the_digest_changes_with_the_template() {
        let shown = plain("Agent", &["openid".to_owned()]);
        let newer = Shown {
            template: "plain/2".to_owned(),
            ..shown.clone()
        };
        assert_ne!(shown.digest(), newer.digest());
    }
}
