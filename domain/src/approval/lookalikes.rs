//! Letters that look like others: a text that a person compares or believes
//! must not be able to say one thing and look like another.
//!
//! By Unicode Technical Standard #39 (Unicode Security Mechanisms), made for
//! identifiers and used here on the words of a sentence, so that every script
//! and texts of several scripts stay possible:
//!
//! - a word is of one script, or of those that are written together (§5.2,
//!   *highly restrictive*: Latin with Japanese, Chinese or Korean);
//! - words that look like Latin ones all through are refused beside real Latin
//!   ones, and beside digits, where they would be a code (§4, whole-script
//!   confusables), unless another word gives the script away;
//! - letters of another shape that stand for Latin ones (mathematical, fullwidth,
//!   in circles) are refused (§3.1: not in NFKC), and so are piles of more than
//!   four marks (§5.4).

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_script::{Script, UnicodeScript as _};
use unicode_security::mixed_script::AugmentedScriptSet;
use unicode_security::skeleton;

/// How many marks may lie on one letter (UTS #39 §5.4).
const MOST_MARKS: usize = 4;

fn is_latin(character: char) -> bool {
    character.script() == Script::Latin
}

/// A letter that stands for a plain Latin one in another shape. The signs of
/// Latin-1 (`ª`, `º`) are ordinary in Spanish and Portuguese.
fn is_disguised(character: char) -> bool {
    character > '\u{ff}'
        && character.is_alphabetic()
        && std::iter::once(character)
            .nfkc()
            .all(|plain| plain.is_ascii_alphabetic())
}

/// Whether a word is of scripts that are not written together.
fn is_mixed(word: &str) -> bool {
    let foreign = word.chars().filter(|letter| !is_latin(*letter));
    let mut rest = AugmentedScriptSet::default();
    for letter in foreign {
        rest.intersect_with(letter.into());
    }
    let all = AugmentedScriptSet::for_str(word);
    all.is_empty() && !(rest.jpan || rest.hanb || rest.kore)
}

/// Whether a word has letters of another script, and all of it looks like Latin.
fn looks_latin(word: &str) -> bool {
    !word.is_ascii()
        && !word.chars().any(is_latin)
        && word.chars().any(char::is_alphabetic)
        && skeleton(word).all(|letter| letter.is_ascii_alphanumeric())
}

/// Whether a text could be taken for another one that looks the same.
pub(crate) fn is_lookalike(text: &str) -> bool {
    let mut marks = 0;
    for character in text.chars() {
        marks = if is_combining_mark(character) {
            marks + 1
        } else {
            0
        };
        if marks > MOST_MARKS || is_disguised(character) {
            return true;
        }
    }
    let words: Vec<&str> = text
        .split(|character: char| !character.is_alphanumeric() && !is_combining_mark(character))
        .filter(|word| !word.is_empty())
        .collect();
    if words.iter().any(|word| is_mixed(word)) {
        return true;
    }
    let of_another_script = |word: &&&str| {
        word.chars()
            .any(|letter| letter.is_alphabetic() && !is_latin(letter))
    };
    let mut foreign = words.iter().filter(of_another_script).peekable();
    let beside = words.iter().any(|word| {
        word.chars()
            .any(|letter| is_latin(letter) || letter.is_ascii_digit())
    });
    beside && foreign.peek().is_some() && foreign.all(|word| looks_latin(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_script_and_of_several_pass() {
        for honest in [
            "K7-42",
            "Ship 2.1 to production?",
            "Überweisung an Müller: 149,90 €",
            "Đặt vé máy bay đi Hà Nội",
            "Оплата PayPal с карты",
            "Заказ 42",
            "Πληρωμή 12 €",
            "東京のホテルを予約",
            "Slackに投稿する",
            "카카오Pay 결제",
            "إرسال 50 دولار",
            "שלח 50 שקל",
            "ส่งเงิน 500 บาท",
            "नमस्ते 42",
            "Δ 5 %, 100 m², µm, 1º",
            "🙂 approve №7",
            "e\u{301}te\u{301}",
        ] {
            assert!(!is_lookalike(honest), "{honest}");
        }
    }

    #[test]
    fn words_that_only_look_like_others_do_not() {
        for (fake, why) in [
            ("Pay\u{420}al", "a Cyrillic letter in a Latin word"),
            ("\u{410}pple", "a Cyrillic letter in front"),
            ("G\u{3bf}\u{3bf}gle", "Greek letters in a Latin word"),
            ("\u{43e}\u{3bf}", "Cyrillic and Greek in one word"),
            ("\u{13aa}all", "a Cherokee letter"),
            (
                "Pay \u{440}\u{430}\u{443}",
                "a Cyrillic word that looks Latin, beside one",
            ),
            ("\u{41a}7-42", "a code with a Cyrillic letter"),
            ("\u{410}\u{412}-42", "a code of Cyrillic letters"),
            ("K7-42 \u{421}", "a Cyrillic letter beside a code"),
            ("\u{1d40f}\u{1d41a}\u{1d432}", "mathematical letters"),
            ("\u{ff30}\u{ff21}\u{ff39}", "fullwidth letters"),
            ("\u{24c5}ay", "a letter in a circle"),
            ("\u{212a}7-42", "the sign of kelvin"),
            ("a\u{301}\u{302}\u{303}\u{304}\u{305}", "a pile of marks"),
        ] {
            assert!(is_lookalike(fake), "{why}: {fake}");
        }
    }
}
