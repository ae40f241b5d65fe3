//! Asking: an agent wants a person's approval (CIBA Core §7).

use std::sync::Arc;

use evidence::json::{Limits, parse_strict_object};
use serde_json::{Map, Value};

use super::ask_error::AskError;
use super::binding::BindingMessage;
use super::call::ExactCall;
use super::decide::event;
use super::policies::{self, InForce};
use super::read::Approval;
use super::render::{self, Shown};
use super::signing::Needed;
use super::sql::Kept;
use super::state::State;
use super::types::{self, Details};
use crate::audit::Kind;
use crate::identity::{self, Person};
use crate::limits::Limit;
use crate::oauth::{self, Client, Delivery, GrantType, notify};
use crate::pace::INTERVAL_S;
use crate::secret::Secret;
use crate::vault::{self, AccountState, permissions::PermissionState};
use crate::{Engine, ids};

/// Seconds until a request expires if the client names no time.
pub const DEFAULT_EXPIRY_S: i64 = 300;
/// The longest time a client may ask for: 72 hours, in seconds.
pub const MAX_EXPIRY_S: i64 = 72 * 3600;
/// Details that are not ours to carry out go into the access token, which has
/// to fit into a header; in bytes of JSON.
const MOST_TOLD: usize = 4 * 1024;

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersonHint {
    /// Issuer and subject, as in an ID token.
    IssSub {
        /// Must be our issuer.
        iss: String,
        /// The person's id.
        sub: String,
    },
    /// An e-mail address.
    Email(String),
    /// The person's id.
    Id(String),
}

impl PersonHint {
    /// Reads a subject identifier (RFC 9493 §3) of the formats `iss_sub`,
    /// `email` or `opaque`; other members are ignored.
    #[must_use]
    pub fn from_subject(members: &Map<String, Value>) -> Option<Self> {
        // A NUL names nobody, and PostgreSQL would not even look.
        let member = |name: &str| {
            let text = members.get(name).and_then(Value::as_str);
            text.filter(|text| !text.contains('\0')).map(str::to_owned)
        };
        match member("format")?.as_str() {
            "iss_sub" => member("iss")
                .zip(member("sub"))
                .map(|(iss, sub)| Self::IssSub { iss, sub }),
            "email" => member("email").map(Self::Email),
            "opaque" => member("id").map(Self::Id),
            _ => None,
        }
    }

    /// Reads a `login_hint`: JSON `{"format":"iss_sub","iss":…,"sub":…}` or
    /// `{"format":"email","email":…}` (see [`Self::from_subject`]),
    /// an e-mail address, or a person's id.
    ///
    /// # Errors
    /// [`AskError::InvalidRequest`] when it is none of these.
    pub fn from_login_hint(text: &str) -> Result<Self, AskError> {
        let text = text.trim();
        if text.starts_with('{') {
            let members = parse_strict_object(text.as_bytes(), Limits::BODY)
                .map_err(|_| AskError::InvalidRequest("login_hint is not valid JSON"))?;
            return Self::from_subject(&members).ok_or(AskError::InvalidRequest(
                "login_hint must have format iss_sub with iss and sub, email with email, or opaque with id",
            ));
        }
        if text.is_empty() || text.len() > 320 || text.contains('\0') {
            return Err(AskError::InvalidRequest("login_hint is empty or too long"));
        }
        Ok(if text.contains('@') {
            Self::Email(text.to_owned())
        } else {
            Self::Id(text.to_owned())
        })
    }
}

/// One request for an approval.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whom to ask.
    pub person: PersonHint,
    /// Scopes of the token to come; `openid` among them (CIBA Core §7.1).
    pub scopes: Vec<String>,
    /// Audience of the token to come; `None` takes the proxy's for what Attorn
    /// executes, else the client's first.
    pub audience: Option<String>,
    /// What must match what the agent shows.
    pub binding_message: Option<String>,
    /// `authorization_details`; read it with [`super::types::from_text`].
    pub details: Option<Value>,
    /// Seconds until it expires: 1 to [`MAX_EXPIRY_S`].
    pub requested_expiry_s: Option<i64>,
    /// The run of the embedded agent that asks.
    pub run_id: Option<String>,
}

/// The request was stored and the person can see it.
pub struct Asked {
    /// The agent's credential for polling; never shown to anybody else.
    pub auth_req_id: Secret<String>,
    /// The public id, as in `/approve/{id}`.
    pub approval_id: String,
    /// What the agent shows, where the person must type it.
    pub matching_number: Option<String>,
    /// Seconds until it expires.
    pub expires_in_s: i64,
    /// Seconds between polls.
    pub interval_s: i64,
}

