//! Fuzz targets for what an agent says about an approval: whom it asks, what it
//! wants, what its screen shows.

use evidence::fuzz::{INPUTS, has_taken, spell, taken};
use serde_json::{Value, json};

use super::binding::{BindingMessage, MAX_BINDING_MESSAGE, is_deceptive};
use super::lookalikes::is_lookalike;
use super::types::{self, Details};
use super::{PersonHint, render, visible};

/// Entries that would be taken, but for what is put in their place.
const ENTRIES: [&str; 10] = [
    r#""type":"deployment","service":VALUE,"version":"2.1""#,
    r#""type":"payment","amount":"149.90","currency":"EUR","payee":VALUE"#,
    r#""type":"slack_message","connection":"c","channel":"general","text":VALUE"#,
    r#""type":"demonstration","note":VALUE"#,
    r#""type":"call","connection":"c","method":"POST","path":"/v1/things","body":VALUE"#,
    r#""type":"call","connection":"c","method":"PUT","path":"/v1","content_type":"text/plain","body":VALUE"#,
    r#""type":"call","connection":"c","method":"GET","path":"/v1","query":VALUE"#,
    r#""type":"calendar_event","connection":"c","summary":VALUE,"start":"2026-11-26","end":"2026-11-27""#,
    r#""type":"gmail_send","connection":"c","to":["a@example.com"],"subject":VALUE,"text":VALUE"#,
    r#""type":"salesforce_update","connection":"c","object":"Lead","id":"00Q000000000001","fields":{"Name":VALUE}"#,
];

const VALUES: [&str; 20] = [
    "\"billing\"",
    "\"größe\"",
    "\"two\\nlines\"",
    "\"a\\u202eb\"",
    "\"\\u0410CME\"",
    "\"\\ud83d\\ude80 up\"",
    "\"\\u0000\"",
    "\"<!channel>\"",
    "\" \"",
    "\"\"",
    "\"\\u00e9\"",
    "\"e\\u0301\"",
    "\"語\"",
    "1",
    "1.5",
    "-0",
    "9007199254740993",
    "null",
    "[]",
    "{\"x\":[true]}",
];

const MORE: [&str; 8] = [
    "",
    "",
    "",
    ",\"more\":1",
    ",\"service\":\"x\"",
    ",\"environment\":\"test\"",
    ",\"reference\":\"42\"",
    ",\"type\":\"payment\"",
];

fn entries(input: &[u8]) -> String {
    let entry = |bytes: &[u8]| {
        let pick = |words: &[&str], at: usize| {
            let byte = bytes.get(at).copied().unwrap_or_default();
            words[usize::from(byte) % words.len()].to_owned()
        };
        let entry = pick(&ENTRIES, 0).replace("VALUE", &pick(&VALUES, 1));
        format!("{{{entry}{}}}", pick(&MORE, 2))
    };
    let all: Vec<String> = input.chunks(3).take(3).map(entry).collect();
    format!("[{}]", all.join(","))
}

fn details(text: &str) {
    let Ok(value) = types::from_text(text) else {
        return;
    };
    // What the strict reader takes means the same to the common one.
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), value);
    let Ok(entries) = types::parse(&value) else {
        return;
    };
    taken("details");
    assert!((1..=5).contains(&entries.len()));
    let normal: Value = entries.iter().map(Details::normal).collect();
    let bytes = evidence::json::canonical(&normal);
    let again = types::from_text(std::str::from_utf8(&bytes).unwrap()).unwrap();
    assert_eq!(again, normal);
    assert_eq!(
        types::parse(&again),
        Ok(entries.clone()),
        "the normal form is another"
    );
    match entries.as_slice() {
        [entry] if entry.is_executable() => {
            let call = entry.call("acc_1").unwrap();
            let base = url::Url::parse("https://api.example/").unwrap();
            let shown = render::executed("Agent", "Ada", entry, &call, &base).unwrap();
            assert!(shown.fields.len() > 3, "{shown:?}");
            match entry {
                Details::SlackMessage(message) => {
                    assert!(evidence::json::is_canonical(&call.body));
                    assert_eq!(shown.fields[0].value, visible(&message.text));
                }
                Details::GmailSend(mail) => {
                    assert_eq!(shown.fields[0].value, visible(&mail.subject));
                    assert_eq!(shown.fields[1].value, visible(&mail.text));
                }
                _ => {}
            }
        }
        all => {
            assert!(!all.iter().any(Details::is_executable));
            assert!(render::displayed("Agent", all).is_some());
        }
    }
    for entry in &entries {
        if let Details::Deployment(_) | Details::Payment(_) = entry {
            for (_, value) in entry.rows() {
                assert!(!value.chars().any(is_deceptive) && !is_lookalike(&value));
            }
        }
    }
}

