//! `/authorize` and its consent page.

use domain::oauth::{Client, NewClient, Source};
use domain::testing::CHALLENGE;

use crate::house::{House, form};

const CALLBACK: &str = "https://agent.test/callback";

fn asking<'a>(client: &'a Client, change: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", client.id.as_str()),
        ("redirect_uri", CALLBACK),
        ("scope", "openid"),
        ("state", "s1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in change {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    fields
}

fn address(fields: &[(&str, &str)]) -> String {
    format!("/authorize?{}", form(fields))
}

#[tokio::test]
async fn a_person_is_asked_and_the_answer_goes_to_the_client() {
    let house = House::open().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    let fields = asking(&agent.client, &[]);
    let nobody = house.get(&address(&fields), "").await;
    assert_eq!(nobody.status, 303);
    assert!(
        nobody
            .location()
            .starts_with("/sign-in?return_to=%2Fauthorize")
    );
    let page = house.get(&address(&fields), &cookie).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Release bot"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action 'self' https://agent.test"));
    let mut answer = fields.clone();
    answer.push(("decision", "deny"));
    let denied = house.post("/authorize/decision", &cookie, &answer).await;
    assert_eq!(denied.status, 303);
    assert!(denied.location().contains("error=access_denied"));
    answer.pop();
    answer.push(("decision", "allow"));
    let allowed = house.post("/authorize/decision", &cookie, &answer).await;
    assert!(allowed.location().starts_with(CALLBACK));
    assert!(allowed.location().contains("code=") && allowed.location().contains("state=s1"));
}

#[tokio::test]
async fn a_foreign_redirect_is_told_to_the_person_and_never_followed() {
    let house = House::open().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    let table: &[&[(&str, &str)]] = &[
        &[("redirect_uri", "https://evil.example/callback")],
        &[("redirect_uri", "https://agent.test/callback/more")],
        &[("redirect_uri", "https://agent.test/callback?x=1")],
        &[("redirect_uri", "not an address")],
        &[("client_id", "nobody")],
        &[("client_id", "")],
    ];
    for change in table {
        for cookie in ["", cookie.as_str()] {
            let fields = asking(&agent.client, change);
            let answer = house.get(&address(&fields), cookie).await;
            assert!((400..500).contains(&answer.status), "{change:?}");
            assert_eq!(answer.location(), "", "{change:?}");
            if !cookie.is_empty() {
                let mut posted = fields.clone();
                posted.push(("decision", "allow"));
                let answer = house.post("/authorize/decision", cookie, &posted).await;
                assert!((400..500).contains(&answer.status), "{change:?}");
                assert_eq!(answer.location(), "", "{change:?}");
            }
        }
    }
    let codes = "select count(*) as n from authorization_codes";
    assert_eq!(house.count(codes).await, 0);
}

#[tokio::test]
async fn what_else_is_wrong_is_told_to_the_client() {
    let house = House::open().await;
    let agent = house.agent().await;
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("code_challenge", "")], "invalid_request"),
        (&[("request", "x.y.z")], "request_not_supported"),
        (
            &[("request_uri", "https://x.example/")],
            "request_uri_not_supported",
        ),
        (&[("prompt", "none")], "login_required"),
    ];
    for (change, code) in table {
        let fields = asking(&agent.client, change);
        let answer = house.get(&address(&fields), "").await;
        assert_eq!(answer.status, 303, "{change:?}");
        let to = answer.location();
        assert!(to.starts_with(CALLBACK), "{to}");
        assert!(to.contains(&format!("error={code}")), "{to}");
        assert!(to.contains("state=s1") && to.contains("iss="), "{to}");
    }
}

#[tokio::test]
async fn nobody_is_sent_to_a_client_that_registered_itself_before_they_sign_in() {
    let house = House::open().await;
    let new = NewClient {
        redirect_uris: vec![CALLBACK.to_owned()],
        ..NewClient::confidential("Anybody", Source::Registration)
    };
    let (client, _) = house.bench.register(new).await;
    let cookie = house.signed_in(&house.ada).await;
    for wrong in [("response_type", "token"), ("max_age", "old")] {
        let fields = asking(&client, &[wrong]);
        let nobody = house.get(&address(&fields), "").await;
        let (path, query) = nobody.location().split_once('?').unwrap();
        assert_eq!(path, "/sign-in");
        // Signing in leads back to the same request, and what is wrong with it.
        let back = url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "return_to")
            .unwrap();
        let somebody = house.get(&back.1, &cookie).await;
        assert!(somebody.location().starts_with(CALLBACK), "{wrong:?}");
        assert!(somebody.location().contains("error="), "{wrong:?}");
    }
    let silent = asking(&client, &[("prompt", "none")]);
    let silent = house.get(&address(&silent), "").await;
    assert!(silent.location().contains("error=login_required"));
}

