//! An access token of ours for another one of ours: for another audience, with
//! less scope, or both (RFC 8693 §1.1, delegation).
//!
//! The new token says the same person and, in `act`, who acts for them (§4.1).
//! It has never more than its subject: no scope beyond, no longer life, no
//! looser binding, no approved details, the same family, so that revoking
//! reaches it.

use serde_json::{Value, json};

use super::Asker;
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::oauth::access::{self, Issue, Presented};
use crate::oauth::clients::Client;
use crate::oauth::error::{Code, OauthError};
use crate::oauth::token::TokenAnswer;

/// So many may act one for the other; a longer chain is refused.
pub const DEEPEST_ACT: usize = 4;

/// What is asked for.
pub(super) struct Wanted {
    pub(super) audience: String,
    pub(super) scopes: Option<Vec<String>>,
    /// Who acts, where an actor token says so; else the client does.
    pub(super) actor: Option<String>,
    /// The type it is asked for as.
    pub(super) issued: String,
}

/// Issues the token. The subject token was judged already; the asker
/// says as what the client presents it.
///
/// # Errors
/// `invalid_target`, `invalid_scope`, `invalid_request`, `invalid_dpop_proof`,
/// `invalid_client` when the client was frozen meanwhile.
pub(super) async fn issue(
    engine: &Engine,
    client: &Client,
    (subject, asker): (Presented, Asker),
    wanted: Wanted,
    jkt: Option<String>,
) -> Result<TokenAnswer, OauthError> {
    let Wanted {
        audience,
        scopes,
        actor,
        issued,
    } = wanted;
    // A resource server got the token from its client, not from the person:
    // it may go on only to where it was registered to go, not to the default.
    if asker != Asker::Client && !client.audiences.contains(&audience) {
        return Err(OauthError::new(
            Code::InvalidTarget,
            "this client is not registered for this audience",
        ));
    }
    let scopes = scopes.unwrap_or_else(|| subject.scopes.clone());
    if let Some(beyond) = scopes.iter().find(|scope| !subject.scopes.contains(scope)) {
        return Err(OauthError::new(
            Code::InvalidScope,
            format!("the subject token does not have the scope {beyond}"),
        ));
    }
    // RFC 9449 §5: a client must not rid its own token of the key.
    if asker == Asker::Client && subject.jkt.is_some() && subject.jkt != jkt {
        return Err(OauthError::new(
            Code::InvalidDpopProof,
            "the subject token is bound to a key: prove that key",
        ));
    }
    let act = acting(actor.as_deref().unwrap_or(&client.id), subject.act.as_ref())?;
    let (at, client_id, to) = (engine.clone(), client.id.clone(), audience.clone());
    let (person, jti) = (subject.person_id.clone(), subject.jti.clone());
    engine
        .store
        .write(move |tx| {
            let (engine, client_id, audience) = (at.clone(), client_id.clone(), to.clone());
            let (person, jti) = (person.clone(), jti.clone());
            Box::pin(async move {
                if !tx.client_is_active(&engine, &client_id).await? {
                    return Err(OauthError::new(
                        Code::InvalidClient,
                        "client authentication failed",
                    ));
                }
                let event = Event::new(Kind::TokenIssued)
                    .client(&client_id)
                    .data("grant", "token_exchange")
                    .data("audience", audience)
                    .data("subject", jti);
                tx.record(match &person {
                    Some(person) => event.person(person),
                    None => event,
                });
                Ok(())
            })
        })
        .await?;
    let token = access::issue(
        engine,
        &Issue {
            person_id: subject.person_id.as_deref(),
            family_id: subject.family_id.as_deref(),
            jkt: jkt.as_deref(),
            act: Some(&act),
            not_after: Some(subject.expires_at),
            ..Issue::new(&client.id, &scopes, &audience)
        },
    )?;
    let left = (subject.expires_at - engine.now()) / 1000;
    Ok(TokenAnswer {
        expires_in: left.min(access::LIFETIME_S),
        issued_token_type: Some(issued),
        ..TokenAnswer::of(token, scopes).bound(jkt.is_some())
    })
}

/// The `act` of a token with which `who` acts, around those who acted before it.
fn acting(who: &str, before: Option<&Value>) -> Result<Value, OauthError> {
    let chain = std::iter::successors(before, |act| act.get("act"));
    if chain.count() >= DEEPEST_ACT {
        return Err(OauthError::request(
            "too many act one for the other already; ask with an earlier token",
        ));
    }
    let mut act = json!({ "sub": who });
    if let Some(before) = before {
        act["act"] = before.clone();
    }
    Ok(act)
}
