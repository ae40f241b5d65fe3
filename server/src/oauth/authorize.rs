//! `GET /authorize` and the consent page's answer.

use app::context::{ConsentAccount, ConsentView, FormState};
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use domain::oauth::authorize::{check, check_from};
use domain::oauth::{self, AuthorizeError, AuthorizeRequest, Code, OauthError, Params, Source};
use domain::vault::AccessMode;
use url::Url;

use crate::door::Door;
use crate::forms::Posted;
use crate::forms::sign_in::sentence;
use crate::pages::{Extras, render};
use crate::session::{SignedIn, to_sign_in};

/// Puts a checked request before the person, or answers the client at once
/// where nothing needs to be asked.
pub async fn ask(
    State(door): State<Door>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let query = query.unwrap_or_default();
    let params = match Params::query(query.as_bytes()) {
        Ok(params) => params,
        Err(error) => return page_error(&door, request, &error).await,
    };
    let signed_in = request.extensions().get::<SignedIn>().cloned();
    let network = super::network(request.extensions());
    let asked = match check_from(&door.engine, &params, &network).await {
        Ok(asked) => asked,
        Err(AuthorizeError::ShowPage(error)) => return page_error(&door, request, &error).await,
        Err(AuthorizeError::Redirect { unproven: true, .. }) if signed_in.is_none() => {
            // The very request: what is wrong with it is told afterwards.
            return to_sign_in(&format!("/authorize?{query}"), None);
        }
        Err(AuthorizeError::Redirect { to, .. }) => return go(&to),
    };
    let auth_time = signed_in.as_ref().map(|signed_in| signed_in.sign_in.at);
    let signed_in = match signed_in {
        Some(signed_in) if !asked.needs_sign_in(auth_time, door.engine.now()) => signed_in,
        _ if asked.prompt.none => {
            return refuse(&asked, Code::LoginRequired, "the person must sign in");
        }
        _ => return sign_in_first(&asked, &params),
    };
    let person = &signed_in.person.id;
    if !asked.may_be_about(person) {
        return refuse(&asked, Code::LoginRequired, "somebody else is signed in");
    }
    let needed = match oauth::consent_needed(&door.engine, person, &asked).await {
        Ok(needed) => needed,
        Err(error) => return page_error(&door, request, &error).await,
    };
    if !needed {
        return match oauth::allow(&door.engine, person, signed_in.sign_in, &asked, Vec::new()).await
        {
            Ok(to) => go(&to),
            Err(error) => page_error(&door, request, &error).await,
        };
    }
    if asked.prompt.none {
        return refuse(&asked, Code::ConsentRequired, "the person must be asked");
    }
    let consent = match view(&door, person, &asked, &params).await {
        Ok(view) => view,
        Err(error) => return page_error(&door, request, &error).await,
    };
    let form_action = origin(&asked.redirect_uri).into_iter().collect();
    render(
        &door,
        request,
        Extras {
            consent: Some(consent),
            form_action,
            ..Extras::default()
        },
    )
    .await
}

/// `POST /authorize`: a client may send the browser with a post as well
/// (OpenID Connect Core §3.1.2.1). It comes from another site, so the browser
/// sends no session with it: it is led on to the page, and comes with one.
pub async fn by_post(State(door): State<Door>, request: Request) -> Response {
    match super::led_on(request, "/authorize").await {
        Ok(response) => response,
        Err((request, error)) => page_error(&door, request, &error).await,
    }
}

/// `POST /authorize/decision`: `decision` is `allow` or `deny`, `account` the ticked
/// accounts, and the original parameters again, judged anew.
pub async fn decide(State(door): State<Door>, signed_in: SignedIn, posted: Posted) -> Response {
    let params = match Params::new(posted.others(&["decision", "account"])) {
        Ok(params) => params,
        Err(error) => return posted_error(&door, &posted, &error).await,
    };
    let asked = match check(&door.engine, &params).await {
        Ok(asked) => asked,
        Err(AuthorizeError::ShowPage(error)) => return posted_error(&door, &posted, &error).await,
        Err(AuthorizeError::Redirect { to, .. }) => return go(&to),
    };
    let person = &signed_in.person.id;
    if asked.needs_sign_in(Some(signed_in.sign_in.at), door.engine.now()) {
        return sign_in_first(&asked, &params);
    }
    if !asked.may_be_about(person) {
        return refuse(&asked, Code::LoginRequired, "somebody else is signed in");
    }
    let outcome = match posted.get("decision") {
        "allow" => {
            let chosen = match chosen(&door, person, &asked, posted.all("account")).await {
                Ok(chosen) => chosen,
                Err(error) => return posted_error(&door, &posted, &error).await,
            };
            oauth::allow(&door.engine, person, signed_in.sign_in, &asked, chosen).await
        }
        "deny" => oauth::deny(&door.engine, person, &asked).await,
        _ => Err(OauthError::request("choose Allow or Deny")),
    };
    match outcome {
        Ok(to) => go(&to),
        Err(error) => posted_error(&door, &posted, &error).await,
    }
}

