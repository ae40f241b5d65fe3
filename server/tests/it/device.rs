//! `/oauth/device/code` and the page of its code.

use crate::house::{House, path_of};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

#[tokio::test]
async fn a_device_is_allowed_on_its_page_and_polls_its_tokens() {
    let house = House::open().await;
    let agent = house.agent().await;
    let asked = house
        .post_authenticated("/oauth/device/code", &agent, &[("scope", "openid")])
        .await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    assert_eq!(asked.header("cache-control"), "no-store");
    assert_eq!(asked.json()["interval"], 5);
    assert_eq!(asked.json()["expires_in"], 600);
    let (code, device_code) = (asked.text("user_code"), asked.text("device_code"));
    let poll = [("grant_type", GRANT), ("device_code", &device_code)];
    let pending = house.token(&agent, &poll).await;
    assert_eq!(pending.error(), (400, "authorization_pending".to_owned()));

    // Who is not signed in is asked to, and comes back with the code.
    let page = path_of(&asked.text("verification_uri_complete"));
    assert_eq!(page, format!("/device?user_code={code}"));
    let cookie = house.signed_in(&house.ada).await;
    let typed = house
        .post("/device", &cookie, &[("user_code", &code.to_lowercase())])
        .await;
    assert_eq!(typed.status, 303);
    let question = house.get(typed.location(), &cookie).await;
    assert_eq!(question.status, 200);
    assert!(question.body.contains(&code), "{}", question.body);
    assert!(question.body.contains(&agent.client.name));
    let allowed = house
        .post(
            "/device",
            &cookie,
            &[("user_code", &code), ("decision", "allow")],
        )
        .await;
    assert_eq!(allowed.location(), "/device?done=allowed");
    let tokens = house.token(&agent, &poll).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    assert!(tokens.json()["id_token"].is_string());
}

#[tokio::test]
async fn a_wrong_code_is_kept_in_its_field_and_a_stranger_decides_nothing() {
    let house = House::open().await;
    let agent = house.agent().await;
    let asked = house
        .post_authenticated("/oauth/device/code", &agent, &[("scope", "openid")])
        .await;
    let code = asked.text("user_code");
    let decide = [("user_code", code.as_str()), ("decision", "allow")];
    let stranger = house.post("/device", "", &decide).await;
    assert!(stranger.location().starts_with("/sign-in"));

    let cookie = house.signed_in(&house.ada).await;
    let wrong = house.get("/device?user_code=BBBB-BBBB", &cookie).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.body.contains("BBBB-BBBB"));
    let decided = house.get("/device?user_code=%F0%9F%92%A5", &cookie).await;
    assert_eq!(decided.status, 422);
    for _ in 0..20 {
        house.get("/device?user_code=BBBB-BBBB", &cookie).await;
    }
    let slowed = house
        .get(&format!("/device?user_code={code}"), &cookie)
        .await;
    assert_eq!(slowed.status, 429);
    assert!(!slowed.header("retry-after").is_empty());
}
