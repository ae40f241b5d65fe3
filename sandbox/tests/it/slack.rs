use sandbox::{Provider, Rotation};
use serde_json::json;

use crate::support::{REDIRECT, World, text};

const SLACK: Provider = Provider::Slack;

#[tokio::test]
async fn the_bots_token_is_at_the_top_and_never_expires() {
    let world = World::start().await;
    let token = world
        .link(SLACK, &[("scope", "channels:read,chat:write")])
        .await;
    let access = text(&token, "access_token");
    assert!(access.starts_with("xoxb-"));
    assert_eq!(
        token,
        json!({
            "ok": true, "access_token": access, "token_type": "bot", "scope": "channels:read,chat:write",
            "bot_user_id": "U0000BOT01", "app_id": "A000000001",
            "team": { "id": "T0000ACME1", "name": "Acme" },
            "enterprise": null, "is_enterprise_install": false,
            "authed_user": { "id": "U000000002" },
        })
    );
    world.wind_seconds(10 * 365 * 86_400);
    assert_eq!(
        world.get("/slack/api/auth.test", &access).await.json()["ok"],
        true
    );
}

#[tokio::test]
async fn user_scopes_alone_give_no_token_at_the_top() {
    let world = World::start().await;
    let token = world
        .link(SLACK, &[("scope", ""), ("user_scope", "channels:read")])
        .await;
    assert_eq!(token.get("access_token"), None);
    let user = &token["authed_user"];
    assert!(text(user, "access_token").starts_with("xoxp-"));
    assert_eq!(
        (&user["scope"], &user["token_type"]),
        (&json!("channels:read"), &json!("user"))
    );
    let me = world
        .get("/slack/api/auth.test", &text(user, "access_token"))
        .await
        .json();
    assert_eq!(
        (text(&me, "user"), text(&me, "user_id")),
        ("ada".into(), "U000000002".into())
    );

    let both = world
        .link(
            SLACK,
            &[("scope", "chat:write"), ("user_scope", "channels:read")],
        )
        .await;
    assert!(text(&both, "access_token").starts_with("xoxb-"));
    assert!(text(&both["authed_user"], "access_token").starts_with("xoxp-"));
}

#[tokio::test]
async fn with_rotation_tokens_expire_and_are_replaced() {
    let world = World::start().await;
    world
        .control
        .set_rotation(SLACK, Rotation::Rotates { grace_seconds: 0 });
    let token = world.link(SLACK, &[("user_scope", "channels:read")]).await;
    assert_eq!(token["expires_in"], 43_200);
    assert!(text(&token, "access_token").starts_with("xoxe.xoxb-1-"));
    assert!(text(&token["authed_user"], "refresh_token").starts_with("xoxe-1-"));

    world.wind_seconds(43_200);
    let expired = world
        .get("/slack/api/auth.test", &text(&token, "access_token"))
        .await
        .json();
    assert_eq!(expired, json!({ "ok": false, "error": "token_expired" }));

    let refreshed = world
        .refresh_with_basic(SLACK, &text(&token, "refresh_token"))
        .await
        .json();
    assert_ne!(refreshed["refresh_token"], token["refresh_token"]);
    let access = text(&refreshed, "access_token");
    assert_eq!(
        world.get("/slack/api/auth.test", &access).await.json()["ok"],
        true
    );
    let again = world.refresh(SLACK, &text(&token, "refresh_token")).await;
    assert_eq!(
        (again.status, again.json()),
        (
            200,
            json!({ "ok": false, "error": "invalid_refresh_token" })
        )
    );

    let user = world
        .refresh(SLACK, &text(&token["authed_user"], "refresh_token"))
        .await
        .json();
    assert!(text(&user, "access_token").starts_with("xoxe.xoxp-1-"));
    assert_eq!(user["token_type"], "user");
}

