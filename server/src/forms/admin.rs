//! Admin forms. A person who is no admin meets 403 everywhere here, as on the pages.

use app::context::FreshSecret;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::audit;
use domain::identity::{self, NewPerson, Role};
use domain::oauth::clients::{self, ClientKind, GrantType, NewClient, Source};
use domain::secret::Secret;
use domain::vault::{self, AccessMode, Overrides, connections};

use super::sign_in::sentence;
use super::{Posted, see};
use crate::door::Door;
use crate::pages::Extras;
use crate::session::Admin;

/// `POST /admin/people`: `email`, `name`, `password`, `role`.
pub async fn create_person(State(door): State<Door>, _: Admin, posted: Posted) -> Response {
    let new = NewPerson {
        email: posted.get("email").to_owned(),
        name: posted.get("name").to_owned(),
        password: Secret::from(posted.raw("password")),
        role: if posted.get("role") == "admin" {
            Role::Admin
        } else {
            Role::Person
        },
    };
    match identity::create(&door.engine, new).await {
        Ok(_) => see("/admin/people?created=1"),
        Err(identity::Error::Storage(error)) => posted.failed(&door, "/admin/people", error).await,
        Err(error) => {
            posted
                .again(
                    &door,
                    "/admin/people",
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "",
                    sentence(&error),
                )
                .await
        }
    }
}

/// `POST /admin/people/{id}/state`: `state` is `active` or `locked`.
pub async fn person_state(
    State(door): State<Door>,
    Admin(admin): Admin,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    let page = "/admin/people";
    let Ok(state) = posted.get("state").parse::<identity::State>() else {
        return posted
            .again(
                &door,
                page,
                StatusCode::UNPROCESSABLE_ENTITY,
                "",
                "Choose active or locked.",
            )
            .await;
    };
    if id == admin.person.id {
        let sentence = "You cannot lock yourself out; ask another admin.";
        return posted
            .again(&door, page, StatusCode::CONFLICT, "", sentence)
            .await;
    }
    match identity::set_state(&door.engine, Some(&admin.person.id), &id, state).await {
        Ok(_) => see(page),
        Err(identity::Error::Storage(error)) => posted.failed(&door, page, error).await,
        Err(error) => {
            posted
                .again(&door, page, StatusCode::NOT_FOUND, "", sentence(&error))
                .await
        }
    }
}

/// `POST /admin/clients`: `name`, `kind`, `redirect_uris`, `grant_types`,
/// `scopes`, `audiences`, `access_mode`, `rotate_refresh`. The secret is shown once.
pub async fn create_client(State(door): State<Door>, _: Admin, posted: Posted) -> Response {
    let page = "/admin/clients";
    let mut grant_types = Vec::new();
    for word in posted.all("grant_types") {
        let Ok(grant) = word.parse::<GrantType>() else {
            let sentence = "One of the grant types is not known.";
            return posted
                .again(
                    &door,
                    page,
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "grant_types",
                    sentence,
                )
                .await;
        };
        grant_types.push(grant);
    }
    let new = NewClient {
        kind: if posted.get("kind") == "public" {
            ClientKind::Public
        } else {
            ClientKind::Confidential
        },
        redirect_uris: posted.words("redirect_uris"),
        grant_types,
        scopes: posted.words("scopes"),
        audiences: posted.words("audiences"),
        rotate_refresh: posted.get("rotate_refresh") != "false",
        access_mode: match posted.get("access_mode") {
            "call" => Some(AccessMode::Call),
            "release" => Some(AccessMode::Release),
            _ => None,
        },
        ..NewClient::confidential(posted.get("name"), Source::Admin)
    };
    match clients::register(&door.engine, new).await {
        Ok((client, Some(secret))) => shown_once(&door, &posted, &client.id, &secret).await,
        Ok((_, None)) => see(page),
        Err(clients::Error::Storage(error)) => posted.failed(&door, page, error).await,
        Err(error) => {
            posted
                .again(
                    &door,
                    page,
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "",
                    sentence(&error),
                )
                .await
        }
    }
}

