//! Each fault as it looks on the wire.

use sandbox::{Fault, Provider, Rotation, Target, Times};
use serde_json::json;

use crate::support::{Answer, World, invalid_session, text};

const GOOGLE: Provider = Provider::Google;

type Fits = fn(&Answer) -> bool;

async fn linked(fault: Fault) -> (World, String) {
    let world = World::start().await;
    let refresh = text(&world.link(GOOGLE, &[]).await, "refresh_token");
    world.control.set_fault(GOOGLE, fault, Times::Once);
    (world, refresh)
}

#[tokio::test]
async fn strict_rotation_ends_the_family_when_an_old_token_comes_back() {
    let (world, first) = linked(Fault::StrictRotation).await;
    let rotated = world.refresh(GOOGLE, &first).await.json();
    let second = text(&rotated, "refresh_token");
    assert_eq!(world.refresh(GOOGLE, &first).await.status, 400);
    assert_eq!(world.refresh(GOOGLE, &second).await.status, 400);
    assert_eq!(
        world
            .get("/google/v1/userinfo", &text(&rotated, "access_token"))
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn within_its_grace_a_rotated_token_answers_the_same_successor() {
    let (world, first) = linked(Fault::RotationGrace { seconds: 30 }).await;
    let second = text(&world.refresh(GOOGLE, &first).await.json(), "refresh_token");
    world.wind_seconds(29);
    assert_eq!(
        text(&world.refresh(GOOGLE, &first).await.json(), "refresh_token"),
        second
    );
    world.wind_seconds(1);
    assert_eq!(world.refresh(GOOGLE, &first).await.status, 400);
    assert_eq!(world.refresh(GOOGLE, &second).await.status, 200);
}

#[tokio::test]
async fn the_grace_ends_when_the_successor_is_used() {
    let world = World::start().await;
    world
        .control
        .set_rotation(GOOGLE, Rotation::Rotates { grace_seconds: 60 });
    let first = text(&world.link(GOOGLE, &[]).await, "refresh_token");
    let second = text(&world.refresh(GOOGLE, &first).await.json(), "refresh_token");
    assert_eq!(world.refresh(GOOGLE, &second).await.status, 200);
    assert_eq!(world.refresh(GOOGLE, &first).await.status, 400);
}

#[tokio::test]
async fn an_answer_lost_after_rotation_did_its_work() {
    let (world, first) = linked(Fault::AnswerLostAfterRotation).await;
    world.control.set_rotation(GOOGLE, Rotation::Strict);
    let issued = world.control.issued_tokens().len();
    let lost = world.try_refresh(GOOGLE, &first).await;
    assert!(lost.is_err_and(|why| why.is_request() && !why.is_timeout()));
    assert!(world.control.issued_tokens().len() > issued);
    assert_eq!(world.refresh(GOOGLE, &first).await.status, 400);
}

#[tokio::test]
async fn an_error_after_rotation_did_its_work_too() {
    let (world, first) = linked(Fault::ErrorAfterRotation).await;
    world
        .control
        .set_rotation(GOOGLE, Rotation::Rotates { grace_seconds: 0 });
    assert_eq!(world.refresh(GOOGLE, &first).await.status, 500);
    assert_eq!(world.refresh(GOOGLE, &first).await.status, 400);
}

#[tokio::test]
async fn refusals_do_nothing_and_are_over_after_their_times() {
    let checks: [(Fault, u16, Fits); 8] = [
        (Fault::RateLimited { retry_after: 7 }, 429, |a| {
            a.header("retry-after") == Some("7")
        }),
        (Fault::RateLimitedBare, 429, |a| {
            a.header("retry-after").is_none()
        }),
        (Fault::ServerError, 500, |a| {
            a.json()["error"]["code"] == 500
        }),
        (Fault::Unavailable, 503, |a| a.json().is_object()),
        (Fault::HtmlError, 502, |a| {
            a.header("content-type").unwrap().starts_with("text/html")
        }),
        (Fault::HtmlPage, 200, |a| {
            a.text.starts_with("<!doctype html>")
        }),
        (Fault::OkFalse, 200, |a| a.json()["ok"] == false),
        (Fault::RedirectOnToken, 307, |a| {
            a.header("location").unwrap().ends_with("/elsewhere")
        }),
    ];
    for (fault, status, fits) in checks {
        let (world, refresh) = linked(fault).await;
        let issued = world.control.issued_tokens().len();
        let answer = world.refresh(GOOGLE, &refresh).await;
        assert_eq!(answer.status, status, "{fault}");
        assert!(fits(&answer), "{fault}: {}", answer.text);
        assert_eq!(world.control.issued_tokens().len(), issued, "{fault}");
        assert_eq!(world.refresh(GOOGLE, &refresh).await.status, 200, "{fault}");
        assert_eq!(world.control.token_calls(GOOGLE, "refresh_token"), 2);
    }
}

#[tokio::test]
async fn following_a_redirect_is_noticed() {
    let (world, refresh) = linked(Fault::RedirectOnToken).await;
    let answer = world.refresh(GOOGLE, &refresh).await;
    assert!(world.control.followed_redirects().is_empty());
    world
        .form(
            answer.header("location").unwrap(),
            &[("refresh_token", &refresh)],
        )
        .await;
    let followed = world.control.followed_redirects();
    assert_eq!(
        followed[0].field("refresh_token").as_deref(),
        Some(refresh.as_str())
    );
}

#[tokio::test]
async fn spoilt_bodies_are_truncated_empty_or_huge() {
    let (world, refresh) = linked(Fault::TruncatedJson).await;
    let cut = world.refresh(GOOGLE, &refresh).await;
    assert_eq!(cut.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&cut.text).is_err());
    assert!(cut.text.starts_with('{'));

    world
        .control
        .set_fault(GOOGLE, Fault::EmptyBody, Times::Once);
    let empty = world.refresh(GOOGLE, &refresh).await;
    assert_eq!((empty.status, empty.text.as_str()), (200, ""));

    world
        .control
        .set_fault(GOOGLE, Fault::HugeBody { mib: 2 }, Times::Once);
    let huge = world.refresh(GOOGLE, &refresh).await;
    assert_eq!(huge.header("content-length"), None);
    assert!(huge.text.len() > 2 * 1024 * 1024);
    assert!(huge.json()["access_token"].is_string());
}

#[tokio::test]
async fn lifetimes_and_scopes_of_a_token_answer_are_altered() {
    let (world, refresh) = linked(Fault::NoExpiresIn).await;
    let endless = world.refresh(GOOGLE, &refresh).await.json();
    assert_eq!(endless.get("expires_in"), None);

    world
        .control
        .set_fault(GOOGLE, Fault::ShortExpiry { seconds: 5 }, Times::Once);
    let short = world.refresh(GOOGLE, &refresh).await.json();
    assert_eq!(short["expires_in"], 5);
    world.wind_seconds(5);
    assert_eq!(
        world
            .get("/google/v1/userinfo", &text(&short, "access_token"))
            .await
            .status,
        401
    );
    assert_eq!(
        world
            .get("/google/v1/userinfo", &text(&endless, "access_token"))
            .await
            .status,
        200
    );

    world
        .control
        .set_fault(GOOGLE, Fault::CommaScopes, Times::Once);
    let scope = text(&world.refresh(GOOGLE, &refresh).await.json(), "scope");
    assert!(scope.starts_with("openid,https://") && !scope.contains(' '));
}

#[tokio::test]
async fn fewer_scopes_are_granted_than_were_asked_for() {
    let world = World::start().await;
    world
        .control
        .set_fault(Provider::Slack, Fault::SubsetOfScopes, Times::Once);
    let token = world
        .link(Provider::Slack, &[("scope", "channels:read,chat:write")])
        .await;
    assert_eq!(token["scope"], "channels:read");
    let message = json!({ "channel": "general", "text": "x" });
    let refused = world
        .post_json(
            "/slack/api/chat.postMessage",
            &text(&token, "access_token"),
            message,
        )
        .await;
    assert_eq!(refused.json()["error"], "missing_scope");
}

#[tokio::test]
async fn slacks_nested_token_is_altered_as_well() {
    let world = World::start().await;
    world
        .control
        .set_rotation(Provider::Slack, Rotation::Strict);
    world
        .control
        .set_fault(Provider::Slack, Fault::NoExpiresIn, Times::Once);
    let token = world
        .link(Provider::Slack, &[("user_scope", "channels:read")])
        .await;
    assert_eq!(
        (
            token.get("expires_in"),
            token["authed_user"].get("expires_in")
        ),
        (None, None)
    );
    assert!(token["authed_user"]["refresh_token"].is_string());
}

#[tokio::test]
async fn a_person_who_revokes_ends_everything_of_theirs() {
    let (world, refresh) = linked(Fault::RevokedByPerson).await;
    assert_eq!(
        text(&world.refresh(GOOGLE, &refresh).await.json(), "error"),
        "invalid_grant"
    );
    assert_eq!(
        text(&world.refresh(GOOGLE, &refresh).await.json(), "error"),
        "invalid_grant"
    );

    for provider in Provider::ALL {
        let token = world.link(provider, &[("prompt", "consent")]).await;
        assert_eq!(world.control.revoke(provider, "grace@example.com"), 0);
        assert!(world.control.revoke(provider, "ada@example.com") > 0);
        let access = text(&token, "access_token");
        match provider {
            Provider::Slack => {
                let answer = world.get("/slack/api/auth.test", &access).await.json();
                assert_eq!(answer["error"], "token_revoked");
            }
            Provider::Google => {
                assert_eq!(world.get("/google/v1/userinfo", &access).await.status, 401);
            }
            Provider::Salesforce => {
                let again = world
                    .refresh(provider, &text(&token, "refresh_token"))
                    .await;
                assert_eq!(text(&again.json(), "error"), "invalid_grant");
            }
        }
    }
}

#[tokio::test]
async fn a_changed_identity_shows_in_tokens_and_answers() {
    let world = World::start().await;
    for provider in Provider::ALL {
        let honest = world.link(provider, &[("prompt", "consent")]).await;
        world
            .control
            .set_fault(provider, Fault::ChangedIdentity, Times::Always);
        let changed = world.link(provider, &[("prompt", "consent")]).await;
        let access = text(&changed, "access_token");
        match provider {
            Provider::Slack => assert_ne!(changed["authed_user"], honest["authed_user"]),
            Provider::Google => {
                let me = world.get("/google/v1/userinfo", &access).await.json();
                assert_eq!(me["email"], "stranger@example.com");
            }
            Provider::Salesforce => {
                assert_ne!(changed["id"], honest["id"]);
                let me = world.get(&text(&changed, "id"), &access).await.json();
                assert_eq!(me["email"], "stranger@example.com");
            }
        }
    }
}

#[tokio::test]
async fn a_rotated_client_secret_is_an_invalid_client() {
    let (world, refresh) = linked(Fault::RotatedClientSecret).await;
    let answer = world.refresh(GOOGLE, &refresh).await;
    assert_eq!(
        (answer.status, text(&answer.json(), "error")),
        (401, "invalid_client".into())
    );
    assert_eq!(world.refresh(GOOGLE, &refresh).await.status, 200);
}

#[tokio::test]
async fn a_session_can_be_over_before_its_time() {
    let world = World::start().await;
    let token = world.link(Provider::Salesforce, &[]).await;
    world
        .control
        .set_fault(Provider::Salesforce, Fault::SessionExpired, Times::N(2));
    let path = "/salesforce/instance/services/data/v62.0/query?q=SELECT+Id+FROM+Opportunity";
    let access = text(&token, "access_token");
    for _ in 0..2 {
        let refused = world.get(path, &access).await;
        assert_eq!((refused.status, refused.json()), (401, invalid_session()));
    }
    assert_eq!(world.get(path, &access).await.status, 200);
}

#[tokio::test]
async fn a_fault_can_be_aimed_and_cleared() {
    let world = World::start().await;
    world.control.set_fault_on(
        Provider::Slack,
        Target::Api,
        Fault::RateLimitedBare,
        Times::Always,
    );
    let token = text(&world.link(Provider::Slack, &[]).await, "access_token");
    for _ in 0..2 {
        let limited = world.get("/slack/api/conversations.list", &token).await;
        assert_eq!(
            (limited.status, limited.json()),
            (429, json!({ "ok": false, "error": "ratelimited" }))
        );
    }
    world.control.clear();
    assert_eq!(
        world
            .get("/slack/api/conversations.list", &token)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_message_whose_answer_is_lost_was_posted() {
    let world = World::start().await;
    let token = text(&world.link(Provider::Slack, &[]).await, "access_token");
    world.control.set_fault_on(
        Provider::Slack,
        Target::Api,
        Fault::AnswerLostAfterRotation,
        Times::Once,
    );
    let fields = [
        ("token", token.as_str()),
        ("channel", "general"),
        ("text", "once"),
    ];
    assert!(
        world
            .try_form("/slack/api/chat.postMessage", &fields)
            .await
            .is_err()
    );
    assert_eq!(world.control.posted_messages().len(), 1);
}

#[tokio::test]
async fn a_gate_holds_token_answers_until_it_opens() {
    let (world, refresh) = linked(Fault::CommaScopes).await;
    let gate = world.control.gate(GOOGLE);
    let held = async {
        futures::join!(
            world.refresh(GOOGLE, &refresh),
            world.refresh(GOOGLE, &refresh)
        )
    };
    let opened = async {
        gate.arrived(2).await;
        assert_eq!(gate.count(), 2);
        assert_eq!(
            world.get("/google/v1/userinfo", "made-up").await.status,
            401
        );
        gate.release();
    };
    let ((one, two), ()) = futures::join!(held, opened);
    assert_eq!((one.status, two.status), (200, 200));
    assert_eq!(world.refresh(GOOGLE, &refresh).await.status, 200);
}

#[tokio::test]
async fn a_slow_answer_comes_in_the_end() {
    let (world, refresh) = linked(Fault::SlowAnswer { ms: 1 }).await;
    assert_eq!(world.refresh(GOOGLE, &refresh).await.status, 200);
}
