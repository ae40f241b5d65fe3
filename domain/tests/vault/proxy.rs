use bytes::Bytes;
use domain::oauth::{Client, RequestHead};
use domain::secret::Secret;
use domain::vault::connections;
use domain::vault::permissions::{self, CallRule, Give};
use domain::vault::proxy::{self, ProxyAnswer, ProxyRequest};
use domain::vault::{AccessMode, Account, Error, Reason};
use http::{HeaderMap, Method, StatusCode};
use sandbox::{Fault, Provider, Target, Times};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::permission::give;
use crate::stage::{Stage, connection, new_connection};

async fn agent(stage: &Stage) -> (Client, Secret<String>) {
    let (client, _) = stage.bench.client("Agent").await;
    let audience = stage.settings.proxy_audience();
    let token = stage
        .bench
        .access_token(&client, Some(&stage.ada), &audience, &[]);
    (client, token)
}

fn get(provider: Provider, path: &str) -> ProxyRequest {
    ProxyRequest {
        connection: connection(provider).to_owned(),
        host: None,
        method: Method::GET,
        path_and_query: path.to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
    }
}

fn json(answer: &ProxyAnswer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn a_call_goes_out_with_the_provider_token_and_comes_back_without() {
    let stage = Stage::new().await;
    let (client, token) = agent(&stage).await;
    let account = stage.link(Provider::Slack).await;
    give(&stage, &client.id, &account, AccessMode::Call).await;
    let mut request = get(Provider::Slack, "/conversations.list?limit=2");
    for (name, value) in [
        ("authorization", format!("Bearer {}", token.expose())),
        ("cookie", "a=b".to_owned()),
        ("x-forwarded-for", "10.0.0.1".to_owned()),
        ("x-mine", "kept".to_owned()),
    ] {
        request
            .headers
            .insert(http::HeaderName::from_static(name), value.parse().unwrap());
    }
    let answer = proxy::call(&stage, &RequestHead::bearer(token.expose()), request)
        .await
        .unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(json(&answer)["channels"][0]["name"], "general");
    let seen = stage.control.requests(Provider::Slack).pop().unwrap();
    assert!(!format!("{:?}", seen.headers).contains(token.expose()));
    assert_eq!(seen.header("x-mine"), Some("kept"));
    assert_eq!(
        (seen.header("cookie"), seen.header("x-forwarded-for")),
        (None, None)
    );
    assert_eq!(stage.events("call.made").await, 1);
}

#[tokio::test]
async fn every_api_of_a_provider_can_be_reached_under_its_host() {
    let stage = Stage::new().await;
    let (client, token) = agent(&stage).await;
    for provider in [Provider::Google, Provider::Salesforce] {
        let account = stage.link(provider).await;
        give(&stage, &client.id, &account, AccessMode::Call).await;
    }
    let calendar = get(Provider::Google, "/calendar/v3/calendars/primary/events");
    assert_eq!(
        proxy::call(&stage, &RequestHead::bearer(token.expose()), calendar)
            .await
            .unwrap()
            .status,
        StatusCode::OK
    );
    let mut mail = get(Provider::Google, "/gmail/v1/users/me/messages");
    mail.host = Some("gmail.googleapis.com".to_owned());
    assert_eq!(
        proxy::call(&stage, &RequestHead::bearer(token.expose()), mail)
            .await
            .unwrap()
            .status,
        StatusCode::OK
    );
    let query = "/services/data/v60.0/query?q=SELECT+Id,+Name+FROM+Opportunity";
    let answer = proxy::call(
        &stage,
        &RequestHead::bearer(token.expose()),
        get(Provider::Salesforce, query),
    )
    .await
    .unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
}

#[tokio::test]
async fn nothing_passes_without_permission() {
    let stage = Stage::new().await;
    let (client, token) = agent(&stage).await;
    let list = || get(Provider::Slack, "/conversations.list");
    let refused = proxy::call(&stage, &RequestHead::bearer(token.expose()), list()).await;
    assert!(matches!(
        refused,
        Err(proxy::Error::Vault(Error::NoAccount { .. }))
    ));
    let account = stage.link(Provider::Slack).await;
    let before = stage.control.requests(Provider::Slack).len();
    let needs = async |request| {
        matches!(
            proxy::call(&stage, &RequestHead::bearer(token.expose()), request).await,
            Err(proxy::Error::Vault(Error::PermissionRequired { .. }))
        )
    };
    assert!(needs(list()).await);
    let rules = Give {
        person_id: account.person_id.clone(),
        client_id: client.id.clone(),
        account_id: account.id.clone(),
        access_mode: AccessMode::Call,
        scopes: None,
        calls: Some(vec![CallRule {
            methods: vec!["GET".to_owned()],
            path: "/conversations.*".to_owned(),
        }]),
    };
    permissions::give(&stage, rules).await.unwrap();
    assert!(needs(get(Provider::Slack, "/users.info?user=U1")).await);
    let mut post = list();
    post.method = Method::POST;
    assert!(needs(post).await);
    assert_eq!(
        stage.control.requests(Provider::Slack).len(),
        before,
        "nothing was sent"
    );
    proxy::call(&stage, &RequestHead::bearer(token.expose()), list())
        .await
        .unwrap();
    assert_eq!(stage.events("call.refused").await, 3);
}

#[tokio::test]
async fn a_token_for_another_audience_or_nobody_is_refused() {
    let stage = Stage::new().await;
    let (client, _) = agent(&stage).await;
    let account = stage.link(Provider::Slack).await;
    give(&stage, &client.id, &account, AccessMode::Call).await;
    let audience = stage.settings.proxy_audience();
    let elsewhere =
        stage
            .bench
            .access_token(&client, Some(&stage.ada), "https://attorn.test/me/", &[]);
    let nobody = stage.bench.access_token(&client, None, &audience, &[]);
    for token in [elsewhere.expose().as_str(), nobody.expose(), "nonsense", ""] {
        let refused = proxy::call(
            &stage,
            &RequestHead::bearer(token),
            get(Provider::Slack, "/conversations.list"),
        )
        .await;
        assert!(matches!(refused, Err(proxy::Error::Token(_))));
    }
}

#[tokio::test]
async fn other_hosts_and_crooked_requests_are_refused() {
    let stage = Stage::new().await;
    let (client, token) = agent(&stage).await;
    let account = stage.link(Provider::Google).await;
    give(&stage, &client.id, &account, AccessMode::Call).await;
    let before = stage.control.requests(Provider::Google).len();
    let mut crooked = Vec::new();
    for path in [
        "/a/../b",
        "/a/%2e%2e/b",
        "/a%2Fb",
        "//evil.example/x",
        "/a\\b",
        "@evil.example/",
        ".evil.example/",
        "",
    ] {
        crooked.push(get(Provider::Google, path));
    }
    let mut other = get(Provider::Google, "/x");
    other.host = Some("evil.example".to_owned());
    crooked.push(other);
    let mut overridden = get(Provider::Google, "/x");
    overridden
        .headers
        .insert("x-http-method-override", "DELETE".parse().unwrap());
    crooked.push(overridden);
    let mut connect = get(Provider::Google, "/x");
    connect.method = Method::CONNECT;
    crooked.push(connect);
    for request in crooked {
        let path = request.path_and_query.clone();
        let refused = proxy::call(&stage, &RequestHead::bearer(token.expose()), request).await;
        assert!(
            matches!(
                refused,
                Err(proxy::Error::Refused(_) | proxy::Error::Vault(Error::Invalid(_)))
            ),
            "{path}"
        );
    }
    assert_eq!(
        stage.control.requests(Provider::Google).len(),
        before,
        "nothing was sent"
    );
}

#[tokio::test]
async fn a_401_that_was_not_carried_out_is_answered_by_a_fresh_token() {
    let stage = Stage::new().await;
    let (client, token) = agent(&stage).await;
    for provider in [Provider::Google, Provider::Salesforce] {
        let account = stage.link(provider).await;
        give(&stage, &client.id, &account, AccessMode::Call).await;
        stage.control.expire_access_tokens(provider);
        let path = match provider {
            Provider::Google => "/calendar/v3/calendars/primary/events",
            _ => "/services/data/v60.0/query?q=SELECT+Id+FROM+Opportunity",
        };
        let answer = proxy::call(
            &stage,
            &RequestHead::bearer(token.expose()),
            get(provider, path),
        )
        .await
        .unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{provider}");
        assert_eq!(stage.refreshes(provider), 1, "{provider}");
    }
}

#[tokio::test]
async fn what_the_person_revoked_is_noticed_by_the_next_call() {
    let stage = Stage::new().await;
    let (client, token) = agent(&stage).await;
    for provider in Provider::ALL {
        let account = stage.link(provider).await;
        give(&stage, &client.id, &account, AccessMode::Call).await;
        stage.control.revoke(provider, "ada@example.com");
        let path = match provider {
            Provider::Slack => "/conversations.list",
            Provider::Google => "/calendar/v3/calendars/primary/events",
            Provider::Salesforce => "/services/data/v60.0/query?q=SELECT+Id+FROM+Opportunity",
        };
        for _ in 0..2 {
            let refused = proxy::call(
                &stage,
                &RequestHead::bearer(token.expose()),
                get(provider, path),
            )
            .await;
            let reason = match refused {
                Err(proxy::Error::Vault(Error::Reconnect { reason, .. })) => reason,
                Err(error) => panic!("{provider}: {error}"),
                Ok(answer) => panic!("{provider}: {}", answer.status),
            };
            assert_eq!(reason, Reason::Revoked);
        }
        assert_eq!(stage.state(&account).await.0, "reconnect");
    }
}

#[tokio::test]
async fn a_providers_errors_are_passed_on_and_ours_are_typed() {
    let stage = Stage::new().await;
    let (client, token) = agent(&stage).await;
    let account = stage.link(Provider::Google).await;
    give(&stage, &client.id, &account, AccessMode::Call).await;
    let path = "/calendar/v3/calendars/primary/events";
    let call = async || {
        proxy::call(
            &stage,
            &RequestHead::bearer(token.expose()),
            get(Provider::Google, path),
        )
        .await
    };
    stage.control.set_fault_on(
        Provider::Google,
        Target::Api,
        Fault::Unavailable,
        Times::Once,
    );
    assert_eq!(
        call().await.unwrap().status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    stage.control.set_fault_on(
        Provider::Google,
        Target::Api,
        Fault::RateLimited { retry_after: 9 },
        Times::Once,
    );
    let limited = call().await.unwrap();
    assert_eq!(
        (
            limited.status,
            limited.headers["retry-after"].to_str().unwrap()
        ),
        (StatusCode::TOO_MANY_REQUESTS, "9")
    );
    stage.control.set_fault_on(
        Provider::Google,
        Target::Api,
        Fault::AnswerLostAfterRotation,
        Times::Once,
    );
    assert!(matches!(call().await, Err(proxy::Error::Unknown)));
    stage.control.set_fault_on(
        Provider::Google,
        Target::Api,
        Fault::HugeBody { mib: 26 },
        Times::Once,
    );
    assert!(matches!(call().await, Err(proxy::Error::TooLarge(_))));
}

/// A provider's API that says back what it was told; `/away` redirects.
async fn echo() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = Vec::new();
            while !heard.windows(4).any(|end| end == b"\r\n\r\n") {
                if stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let text = String::from_utf8_lossy(&heard).into_owned();
            let token = text
                .lines()
                .find_map(|line| line.strip_prefix("authorization: Bearer "))
                .unwrap_or_default()
                .to_owned();
            let status = if text.starts_with("GET /deep/away") {
                "302 Found"
            } else {
                "200 OK"
            };
            let quoted = serde_json::to_string(&text).unwrap();
            let answer = format!(
                "HTTP/1.1 {status}\r\nlocation: https://elsewhere.example/?t={token}\r\nset-cookie: a=b\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{quoted}",
                quoted.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    base
}

#[tokio::test]
async fn an_echo_of_the_token_is_removed_and_a_redirect_is_not_followed() {
    let stage = Stage::new().await;
    let (client, token) = agent(&stage).await;
    let base = format!("{}/slack", stage.sandbox.url());
    let mut new = new_connection(Provider::Slack, &base);
    new.overrides.api_base = Some(format!("{}/deep", echo().await));
    connections::put(&stage, new).await.unwrap();
    let account: Account = stage.link(Provider::Slack).await;
    give(&stage, &client.id, &account, AccessMode::Call).await;
    for path in ["/x%20y?q=a%2Fb", "/z"] {
        let answer = proxy::call(
            &stage,
            &RequestHead::bearer(token.expose()),
            get(Provider::Slack, path),
        )
        .await
        .unwrap();
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(
            text.contains(&format!("GET /deep{path} HTTP/1.1")),
            "{text}"
        );
        assert!(text.contains("authorization: Bearer [removed]"), "{text}");
        for issued in stage.control.issued_tokens() {
            assert!(!text.contains(&issued.token));
            assert!(!format!("{:?}", answer.headers).contains(&issued.token));
        }
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    let answer = proxy::call(
        &stage,
        &RequestHead::bearer(token.expose()),
        get(Provider::Slack, "/away"),
    )
    .await
    .unwrap();
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(
        answer.headers["location"],
        "https://elsewhere.example/?t=[removed]"
    );
}
