//! Ending tokens (RFC 7009).

use super::access;
use super::clients::Client;
use super::error::{Code, OauthError};
use super::refresh;
use crate::audit::{Event, Kind};
use crate::{Engine, ids};

/// Ends the family of a refresh or access token of this client. What is
/// unknown, ended already, or another client's changes nothing and is no error
/// (RFC 7009 §2.2: the purpose is reached, and nobody learns what exists).
///
/// # Errors
/// `unsupported_token_type` for an access token of no family, which only time
/// ends (a client's own, of 10 minutes).
pub async fn revoke(engine: &Engine, client: &Client, token: &str) -> Result<(), OauthError> {
    let family_id = if ids::well_formed("att_rt", token) {
        let hash = refresh::hash(engine, token);
        let row = engine.store.reader().await?.refresh_token(hash).await?;
        row.map(|(_, family)| family.id)
    } else {
        match access::read(engine, token).await {
            Ok(presented) if presented.client_id != client.id => None,
            Ok(presented) => Some(presented.family_id.ok_or_else(|| {
                OauthError::new(
                    Code::UnsupportedTokenType,
                    "this token cannot be revoked; it runs out by itself",
                )
            })?),
            Err(error) if error.code == Code::InvalidToken => None,
            Err(error) => return Err(error),
        }
    };
    let Some(family_id) = family_id else {
        return Ok(());
    };
    let client_id = client.id.clone();
    engine
        .store
        .write(move |tx| {
            let (family_id, client_id) = (family_id.clone(), client_id.clone());
            Box::pin(async move {
                let Some(family) = tx
                    .family(&family_id)
                    .await?
                    .filter(|family| family.client_id == client_id)
                else {
                    return Ok(());
                };
                if tx
                    .revoke_family(&family.id, "revoked by its client")
                    .await?
                {
                    let event = Event::new(Kind::TokenRevoked)
                        .client(&client_id)
                        .data("family", family.id);
                    tx.record(match family.person_id {
                        Some(person) => event.person(person),
                        None => event,
                    });
                }
                Ok(())
            })
        })
        .await
}
