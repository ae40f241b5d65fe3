//! A provider's token answer in the shape of RFC 6749 §5.1, and what else it said.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::TokenKind;
use super::providers::{AnswerShape, IdentityFrom, Provider};
use super::wire::Found;
use crate::secret::Secret;

/// What the client found beside the one token that the crate reads.
#[derive(Default)]
pub(super) struct Side {
    pub found: Found,
    pub bot: Option<Bot>,
}

/// A bot's token beside the person's.
pub(super) struct Bot {
    pub access: Secret<String>,
    pub refresh: Option<Secret<String>>,
    pub scopes: Option<Vec<String>>,
    pub expires_in: Option<i64>,
}

/// The text or whole number a pointer (RFC 6901) leads to. A number too long to
/// be held exactly is none: as an id it would stand for many people (RFC 8259 §6).
pub(super) fn text(json: &Value, pointer: &str) -> Option<String> {
    match json.pointer(pointer)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// Scopes, however they are separated, or a list of them.
fn scopes(json: &Value) -> Option<Vec<String>> {
    match json.get("scope").or_else(|| json.get("scopes"))? {
        Value::String(scopes) => Some(
            scopes
                .split([' ', ','])
                .filter(|scope| !scope.is_empty())
                .map(str::to_owned)
                .collect(),
        ),
        Value::Array(scopes) => Some(
            scopes
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        ),
        _ => None,
    }
}

/// No token is said to live longer than ten years (seconds): who says so says nothing.
const LONGEST: f64 = 315_360_000.0;

/// The lifetime that an answer names, as a number or a text. One that no token
/// can have (none at all, negative, for ever) is as good as none named.
fn seconds(json: &Value) -> Option<i64> {
    let named: f64 = match json.get("expires_in")? {
        Value::String(text) => text.trim().parse().ok()?,
        number => number.as_f64()?,
    };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "between one second and ten years; fractions are of no use"
    )]
    (1.0..=LONGEST).contains(&named).then_some(named as i64)
}

/// One token object in the shape of RFC 6749 §5.1.
fn standard(token: &Value) -> Value {
    let mut plain = json!({ "token_type": "bearer" });
    for name in ["access_token", "refresh_token"] {
        if let Some(value) = text(token, &format!("/{name}")) {
            plain[name] = value.into();
        }
    }
    // An empty text names none, as no text does (RFC 6749 §5.1: as asked for).
    if let Some(scopes) = scopes(token).filter(|scopes| !scopes.is_empty()) {
        plain["scope"] = scopes.join(" ").into();
    }
    if let Some(seconds) = seconds(token) {
        plain["expires_in"] = seconds.into();
    }
    plain
}

/// Saves the refresh token of an answer to a refresh that has no access token:
/// it may be the only one that is still good. The access token ends at once, so
/// that another is asked for.
pub(super) fn save_successor(plain: &mut Value) {
    if plain.get("access_token").is_none() && plain.get("refresh_token").is_some() {
        plain["access_token"] = "".into();
        plain["expires_in"] = 0.into();
    }
}

/// RFC 6749 §5.1 already, but for liberties with scopes and numbers.
pub(super) fn plain_rfc6749(entry: &Provider, json: &Value, side: &Mutex<Side>) -> Value {
    let at = |pointer: &Option<String>| pointer.as_deref().and_then(|at| text(json, at));
    let rule = &entry.identity;
    let mut found = Found {
        identity_url: at(&rule.pointer),
        instance_url: entry
            .instance
            .as_ref()
            .and_then(|instance| text(json, &instance.pointer)),
        id_token: text(json, "/id_token").map(Secret::new),
        ..Found::default()
    };
    if rule.from == IdentityFrom::Answer {
        found.tenant = text(json, &rule.tenant);
        found.subject = text(json, &rule.subject);
        found.label = rule.label.iter().find_map(|at| text(json, at));
        found.tenant_name = at(&rule.tenant_label);
    }
    side.lock().unwrap_or_else(PoisonError::into_inner).found = found;
    let mut plain = standard(json);
    // GitHub Apps have no scopes, and their answers say so with an empty text.
    if entry.answer == AnswerShape::Github && json.get("scope").is_some_and(|scope| scope == "") {
        plain["scope"] = "".into();
    }
    plain
}

