//! Token exchange for a linked account's token, through the sandbox.

use std::sync::Arc;
use std::time::Duration;

use domain::oauth::token::{EXCHANGE_AUTH0, EXCHANGE_RFC};
use sandbox::{Provider, Target};

use crate::house::{Agent, Answer, GOOGLE, House};

const REFRESH: &str = "urn:ietf:params:oauth:token-type:refresh_token";
const SCOPE: &str = "openid offline_access";

async fn refresh_token(house: &House, agent: &Agent) -> String {
    let tokens = house.bench.tokens(&agent.client, &house.ada, SCOPE).await;
    tokens.refresh_token.unwrap().expose().clone()
}

async fn exchange(house: &House, agent: &Agent, urn: &str, subject: &str, to: &str) -> Answer {
    let fields = [
        ("grant_type", urn),
        ("subject_token", subject),
        ("subject_token_type", REFRESH),
        ("connection", to),
    ];
    house.token(agent, &fields).await
}

#[tokio::test]
async fn both_names_of_the_exchange_give_the_providers_token() {
    let house = House::open().await;
    let sandbox = house.sandbox().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    house.link(GOOGLE, &cookie, &agent, "release").await;
    let subject = refresh_token(&house, &agent).await;
    for urn in [EXCHANGE_RFC, EXCHANGE_AUTH0] {
        let answer = exchange(&house, &agent, urn, &subject, GOOGLE).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store");
        let token = answer.text("access_token");
        let issued = sandbox.control().issued_tokens();
        assert!(issued.iter().any(|issued| issued.token == token));
        assert!(answer.json()["expires_in"].as_i64().unwrap() > 0);
        assert!(answer.json().get("refresh_token").is_none());
    }
}

#[tokio::test]
async fn a_refused_exchange_says_why_in_the_words_of_its_name() {
    let house = House::open().await;
    let sandbox = house.sandbox().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    let subject = refresh_token(&house, &agent).await;
    let ask = async |urn: &str, subject: &str, to: &str| {
        exchange(&house, &agent, urn, subject, to).await.error()
    };
    let is = |status: u16, code: &str| (status, code.to_owned());
    let invalid = is(400, "invalid_request");
    assert_eq!(ask(EXCHANGE_RFC, "nonsense", GOOGLE).await, invalid);
    let grant = is(400, "invalid_grant");
    assert_eq!(ask(EXCHANGE_AUTH0, "nonsense", GOOGLE).await, grant);
    let target = is(400, "invalid_target");
    assert_eq!(ask(EXCHANGE_RFC, &subject, "nowhere").await, target);
    assert_eq!(ask(EXCHANGE_AUTH0, &subject, "nowhere").await, invalid);
    assert_eq!(ask(EXCHANGE_RFC, &subject, "").await, invalid);
    let none = exchange(&house, &agent, EXCHANGE_RFC, &subject, GOOGLE).await;
    let code = "federated_connection_refresh_token_not_found";
    assert_eq!(none.error(), is(401, code));
    assert!(none.text("link").starts_with(house.issuer()));
    // The account is there, but only for calls.
    house.link(GOOGLE, &cookie, &agent, "call").await;
    let code = "federated_connection_permission_required";
    assert_eq!(ask(EXCHANGE_RFC, &subject, GOOGLE).await, is(403, code));
    // Somebody else's refresh token buys nothing.
    let thief = house.agent().await;
    let stolen = exchange(&house, &thief, EXCHANGE_RFC, &subject, GOOGLE).await;
    assert_eq!(stolen.error(), invalid);
    // The person took the grant back at the provider.
    house.link(GOOGLE, &cookie, &agent, "release").await;
    sandbox
        .control()
        .revoke(Provider::Google, "ada@example.com");
    house.bench.advance(Duration::from_secs(3600));
    let failed = exchange(&house, &agent, EXCHANGE_RFC, &subject, GOOGLE).await;
    let code = "federated_connection_refresh_token_flow_failed";
    assert_eq!(failed.error(), is(401, code));
    assert!(!failed.text("reason").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_exchanges_of_an_expired_token_reach_the_provider_once() {
    let house = Arc::new(House::open().await);
    let sandbox = house.sandbox().await;
    let agent = Arc::new(house.agent().await);
    let cookie = house.signed_in(&house.ada).await;
    house.link(GOOGLE, &cookie, &agent, "release").await;
    let subject = refresh_token(&house, &agent).await;
    house.bench.advance(Duration::from_secs(3600));
    let gate = sandbox.control().gate_on(Provider::Google, Target::Refresh);
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (house, agent, subject) = (house.clone(), agent.clone(), subject.clone());
            tokio::spawn(
                async move { exchange(&house, &agent, EXCHANGE_RFC, &subject, GOOGLE).await },
            )
        })
        .collect();
    gate.arrived(1).await;
    gate.release();
    let mut tokens = Vec::new();
    for caller in callers {
        let answer = caller.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        tokens.push(answer.text("access_token"));
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    let calls = sandbox
        .control()
        .token_calls(Provider::Google, "refresh_token");
    assert_eq!(calls, 1);
}
