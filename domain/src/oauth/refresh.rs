//! The refresh token grant (RFC 6749 §6), with rotation and reuse detection
//! (RFC 9700 §4.14.2).
//!
//! A used token may be presented again for 30 seconds while none of its
//! successors was used: the answer may have been lost. That gives another
//! successor; whichever is used first ends the others. Everything else that
//! presents a used token ends the family.

use super::access::{self, Issue};
use super::clients::Client;
use super::error::{Code, OauthError};
use super::families::{Family, IDLE_MS};
use super::id_token::{self, IdToken};
use super::networks;
use super::request_head::RequestHead;
use super::sql_grants::{RefreshRow, RefreshState};
use super::token::TokenAnswer;
use crate::audit::{Event, Kind};
use crate::secret::Secret;
use crate::storage::{self, Tx};
use crate::{Engine, ids};

/// How long a lost answer may be asked for again, in milliseconds.
pub const GRACE_MS: i64 = 30_000;

/// How a refresh token is kept.
pub(super) fn hash(engine: &Engine, token: &str) -> [u8; 32] {
    engine.keys.hash("refresh_token", token.as_bytes())
}

fn bad() -> OauthError {
    OauthError::grant("the refresh token is not valid, or no longer")
}

/// What a presented refresh token turns out to be.
pub(super) enum Standing {
    /// Good: the current one, or a used one in its grace.
    Good(RefreshRow, Box<Family>),
    /// Presented after its use: somebody else has it.
    Reused(Box<Family>),
}

/// Judges a refresh token of this client, as part of somebody's read or write.
/// Client and person must be active and the family live.
pub(super) async fn standing(
    tx: &mut Tx,
    engine: &Engine,
    client_id: &str,
    hash: [u8; 32],
) -> Result<Standing, OauthError> {
    let now = tx.now();
    let (row, family) = tx
        .refresh_token(hash)
        .await?
        .ok_or_else(|| bad().because("unknown"))?;
    if family.client_id != client_id {
        return Err(bad().because("of another client"));
    }
    if !family.is_live(now) {
        return Err(bad().because("its family has ended"));
    }
    if !tx.client_is_active(engine, client_id).await? {
        return Err(bad().because("the client is frozen"));
    }
    if let Some(person) = &family.person_id
        && !tx.person_is_active(engine, person).await?
    {
        return Err(bad().because("the person is locked"));
    }
    let good = match row.state {
        RefreshState::Active => true,
        RefreshState::Revoked => false,
        RefreshState::Rotated => {
            row.rotated_at.is_some_and(|at| now - at <= GRACE_MS)
                && !tx.successor_was_used(row.hash).await?
        }
    };
    Ok(if good {
        Standing::Good(row, Box::new(family))
    } else {
        Standing::Reused(Box::new(family))
    })
}

/// Ends the family of a token that was presented after its use.
pub(super) async fn reused(tx: &mut Tx, family: &Family) -> Result<(), storage::Error> {
    if tx.revoke_family(&family.id, "refresh token reused").await? {
        let event = Event::new(Kind::TokenReused)
            .client(&family.client_id)
            .data("token", "refresh_token")
            .data("family", family.id.as_str());
        tx.record(match &family.person_id {
            Some(person) => event.person(person),
            None => event,
        });
    }
    Ok(())
}

enum Outcome {
    Good(Box<Family>, bool),
    Reused,
}

pub(super) async fn redeem(
    engine: &Engine,
    head: &RequestHead,
    client: &Client,
    token: &Secret<String>,
    scopes: Option<Vec<String>>,
    audience: Option<String>,
    jkt: Option<String>,
) -> Result<TokenAnswer, OauthError> {
    if !ids::well_formed("att_rt", token.expose()) {
        return Err(bad());
    }
    let hash_of_it = hash(engine, token.expose());
    let next = engine.new_token("att_rt");
    let next_hash = hash(engine, next.expose());
    // Judged before anything is used up: a request that cannot be answered
    // must not cost the token.
    if audience.is_some() {
        client.audience(engine, audience.as_deref())?;
    }
    let (at, wanted, scopes_asked) = (engine.clone(), client.clone(), scopes.clone());
    let (proved, from) = (jkt.clone(), head.clone());
    let outcome = engine
        .store
        .write(move |tx| {
            let (engine, client, scopes) = (at.clone(), wanted.clone(), scopes_asked.clone());
            let (jkt, head) = (proved.clone(), from.clone());
            Box::pin(async move {
                let (row, family) = match standing(tx, &engine, &client.id, hash_of_it).await? {
                    Standing::Good(row, family) => (row, family),
                    Standing::Reused(family) => {
                        reused(tx, &family).await?;
                        return Ok(Outcome::Reused);
                    }
                };
                // RFC 9449 §5: bound to the key it was issued with.
                if family.dpop_jkt.is_some() && family.dpop_jkt != jkt {
                    return Err(bad().because("bound to another key"));
                }
                // RFC 6749 §6: never more than was granted.
                if let Some(more) = scopes
                    .iter()
                    .flatten()
                    .find(|scope| !family.scopes.contains(scope))
                {
                    return Err(OauthError::new(
                        Code::InvalidScope,
                        format!("the scope {more} was not granted"),
                    ));
                }
                let now = tx.now();
                let rotates = client.rotate_refresh;
                if rotates {
                    if !tx.rotate_refresh_token(&row).await? && row.state == RefreshState::Active {
                        // Somebody was faster by a moment; judge it anew.
                        match standing(tx, &engine, &client.id, hash_of_it).await? {
                            Standing::Good(..) => {}
                            Standing::Reused(family) => {
                                reused(tx, &family).await?;
                                return Ok(Outcome::Reused);
                            }
                        }
                    }
                    tx.insert_refresh(next_hash, &family.id, Some(row.hash))
                        .await?;
                }
                tx.touch_family(&family.id, now + IDLE_MS).await?;
                if let Some(used) = networks::of(&engine, &head, &client, &family) {
                    tx.note_network(&family, &used).await?;
                }
                let event = Event::new(Kind::TokenIssued)
                    .client(&client.id)
                    .data("grant", "refresh_token")
                    .data("family", family.id.as_str());
                tx.record(match &family.person_id {
                    Some(person) => event.person(person),
                    None => event,
                });
                Ok(Outcome::Good(family, rotates))
            })
        })
        .await?;
    let Outcome::Good(family, rotates) = outcome else {
        return Err(bad().because("presented after its use; the family is revoked"));
    };
    let scopes = scopes.unwrap_or_else(|| family.scopes.clone());
    let audience = audience.unwrap_or_else(|| family.audience.clone());
    let access_token = access::issue(
        engine,
        &Issue::of(&family, &scopes, &audience, jkt.as_deref())
            .acted_by(client.metadata.may_act.as_deref()),
    )?;
    let id_token = match &family.person_id {
        None => None,
        Some(person) => {
            id_token::issue(
                engine,
                &IdToken {
                    person_id: person,
                    client,
                    scopes: &scopes,
                    nonce: None,
                    sign_in: family.sign_in,
                    access_token: &access_token,
                    pushed: None,
                },
            )
            .await?
        }
    };
    Ok(TokenAnswer {
        refresh_token: rotates.then_some(next),
        id_token,
        ..TokenAnswer::of(access_token, scopes).bound(jkt.is_some())
    })
}
