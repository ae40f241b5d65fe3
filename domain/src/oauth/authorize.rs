//! The authorization endpoint (RFC 6749 §4.1.1): judging a request. What the
//! person answers is in [`super::allow`] and [`super::deny`].
//!
//! Errors before the redirect address is known to be the client's own are
//! shown on a page of ours, never redirected (RFC 9700 §4.11: no open redirect).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::clients::{self, Client, GrantType, Source};
use super::dpop;
use super::error::{Code, OauthError};
use super::logout;
use super::par;
use super::params::Params;
use crate::Engine;
use crate::vault::{self, AccessMode};
use evidence::json::{Limits, parse_strict};

/// The standard scopes, which every client may ask for.
pub const STANDARD_SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];
/// The scopes of `/me/`.
pub const ME_SCOPES: [&str; 3] = [
    "create:me:connected_accounts",
    "read:me:connected_accounts",
    "delete:me:connected_accounts",
];
/// All scopes that mean something to us.
pub const SCOPES: [&str; 7] = [
    STANDARD_SCOPES[0],
    STANDARD_SCOPES[1],
    STANDARD_SCOPES[2],
    STANDARD_SCOPES[3],
    ME_SCOPES[0],
    ME_SCOPES[1],
    ME_SCOPES[2],
];
/// The type of `authorization_details` that asks for accounts.
pub const ACCOUNT_ACCESS: &str = "account_access";

/// What a client asks of a person's accounts (RFC 9396):
/// `{"type":"account_access","connection":"sign-in-with-slack","mode":"call"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountAccess {
    /// The connection's name.
    pub connection: String,
    /// Through the proxy, or the provider's token itself.
    pub mode: AccessMode,
}

impl AccountAccess {
    /// As `authorization_details`.
    #[must_use]
    pub fn details(all: &[Self]) -> Value {
        all.iter()
            .map(|one| {
                json!({ "type": ACCOUNT_ACCESS, "connection": one.connection, "mode": one.mode })
            })
            .collect()
    }

    pub(super) fn parse(text: &str) -> Result<Vec<Self>, &'static str> {
        let value = parse_strict(text.as_bytes(), Limits::BODY)
            .map_err(|_| "authorization_details is not valid JSON")?;
        let Value::Array(entries) = value else {
            return Err("authorization_details is not an array");
        };
        if entries.len() > 10 {
            return Err("there are more than 10 authorization details");
        }
        let mut all: Vec<Self> = Vec::new();
        for mut entry in entries {
            let kind = entry.as_object_mut().and_then(|entry| entry.remove("type"));
            if kind.as_ref().and_then(Value::as_str) != Some(ACCOUNT_ACCESS) {
                return Err("only the type account_access is known here");
            }
            let one: Self = serde_json::from_value(entry)
                .map_err(|_| "account_access has connection and mode (call or release)")?;
            if all.iter().any(|known| known.connection == one.connection) {
                return Err("a connection is asked for twice");
            }
            all.push(one);
        }
        Ok(all)
    }
}

/// `prompt` (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Ask nothing; answer with an error where something must be asked.
    pub none: bool,
    /// Sign in again, signed in or not.
    pub login: bool,
    /// Ask for consent, remembered or not.
    pub consent: bool,
}

/// A request that may be put before a person.
#[derive(Clone, Debug)]
pub struct AuthorizeRequest {
    /// Who asks.
    pub client: Client,
    /// Where the answer goes; the client's own.
    pub redirect_uri: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// For which audience.
    pub audience: String,
    /// Sent back as it came.
    pub state: Option<String>,
    /// Goes into the ID token.
    pub nonce: Option<String>,
    /// PKCE, S256.
    pub code_challenge: String,
    /// Which accounts are asked for.
    pub details: Vec<AccountAccess>,
    /// What to ask the person, whatever is remembered.
    pub prompt: Prompt,
    /// The sign-in may be at most so many seconds old.
    pub max_age: Option<i64>,
    /// Whom the client expects, in its words: for the sign-in page.
    pub login_hint: Option<String>,
    /// Whom the client expects, by an ID token of ours (`id_token_hint`): nobody
    /// else is answered for.
    pub expected: Option<String>,
    /// The thumbprint of the key the code is bound to (RFC 9449 §10).
    pub dpop_jkt: Option<String>,
    /// Under which name it was pushed, and when (Unix milliseconds).
    pub(super) pushed: Option<([u8; 32], i64)>,
    issuer: String,
}

