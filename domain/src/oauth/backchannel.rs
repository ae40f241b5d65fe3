//! A request for an approval at `/bc-authorize` (CIBA Core 1.0 §7), read from
//! the wire. What is decided about it is [`crate::approval`]'s.

use serde_json::{Value, json};

use super::authenticate::client_of;
use super::clients::{Client, ClientKind, Delivery, GrantType};
use super::error::{Code, OauthError};
use super::params::Params;
use super::person_hint;
use super::request_head::RequestHead;
use crate::Engine;
use crate::approval::{self, Ask, AskError, Asked, DecideError, PersonHint, Shows, State};
use crate::secret::Secret;

impl From<AskError> for OauthError {
    fn from(error: AskError) -> Self {
        let (word, status) = error.code();
        let (reason, link) = (error.reason(), error.link().map(str::to_owned));
        let words = error.to_string();
        let retry_after_s = error.retry_after_s();
        match error {
            AskError::Storage(error) => return error.into(),
            AskError::Keys(error) => return error.into(),
            _ => {}
        }
        let code = Code::ALL
            .iter()
            .copied()
            .find(|code| code.word() == word)
            .unwrap_or(Code::ServerError);
        let mut wire = Self::new(code, words);
        wire.status = status;
        wire.retry_after_s = retry_after_s;
        if let Some(reason) = reason {
            wire = wire.with("reason", reason);
        }
        if let Some(link) = link {
            wire = wire.with("link", link);
        }
        wire
    }
}

/// Reads what a client asks of this person. Parameters that are not named here
/// are not read: none of them can change the subject or the token.
fn parse(params: &Params, person: PersonHint) -> Result<Ask, OauthError> {
    if params.get("request").is_some() {
        return Err(OauthError::new(
            Code::RequestNotSupported,
            "signed requests are not supported",
        ));
    }
    let requested_expiry_s = params
        .get("requested_expiry")
        .map(|text| {
            text.parse::<i64>()
                .map_err(|_| OauthError::request("requested_expiry must be a whole number"))
        })
        .transpose()?;
    let details = params
        .get("authorization_details")
        .map(|text| {
            approval::types::from_text(text)
                .map_err(|words| OauthError::new(Code::InvalidAuthorizationDetails, words))
        })
        .transpose()?;
    Ok(Ask {
        person,
        scopes: params.scopes()?.unwrap_or_default(),
        audience: params.target()?.map(str::to_owned),
        binding_message: params.get("binding_message").map(str::to_owned),
        details,
        requested_expiry_s,
        run_id: None,
    })
}

/// Asks for an authenticated client.
///
/// # Errors
/// The wire error.
pub async fn begin(engine: &Engine, client: &Client, params: &Params) -> Result<Asked, OauthError> {
    if !client.may(GrantType::Ciba) {
        return Err(OauthError::new(
            Code::UnauthorizedClient,
            "this client is not registered for asking approvals",
        ));
    }
    let person = person_hint::read(engine, client, params).await?;
    let shows = Shows {
        notification_token: params.get("client_notification_token").map(Secret::from),
        user_code: params.get("user_code").map(Secret::from),
    };
    let ask = parse(params, person)?;
    Ok(approval::ask_showing(engine, client, ask, &shows).await?)
}

/// Takes a request back at `/bc-authorize/cancel`, which CIBA does not know:
/// an agent that needs an answer no longer spares the person the question. The
/// client authenticates as it did when it asked, and names the request by
/// `auth_req_id`. Answers `{"state":…}`; a request that has ended without an
/// approval is no error, as in RFC 7009 §2.2: the purpose is reached.
///
/// # Errors
/// `invalid_grant` for an unknown request, another client's, or one that was
/// approved before: the latter has the `reason` `approved` or `consumed`.
pub async fn cancel(
    engine: &Engine,
    head: &RequestHead,
    params: &Params,
) -> Result<Value, OauthError> {
    let client = client_of(engine, head, params).await?;
    if client.kind == ClientKind::Public {
        return Err(OauthError::new(
            Code::InvalidClient,
            "client authentication is missing",
        ));
    }
    let id = params.need("auth_req_id")?;
    let state = match approval::cancel_by_auth_req(engine, &client.id, id).await {
        Ok(approval) => approval.state,
        Err(DecideError::Expired) => State::Expired,
        Err(DecideError::AlreadyDecided { state }) => state,
        Err(DecideError::Storage(error)) => return Err(error.into()),
        Err(_) => return Err(OauthError::grant("the auth_req_id is not valid")),
    };
    if matches!(state, State::Approved | State::Consumed) {
        return Err(
            OauthError::grant("the request was approved before").with("reason", state.word())
        );
    }
    Ok(json!({ "state": state.word() }))
}

/// The whole endpoint: authenticates, reads, asks. Answers the JSON body.
///
/// # Errors
/// The wire error.
pub async fn answer(
    engine: &Engine,
    head: &RequestHead,
    params: &Params,
) -> Result<Secret<String>, OauthError> {
    let client = client_of(engine, head, params).await?;
    // CIBA asks for a client that can be authenticated (§7.1).
    if client.kind == ClientKind::Public {
        return Err(OauthError::new(
            Code::InvalidClient,
            "client authentication is missing",
        ));
    }
    let asked = begin(engine, &client, params).await?;
    let mut body = json!({
        "auth_req_id": asked.auth_req_id.expose(),
        "expires_in": asked.expires_in_s,
    });
    if let Some(number) = &asked.matching_number {
        body["matching_number"] = number.as_str().into();
    }
    // Who is pushed its tokens never asks (CIBA Core §7.3).
    if client.metadata.backchannel_token_delivery_mode != Delivery::Push {
        body["interval"] = asked.interval_s.into();
    }
    Ok(Secret::new(body.to_string()))
}
