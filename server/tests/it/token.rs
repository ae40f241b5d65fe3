//! `/oauth/token` and `/oauth/revoke`: right input by form and JSON, wrong input refused.

use axum::http::{Method, header};
use domain::testing::VERIFIER;
use serde_json::json;

use crate::house::{Agent, FORM, House, basic, form};

const JSON: &str = "application/json";

async fn code(house: &House, agent: &Agent) -> String {
    let scope = "openid offline_access";
    let code = house.bench.code(&agent.client, &house.ada, scope).await;
    code.expose().clone()
}

#[tokio::test]
async fn a_code_buys_tokens_once_by_form_and_by_json() {
    let house = House::open().await;
    let agent = house.agent().await;
    let first = code(&house, &agent).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", first.as_str()),
        ("code_verifier", VERIFIER),
    ];
    let answer = house.token(&agent, &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("content-type"), JSON);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.text("token_type"), "Bearer");
    let refresh = answer.text("refresh_token");

    let second = code(&house, &agent).await;
    let body = json!({
        "grant_type": "authorization_code", "code": second, "code_verifier": VERIFIER,
        "client_id": agent.client.id, "client_secret": agent.secret.expose(),
    });
    let by_json = house
        .post_as("/oauth/token", "", JSON, body.to_string())
        .await;
    assert_eq!(by_json.status, 200, "{}", by_json.body);
    assert!(!by_json.text("id_token").is_empty());

    let replayed = house.token(&agent, &fields).await;
    assert_eq!(replayed.error(), (400, "invalid_grant".to_owned()));
    let refreshing = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.as_str()),
    ];
    let dead = house.token(&agent, &refreshing).await;
    assert_eq!(
        dead.error(),
        (400, "invalid_grant".to_owned()),
        "a replayed code ends what it bought"
    );
}

#[tokio::test]
async fn a_client_that_is_not_who_it_says_is_challenged_only_where_it_used_basic() {
    let house = House::open().await;
    let agent = house.agent().await;
    let good = ("grant_type", "client_credentials");
    for (id, secret) in [
        ("nobody", "some secret or other"),
        (agent.client.id.as_str(), "wrong"),
    ] {
        for path in ["/oauth/token", "/oauth/revoke", "/bc-authorize"] {
            let posted = [good, ("client_id", id), ("client_secret", secret)];
            let by_post = house.post(path, "", &posted).await;
            assert_eq!(by_post.error(), (401, "invalid_client".to_owned()));
            assert_eq!(by_post.header("www-authenticate"), "");
            let by_basic = house
                .request(Method::POST, path, "")
                .header(header::CONTENT_TYPE, FORM)
                .header(header::AUTHORIZATION, basic(id, secret))
                .body(form(&[good]));
            let by_basic = house.send(by_basic).await;
            assert_eq!(by_basic.error(), (401, "invalid_client".to_owned()));
            assert_eq!(
                by_basic.header("www-authenticate"),
                "Basic realm=\"attorn\""
            );
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_a_clean_form_or_object_is_refused() {
    let house = House::open().await;
    let long = format!("grant_type={}", "x".repeat(256 * 1024));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
    let many: Vec<String> = (0..100).map(|number| format!("p{number}=x")).collect();
    let wrong: &[(&str, Vec<u8>, u16)] = &[
        (FORM, b"".to_vec(), 401),
        (FORM, b"grant_type=a&grant_type=a".to_vec(), 400),
        (FORM, b"client_id=\xff\xfe".to_vec(), 400),
        (FORM, b"client_id=%ff".to_vec(), 400),
        (FORM, b"client_id=%zz".to_vec(), 400),
        (FORM, b"client_id=a%00".to_vec(), 400),
        (FORM, long.into_bytes(), 413),
        (FORM, many.join("&").into_bytes(), 400),
        (JSON, deep.into_bytes(), 400),
        (JSON, b"[]".to_vec(), 400),
        (JSON, b"\"client_id\"".to_vec(), 400),
        (JSON, b"{".to_vec(), 400),
        (JSON, br#"{"client_id":"a","client_id":"b"}"#.to_vec(), 400),
        (JSON, b"\xff".to_vec(), 400),
        ("text/plain", b"grant_type=client_credentials".to_vec(), 400),
        ("multipart/form-data; boundary=x", b"--x--".to_vec(), 400),
    ];
    for path in ["/oauth/token", "/oauth/revoke", "/bc-authorize"] {
        for (media, body, status) in wrong {
            let answer = house.post_as(path, "", media, body.clone()).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            assert_eq!(answer.error().0, *status, "{path} {media} {shown}");
        }
    }
}

#[tokio::test]
async fn a_grant_that_is_not_in_order_is_refused_by_name() {
    let house = House::open().await;
    let agent = house.agent().await;
    let unused = code(&house, &agent).await;
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[("scope", "openid")], "invalid_request"),
        (&[("grant_type", "password")], "unsupported_grant_type"),
        (&[("grant_type", "authorization_code")], "invalid_request"),
        (
            &[
                ("grant_type", "authorization_code"),
                ("code", "nonsense"),
                ("code_verifier", VERIFIER),
            ],
            "invalid_grant",
        ),
        (
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", "nonsense"),
            ],
            "invalid_grant",
        ),
        (
            &[
                ("grant_type", "urn:openid:params:grant-type:ciba"),
                ("auth_req_id", "nonsense"),
            ],
            "invalid_grant",
        ),
    ];
    for (fields, code) in table {
        let answer = house.token(&agent, fields).await;
        assert_eq!(answer.error(), (400, (*code).to_owned()), "{fields:?}");
    }
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", unused.as_str()),
        ("code_verifier", VERIFIER),
    ];
    let thief = house.agent().await;
    let stolen = house.token(&thief, &fields).await;
    assert_eq!(stolen.error(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn only_a_post_reaches_the_machines_endpoints() {
    let house = House::open().await;
    for path in ["/oauth/token", "/oauth/revoke", "/bc-authorize"] {
        assert_eq!(house.get(path, "").await.status, 405, "{path}");
    }
}

#[tokio::test]
async fn a_revoked_token_is_dead_and_an_unknown_one_is_no_error() {
    let house = House::open().await;
    let agent = house.agent().await;
    let scope = "openid offline_access";
    let tokens = house.bench.tokens(&agent.client, &house.ada, scope).await;
    let refresh = tokens.refresh_token.unwrap();
    for token in ["unknown", refresh.expose(), refresh.expose()] {
        let answer = house
            .post_authenticated("/oauth/revoke", &agent, &[("token", token)])
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let missing = house.post_authenticated("/oauth/revoke", &agent, &[]).await;
    assert_eq!(missing.error(), (400, "invalid_request".to_owned()));
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.expose().as_str()),
    ];
    let dead = house.token(&agent, &fields).await;
    assert_eq!(dead.error(), (400, "invalid_grant".to_owned()));
}