/// A request that cannot be put before a person.
#[derive(Debug)]
pub enum AuthorizeError {
    /// Show it on a page of ours: nobody proved whose the redirect address is.
    ShowPage(OauthError),
    /// Send it to the client.
    Redirect {
        /// The client's address with `error`, `error_description`, `state` and
        /// `iss`, ready to go to.
        to: Url,
        /// What it says.
        error: OauthError,
        /// Whether nobody vouches for that address: the client registered
        /// itself, and did not ask to be answered without a page. Then who is
        /// sent there signs in first (RFC 9700 §4.11.2).
        unproven: bool,
    },
}

impl From<OauthError> for AuthorizeError {
    fn from(error: OauthError) -> Self {
        Self::ShowPage(error)
    }
}

impl From<crate::storage::Error> for AuthorizeError {
    fn from(error: crate::storage::Error) -> Self {
        Self::ShowPage(error.into())
    }
}

/// A redirect address with an answer in its query (RFC 6749 §4.1.2, RFC 9207).
fn answer_to(
    redirect_uri: &str,
    issuer: &str,
    state: Option<&str>,
    pairs: &[(&str, &str)],
) -> Result<Url, OauthError> {
    // It was parsed when it was registered.
    let mut url = Url::parse(redirect_uri)
        .map_err(|error| OauthError::request("redirect_uri is not an address").because(error))?;
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(pairs);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", issuer);
    }
    Ok(url)
}

impl AuthorizeRequest {
    /// The client's address with a code.
    pub(super) fn answer(&self, code: &str) -> Result<Url, OauthError> {
        answer_to(
            &self.redirect_uri,
            &self.issuer,
            self.state.as_deref(),
            &[("code", code)],
        )
    }

    /// The client's address with an error, such as `login_required` when
    /// `prompt=none` and nobody is signed in.
    ///
    /// # Errors
    /// A defect: the address was checked before.
    pub fn refuse(&self, error: &OauthError) -> Result<Url, OauthError> {
        answer_to(
            &self.redirect_uri,
            &self.issuer,
            self.state.as_deref(),
            &[
                ("error", error.code.word()),
                ("error_description", &error.plain()),
            ],
        )
    }

    /// Whether the person must sign in (again) before anything else.
    /// `auth_time` is when this session signed in; both are Unix milliseconds.
    #[must_use]
    pub fn needs_sign_in(&self, auth_time: Option<i64>, now: i64) -> bool {
        let Some(at) = auth_time else {
            return true;
        };
        // What was pushed stays as it is: a sign-in since then is the one it asks for.
        if self.pushed.is_some_and(|(_, pushed_at)| at >= pushed_at) {
            return false;
        }
        let too_old = |age: i64| age == 0 || now - at > age.saturating_mul(1000);
        self.prompt.login || self.max_age.is_some_and(too_old)
    }

    /// Whether the answer may be about this person, who is signed in.
    #[must_use]
    pub fn may_be_about(&self, person_id: &str) -> bool {
        self.expected.as_deref().is_none_or(|id| id == person_id)
    }

    /// The query to come back to `/authorize` with after a sign-in: without
    /// `login` in `prompt`, which has been done then, and with ten minutes at
    /// the least to answer the page before the sign-in is too old again.
    #[must_use]
    pub fn query_after_sign_in(&self, params: &Params) -> String {
        let mut query = without_sign_in(params);
        if self.pushed.is_none()
            && let Some(age) = self.max_age
        {
            let pair = form_urlencoded::Serializer::new(String::new())
                .append_pair("max_age", &age.max(ANSWERED_WITHIN_S).to_string())
                .finish();
            query = format!("{query}&{pair}");
        }
        query
    }
}

/// Seconds that a page of ours may lie there after a sign-in.
const ANSWERED_WITHIN_S: i64 = 600;

/// The query with what asks for a sign-in left out.
fn without_sign_in(params: &Params) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in params.pairs() {
        if name == "max_age" {
            continue;
        }
        if name != "prompt" {
            query.append_pair(name, value);
            continue;
        }
        let left: Vec<&str> = value
            .split(' ')
            .filter(|word| *word != "login" && *word != "select_account")
            .collect();
        if !left.is_empty() {
            query.append_pair(name, &left.join(" "));
        }
    }
    query.finish()
}

