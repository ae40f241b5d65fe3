//! `/oidc/register`: clients that register and manage themselves.

use axum::http::{Method, header};
use serde_json::{Value, json};

use crate::house::{Answer, House};
use domain::oauth::RegistrationPolicy;
use domain::secret::Secret;

async fn send(house: &House, method: Method, path: &str, token: &str, body: &Value) -> Answer {
    let mut request = house
        .request(method, path, "")
        .header(header::CONTENT_TYPE, "application/json");
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if !body.is_null() {
        request = request.body(body.to_string());
    }
    house.send(request).await
}

async fn register(house: &House, body: &Value) -> Answer {
    send(house, Method::POST, "/oidc/register", "", body).await
}

fn path(registered: &Answer) -> String {
    format!("/oidc/register/{}", registered.text("client_id"))
}

#[tokio::test]
async fn a_client_registers_itself_and_its_secret_works() {
    let house = House::open().await;
    let asked = json!({
        "client_name": "Notes",
        "redirect_uris": ["https://notes.example/callback"],
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_post",
        "id_token_signed_response_alg": "ES256",
        "scope": "openid profile read:me:connected_accounts admin:everything",
        "something_else": { "is": "ignored" },
    });
    let answer = register(&house, &asked).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    let registered = answer.json();
    assert_eq!(registered["client_name"], "Notes");
    assert_eq!(
        registered["token_endpoint_auth_method"],
        "client_secret_post"
    );
    assert_eq!(registered["id_token_signed_response_alg"], "ES256");
    assert_eq!(registered["client_secret_expires_at"], 0);
    assert!(registered.get("something_else").is_none());
    let scope = registered["scope"].as_str().unwrap();
    assert!(scope.contains("read:me:connected_accounts") && !scope.contains("admin"));
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", &answer.text("client_id")),
        ("client_secret", &answer.text("client_secret")),
    ];
    assert_eq!(house.post("/oauth/token", "", &fields).await.status, 200);
}

