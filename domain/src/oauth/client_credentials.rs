//! The client credentials grant (RFC 6749 §4.4): a client on its own behalf.

use super::access::{self, Issue};
use super::clients::Client;
use super::error::{Code, OauthError};
use super::token::TokenAnswer;
use crate::Engine;
use crate::audit::{Event, Kind};

pub(super) async fn issue(
    engine: &Engine,
    client: &Client,
    scopes: Option<Vec<String>>,
    audience: Option<String>,
    jkt: Option<String>,
) -> Result<TokenAnswer, OauthError> {
    let audience = client.audience(engine, audience.as_deref())?;
    let scopes = scopes.unwrap_or_else(|| client.scopes.clone());
    // No standard scope: there is no person whom they could be about.
    if let Some(foreign) = scopes.iter().find(|scope| !client.scopes.contains(scope)) {
        return Err(OauthError::new(
            Code::InvalidScope,
            format!("this client is not registered for the scope {foreign}"),
        ));
    }
    let (at, client_id, to) = (engine.clone(), client.id.clone(), audience.clone());
    engine
        .store
        .write(move |tx| {
            let (engine, client_id, audience) = (at.clone(), client_id.clone(), to.clone());
            Box::pin(async move {
                if !tx.client_is_active(&engine, &client_id).await? {
                    return Err(OauthError::new(
                        Code::InvalidClient,
                        "client authentication failed",
                    ));
                }
                tx.record(
                    Event::new(Kind::TokenIssued)
                        .client(&client_id)
                        .data("grant", "client_credentials")
                        .data("audience", audience),
                );
                Ok(())
            })
        })
        .await?;
    let access_token = access::issue(
        engine,
        &Issue {
            jkt: jkt.as_deref(),
            ..Issue::new(&client.id, &scopes, &audience)
        },
    )?;
    Ok(TokenAnswer::of(access_token, scopes).bound(jkt.is_some()))
}
