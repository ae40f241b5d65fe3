//! Our access tokens: ES256 JWTs as of RFC 9068.
//!
//! What always holds here: a token is for one audience, and every use reads
//! the rows of its client, person and family, so that freezing, locking and
//! revoking work at once and not only when the token runs out.

use serde_json::{Map, Value, json};

use super::error::OauthError;
use super::{families::Family, jwt};
use crate::Engine;
use crate::ids;
use crate::keyring::SigningAlg;
use crate::secret::Secret;

/// How long an access token lives, in seconds.
pub const LIFETIME_S: i64 = 600;
const TYP: &str = "at+jwt";

/// What a good access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The person it acts for; `None` for a client on its own behalf.
    pub person_id: Option<String>,
    /// The client it was issued to.
    pub client_id: String,
    /// What it may.
    pub scopes: Vec<String>,
    /// The one audience it is for.
    pub audience: String,
    /// Its token family.
    pub family_id: Option<String>,
    /// The approval it redeems (public id): good for that one call.
    pub approval_id: Option<String>,
    /// Its own id.
    pub jti: String,
    /// When it runs out, Unix milliseconds.
    pub expires_at: i64,
    /// When it was issued, Unix milliseconds.
    pub issued_at: i64,
    /// The thumbprint of the key it is bound to (RFC 9449 §6.1).
    pub jkt: Option<String>,
    /// Who acts for the person, the last one outermost (RFC 8693 §4.1).
    pub act: Option<Value>,
    /// Which client may act for them with it (RFC 8693 §4.4).
    pub may_act: Option<String>,
    /// What was approved, for whoever enforces it (RFC 9396 §9.1).
    pub authorization_details: Option<Value>,
}

impl Presented {
    /// Refuses unless the token has this scope.
    ///
    /// # Errors
    /// `insufficient_scope`, 403 (RFC 6750 §3.1).
    pub fn need(&self, scope: &str) -> Result<(), OauthError> {
        if self.scopes.iter().any(|has| has == scope) {
            return Ok(());
        }
        Err(OauthError::new(
            super::error::Code::InsufficientScope,
            format!("the scope {scope} is needed"),
        ))
    }
}

/// What to put into a token.
pub(crate) struct Issue<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) person_id: Option<&'a str>,
    pub(crate) scopes: &'a [String],
    pub(crate) audience: &'a str,
    pub(crate) family_id: Option<&'a str>,
    pub(crate) approval_id: Option<&'a str>,
    pub(crate) auth_time: Option<i64>,
    /// The thumbprint of the key it is bound to.
    pub(crate) jkt: Option<&'a str>,
    /// Who acts for the person (RFC 8693 §4.1).
    pub(crate) act: Option<&'a Value>,
    /// It ends then at the latest, Unix milliseconds.
    pub(crate) not_after: Option<i64>,
    /// Which client may act for the person with it (RFC 8693 §4.4).
    pub(crate) may_act: Option<&'a str>,
    /// What was approved and the resource server enforces (RFC 9396 §9.1).
    pub(crate) authorization_details: Option<&'a Value>,
}

impl<'a> Issue<'a> {
    /// A token on the client's own behalf, and of no family.
    pub(crate) const fn new(client_id: &'a str, scopes: &'a [String], audience: &'a str) -> Self {
        Self {
            client_id,
            person_id: None,
            scopes,
            audience,
            family_id: None,
            approval_id: None,
            auth_time: None,
            jkt: None,
            act: None,
            not_after: None,
            may_act: None,
            authorization_details: None,
        }
    }

    /// A token of a family, for this audience, bound to this key if to one.
    pub(super) fn of(
        family: &'a Family,
        scopes: &'a [String],
        audience: &'a str,
        jkt: Option<&'a str>,
    ) -> Self {
        Self {
            person_id: family.person_id.as_deref(),
            family_id: Some(&family.id),
            approval_id: family.approval_id.as_deref(),
            auth_time: family.sign_in.map(|sign_in| sign_in.at),
            jkt,
            ..Self::new(&family.client_id, scopes, audience)
        }
    }

    /// Says which client may act for the person with it.
    pub(super) fn acted_by(self, may_act: Option<&'a str>) -> Self {
        Self { may_act, ..self }
    }
}

