use super::*;
use crate::identity::Person;
use crate::oauth::authorize::check;
use crate::oauth::{
    AuthorizeError, AuthorizeRequest, ClientState, NewClient, Source, allow, clients,
    consent_needed, consents, deny, offered,
};
use crate::testing::CHALLENGE;
use crate::vault::connections::{self, NewConnection};
use crate::vault::{AccessMode, Overrides, permissions};

const CALLBACK: &str = "https://agent.test/callback";

fn params(client: &Client, changes: &[(&str, &str)]) -> Params {
    let mut all: BTreeMap<&str, &str> = BTreeMap::from([
        ("response_type", "code"),
        ("client_id", client.id.as_str()),
        ("redirect_uri", CALLBACK),
        ("scope", "openid offline_access"),
        ("state", "a state & more"),
        ("nonce", "n1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    all.extend(changes.iter().copied());
    Params::new(all).unwrap()
}

async fn good(bench: &Bench, client: &Client, changes: &[(&str, &str)]) -> AuthorizeRequest {
    match check(bench, &params(client, changes)).await {
        Ok(request) => request,
        Err(error) => panic!("{changes:?}: {error:?}"),
    }
}

fn value(url: &url::Url, name: &str) -> Option<String> {
    let mut found = url.query_pairs().filter(|(key, _)| key == name);
    found.next().map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn a_foreign_client_or_redirect_is_never_redirected() {
    let bench = Bench::new().await;
    let (client, _) = bench.client("Agent").await;
    for changes in [
        ("client_id", "nobody"),
        ("client_id", ""),
        ("redirect_uri", "https://evil.test/"),
        ("redirect_uri", "https://agent.test/callback/../x"),
        ("redirect_uri", "https://agent.test/callback?x"),
        ("redirect_uri", "https://AGENT.test/callback"),
    ] {
        let answer = check(&bench, &params(&client, &[changes])).await;
        assert!(
            matches!(answer, Err(AuthorizeError::ShowPage(_))),
            "{changes:?}"
        );
    }
    clients::freeze(&bench, None, &client.id, ClientState::Frozen)
        .await
        .unwrap();
    let frozen = check(&bench, &params(&client, &[])).await;
    assert!(matches!(frozen, Err(AuthorizeError::ShowPage(_))));
}

#[tokio::test]
async fn every_other_fault_goes_back_to_the_client_with_state_and_issuer() {
    let bench = Bench::new().await;
    let (client, _) = bench.client("Agent").await;
    for (name, text, code) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "invalid_request"),
        ("response_mode", "fragment", "invalid_request"),
        ("request", "x.y.z", "request_not_supported"),
        ("request_uri", "urn:x", "request_uri_not_supported"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("scope", "openid admin", "invalid_scope"),
        ("scope", "openid \u{202e}", "invalid_scope"),
        ("audience", "https://elsewhere.test/", "invalid_target"),
        ("prompt", "none login", "invalid_request"),
        ("prompt", "dance", "invalid_request"),
        ("max_age", "-1", "invalid_request"),
        (
            "authorization_details",
            "{}",
            "invalid_authorization_details",
        ),
        (
            "authorization_details",
            r#"[{"type":"other"}]"#,
            "invalid_authorization_details",
        ),
    ] {
        let answer = check(&bench, &params(&client, &[(name, text)])).await;
        let Err(AuthorizeError::Redirect {
            to,
            error,
            unproven: false,
        }) = answer
        else {
            panic!("{name}={text} should go back");
        };
        assert_eq!(error.code.word(), code, "{name}={text}");
        assert!(
            to.as_str()
                .starts_with("https://agent.test/callback?error=")
        );
        assert_eq!(value(&to, "error").as_deref(), Some(code));
        assert_eq!(value(&to, "state").as_deref(), Some("a state & more"));
        assert_eq!(value(&to, "iss"), Some(bench.settings.issuer.clone()));
        assert_eq!(value(&to, "code"), None);
    }
}

#[tokio::test]
async fn consent_is_asked_once_remembered_and_revocable() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, _) = bench.client("Agent").await;
    let request = good(&bench, &client, &[]).await;
    assert!(consent_needed(&bench, &ada.id, &request).await.unwrap());
    let to = allow(&bench, &ada.id, bench.now(), &request, vec![])
        .await
        .unwrap();
    assert!(value(&to, "code").is_some_and(|code| code.starts_with("att_ac_")));
    assert_eq!(value(&to, "state").as_deref(), Some("a state & more"));
    assert_eq!(value(&to, "iss"), Some(bench.settings.issuer.clone()));
    assert!(!consent_needed(&bench, &ada.id, &request).await.unwrap());
    let wider = good(&bench, &client, &[("scope", "openid email")]).await;
    assert!(consent_needed(&bench, &ada.id, &wider).await.unwrap());
    let again = good(&bench, &client, &[("prompt", "consent")]).await;
    assert!(consent_needed(&bench, &ada.id, &again).await.unwrap());
    assert!(consents::revoke(&bench, &ada.id, &client.id).await.unwrap());
    assert!(!consents::revoke(&bench, &ada.id, &client.id).await.unwrap());
    assert!(consent_needed(&bench, &ada.id, &request).await.unwrap());
}

#[tokio::test]
async fn consent_is_asked_again_when_tokens_are_good_at_another_service() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let mut new = NewClient::confidential("Agent", Source::Command);
    new.redirect_uris = vec![CALLBACK.to_owned()];
    new.audiences = vec!["https://api.test/".to_owned()];
    let (client, _) = bench.register(new).await;
    let mut request = good(&bench, &client, &[]).await;
    allow(&bench, &ada.id, bench.now(), &request, vec![])
        .await
        .unwrap();
    assert!(!consent_needed(&bench, &ada.id, &request).await.unwrap());
    let consent = consents::find(&bench, &ada.id, &client.id).await.unwrap();
    assert_eq!(consent.unwrap().audiences, ["https://api.test/"]);
    let more = "https://bank.test/".to_owned();
    request.client.audiences.push(more);
    assert!(consent_needed(&bench, &ada.id, &request).await.unwrap());
}

