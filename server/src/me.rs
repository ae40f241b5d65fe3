//! `/me/v1/connected-accounts`: linking by API, for clients of a person. The
//! members are those of Auth0's My Account API, which its SDKs speak.
//!
//! Errors are problem JSON (RFC 9457) with `status` in the body.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{delete, get, post};
use domain::oauth::{Code, OauthError, Params, RequestHead};
use domain::secret::Secret;
use domain::vault::connect::{self, ApiError, Ask, Complete};
use domain::vault::{self, Account, Connection};
use evidence::json::{Limits, parse_strict_object};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::door::{Door, empty};
use crate::oauth::{head, resource};

/// The longest body, in bytes.
const LONGEST: usize = 32 * 1024;
/// How many rows a page has unless `take` says fewer, and at most.
const TAKE: usize = 50;

/// The API; no cookies here.
pub fn routes() -> Router<Door> {
    let base = |path: &str| format!("/me/v1/connected-accounts/{path}");
    Router::new()
        .route(&base("connect"), post(ask))
        .route(&base("complete"), post(complete))
        .route(&base("accounts"), get(accounts))
        .route(&base("accounts/{id}"), delete(unlink))
        .route(&base("connections"), get(connections))
}

fn problem(status: StatusCode, kind: &str, title: &str, detail: &str) -> Response {
    with_errors(status, kind, title, detail, None)
}

fn with_errors(
    status: StatusCode,
    kind: &str,
    title: &str,
    detail: &str,
    field: Option<&str>,
) -> Response {
    let mut body = json!({
        "type": format!("urn:attorn:problem:{kind}"),
        "title": title,
        "detail": detail,
        "status": status.as_u16(),
    });
    if let Some(field) = field {
        body["validation_errors"] =
            json!([{ "detail": detail, "field": field, "pointer": format!("/{field}") }]);
    }
    answer(status, "application/problem+json", &body)
}

fn answer(status: StatusCode, media: &'static str, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn ok(status: StatusCode, body: &Value) -> Response {
    answer(status, "application/json", body)
}

/// What a refused token is told: the challenge of the resource, the body of a problem.
fn token_refused(door: &Door, presented: bool, error: &OauthError) -> Response {
    let challenged = resource::refused(door, Some("me/"), presented, error);
    let status = challenged.status();
    let title = match error.code {
        Code::InsufficientScope => "Insufficient scope",
        _ if status == StatusCode::UNAUTHORIZED => "Unauthorized",
        _ => "The request could not be carried out",
    };
    let mut response = problem(status, error.code.word(), title, &error.plain());
    for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
        for value in challenged.headers().get_all(&name) {
            response.headers_mut().append(name.clone(), value.clone());
        }
    }
    response
}

fn refused(door: &Door, head: &RequestHead, error: ApiError) -> Response {
    let bad = StatusCode::BAD_REQUEST;
    match error {
        ApiError::Token(error) => token_refused(door, head.authorization.is_some(), &error),
        ApiError::Invalid { field, words } => {
            let detail = format!("{field}: {words}");
            with_errors(
                bad,
                "invalid_request",
                "Invalid request",
                &detail,
                Some(field),
            )
        }
        ApiError::NotFound(what) => problem(
            StatusCode::NOT_FOUND,
            "not_found",
            "Not found",
            &format!("there is no such {what}"),
        ),
        error @ ApiError::BadSession => problem(
            bad,
            "invalid_session",
            "Invalid auth session",
            &error.to_string(),
        ),
        ApiError::Vault(vault::Error::Invalid(words)) => {
            problem(bad, "invalid_request", "Invalid request", &words)
        }
        ApiError::Vault(error) => {
            let wire = domain::oauth::exchange::refusal(error);
            token_refused(door, true, &wire)
        }
    }
}

/// Head and JSON body of a request.
async fn read(
    door: &Door,
    request: Request,
) -> Result<(RequestHead, Map<String, Value>), Response> {
    let (parts, body) = request.into_parts();
    let head = head(door, &parts).map_err(|error| token_refused(door, true, &error))?;
    let bad = |detail: &str| {
        problem(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "Invalid request",
            detail,
        )
    };
    let body = to_bytes(body, LONGEST)
        .await
        .map_err(|_| bad("the body is too long, or broke off"))?;
    let limits = Limits {
        bytes: LONGEST,
        ..Limits::BODY
    };
    let body = parse_strict_object(&body, limits)
        .map_err(|_| bad("the body is not a valid JSON object"))?;
    Ok((head, body))
}

/// A text member; an empty one or `null` is none.
fn text(body: &Map<String, Value>, name: &'static str) -> Result<Option<String>, ApiError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= 4096 => {
            Ok(Some(text.clone()).filter(|text| !text.is_empty()))
        }
        Some(_) => Err(ApiError::Invalid {
            field: name,
            words: "it must be text",
        }),
    }
}

fn need(body: &Map<String, Value>, name: &'static str) -> Result<String, ApiError> {
    text(body, name)?.ok_or(ApiError::Invalid {
        field: name,
        words: "it is missing",
    })
}

