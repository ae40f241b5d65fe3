use base64::Engine;
use base64::prelude::{BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use sandbox::Provider;
use serde_json::{Value, json};

use crate::support::{World, text};

const GOOGLE: Provider = Provider::Google;
const EVENTS: &str = "/google/calendar/v3/calendars/primary/events";

#[tokio::test]
async fn a_refresh_token_comes_with_the_first_consent_only_or_when_asked_again() {
    let world = World::start().await;
    let first = world.link(GOOGLE, &[]).await;
    assert_eq!(
        (&first["expires_in"], &first["token_type"]),
        (&json!(3599), &json!("Bearer"))
    );
    let refresh = text(&first, "refresh_token");
    assert!(refresh.starts_with("1//") && text(&first, "access_token").starts_with("ya29."));
    assert_eq!(world.link(GOOGLE, &[]).await.get("refresh_token"), None);
    assert!(world.link(GOOGLE, &[("prompt", "consent")]).await["refresh_token"].is_string());
    let online = [("access_type", "online"), ("prompt", "consent")];
    assert_eq!(world.link(GOOGLE, &online).await.get("refresh_token"), None);
    assert_eq!(world.refresh(GOOGLE, &refresh).await.status, 200);
}

#[tokio::test]
async fn refreshing_keeps_the_refresh_token() {
    let world = World::start().await;
    let refresh = text(&world.link(GOOGLE, &[]).await, "refresh_token");
    for _ in 0..2 {
        world.wind_seconds(3600);
        let answer = world.refresh(GOOGLE, &refresh).await.json();
        assert_eq!(answer.get("refresh_token"), None);
        assert_eq!(
            world
                .get(EVENTS, &text(&answer, "access_token"))
                .await
                .status,
            200
        );
    }
    assert_eq!(world.control.token_calls(GOOGLE, "refresh_token"), 2);
    let unknown = world.refresh(GOOGLE, "1//made-up").await;
    assert_eq!(
        (unknown.status, text(&unknown.json(), "error")),
        (400, "invalid_grant".into())
    );
}

#[tokio::test]
async fn the_scopes_are_answered_in_googles_names_and_may_include_earlier_ones() {
    let world = World::start().await;
    let first = world.link(GOOGLE, &[("scope", "openid email")]).await;
    assert_eq!(
        first["scope"],
        "openid https://www.googleapis.com/auth/userinfo.email"
    );
    let calendar = "https://www.googleapis.com/auth/calendar.readonly";
    let alone = world.link(GOOGLE, &[("scope", calendar)]).await;
    assert_eq!(alone["scope"], calendar);
    let together = world
        .link(
            GOOGLE,
            &[("scope", calendar), ("include_granted_scopes", "true")],
        )
        .await;
    let expected = format!("{calendar} openid https://www.googleapis.com/auth/userinfo.email");
    assert_eq!(together["scope"], expected);
}

#[tokio::test]
async fn the_id_token_says_who_it_is() {
    let world = World::start().await;
    let token = world.link(GOOGLE, &[("nonce", "n0")]).await;
    let id_token = text(&token, "id_token");
    let claims = BASE64_URL_SAFE_NO_PAD
        .decode(id_token.split('.').nth(1).unwrap())
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(
        (text(&claims, "email"), text(&claims, "name")),
        ("ada@example.com".into(), "Ada Lovelace".into())
    );
    assert_eq!(
        (text(&claims, "aud"), text(&claims, "nonce")),
        ("app".into(), "n0".into())
    );

    let access = text(&token, "access_token");
    let me = world
        .get("/google/oauth2/v2/userinfo", &access)
        .await
        .json();
    let oidc = world.get("/google/v1/userinfo", &access).await.json();
    assert_eq!(
        (&me["id"], &me["email"]),
        (&claims["sub"], &json!("ada@example.com"))
    );
    assert_eq!(
        (&oidc["sub"], &oidc["email_verified"]),
        (&claims["sub"], &json!(true))
    );
}

#[tokio::test]
async fn revoking_any_token_ends_the_whole_authorisation() {
    let world = World::start().await;
    let first = world.link(GOOGLE, &[]).await;
    let second = world.link(GOOGLE, &[]).await;
    let access = text(&second, "access_token");
    let revoked = world.form("/google/revoke", &[("token", &access)]).await;
    assert_eq!(revoked.status, 200);
    assert_eq!(
        world
            .get(EVENTS, &text(&first, "access_token"))
            .await
            .status,
        401
    );
    let gone = world.refresh(GOOGLE, &text(&first, "refresh_token")).await;
    assert_eq!(
        (gone.status, text(&gone.json(), "error")),
        (400, "invalid_grant".into())
    );
    let again = world.form("/google/revoke", &[("token", &access)]).await;
    assert_eq!(
        (again.status, text(&again.json(), "error")),
        (400, "invalid_token".into())
    );
    assert!(world.link(GOOGLE, &[]).await["refresh_token"].is_string());
}

#[tokio::test]
async fn todays_events_are_found_in_order_and_new_ones_made() {
    let world = World::start().await;
    let token = text(&world.link(GOOGLE, &[]).await, "access_token");
    let calendars = world
        .get("/google/calendar/v3/users/me/calendarList", &token)
        .await
        .json();
    assert_eq!(
        (
            &calendars["items"][0]["primary"],
            &calendars["items"][1]["summary"]
        ),
        (&json!(true), &json!("Team"))
    );

    let made = json!({
        "summary": "Call with Grace",
        "start": { "dateTime": "2026-11-24T11:00:00+01:00" },
        "end": { "dateTime": "2026-11-24T11:30:00+01:00" },
    });
    let answer = world.post_json(EVENTS, &token, made).await;
    assert_eq!(
        (answer.status, &answer.json()["start"]["dateTime"]),
        (200, &json!("2026-11-24T10:00:00Z"))
    );

    let today = "timeMin=2026-11-24T00:00:00Z&timeMax=2026-11-25T00:00:00Z";
    let path = format!("{EVENTS}?{today}&singleEvents=true&orderBy=startTime");
    let events = world.get(&path, &token).await.json();
    let names: Vec<String> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| text(event, "summary"))
        .collect();
    assert_eq!(
        names,
        [
            "Stand-up",
            "Call with Grace",
            "Release review",
            "Lunch with the new colleagues"
        ]
    );

    let unordered = world
        .get(&format!("{EVENTS}?orderBy=startTime"), &token)
        .await;
    assert_eq!(unordered.status, 400);
    let elsewhere = world
        .get("/google/calendar/v3/calendars/none/events", &token)
        .await;
    assert_eq!(
        (elsewhere.status, &elsewhere.json()["error"]["code"]),
        (404, &json!(404))
    );
}

