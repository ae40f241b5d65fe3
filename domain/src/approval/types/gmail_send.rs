//! `gmail_send`: one mail from the person's own Gmail (`users.messages.send`,
//! <https://developers.google.com/workspace/gmail/api/guides/sending>).
//!
//! The message is made here; Gmail adds the sender, the date and the id.

use evidence::digest::{base64url, from_base64url};
use evidence::json::{Limits, canonical, is_canonical, parse_strict_object};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checks::{address, line, text};
use super::message::Message;
use super::{ExactCall, Rows, json_body, row};

/// How many people one mail may go to here: a person must be able to read them.
const MOST_ADDRESSES: usize = 50;
const MOST_TEXT: usize = 10_000;
const PATH: &str = "/gmail/v1/users/me/messages/send";
const HOST: &str = "gmail.googleapis.com";

/// One mail: `{"type":"gmail_send","connection":"google-oauth2","to":["grace@example.com"],"subject":"…","text":"…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GmailSend {
    /// The connection, by name.
    pub connection: String,
    /// To whom.
    pub to: Vec<String>,
    /// To whom as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<String>,
    /// To whom as well, unseen by the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bcc: Vec<String>,
    /// The subject.
    pub subject: String,
    /// The text, plain.
    pub text: String,
}

impl GmailSend {
    pub(super) fn checked(mut self) -> Result<Self, String> {
        line("connection", &self.connection)?;
        if self.to.is_empty() {
            return Err("`to` has nobody".to_owned());
        }
        if self.to.len() + self.cc.len() + self.bcc.len() > MOST_ADDRESSES {
            return Err(format!("more than {MOST_ADDRESSES} addresses"));
        }
        for (name, all) in [("to", &self.to), ("cc", &self.cc), ("bcc", &self.bcc)] {
            for one in all {
                address(name, one)?;
            }
        }
        line("subject", &self.subject)?;
        self.text = self.text.replace("\r\n", "\n");
        text("text", &self.text, MOST_TEXT)?;
        Ok(self)
    }

    /// The exact call: a pure function of the details and the account.
    #[must_use]
    pub fn call(&self, account_id: &str) -> ExactCall {
        let message = Message {
            to: self.to.clone(),
            cc: self.cc.clone(),
            bcc: self.bcc.clone(),
            subject: self.subject.clone(),
            text: self.text.clone(),
        };
        ExactCall {
            account_id: account_id.to_owned(),
            connection: self.connection.clone(),
            host: Some(HOST.to_owned()),
            method: "POST".to_owned(),
            path_and_query: PATH.to_owned(),
            headers: json_body(),
            body: canonical(&json!({"raw": base64url(message.write().as_bytes())})),
        }
    }
}

/// Reads a mail back from the call's own bytes.
pub(super) fn read_back(call: &ExactCall) -> Option<Rows> {
    if call.path_and_query != PATH || call.host.as_deref() != Some(HOST) {
        return None;
    }
    let body = parse_strict_object(&call.body, Limits::INTEGERS)
        .ok()
        .filter(|body| body.len() == 1 && is_canonical(&call.body))?;
    let raw = body.get("raw").and_then(Value::as_str)?;
    let message = Message::read(&from_base64url(raw).ok()?)?;
    let mut rows = vec![row("Subject", &message.subject), row("Text", &message.text)];
    for (label, all) in [
        ("To", &message.to),
        ("Cc", &message.cc),
        ("Bcc", &message.bcc),
    ] {
        if !all.is_empty() {
            rows.push(row(label, &all.join("\n")));
        }
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::types::{Details, parse};

    fn read(change: Value) -> Result<GmailSend, String> {
        let mut entry = json!({
            "type": "gmail_send", "connection": "google-oauth2", "to": ["grace@example.com"],
            "subject": "Release 2.1", "text": "It is out.",
        });
        for (name, value) in change.as_object().unwrap() {
            entry[name] = value.clone();
        }
        match parse(&json!([entry]))?.remove(0) {
            Details::GmailSend(mail) => Ok(mail),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_mail_compiles_to_canonical_bytes_and_is_read_back_from_them() {
        let mail =
            read(json!({"cc": ["o@example.com"], "bcc": ["x@example.com"], "text": "a\r\nb"}))
                .unwrap();
        let call = mail.call("acc_1");
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        let raw = from_base64url(body["raw"].as_str().unwrap()).unwrap();
        assert!(raw.starts_with(b"To: grace@example.com\r\nCc: o@example.com\r\nBcc: x@example.com\r\nSubject: Release 2.1\r\n"));
        assert_eq!(
            read_back(&call).unwrap(),
            [
                row("Subject", "Release 2.1"),
                row("Text", "a\nb"),
                row("To", "grace@example.com"),
                row("Cc", "o@example.com"),
                row("Bcc", "x@example.com"),
            ]
        );
    }

    #[test]
    fn a_call_with_more_in_it_is_not_read_back() {
        let call = read(json!({})).unwrap().call("acc_1");
        let text = String::from_utf8(call.body.clone()).unwrap();
        for body in [
            text.replace('{', "{\"labelIds\":[\"INBOX\"],"),
            text.replace("\"raw\"", "\"raw2\""),
            format!(" {text}"),
        ] {
            let other = ExactCall {
                body: body.into_bytes(),
                ..call.clone()
            };
            assert!(read_back(&other).is_none());
        }
    }

    #[test]
    fn what_is_no_mail_is_refused() {
        for bad in [
            json!({"to": []}),
            json!({"to": "grace@example.com"}),
            json!({"to": ["Grace <grace@example.com>"]}),
            json!({"to": ["grace@example.com\r\nBcc: eve@example.com"]}),
            json!({"to": vec!["a@example.com"; 51]}),
            json!({"cc": ["\u{430}da@example.com"]}),
            json!({"subject": "a\r\nBcc: eve@example.com"}),
            json!({"subject": "Pay\u{420}al"}),
            json!({"subject": "a\u{202e}b"}),
            json!({"text": ""}),
            json!({"text": "a\u{0}b"}),
            json!({"html": "<b>x</b>"}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