fn asked(body: &Map<String, Value>) -> Result<Ask, ApiError> {
    let code_challenge = text(body, "code_challenge")?;
    let method = text(body, "code_challenge_method")?;
    if code_challenge.is_some() && method.as_deref() != Some("S256") {
        return Err(ApiError::Invalid {
            field: "code_challenge_method",
            words: "it must be S256",
        });
    }
    Ok(Ask {
        connection: need(body, "connection")?,
        redirect_uri: need(body, "redirect_uri")?,
        state: text(body, "state")?,
        code_challenge,
    })
}

/// `POST …/connect`
async fn ask(State(door): State<Door>, request: Request) -> Response {
    let (head, body) = match read(&door, request).await {
        Ok(read) => read,
        Err(response) => return response,
    };
    let outcome = match asked(&body) {
        Ok(ask) => connect::ask(&door.engine, &head, ask).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(asked) => ok(
            StatusCode::CREATED,
            &json!({
                "auth_session": asked.auth_session.expose(),
                "connect_uri": asked.connect_uri,
                "connect_params": { "ticket": asked.ticket.expose() },
                "expires_in": asked.expires_in,
            }),
        ),
        Err(error) => refused(&door, &head, error),
    }
}

fn completing(body: &Map<String, Value>) -> Result<Complete, ApiError> {
    Ok(Complete {
        auth_session: Secret::new(need(body, "auth_session")?),
        connect_code: Secret::new(need(body, "connect_code")?),
        redirect_uri: need(body, "redirect_uri")?,
        code_verifier: text(body, "code_verifier")?.map(Secret::new),
    })
}

/// `POST …/complete`
async fn complete(State(door): State<Door>, request: Request) -> Response {
    let (head, body) = match read(&door, request).await {
        Ok(read) => read,
        Err(response) => return response,
    };
    let outcome = match completing(&body) {
        Ok(ask) => connect::complete(&door.engine, &head, ask).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(account) => ok(StatusCode::CREATED, &shown(&account)),
        Err(error) => refused(&door, &head, error),
    }
}

fn iso(at: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

fn shown(account: &Account) -> Value {
    json!({
        "id": account.id,
        "connection": account.connection,
        "access_type": "offline",
        "scopes": account.scopes,
        "created_at": iso(account.created_at),
    })
}

fn offered(connection: &Connection) -> Value {
    json!({
        "name": connection.id,
        "strategy": connection.provider,
        "scopes": connection.scopes,
    })
}

/// Where a page of a list begins: `from`, as Auth0 documents it; its Next.js
/// library sends `next`, as the answer calls it.
fn cursor(params: &Params) -> Option<&str> {
    params.get("from").or_else(|| params.get("next"))
}

/// The parameters of a list.
fn listing(query: Option<String>) -> Result<(Params, usize), ApiError> {
    let params =
        Params::form(query.unwrap_or_default().as_bytes()).map_err(|_| ApiError::Invalid {
            field: "query",
            words: "a parameter occurs twice or is malformed",
        })?;
    let take = match params.get("take") {
        None => TAKE,
        Some(take) => take
            .parse::<usize>()
            .ok()
            .filter(|take| (1..=TAKE).contains(take))
            .ok_or(ApiError::Invalid {
                field: "take",
                words: "it is a number from 1 to 50",
            })?,
    };
    Ok((params, take))
}

fn list(name: &str, rows: Vec<Value>, next: Option<String>) -> Response {
    let mut body = json!({ name: rows });
    if let Some(next) = next {
        body["next"] = next.into();
    }
    ok(StatusCode::OK, &body)
}

/// `GET …/accounts`
async fn accounts(
    State(door): State<Door>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let head = match head(&door, &request.into_parts().0) {
        Ok(head) => head,
        Err(error) => return token_refused(&door, true, &error),
    };
    let outcome = match listing(query) {
        Ok((params, take)) => {
            let (connection, from) = (params.get("connection"), cursor(&params));
            connect::list(&door.engine, &head, connection, from, take).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok((rows, next)) => list("accounts", rows.iter().map(shown).collect(), next),
        Err(error) => refused(&door, &head, error),
    }
}

/// `GET …/connections`
async fn connections(
    State(door): State<Door>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let head = match head(&door, &request.into_parts().0) {
        Ok(head) => head,
        Err(error) => return token_refused(&door, true, &error),
    };
    let outcome = match listing(query) {
        Ok((params, take)) => {
            connect::list_connections(&door.engine, &head, cursor(&params), take).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok((rows, next)) => list("connections", rows.iter().map(offered).collect(), next),
        Err(error) => refused(&door, &head, error),
    }
}

/// `DELETE …/accounts/{id}`
async fn unlink(State(door): State<Door>, Path(id): Path<String>, request: Request) -> Response {
    let head = match head(&door, &request.into_parts().0) {
        Ok(head) => head,
        Err(error) => return token_refused(&door, true, &error),
    };
    match connect::unlink(&door.engine, &head, &id).await {
        Ok(()) => empty(StatusCode::NO_CONTENT),
        Err(error) => refused(&door, &head, error),
    }
}