/// Two digits, each as likely as the others but for less than one in a thousand.
fn matching_number(random: [u8; 4]) -> String {
    format!("{:02}", u32::from_be_bytes(random) % 100)
}

/// Scopes every client may have (OpenID Connect Core §5.4, §11).
const STANDARD_SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// Stores a request and shows it to the person. `client` is the authenticated
/// client, one that polls.
///
/// # Errors
/// See [`AskError`]; nothing is stored then.
pub async fn ask(engine: &Engine, client: &Client, ask: Ask) -> Result<Asked, AskError> {
    ask_showing(engine, client, ask, &Shows::default()).await
}

/// What a client shows with its request (CIBA Core §7.1).
#[derive(Clone, Default)]
pub struct Shows {
    /// `client_notification_token`, with which it will know us when it is told
    /// of the end.
    pub notification_token: Option<Secret<String>>,
    /// `user_code`, which the person told it.
    pub user_code: Option<Secret<String>>,
}

/// As [`ask()`], for a client that shows something with it.
///
/// # Errors
/// See [`AskError`]; nothing is stored then.
pub async fn ask_showing(
    engine: &Engine,
    client: &Client,
    ask: Ask,
    shows: &Shows,
) -> Result<Asked, AskError> {
    if !client.may(GrantType::Ciba) {
        return Err(AskError::UnauthorizedClient);
    }
    let delivery = client.metadata.backchannel_token_delivery_mode;
    let told = delivery != Delivery::Poll;
    let token = shows.notification_token.as_ref().filter(|_| told);
    if told && token.is_none() {
        return Err(AskError::InvalidRequest(
            "client_notification_token is missing; this client is registered to be told",
        ));
    }
    if token.is_some_and(|token| !notify::is_token(token.expose())) {
        return Err(AskError::InvalidRequest(
            "client_notification_token must be a bearer token of at most 1024 characters",
        ));
    }
    let binding_message = ask
        .binding_message
        .as_deref()
        .map(BindingMessage::parse)
        .transpose()
        .map_err(AskError::InvalidBindingMessage)?;
    let expires_in_s = ask.requested_expiry_s.unwrap_or(DEFAULT_EXPIRY_S);
    if !(1..=MAX_EXPIRY_S).contains(&expires_in_s) {
        return Err(AskError::InvalidRequest(
            "requested_expiry must be 1 to 259200 seconds",
        ));
    }
    check_scopes(client, &ask.scopes)?;
    let entries = match &ask.details {
        Some(details) => types::parse(details).map_err(AskError::InvalidDetails)?,
        None => Vec::new(),
    };
    check_size(ask.details.as_ref(), &entries)?;
    let person = find(engine, client, &ask.person).await?;
    if client.metadata.backchannel_user_code_parameter {
        let code = shows.user_code.as_ref();
        identity::user_code::check(engine, &client.id, &person.id, code).await?;
    }
    let pair = format!("{} {}", client.id, person.id);
    engine.limits.count(Limit::Approval, &pair)?;
    let audience = audience(engine, client, ask.audience.as_deref(), &entries)?;
    let normal = entries.iter().map(Details::normal).collect();
    let types = types::names(&normal);
    let types: Vec<&str> = types.iter().map(String::as_str).collect();
    let policies = policies::in_force(engine).await?;
    let (demands, names) = policies.approving(&client.id, &types);
    if demands.forbidden {
        return Err(AskError::BlockedByPolicy);
    }
    let (call, shown) = compile(engine, client, &person, &ask.scopes, &entries).await?;
    let auth_req_id = engine.new_token("att_ar");
    let hash = engine
        .keys
        .hash("auth_req_id", auth_req_id.expose().as_bytes());
    let now = engine.now();
    let match_number = demands.match_number;
    let needed = Needed::of(engine, Some(&person), &shown, demands);
    let number = match_number.then(|| matching_number(ids::random(&*engine.rng)));
    let approval = Approval {
        id: ids::id("apr", now, &*engine.rng),
        client_id: client.id.clone(),
        person_id: person.id,
        account_id: call.as_ref().map(|call| call.account_id.clone()),
        run_id: ask.run_id,
        scopes: ask.scopes,
        audience,
        details: normal,
        details_type: entries.first().map(|entry| entry.type_name().to_owned()),
        call_digest: call.as_ref().map(ExactCall::digest),
        call,
        shown,
        binding_message: binding_message.map(BindingMessage::into_text),
        nonce: ids::random(&*engine.rng),
        needs_passkey: needed.fixed(),
        in_force: InForce {
            device_bound: needed.device_bound,
            number: number.clone(),
            policies: names,
            approvers: needed.approvers,
            ..InForce::default()
        },
        state: State::Pending,
        state_reason: None,
        interval_s: INTERVAL_S,
        created_at: now,
        expires_at: now.saturating_add(expires_in_s * 1000),
        decided_at: None,
        consumed_at: None,
        outcome: None,
    };
    let approval_id = approval.id.clone();
    let told = notify::prepare(engine, client, &approval_id, &auth_req_id, token).await?;
    let expected = engine.approvals.expect(hash, &approval);
    store(engine, Kept::new(approval, &hash, delivery), told).await?;
    expected.written();
    Ok(Asked {
        auth_req_id,
        approval_id,
        matching_number: number,
        expires_in_s,
        interval_s: INTERVAL_S,
    })
}

