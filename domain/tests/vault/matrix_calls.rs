//! Faults that strike a call through the proxy: what the agent is told, and what it never sees.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use domain::oauth::RequestHead;
use domain::secret::Secret;
use domain::vault::proxy::{self, ProxyAnswer, ProxyRequest};
use domain::vault::{AccessMode, Account, Error, TokenKind, fresh_token};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use sandbox::{Fault, Provider, Target, Times};

use crate::permission::give;
use crate::stage::{Stage, connection};

/// An agent that Ada lets call.
struct Caller {
    stage: Stage,
    provider: Provider,
    token: Secret<String>,
    account: Account,
}

/// What the agent is told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Answer(u16),
    /// Nobody knows whether it was done.
    Unknown,
    TooLarge,
    Refused(String),
    Reconnect,
    Other(String),
}

impl Caller {
    async fn of(provider: Provider) -> Self {
        let stage = Stage::new().await;
        let (client, _) = stage.bench.client("Agent").await;
        let audience = stage.settings.proxy_audience();
        let token = stage
            .bench
            .access_token(&client, Some(&stage.ada), &audience, &[]);
        let account = stage.link(provider).await;
        give(&stage, &client.id, &account, AccessMode::Call).await;
        Self {
            stage,
            provider,
            token,
            account,
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: &'static str,
    ) -> Result<ProxyAnswer, proxy::Error> {
        let mut headers = HeaderMap::new();
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = ProxyRequest {
            connection: connection(self.provider).to_owned(),
            host: None,
            method,
            path_and_query: path.to_owned(),
            headers,
            body: Bytes::from_static(body.as_bytes()),
        };
        proxy::call(
            &self.stage,
            &RequestHead::bearer(self.token.expose()),
            request,
        )
        .await
    }

    async fn list(&self) -> Result<ProxyAnswer, proxy::Error> {
        let path = match self.provider {
            Provider::Slack => "/conversations.list",
            _ => "/calendar/v3/calendars/primary/events",
        };
        self.call(Method::GET, path, "").await
    }

    fn strike(&self, fault: Fault, times: Times) {
        self.stage
            .control
            .set_fault_on(self.provider, Target::Api, fault, times);
    }

    /// The provider's token, which no agent may see.
    async fn credential(&self) -> String {
        fresh_token(&self.stage, &self.account.id, TokenKind::User)
            .await
            .unwrap()
            .access
            .expose()
            .clone()
    }
}

fn told(answer: &Result<ProxyAnswer, proxy::Error>) -> Told {
    match answer {
        Ok(answer) => Told::Answer(answer.status.as_u16()),
        Err(proxy::Error::Unknown) => Told::Unknown,
        Err(proxy::Error::TooLarge(_)) => Told::TooLarge,
        Err(proxy::Error::Vault(Error::ProviderRefused { code, .. })) => {
            Told::Refused(code.clone())
        }
        Err(proxy::Error::Vault(Error::Reconnect { .. })) => Told::Reconnect,
        Err(other) => Told::Other(other.to_string()),
    }
}

#[tokio::test]
async fn an_agent_is_told_what_became_of_its_call() {
    let google = Caller::of(Provider::Google).await;
    let encoded = Told::Refused("content_encoding".to_owned());
    let checks = [
        // The entry says that a 401 was not carried out: asked again with a new token.
        (Fault::Unauthorized, Times::Once, Told::Answer(200)),
        (Fault::SessionExpired, Times::Once, Told::Answer(200)),
        (Fault::Unauthorized, Times::Always, Told::Answer(401)),
        (Fault::Forbidden, Times::Once, Told::Answer(403)),
        (Fault::InsufficientScope, Times::Once, Told::Answer(403)),
        (Fault::ServerError, Times::Once, Told::Answer(500)),
        (Fault::BadGateway, Times::Once, Told::Answer(502)),
        (Fault::GatewayTimeout, Times::Once, Told::Answer(504)),
        (Fault::RateLimitedBare, Times::Once, Told::Answer(429)),
        (
            Fault::MaintenancePage { retry_after: 9 },
            Times::Once,
            Told::Answer(503),
        ),
        (Fault::RedirectAway, Times::Once, Told::Answer(302)),
        (Fault::HtmlPage, Times::Once, Told::Answer(200)),
        (Fault::EmptyBody, Times::Once, Told::Answer(200)),
        (Fault::NoContent, Times::Once, Told::Answer(204)),
        (Fault::TruncatedJson, Times::Once, Told::Answer(200)),
        (Fault::SlowDrip { ms: 0 }, Times::Once, Told::Answer(200)),
        (
            Fault::HugeHeaders { kib: 32 },
            Times::Once,
            Told::Answer(200),
        ),
        (Fault::Continue100, Times::Once, Told::Answer(200)),
        (Fault::EarlyHints, Times::Once, Told::Answer(200)),
        (Fault::RequestLost, Times::Once, Told::Unknown),
        (Fault::ConnectionReset, Times::Once, Told::Unknown),
        (
            Fault::ConnectionResetAfterRotation,
            Times::Once,
            Told::Unknown,
        ),
        (Fault::ClosedMidHeaders, Times::Once, Told::Unknown),
        (Fault::BodyCutOff, Times::Once, Told::Unknown),
        (Fault::ChunkedWithoutEnd, Times::Once, Told::Unknown),
        (Fault::EndlessStream, Times::Once, Told::TooLarge),
        // What comes compressed could not be scrubbed.
        (Fault::GzipUnasked, Times::Once, encoded),
        (Fault::RevokedByPerson, Times::Once, Told::Reconnect),
    ];
    for (fault, times, meant) in checks {
        google.strike(fault, times);
        let answer = google.list().await;
        assert_eq!(told(&answer), meant, "{fault}");
        google.stage.control.clear();
        let again = told(&google.list().await);
        let over = meant == Told::Reconnect;
        let fine = if over { meant } else { Told::Answer(200) };
        assert_eq!(again, fine, "after {fault}");
    }
    assert!(google.stage.control.followed_redirects().is_empty());
}

#[tokio::test]
async fn a_credential_that_a_provider_says_back_never_reaches_the_agent() {
    for provider in [Provider::Slack, Provider::Google] {
        let caller = Caller::of(provider).await;
        let credential = caller.credential().await;
        for fault in [
            Fault::EchoInBody,
            Fault::EchoInHeader,
            Fault::EchoAcrossChunks,
        ] {
            caller.strike(fault, Times::Once);
            let answer = caller.list().await.unwrap();
            assert_eq!(answer.status, 200);
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            let headers: String = answer
                .headers
                .iter()
                .map(|(name, value)| {
                    format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
                })
                .collect();
            let echoed = body + &headers;
            for form in [credential.clone(), BASE64_STANDARD.encode(&credential)] {
                assert!(!echoed.contains(&form), "{provider} {fault}: {echoed}");
            }
            assert!(echoed.contains("[removed]"), "{provider} {fault}");
        }
    }
}

#[tokio::test]
async fn what_is_for_the_next_hop_or_a_browser_stays_here() {
    let google = Caller::of(Provider::Google).await;
    for (fault, dropped) in [
        (
            Fault::HopByHopHeaders,
            &[
                "connection",
                "keep-alive",
                "proxy-connection",
                "proxy-authenticate",
                "te",
                "upgrade",
                "x-internal-route",
            ][..],
        ),
        (Fault::SetsCookie, &["set-cookie"]),
        (Fault::InsufficientScope, &["www-authenticate"]),
    ] {
        google.strike(fault, Times::Once);
        let answer = google.list().await.unwrap();
        for name in dropped {
            assert!(!answer.headers.contains_key(*name), "{fault}: {name}");
        }
    }
}

#[tokio::test]
async fn a_refusal_that_comes_after_the_work_does_not_do_it_twice() {
    let slack = Caller::of(Provider::Slack).await;
    slack.strike(Fault::UnauthorizedAfterWork, Times::Once);
    let message = r#"{"channel":"general","text":"once"}"#;
    let answer = slack.call(Method::POST, "/chat.postMessage", message).await;
    assert_eq!(told(&answer), Told::Answer(401));
    assert_eq!(slack.stage.control.posted_messages().len(), 1);
}
