//! Providers that the sandbox does not play, each with answers in the shape that
//! its documentation shows.

use std::time::Duration;

use bytes::Bytes;
use domain::oauth::RequestHead;
use domain::vault::permissions::{self, CallRule, Give};
use domain::vault::proxy::{self, ProxyRequest};
use domain::vault::{AccessMode, Error, Overrides, Reason, TokenKind, fresh_token};
use http::{HeaderMap, Method};
use serde_json::json;

use crate::lookalike::{ID, SECRET, Scene, basic, parameter, token_line};

/// Winds the clock past any access token's end and asks for a fresh one.
async fn refreshed(scene: &Scene, account: &str) -> String {
    scene.bench.advance(Duration::from_secs(100_000));
    fresh_token(&scene.bench, account, TokenKind::User)
        .await
        .unwrap()
        .access
        .expose()
        .clone()
}

#[tokio::test]
async fn github_answers_errors_with_200_rotates_and_deletes_the_whole_grant() {
    let scene = Scene::new("github").await;
    let github = &scene.provider;
    let token = token_line("github");
    github.answer(
        &token,
        200,
        json!({
            "access_token": "ghu_1", "expires_in": 28800, "refresh_token": "ghr_1",
            "refresh_token_expires_in": 15897600, "scope": "", "token_type": "bearer",
        }),
    );
    github.answer("GET /user", 200, json!({ "id": 583231, "login": "ada" }));
    let account = scene.link().await;
    assert_eq!(
        (account.subject.as_str(), account.label.as_str()),
        ("583231", "ada")
    );
    assert_eq!(account.scopes, Vec::<String>::new(), "none were granted");
    assert_eq!(
        github.last("GET /user").header("authorization"),
        "Bearer ghu_1"
    );
    let asked = github.last(&token);
    assert_eq!(asked.header("accept"), "application/json");
    assert_eq!(asked.member("client_secret").as_deref(), Some(SECRET));
    // A form, as GitHub writes it where JSON was not asked for.
    github.answer(
        &token,
        200,
        "access_token=ghu_2&expires_in=28800&refresh_token=ghr_2&scope=repo%2Cgist&token_type=bearer",
    );
    assert_eq!(refreshed(&scene, &account.id).await, "ghu_2");
    assert_eq!(
        github.last(&token).member("refresh_token").as_deref(),
        Some("ghr_1")
    );
    let grant = format!("DELETE /applications/{ID}/grant");
    github.answer(&grant, 204, "");
    let done = scene.unlink(&account).await;
    assert!(done.revoked);
    let deleted = github.last(&grant);
    assert_eq!(deleted.header("authorization"), basic());
    assert_eq!(deleted.member("access_token").as_deref(), Some("ghu_2"));
}

#[tokio::test]
async fn githubs_word_for_a_spent_refresh_token_asks_the_person_to_link_again() {
    let scene = Scene::new("github").await;
    let token = token_line("github");
    scene.provider.answer(
        &token,
        200,
        json!({ "access_token": "ghu_1", "expires_in": 28800, "refresh_token": "ghr_1" }),
    );
    scene
        .provider
        .answer("GET /user", 200, json!({ "id": 1, "login": "ada" }));
    let account = scene.link().await;
    scene.provider.answer(
        &token,
        200,
        json!({ "error": "bad_refresh_token", "error_description": "It is no good." }),
    );
    scene.bench.advance(Duration::from_secs(100_000));
    assert!(matches!(
        fresh_token(&scene.bench, &account.id, TokenKind::User).await,
        Err(Error::Reconnect {
            reason: Reason::Revoked,
            ..
        })
    ));
    // And a wrong client secret is not the person's fault.
    let other = Scene::new("github").await;
    other.provider.answer(
        &token,
        200,
        json!({ "error": "incorrect_client_credentials" }),
    );
    assert_eq!(other.refusal().await, "incorrect_client_credentials");
}

#[tokio::test]
async fn a_token_of_a_github_oauth_app_does_not_expire() {
    let scene = Scene::new("github").await;
    scene.provider.answer(
        &token_line("github"),
        200,
        json!({ "access_token": "gho_1", "scope": "repo,gist", "token_type": "bearer" }),
    );
    scene
        .provider
        .answer("GET /user", 200, json!({ "id": 1, "login": "ada" }));
    let account = scene.link().await;
    assert_eq!(account.scopes, ["repo", "gist"]);
    assert_eq!(refreshed(&scene, &account.id).await, "gho_1");
}