#[tokio::test]
async fn revoking_a_consent_ends_its_tokens() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, secret) = bench.client("Agent").await;
    let tokens = bench.tokens(&client, &ada, "openid offline_access").await;
    consents::revoke(&bench, &ada.id, &client.id).await.unwrap();
    let pairs = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token(&tokens)),
    ];
    assert_eq!(
        refused(ask(&bench, &client, &secret, &pairs).await),
        Code::InvalidGrant
    );
}

#[tokio::test]
async fn a_refusal_says_so_to_the_client() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, _) = bench.client("Agent").await;
    let request = good(&bench, &client, &[]).await;
    let to = deny(&bench, &ada.id, &request).await.unwrap();
    assert_eq!(value(&to, "error").as_deref(), Some("access_denied"));
    assert_eq!(value(&to, "code"), None);
    assert!(consent_needed(&bench, &ada.id, &request).await.unwrap());
}

#[tokio::test]
async fn an_old_sign_in_is_asked_for_again() {
    let bench = Bench::new().await;
    let (client, _) = bench.client("Agent").await;
    let now = bench.now();
    let plain = good(&bench, &client, &[]).await;
    assert!(plain.needs_sign_in(None, now));
    assert!(!plain.needs_sign_in(Some(now - 3_600_000), now));
    let recent = good(&bench, &client, &[("max_age", "60")]).await;
    assert!(!recent.needs_sign_in(Some(now - 60_000), now));
    assert!(recent.needs_sign_in(Some(now - 60_001), now));
    let always = params(&client, &[("prompt", "login consent")]);
    let asked = check(&bench, &always).await.unwrap();
    assert!(asked.needs_sign_in(Some(now), now));
    let after = Params::form(asked.query_after_sign_in(&always).as_bytes()).unwrap();
    assert_eq!(after.get("prompt"), Some("consent"));
    assert_eq!(after.get("state"), Some("a state & more"));
    assert_eq!(after.get("max_age"), None);
}