#[test]
fn authorization_details() {
    bolero::check!(name = "details")
        .with_iterations(INPUTS)
        .for_each(|input: &[u8]| {
            details(&String::from_utf8_lossy(input));
            details(&entries(input));
            details(&entries(&input[..input.len().min(3)]));
        });
    has_taken("details", 100);
}

const HINT: [&str; 20] = [
    "{",
    "}",
    ":",
    ",",
    ",",
    "\"format\"",
    "\"iss_sub\"",
    "\"email\"",
    "\"opaque\"",
    "\"iss\"",
    "\"sub\"",
    "\"id\"",
    "\"x\"",
    "\"a@b\"",
    "ada@example.com",
    "per_1",
    " ",
    "\u{a0}",
    "null",
    "@",
];

fn hint(text: &str) {
    let Ok(hint) = PersonHint::from_login_hint(text) else {
        return;
    };
    taken("login_hint");
    let subject = match &hint {
        PersonHint::IssSub { iss, sub } => json!({ "format": "iss_sub", "iss": iss, "sub": sub }),
        PersonHint::Email(email) => json!({ "format": "email", "email": email }),
        PersonHint::Id(id) => json!({ "format": "opaque", "id": id }),
    };
    let again = PersonHint::from_login_hint(&subject.to_string()).ok();
    assert_eq!(again, Some(hint.clone()), "the same person another way");
    if !text.trim().starts_with('{') {
        let (PersonHint::Email(id) | PersonHint::Id(id)) = &hint else {
            panic!("{hint:?} of {text:?}");
        };
        assert_eq!(id, text.trim());
        assert!(!id.is_empty() && id.len() <= 320);
        assert_eq!(matches!(hint, PersonHint::Email(_)), id.contains('@'));
    }
}

#[test]
fn login_hints() {
    bolero::check!(name = "login_hint")
        .with_iterations(INPUTS)
        .for_each(|input: &[u8]| {
            hint(&String::from_utf8_lossy(input));
            let spelled = spell(input, &HINT);
            hint(&spelled);
            hint(&format!(
                "{{\"format\":\"iss_sub\",\"iss\":\"i\",\"sub\":\"s\"{spelled}}}"
            ));
        });
    has_taken("login_hint", 8);
}

const LETTERS: [&str; 24] = [
    "K",
    "7",
    "-",
    "4",
    "2",
    " ",
    "Pay",
    "\u{41a}",
    "\u{430}",
    "\u{3bf}",
    "\u{212a}",
    "\u{1d40a}",
    "\u{ff2b}",
    "\u{202e}",
    "\u{200d}",
    "\u{301}",
    "語",
    "の",
    "한",
    "ש",
    "é",
    "🙂",
    "\n",
    "ß",
];

fn binding(text: &str) {
    let Ok(message) = BindingMessage::parse(text) else {
        return;
    };
    taken("binding message");
    let shown = message.text();
    assert_eq!(shown, text.trim());
    assert_eq!(visible(shown), shown, "it would be shown as another");
    assert!((1..=MAX_BINDING_MESSAGE).contains(&shown.chars().count()));
    assert!(!shown.contains(char::is_control));
    assert_eq!(BindingMessage::parse(shown), Ok(message.clone()));
    // A Latin letter of it can be exchanged for no Cyrillic one that looks the same.
    if shown.is_ascii() && shown.bytes().filter(u8::is_ascii_alphanumeric).count() > 1 {
        for (latin, cyrillic) in [('K', '\u{41a}'), ('P', '\u{420}'), ('a', '\u{430}')] {
            let faked = shown.replacen(latin, &cyrillic.to_string(), 1);
            assert!(
                faked == shown || BindingMessage::parse(&faked).is_err(),
                "{faked}"
            );
        }
    }
}

#[test]
fn binding_messages() {
    bolero::check!(name = "binding_message")
        .with_iterations(INPUTS)
        .for_each(|input: &[u8]| {
            binding(&String::from_utf8_lossy(input));
            binding(&spell(input, &LETTERS));
        });
    has_taken("binding message", 5);
}