/// Judges a request. Who is signed in plays no part.
///
/// # Errors
/// [`AuthorizeError`].
pub async fn check(engine: &Engine, params: &Params) -> Result<AuthorizeRequest, AuthorizeError> {
    let client = clients::known(engine, params.need("client_id")?).await?;
    judge_of(engine, client, params).await
}

/// As [`check`], for a request from outside: a client whose id is the address
/// of its metadata is looked up there, on account of this network
/// ([`super::RequestHead::network`]).
///
/// # Errors
/// [`AuthorizeError`].
pub async fn check_from(
    engine: &Engine,
    params: &Params,
    network: &str,
) -> Result<AuthorizeRequest, AuthorizeError> {
    let client = clients::looked_up(engine, params.need("client_id")?, network).await?;
    judge_of(engine, client, params).await
}

async fn judge_of(
    engine: &Engine,
    client: Client,
    params: &Params,
) -> Result<AuthorizeRequest, AuthorizeError> {
    let pushed = params.get("request_uri").filter(|uri| par::is_ours(uri));
    if let Some(request_uri) = pushed {
        let pushed = par::find(engine, &client.id, request_uri).await?;
        let mut request = judge_pushed(engine, &client, &pushed.params).await?;
        request.pushed = Some((pushed.hash, pushed.created_at));
        return Ok(request);
    }
    if client.metadata.require_pushed_authorization_requests {
        return Err(OauthError::request(
            "this client must push its authorization requests (RFC 9126)",
        )
        .into());
    }
    judge_pushed(engine, &client, params).await
}

/// Judges the parameters themselves, however they came.
pub(super) async fn judge_pushed(
    engine: &Engine,
    client: &Client,
    params: &Params,
) -> Result<AuthorizeRequest, AuthorizeError> {
    let redirect_uri = match (params.get("redirect_uri"), client.redirect_uris.as_slice()) {
        (Some(asked), _) if client.redirects_to(asked) => asked.to_owned(),
        (None, [only]) => only.clone(),
        (None, _) => return Err(OauthError::request("redirect_uri is missing").into()),
        (Some(_), _) => {
            return Err(
                OauthError::request("redirect_uri is not registered for this client").into(),
            );
        }
    };
    let issuer = engine.settings.issuer.clone();
    let state = params.get("state").map(str::to_owned);
    match judge(engine, params, client).await {
        Ok(judged) => Ok(AuthorizeRequest {
            redirect_uri,
            state,
            issuer,
            ..judged
        }),
        Err(error) => {
            let to = answer_to(
                &redirect_uri,
                &issuer,
                state.as_deref(),
                &[
                    ("error", error.code.word()),
                    ("error_description", &error.plain()),
                ],
            )?;
            let silent = params.get("prompt") == Some("none");
            let unproven = client.source == Source::Registration && !silent;
            Err(AuthorizeError::Redirect {
                to,
                error,
                unproven,
            })
        }
    }
}