/// Makes an access token.
pub(crate) fn issue(engine: &Engine, what: &Issue<'_>) -> Result<Secret<String>, OauthError> {
    let now = engine.now() / 1000;
    let full = now + LIFETIME_S;
    let exp = what.not_after.map_or(full, |end| full.min(end / 1000));
    let mut claims = json!({
        "iss": engine.settings.issuer,
        "sub": what.person_id.unwrap_or(what.client_id),
        "aud": what.audience,
        "client_id": what.client_id,
        "iat": now,
        "exp": exp,
        "jti": ids::id("jti", engine.now(), &*engine.rng),
    });
    // RFC 6749 §3.3: a scope has at least one token.
    if !what.scopes.is_empty() {
        claims["scope"] = what.scopes.join(" ").into();
    }
    if let Some(auth_time) = what.auth_time {
        claims["auth_time"] = (auth_time / 1000).into();
    }
    if let Some(family) = what.family_id {
        claims["family"] = family.into();
    }
    if let Some(approval) = what.approval_id {
        claims["approval"] = approval.into();
    }
    if let Some(jkt) = what.jkt {
        claims["cnf"] = json!({ "jkt": jkt });
    }
    if let Some(act) = what.act {
        claims["act"] = act.clone();
    }
    if let Some(may_act) = what.may_act {
        claims["may_act"] = json!({ "sub": may_act });
    }
    if let Some(details) = what.authorization_details {
        claims["authorization_details"] = details.clone();
    }
    Ok(Secret::new(jwt::sign(
        engine,
        SigningAlg::Es256,
        TYP,
        &claims,
    )?))
}

fn parse(engine: &Engine, claims: &Map<String, Value>) -> Result<Presented, &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    if text("iss").as_deref() != Some(&engine.settings.issuer) {
        return Err("of another issuer");
    }
    let seconds = claims
        .get("exp")
        .and_then(Value::as_i64)
        .ok_or("without an end")?;
    let expires_at = seconds.saturating_mul(1000);
    if engine.now() >= expires_at {
        return Err("it has run out");
    }
    let subject = text("sub").ok_or("without a subject")?;
    let client_id = text("client_id").ok_or("without a client")?;
    Ok(Presented {
        // A client id never looks like a person's: registration sees to it.
        person_id: (subject != client_id).then_some(subject),
        client_id,
        scopes: text("scope")
            .unwrap_or_default()
            .split(' ')
            .filter(|scope| !scope.is_empty())
            .map(str::to_owned)
            .collect(),
        audience: text("aud").ok_or("without an audience")?,
        family_id: text("family"),
        approval_id: text("approval"),
        jti: text("jti").ok_or("without an id")?,
        expires_at,
        issued_at: claims
            .get("iat")
            .and_then(Value::as_i64)
            .ok_or("without a beginning")?
            .saturating_mul(1000),
        act: claims.get("act").cloned(),
        authorization_details: claims.get("authorization_details").cloned(),
        may_act: claims
            .get("may_act")
            .and_then(|may_act| may_act.get("sub"))
            .and_then(Value::as_str)
            .map(str::to_owned),
        jkt: match claims.get("cnf") {
            None => None,
            Some(cnf) => Some(
                cnf.get("jkt")
                    .and_then(Value::as_str)
                    .ok_or("bound to something unknown")?
                    .to_owned(),
            ),
        },
    })
}

/// Checks a presented token for one audience: signature, type, issuer,
/// audience, end (our clock), and that client, person and family are still good.
///
/// # Errors
/// `invalid_token`; the sentence never says which check refused.
pub async fn verify(engine: &Engine, token: &str, audience: &str) -> Result<Presented, OauthError> {
    let presented = read(engine, token).await?;
    if presented.audience != audience {
        return Err(OauthError::token("for another audience"));
    }
    Ok(presented)
}

/// As [`verify`], for a token of any audience: only for verbs that look at
/// [`Presented::audience`] themselves (exchange, revocation).
///
/// # Errors
/// `invalid_token`.
pub(super) async fn read(engine: &Engine, token: &str) -> Result<Presented, OauthError> {
    let claims = jwt::read_es256(engine, TYP, token).map_err(OauthError::token)?;
    let presented = parse(engine, &claims).map_err(OauthError::token)?;
    let mut rx = engine.store.reader().await?;
    if !rx.client_is_active(engine, &presented.client_id).await? {
        return Err(OauthError::token("the client is frozen"));
    }
    if let Some(person) = &presented.person_id
        && !rx.person_is_active(engine, person).await?
    {
        return Err(OauthError::token("the person is locked"));
    }
    if let Some(family) = &presented.family_id {
        let family = rx.family(family).await?;
        if family.is_none_or(|family| family.revoked_at.is_some()) {
            return Err(OauthError::token("its family was revoked"));
        }
    }
    Ok(presented)
}
