//! `/oauth/introspect` and `/userinfo`: what a token is worth, whom it is about.

use axum::http::{Method, header};
use domain::oauth::{NewClient, Source};

use crate::house::{Agent, Answer, House};

async fn introspect(house: &House, agent: &Agent, token: &str) -> Answer {
    house
        .post_authenticated("/oauth/introspect", agent, &[("token", token)])
        .await
}

#[tokio::test]
async fn a_token_is_told_about_to_its_client_and_its_resource_server_and_to_nobody_else() {
    let house = House::open().await;
    let audience = "https://api.test/";
    let new = NewClient {
        audiences: vec![audience.to_owned()],
        redirect_uris: vec!["https://agent.test/callback".to_owned()],
        ..NewClient::confidential("Agent", Source::Admin)
    };
    let (client, secret) = house.bench.register(new).await;
    let agent = Agent { client, secret };
    let new = NewClient {
        resource_audience: Some(audience.to_owned()),
        ..NewClient::confidential("API", Source::Admin)
    };
    let (client, secret) = house.bench.register(new).await;
    let api = Agent { client, secret };
    let stranger = house.agent().await;

    let scope = "openid offline_access";
    let tokens = house.bench.tokens(&agent.client, &house.ada, scope).await;
    let (access, refresh) = (
        tokens.access_token.expose(),
        tokens.refresh_token.as_ref().unwrap().expose(),
    );
    for knows in [&agent, &api] {
        let about = introspect(&house, knows, access).await;
        assert_eq!(about.status, 200);
        let about = about.json();
        assert_eq!(about["active"], true);
        assert_eq!(about["sub"], house.ada.id.as_str());
        assert_eq!(about["aud"], audience);
        assert_eq!(about["client_id"], agent.client.id.as_str());
        assert_eq!(about["scope"], scope);
        assert_eq!(about["token_type"], "Bearer");
    }
    let about = introspect(&house, &agent, refresh).await.json();
    assert_eq!(about["active"], true);
    // The types are those of access tokens (RFC 7662 §2.2).
    assert!(about.get("token_type").is_none());
    let nothing = serde_json::json!({ "active": false });
    assert_eq!(introspect(&house, &stranger, access).await.json(), nothing);
    assert_eq!(introspect(&house, &stranger, refresh).await.json(), nothing);
    assert_eq!(introspect(&house, &api, refresh).await.json(), nothing);
    assert_eq!(introspect(&house, &agent, "rubbish").await.json(), nothing);

    let gone = house
        .post_authenticated("/oauth/revoke", &agent, &[("token", refresh)])
        .await;
    assert_eq!(gone.status, 200);
    assert_eq!(introspect(&house, &agent, access).await.json(), nothing);
    assert_eq!(introspect(&house, &agent, refresh).await.json(), nothing);
    let nobody = house
        .post("/oauth/introspect", "", &[("token", access)])
        .await;
    assert_eq!(nobody.error(), (401, "invalid_client".to_owned()));
}

async fn userinfo(house: &House, method: Method, authorization: &str) -> Answer {
    let request = house.request(method, "/userinfo", "");
    house
        .send(if authorization.is_empty() {
            request
        } else {
            request.header(header::AUTHORIZATION, authorization)
        })
        .await
}

#[tokio::test]
async fn userinfo_says_what_the_scopes_allow() {
    let house = House::open().await;
    let agent = house.agent().await;
    for (scope, name, email) in [
        ("openid", false, false),
        ("openid profile", true, false),
        ("openid profile email", true, true),
    ] {
        let tokens = house.bench.tokens(&agent.client, &house.ada, scope).await;
        let bearer = format!("Bearer {}", tokens.access_token.expose());
        for method in [Method::GET, Method::POST] {
            let answer = userinfo(&house, method, &bearer).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let claims = answer.json();
            assert_eq!(claims["sub"], house.ada.id.as_str());
            assert_eq!(claims["name"].is_string(), name);
            assert_eq!(claims["email"].is_string(), email);
        }
    }
}

#[tokio::test]
async fn userinfo_takes_no_token_for_something_else_and_challenges_who_has_none() {
    let house = House::open().await;
    let agent = house.agent().await;
    let none = userinfo(&house, Method::GET, "").await;
    assert_eq!(none.status, 401);
    let challenge = none.header("www-authenticate");
    assert!(
        challenge.starts_with("Bearer") && !challenge.contains("error="),
        "{challenge}"
    );
    let (client, ada) = (&agent.client, Some(&house.ada));
    let issuer = house.issuer().to_owned();
    for (token, status) in [
        (
            house
                .bench
                .access_token(client, ada, &format!("{issuer}proxy"), &["openid"]),
            401,
        ),
        (
            house
                .bench
                .access_token(client, ada, &format!("{issuer}me/"), &["openid"]),
            401,
        ),
        (
            house
                .bench
                .approved_token(client, ada, &issuer, &["openid"], Some("apr_1")),
            401,
        ),
        (
            house.bench.access_token(client, None, &issuer, &["openid"]),
            401,
        ),
        (
            house.bench.access_token(client, ada, &issuer, &["profile"]),
            403,
        ),
    ] {
        let answer = userinfo(&house, Method::GET, &format!("Bearer {}", token.expose())).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.header("www-authenticate").contains("error="));
    }
}

#[tokio::test]
async fn userinfo_takes_the_token_in_the_form_of_a_post_but_in_one_way_only() {
    let house = House::open().await;
    let agent = house.agent().await;
    let tokens = house
        .bench
        .tokens(&agent.client, &house.ada, "openid profile")
        .await;
    let token = tokens.access_token.expose();
    let good = house
        .post("/userinfo", "", &[("access_token", token)])
        .await;
    assert_eq!(good.status, 200, "{}", good.body);
    assert_eq!(good.json()["sub"], house.ada.id.as_str());
    let bad = house
        .post("/userinfo", "", &[("access_token", "rubbish")])
        .await;
    assert_eq!(bad.status, 401);
    assert!(bad.header("www-authenticate").contains("invalid_token"));
    let none = house.post("/userinfo", "", &[("other", "x")]).await;
    assert_eq!(none.status, 401);
    assert!(!none.header("www-authenticate").contains("error="));
    let twice = house
        .request(Method::POST, "/userinfo", "")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(format!("access_token={token}"));
    let twice = house.send(twice).await;
    assert_eq!(twice.error(), (400, "invalid_request".to_owned()));
    let query = house.request(Method::GET, &format!("/userinfo?access_token={token}"), "");
    assert_eq!(house.send(query).await.status, 401);
}