#[tokio::test]
async fn gitlab_s_encoded_slashes_pass_the_proxy_and_are_no_slashes_to_a_rule() {
    let scene = Scene::new("gitlab").await;
    let gitlab = &scene.provider;
    let answered = json!({
        "access_token": "glpat", "expires_in": 7200, "refresh_token": "glrt",
        "scope": "read_user read_api", "token_type": "Bearer",
    });
    gitlab.answer(&token_line("gitlab"), 200, answered);
    gitlab.answer(
        "GET /api/v4/user",
        200,
        json!({ "id": 7, "username": "ada" }),
    );
    let account = scene.link().await;
    let (agent, _) = scene.bench.client("Agent").await;
    let rule = |path: &str| CallRule {
        methods: vec!["GET".to_owned()],
        path: path.to_owned(),
    };
    let give = Give {
        person_id: scene.ada.id.clone(),
        client_id: agent.id.clone(),
        account_id: account.id.clone(),
        access_mode: AccessMode::Call,
        scopes: None,
        calls: Some(vec![
            rule("/projects/group%2Fproject/*"),
            rule("/projects/open/*"),
        ]),
    };
    permissions::give(&scene.bench, give).await.unwrap();
    let audience = scene.bench.settings.proxy_audience();
    let token = scene
        .bench
        .access_token(&agent, Some(&scene.ada), &audience, &[]);
    let call = async |path: &str| {
        let request = ProxyRequest {
            connection: "there".to_owned(),
            host: None,
            method: Method::GET,
            path_and_query: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        proxy::call(&scene.bench, &RequestHead::bearer(token.expose()), request).await
    };
    let line = "GET /api/v4/projects/group%2Fproject/issues";
    gitlab.answer(line, 200, json!([]));
    let answer = call("/projects/group%2Fproject/issues").await.unwrap();
    assert_eq!(answer.status, 200);
    // It went out as it was written.
    gitlab.last(line);
    let asked = gitlab.lines().len();
    for other in [
        "/projects/group/project/issues",
        "/projects/group%2fproject/issues",
        "/projects/open%2Fissues",
        "/projects%2Fopen/issues",
    ] {
        let refused = call(other).await;
        assert!(
            matches!(
                refused,
                Err(proxy::Error::Vault(Error::PermissionRequired { .. }))
            ),
            "{other}"
        );
    }
    for crooked in [
        "/projects/open/..%2F..%2Fuser",
        "/projects/open/a%2F..%2Fb",
        "/projects/open/%2e%2e/user",
        "/projects/open/a%252Fb",
    ] {
        let refused = call(crooked).await;
        assert!(
            matches!(refused, Err(proxy::Error::Refused(_))),
            "{crooked}"
        );
    }
    assert_eq!(gitlab.lines().len(), asked);
}

#[tokio::test]
async fn gitlab_at_a_host_of_its_own_rotates_and_is_told_of_the_end_with_our_secret() {
    let scene = Scene::bare().await;
    let gitlab = &scene.provider;
    // The lookalike as a self-managed host: only the scheme is not a real one's.
    let mut overrides = Overrides::below("gitlab", &gitlab.url).unwrap();
    overrides
        .parameters
        .insert("host".to_owned(), "git.example.com".to_owned());
    let connection = scene.connect("gitlab", overrides).await.unwrap();
    assert_eq!(
        connection.entry().authorize.as_str(),
        "https://git.example.com/oauth/authorize"
    );
    gitlab.answer(
        "POST /oauth/token",
        200,
        json!({
            "access_token": "a1", "token_type": "bearer", "expires_in": 7200,
            "refresh_token": "r1", "created_at": 1607635748, "scope": "read_user read_api",
        }),
    );
    let user = json!({ "id": 7, "username": "ada", "name": "Ada" });
    gitlab.answer("GET /api/v4/user", 200, user);
    let account = scene.link().await;
    assert_eq!(
        (account.subject.as_str(), account.label.as_str()),
        ("7", "ada")
    );
    gitlab.answer(
        "POST /oauth/token",
        200,
        json!({ "access_token": "a2", "expires_in": 7200, "refresh_token": "r2" }),
    );
    assert_eq!(refreshed(&scene, &account.id).await, "a2");
    gitlab.answer("POST /oauth/revoke", 200, "{}");
    assert!(scene.unlink(&account).await.revoked);
    let revoked = gitlab.last("POST /oauth/revoke");
    assert_eq!(revoked.member("token").as_deref(), Some("r2"));
    assert_eq!(revoked.member("client_secret").as_deref(), Some(SECRET));
}

#[tokio::test]
async fn notion_takes_json_and_basic_and_says_who_it_is_in_the_token_answer() {
    let scene = Scene::new("notion").await;
    let notion = &scene.provider;
    let to = scene.start().await;
    assert_eq!(parameter(&to, "owner").as_deref(), Some("user"));
    assert_eq!(parameter(&to, "scope"), None);
    assert_eq!(parameter(&to, "code_challenge"), None);
    let answer = |access: &str, refresh: &str| {
        json!({
            "access_token": access, "refresh_token": refresh, "token_type": "bearer", "bot_id": "b-1",
            "workspace_id": "w-1", "workspace_name": "Acme", "workspace_icon": null,
            "owner": { "type": "user", "user": { "object": "user", "id": "u-1", "name": "Ada",
                "type": "person", "person": { "email": "ada@example.com" } } },
            "duplicated_template_id": null, "request_id": "q-1",
        })
    };
    notion.answer("POST /v1/oauth/token", 200, answer("n1", "nr1"));
    let account = scene.finish(&to).await.unwrap().account;
    assert_eq!(
        (
            account.tenant.as_str(),
            account.subject.as_str(),
            account.label.as_str()
        ),
        ("w-1", "b-1", "ada@example.com in Acme")
    );
    let asked = notion.last("POST /v1/oauth/token");
    assert_eq!(asked.header("content-type"), "application/json");
    assert_eq!(asked.header("authorization"), basic());
    assert!(!asked.header("notion-version").is_empty());
    assert_eq!(asked.member("code").as_deref(), Some("a code"));
    assert_eq!(asked.member("code_verifier"), None);
    // Nobody else was asked, and the token does not run out by our clock.
    assert_eq!(notion.lines(), ["POST /v1/oauth/token"]);
    assert_eq!(refreshed(&scene, &account.id).await, "n1");
    notion.answer("POST /v1/oauth/revoke", 200, json!({ "request_id": "q-2" }));
    assert!(scene.unlink(&account).await.revoked);
    let revoked = notion.last("POST /v1/oauth/revoke");
    assert_eq!(revoked.header("content-type"), "application/json");
    assert_eq!(revoked.header("authorization"), basic());
    assert_eq!(revoked.member("token").as_deref(), Some("nr1"));
}

#[tokio::test]
async fn linear_separates_scopes_by_commas_and_tells_who_it_is_by_a_query() {
    let scene = Scene::new("linear").await;
    let linear = &scene.provider;
    let to = scene.start().await;
    assert_eq!(
        parameter(&to, "scope").as_deref(),
        Some("read,issues:create,comments:create")
    );
    linear.answer(
        "POST /oauth/token",
        200,
        json!({
            "access_token": "l1", "token_type": "Bearer", "expires_in": 86399,
            "scope": "read issues:create", "refresh_token": "lr1",
        }),
    );
    linear.answer(
        "POST /graphql",
        200,
        json!({ "data": { "viewer": { "id": "v-1", "name": "Ada", "email": "ada@example.com",
            "organization": { "id": "o-1", "name": "Acme" } } } }),
    );
    let account = scene.finish(&to).await.unwrap().account;
    assert_eq!(
        (account.tenant.as_str(), account.label.as_str()),
        ("o-1", "ada@example.com in Acme")
    );
    let asked = linear.last("POST /graphql");
    assert_eq!(asked.header("content-type"), "application/json");
    assert!(asked.member("query").unwrap().contains("viewer"));
    linear.answer(
        "POST /oauth/token",
        200,
        json!({ "access_token": "l2", "expires_in": 86399, "refresh_token": "lr2", "scope": ["read"] }),
    );
    assert_eq!(refreshed(&scene, &account.id).await, "l2");
    linear.answer("POST /oauth/revoke", 200, "");
    assert!(scene.unlink(&account).await.revoked);
    assert_eq!(
        linear.last("POST /oauth/revoke").header("authorization"),
        "Bearer l2"
    );
}

#[tokio::test]
async fn atlassian_names_the_sites_that_a_grant_covers() {
    let scene = Scene::new("atlassian").await;
    let atlassian = &scene.provider;
    let to = scene.start().await;
    assert_eq!(
        parameter(&to, "audience").as_deref(),
        Some("api.atlassian.com")
    );
    assert_eq!(parameter(&to, "prompt").as_deref(), Some("consent"));
    atlassian.answer(
        "POST /oauth/token",
        200,
        json!({
            "access_token": "a1", "expires_in": 3600, "refresh_token": "r1", "token_type": "Bearer",
            "scope": "read:me read:jira-work offline_access",
        }),
    );
    let me = json!({ "account_id": "aa:1", "name": "Ada", "email": "ada@example.com" });
    atlassian.answer("GET /me", 200, me);
    atlassian.answer(
        "GET /oauth/token/accessible-resources",
        200,
        json!([
            { "id": "c-1", "name": "acme", "url": "https://acme.atlassian.net", "scopes": ["read:jira-work"] },
            { "id": "c-2", "name": "beta", "url": "https://beta.atlassian.net", "scopes": ["read:jira-work"] },
        ]),
    );
    let account = scene.finish(&to).await.unwrap().account;
    assert_eq!(
        (account.subject.as_str(), account.label.as_str()),
        ("aa:1", "ada@example.com in acme, beta")
    );
    assert_eq!(account.tenant, "", "people add sites later");
    assert_eq!(
        atlassian.last("POST /oauth/token").header("content-type"),
        "application/json"
    );
    // 403 and another word than RFC 6749's.
    atlassian.answer(
        "POST /oauth/token",
        403,
        json!({ "error": "unauthorized_client", "error_description": "refresh_token is invalid" }),
    );
    scene.bench.advance(Duration::from_secs(100_000));
    assert!(matches!(
        fresh_token(&scene.bench, &account.id, TokenKind::User).await,
        Err(Error::Reconnect { .. })
    ));
    let done = scene.unlink(&account).await;
    assert!(!done.revocation_queued, "there is no endpoint for it");
}

#[tokio::test]
async fn hubspot_introspects_and_its_access_tokens_outlive_the_end() {
    let scene = Scene::new("hubspot").await;
    let hubspot = &scene.provider;
    hubspot.answer(
        "POST /oauth/2026-03/token",
        200,
        json!({
            "access_token": "h1", "expires_in": 1800, "refresh_token": "hr1", "token_type": "bearer",
            "scopes": ["oauth", "crm.objects.contacts.read"],
        }),
    );
    hubspot.answer(
        "POST /oauth/2026-03/token/introspect",
        200,
        json!({ "active": true, "hub_id": 62515, "hub_domain": "acme.example", "user_id": 123, "user": "ada@example.com" }),
    );
    let account = scene.link().await;
    assert_eq!(
        (
            account.tenant.as_str(),
            account.subject.as_str(),
            account.label.as_str()
        ),
        ("62515", "123", "ada@example.com in acme.example")
    );
    assert_eq!(account.scopes, ["oauth", "crm.objects.contacts.read"]);
    let asked = hubspot.last("POST /oauth/2026-03/token/introspect");
    assert_eq!(asked.member("token").as_deref(), Some("h1"));
    assert_eq!(asked.member("client_id").as_deref(), Some(ID));
    assert_eq!(
        asked.header("authorization"),
        "",
        "the token is in the form"
    );
    hubspot.answer(
        "POST /oauth/2026-03/token",
        400,
        json!({ "status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token" }),
    );
    scene.bench.advance(Duration::from_secs(100_000));
    assert!(matches!(
        fresh_token(&scene.bench, &account.id, TokenKind::User).await,
        Err(Error::Reconnect {
            reason: Reason::Revoked,
            ..
        })
    ));
}

#[tokio::test]
async fn zoom_has_basic_an_api_of_its_own_and_revokes_access_tokens() {
    let scene = Scene::new("zoom").await;
    let zoom = &scene.provider;
    zoom.answer(
        "POST /oauth/token",
        200,
        json!({
            "access_token": "z1", "token_type": "bearer", "refresh_token": "zr1", "expires_in": 3599,
            "scope": "user:read:user", "api_url": zoom.url,
        }),
    );
    let me = json!({ "id": "u-1", "account_id": "a-1", "email": "ada@example.com" });
    zoom.answer("GET /v2/users/me", 200, me);
    let account = scene.link().await;
    assert_eq!(
        (account.tenant.as_str(), account.label.as_str()),
        ("a-1", "ada@example.com")
    );
    let asked = zoom.last("POST /oauth/token");
    assert_eq!(asked.header("authorization"), basic());
    assert_eq!(asked.member("client_secret"), None);
    zoom.answer(
        "POST /oauth/token",
        200,
        json!({ "access_token": "z2", "refresh_token": "zr2", "expires_in": 3599 }),
    );
    assert_eq!(refreshed(&scene, &account.id).await, "z2");
    zoom.answer("POST /oauth/revoke", 200, json!({ "status": "success" }));
    assert!(scene.unlink(&account).await.revoked);
    let revoked = zoom.last("POST /oauth/revoke");
    assert_eq!(revoked.member("token").as_deref(), Some("z2"));
    assert_eq!(revoked.header("authorization"), basic());
    // Another host than the entry's gets nothing.
    let other = Scene::new("zoom").await;
    other.provider.answer(
        "POST /oauth/token",
        200,
        json!({ "access_token": "z1", "expires_in": 3599, "api_url": "https://evil.example" }),
    );
    assert_eq!(other.refusal().await, "instance_elsewhere");
}

#[tokio::test]
async fn dropbox_keeps_its_refresh_token_and_takes_calls_without_a_media_type() {
    let scene = Scene::new("dropbox").await;
    let dropbox = &scene.provider;
    let to = scene.start().await;
    assert_eq!(
        parameter(&to, "token_access_type").as_deref(),
        Some("offline")
    );
    dropbox.answer(
        "POST /oauth2/token",
        200,
        json!({
            "access_token": "d1", "expires_in": 14400, "token_type": "bearer", "scope": "account_info.read",
            "refresh_token": "dr1", "account_id": "dbid:1", "uid": "1",
        }),
    );
    dropbox.answer(
        "POST /2/users/get_current_account",
        200,
        json!({ "account_id": "dbid:1", "email": "ada@example.com", "name": { "display_name": "Ada" } }),
    );
    let account = scene.finish(&to).await.unwrap().account;
    assert_eq!(
        (account.subject.as_str(), account.label.as_str()),
        ("dbid:1", "ada@example.com")
    );
    let asked = dropbox.last("POST /2/users/get_current_account");
    assert_eq!(
        (asked.header("content-type"), asked.body.as_str()),
        ("", "")
    );
    let refreshed_answer = json!({ "access_token": "d2", "expires_in": 14400 });
    dropbox.answer("POST /oauth2/token", 200, refreshed_answer);
    assert_eq!(refreshed(&scene, &account.id).await, "d2");
    assert_eq!(refreshed(&scene, &account.id).await, "d2");
    assert_eq!(
        dropbox.last("POST /oauth2/token").member("refresh_token"),
        Some("dr1".to_owned())
    );
    dropbox.answer("POST /2/auth/token/revoke", 200, "null");
    assert!(scene.unlink(&account).await.revoked);
    let revoked = dropbox.last("POST /2/auth/token/revoke");
    assert_eq!(revoked.header("authorization"), "Bearer d2");
    assert_eq!(revoked.header("content-type"), "");
}

#[tokio::test]
async fn slack_for_a_whole_organisation_has_the_organisation_as_tenant() {
    let scene = Scene::new("slack").await;
    let slack = &scene.provider;
    slack.answer(
        "POST /api/oauth.v2.access",
        200,
        json!({
            "ok": true, "app_id": "A1", "team": null, "is_enterprise_install": true,
            "enterprise": { "id": "E1", "name": "Starship" },
            "authed_user": { "id": "W1", "scope": "chat:write", "access_token": "xoxp-1", "token_type": "user" },
        }),
    );
    slack.answer(
        "POST /api/auth.test",
        200,
        json!({ "ok": true, "user": "ada", "user_id": "W1", "team_id": "T9", "enterprise_id": "E1" }),
    );
    let account = scene.link().await;
    assert_eq!(
        (account.tenant.as_str(), account.subject.as_str()),
        ("E1", "W1")
    );
    assert_eq!(account.label, "ada in Starship");
}

#[tokio::test]
async fn salesforce_at_its_own_address_may_name_an_identity_at_another_salesforce_host() {
    let scene = Scene::new("salesforce").await;
    // What lies at a real host cannot be asked here; that it may be asked is what
    // tells it from any other host.
    for (id, code) in [
        ("https://evil.example/id/00D/005", "identity_elsewhere"),
        (
            "https://login.salesforce.com.evil.example/id/00D/005",
            "identity_elsewhere",
        ),
        (
            "https://login.salesforce.com:8443/id/00D/005",
            "identity_elsewhere",
        ),
    ] {
        scene.provider.answer(
            "POST /services/oauth2/token",
            200,
            json!({ "access_token": "s1", "id": id, "instance_url": scene.provider.url }),
        );
        assert_eq!(scene.refusal().await, code, "{id}");
    }
}