async fn store(
    engine: &Engine,
    kept: Kept,
    told: Option<notify::Prepared>,
) -> Result<(), AskError> {
    let (within, kept) = (engine.clone(), Arc::new(kept));
    let told = Arc::new(told);
    engine
        .store
        .write(move |tx| {
            let (engine, kept) = (within.clone(), kept.clone());
            let told = told.clone();
            Box::pin(async move {
                let approval = &kept.approval;
                let (person, client) = (&approval.person_id, &approval.client_id);
                let most = i64::from(engine.settings.quotas.approvals_waiting);
                if most > 0
                    && let Some(first) =
                        tx.approvals_pending_of_client(person, client, most).await?
                {
                    return Err(AskError::TooMany {
                        retry_after_s: u64::try_from(first - tx.now()).unwrap_or(0).div_ceil(1000),
                    });
                }
                tx.insert_approval(&engine, &kept).await?;
                tx.seat_approvers(approval).await?;
                if let Some(told) = &*told {
                    tx.insert_notification(told).await?;
                }
                let mut asked = event(Kind::ApprovalRequested, approval).data(
                    "text_digest",
                    evidence::digest::base64url(&approval.shown.digest()),
                );
                if let Some(name) = &approval.details_type {
                    asked = asked.data("type", name.as_str());
                }
                if let Some(digest) = &approval.call_digest {
                    asked = asked.data("call_digest", evidence::digest::base64url(digest));
                }
                tx.record(asked);
                tx.notices_of_request(&engine, approval).await?;
                tx.signal_approval(approval);
                Ok(())
            })
        })
        .await
}

/// Refuses details that an access token could not tell.
fn check_size(details: Option<&Value>, entries: &[Details]) -> Result<(), AskError> {
    let told = details.filter(|_| !entries.iter().any(Details::is_executable));
    if told.is_some_and(|details| details.to_string().len() > MOST_TOLD) {
        return Err(AskError::InvalidDetails(format!(
            "the authorization details are longer than {MOST_TOLD} bytes together"
        )));
    }
    Ok(())
}

fn check_scopes(client: &Client, scopes: &[String]) -> Result<(), AskError> {
    if !scopes.iter().any(|scope| scope == "openid") {
        return Err(AskError::InvalidScope("scope must have openid"));
    }
    let may =
        |scope: &String| STANDARD_SCOPES.contains(&scope.as_str()) || client.scopes.contains(scope);
    if !scopes.iter().all(may) {
        return Err(AskError::InvalidScope(
            "this client may not have one of these scopes",
        ));
    }
    Ok(())
}

/// The person by hint, if the client has to do with them. Nobody, a locked
/// person and a stranger are one answer.
async fn find(engine: &Engine, client: &Client, hint: &PersonHint) -> Result<Person, AskError> {
    let found = match hint {
        PersonHint::IssSub { iss, .. } if *iss != engine.settings.issuer => Ok(None),
        PersonHint::IssSub { sub: id, .. } | PersonHint::Id(id) => {
            identity::person(engine, id).await
        }
        PersonHint::Email(email) => identity::person_by_email_for(engine, &client.id, email).await,
    };
    let person = found
        .map_err(|error| AskError::Person(error.to_string()))?
        .filter(|person| person.state == identity::State::Active)
        .ok_or(AskError::UnknownUser)?;
    let known = oauth::has_relation(engine, &client.id, &person.id).await?
        || vault::permissions::list_for_person(engine, &person.id)
            .await
            .map_err(refused_by_vault)?
            .iter()
            .any(|permission| permission.client_id == client.id);
    if known {
        if let PersonHint::Email(email) = hint {
            identity::remember_for(engine, &client.id, email, &person);
        }
        Ok(person)
    } else {
        Err(AskError::UnknownUser)
    }
}

