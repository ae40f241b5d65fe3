//! How often is too often: 429 with `Retry-After`, and nobody else pays for it.

use std::time::Duration;

use domain::limits::Quotas;
use serde_json::json;

use crate::house::{Agent, Answer, House};

const CREDENTIALS: [(&str, &str); 1] = [("grant_type", "client_credentials")];

fn too_often(answer: &Answer) -> u64 {
    assert_eq!(answer.error(), (429, "too_many_requests".to_owned()));
    let seconds = answer.header("retry-after").parse().unwrap();
    assert!(seconds >= 1);
    seconds
}

async fn ask(house: &House, agent: &Agent, person: &str) -> Answer {
    let fields = [("scope", "openid"), ("login_hint", person)];
    house
        .post_authenticated("/bc-authorize", agent, &fields)
        .await
}

#[tokio::test]
async fn a_client_that_asks_without_end_is_slowed_and_another_is_not() {
    let house = House::with_quotas(Quotas {
        client_per_second: 1,
        ..Quotas::default()
    })
    .await;
    let (hasty, other) = (house.agent().await, house.agent().await);
    for _ in 0..10 {
        assert_eq!(house.token(&hasty, &CREDENTIALS).await.status, 200);
    }
    let seconds = too_often(&house.token(&hasty, &CREDENTIALS).await);
    assert_eq!(house.token(&other, &CREDENTIALS).await.status, 200);
    house.bench.advance(Duration::from_secs(seconds));
    assert_eq!(house.token(&hasty, &CREDENTIALS).await.status, 200);
}

#[tokio::test]
async fn who_guesses_a_secret_is_kept_out_for_a_while() {
    let house = House::with_quotas(Quotas {
        wrong_proofs_per_minute: 1,
        ..Quotas::default()
    })
    .await;
    let (agent, other) = (house.agent().await, house.agent().await);
    let guess = Agent {
        client: agent.client.clone(),
        secret: "att_cs_guess".into(),
    };
    for _ in 0..10 {
        let refused = house.token(&guess, &CREDENTIALS).await;
        assert_eq!(refused.error(), (401, "invalid_client".to_owned()));
    }
    let seconds = too_often(&house.token(&guess, &CREDENTIALS).await);
    // From there not even the right one is taken; a guess must not tell.
    too_often(&house.token(&agent, &CREDENTIALS).await);
    assert_eq!(house.token(&other, &CREDENTIALS).await.status, 200);
    house.bench.advance(Duration::from_secs(seconds));
    assert_eq!(house.token(&agent, &CREDENTIALS).await.status, 200);
}

#[tokio::test]
async fn a_flood_against_one_person_is_slowed_and_does_not_lock_them_out() {
    let house = House::with_quotas(Quotas {
        approvals_waiting: 5,
        ..Quotas::default()
    })
    .await;
    let (flood, other) = (house.agent().await, house.agent().await);
    let bob = house.bench.person("bob@example.com").await;
    for (agent, person) in [(&flood, &house.ada), (&flood, &bob), (&other, &house.ada)] {
        house.bench.tokens(&agent.client, person, "openid").await;
    }
    for _ in 0..5 {
        assert_eq!(ask(&house, &flood, &house.ada.email).await.status, 200);
    }
    let refused = ask(&house, &flood, &house.ada.email).await;
    let seconds = too_often(&refused);
    assert_eq!(refused.text("reason"), "too_many_pending");
    // Ada is still there for others, and the flood for others than Ada.
    assert_eq!(ask(&house, &other, &house.ada.email).await.status, 200);
    assert_eq!(ask(&house, &flood, &bob.email).await.status, 200);
    house.bench.advance(Duration::from_secs(seconds));
    assert_eq!(ask(&house, &flood, &house.ada.email).await.status, 200);
}

#[tokio::test]
async fn requests_that_are_denied_at_once_are_slowed_too() {
    let house = House::with_quotas(Quotas {
        approvals_per_minute: 1,
        approvals_waiting: 0,
        ..Quotas::default()
    })
    .await;
    let agent = house.agent().await;
    house
        .bench
        .tokens(&agent.client, &house.ada, "openid")
        .await;
    for _ in 0..10 {
        assert_eq!(ask(&house, &agent, &house.ada.email).await.status, 200);
    }
    assert_eq!(too_often(&ask(&house, &agent, &house.ada.email).await), 60);
}

#[tokio::test]
async fn registrations_from_one_address_are_slowed() {
    let house = House::with_quotas(Quotas {
        registrations_per_minute: 1,
        ..Quotas::default()
    })
    .await;
    let register = async || {
        let request = house
            .request(axum::http::Method::POST, "/oidc/register", "")
            .header("content-type", "application/json")
            .body(json!({ "redirect_uris": ["https://a.example/callback"] }).to_string());
        house.send(request).await
    };
    for _ in 0..10 {
        assert_eq!(register().await.status, 201);
    }
    too_often(&register().await);
}
