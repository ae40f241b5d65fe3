//! Providers that admins add to the catalogue.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::vault::connections::Source;
use domain::vault::discover::{OpenidProvider, discover};
use domain::vault::providers::{ClientAuth, Generic, GenericIdentity, Provider, RefreshRule};
use domain::vault::{Error, own};
use url::Url;

use super::sign_in::sentence;
use super::{Posted, see};
use crate::door::Door;
use crate::session::Admin;

const PAGE: &str = "/admin/connections";

/// A field and what is wrong with it.
struct Wrong(&'static str, String);

/// `POST /admin/providers`: `provider_id`, `provider_name`, `api`, and either
/// `issuer` or `authorize`, `token`, `revoke`, `identity`, `subject`, `label`,
/// `docs`, `client_auth`; `refresh`, `provider_scopes`.
pub async fn add(State(door): State<Door>, Admin(admin): Admin, posted: Posted) -> Response {
    let entry = match posted.some("issuer") {
        Some(issuer) => match openid(&posted, issuer) {
            Ok(ask) => match discover(&door.engine, ask, Source::Admin).await {
                Ok(entry) => entry,
                Err(error) => return refused(&door, &posted, "issuer", error).await,
            },
            Err(wrong) => return again(&door, &posted, wrong).await,
        },
        None => match described(&posted) {
            Ok(entry) => entry.into(),
            Err(wrong) => return again(&door, &posted, wrong).await,
        },
    };
    match store(&door, &admin.person.id, entry).await {
        Ok(()) => see(PAGE),
        Err(error) => refused(&door, &posted, "", error).await,
    }
}

async fn store(door: &Door, admin: &str, entry: Provider) -> Result<(), Error> {
    own::put(&door.engine, Some(admin), entry, Source::Admin).await
}

/// `POST /admin/providers/{id}/remove`.
pub async fn remove(
    State(door): State<Door>,
    Admin(admin): Admin,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    match own::remove(&door.engine, &admin.person.id, &id).await {
        Ok(()) => see(PAGE),
        Err(Error::NotFound) => {
            let sentence = "There is no such provider of your own.";
            posted
                .again(&door, PAGE, StatusCode::NOT_FOUND, "", sentence)
                .await
        }
        Err(error) => refused(&door, &posted, "", error).await,
    }
}

async fn again(door: &Door, posted: &Posted, Wrong(field, sentence): Wrong) -> Response {
    posted
        .again(
            door,
            PAGE,
            StatusCode::UNPROCESSABLE_ENTITY,
            field,
            sentence,
        )
        .await
}

async fn refused(door: &Door, posted: &Posted, field: &'static str, error: Error) -> Response {
    match error {
        error @ Error::Invalid(_) => again(door, posted, Wrong(field, sentence(&error))).await,
        error => posted.failed(door, PAGE, error).await,
    }
}

fn address(posted: &Posted, field: &'static str) -> Result<Url, Wrong> {
    Url::parse(posted.get(field)).map_err(|_| {
        Wrong(
            field,
            "Give an address that begins with https://.".to_owned(),
        )
    })
}

fn rule(posted: &Posted) -> Result<RefreshRule, Wrong> {
    match posted.get("refresh") {
        "rotates_strictly" => Ok(RefreshRule::RotatesStrictly),
        "keeps" => Ok(RefreshRule::Keeps),
        "rotates" => Ok(RefreshRule::Rotates),
        "none" => Ok(RefreshRule::None),
        _ => Err(Wrong("refresh", "Choose one of these.".to_owned())),
    }
}

/// One scope a line: its name, and what it allows.
fn scopes(posted: &Posted) -> Result<Vec<(String, String)>, Wrong> {
    posted
        .get("provider_scopes")
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| match line.split_once(char::is_whitespace) {
            Some((name, words)) => Ok((name.to_owned(), words.trim().to_owned())),
            None => Err(Wrong(
                "provider_scopes",
                format!("Say behind “{line}” what it allows."),
            )),
        })
        .collect()
}

fn openid(posted: &Posted, issuer: &str) -> Result<OpenidProvider, Wrong> {
    Ok(OpenidProvider {
        id: posted.get("provider_id").to_owned(),
        name: posted.get("provider_name").to_owned(),
        issuer: issuer.to_owned(),
        api: address(posted, "api")?,
        refresh: rule(posted)?,
        scopes: scopes(posted)?,
    })
}

fn described(posted: &Posted) -> Result<Generic, Wrong> {
    let token = address(posted, "token")?;
    Ok(Generic {
        id: posted.get("provider_id").to_owned(),
        name: posted.get("provider_name").to_owned(),
        source_page: address(posted, "docs")?,
        authorize: address(posted, "authorize")?,
        revoke: match posted.some("revoke") {
            Some(_) => Some(address(posted, "revoke")?),
            None => None,
        },
        client_auth: match posted.get("client_auth") {
            "post" => ClientAuth::Post,
            "basic" => ClientAuth::Basic,
            _ => return Err(Wrong("client_auth", "Choose one of these.".to_owned())),
        },
        pkce: true,
        api: address(posted, "api")?,
        identity: GenericIdentity::Endpoint {
            url: address(posted, "identity")?,
            subject: posted.get("subject").to_owned(),
            label: posted.get("label").to_owned(),
        },
        rule: rule(posted)?,
        scopes: scopes(posted)?,
        token,
    })
}
