//! A call that the person has permitted this client: it passes through.

use bytes::Bytes;
use http::StatusCode;

use super::connections;
use super::providers::{AnswerShape, Provider};
use super::proxy::{
    Call, Error, LOOKED_AT, ProxyAnswer, ProxyRequest, REPEATED, answered, event, held, open,
    reconnect, record,
};
use super::refresh::fresh_after;
use super::{FreshToken, TokenKind, accounts, headers, pages, permissions, verdict};
use crate::Engine;
use crate::approval::{AgentCall, policies, types};
use crate::audit::Kind;
use crate::oauth::Presented;
use crate::outbound::{self, Answer, Body, Chunks, Opened};

/// An answer as far as it is known when the call goes on record.
struct Begun {
    /// Its head, and what of its body was looked into.
    answer: Answer,
    /// The rest of the body, which passes through.
    rest: Option<Chunks>,
}

/// An ordinary call: what the person has permitted this client.
pub(super) async fn call(
    engine: &Engine,
    presented: &Presented,
    person: &str,
    request: ProxyRequest<Body>,
) -> Result<ProxyAnswer<Body>, Error> {
    let account = accounts::pick(engine, person, &request.connection, None).await?;
    let stored = connections::need(engine, &account.connection).await?;
    let call = Call {
        account,
        stored,
        host: request.host,
        method: request.method,
        path_and_query: request.path_and_query,
        headers: headers::passed(&request.headers),
    }
    .checked()?;
    let permission = permissions::find(engine, &presented.client_id, &call.account.id).await?;
    let permitted = permission.is_some_and(|permission| {
        permission.person_id == person && permission.allows_call(call.method.as_str(), &call.path())
    });
    if !permitted {
        record_refusal(engine, presented, &call, "permission").await?;
        return Err(Error::Vault(super::Error::PermissionRequired {
            link: pages::permit(engine, &call.account.connection, &presented.client_id),
            connection: call.account.connection,
            account_id: call.account.id,
        }));
    }
    let policies = policies::in_force(engine).await?;
    let covering = policies.covering(
        &presented.client_id,
        &call.account.connection,
        call.method.as_str(),
        &call.path_and_query,
        call.host.is_some(),
    );
    if let Some(policy) = covering {
        record_refusal(engine, presented, &call, "approval_required").await?;
        let body = held(request.body, LOOKED_AT).await.ok();
        return Err(Error::ApprovalRequired {
            policy: policy.name.clone(),
            details: body.and_then(|body| wanted(&call, &body)),
        });
    }
    let body = match request.body.length() {
        Some(length) if length <= REPEATED => {
            let limit = usize::try_from(REPEATED).unwrap_or(usize::MAX);
            held(request.body, limit).await?.into()
        }
        _ => request.body,
    };
    // From here on a task of its own: what is sent goes on record, whether or
    // not the caller stays.
    let (engine, presented) = (engine.clone(), presented.clone());
    let sending = tokio::spawn(async move { sent(&engine, &presented, call, body).await });
    sending.await.unwrap_or(Err(Error::Unknown))
}

/// What the agent has to ask for instead.
fn wanted(call: &Call, body: &Bytes) -> Option<serde_json::Value> {
    let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = call.headers.iter();
    let asked = AgentCall {
        connection: call.account.connection.clone(),
        host: call.host.clone(),
        method: call.method.as_str().to_owned(),
        path_and_query: call.path_and_query.clone(),
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect(),
        body: body.to_vec(),
    };
    types::details_for(&asked, &call.stored.connection.provider)
}