#[tokio::test]
async fn without_a_page_the_client_hears_what_is_missing_and_gets_its_code_when_nothing_is() {
    let house = House::open().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    let silent = asking(&agent.client, &[("prompt", "none")]);
    let missing = house.get(&address(&silent), &cookie).await;
    assert!(missing.location().contains("error=consent_required"));
    let mut allow = asking(&agent.client, &[]);
    allow.push(("decision", "allow"));
    house.post("/authorize/decision", &cookie, &allow).await;
    let granted = house.get(&address(&silent), &cookie).await;
    assert!(granted.location().contains("code="));
}

#[tokio::test]
async fn the_person_a_client_expects_is_on_the_sign_in_page_and_the_only_one_answered_for() {
    let house = House::open().await;
    let agent = house.agent().await;
    let hinted = asking(&agent.client, &[("login_hint", "ada@example.com")]);
    let to_sign_in = house.get(&address(&hinted), "").await;
    let page = house.get(to_sign_in.location(), "").await;
    assert!(page.body.contains("value=\"ada@example.com\""));
    let tokens = house
        .bench
        .tokens(&agent.client, &house.ada, "openid")
        .await;
    let hint = tokens.id_token.unwrap();
    let bob = house.bench.person("bob@example.com").await;
    let cookie = house.signed_in(&bob).await;
    let mut fields = asking(&agent.client, &[("id_token_hint", hint.expose())]);
    let other = house.get(&address(&fields), &cookie).await;
    assert!(other.location().contains("error=login_required"));
    fields.push(("decision", "allow"));
    let other = house.post("/authorize/decision", &cookie, &fields).await;
    assert!(other.location().contains("error=login_required"));
    let codes = "select count(*) as n from authorization_codes where used_at is null";
    assert_eq!(house.count(codes).await, 0);
}

#[tokio::test]
async fn a_person_who_signed_in_for_max_age_zero_is_not_asked_to_do_it_again() {
    let house = House::open().await;
    let agent = house.agent().await;
    let fields = asking(&agent.client, &[("max_age", "0")]);
    let before = house.signed_in(&house.ada).await;
    let to_sign_in = house.get(&address(&fields), &before).await;
    let (_, query) = to_sign_in.location().split_once('?').unwrap();
    let back = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "return_to")
        .unwrap();
    let after = house.signed_in(&house.ada).await;
    let page = house.get(&back.1, &after).await;
    assert_eq!(page.status, 200, "{}", page.location());
}

#[tokio::test]
async fn a_parameter_twice_or_no_decision_gives_no_code() {
    let house = House::open().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    let mut fields = asking(&agent.client, &[]);
    let undecided = house.post("/authorize/decision", &cookie, &fields).await;
    assert_eq!(undecided.status, 400);
    fields.push(("client_id", "other"));
    assert_eq!(house.get(&address(&fields), &cookie).await.status, 400);
    fields.push(("decision", "allow"));
    assert_eq!(
        house
            .post("/authorize/decision", &cookie, &fields)
            .await
            .status,
        400
    );
    let mut fields = asking(&agent.client, &[]);
    fields.push(("decision", "allow"));
    fields.push(("account", "acc_of_somebody_else"));
    let foreign = house.post("/authorize/decision", &cookie, &fields).await;
    assert_eq!(foreign.status, 400, "an account that was not offered");
    let codes = "select count(*) as n from authorization_codes";
    assert_eq!(house.count(codes).await, 0);
}

#[tokio::test]
async fn a_client_hears_of_a_parameter_twice_unless_it_is_in_doubt_who_it_is() {
    let house = House::open().await;
    let agent = house.agent().await;
    let fields = asking(&agent.client, &[]);
    for (name, state) in [("scope", true), ("nonce", true), ("state", false)] {
        let mut fields = fields.clone();
        fields.extend([(name, "one"), (name, "two")]);
        let answer = house.get(&address(&fields), "").await;
        let to = answer.location();
        assert!(to.starts_with(CALLBACK), "{name}: {} {to}", answer.status);
        assert!(to.contains("error=invalid_request"), "{to}");
        // Which state is the client's own nobody knows then.
        assert_eq!(to.contains("state=s1"), state, "{to}");
    }
    for name in ["client_id", "redirect_uri"] {
        let mut fields = fields.clone();
        fields.push((name, "https://evil.example/"));
        let answer = house.get(&address(&fields), "").await;
        assert_eq!((answer.status, answer.location()), (400, ""), "{name}");
    }
}