#[tokio::test]
async fn mails_are_read_drafted_and_sent() {
    let world = World::start().await;
    let token = text(&world.link(GOOGLE, &[]).await, "access_token");
    let base = "/google/gmail/v1/users/me";
    let unread = world
        .get(&format!("{base}/messages?q=is:unread+from:grace"), &token)
        .await
        .json();
    assert_eq!(unread["messages"].as_array().unwrap().len(), 1);
    let id = text(&unread["messages"][0], "id");
    let mail = world
        .get(&format!("{base}/messages/{id}"), &token)
        .await
        .json();
    let subject = json!({ "name": "Subject", "value": "Release notes" });
    assert!(
        mail["payload"]["headers"]
            .as_array()
            .unwrap()
            .contains(&subject)
    );

    let raw = BASE64_URL_SAFE.encode("To: grace@example.com\r\nSubject: Yes\r\n\r\nSend them.\r\n");
    let draft = world
        .post_json(
            &format!("{base}/drafts"),
            &token,
            json!({ "message": { "raw": raw } }),
        )
        .await;
    assert_eq!(draft.json()["message"]["labelIds"], json!(["DRAFT"]));
    assert!(world.control.sent_mails().is_empty());
    let drafts = world.get(&format!("{base}/drafts"), &token).await.json();
    assert_eq!(drafts["drafts"][0]["id"], draft.json()["id"]);

    let sent = world
        .post_json(
            &format!("{base}/messages/send"),
            &token,
            json!({ "raw": raw }),
        )
        .await;
    assert_eq!(sent.json()["labelIds"], json!(["SENT"]));
    let out = world.control.sent_mails();
    assert_eq!(
        (out[0].from.as_str(), out[0].to.as_str()),
        ("ada@example.com", "grace@example.com")
    );
    assert_eq!(out[0].subject, "Yes");
    let broken = world
        .post_json(
            &format!("{base}/messages/send"),
            &token,
            json!({ "raw": "%%" }),
        )
        .await;
    assert_eq!(broken.status, 400);
}

#[tokio::test]
async fn bad_expired_and_narrow_tokens_are_refused_in_googles_shape() {
    let world = World::start().await;
    let narrow = text(
        &world.link(GOOGLE, &[("scope", "openid email")]).await,
        "access_token",
    );
    let refused = world.get(EVENTS, &narrow).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["status"]),
        (403, &json!("PERMISSION_DENIED"))
    );
    assert_eq!(
        refused.json()["error"]["errors"][0]["reason"],
        "insufficientPermissions"
    );
    world.wind_seconds(3599);
    for token in [narrow.as_str(), "ya29.made-up"] {
        let refused = world.get("/google/v1/userinfo", token).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["status"]),
            (401, &json!("UNAUTHENTICATED"))
        );
    }
}