async fn sent(
    engine: &Engine,
    presented: &Presented,
    call: Call,
    body: Body,
) -> Result<ProxyAnswer<Body>, Error> {
    let again = match &body {
        Body::Whole(bytes) => Some(bytes.clone()),
        Body::Passing { .. } => None,
    };
    let (mut token, epoch) = fresh_after(engine, &call.account.id, TokenKind::User, None).await?;
    let mut sent = begun(engine, &call, &token, body).await;
    // Once more with a new token, where the provider says that a 401 was not carried out.
    if matches!(&sent, Ok(begun) if begun.answer.status == StatusCode::UNAUTHORIZED)
        && call.stored.entry.unauthorized_means_not_executed
    {
        match fresh_after(engine, &call.account.id, TokenKind::User, Some(epoch)).await {
            Ok((fresher, _)) => {
                // A body that has passed is gone: its agent sends it again.
                if let Some(body) = again {
                    token = fresher;
                    sent = begun(engine, &call, &token, body.into()).await;
                }
            }
            Err(error @ super::Error::Reconnect { .. }) => {
                let (sent, _) = apart(sent);
                record(engine, presented, &call, &sent, false).await?;
                return Err(error.into());
            }
            // The provider's own 401 is the better answer.
            Err(error) => tracing::info!(%error, "no fresher token after a 401"),
        }
    }
    let (sent, rest) = apart(sent);
    let ended = verdict::has_ended(&call.stored.entry, &sent);
    record(engine, presented, &call, &sent, ended).await?;
    if ended {
        return Err(reconnect(engine, &call));
    }
    let answer = sent?;
    let (headers, scrubber) = answered(&call, &token, &answer.headers)?;
    Ok(ProxyAnswer {
        status: answer.status,
        headers,
        body: match rest {
            None => scrubber.body(answer.body).into(),
            Some(rest) => Body::Passing {
                chunks: scrubber.passing(answer.body, rest),
                length: None,
            },
        },
    })
}

fn apart(sent: Result<Begun, Error>) -> (Result<Answer, Error>, Option<Chunks>) {
    match sent {
        Ok(begun) => (Ok(begun.answer), begun.rest),
        Err(error) => (Err(error), None),
    }
}

/// Sends the call and looks into its answer: what is short is read to its end,
/// what is long or comes slowly passes at once.
async fn begun(
    engine: &Engine,
    call: &Call,
    token: &FreshToken,
    body: Body,
) -> Result<Begun, Error> {
    let mut opened = open(engine, call, token, body).await?;
    let (body, is_all) = if is_looked_into(&call.stored.entry, &opened) {
        let begun = outbound::begin(&mut opened.chunks, verdict::LOOKED_INTO).await;
        begun.map_err(|why| {
            let connection = &call.account.connection;
            tracing::info!(%why, connection, "an answer was lost");
            Error::Unknown
        })?
    } else {
        (Bytes::new(), false)
    };
    Ok(Begun {
        answer: Answer {
            status: opened.status,
            headers: opened.headers,
            body,
        },
        rest: (!is_all).then_some(opened.chunks),
    })
}

/// Whether the body is read as far as [`verdict`] looks, before anything
/// leaves: where it is short, so that one that breaks off is told as such, and
/// where it may say that it failed although its status is 200.
fn is_looked_into(entry: &Provider, opened: &Opened) -> bool {
    let most = u64::try_from(verdict::LOOKED_INTO).unwrap_or(u64::MAX);
    let is_json = || {
        let media = opened.headers.get(http::header::CONTENT_TYPE);
        media.is_some_and(|media| media.as_bytes().starts_with(b"application/json"))
    };
    match opened.length {
        Some(length) => length <= most || entry.answer == AnswerShape::Slack && is_json(),
        None => is_json(),
    }
}

async fn record_refusal(
    engine: &Engine,
    presented: &Presented,
    call: &Call,
    reason: &'static str,
) -> Result<(), Error> {
    let facts = (
        presented.clone(),
        call.account.clone(),
        call.method.clone(),
        call.path(),
    );
    engine
        .store
        .write(move |tx| {
            let (presented, account, method, path) = facts.clone();
            Box::pin(async move {
                tx.record(
                    event(Kind::CallRefused, &presented, &account, &method, path)
                        .data("reason", reason),
                );
                Ok::<_, Error>(())
            })
        })
        .await
}
