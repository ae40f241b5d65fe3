//! Signing in and out.

use std::time::Duration;

use domain::testing::PASSWORD;

use crate::house::House;

#[tokio::test]
async fn a_sign_in_leads_back_but_never_to_another_site() {
    let house = House::open().await;
    for (asked, to) in [
        ("/accounts?x=1", "/accounts?x=1"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
    ] {
        let fields = [
            ("email", "ada@example.com"),
            ("password", PASSWORD),
            ("return_to", asked),
        ];
        let answer = house.post("/sign-in", "", &fields).await;
        assert_eq!((answer.status, answer.location()), (303, to), "{asked}");
        let cookie = answer.header("set-cookie");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
        let cookie = cookie.split(';').next().unwrap();
        assert_eq!(house.get("/", cookie).await.status, 200);
    }
}

#[tokio::test]
async fn a_sign_in_keeps_every_character_of_the_address_it_leads_back_to() {
    let house = House::open().await;
    let address = "/authorize?nonce=a%2Bb%3D%3D&state=c+d%26scope%3De%25f";
    let query = serde_urlencoded::to_string([("return_to", address)]).unwrap();
    let page = house.get(&format!("/sign-in?{query}"), "").await;
    let field = format!(
        r#"name="return_to" value="{}""#,
        address.replace('&', "&amp;")
    );
    assert!(page.body.contains(&field), "{}", page.body);
    let fields = [
        ("email", "ada@example.com"),
        ("password", PASSWORD),
        ("return_to", address),
    ];
    let answer = house.post("/sign-in", "", &fields).await;
    assert_eq!((answer.status, answer.location()), (303, address));
}

#[tokio::test]
async fn a_wrong_sign_in_keeps_what_was_typed_but_the_password() {
    let house = House::open().await;
    let typed = [
        ("email", "ada@example.com"),
        ("password", "certainly wrong"),
    ];
    let answer = house.post("/sign-in", "", &typed).await;
    assert_eq!(answer.status, 401);
    assert!(answer.body.contains("ada@example.com"));
    assert!(!answer.body.contains("certainly wrong"));
    assert_eq!(answer.header("set-cookie"), "");
    for fields in [&[("password", "x")][..], &[("email", "x@example.com")], &[]] {
        let answer = house.post("/sign-in", "", fields).await;
        assert_eq!(answer.status, 422, "{fields:?}");
    }
    let sessions = "select count(*) as n from sessions where person_id is not null";
    assert_eq!(house.count(sessions).await, 0);
}

#[tokio::test]
async fn a_session_ends_after_half_a_day_or_with_the_sign_out() {
    let house = House::open().await;
    let cookie = house.signed_in(&house.ada).await;
    assert_eq!(house.get("/", &cookie).await.status, 200);
    let out = house.signed_in(&house.ada).await;
    house.post("/sign-out", &out, &[]).await;
    house.bench.advance(Duration::from_secs(13 * 60 * 60));
    for cookie in [cookie.as_str(), out.as_str(), "attorn=nonsense", "attorn="] {
        let answer = house.get("/accounts", cookie).await;
        assert!(answer.location().starts_with("/sign-in"), "{cookie}");
        let posted = house.post("/agent/runs", cookie, &[("prompt", "x")]).await;
        assert!(posted.location().starts_with("/sign-in"), "{cookie}");
    }
    assert_eq!(house.count("select count(*) as n from runs").await, 0);
}
