//! People, clients, connections and links of the demo, by the product's verbs.

use domain::Engine;
use domain::identity::{self, How, NewPerson, Role, SignIn};
use domain::oauth::authorize::{AuthorizeError, ME_SCOPES, STANDARD_SCOPES, check};
use domain::oauth::clients::{self, GrantType, NewClient, Source};
use domain::oauth::{self, Params, token};
use domain::outbound::Ask;
use domain::secret::Secret;
use domain::vault::connections::{self, NewConnection};
use domain::vault::link::{FinishLink, StartLink, finish, start};
use domain::vault::permissions::{self, Give};
use domain::vault::{AccessMode, Overrides, accounts};
use sandbox::{Provider, Sandbox};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use url::Url;

use super::folder::Folder;
use crate::door::Door;
use crate::serve::Error;

/// The seeded person.
pub const PERSON_EMAIL: &str = "ada@example.com";
/// The seeded admin.
pub const ADMIN_EMAIL: &str = "admin@example.com";
/// The example agent.
pub const AGENT_ID: &str = "example-agent";
/// The example API.
pub const API_ID: &str = "example-api";
/// The API's audience.
pub const AUDIENCE: &str = "https://api.example.com/";
/// Where the example agent is sent back to.
pub const REDIRECT_URI: &str = "http://localhost:8976/callback";
/// A display-only details type for trying approvals.
pub const DETAILS_TYPE: &str = "demonstration";
/// Connection to Slack.
pub const SLACK: &str = "sign-in-with-slack";
/// Connection to Google.
pub const GOOGLE: &str = "google-oauth2";
/// Connection to Salesforce.
pub const SALESFORCE: &str = "salesforce";

/// What seeding made.
#[derive(Clone)]
pub struct Seeded {
    /// The person's id.
    pub person_id: String,
}

/// Tokens of the example agent for the person.
pub struct Tokens {
    /// For the API's audience.
    pub access: Secret<String>,
    /// For any of the agent's audiences.
    pub refresh: Secret<String>,
}

/// Attorn's client id at a sandbox provider.
pub fn provider_client_id(provider: Provider) -> &'static str {
    match provider {
        Provider::Slack => "attorn-slack",
        Provider::Google => "attorn-google",
        Provider::Salesforce => "attorn-salesforce",
    }
}

fn connection_of(provider: Provider) -> &'static str {
    match provider {
        Provider::Slack => SLACK,
        Provider::Google => GOOGLE,
        Provider::Salesforce => SALESFORCE,
    }
}

/// Makes what is missing.
///
/// # Errors
/// A sentence.
pub async fn seed(engine: &Engine, folder: &Folder, sandbox: &Sandbox) -> Result<Seeded, Error> {
    let secrets = &folder.secrets;
    let person_id = person(
        engine,
        PERSON_EMAIL,
        "Ada Lovelace",
        &secrets.person_password,
        Role::Person,
    )
    .await?;
    person(
        engine,
        ADMIN_EMAIL,
        "Alex Admin",
        &secrets.admin_password,
        Role::Admin,
    )
    .await?;
    for (provider, base) in [
        (Provider::Slack, sandbox.slack_url()),
        (Provider::Google, sandbox.google_url()),
        (Provider::Salesforce, sandbox.salesforce_url()),
    ] {
        let new = NewConnection {
            id: connection_of(provider).to_owned(),
            provider: provider.as_str().to_owned(),
            client_id: provider_client_id(provider).to_owned(),
            client_secret: Secret::from(secrets.provider_secret.as_str()),
            scopes: None,
            overrides: Overrides::below(provider.as_str(), &base).map_err(Error::new)?,
            source: connections::Source::Demo,
        };
        connections::put(engine, new).await.map_err(Error::new)?;
    }
    domain::agent::consent::register(engine)
        .await
        .map_err(Error::new)?;
    let me: Vec<String> = ME_SCOPES.iter().map(|scope| (*scope).to_owned()).collect();
    let agent = NewClient {
        id: Some(AGENT_ID.to_owned()),
        redirect_uris: vec![REDIRECT_URI.to_owned()],
        grant_types: GrantType::ALL.to_vec(),
        scopes: me,
        audiences: vec![
            AUDIENCE.to_owned(),
            engine.settings.proxy_audience(),
            engine.settings.me_audience(),
        ],
        rotate_refresh: false,
        access_mode: Some(AccessMode::Release),
        secret: Some(Secret::from(secrets.agent_secret.as_str())),
        ..NewClient::confidential("Example agent", Source::Demo)
    };
    let api = NewClient {
        id: Some(API_ID.to_owned()),
        grant_types: vec![GrantType::TokenExchange, GrantType::ClientCredentials],
        audiences: vec![AUDIENCE.to_owned()],
        resource_audience: Some(AUDIENCE.to_owned()),
        access_mode: Some(AccessMode::Release),
        secret: Some(Secret::from(secrets.api_secret.as_str())),
        ..NewClient::confidential("Example API", Source::Demo)
    };
    for new in [agent, api] {
        let id = new.id.clone().unwrap_or_default();
        if clients::get(engine, &id)
            .await
            .map_err(Error::new)?
            .is_none()
        {
            clients::register(engine, new).await.map_err(Error::new)?;
        }
    }
    Ok(Seeded { person_id })
}

async fn person(
    engine: &Engine,
    email: &str,
    name: &str,
    password: &str,
    role: Role,
) -> Result<String, Error> {
    if let Some(person) = identity::person_by_email(engine, email)
        .await
        .map_err(Error::new)?
    {
        return Ok(person.id);
    }
    let new = NewPerson {
        email: email.to_owned(),
        name: name.to_owned(),
        password: Secret::from(password),
        role,
    };
    Ok(identity::create(engine, new).await.map_err(Error::new)?.id)
}

