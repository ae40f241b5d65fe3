//! The one call of an approval through the proxy: the approved bytes, not the agent's.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::connections::{self, Stored};
use super::permissions::{self, PermissionState};
use super::proxy::{Call, Error, ProxyAnswer, ProxyRequest, answered, reconnect, record, send};
use super::refresh::fresh_after;
use super::{Account, TokenKind, accounts, headers, pages, verdict};
use crate::Engine;
use crate::approval::{self, AgentCall, CallError, ExactCall};
use crate::oauth::Presented;

/// The one call of an approval: its bytes, not the agent's.
pub(super) async fn call(
    engine: &Engine,
    presented: &Presented,
    person: &str,
    approval_id: &str,
    request: ProxyRequest,
) -> Result<ProxyAnswer, Error> {
    let nothing = || Error::Approval("there is no approved call for this token".to_owned());
    let approved = approval::get(engine, person, approval_id)
        .await?
        .and_then(|approval| approval.call)
        .ok_or_else(nothing)?;
    // All that can fail without sending comes first: the approval serves once.
    let account = accounts::get(engine, person, &approved.account_id).await?;
    let stored = connections::need(engine, &account.connection).await?;
    // Taken back since the decision: then the agent has no business there.
    let permission = permissions::find(engine, &presented.client_id, &account.id).await?;
    if permission
        .is_none_or(|given| given.person_id != person || given.state != PermissionState::Active)
    {
        return Err(Error::Vault(super::Error::PermissionRequired {
            link: pages::permit(engine, &account.connection, &presented.client_id),
            connection: account.connection,
            account_id: account.id,
        }));
    }
    let (token, _) = fresh_after(engine, &account.id, TokenKind::User, None).await?;
    exact(&approved, account.clone(), stored.clone())?.url(&token)?;
    let asked = AgentCall {
        connection: request.connection,
        host: request.host,
        method: request.method.as_str().to_owned(),
        path_and_query: request.path_and_query,
        headers: request
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        body: request.body.to_vec(),
    };
    // From here on a task of its own: the call is noted and made once, whether
    // or not the caller stays.
    let (engine, presented) = (engine.clone(), presented.clone());
    let (approval_id, person) = (approval_id.to_owned(), person.to_owned());
    let sending = tokio::spawn(async move {
        let approved =
            approval::consume_call(&engine, &approval_id, &presented.client_id, &person, asked)
                .await
                .map_err(|error| match error {
                    CallError::Storage(error) => error.into(),
                    other => Error::Approval(other.to_string()),
                })?;
        let call = exact(&approved, account, stored)?;
        let sent = send(&engine, &call, &token, approved.body.clone().into()).await;
        approval::call_ended(
            &engine,
            &approval_id,
            verdict::of(&call.stored.entry, &sent),
        )
        .await?;
        let ended = verdict::has_ended(&call.stored.entry, &sent);
        record(&engine, &presented, &call, &sent, ended).await?;
        if ended {
            return Err(reconnect(&engine, &call));
        }
        let answer = sent?;
        let (headers, scrubber) = answered(&call, &token, &answer.headers)?;
        Ok(ProxyAnswer {
            status: answer.status,
            headers,
            body: scrubber.body(answer.body),
        })
    });
    sending.await.unwrap_or(Err(Error::Unknown))
}

/// The approved call, ready to be sent.
fn exact(approved: &ExactCall, account: Account, stored: Stored) -> Result<Call, Error> {
    let broken = || Error::Approval("the approved call cannot be sent".to_owned());
    if account.connection != approved.connection {
        return Err(broken());
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &approved.headers {
        let name = HeaderName::try_from(name).map_err(|_| broken())?;
        headers.append(name, HeaderValue::try_from(value).map_err(|_| broken())?);
    }
    Call {
        account,
        stored,
        host: approved.host.clone(),
        method: Method::from_bytes(approved.method.as_bytes()).map_err(|_| broken())?,
        path_and_query: approved.path_and_query.clone(),
        headers: headers::passed(&headers),
    }
    .checked()
}
