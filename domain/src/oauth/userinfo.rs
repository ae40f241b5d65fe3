//! UserInfo (OpenID Connect Core §5.3).
//!
//! The scope `openid` is the person's word that the client may know who they
//! are, so any token that has it is taken, whatever API it is for; but none
//! for `/proxy` or `/me/`, and none of an approval: those are for one thing.

use serde_json::{Value, json};

use super::bearer;
use super::error::OauthError;
use super::request_head::RequestHead;
use crate::Engine;
use crate::identity;

/// The claims about the person of this token: `sub`, and what its scopes allow.
///
/// # Errors
/// As [`super::present`]; `insufficient_scope` without `openid`.
pub async fn userinfo(engine: &Engine, head: &RequestHead) -> Result<Value, OauthError> {
    let presented = bearer::present_any(engine, head).await?;
    let settings = &engine.settings;
    if [settings.proxy_audience(), settings.me_audience()].contains(&presented.audience)
        || presented.approval_id.is_some()
    {
        return Err(OauthError::token("for another audience"));
    }
    presented.need("openid")?;
    let person_id = presented
        .person_id
        .as_deref()
        .ok_or_else(|| OauthError::token("about no person"))?;
    let person = identity::person(engine, person_id)
        .await
        .map_err(|error| match error {
            identity::Error::Storage(error) => error.into(),
            error => OauthError::token(error),
        })?
        .ok_or_else(|| OauthError::token("about nobody"))?;
    let has = |scope: &str| presented.scopes.iter().any(|granted| granted == scope);
    let mut claims = json!({ "sub": person.id });
    if has("profile") {
        claims["name"] = person.name.into();
    }
    if has("email") {
        claims["email"] = person.email.into();
        // An admin typed it; nobody proved that mail arrives there.
        claims["email_verified"] = false.into();
    }
    Ok(claims)
}