#[tokio::test]
async fn a_sign_in_that_was_just_asked_for_is_not_asked_for_again() {
    let bench = Bench::new().await;
    let (client, _) = bench.client("Agent").await;
    let mut new = NewClient::confidential("Careful", Source::Command);
    new.redirect_uris = vec![CALLBACK.to_owned()];
    new.metadata.default_max_age = Some(0);
    let (careful, _) = bench.register(new).await;
    for (client, text) in [
        (&client, Some("0")),
        (&client, Some("1")),
        (&careful, None),
        (&client, Some("3600")),
    ] {
        let pairs: Vec<_> = text.map(|text| ("max_age", text)).into_iter().collect();
        let params = params(client, &pairs);
        let asked = check(&bench, &params).await.unwrap();
        let now = bench.now();
        assert!(asked.needs_sign_in(Some(now - 3_601_000), now), "{text:?}");
        if text != Some("3600") {
            assert!(asked.needs_sign_in(Some(now - 1001), now), "{text:?}");
        }
        // The person signs in, and reads the page for a while.
        let after = Params::form(asked.query_after_sign_in(&params).as_bytes()).unwrap();
        let after = check(&bench, &after).await.unwrap();
        assert!(!after.needs_sign_in(Some(now), now + 500_000), "{text:?}");
        assert_eq!(after.state, asked.state);
    }
}

#[tokio::test]
async fn an_id_token_hint_names_the_only_person_that_is_answered_for() {
    let bench = Bench::new().await;
    let (client, _) = bench.client("Agent").await;
    let (other, _) = bench.client("Another").await;
    let ada = bench.person("ada@example.com").await;
    let bob = bench.person("bob@example.com").await;
    let tokens = bench.tokens(&client, &ada, "openid").await;
    let hint = tokens.id_token.unwrap();
    let pairs = [("id_token_hint", hint.expose().as_str())];
    let asked = good(&bench, &client, &pairs).await;
    assert!(asked.may_be_about(&ada.id) && !asked.may_be_about(&bob.id));
    assert!(good(&bench, &client, &[]).await.may_be_about(&bob.id));
    for (client, text) in [(&other, hint.expose().as_str()), (&client, "nonsense")] {
        let answer = check(&bench, &params(client, &[("id_token_hint", text)])).await;
        let Err(AuthorizeError::Redirect { error, .. }) = answer else {
            panic!("{text} names nobody");
        };
        assert_eq!(error.code, Code::InvalidRequest);
    }
}

#[tokio::test]
async fn nobody_vouches_for_the_address_of_a_client_that_registered_itself() {
    let bench = Bench::new().await;
    let mut new = NewClient::confidential("Anybody", Source::Registration);
    new.redirect_uris = vec![CALLBACK.to_owned()];
    let (client, _) = bench.register(new).await;
    for (prompt, expected) in [("login", true), ("none", false)] {
        let pairs = [("response_type", "token"), ("prompt", prompt)];
        let answer = check(&bench, &params(&client, &pairs)).await;
        let Err(AuthorizeError::Redirect { unproven, .. }) = answer else {
            panic!("it is told to the client");
        };
        assert_eq!(unproven, expected, "{prompt}");
    }
}

#[tokio::test]
async fn the_audience_is_the_clients_first_unless_another_is_asked_for() {
    let bench = Bench::new().await;
    let mut new = NewClient::confidential("Agent", Source::Command);
    new.redirect_uris = vec![CALLBACK.to_owned()];
    new.audiences = vec!["https://api.test/".to_owned()];
    let (client, _) = bench.register(new).await;
    assert_eq!(
        good(&bench, &client, &[]).await.audience,
        "https://api.test/"
    );
    let proxy = bench.settings.proxy_audience();
    for name in ["audience", "resource"] {
        assert_eq!(
            good(&bench, &client, &[(name, &proxy)]).await.audience,
            proxy
        );
    }
    let both = [("audience", "https://api.test/"), ("resource", &proxy)];
    let answer = check(&bench, &params(&client, &both)).await;
    assert!(
        matches!(answer, Err(AuthorizeError::Redirect { error, .. }) if error.code == Code::InvalidTarget)
    );
}