/// The audience of the token: an executable call goes through the proxy.
fn audience(
    engine: &Engine,
    client: &Client,
    asked: Option<&str>,
    entries: &[Details],
) -> Result<String, AskError> {
    let proxy = engine.settings.proxy_audience();
    if entries.iter().any(Details::is_executable) {
        return match asked {
            None => Ok(proxy),
            Some(asked) if asked == proxy => Ok(proxy),
            Some(_) => Err(AskError::InvalidTarget(
                "details that Attorn executes need the audience of the proxy, or none",
            )),
        };
    }
    client
        .audience(engine, asked)
        .map_err(|_| AskError::InvalidTarget("this client may not have tokens for that audience"))
}

/// What will be sent, if Attorn sends anything, and what the person reads.
async fn compile(
    engine: &Engine,
    client: &Client,
    person: &Person,
    scopes: &[String],
    entries: &[Details],
) -> Result<(Option<ExactCall>, Shown), AskError> {
    let executable = entries
        .first()
        .and_then(|entry| Some((entry, entry.connection()?)));
    let Some((entry, connection)) = executable else {
        let shown = render::displayed(&client.name, entries)
            .unwrap_or_else(|| render::plain(&client.name, scopes));
        return Ok((None, shown));
    };
    let account = vault::accounts::pick(engine, &person.id, connection, None)
        .await
        .map_err(refused_by_vault)?;
    if let Some((provider, name)) = entry.provider()
        && account.provider != provider
    {
        return Err(AskError::InvalidDetails(format!(
            "`connection` is not one of {name}"
        )));
    }
    if account.state != AccountState::Linked {
        return Err(AskError::ReconnectRequired {
            link: vault::pages::link(engine, connection),
        });
    }
    let permission = vault::permissions::find(engine, &client.id, &account.id)
        .await
        .map_err(refused_by_vault)?;
    // `release` is more than `call`; either lets the client use the account.
    if permission.is_none_or(|permission| permission.state != PermissionState::Active) {
        return Err(AskError::PermissionRequired {
            link: vault::pages::permit(engine, connection, &client.id),
        });
    }
    let cannot = || AskError::InvalidDetails("it cannot be shown as it would be sent".to_owned());
    let call = entry.call(&account.id).ok_or_else(cannot)?;
    let (host, path) = (call.host.as_deref(), call.path_and_query.as_str());
    let base = vault::accounts::api_base(engine, &account, host, path)
        .await
        .map_err(refused_by_vault)?;
    let shown =
        render::executed(&client.name, &account.label, entry, &call, &base).ok_or_else(cannot)?;
    Ok((Some(call), shown))
}

fn refused_by_vault(error: vault::Error) -> AskError {
    match error {
        vault::Error::NoAccount { link, .. } => AskError::AccountRequired { link },
        vault::Error::PermissionRequired { link, .. } => AskError::PermissionRequired { link },
        vault::Error::Reconnect { link, .. } => AskError::ReconnectRequired { link },
        vault::Error::UnknownConnection { .. } => {
            AskError::InvalidDetails("`connection` is not known here".to_owned())
        }
        vault::Error::Invalid(words) => AskError::InvalidDetails(words),
        vault::Error::Storage(error) => AskError::Storage(error),
        other => AskError::Vault(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_hint_is_read_not_compared() {
        let iss_sub = PersonHint::IssSub {
            iss: "https://a.example/".to_owned(),
            sub: "per_1".to_owned(),
        };
        for text in [
            r#"{"format":"iss_sub","iss":"https://a.example/","sub":"per_1"}"#,
            r#" { "sub": "per_1", "iss": "https://a.example/", "format": "iss_sub", "more": 1 } "#,
        ] {
            assert_eq!(PersonHint::from_login_hint(text).unwrap(), iss_sub);
        }
        assert_eq!(
            PersonHint::from_login_hint("anna@example.com").unwrap(),
            PersonHint::Email("anna@example.com".to_owned())
        );
        assert_eq!(
            PersonHint::from_login_hint("per_1").unwrap(),
            PersonHint::Id("per_1".to_owned())
        );
        for bad in [
            "",
            "{}",
            r#"{"format":"iss_sub","iss":"x"}"#,
            r#"{"format":"phone_number","phone_number":"1"}"#,
            r#"{"format":"iss_sub","iss":"x","sub":"a","sub":"b"}"#,
            r#"{"format":"opaque","id":"a\u0000"}"#,
            "a\0@example.com",
            "{",
        ] {
            assert!(PersonHint::from_login_hint(bad).is_err(), "{bad}");
        }
    }
}