#[tokio::test]
async fn channels_are_listed_page_by_page() {
    let world = World::start().await;
    let token = text(&world.link(SLACK, &[]).await, "access_token");
    let first = world
        .get("/slack/api/conversations.list?limit=2", &token)
        .await
        .json();
    let names = |page: &serde_json::Value| -> Vec<String> {
        page["channels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|channel| text(channel, "name"))
            .collect()
    };
    assert_eq!(names(&first), ["general", "ops"]);
    let cursor = text(&first["response_metadata"], "next_cursor");
    let path = "/slack/api/conversations.list";
    let second = world
        .form(
            path,
            &[("token", &token), ("limit", "2"), ("cursor", &cursor)],
        )
        .await
        .json();
    assert_eq!(names(&second), ["random"]);
    assert_eq!(second["response_metadata"]["next_cursor"], "");
}

#[tokio::test]
async fn a_message_is_posted_by_id_or_name_as_json_or_form() {
    let world = World::start().await;
    let token = text(&world.link(SLACK, &[]).await, "access_token");
    let path = "/slack/api/chat.postMessage";
    let posted = world
        .post_json(
            path,
            &token,
            json!({ "channel": "#general", "text": "2.1 is <out>" }),
        )
        .await
        .json();
    assert_eq!(
        (&posted["ok"], &posted["channel"]),
        (&json!(true), &json!("C000000001"))
    );
    assert_eq!(posted["message"]["text"], "2.1 is <out>");
    world
        .post_json(path, &token, json!({ "channel": "ops", "text": "second" }))
        .await;
    world
        .form(
            path,
            &[
                ("token", &token),
                ("channel", "C000000003"),
                ("text", "third"),
            ],
        )
        .await;

    let all = world.control.posted_messages();
    let seen: Vec<_> = all
        .iter()
        .map(|m| (m.channel_name.as_str(), m.text.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("general", "2.1 is <out>"),
            ("ops", "second"),
            ("random", "third")
        ]
    );
    assert_eq!(
        (all[0].author.as_str(), all[0].email.as_str()),
        ("U0000BOT01", "ada@example.com")
    );
    let board = world.get("/slack/", "").await;
    assert!(board.text.contains("2.1 is &lt;out&gt;"));

    let history = world
        .get(
            "/slack/api/conversations.history?channel=C000000001&limit=1",
            &token,
        )
        .await
        .json();
    assert_eq!(
        (&history["messages"][0]["ts"], &history["has_more"]),
        (&posted["ts"], &json!(true))
    );
}

#[tokio::test]
async fn wrong_calls_get_slacks_own_errors() {
    let world = World::start().await;
    let token = text(
        &world.link(SLACK, &[("scope", "chat:write")]).await,
        "access_token",
    );
    let error = async |path: &str, token: &str| world.get(path, token).await.json();
    let path = "/slack/api/conversations.list";
    let bare = world.send("GET", path, &[], String::new()).await.json();
    assert_eq!(bare, json!({ "ok": false, "error": "not_authed" }));
    assert_eq!(error(path, "xoxb-made-up").await["error"], "invalid_auth");
    assert_eq!(
        error(path, &token).await,
        json!({ "ok": false, "error": "missing_scope", "needed": "channels:read", "provided": "chat:write" })
    );
    let post = "/slack/api/chat.postMessage";
    let nowhere = world
        .post_json(post, &token, json!({ "channel": "nowhere", "text": "x" }))
        .await
        .json();
    assert_eq!(nowhere["error"], "channel_not_found");
    let silent = world
        .post_json(post, &token, json!({ "channel": "general" }))
        .await
        .json();
    assert_eq!(silent["error"], "no_text");
    assert_eq!(
        error("/slack/api/no.such", &token).await["error"],
        "unknown_method"
    );
    assert!(world.control.posted_messages().is_empty());
}

#[tokio::test]
async fn a_revoked_token_is_revoked() {
    let world = World::start().await;
    let token = text(&world.link(SLACK, &[]).await, "access_token");
    let only_test = world
        .form(
            "/slack/api/auth.revoke",
            &[("token", &token), ("test", "1")],
        )
        .await
        .json();
    assert_eq!(only_test, json!({ "ok": true, "revoked": false }));
    let revoked = world.get("/slack/api/auth.revoke", &token).await.json();
    assert_eq!(revoked, json!({ "ok": true, "revoked": true }));
    assert_eq!(
        world.get("/slack/api/auth.test", &token).await.json()["error"],
        "token_revoked"
    );
}

#[tokio::test]
async fn people_are_looked_up_with_their_address_only_under_its_scope() {
    let world = World::start().await;
    let path = "/slack/api/users.info?user=U000000003";
    let token = text(&world.link(SLACK, &[]).await, "access_token");
    assert_eq!(
        world.get(path, &token).await.json()["user"]["profile"]["email"],
        "grace@example.com"
    );
    let narrow = text(
        &world.link(SLACK, &[("scope", "users:read")]).await,
        "access_token",
    );
    let user = world.get(path, &narrow).await.json();
    assert_eq!(
        (
            &user["user"]["real_name"],
            user["user"]["profile"].get("email")
        ),
        (&json!("Grace Hopper"), None)
    );
}

#[tokio::test]
async fn the_decoy_sees_nothing() {
    let world = World::start().await;
    let consent = world
        .form(
            &world.authorize_url(SLACK, &[]),
            &[("email", "nobody@example.com")],
        )
        .await;
    let code = consent.redirected_with("code").unwrap();
    assert!(consent.header("location").unwrap().starts_with(REDIRECT));
    let token = text(&world.exchange(SLACK, &code).await.json(), "access_token");
    assert_eq!(
        world
            .get("/slack/api/conversations.list", &token)
            .await
            .json()["channels"],
        json!([])
    );
    let post = json!({ "channel": "general", "text": "x" });
    let refused = world
        .post_json("/slack/api/chat.postMessage", &token, post)
        .await
        .json();
    assert_eq!(refused["error"], "channel_not_found");
}