/// An account of this person's, as linking leaves it.
async fn linked(bench: &Bench, person: &Person, id: &'static str) {
    let connection = NewConnection {
        id: "sign-in-with-slack".to_owned(),
        provider: "slack".to_owned(),
        client_id: "ours".to_owned(),
        client_secret: "secret".into(),
        scopes: None,
        overrides: Overrides::default(),
        source: connections::Source::Config,
    };
    connections::put(bench, connection).await.unwrap();
    let person = person.id.clone();
    let done: Result<u64, crate::storage::Error> = bench
        .store
        .write(move |tx| {
            let person = person.clone();
            Box::pin(async move {
                tx.execute(
                    "insert into accounts (id, person_id, connection_id, tenant, subject, label, scopes, state, is_default, created_at, updated_at) \
                     values ($1, $2, 'sign-in-with-slack', 'T1', $1, 'Ada in Acme', '[]', 'linked', true, 1, 1)",
                    vec![id.into(), person.into()],
                )
                .await
            })
        })
        .await;
    done.unwrap();
}

#[tokio::test]
async fn allowing_with_a_ticked_account_gives_the_permission_too() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, secret) = bench.client("Agent").await;
    linked(&bench, &ada, "acc_ada").await;
    let details =
        r#"[{"type":"account_access","connection":"sign-in-with-slack","mode":"release"}]"#;
    let request = good(&bench, &client, &[("authorization_details", details)]).await;
    let offers = offered(&bench, &ada.id, &request).await.unwrap();
    assert_eq!(offers.len(), 1);
    assert_eq!(offers[0].accounts[0].id, "acc_ada");
    // The person may give less than was asked for.
    let chosen = vec![("acc_ada".to_owned(), AccessMode::Call)];
    let to = allow(&bench, &ada.id, bench.now(), &request, chosen)
        .await
        .unwrap();
    let given = permissions::find(&bench, &client.id, "acc_ada").await;
    assert_eq!(given.unwrap().unwrap().access_mode, AccessMode::Call);
    let code = value(&to, "code").unwrap();
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("code_verifier", crate::testing::VERIFIER),
    ];
    let answer = ask(&bench, &client, &secret, &pairs).await.unwrap();
    let granted = answer.authorization_details.unwrap();
    assert_eq!(
        granted,
        serde_json::json!([{"type": "account_access", "connection": "sign-in-with-slack", "mode": "call"}])
    );
    // Accounts are chosen each time.
    assert!(consent_needed(&bench, &ada.id, &request).await.unwrap());
}

#[tokio::test]
async fn nobody_can_tick_what_was_not_asked_for_or_is_not_theirs() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let bob = bench.person("bob@example.com").await;
    let (client, _) = bench.client("Agent").await;
    linked(&bench, &ada, "acc_ada").await;
    let details = r#"[{"type":"account_access","connection":"sign-in-with-slack","mode":"call"}]"#;
    let asked = good(&bench, &client, &[("authorization_details", details)]).await;
    let plain = good(&bench, &client, &[]).await;
    for (person, request, mode) in [
        (&ada, &asked, AccessMode::Release),
        (&bob, &asked, AccessMode::Call),
        (&ada, &plain, AccessMode::Call),
    ] {
        let chosen = vec![("acc_ada".to_owned(), mode)];
        let refused = allow(&bench, &person.id, bench.now(), request, chosen).await;
        assert_eq!(refused.unwrap_err().code, Code::InvalidRequest);
    }
    let none = permissions::find(&bench, &client.id, "acc_ada").await;
    assert!(none.unwrap().is_none());
    assert!(consents::list(&bench, &ada.id).await.unwrap().is_empty());
}
