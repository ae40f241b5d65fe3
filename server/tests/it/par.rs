//! `/oauth/par`: requests that are pushed.

use domain::oauth::{ClientMetadata, NewClient, Source};
use domain::testing::CHALLENGE;

use crate::house::{Agent, Answer, House, form};

const CALLBACK: &str = "https://agent.test/callback";

async fn push(house: &House, agent: &Agent, change: &[(&str, &str)]) -> Answer {
    let mut fields = vec![
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid"),
        ("state", "s1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in change {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    house.post_authenticated("/oauth/par", agent, &fields).await
}

fn address(agent: &Agent, request_uri: &str) -> String {
    let query = form(&[
        ("client_id", agent.client.id.as_str()),
        ("request_uri", request_uri),
    ]);
    format!("/authorize?{query}")
}

#[tokio::test]
async fn what_was_pushed_is_put_before_the_person_and_answered_once() {
    let house = House::open().await;
    let agent = house.agent().await;
    let pushed = push(&house, &agent, &[]).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    assert_eq!(pushed.header("cache-control"), "no-store");
    assert!(pushed.json()["expires_in"].as_i64().unwrap() > 0);
    let uri = pushed.text("request_uri");
    let cookie = house.signed_in(&house.ada).await;
    // What is in the query beside it changes nothing.
    let sneaked = format!(
        "{}&scope=openid+email&redirect_uri=https://evil.example/",
        address(&agent, &uri)
    );
    for page in [address(&agent, &uri), sneaked] {
        let page = house.get(&page, &cookie).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("Release bot"));
    }
    let fields = [
        ("client_id", agent.client.id.as_str()),
        ("request_uri", uri.as_str()),
        ("decision", "allow"),
    ];
    let allowed = house.post("/authorize/decision", &cookie, &fields).await;
    assert!(allowed.location().starts_with(CALLBACK), "{}", allowed.body);
    assert!(allowed.location().contains("code=") && allowed.location().contains("state=s1"));
    let again = house.post("/authorize/decision", &cookie, &fields).await;
    assert_eq!(again.status, 400, "it was answered");
    assert_eq!(house.get(&address(&agent, &uri), &cookie).await.status, 400);
}

#[tokio::test]
async fn a_request_that_cannot_be_is_refused_when_it_is_pushed() {
    let house = House::open().await;
    let agent = house.agent().await;
    for (change, code) in [
        (("redirect_uri", "https://evil.example/"), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "openid admin"), "invalid_scope"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (
            ("request_uri", "urn:ietf:params:oauth:request_uri:x"),
            "invalid_request",
        ),
        (("request", "eyJ"), "request_not_supported"),
    ] {
        let answer = push(&house, &agent, &[change]).await;
        assert_eq!(answer.error(), (400, code.to_owned()), "{change:?}");
    }
    let stranger = Agent {
        secret: "att_cs_wrong".into(),
        ..house.agent().await
    };
    assert_eq!(push(&house, &stranger, &[]).await.error().0, 401);
}

#[tokio::test]
async fn a_pushed_request_is_its_clients_own_and_runs_out() {
    let house = House::open().await;
    let (agent, other) = (house.agent().await, house.agent().await);
    let uri = push(&house, &agent, &[]).await.text("request_uri");
    let cookie = house.signed_in(&house.ada).await;
    assert_eq!(house.get(&address(&other, &uri), &cookie).await.status, 400);
    house.bench.advance(std::time::Duration::from_secs(601));
    assert_eq!(house.get(&address(&agent, &uri), &cookie).await.status, 400);
    let foreign = address(&agent, "https://client.example/request.jwt");
    let told = house.get(&foreign, &cookie).await;
    assert!(told.location().contains("error=request_uri_not_supported"));
}

#[tokio::test]
async fn a_sign_in_that_a_pushed_request_asks_for_is_asked_for_once() {
    let house = House::open().await;
    let agent = house.agent().await;
    let before = house.signed_in(&house.ada).await;
    house.bench.advance(std::time::Duration::from_secs(5));
    let uri = push(&house, &agent, &[("prompt", "login")])
        .await
        .text("request_uri");
    let asked = house.get(&address(&agent, &uri), &before).await;
    assert!(asked.location().starts_with("/sign-in"));
    house.bench.advance(std::time::Duration::from_secs(5));
    let after = house.signed_in(&house.ada).await;
    assert_eq!(house.get(&address(&agent, &uri), &after).await.status, 200);
}

#[tokio::test]
async fn a_client_that_must_push_is_not_taken_by_the_query() {
    let house = House::open().await;
    let new = NewClient {
        redirect_uris: vec![CALLBACK.to_owned()],
        metadata: ClientMetadata {
            require_pushed_authorization_requests: true,
            ..ClientMetadata::default()
        },
        ..NewClient::confidential("Careful", Source::Admin)
    };
    let (client, secret) = house.bench.register(new).await;
    let agent = Agent { client, secret };
    let cookie = house.signed_in(&house.ada).await;
    let plain = format!(
        "/authorize?{}",
        form(&[
            ("response_type", "code"),
            ("client_id", agent.client.id.as_str()),
            ("redirect_uri", CALLBACK),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ])
    );
    assert_eq!(house.get(&plain, &cookie).await.status, 400);
    let uri = push(&house, &agent, &[]).await.text("request_uri");
    assert_eq!(house.get(&address(&agent, &uri), &cookie).await.status, 200);
}
