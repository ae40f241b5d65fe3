//! A sandbox on a hand-wound clock, and a small client to talk to it with.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use sandbox::{Client, Config, Control, Provider, Sandbox};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const REDIRECT: &str = "http://localhost:9/callback?from=sandbox";
pub const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0";
/// 2026-11-24T08:00:00Z
pub const START: i64 = 1_795_507_200_000;

pub struct World {
    pub sandbox: Sandbox,
    pub control: Control,
    clock: Arc<AtomicI64>,
    http: reqwest::Client,
}

pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A parameter of the address the answer redirects to.
    pub fn redirected_with(&self, name: &str) -> Option<String> {
        let to = url::Url::parse(self.header("location")?).unwrap();
        to.query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

pub fn authorize_path(provider: Provider) -> &'static str {
    match provider {
        Provider::Slack => "/slack/oauth/v2/authorize",
        Provider::Google => "/google/o/oauth2/v2/auth",
        Provider::Salesforce => "/salesforce/services/oauth2/authorize",
    }
}

pub fn token_path(provider: Provider) -> &'static str {
    match provider {
        Provider::Slack => "/slack/api/oauth.v2.access",
        Provider::Google => "/google/token",
        Provider::Salesforce => "/salesforce/services/oauth2/token",
    }
}

/// Scopes that open everything the tests ask for.
pub fn all_scopes(provider: Provider) -> &'static str {
    match provider {
        Provider::Slack => "channels:read,channels:history,chat:write,users:read,users:read.email",
        Provider::Google => {
            "openid email https://www.googleapis.com/auth/calendar https://www.googleapis.com/auth/gmail.modify"
        }
        Provider::Salesforce => "api id refresh_token",
    }
}

pub fn encoded(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

impl World {
    #[expect(
        clippy::disallowed_methods,
        reason = "this client only ever talks to the sandbox it started"
    )]
    pub async fn start() -> World {
        let clock = Arc::new(AtomicI64::new(START));
        let read = clock.clone();
        let seed = AtomicU8::new(1);
        let mut config = Config::new(
            Arc::new(move || read.load(Ordering::SeqCst)),
            Arc::new(move |buffer| buffer.fill(seed.fetch_add(1, Ordering::SeqCst))),
        );
        for provider in Provider::ALL {
            config
                .clients
                .push(Client::new(provider, "app", "s3cret & more", [REDIRECT]));
        }
        let sandbox = Sandbox::start(config).await.unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        World {
            control: sandbox.control(),
            sandbox,
            clock,
            http,
        }
    }

    pub fn wind_seconds(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    pub fn now(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Answer, reqwest::Error> {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.sandbox.url())
        };
        let mut request = self.http.request(method.parse().unwrap(), url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Answer {
            status,
            headers,
            text: answer.text().await?,
        })
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        self.try_send(method, path, headers, body).await.unwrap()
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(
            "GET",
            path,
            &[("authorization", &format!("Bearer {token}"))],
            String::new(),
        )
        .await
    }

    pub async fn post_json(&self, path: &str, token: &str, body: Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        self.send("POST", path, &headers, body.to_string()).await
    }

    pub async fn try_form(
        &self,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Answer, reqwest::Error> {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.try_send("POST", path, &headers, encoded(fields)).await
    }

    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.try_form(path, fields).await.unwrap()
    }

    /// The authorization URL's path and query, with PKCE and `state=st`.
    pub fn authorize_url(&self, provider: Provider, more: &[(&str, &str)]) -> String {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut fields = more.to_vec();
        let defaults = [
            ("client_id", "app"),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("state", "st"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("scope", all_scopes(provider)),
            ("access_type", "offline"),
        ];
        for (name, value) in defaults {
            if !more.iter().any(|(key, _)| *key == name) {
                fields.push((name, value));
            }
        }
        format!("{}?{}", authorize_path(provider), encoded(&fields))
    }

    /// Plays Ada's consent; answers the code.
    pub async fn code(&self, provider: Provider, more: &[(&str, &str)]) -> String {
        let answer = self
            .form(
                &self.authorize_url(provider, more),
                &[("email", "ada@example.com")],
            )
            .await;
        assert_eq!(answer.status, 302, "{}", answer.text);
        answer.redirected_with("code").unwrap()
    }

    pub async fn exchange(&self, provider: Provider, code: &str) -> Answer {
        self.form(
            token_path(provider),
            &[
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", REDIRECT),
                ("code_verifier", VERIFIER),
                ("client_id", "app"),
                ("client_secret", "s3cret & more"),
            ],
        )
        .await
    }

    /// Consent and exchange: the token answer for Ada.
    pub async fn link(&self, provider: Provider, more: &[(&str, &str)]) -> Value {
        let code = self.code(provider, more).await;
        let answer = self.exchange(provider, &code).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    pub async fn try_refresh(
        &self,
        provider: Provider,
        token: &str,
    ) -> Result<Answer, reqwest::Error> {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", "app"),
            ("client_secret", "s3cret & more"),
        ];
        self.try_form(token_path(provider), &fields).await
    }

    pub async fn refresh(&self, provider: Provider, token: &str) -> Answer {
        self.try_refresh(provider, token).await.unwrap()
    }

    /// The same with client authentication by HTTP Basic.
    pub async fn refresh_with_basic(&self, provider: Provider, token: &str) -> Answer {
        let basic = format!("Basic {}", BASE64_STANDARD.encode("app:s3cret+%26+more"));
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", basic.as_str()),
        ];
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.send("POST", token_path(provider), &headers, encoded(&fields))
            .await
    }
}

/// The text at a member of a JSON object.
pub fn text(value: &Value, member: &str) -> String {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member} in {value}"))
        .to_owned()
}

/// Salesforce's only words for a session that is over.
pub fn invalid_session() -> Value {
    json!([{ "message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID" }])
}
