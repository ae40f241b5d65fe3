//! What a person answers to an authorization request.

use url::Url;

use super::authorize::{AccountAccess, AuthorizeRequest};
use super::error::{Code, OauthError};
use super::sql_grants::CodeRow;
use super::{code, consents};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::identity::SignIn;
use crate::ids;
use crate::vault::permissions::{Give, give_within};
use crate::vault::{self, AccessMode, Account};

/// One row of the page's choice of accounts.
#[derive(Clone, Debug)]
pub struct Offered {
    /// The connection that is asked for.
    pub connection: String,
    /// How it is asked for; the person may give less.
    pub mode: AccessMode,
    /// The person's accounts there; none means that one must be linked first.
    pub accounts: Vec<Account>,
}

fn of_vault(error: vault::Error) -> OauthError {
    super::exchange::refusal(error)
}

/// Whether the person must be asked, or has allowed all of this before.
///
/// # Errors
/// Storage's.
pub async fn consent_needed(
    engine: &Engine,
    person_id: &str,
    request: &AuthorizeRequest,
) -> Result<bool, OauthError> {
    // Accounts are chosen each time: which there are changes.
    if request.prompt.consent || !request.details.is_empty() {
        return Ok(true);
    }
    let standing = consents::find(engine, person_id, &request.client.id).await?;
    // Any audience of the client counts: a refresh token serves them all.
    Ok(standing.is_none_or(|consent| {
        let allowed = |all: &[String], of: &[String]| of.iter().all(|one| all.contains(one));
        !allowed(&consent.scopes, &request.scopes)
            || !allowed(&consent.audiences, &request.client.audiences)
    }))
}

/// The accounts to choose from, one entry for every connection asked for.
///
/// # Errors
/// The vault's.
pub async fn offered(
    engine: &Engine,
    person_id: &str,
    request: &AuthorizeRequest,
) -> Result<Vec<Offered>, OauthError> {
    if request.details.is_empty() {
        return Ok(Vec::new());
    }
    let accounts = vault::accounts::list(engine, person_id)
        .await
        .map_err(of_vault)?;
    Ok(request
        .details
        .iter()
        .map(|detail| Offered {
            connection: detail.connection.clone(),
            mode: detail.mode,
            accounts: accounts
                .iter()
                .filter(|account| account.connection == detail.connection)
                .cloned()
                .collect(),
        })
        .collect())
}

/// Checks the chosen accounts against what was asked for.
async fn chosen_access(
    engine: &Engine,
    person_id: &str,
    request: &AuthorizeRequest,
    chosen: &[(String, AccessMode)],
) -> Result<Vec<AccountAccess>, OauthError> {
    let mut granted: Vec<AccountAccess> = Vec::new();
    for (account_id, mode) in chosen {
        let account = vault::accounts::get(engine, person_id, account_id)
            .await
            .map_err(|error| match error {
                vault::Error::NotFound => OauthError::request("that is not an account of yours"),
                error => of_vault(error),
            })?;
        let asked = request
            .details
            .iter()
            .find(|detail| detail.connection == account.connection)
            .ok_or_else(|| OauthError::request("that account was not asked for"))?;
        if *mode == AccessMode::Release && asked.mode == AccessMode::Call {
            return Err(OauthError::request("more was given than was asked for"));
        }
        let access = AccountAccess {
            connection: account.connection,
            mode: *mode,
        };
        if !granted.contains(&access) {
            granted.push(access);
        }
    }
    Ok(granted)
}

/// The person allows, with the accounts they ticked (none where none was asked
/// for). Consent, permissions and code are one write. Answers where to send
/// the browser. `sign_in` is how and when the person signed in.
///
/// # Errors
/// `access_denied` when client or person may not act any more;
/// `invalid_request` for accounts that were not asked for or are not theirs.
pub async fn allow(
    engine: &Engine,
    person_id: &str,
    sign_in: impl Into<SignIn>,
    request: &AuthorizeRequest,
    chosen: Vec<(String, AccessMode)>,
) -> Result<Url, OauthError> {
    let granted = chosen_access(engine, person_id, request, &chosen).await?;
    let code = engine.new_token("att_ac");
    let code_hash = code::hash(engine, code.expose());
    let now = engine.now();
    let row = CodeRow {
        client_id: request.client.id.clone(),
        person_id: person_id.to_owned(),
        family_id: ids::id("fam", now, &*engine.rng),
        redirect_uri: request.redirect_uri.clone(),
        scopes: request.scopes.clone(),
        audience: request.audience.clone(),
        details: granted,
        nonce: request.nonce.clone(),
        code_challenge: request.code_challenge.clone(),
        sign_in: sign_in.into(),
        created_at: now,
        expires_at: now + code::LIFETIME_MS,
        used_at: None,
        dpop_jkt: request.dpop_jkt.clone(),
    };
    let (at, pushed) = (engine.clone(), request.pushed);
    let asking = request.client.clone();
    engine
        .store
        .write(move |tx| {
            let (engine, row, chosen) = (at.clone(), row.clone(), chosen.clone());
            let client = asking.clone();
            Box::pin(async move {
                // RFC 9126 §4: a request_uri is answered once.
                if let Some((hash, _)) = pushed
                    && !tx.use_pushed(hash).await?
                {
                    return Err(OauthError::new(
                        Code::InvalidRequestUri,
                        "this request was answered already; begin again at the application",
                    ));
                }
                if !tx.client_is_active(&engine, &row.client_id).await?
                    || !tx.person_is_active(&engine, &row.person_id).await?
                {
                    return Err(OauthError::new(
                        Code::AccessDenied,
                        "this cannot be allowed any more",
                    )
                    .because("client frozen or person locked"));
                }
                consents::widen_within(tx, &row.person_id, &client, &row.scopes, &row.details)
                    .await?;
                for (account_id, access_mode) in chosen {
                    let give = Give {
                        person_id: row.person_id.clone(),
                        client_id: row.client_id.clone(),
                        account_id,
                        access_mode,
                        scopes: None,
                        calls: None,
                    };
                    give_within(tx, &engine, give).await.map_err(of_vault)?;
                }
                Ok(tx.insert_code(code_hash, &row).await?)
            })
        })
        .await?;
    request.answer(code.expose())
}

/// The person refuses. Answers where to send the browser.
///
/// # Errors
/// Storage's.
pub async fn deny(
    engine: &Engine,
    person_id: &str,
    request: &AuthorizeRequest,
) -> Result<Url, OauthError> {
    let (person, client) = (person_id.to_owned(), request.client.id.clone());
    let pushed = request.pushed;
    engine
        .store
        .write(move |tx| {
            let event = Event::new(Kind::ConsentRefused)
                .person(&person)
                .client(&client);
            Box::pin(async move {
                if let Some((hash, _)) = pushed {
                    tx.use_pushed(hash).await?;
                }
                tx.record(event);
                Ok::<_, OauthError>(())
            })
        })
        .await?;
    request.refuse(&OauthError::new(
        Code::AccessDenied,
        "the person did not allow it",
    ))
}