/// Everything but client and redirect address, which [`check`] fills in.
async fn judge(
    engine: &Engine,
    params: &Params,
    client: &Client,
) -> Result<AuthorizeRequest, OauthError> {
    if let Some(words) = params.twice() {
        return Err(OauthError::request(words));
    }
    if params.get("request").is_some() {
        return Err(OauthError::new(
            Code::RequestNotSupported,
            "signed requests are not supported",
        ));
    }
    // What was pushed here was looked up before.
    if params.get("request_uri").is_some() {
        return Err(OauthError::new(
            Code::RequestUriNotSupported,
            "only a request_uri from the pushed authorization request endpoint is taken",
        ));
    }
    if params.need("response_type")? != "code" {
        return Err(OauthError::new(
            Code::UnsupportedResponseType,
            "only the response type code is supported",
        ));
    }
    if params
        .get("response_mode")
        .is_some_and(|mode| mode != "query")
    {
        return Err(OauthError::request(
            "only the response mode query is supported",
        ));
    }
    if !client.may(GrantType::AuthorizationCode) {
        return Err(OauthError::new(
            Code::UnauthorizedClient,
            "this client is not registered for the code grant",
        ));
    }
    let code_challenge = pkce(params)?;
    let details = match params.get("authorization_details") {
        None => Vec::new(),
        Some(text) => AccountAccess::parse(text)
            .map_err(|words| OauthError::new(Code::InvalidAuthorizationDetails, words))?,
    };
    for detail in &details {
        let known = vault::connections::get(engine, &detail.connection)
            .await
            .map_err(super::exchange::refusal)?;
        if known.is_none() {
            return Err(OauthError::new(
                Code::InvalidAuthorizationDetails,
                "there is no such connection",
            ));
        }
    }
    let max_age = params
        .get("max_age")
        .map(|text| {
            text.parse::<u32>()
                .map(i64::from)
                .map_err(|_| OauthError::request("max_age must be a whole number of seconds"))
        })
        .transpose()?;
    Ok(AuthorizeRequest {
        scopes: scopes(params, client)?,
        audience: client.audience(engine, params.target()?)?,
        nonce: params.get("nonce").map(str::to_owned),
        code_challenge,
        details,
        prompt: prompt(params)?,
        max_age: max_age.or(client.metadata.default_max_age.map(i64::from)),
        login_hint: params.get("login_hint").map(str::to_owned),
        expected: expected(engine, params, client)?,
        dpop_jkt: dpop_jkt(params)?,
        client: client.clone(),
        redirect_uri: String::new(),
        state: None,
        issuer: String::new(),
        pushed: None,
    })
}

/// The person of `id_token_hint` (OpenID Connect Core §3.1.2.1): of an ID token
/// of ours for this client, however old.
fn expected(
    engine: &Engine,
    params: &Params,
    client: &Client,
) -> Result<Option<String>, OauthError> {
    let Some(token) = params.get("id_token_hint") else {
        return Ok(None);
    };
    let bad = || OauthError::request("id_token_hint is no ID token of ours for this client");
    let hint = logout::read_hint(engine, token).map_err(|cause| bad().because(cause))?;
    if hint.client_id != client.id {
        return Err(bad().because("of another client"));
    }
    Ok(Some(hint.person_id))
}

/// RFC 7636 §4.3; S256 only, for every client (RFC 9700 §2.1.1).
fn pkce(params: &Params) -> Result<String, OauthError> {
    let challenge = params.need("code_challenge")?;
    if params.get("code_challenge_method") != Some("S256") {
        return Err(OauthError::request("code_challenge_method must be S256"));
    }
    let right = challenge.len() == 43
        && challenge
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !right {
        return Err(OauthError::request("the code_challenge is malformed"));
    }
    Ok(challenge.to_owned())
}

/// The scopes asked for, if the client may ask for them.
pub(super) fn scopes(params: &Params, client: &Client) -> Result<Vec<String>, OauthError> {
    let mut scopes = params.scopes()?.unwrap_or_default();
    // Without the grant to use it, a refresh token would be of no use; OIDC
    // Core §11 lets the scope be passed over.
    if !client.may(GrantType::RefreshToken) {
        scopes.retain(|scope| scope != "offline_access");
    }
    for scope in &scopes {
        if !STANDARD_SCOPES.contains(&scope.as_str()) && !client.scopes.contains(scope) {
            return Err(OauthError::new(
                Code::InvalidScope,
                format!("this client is not registered for the scope {scope}"),
            ));
        }
    }
    Ok(scopes)
}

/// RFC 9449 §10.
fn dpop_jkt(params: &Params) -> Result<Option<String>, OauthError> {
    params
        .get("dpop_jkt")
        .map(|jkt| {
            dpop::is_thumbprint(jkt)
                .then(|| jkt.to_owned())
                .ok_or_else(|| OauthError::request("dpop_jkt is no thumbprint of a key"))
        })
        .transpose()
}

fn prompt(params: &Params) -> Result<Prompt, OauthError> {
    let mut prompt = Prompt::default();
    for word in params.get("prompt").unwrap_or_default().split(' ') {
        match word {
            "" => {}
            "none" => prompt.none = true,
            // The sign-in page lets another person sign in.
            "login" | "select_account" => prompt.login = true,
            "consent" => prompt.consent = true,
            _ => return Err(OauthError::request("that prompt is not supported")),
        }
    }
    if prompt.none && (prompt.login || prompt.consent) {
        return Err(OauthError::request("prompt none stands alone"));
    }
    Ok(prompt)
}
