//! A message of mail (RFC 5322) in one normal form: the same content always
//! gives the same bytes, and they are read back only if they are those.
//!
//! It carries no sender, date and id: who sends it adds its own.

use evidence::digest::{base64, from_base64};

/// What stands between the headers and the text.
const MIME: &str = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n";
/// How many bytes of text one encoded word holds: `=?utf-8?B?` and `?=` around
/// 60 letters of base64 (RFC 2047 §2: at most 75 in all).
const WORD: usize = 45;
/// How many letters a line of base64 has (RFC 2045 §6.8).
const LINE: usize = 76;

/// What a person writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub to: Vec<String>,
    pub cc: Vec<String>,
    pub bcc: Vec<String>,
    pub subject: String,
    pub text: String,
}

impl Message {
    /// The bytes. Addresses and subject were checked: none has a line end.
    pub(super) fn write(&self) -> String {
        let mut out = String::new();
        for (name, all) in [("To", &self.to), ("Cc", &self.cc), ("Bcc", &self.bcc)] {
            if !all.is_empty() {
                out.push_str(&format!("{name}: {}\r\n", all.join(",\r\n ")));
            }
        }
        out.push_str(&format!("Subject: {}\r\n{MIME}", subject(&self.subject)));
        let text = base64(normal_lines(&self.text).as_bytes());
        for line in text.as_bytes().chunks(LINE) {
            out.push_str(&String::from_utf8_lossy(line));
            out.push_str("\r\n");
        }
        out
    }

    /// Reads what [`Self::write`] wrote; anything else is nothing.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let whole = std::str::from_utf8(bytes).ok()?;
        let (head, body) = whole.split_once(MIME)?;
        let mut message = Self::default();
        let unfolded = head.replace("\r\n ", " ");
        for line in unfolded.split_terminator("\r\n") {
            let (name, value) = line.split_once(": ")?;
            let all = || value.split(", ").map(str::to_owned).collect();
            match name {
                "To" => message.to = all(),
                "Cc" => message.cc = all(),
                "Bcc" => message.bcc = all(),
                "Subject" => message.subject = plain(value)?,
                _ => return None,
            }
        }
        let text = from_base64(&body.replace("\r\n", "")).ok()?;
        message.text = String::from_utf8(text).ok()?.replace("\r\n", "\n");
        (message.write().as_bytes() == bytes).then_some(message)
    }
}

/// Lines end with CRLF (RFC 2045 §6.8 for text in base64).
fn normal_lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

/// Plain where it can be, else in encoded words (RFC 2047).
fn subject(text: &str) -> String {
    let plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && !text.contains("=?");
    if plain && text.len() <= 200 && text.trim() == text {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for character in text.chars() {
        if word.len() + character.len_utf8() > WORD {
            words.push(std::mem::take(&mut word));
        }
        word.push(character);
    }
    words.push(word);
    words
        .iter()
        .map(|word| format!("=?utf-8?B?{}?=", base64(word.as_bytes())))
        .collect::<Vec<_>>()
        .join("\r\n ")
}

fn plain(value: &str) -> Option<String> {
    if !value.contains("=?") {
        return Some(value.to_owned());
    }
    value
        .split(' ')
        .map(|word| {
            let word = word.strip_prefix("=?utf-8?B?")?.strip_suffix("?=")?;
            String::from_utf8(from_base64(word).ok()?).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_has_one_form() {
        let message = Message {
            to: vec!["ada@example.com".to_owned(), "o@example.com".to_owned()],
            cc: Vec::new(),
            bcc: vec!["eve@example.com".to_owned()],
            subject: "Grüße aus Köln, und noch etwas mehr, damit es nicht in ein Wort passt"
                .to_owned(),
            text: "Hallo\n\nä".to_owned(),
        };
        let written = message.write();
        assert_eq!(
            written,
            "To: ada@example.com,\r\n o@example.com\r\nBcc: eve@example.com\r\n\
             Subject: =?utf-8?B?R3LDvMOfZSBhdXMgS8O2bG4sIHVuZCBub2NoIGV0d2FzIG1laHIsIGRhbWl0?=\r\n =?utf-8?B?IGVzIG5pY2h0IGluIGVpbiBXb3J0IHBhc3N0?=\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
             SGFsbG8NCg0Kw6Q=\r\n"
        );
        assert_eq!(Message::read(written.as_bytes()), Some(message));
    }

    #[test]
    fn another_form_of_it_is_not_read() {
        let message = Message {
            to: vec!["ada@example.com".to_owned()],
            subject: "Hi".to_owned(),
            text: "x".to_owned(),
            ..Message::default()
        };
        let written = message.write();
        for (from, to) in [
            ("To:", "to:"),
            ("Subject: Hi", "Subject: =?utf-8?B?SGk=?="),
            ("Subject: Hi", "Subject: Hi\r\nFrom: eve@example.com"),
            ("Subject: Hi", "Subject: Hi\r\n there"),
            ("text/plain", "text/html"),
            ("eA==", "eA=\r\n="),
            ("\r\n", "\n"),
        ] {
            let other = written.replacen(from, to, 1);
            assert_ne!(other, written, "{from}");
            let read = Message::read(other.as_bytes());
            assert!(
                read.is_none_or(|read| read.write() == other && read != message),
                "{to}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(subject in "[^\\p{C}]{1,200}", text in "[^\\r]{0,300}") {
            let message = Message { to: vec!["a@example.com".to_owned()], subject, text, ..Message::default() };
            let written = message.write();
            for line in written.split("\r\n") {
                prop_assert!(line.len() <= 998);
            }
            prop_assert_eq!(Message::read(written.as_bytes()), Some(message));
        }
    }
}