async fn shown_once(
    door: &Door,
    posted: &Posted,
    client_id: &str,
    secret: &Secret<String>,
) -> Response {
    let fresh = FreshSecret {
        client_id: client_id.to_owned(),
        secret: secret.expose().clone(),
    };
    posted
        .page(
            door,
            "/admin/clients",
            Extras {
                fresh_secret: Some(fresh),
                ..Extras::default()
            },
        )
        .await
}

/// `POST /admin/clients/{id}/state`: `state` is `active` or `frozen`.
pub async fn client_state(
    State(door): State<Door>,
    Admin(admin): Admin,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    let page = "/admin/clients";
    let Ok(state) = posted.get("state").parse::<clients::ClientState>() else {
        return posted
            .again(
                &door,
                page,
                StatusCode::UNPROCESSABLE_ENTITY,
                "",
                "Choose active or frozen.",
            )
            .await;
    };
    match clients::freeze(&door.engine, Some(&admin.person.id), &id, state).await {
        Ok(_) => see(page),
        Err(error) => client_refused(&door, &posted, error).await,
    }
}

/// `POST /admin/clients/{id}/secret`: a new secret, shown once; the old one ends at once.
pub async fn client_secret(
    State(door): State<Door>,
    Admin(admin): Admin,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    match clients::new_secret(&door.engine, Some(&admin.person.id), &id).await {
        Ok(secret) => shown_once(&door, &posted, &id, &secret).await,
        Err(error) => client_refused(&door, &posted, error).await,
    }
}

async fn client_refused(door: &Door, posted: &Posted, error: clients::Error) -> Response {
    match error {
        clients::Error::Storage(error) => posted.failed(door, "/admin/clients", error).await,
        error => {
            let status = match error {
                clients::Error::NotFound => StatusCode::NOT_FOUND,
                _ => StatusCode::CONFLICT,
            };
            posted
                .again(door, "/admin/clients", status, "", sentence(&error))
                .await
        }
    }
}

/// `POST /admin/connections`: `id`, `provider`, `client_id`, `client_secret`, `scopes`, `settings`.
pub async fn create_connection(State(door): State<Door>, _: Admin, posted: Posted) -> Response {
    let page = "/admin/connections";
    let scopes = posted.words("scopes");
    let mut parameters = std::collections::BTreeMap::new();
    for setting in posted.words("settings") {
        let Some((name, value)) = setting.split_once('=') else {
            let sentence = format!("“{setting}” is no setting: write name=value.");
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return posted
                .again(&door, page, status, "settings", sentence)
                .await;
        };
        parameters.insert(name.to_owned(), value.to_owned());
    }
    let new = connections::NewConnection {
        id: posted.get("id").to_owned(),
        provider: posted.get("provider").to_owned(),
        client_id: posted.get("client_id").to_owned(),
        client_secret: Secret::from(posted.get("client_secret")),
        scopes: (!scopes.is_empty()).then_some(scopes),
        overrides: Overrides {
            parameters,
            ..Overrides::default()
        },
        source: connections::Source::Admin,
    };
    match connections::put(&door.engine, new).await {
        Ok(_) => see(page),
        Err(error @ (vault::Error::Invalid(_) | vault::Error::UnknownConnection { .. })) => {
            posted
                .again(
                    &door,
                    page,
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "",
                    sentence(&error),
                )
                .await
        }
        Err(error) => posted.failed(&door, page, error).await,
    }
}

/// `GET /admin/audit/export.jsonl`: every leaf, ready for the verifier.
pub async fn export_audit(State(door): State<Door>, _: Admin) -> Response {
    let (mut out, mut checkpoints) = (Vec::new(), Vec::new());
    match audit::export(&door.engine, &mut out, &mut checkpoints).await {
        Ok(_) => {
            let mut response = out.into_response();
            let headers = response.headers_mut();
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/jsonl"),
            );
            headers.insert(
                header::CONTENT_DISPOSITION,
                HeaderValue::from_static("attachment; filename=\"attorn-audit.jsonl\""),
            );
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "the audit log could not be exported");
            crate::pages::unavailable(&door)
        }
    }
}