fn sign_in_first(asked: &AuthorizeRequest, params: &Params) -> Response {
    let back = format!("/authorize?{}", asked.query_after_sign_in(params));
    to_sign_in(&back, asked.login_hint.as_deref())
}

/// The mode of each ticked account is the one that was asked for.
async fn chosen<'a>(
    door: &Door,
    person: &str,
    asked: &AuthorizeRequest,
    ticked: impl Iterator<Item = &'a str>,
) -> Result<Vec<(String, AccessMode)>, OauthError> {
    let offered = oauth::offered(&door.engine, person, asked).await?;
    let mut chosen = Vec::new();
    for id in ticked {
        let mode = offered
            .iter()
            .find(|offer| offer.accounts.iter().any(|account| account.id == id))
            .map(|offer| offer.mode)
            .ok_or_else(|| OauthError::request("that account was not asked for"))?;
        chosen.push((id.to_owned(), mode));
    }
    Ok(chosen)
}

async fn view(
    door: &Door,
    person: &str,
    asked: &AuthorizeRequest,
    params: &Params,
) -> Result<ConsentView, OauthError> {
    let offered = oauth::offered(&door.engine, person, asked).await?;
    let accounts = offered
        .iter()
        .flat_map(|offer| {
            offer.accounts.iter().map(|account| ConsentAccount {
                id: account.id.clone(),
                label: account.label.clone(),
                provider: account.provider.clone(),
                mode: match offer.mode {
                    AccessMode::Call => "call".to_owned(),
                    AccessMode::Release => "release".to_owned(),
                },
                // The raw token is never handed out by a box nobody looked at.
                checked: offer.mode == AccessMode::Call && account.is_default,
            })
        })
        .collect();
    Ok(ConsentView {
        client_name: asked.client.name.clone(),
        client_id: asked.client.id.clone(),
        verified: asked.client.source != Source::Registration,
        scopes: asked.scopes.clone(),
        audiences: asked.client.audiences.clone(),
        accounts,
        params: params
            .pairs()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        returns_to: Url::parse(&asked.redirect_uri)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned))
            .unwrap_or_default(),
    })
}

fn refuse(asked: &AuthorizeRequest, code: Code, words: &str) -> Response {
    match asked.refuse(&OauthError::new(code, words)) {
        Ok(to) => go(&to),
        Err(error) => super::refusal(&error),
    }
}

/// 303: a post must not be posted again at the client (RFC 9700 §4.12).
fn go(to: &Url) -> Response {
    Redirect::to(to.as_str()).into_response()
}

/// Where the answer to this query of `/authorize` would lead, for `form-action`:
/// a person who signs in first may be sent on to the client at once.
pub async fn target_of(door: &Door, query: &str) -> Option<String> {
    let params = Params::form(query.as_bytes()).ok()?;
    match check(&door.engine, &params).await {
        Ok(asked) => origin(&asked.redirect_uri),
        Err(AuthorizeError::Redirect { to, .. }) => origin(to.as_str()),
        Err(AuthorizeError::ShowPage(_)) => None,
    }
}

/// The origin for `form-action`; a scheme of its own (`myapp:`) as such.
#[must_use]
pub fn origin(redirect_uri: &str) -> Option<String> {
    let url = Url::parse(redirect_uri).ok()?;
    let origin = url.origin();
    Some(if origin.is_tuple() {
        origin.ascii_serialization()
    } else {
        format!("{}:", url.scheme())
    })
}

fn error_extras(error: &OauthError) -> Extras {
    if let Some(cause) = &error.cause {
        tracing::info!(
            code = error.code.word(),
            cause,
            "an authorization request was refused"
        );
    }
    let form = FormState {
        errors: vec![(
            String::new(),
            format!("{} ({})", sentence(&error.description), error.code.word()),
        )],
        status: StatusCode::from_u16(error.status).map_or(400, |status| status.as_u16()),
        ..FormState::default()
    };
    Extras {
        form,
        ..Extras::default()
    }
}

/// Nobody has to sign in to read what is wrong with a client's link.
async fn page_error(door: &Door, request: Request, error: &OauthError) -> Response {
    render(door, request, error_extras(error)).await
}

async fn posted_error(door: &Door, posted: &Posted, error: &OauthError) -> Response {
    posted.page(door, "/authorize", error_extras(error)).await
}
