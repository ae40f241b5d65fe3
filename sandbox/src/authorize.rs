//! The authorization endpoint (RFC 6749 §4.1.1), common to the three lookalikes.
//!
//! GET shows the consent page; POST with `email=` plays that person's click, with `deny=` a refusal.
//! A client or redirect URI that is not registered gets an error page and never a redirect.

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::config::{Client, Provider};
use crate::faults::{Fault, Struck};
use crate::pages;
use crate::store::{CODE_LIFETIME_MS, Code, Shared, TokenKind};
use crate::wire::{Ask, Params};

/// A request that passed every check.
struct Request {
    faults: Struck,
    /// The issuer that answers carry (RFC 9207 §2), at Google.
    issuer: Option<String>,
    client: Client,
    redirect_uri: String,
    scopes: Vec<String>,
    /// Slack's second list; empty elsewhere.
    user_scopes: Vec<String>,
    params: Params,
}

impl Request {
    /// Sends the browser back with the given answer and the request's `state`.
    fn back(&self, answer: &[(&str, &str)]) -> Response {
        let Ok(mut url) = url::Url::parse(&self.redirect_uri) else {
            return problem(self.client.provider, "the redirect URI is not a URL");
        };
        let state = match self.params.get("state") {
            _ if self.faults.has(Fault::NoState) => None,
            Some(_) if self.faults.has(Fault::WrongState) => {
                Some(("state", "somebody-elses-state"))
            }
            state => state.map(|state| ("state", state)),
        };
        let issuer = if self.faults.has(Fault::WrongIss) {
            Some("https://somebody-else.example")
        } else if self.faults.has(Fault::NoIss) {
            None
        } else {
            self.issuer.as_deref()
        };
        let issuer = issuer.map(|issuer| ("iss", issuer));
        url.query_pairs_mut()
            .extend_pairs(answer.iter().copied().chain(state).chain(issuer));
        (StatusCode::FOUND, [(header::LOCATION, url.to_string())]).into_response()
    }
}

/// Serves both GET and POST of a provider's authorization endpoint.
pub(crate) async fn endpoint(provider: Provider, inner: Shared, ask: Ask) -> Response {
    let mut params = ask.query.clone();
    let form = ask.form();
    params.0.extend(form.0.clone());
    let request = match checked(provider, &inner, params, ask.faults.clone()) {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    if ask.method != axum::http::Method::POST {
        let scopes = [request.scopes.as_slice(), &request.user_scopes].concat();
        let page = pages::consent(
            provider,
            &request.client.name,
            &scopes,
            &inner.people,
            &ask.target,
        );
        return Html(page).into_response();
    }
    let refusal = [
        (Fault::ConsentDenied, "access_denied"),
        (Fault::ConsentServerError, "server_error"),
        (Fault::ConsentUnavailable, "temporarily_unavailable"),
        (Fault::ConsentRequired, "consent_required"),
    ]
    .into_iter()
    .find(|(fault, _)| request.faults.has(*fault))
    .map(|(_, error)| error);
    if let Some(error) = refusal.or(form.get("deny").map(|_| "access_denied")) {
        return request.back(&[("error", error)]);
    }
    if request.faults.has(Fault::NoCode) {
        return request.back(&[]);
    }
    let Some(person) = form.get("email").and_then(|email| inner.person(email)) else {
        return problem(provider, "nobody here has that address");
    };
    let code = inner.token(match provider {
        Provider::Slack => "slack-code-",
        Provider::Google => "4/0",
        Provider::Salesforce => "aPrx",
    });
    agree(&inner, &request, person, &code);
    match provider {
        Provider::Google => request.back(&[("code", &code), ("scope", &request.scopes.join(" "))]),
        _ => request.back(&[("code", &code)]),
    }
}

/// The checks, in order: client, redirect URI (both before any redirect), response type, PKCE, scopes.
fn checked(
    provider: Provider,
    inner: &Shared,
    params: Params,
    faults: Struck,
) -> Result<Request, Response> {
    let client = params
        .get("client_id")
        .and_then(|id| inner.state().client(provider, id).cloned());
    let Some(client) = client else {
        return Err(problem(
            provider,
            "no app is registered under that client id",
        ));
    };
    let redirect_uri = params.get("redirect_uri").unwrap_or_default().to_owned();
    if !client.redirect_uris.contains(&redirect_uri) {
        return Err(problem(
            provider,
            "that redirect URI is not registered for this app",
        ));
    }
    let separators: &[char] = if provider == Provider::Slack {
        &[',', ' ']
    } else {
        &[' ']
    };
    let split = |name: &str| -> Vec<String> {
        let mut scopes: Vec<String> = Vec::new();
        for scope in params.get(name).unwrap_or_default().split(separators) {
            let scope = if provider == Provider::Google {
                google_name(scope)
            } else {
                scope
            };
            if !scope.is_empty() && !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_owned());
            }
        }
        scopes
    };
    let user_scopes = if provider == Provider::Slack {
        split("user_scope")
    } else {
        Vec::new()
    };
    let request = Request {
        faults,
        issuer: (provider == Provider::Google).then(|| inner.base(provider)),
        client,
        redirect_uri,
        scopes: split("scope"),
        user_scopes,
        params: params.clone(),
    };
    let refuse = |error, why| request.back(&[("error", error), ("error_description", why)]);

    let response_type = params.get("response_type");
    // Slack documents no response_type and reads none.
    if provider != Provider::Slack && response_type != Some("code") {
        return Err(refuse(
            "unsupported_response_type",
            "response_type must be code",
        ));
    }
    match (
        params.get("code_challenge"),
        params.get("code_challenge_method"),
    ) {
        (Some(_), Some("S256")) => {}
        (Some(_), _) => {
            return Err(refuse(
                "invalid_request",
                "code_challenge_method must be S256",
            ));
        }
        (None, _) if provider == Provider::Slack => {}
        (None, _) => return Err(refuse("invalid_request", "code_challenge is missing")),
    }
    if request.scopes.is_empty()
        && request.user_scopes.is_empty()
        && provider != Provider::Salesforce
    {
        return Err(refuse("invalid_scope", "no scope was asked for"));
    }
    Ok(request)
}