#[tokio::test]
async fn a_client_may_send_the_browser_with_a_post_from_another_site() {
    let house = House::open().await;
    let agent = house.agent().await;
    let fields = asking(&agent.client, &[]);
    let request = house
        .request(axum::http::Method::POST, "/authorize", "")
        .header("origin", "https://agent.test")
        .header("sec-fetch-site", "cross-site")
        .header("content-type", crate::house::FORM)
        .body(form(&fields));
    let led_on = house.send(request).await;
    assert_eq!(led_on.status, 303);
    // The browser may be sent; a script of that site may not read along.
    assert_eq!(led_on.header("access-control-allow-origin"), "");
    let cookie = house.signed_in(&house.ada).await;
    let page = house.get(led_on.location(), &cookie).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Release bot"));
    assert_eq!(page.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn what_is_wrong_with_a_posted_request_is_told_as_with_any_other() {
    let house = House::open().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    let post = |kind: &'static str, body: String| {
        let request = house
            .request(axum::http::Method::POST, "/authorize", "")
            .header("sec-fetch-site", "cross-site")
            .header("content-type", kind)
            .body(body);
        house.send(request)
    };
    let mut twice = asking(&agent.client, &[]);
    twice.push(("scope", "email"));
    let led_on = post(crate::house::FORM, form(&twice)).await;
    let told = house.get(led_on.location(), &cookie).await;
    assert!(told.location().starts_with(CALLBACK), "{}", told.body);
    assert!(told.location().contains("error=invalid_request"));
    // What is no form at all, or far too long, is told to the person.
    for (kind, body, status) in [
        ("application/json", "{}".to_owned(), 400),
        (crate::house::FORM, "x".repeat(1 << 20), 413),
    ] {
        let page = post(kind, body).await;
        assert_eq!(page.status, status);
        assert!(page.header("content-type").starts_with("text/html"));
    }
}

#[tokio::test]
async fn an_age_that_a_client_registered_holds_where_it_names_none() {
    let house = House::open().await;
    let new = NewClient {
        redirect_uris: vec![CALLBACK.to_owned()],
        metadata: domain::oauth::ClientMetadata {
            default_max_age: Some(60),
            ..domain::oauth::ClientMetadata::default()
        },
        ..NewClient::confidential("Careful", Source::Admin)
    };
    let (client, _) = house.bench.register(new).await;
    let cookie = house.signed_in(&house.ada).await;
    let asked = address(&asking(&client, &[]));
    assert_eq!(house.get(&asked, &cookie).await.status, 200);
    house.bench.advance(std::time::Duration::from_secs(61));
    let late = house.get(&asked, &cookie).await;
    assert!(late.location().starts_with("/sign-in?"));
    let patient = address(&asking(&client, &[("max_age", "3600")]));
    assert_eq!(house.get(&patient, &cookie).await.status, 200);
}

#[tokio::test]
async fn a_person_who_may_choose_their_account_signs_in_anew_once() {
    let house = House::open().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    let fields = asking(&agent.client, &[("prompt", "select_account")]);
    let to_sign_in = house.get(&address(&fields), &cookie).await;
    let (path, query) = to_sign_in.location().split_once('?').unwrap();
    assert_eq!(path, "/sign-in");
    let back = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "return_to")
        .unwrap();
    let cookie = house.signed_in(&house.ada).await;
    assert_eq!(house.get(&back.1, &cookie).await.status, 200);
}

#[tokio::test]
async fn the_page_names_the_other_services_where_the_tokens_are_good() {
    let house = House::open().await;
    let new = NewClient {
        redirect_uris: vec![CALLBACK.to_owned()],
        audiences: vec!["https://bank.test/".to_owned()],
        ..NewClient::confidential("Teller", Source::Admin)
    };
    let (client, _) = house.bench.register(new).await;
    let cookie = house.signed_in(&house.ada).await;
    let page = house.get(&address(&asking(&client, &[])), &cookie).await;
    assert!(page.body.contains("It will act in your name at"));
    assert!(page.body.contains("https://bank.test/"));
}
