use sandbox::{Client, Provider};

use crate::support::{REDIRECT, World, text, token_path};

#[tokio::test]
async fn the_page_names_the_app_the_scopes_and_every_person() {
    let world = World::start().await;
    for provider in Provider::ALL {
        let page = world.get(&world.authorize_url(provider, &[]), "").await;
        assert_eq!(page.status, 200);
        assert!(
            page.header("content-type")
                .unwrap()
                .starts_with("text/html")
        );
        for part in [
            "app asks for access",
            "nobody@example.com",
            "Ada Lovelace",
            "grace@example.com",
            "Deny",
        ] {
            assert!(page.text.contains(part), "{provider}: {part}");
        }
        assert_eq!(page.text.matches("class=\"person\"").count(), 3);
        assert!(!page.text.contains("<script"));
    }
    let page = world
        .get(
            &world.authorize_url(Provider::Slack, &[("scope", "chat:write,users:read")]),
            "",
        )
        .await;
    assert!(
        page.text.contains("<code>chat:write</code>")
            && page.text.contains("<code>users:read</code>")
    );
}

#[tokio::test]
async fn the_form_on_the_page_works_as_it_stands() {
    let world = World::start().await;
    let page = world
        .get(&world.authorize_url(Provider::Google, &[]), "")
        .await;
    let action = page
        .text
        .split("action=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let action = action.replace("&amp;", "&");
    let answer = world.form(&action, &[("email", "grace@example.com")]).await;
    assert_eq!(answer.status, 302);
    assert!(answer.redirected_with("code").is_some());
    assert_eq!(answer.redirected_with("state").as_deref(), Some("st"));
    assert_eq!(answer.redirected_with("from").as_deref(), Some("sandbox"));
}

#[tokio::test]
async fn what_a_client_asks_is_escaped_on_the_page() {
    let world = World::start().await;
    let page = world
        .get(
            &world.authorize_url(Provider::Slack, &[("scope", "<script>\"'&")]),
            "",
        )
        .await;
    assert!(page.text.contains("&lt;script&gt;&quot;&#39;&amp;"));
    assert!(!page.text.contains("<script"));
}

#[tokio::test]
async fn denying_goes_back_with_access_denied() {
    let world = World::start().await;
    let answer = world
        .form(
            &world.authorize_url(Provider::Salesforce, &[]),
            &[("deny", "1")],
        )
        .await;
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.redirected_with("error").as_deref(),
        Some("access_denied")
    );
    assert_eq!(answer.redirected_with("state").as_deref(), Some("st"));
    assert_eq!(answer.redirected_with("code"), None);
}

#[tokio::test]
async fn an_unknown_client_or_redirect_uri_never_redirects() {
    let world = World::start().await;
    let near = format!("{REDIRECT}/");
    for provider in Provider::ALL {
        for wrong in [
            ("client_id", "other"),
            ("redirect_uri", near.as_str()),
            ("redirect_uri", ""),
        ] {
            let url = world.authorize_url(provider, &[wrong]);
            for answer in [
                world.get(&url, "").await,
                world.form(&url, &[("email", "ada@example.com")]).await,
            ] {
                assert_eq!(answer.status, 400, "{provider} {wrong:?}");
                assert_eq!(answer.header("location"), None);
            }
        }
    }
}

#[tokio::test]
async fn pkce_is_required_by_google_and_salesforce_and_optional_at_slack() {
    let world = World::start().await;
    for provider in [Provider::Google, Provider::Salesforce] {
        let without = world
            .get(
                &world.authorize_url(provider, &[("code_challenge", "")]),
                "",
            )
            .await;
        assert_eq!(
            without.redirected_with("error").as_deref(),
            Some("invalid_request")
        );
    }
    let plain = world
        .get(
            &world.authorize_url(Provider::Slack, &[("code_challenge_method", "plain")]),
            "",
        )
        .await;
    assert_eq!(
        plain.redirected_with("error").as_deref(),
        Some("invalid_request")
    );
    let token = world.link(Provider::Slack, &[("code_challenge", "")]).await;
    assert_eq!(token["ok"], true);
}

#[tokio::test]
async fn a_code_is_good_once_for_its_client_redirect_verifier_and_ten_minutes() {
    let world = World::start().await;
    for provider in Provider::ALL {
        let mut other = Client::new(provider, "other", "secret", [REDIRECT]);
        other.name = "Another app".into();
        world.control.add_client(other);
        let error = |answer: crate::support::Answer| text(&answer.json(), "error");
        let redeem = async |fields: [(&str, &str); 5]| {
            let mut form = vec![("grant_type", "authorization_code")];
            form.extend(fields);
            error(world.form(token_path(provider), &form).await)
        };
        let verifier = ("code_verifier", crate::support::VERIFIER);
        let (id, secret) = (("client_id", "app"), ("client_secret", "s3cret & more"));
        let back = ("redirect_uri", REDIRECT);
        let by_provider =
            |slack: &'static str, google: &'static str, salesforce: &'static str| match provider {
                Provider::Slack => slack,
                Provider::Google => google,
                Provider::Salesforce => salesforce,
            };
        let bad_code = by_provider("invalid_code", "invalid_grant", "invalid_grant");

        let code = world.code(provider, &[]).await;
        let code = ("code", code.as_str());
        let foreign = [
            code,
            back,
            verifier,
            ("client_id", "other"),
            ("client_secret", "secret"),
        ];
        assert_eq!(redeem(foreign).await, bad_code);
        let moved = redeem([code, ("redirect_uri", "http://evil/"), verifier, id, secret]).await;
        assert_eq!(
            moved,
            by_provider(
                "bad_redirect_uri",
                "redirect_uri_mismatch",
                "redirect_uri_mismatch"
            )
        );
        assert_eq!(
            redeem([code, back, ("code_verifier", "wrong"), id, secret]).await,
            bad_code
        );
        let wrong_secret = redeem([code, back, verifier, id, ("client_secret", "wrong")]).await;
        assert_eq!(
            wrong_secret,
            by_provider("bad_client_secret", "invalid_client", "invalid_client")
        );
        assert_eq!(world.exchange(provider, code.1).await.status, 200);
        let again = redeem([code, back, verifier, id, secret]).await;
        assert_eq!(
            again,
            by_provider("code_already_used", "invalid_grant", "invalid_grant")
        );

        let late = world.code(provider, &[]).await;
        world.wind_seconds(600);
        assert_eq!(error(world.exchange(provider, &late).await), bad_code);
    }
    assert_eq!(world.control.issued_codes().len(), 6);
}