/// Google answers the short names by their long ones.
fn google_name(scope: &str) -> &str {
    match scope {
        "email" => "https://www.googleapis.com/auth/userinfo.email",
        "profile" => "https://www.googleapis.com/auth/userinfo.profile",
        other => other,
    }
}

fn agree(inner: &Shared, request: &Request, person: usize, code: &str) {
    let provider = request.client.provider;
    let params = &request.params;
    let mut scopes = request.scopes.clone();
    if provider == Provider::Salesforce && scopes.is_empty() {
        // A connected app without a scope parameter gets what it is registered for.
        scopes = ["api", "id", "refresh_token"].map(String::from).to_vec();
    }
    let mut state = inner.state();
    let key = (provider, person, request.client.client_id.clone());
    let earlier = state.consents.get(&key).cloned();
    let wants_refresh = match provider {
        // Whether Slack rotates is decided when the code is exchanged.
        Provider::Slack => true,
        // Offline access, and the person sees the consent page: the first time, or when told to.
        Provider::Google => {
            let asked_again = params
                .get("prompt")
                .is_some_and(|p| p.split(' ').any(|p| p == "consent"));
            params.get("access_type") == Some("offline") && (earlier.is_none() || asked_again)
        }
        Provider::Salesforce => scopes
            .iter()
            .any(|s| s == "refresh_token" || s == "offline_access"),
    };
    if params.get("include_granted_scopes") == Some("true") {
        for scope in earlier.iter().flatten() {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
    }
    let mut allowed = earlier.unwrap_or_default();
    allowed.extend(
        scopes
            .iter()
            .filter(|scope| !allowed.contains(scope))
            .cloned()
            .collect::<Vec<_>>(),
    );
    state.consents.insert(key, allowed);
    state.note(provider, TokenKind::Code, person, code);
    let stored = Code {
        client_id: request.client.client_id.clone(),
        redirect_uri: request.redirect_uri.clone(),
        person,
        scopes,
        user_scopes: request.user_scopes.clone(),
        challenge: params.get("code_challenge").map(str::to_owned),
        nonce: params.get("nonce").map(str::to_owned),
        wants_refresh,
        expires_at: if request.faults.has(Fault::CodeExpired) {
            inner.now()
        } else {
            inner.now() + CODE_LIFETIME_MS
        },
        used: request.faults.has(Fault::CodeUsed),
    };
    state.codes.insert((provider, code.to_owned()), stored);
}

fn problem(provider: Provider, why: &str) -> Response {
    (StatusCode::BAD_REQUEST, Html(pages::problem(provider, why))).into_response()
}