#[tokio::test]
async fn a_public_client_gets_no_secret() {
    let house = House::open().await;
    let answer = register(
        &house,
        &json!({
            "redirect_uris": ["http://localhost:33418/callback", "com.example.app:/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        }),
    )
    .await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert!(answer.json().get("client_secret").is_none());
}

#[tokio::test]
async fn what_no_client_may_be_is_refused_with_the_right_code() {
    let house = House::open().await;
    let uri = json!(["https://a.example/cb"]);
    for (asked, code) in [
        (json!({}), "invalid_redirect_uri"),
        (
            json!({ "redirect_uris": ["http://a.example/cb"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": ["https://a.example/cb#x"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": ["javascript:alert(1)"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": uri, "grant_types": ["password"] }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": uri, "response_types": ["token"] }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": uri, "response_types": [] }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": uri, "subject_type": "pairwise" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": uri, "token_endpoint_auth_method": "client_secret_jwt" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": uri, "token_endpoint_auth_method": "private_key_jwt" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": uri, "id_token_signed_response_alg": "none" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": uri, "jwks_uri": "http://169.254.169.254/" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": uri, "client_name": "a\u{7}b" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": "https://a.example/cb" }),
            "invalid_client_metadata",
        ),
    ] {
        let answer = register(&house, &asked).await;
        assert_eq!(answer.error(), (400, code.to_owned()), "{asked}");
    }
    // An admin's word is needed for these; asking for them changes nothing.
    let answer = register(
        &house,
        &json!({ "redirect_uris": uri, "privileged_worker": { "ip_allow_list": ["0.0.0.0/0"] }, "audiences": ["https://x.test/"] }),
    )
    .await;
    assert_eq!(answer.status, 201);
    assert!(!answer.body.contains("privileged_worker"));
}

#[tokio::test]
async fn a_client_reads_changes_and_ends_its_registration_with_its_own_token_only() {
    let house = House::open().await;
    let asked = json!({ "client_name": "First", "redirect_uris": ["https://a.example/cb"], "policy_uri": "https://a.example/p" });
    let (one, two) = (
        register(&house, &asked).await,
        register(&house, &asked).await,
    );
    let token = one.text("registration_access_token");
    let read = send(&house, Method::GET, &path(&one), &token, &Value::Null).await;
    assert_eq!(read.status, 200);
    assert_eq!(read.text("client_name"), "First");
    // RFC 7592 §3: each answer has it.
    assert_eq!(read.text("registration_access_token"), token);
    assert!(
        read.json().get("client_secret").is_none(),
        "it was shown once"
    );
    for (at, with) in [
        (path(&two), token.as_str()),
        (path(&one), "att_ra_x"),
        (path(&one), ""),
    ] {
        let refused = send(&house, Method::GET, &at, with, &Value::Null).await;
        assert_eq!(refused.status, 401);
    }
    let change = json!({ "client_id": one.text("client_id"), "client_name": "Second", "redirect_uris": ["https://b.example/cb"] });
    let changed = send(&house, Method::PUT, &path(&one), &token, &change).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.text("client_name"), "Second");
    assert_eq!(changed.text("registration_access_token"), token);
    for (secret, status) in [
        (one.json()["client_secret"].clone(), 200),
        (two.json()["client_secret"].clone(), 400),
        (json!(7), 400),
    ] {
        let mut with = change.clone();
        with["client_secret"] = secret;
        let answer = send(&house, Method::PUT, &path(&one), &token, &with).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    assert!(
        changed.json().get("policy_uri").is_none(),
        "left out is taken away"
    );
    let weaker = json!({ "client_id": one.text("client_id"), "redirect_uris": ["https://b.example/cb"], "token_endpoint_auth_method": "none" });
    let refused = send(&house, Method::PUT, &path(&one), &token, &weaker).await;
    assert_eq!(refused.error().1, "invalid_client_metadata");
    let ended = send(&house, Method::DELETE, &path(&one), &token, &Value::Null).await;
    assert_eq!(ended.status, 204);
    let gone = send(&house, Method::GET, &path(&one), &token, &Value::Null).await;
    assert_eq!(gone.status, 401);
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", &one.text("client_id")),
        ("client_secret", &one.text("client_secret")),
    ];
    assert_eq!(house.post("/oauth/token", "", &fields).await.error().0, 401);
}

/// How the server says that clients may register.
async fn announced(house: &House) -> Value {
    let document = house.get("/.well-known/openid-configuration", "").await;
    let document = document.json();
    json!([
        document.get("registration_endpoint").is_some(),
        document["client_id_metadata_document_supported"],
    ])
}

#[tokio::test]
async fn with_a_token_needed_only_who_has_it_registers() {
    let house = House::with(|settings| {
        settings.registration = RegistrationPolicy::Token(Secret::new("for our team".to_owned()));
    })
    .await;
    assert_eq!(announced(&house).await, json!([true, false]));
    let asked = json!({ "redirect_uris": ["https://a.example/cb"] });
    for token in ["", "for our tea", "for our teams"] {
        let refused = send(&house, Method::POST, "/oidc/register", token, &asked).await;
        assert_eq!(refused.error(), (401, "invalid_token".to_owned()));
        assert!(refused.header("www-authenticate").starts_with("Bearer"));
    }
    let answer = send(
        &house,
        Method::POST,
        "/oidc/register",
        "for our team",
        &asked,
    )
    .await;
    assert_eq!(answer.status, 201, "{}", answer.body);
}

#[tokio::test]
async fn where_clients_do_not_register_themselves_none_does() {
    let house = House::with(|settings| settings.registration = RegistrationPolicy::Off).await;
    assert_eq!(announced(&house).await, json!([false, false]));
    let asked = json!({ "redirect_uris": ["https://a.example/cb"] });
    let refused = register(&house, &asked).await;
    assert_eq!(refused.error(), (403, "access_denied".to_owned()));
    let clients = "select count(*) as n from clients where source = 'registration'";
    assert_eq!(house.count(clients).await, 0);
}
