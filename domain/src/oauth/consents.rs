//! Consents: what a person allowed which client, remembered and revocable.

use super::authorize::AccountAccess;
use super::clients::Client;
use super::error::OauthError;
use super::sql_grants::pair;
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::storage::{self, Tx};

/// What one person allowed one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// `cns_…`
    pub id: String,
    /// Who allowed.
    pub person_id: String,
    /// Whom.
    pub client_id: String,
    /// What.
    pub scopes: Vec<String>,
    /// Which accounts' connections it asked for, and how.
    pub details: Vec<AccountAccess>,
    /// For which services other than Attorn (`aud` of its tokens).
    pub audiences: Vec<String>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
}

/// The standing consent of this person to this client, if there is one.
///
/// # Errors
/// Storage's.
pub async fn find(
    engine: &Engine,
    person_id: &str,
    client_id: &str,
) -> Result<Option<Consent>, storage::Error> {
    engine
        .store
        .reader()
        .await?
        .consent(person_id, client_id)
        .await
}

/// A person's standing consents, the latest first, at most 200.
///
/// # Errors
/// Storage's.
pub async fn list(engine: &Engine, person_id: &str) -> Result<Vec<Consent>, storage::Error> {
    engine
        .store
        .reader()
        .await?
        .consents_of(person_id, 200)
        .await
}

/// Takes a consent back and ends every token that came from it. The vault's
/// permissions are the person's own to take back, on **Accounts**. Answers
/// whether there was one.
///
/// # Errors
/// Storage's.
pub async fn revoke(
    engine: &Engine,
    person_id: &str,
    client_id: &str,
) -> Result<bool, storage::Error> {
    let (person, client) = (person_id.to_owned(), client_id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (person, client) = (person.clone(), client.clone());
            Box::pin(async move {
                if !tx.revoke_consent(&person, &client).await? {
                    return Ok(false);
                }
                let ended = tx
                    .revoke_families_of(&person, &client, "consent revoked")
                    .await?;
                tx.record(
                    Event::new(Kind::ConsentRevoked)
                        .person(&person)
                        .client(&client)
                        .data("families", ended),
                );
                tx.signal(Some(&person), "client", &client);
                Ok(true)
            })
        })
        .await
}

/// Adds to what a person allowed a client, as part of somebody's write.
/// Answers whether anything is new.
pub(super) async fn widen_within(
    tx: &mut Tx,
    person_id: &str,
    client: &Client,
    scopes: &[String],
    details: &[AccountAccess],
) -> Result<bool, OauthError> {
    let now = tx.now();
    let client_id = client.id.as_str();
    let old = tx.consent(person_id, client_id).await?;
    let mut consent = old.clone().unwrap_or(Consent {
        id: tx.new_id("cns"),
        person_id: person_id.to_owned(),
        client_id: client_id.to_owned(),
        scopes: Vec::new(),
        details: Vec::new(),
        audiences: Vec::new(),
        created_at: now,
        updated_at: now,
    });
    for scope in scopes {
        if !consent.scopes.contains(scope) {
            consent.scopes.push(scope.clone());
        }
    }
    for detail in details {
        if !consent.details.contains(detail) {
            consent.details.push(detail.clone());
        }
    }
    for audience in &client.audiences {
        if !consent.audiences.contains(audience) {
            consent.audiences.push(audience.clone());
        }
    }
    if old.as_ref() == Some(&consent) {
        return Ok(false);
    }
    consent.updated_at = now;
    tx.put_consent(&consent).await?;
    tx.record(
        Event::new(Kind::ConsentGiven)
            .person(person_id)
            .client(client_id)
            .data("scopes", scopes.join(" "))
            .data("audiences", client.audiences.join(" ")),
    );
    tx.signal(Some(person_id), "client", client_id);
    Ok(true)
}

/// Whether this person has a standing consent to this client: a client may ask
/// only people with whom it has to do.
///
/// # Errors
/// Storage's.
pub async fn has_relation(
    engine: &Engine,
    client_id: &str,
    person_id: &str,
) -> Result<bool, storage::Error> {
    let known = &engine.oauth.relations;
    let pair = pair(person_id, client_id);
    if let Some(related) = known.get(&pair) {
        return Ok(related);
    }
    let ticket = known.ticket();
    let related = find(engine, person_id, client_id).await?.is_some();
    known.keep(ticket, &pair, related);
    Ok(related)
}
