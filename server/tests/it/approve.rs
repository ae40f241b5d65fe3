//! `/approve/{id}`: the person's own, decided once.

use crate::backchannel::{ask, pending};
use crate::house::House;

const DETAILS: &str = r#"[{"type":"deployment","service":"billing","version":"2.1"}]"#;

#[tokio::test]
async fn another_persons_approval_is_neither_seen_nor_decided() {
    let house = House::open().await;
    let agent = house.agent().await;
    ask(&house, &agent, DETAILS).await;
    let id = pending(&house).await;
    let page = format!("/approve/{id}");
    let eve = house.bench.person("eve@example.com").await;
    let eve = house.signed_in(&eve).await;
    let seen = house.get(&page, &eve).await;
    assert_eq!(seen.status, 404);
    assert!(!seen.body.contains("billing"));
    for decision in ["approve", "deny"] {
        let answer = house.post(&page, &eve, &[("decision", decision)]).await;
        assert_eq!(answer.status, 404);
    }
    let nobody = house.post(&page, "", &[("decision", "approve")]).await;
    assert!(nobody.location().starts_with("/sign-in"));
    assert_eq!(pending(&house).await, id, "it still waits");
}

#[tokio::test]
async fn a_decision_stands_and_no_decision_decides_nothing() {
    let house = House::open().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    ask(&house, &agent, DETAILS).await;
    let page = format!("/approve/{}", pending(&house).await);
    for fields in [&[][..], &[("decision", "maybe")], &[("approve", "1")]] {
        let answer = house.post(&page, &cookie, fields).await;
        assert_eq!(answer.status, 422, "{fields:?}");
    }
    pending(&house).await;
    let denied = house.post(&page, &cookie, &[("decision", "deny")]).await;
    assert_eq!(denied.status, 303);
    let late = house.post(&page, &cookie, &[("decision", "approve")]).await;
    assert_eq!(late.status, 409);
    let denials = "select count(*) as n from approvals where state = 'denied'";
    assert_eq!(house.count(denials).await, 1);
}

#[tokio::test]
async fn an_agent_that_asks_too_often_is_muted_in_sight_and_rings_again() {
    let house = House::open().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    ask(&house, &agent, DETAILS).await;
    let page = format!("/approve/{}", pending(&house).await);
    let shown = house.get(&page, &cookie).await;
    assert!(shown.body.contains("Asks too often?"));
    const MUTE: &str = "/approvals/mute";
    let client = ("client", agent.client.id.as_str());
    let muted = house.post(MUTE, &cookie, &[client, ("hours", "1")]).await;
    assert_eq!((muted.status, muted.location()), (303, "/approvals#muted"));
    let list = house.get("/approvals", &cookie).await;
    assert!(list.body.contains("Muted agents"));
    assert!(list.body.contains(&page), "it still waits there");
    for (fields, status) in [
        (&[client, ("hours", "3")], 422),
        (&[client, ("hours", "x")], 422),
        (&[("client", "nobody"), ("hours", "1")], 404),
    ] {
        let refused = house.post(MUTE, &cookie, fields).await;
        assert_eq!(refused.status, status, "{fields:?}");
    }
    let rings = house.post(MUTE, &cookie, &[client, ("hours", "0")]).await;
    assert_eq!(rings.status, 303);
    let list = house.get("/approvals", &cookie).await;
    assert!(!list.body.contains("Muted agents"));
}