/// Links accounts through the real flow: the provider's consent page is
/// answered as the person would.
///
/// # Errors
/// A sentence.
pub async fn link(
    engine: &Engine,
    door: &Door,
    seeded: &Seeded,
    links: &[Provider],
) -> Result<(), Error> {
    for provider in links {
        let connection = connection_of(*provider);
        let session_id = format!("demo-{}", engine.settings.instance);
        let url = start(
            engine,
            StartLink {
                person_id: seeded.person_id.clone(),
                session_id: session_id.clone(),
                connection: connection.to_owned(),
                client: None,
                return_to: "/accounts".to_owned(),
                redirect_uri: door.options.link_callback(),
            },
        )
        .await
        .map_err(Error::new)?;
        let (state, code) = consent(engine, url).await?;
        let answer = Ok(Secret::new(code));
        let ask = FinishLink {
            person_id: seeded.person_id.clone(),
            session_id,
            state,
            answer,
            iss: None,
        };
        finish(engine, ask)
            .await
            .map_err(|error| Error(format!("{connection}: {error}")))?;
    }
    permit(engine, seeded).await
}

/// Answers the sandbox's consent page as the seeded person.
async fn consent(engine: &Engine, url: Url) -> Result<(String, String), Error> {
    let body = serde_urlencoded::to_string([("email", PERSON_EMAIL)]).map_err(Error::new)?;
    let mut headers = http::HeaderMap::new();
    headers.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    let ask = Ask {
        method: http::Method::POST,
        url,
        headers,
        body: body.into(),
        timeout: Duration::from_secs(10),
        limit: 1024 * 1024,
    };
    let answer = engine.outbound.send(ask).await.map_err(Error::new)?;
    let location = answer
        .headers
        .get(http::header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| Url::parse(location).ok())
        .ok_or_else(|| {
            Error(format!(
                "the sandbox answered {} instead of a redirect",
                answer.status
            ))
        })?;
    let find = |name: &str| {
        location
            .query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    match (find("state"), find("code")) {
        (Some(state), Some(code)) => Ok((state, code)),
        _ => Err(Error("the sandbox did not give a code".to_owned())),
    }
}

/// The example agent holds `release` on the person's Slack, however it was linked.
async fn permit(engine: &Engine, seeded: &Seeded) -> Result<(), Error> {
    for account in accounts::list(engine, &seeded.person_id)
        .await
        .map_err(Error::new)?
    {
        if account.connection != SLACK
            || permissions::find(engine, AGENT_ID, &account.id)
                .await
                .map_err(Error::new)?
                .is_some()
        {
            continue;
        }
        for client_id in [AGENT_ID, API_ID] {
            let give = Give {
                person_id: seeded.person_id.clone(),
                client_id: client_id.to_owned(),
                account_id: account.id.clone(),
                access_mode: AccessMode::Release,
                scopes: None,
                calls: None,
            };
            permissions::give(engine, give).await.map_err(Error::new)?;
        }
    }
    Ok(())
}

/// Gives the example agent its permission once the person links Slack by hand.
pub async fn permit_example_agent(engine: Engine, seeded: Seeded) {
    let mut signals = engine.store.signals();
    loop {
        match signals.recv().await {
            Ok(signal) if signal.topic == "account" => {}
            Err(RecvError::Lagged(_)) => {}
            Ok(_) => continue,
            Err(RecvError::Closed) => return,
        }
        if let Err(error) = permit(&engine, &seeded).await {
            tracing::warn!(%error, "the example agent could not be given its permission");
        }
    }
}

/// Tokens for the example agent, by the code flow; the person's consent is
/// given in their name.
///
/// # Errors
/// A sentence.
pub async fn tokens(engine: &Engine, seeded: &Seeded) -> Result<Tokens, Error> {
    let verifier = domain::ids::token("verifier", &*engine.rng);
    let challenge =
        evidence::digest::base64url(&evidence::digest::sha256(verifier.expose().as_bytes()));
    let scope: Vec<&str> = STANDARD_SCOPES.into_iter().chain(ME_SCOPES).collect();
    let scope = scope.join(" ");
    let params = Params::new([
        ("client_id", AGENT_ID),
        ("redirect_uri", REDIRECT_URI),
        ("response_type", "code"),
        ("scope", &scope),
        ("audience", AUDIENCE),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ])
    .map_err(Error::new)?;
    let asked = check(engine, &params).await.map_err(|error| match error {
        AuthorizeError::ShowPage(error) | AuthorizeError::Redirect { error, .. } => {
            Error::new(error)
        }
    })?;
    let sign_in = SignIn {
        at: engine.now(),
        how: Some(How::Password),
    };
    let back = oauth::allow(engine, &seeded.person_id, sign_in, &asked, Vec::new())
        .await
        .map_err(Error::new)?;
    let code = back
        .query_pairs()
        .find(|(name, _)| name == "code")
        .map(|(_, code)| code.into_owned())
        .unwrap_or_default();
    let client = clients::get(engine, AGENT_ID)
        .await
        .map_err(Error::new)?
        .ok_or_else(|| Error("the example agent is gone".to_owned()))?;
    let params = Params::new([
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", verifier.expose()),
    ])
    .map_err(Error::new)?;
    let request = token::TokenRequest::parse(&params).map_err(Error::new)?;
    let answer = token::grant(engine, request, &client, None)
        .await
        .map_err(Error::new)?;
    let refresh = answer
        .refresh_token
        .ok_or_else(|| Error("no refresh token was issued".to_owned()))?;
    Ok(Tokens {
        access: answer.access_token,
        refresh,
    })
}
