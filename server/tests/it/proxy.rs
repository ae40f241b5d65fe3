//! `/proxy`: a call with the person's account, and an approved call exactly once.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, header};
use domain::approval;

use crate::backchannel::{ask, pending, poll};
use crate::house::{House, SLACK};

const MESSAGE: &str = r#"[{"type":"slack_message","connection":"sign-in-with-slack","channel":"general","text":"release 2.1 is out"}]"#;

#[tokio::test]
async fn without_a_good_token_nothing_passes() {
    let house = House::open().await;
    for authorization in [
        "",
        "Bearer nonsense",
        "Bearer a.b.c",
        "Basic eDp5",
        "Bearer",
    ] {
        let mut request = house.request(Method::GET, "/proxy/sign-in-with-slack/auth.test", "");
        if !authorization.is_empty() {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let answer = house.send(request).await;
        assert_eq!(answer.status, 401, "{authorization}");
        assert_eq!(answer.header("x-attorn-source"), "attorn");
        let challenge = answer.header("www-authenticate");
        assert!(challenge.starts_with("Bearer ") && challenge.contains("resource_metadata="));
    }
    let agent = house.agent().await;
    let elsewhere = house.bench.access_token(
        &agent.client,
        Some(&house.ada),
        "https://other.example/",
        &[],
    );
    let request = house
        .request(Method::GET, "/proxy/sign-in-with-slack/auth.test", "")
        .bearer_auth(elsewhere.expose());
    assert_eq!(house.send(request).await.status, 401, "another audience");
}

#[tokio::test]
async fn what_the_person_did_not_permit_does_not_pass() {
    let house = House::open().await;
    let _sandbox = house.sandbox().await;
    let agent = house.agent().await;
    let audience = house.bench.settings.proxy_audience();
    let token = house
        .bench
        .access_token(&agent.client, Some(&house.ada), &audience, &[]);
    for (path, status) in [
        ("/proxy/nowhere/x", 400),
        ("/proxy/sign-in-with-slack/auth.test", 401),
    ] {
        let request = house
            .request(Method::GET, path, "")
            .bearer_auth(token.expose());
        let answer = house.send(request).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert_eq!(answer.header("x-attorn-source"), "attorn");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_uses_of_one_approval_post_once() {
    let house = Arc::new(House::open().await);
    let sandbox = house.sandbox().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    house.link(SLACK, &cookie, &agent, "call").await;
    let id = ask(&house, &agent, MESSAGE).await;
    let approval_id = pending(&house).await;
    let page = format!("/approve/{approval_id}");
    let decided = house.post(&page, &cookie, &[("decision", "approve")]).await;
    assert_eq!(decided.status, 303);
    house.bench.advance(Duration::from_secs(5));
    let redeemed = poll(&house, &agent, &id).await;
    assert_eq!(redeemed.status, 200, "{}", redeemed.body);
    let token = redeemed.text("access_token");
    let approval = approval::get(&house.bench, &house.ada.id, &approval_id).await;
    let call = Arc::new(approval.unwrap().unwrap().call.unwrap());
    let uses: Vec<_> = (0..100)
        .map(|_| {
            let (house, token, call) = (house.clone(), token.clone(), call.clone());
            tokio::spawn(async move {
                let path = format!("/proxy/{}{}", call.connection, call.path_and_query);
                let mut request = house.request(Method::POST, &path, "").bearer_auth(token);
                for (name, value) in &call.headers {
                    request = request.header(name.as_str(), value.as_str());
                }
                house.send(request.body(call.body.clone())).await
            })
        })
        .collect();
    let mut sent = 0;
    for one in uses {
        let answer = one.await.unwrap();
        if answer.header("x-attorn-source") == "provider" {
            assert_eq!(answer.status, 200);
            sent += 1;
        } else {
            assert_eq!(answer.status, 403, "{}", answer.body);
            assert_eq!(answer.text("error"), "approval_mismatch");
        }
    }
    assert_eq!(sent, 1);
    let posted = sandbox.control().posted_messages();
    assert_eq!(posted.len(), 1);
    assert_eq!(posted[0].text, "release 2.1 is out");
}
