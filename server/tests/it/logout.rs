//! `/oidc/logout`: signing out at the wish of a client.

use axum::http::Method;
use domain::oauth::{ClientKind, ClientMetadata, GrantType, NewClient, Source};

use crate::house::{Agent, FORM, House, form};

const BACK: &str = "https://agent.test/bye";

async fn agent(house: &House) -> Agent {
    let new = NewClient {
        redirect_uris: vec!["https://agent.test/callback".to_owned()],
        metadata: ClientMetadata {
            post_logout_redirect_uris: vec![BACK.to_owned()],
            ..ClientMetadata::default()
        },
        ..NewClient::confidential("Release bot", Source::Admin)
    };
    let (client, secret) = house.bench.register(new).await;
    Agent { client, secret }
}

async fn id_token(house: &House, agent: &Agent, person: &domain::identity::Person) -> String {
    let tokens = house.bench.tokens(&agent.client, person, "openid").await;
    tokens.id_token.unwrap().expose().clone()
}

fn address(fields: &[(&str, &str)]) -> String {
    format!("/oidc/logout?{}", form(fields))
}

#[tokio::test]
async fn a_client_with_the_persons_id_token_signs_them_out_at_once_and_gets_them_back() {
    let house = House::open().await;
    let agent = agent(&house).await;
    let hint = id_token(&house, &agent, &house.ada).await;
    // A hint may have run out long ago.
    house.bench.advance(std::time::Duration::from_secs(3600));
    let cookie = house.signed_in(&house.ada).await;
    let fields = [
        ("id_token_hint", hint.as_str()),
        ("post_logout_redirect_uri", BACK),
        ("state", "s 1"),
    ];
    let gone = house.get(&address(&fields), &cookie).await;
    assert_eq!(
        (gone.status, gone.location()),
        (303, "https://agent.test/bye?state=s+1")
    );
    assert_eq!(house.get("/", &cookie).await.status, 303, "signed out");
    // Nobody is signed in any more: there is nothing to ask.
    let again = house.get(&address(&fields), &cookie).await;
    assert_eq!(again.status, 303);
}

#[tokio::test]
async fn without_the_persons_own_id_token_the_person_is_asked() {
    let house = House::open().await;
    let agent = agent(&house).await;
    let eve = house.bench.person("eve@example.com").await;
    let hers = id_token(&house, &agent, &eve).await;
    let cookie = house.signed_in(&house.ada).await;
    for fields in [
        vec![
            ("client_id", agent.client.id.as_str()),
            ("post_logout_redirect_uri", BACK),
        ],
        vec![("id_token_hint", hers.as_str())],
        vec![],
    ] {
        let page = house.get(&address(&fields), &cookie).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("Sign out of Attorn?"), "{fields:?}");
        assert_eq!(house.get("/", &cookie).await.status, 200, "still signed in");
    }
    let fields = [
        ("client_id", agent.client.id.as_str()),
        ("post_logout_redirect_uri", BACK),
    ];
    let page = house.get(&address(&fields), &cookie).await;
    assert!(
        page.header("content-security-policy")
            .contains("form-action 'self' https://agent.test")
    );
    let gone = house.post("/oidc/logout/decision", &cookie, &fields).await;
    assert_eq!((gone.status, gone.location()), (303, BACK));
    assert_eq!(house.get("/", &cookie).await.status, 303, "signed out");
    let done = house.get("/oidc/logout/done", "").await;
    assert!(done.body.contains("You are signed out"));
}

#[tokio::test]
async fn a_native_clients_own_scheme_may_be_gone_back_to_after_the_question() {
    let house = House::open().await;
    let new = NewClient {
        redirect_uris: vec!["com.example.app:/callback".to_owned()],
        metadata: ClientMetadata {
            post_logout_redirect_uris: vec!["com.example.app:/bye".to_owned()],
            ..ClientMetadata::default()
        },
        kind: ClientKind::Public,
        grant_types: vec![GrantType::AuthorizationCode],
        ..NewClient::confidential("App", Source::Admin)
    };
    let (client, _) = house.bench.register(new).await;
    let cookie = house.signed_in(&house.ada).await;
    let fields = [
        ("client_id", client.id.as_str()),
        ("post_logout_redirect_uri", "com.example.app:/bye"),
    ];
    let page = house.get(&address(&fields), &cookie).await;
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("form-action 'self' com.example.app:"),
        "{policy}"
    );
}

#[tokio::test]
async fn nobody_is_led_to_an_address_that_the_client_has_not_registered() {
    let house = House::open().await;
    let agent = agent(&house).await;
    let tokens = house
        .bench
        .tokens(&agent.client, &house.ada, "openid")
        .await;
    let (hint, access) = (tokens.id_token.unwrap(), tokens.access_token);
    let cookie = house.signed_in(&house.ada).await;
    for fields in [
        vec![
            ("id_token_hint", hint.expose().as_str()),
            ("post_logout_redirect_uri", "https://evil.example/"),
        ],
        vec![
            ("id_token_hint", hint.expose().as_str()),
            ("post_logout_redirect_uri", "https://agent.test/bye?x"),
        ],
        vec![("post_logout_redirect_uri", BACK)],
        vec![("id_token_hint", access.expose().as_str())],
        vec![("id_token_hint", "eyJhbGciOiJub25lIn0.e30.")],
        vec![
            ("id_token_hint", hint.expose().as_str()),
            ("client_id", "somebody"),
        ],
        vec![("client_id", "nobody")],
    ] {
        let answer = house.get(&address(&fields), &cookie).await;
        assert_eq!((answer.status, answer.location()), (400, ""), "{fields:?}");
        assert_eq!(house.get("/", &cookie).await.status, 200, "still signed in");
    }
}

#[tokio::test]
async fn a_post_from_another_site_is_led_to_the_question() {
    let house = House::open().await;
    let agent = agent(&house).await;
    let request = house
        .request(Method::POST, "/oidc/logout", "")
        .header("content-type", FORM)
        .header("origin", "https://agent.test")
        .header("sec-fetch-site", "cross-site")
        .body(form(&[("client_id", agent.client.id.as_str())]));
    let led = house.send(request).await;
    assert_eq!(led.status, 303);
    assert!(led.location().starts_with("/oidc/logout?client_id="));
    let cookie = house.signed_in(&house.ada).await;
    let forged = house
        .request(Method::POST, "/oidc/logout/decision", &cookie)
        .header("content-type", FORM)
        .header("origin", "https://agent.test");
    assert_eq!(house.send(forged).await.status, 403);
}