/// Slack v2: the person's token nested in `authed_user`, the bot's at the top;
/// the answer to a refresh has its one token at the top.
pub(super) fn plain_slack(json: &Value, kind: Option<TokenKind>, side: &Mutex<Side>) -> Value {
    let user = json
        .get("authed_user")
        .filter(|user| user.get("access_token").is_some());
    let top = json.get("access_token").is_some();
    let mut side = side.lock().unwrap_or_else(PoisonError::into_inner);
    // Installed for a whole Enterprise Grid organisation, the team is null.
    let for_org = json.get("is_enterprise_install") == Some(&Value::Bool(true))
        || text(json, "/team/id").is_none();
    let tenant = if for_org { "enterprise" } else { "team" };
    side.found = Found {
        subject: text(json, "/authed_user/id"),
        tenant: text(json, &format!("/{tenant}/id")),
        tenant_name: text(json, &format!("/{tenant}/name")),
        for_org: for_org && text(json, "/enterprise/id").is_some(),
        ..Found::default()
    };
    match kind {
        Some(TokenKind::Bot) => standard(json),
        Some(TokenKind::User) => standard(if top { json } else { user.unwrap_or(json) }),
        None => {
            if top && json.get("token_type").and_then(Value::as_str) != Some("user") {
                side.bot = text(json, "/access_token").map(|access| Bot {
                    access: Secret::new(access),
                    refresh: text(json, "/refresh_token").map(Secret::new),
                    scopes: scopes(json),
                    expires_in: seconds(json),
                });
            }
            // Without a person's token the crate finds no `access_token`, and says so.
            user.map_or_else(
                || {
                    if side.bot.is_some() {
                        json!({})
                    } else {
                        standard(json)
                    }
                },
                standard,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_no_exact_number_is_none() {
        let read = |id: &str| {
            let json: Value = serde_json::from_str(&format!("{{\"id\":{id}}}")).unwrap();
            text(&json, "/id")
        };
        assert_eq!(
            read("18446744073709551615").as_deref(),
            Some("18446744073709551615")
        );
        for other in ["100000000000000000002", "1.5", "1e3", "null", "\"\""] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_refresh_token_without_an_access_token_is_kept() {
        let mut plain =
            standard(&json!({ "access_token": "", "refresh_token": "r2", "expires_in": 60 }));
        save_successor(&mut plain);
        assert_eq!(
            plain,
            json!({ "token_type": "bearer", "access_token": "", "refresh_token": "r2", "expires_in": 0 })
        );
        let mut nothing = standard(&json!({ "access_token": "" }));
        save_successor(&mut nothing);
        assert_eq!(nothing.get("access_token"), None);
    }

    #[test]
    fn a_lifetime_that_no_token_can_have_is_as_good_as_none() {
        let named = |value: Value| seconds(&json!({ "expires_in": value }));
        for (value, meant) in [
            (json!(3599), Some(3599)),
            (json!("3599"), Some(3599)),
            (json!(3599.5), Some(3599)),
            (json!(" 3599.0 "), Some(3599)),
            (json!(0), None),
            (json!(-1), None),
            (json!(i64::MAX), None),
            (json!(1e300), None),
            (json!("NaN"), None),
            (json!("two hours"), None),
            (json!(null), None),
            (json!([3599]), None),
        ] {
            assert_eq!(named(value.clone()), meant, "{value}");
        }
    }

    #[test]
    fn slack_answers_become_standard_ones() {
        let json = json!({
            "ok": true, "access_token": "xoxb-1", "token_type": "bot", "scope": "a,b",
            "authed_user": { "id": "U1", "access_token": "xoxp-1", "scope": "chat:write,users:read", "expires_in": "10" },
            "team": { "id": "T1", "name": "Acme" },
        });
        let side = Mutex::default();
        let plain = plain_slack(&json, None, &side);
        assert_eq!(
            plain,
            json!({ "access_token": "xoxp-1", "token_type": "bearer", "scope": "chat:write users:read", "expires_in": 10 })
        );
        let side = side.into_inner().unwrap();
        assert_eq!(side.bot.unwrap().access.expose(), "xoxb-1");
        assert_eq!(side.found.tenant.as_deref(), Some("T1"));
        let refreshed = json!({ "ok": true, "access_token": "xoxe.xoxp-2", "token_type": "user", "authed_user": { "id": "U1" } });
        assert_eq!(
            plain_slack(&refreshed, Some(TokenKind::User), &Mutex::default())["access_token"],
            "xoxe.xoxp-2"
        );
    }

    #[test]
    fn scopes_are_read_however_they_are_written() {
        for written in [
            json!({ "scope": "a b" }),
            json!({ "scope": "a,b" }),
            json!({ "scope": ["a", "b"] }),
            json!({ "scopes": ["a", "b"] }),
        ] {
            assert_eq!(scopes(&written).unwrap(), ["a", "b"], "{written}");
        }
        assert_eq!(scopes(&json!({ "scope": null })), None);
    }

    #[test]
    fn an_organisation_is_the_tenant_where_slack_says_so() {
        let tenant = |json: Value| {
            let side = Mutex::default();
            plain_slack(&json, None, &side);
            let found = side.into_inner().unwrap().found;
            (found.tenant.unwrap(), found.for_org)
        };
        let grid = json!({
            "ok": true, "is_enterprise_install": false, "authed_user": { "id": "W1", "access_token": "x" },
            "team": { "id": "T1", "name": "Acme" }, "enterprise": { "id": "E1", "name": "Starship" },
        });
        assert_eq!(tenant(grid.clone()), ("T1".to_owned(), false));
        let mut whole = grid;
        whole["is_enterprise_install"] = true.into();
        assert_eq!(tenant(whole.clone()), ("E1".to_owned(), true));
        whole["team"] = Value::Null;
        assert_eq!(tenant(whole), ("E1".to_owned(), true));
    }
}
