//! The binding message: a short text that the agent and the decision page both
//! show, so that the person can tell they belong together (CIBA Core §7.1).

use super::lookalikes::is_lookalike;

/// How many visible characters it may have.
pub const MAX_BINDING_MESSAGE: usize = 64;

/// A binding message that can be shown as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingMessage(String);

/// Whether a character could hide, reorder or fake what a person reads:
/// controls, bidirectional formatting, and characters without a shape.
#[must_use]
pub(crate) fn is_deceptive(character: char) -> bool {
    matches!(character,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        || character.is_control()
}

impl BindingMessage {
    /// Checks a message. White space at the ends is dropped; what is left must
    /// be 1 to 64 characters, none of them control, bidirectional or invisible,
    /// and no word may be one that only looks like another.
    ///
    /// # Errors
    /// A sentence for `invalid_binding_message` (CIBA Core §13).
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Err("the binding message is empty");
        }
        if text.chars().any(is_deceptive) {
            return Err("the binding message has control, bidirectional or invisible characters");
        }
        if text.chars().count() > MAX_BINDING_MESSAGE {
            return Err("the binding message is longer than 64 characters");
        }
        if is_lookalike(text) {
            return Err("the binding message has letters that look like those of another script");
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The text, owned.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_four_characters_of_any_script_are_accepted_and_one_more_is_not() {
        for letter in ["a", "ß", "語", "Ж", "🙂"] {
            assert!(
                BindingMessage::parse(&letter.repeat(64)).is_ok(),
                "{letter}"
            );
            assert!(
                BindingMessage::parse(&letter.repeat(65)).is_err(),
                "{letter}"
            );
        }
    }

    #[test]
    fn characters_that_hide_or_reorder_text_are_refused() {
        for bad in [
            "pay\u{202e}001",
            "\u{2066}a\u{2069}",
            "a\u{200b}b",
            "a\nb",
            "a\u{0}b",
            "\u{feff}a b",
            "a\u{200d}b",
            "x\u{85}y",
            "\u{e0041}a",
            "a\u{2028}b",
            "\u{3164}",
        ] {
            assert!(BindingMessage::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_empty_message_is_refused_and_ends_are_trimmed() {
        assert!(BindingMessage::parse("").is_err());
        assert!(BindingMessage::parse("   ").is_err());
        assert_eq!(BindingMessage::parse("  K7-42 ").unwrap().text(), "K7-42");
    }

    #[test]
    fn a_message_that_looks_like_another_is_refused() {
        // Kelvin, Cyrillic К, mathematical K: each looks like K7-42.
        for fake in ["\u{212a}7-42", "\u{41a}7-42", "\u{1d40a}7-42"] {
            assert!(BindingMessage::parse(fake).is_err(), "{fake}");
        }
        assert!(BindingMessage::parse("K7-42").is_ok());
    }
}
