//! `/bc-authorize`: from the agent's question to its token.

use std::time::Duration;

use domain::approval::{self, Filter};

use crate::house::{Agent, Answer, House};

pub async fn ask(house: &House, agent: &Agent, details: &str) -> String {
    // Only an agent that the person has to do with may ask.
    house
        .bench
        .tokens(&agent.client, &house.ada, "openid offline_access")
        .await;
    let hint = serde_json::json!({
        "format": "iss_sub", "iss": house.issuer(), "sub": house.ada.id,
    });
    let fields = [
        ("scope", "openid"),
        ("login_hint", &hint.to_string()),
        ("authorization_details", details),
    ];
    let asked = house
        .post_authenticated("/bc-authorize", agent, &fields)
        .await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    assert_eq!(asked.header("content-type"), "application/json");
    assert_eq!(asked.json()["interval"], 5);
    asked.text("auth_req_id")
}

pub async fn pending(house: &House) -> String {
    let waiting = approval::list(&house.bench, &house.ada.id, Filter::Pending, 10).await;
    waiting.unwrap()[0].id.clone()
}

pub async fn poll(house: &House, agent: &Agent, id: &str) -> Answer {
    let fields = [
        ("grant_type", "urn:openid:params:grant-type:ciba"),
        ("auth_req_id", id),
    ];
    house.token(agent, &fields).await
}

#[tokio::test]
async fn an_approval_is_asked_polled_approved_and_redeemed_once() {
    let house = House::open().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    let id = ask(
        &house,
        &agent,
        r#"[{"type":"deployment","service":"billing","version":"2.1"}]"#,
    )
    .await;
    let waiting = (400, "authorization_pending".to_owned());
    assert_eq!(poll(&house, &agent, &id).await.error(), waiting);
    let hasty = poll(&house, &agent, &id).await;
    assert_eq!(hasty.error(), (400, "slow_down".to_owned()));
    let seconds: u64 = hasty.header("retry-after").parse().unwrap();
    assert!(seconds >= 5);
    let page = format!("/approve/{}", pending(&house).await);
    let shown = house.get(&page, &cookie).await;
    assert_eq!(shown.status, 200);
    assert!(shown.body.contains("billing"));
    let decided = house.post(&page, &cookie, &[("decision", "approve")]).await;
    assert_eq!((decided.status, decided.location()), (303, page.as_str()));
    house.bench.advance(Duration::from_secs(seconds));
    let redeemed = poll(&house, &agent, &id).await;
    assert_eq!(redeemed.status, 200, "{}", redeemed.body);
    assert!(!redeemed.text("access_token").is_empty());
    house.bench.advance(Duration::from_secs(30));
    let again = poll(&house, &agent, &id).await;
    assert_eq!(again.error(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_request_that_is_not_in_order_asks_nobody() {
    let house = House::open().await;
    let agent = house.agent().await;
    house
        .bench
        .tokens(&agent.client, &house.ada, "openid")
        .await;
    let me = ("login_hint", house.ada.id.as_str());
    let openid = ("scope", "openid");
    let long = "x".repeat(2000);
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[openid], "invalid_request"),
        (&[openid, me, ("id_token_hint", "x")], "invalid_request"),
        (&[openid, ("login_hint", "{")], "invalid_request"),
        (
            &[openid, ("login_hint", "nobody@example.com")],
            "unknown_user_id",
        ),
        (
            &[openid, me, ("requested_expiry", "soon")],
            "invalid_request",
        ),
        (&[openid, me, ("request", "a.b.c")], "request_not_supported"),
        (
            &[openid, me, ("binding_message", &long)],
            "invalid_binding_message",
        ),
        (
            &[openid, me, ("authorization_details", "[{]")],
            "invalid_authorization_details",
        ),
        (
            &[openid, me, ("authorization_details", "[{\"type\":1}]")],
            "invalid_authorization_details",
        ),
    ];
    for (fields, code) in table {
        let answer = house
            .post_authenticated("/bc-authorize", &agent, fields)
            .await;
        assert_eq!(answer.error(), (400, (*code).to_owned()), "{fields:?}");
    }
    assert_eq!(house.count("select count(*) as n from approvals").await, 0);
}
