//! How a request ends without an approval, and what the agent hears of it.

use std::time::Duration;

use crate::backchannel::{ask, pending, poll};
use crate::house::House;

const DETAILS: &str = r#"[{"type":"deployment","service":"billing","version":"2.1"}]"#;
const CANCEL: &str = "/bc-authorize/cancel";

#[tokio::test]
async fn an_agent_takes_its_request_back_and_the_page_says_so() {
    let house = House::open().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    let id = ask(&house, &agent, DETAILS).await;
    let page = format!("/approve/{}", pending(&house).await);
    let named = [("auth_req_id", id.as_str())];
    let cancelled = house.post_authenticated(CANCEL, &agent, &named).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
    assert_eq!(cancelled.text("state"), "cancelled");
    // Once more changes nothing and is no error.
    let again = house.post_authenticated(CANCEL, &agent, &named).await;
    assert_eq!(
        (again.status, again.text("state")),
        (200, "cancelled".to_owned())
    );
    let heard = poll(&house, &agent, &id).await;
    assert_eq!(heard.error(), (400, "access_denied".to_owned()));
    assert_eq!(heard.text("reason"), "cancelled");
    let shown = house.get(&page, &cookie).await;
    assert!(
        shown.body.contains("took the request back"),
        "{}",
        shown.body
    );
    assert!(!shown.body.contains("value=\"approve\""));
    let late = house.post(&page, &cookie, &[("decision", "approve")]).await;
    assert_eq!(late.status, 409);
    assert_eq!(
        house
            .count("select count(*) as n from events where kind = 'approval.cancelled'")
            .await,
        1
    );
}

#[tokio::test]
async fn nobody_else_takes_a_request_back_and_an_approved_one_stands() {
    let house = House::open().await;
    let (agent, other) = (house.agent().await, house.agent().await);
    let cookie = house.signed_in(&house.ada).await;
    let id = ask(&house, &agent, DETAILS).await;
    let named = [("auth_req_id", id.as_str())];
    let grant = (400, "invalid_grant".to_owned());
    let strange = house.post_authenticated(CANCEL, &other, &named).await;
    assert_eq!(strange.error(), grant);
    let unknown = [("auth_req_id", "att_ar_nothing")];
    let unknown = house.post_authenticated(CANCEL, &agent, &unknown).await;
    assert_eq!(unknown.body, strange.body);
    let nameless = house.post_authenticated(CANCEL, &agent, &[]).await;
    assert_eq!(nameless.error(), (400, "invalid_request".to_owned()));
    let nobody = house.post(CANCEL, "", &named).await;
    assert_eq!(nobody.status, 401);
    let page = format!("/approve/{}", pending(&house).await);
    house.post(&page, &cookie, &[("decision", "approve")]).await;
    let late = house.post_authenticated(CANCEL, &agent, &named).await;
    assert_eq!(late.error(), grant);
    assert_eq!(late.text("reason"), "approved");
    assert_eq!(poll(&house, &agent, &id).await.status, 200);
}

#[tokio::test]
async fn who_denies_may_say_why_and_the_agent_hears_it() {
    let house = House::open().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    let id = ask(&house, &agent, DETAILS).await;
    let page = format!("/approve/{}", pending(&house).await);
    let why = " Not on a\u{202e} Friday.\n<b> ";
    house
        .post(&page, &cookie, &[("decision", "deny"), ("why", why)])
        .await;
    let heard = poll(&house, &agent, &id).await;
    assert_eq!(heard.error(), (400, "access_denied".to_owned()));
    assert_eq!(heard.text("reason"), "denied");
    assert_eq!(heard.text("said"), "Not on a Friday. <b>");
    let shown = house.get(&page, &cookie).await;
    assert!(
        shown.body.contains("Not on a Friday. &lt;b&gt;"),
        "{}",
        shown.body
    );
    // Without a word there is none.
    let id = ask(&house, &agent, DETAILS).await;
    let page = format!("/approve/{}", pending(&house).await);
    house
        .post(&page, &cookie, &[("decision", "deny"), ("why", " ")])
        .await;
    let heard = poll(&house, &agent, &id).await.json();
    assert_eq!(
        (&heard["reason"], heard.get("said")),
        (&"denied".into(), None)
    );
}

#[tokio::test]
async fn a_request_that_ran_out_says_so() {
    let house = House::open().await;
    let agent = house.agent().await;
    let id = ask(&house, &agent, DETAILS).await;
    house.bench.advance(Duration::from_secs(301));
    let named = [("auth_req_id", id.as_str())];
    let late = house.post_authenticated(CANCEL, &agent, &named).await;
    assert_eq!(
        (late.status, late.text("state")),
        (200, "expired".to_owned())
    );
    let heard = poll(&house, &agent, &id).await;
    assert_eq!(heard.error(), (400, "expired_token".to_owned()));
    assert_eq!(heard.text("reason"), "expired");
}
