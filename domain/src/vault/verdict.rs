//! What a provider's answer to a call says about the call and the grant.

use evidence::digest::sha256;
use serde_json::Value;

use super::providers::{AnswerShape, Provider};
use super::proxy::Error;
use crate::approval::{CallEnd, CallState, NOT_SENT};
use crate::outbound::Answer;

/// Longer answers, in bytes, are not looked into: no error is that long.
pub(super) const LOOKED_INTO: usize = 64 * 1024;

/// Whether the answer says that the grant has ended.
pub(super) fn has_ended(entry: &Provider, sent: &Result<Answer, Error>) -> bool {
    sent.as_ref().is_ok_and(|answer| {
        error_code(entry, answer).is_some_and(|code| entry.errors.ended.contains(&code))
    })
}

/// What became of an approved call. Only an answer that says so makes it
/// failed: a 4xx, or the provider's own word for an error with status 200.
/// After a 5xx, nobody knows.
pub(super) fn of(entry: &Provider, sent: &Result<Answer, Error>) -> CallEnd {
    let answer = match sent {
        Ok(answer) => answer,
        Err(Error::Unknown | Error::TooLarge(_)) => return CallEnd::LOST,
        Err(_) => {
            return CallEnd {
                state: CallState::Failed,
                reason: Some(NOT_SENT.to_owned()),
                ..CallEnd::LOST
            };
        }
    };
    let status = answer.status;
    let code = error_code(entry, answer);
    let unwell = code
        .as_ref()
        .is_some_and(|code| entry.errors.down.contains(code));
    let (state, reason) =
        if status.is_server_error() || status == http::StatusCode::REQUEST_TIMEOUT || unwell {
            (CallState::Unknown, None)
        } else if let Some(code) = code {
            (CallState::Failed, Some(code))
        } else if status.is_client_error() {
            (CallState::Failed, Some(format!("http_{}", status.as_u16())))
        } else {
            (CallState::Done, None)
        };
    CallEnd {
        state,
        status: Some(status.as_u16()),
        response_digest: Some(sha256(&answer.body)),
        reason,
    }
}

/// The error of an answer that is one although its status is 200, as Slack's
/// `{"ok":false,"error":"channel_not_found"}`. What is no plain code is told as
/// `error`: it is shown on pages and kept in the log.
fn error_code(entry: &Provider, answer: &Answer) -> Option<String> {
    if entry.answer != AnswerShape::Slack || answer.body.len() > LOOKED_INTO {
        return None;
    }
    let json: Value = serde_json::from_slice(&answer.body).ok()?;
    if json.get("ok") != Some(&Value::Bool(false)) {
        return None;
    }
    let code = json
        .get("error")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let plain = !code.is_empty()
        && code.len() <= 64
        && code
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    Some(if plain { code } else { "error" }.to_owned())
}
