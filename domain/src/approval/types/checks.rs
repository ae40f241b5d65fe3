//! What every type asks of its texts.

use super::super::binding::is_deceptive;
use super::super::lookalikes::is_lookalike;

/// One line that a person can read and believe.
pub(in crate::approval) fn line(name: &str, text: &str) -> Result<(), String> {
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

/// As [`line`], where there is one.
pub(super) fn maybe_line(name: &str, text: Option<&str>) -> Result<(), String> {
    text.map_or(Ok(()), |text| line(name, text))
}

/// A longer text: what is hidden in it is made visible where it is shown.
pub(super) fn text(name: &str, text: &str, most: usize) -> Result<(), String> {
    let bad = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    if text.trim().is_empty() || text.chars().count() > most || text.chars().any(bad) {
        return Err(format!(
            "`{name}` must be 1 to {most} characters without control characters"
        ));
    }
    Ok(())
}

/// An address of mail (RFC 5321 §4.1.2), in the plain form that everybody
/// writes: no quotes, no comments, ASCII only.
pub(super) fn address(name: &str, text: &str) -> Result<(), String> {
    let atom = |part: &str| {
        let fits =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
        !part.is_empty() && part.bytes().all(fits)
    };
    let label = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&part.len())
            && part.bytes().all(fits)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let good = text.len() <= 254
        && text.split_once('@').is_some_and(|(local, domain)| {
            local.len() <= 64
                && local.split('.').all(atom)
                && domain.contains('.')
                && domain.split('.').all(label)
        });
    if good {
        Ok(())
    } else {
        Err(format!("`{name}` has what is no plain address of mail"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain() {
        for good in [
            "ada@example.com",
            "a.b+c@mail.example.co.uk",
            "o'hara@example.org",
        ] {
            assert!(address("to", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@localhost",
            "a@b@example.com",
            "a..b@example.com",
            "ada@-example.com",
            "ada@example..com",
            "Ada <ada@example.com>",
            "ada@example.com,eve@example.com",
            "ada@example.com\r\nBcc: eve@example.com",
            "\u{430}da@example.com",
            "\"a b\"@example.com",
            "ada@[127.0.0.1]",
        ] {
            assert!(address("to", bad).is_err(), "{bad}");
        }
    }
}
