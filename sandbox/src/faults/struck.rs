//! The faults that struck one request, as the lookalikes ask for them while they work.

use serde_json::{Value, json};

use super::Fault;
use crate::config::Rotation;

/// What a token answer claims where the lookalike itself names no lifetime, in seconds.
const CLAIMED_LIFETIME: i64 = 3600;

/// The faults that struck one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Struck(pub Vec<Fault>);

impl Struck {
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// The lifetime that a short expiry sets, in seconds.
    pub fn short_expiry(&self) -> Option<i64> {
        self.0.iter().find_map(|fault| match fault {
            Fault::ShortExpiry { seconds } => Some(*seconds),
            _ => None,
        })
    }

    pub fn slow_ms(&self) -> Option<u64> {
        self.0.iter().find_map(|fault| match fault {
            Fault::SlowAnswer { ms } => Some(*ms),
            _ => None,
        })
    }

    /// How far ahead the service's clock is, in milliseconds.
    pub fn ahead_ms(&self) -> i64 {
        self.0.iter().fold(0, |ahead, fault| match fault {
            Fault::WrongClock { ahead } => ahead * 1000,
            _ => ahead,
        })
    }

    /// How many living grants a person may have with one app.
    pub fn cap(&self) -> Option<usize> {
        self.0.iter().find_map(|fault| match fault {
            Fault::TokenCap { families } => Some(*families as usize),
            _ => None,
        })
    }

    /// What this refresh does, where a fault says so. Keeping the token goes before any rotation.
    pub fn rotation(&self) -> Option<Rotation> {
        let keeps = [
            Fault::RefreshTokenKept,
            Fault::SameRefreshToken,
            Fault::EmptyRefreshToken,
        ];
        if keeps.into_iter().any(|fault| self.has(fault)) {
            return Some(Rotation::Keeps);
        }
        self.0.iter().find_map(|fault| match fault {
            Fault::StrictRotation => Some(Rotation::Strict),
            Fault::RotationGrace { seconds } => Some(Rotation::Rotates {
                grace_seconds: *seconds,
            }),
            _ => None,
        })
    }

    /// The scopes that are granted when `asked` were asked for.
    pub fn granted(&self, asked: &[String]) -> Vec<String> {
        let mut granted = asked.to_vec();
        if self.has(Fault::SubsetOfScopes) && granted.len() > 1 {
            granted.pop();
        }
        granted
    }

    /// Rewrites a token answer: the one at the top, and the one that Slack nests. `presented` is the
    /// refresh token that was asked with.
    pub fn alter_token_answer(&self, answer: &mut Value, presented: Option<&str>) {
        for part in ["", "/authed_user"] {
            let Some(Value::Object(fields)) = answer.pointer_mut(part) else {
                continue;
            };
            if !fields.contains_key("access_token") {
                continue;
            }
            for fault in &self.0 {
                alter(*fault, fields, presented);
            }
        }
    }
}

fn alter(fault: Fault, fields: &mut serde_json::Map<String, Value>, presented: Option<&str>) {
    let lifetime = fields
        .get("expires_in")
        .and_then(Value::as_i64)
        .unwrap_or(CLAIMED_LIFETIME);
    let scope = fields
        .get("scope")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let (name, value) = match fault {
        Fault::ExpiresInText => ("expires_in", lifetime.to_string().into()),
        Fault::ExpiresInFloat => ("expires_in", (lifetime as f64 + 0.5).into()),
        Fault::ExpiresInWords => ("expires_in", "two hours".into()),
        Fault::ExpiresInNull => ("expires_in", Value::Null),
        Fault::ExpiresInZero => ("expires_in", 0.into()),
        Fault::ExpiresInNegative => ("expires_in", (-1).into()),
        Fault::ExpiresInHuge => ("expires_in", i64::MAX.into()),
        Fault::CommaScopes => ("scope", scope.replace(' ', ",").into()),
        Fault::ScopeList => ("scope", scope.split([' ', ',']).collect()),
        Fault::EmptyScope => ("scope", "".into()),
        Fault::ExtraScopes => {
            let separator = if scope.contains(',') { "," } else { " " };
            ("scope", format!("{scope}{separator}extra.unasked").into())
        }
        Fault::SameRefreshToken => match presented {
            Some(token) => ("refresh_token", token.into()),
            None => return,
        },
        Fault::EmptyRefreshToken => ("refresh_token", "".into()),
        Fault::EmptyAccessToken => ("access_token", "".into()),
        Fault::TokenTypeCase => ("token_type", "BEARER".into()),
        Fault::UnknownTokenType => ("token_type", "N_A".into()),
        Fault::NullError => ("error", json!(null)),
        Fault::NoExpiresIn => return drop(fields.remove("expires_in")),
        Fault::NoScope => return drop(fields.remove("scope")),
        Fault::RefreshTokenKept | Fault::RefreshTokenOmitted => {
            return drop(fields.remove("refresh_token"));
        }
        Fault::NoAccessToken => return drop(fields.remove("access_token")),
        Fault::NoTokenType => return drop(fields.remove("token_type")),
        _ => return,
    };
    fields.insert(name.to_owned(), value);
}
