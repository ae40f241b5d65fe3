//! The switches over HTTP, the log, and starting and stopping.

use sandbox::{Config, Fault, Provider, Sandbox, TokenKind};
use serde_json::{Value, json};

use crate::support::{World, text};

#[tokio::test]
async fn faults_are_set_and_cleared_over_http() {
    let world = World::start().await;
    let token = text(&world.link(Provider::Slack, &[]).await, "access_token");
    let status = async || {
        world
            .get("/slack/api/conversations.list", &token)
            .await
            .status
    };
    let set = async |body: Value| world.post_json("/control/fault", "", body).await;

    let fault = json!({ "provider": "slack", "fault": "rate-limited:9", "times": 2, "on": "api" });
    assert_eq!(set(fault).await.json(), json!({ "ok": true }));
    assert_eq!(
        (status().await, status().await, status().await),
        (429, 429, 200)
    );
    assert_eq!(
        set(json!({ "provider": "slack", "fault": "server-error" }))
            .await
            .status,
        200
    );
    assert_eq!((status().await, status().await), (500, 200));
    set(json!({ "provider": "slack", "fault": "unavailable", "times": "always" })).await;
    assert_eq!(status().await, 503);
    world.post_json("/control/clear", "", json!({})).await;
    assert_eq!(status().await, 200);

    for wrong in [
        json!({ "provider": "slack", "fault": "no-such" }),
        json!({ "provider": "github", "fault": "server-error" }),
        json!({ "provider": "slack", "fault": "server-error:3" }),
        json!({ "provider": "slack", "fault": "server-error", "times": "sometimes" }),
        json!({ "provider": "slack", "fault": "server-error", "on": "mondays" }),
    ] {
        let answer = set(wrong.clone()).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.json()["error"].is_string());
    }
}

#[tokio::test]
async fn a_header_strikes_one_request() {
    let world = World::start().await;
    let path = "/slack/api/auth.test";
    let faulty = world
        .send(
            "GET",
            path,
            &[("x-sandbox-fault", "html-error")],
            String::new(),
        )
        .await;
    assert_eq!(faulty.status, 502);
    assert_eq!(
        world.send("GET", path, &[], String::new()).await.status,
        200
    );
    let both = world
        .send(
            "GET",
            path,
            &[("x-sandbox-fault", "wrong-content-type, early-hints")],
            String::new(),
        )
        .await;
    assert_eq!(
        (both.status, both.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    let unknown = world
        .send(
            "GET",
            path,
            &[("x-sandbox-fault", "nonsense")],
            String::new(),
        )
        .await;
    assert_eq!(unknown.status, 400);
}

#[tokio::test]
async fn every_fault_is_named_and_its_name_read_back() {
    let world = World::start().await;
    let listed = world.get("/control/faults", "").await.json();
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(names.len(), Fault::ALL.len());
    assert!(names.len() >= 60);
    for (name, fault) in names.iter().zip(Fault::ALL) {
        assert_eq!(name.parse(), Ok(*fault));
        assert_eq!(fault.name().parse(), Ok(*fault));
        let twins = Fault::ALL
            .iter()
            .filter(|other| other.name() == fault.name());
        assert_eq!(twins.count(), 1, "{name}");
    }
    let catalogue = world.get("/control/catalogue", "").await.json();
    assert_eq!(catalogue.as_array().unwrap().len(), names.len());
    assert_eq!(
        (
            catalogue[1]["name"].as_str(),
            catalogue[1]["number"].as_i64()
        ),
        (Some("rotation-grace"), Some(60))
    );
}

/// The faults as README.md lists them.
fn table() -> String {
    let mut table = "| name | what happens | aimed at | known of |\n|---|---|---|---|\n".to_owned();
    for fault in Fault::ALL {
        let (what, on, seen) = (fault.what(), fault.natural_target(), fault.seen_at());
        table += &format!("| `{fault}` | {what} | {on} | {seen} |\n");
    }
    table
}

#[test]
fn the_readme_lists_every_fault_and_no_other() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once("<!-- faults -->\n").unwrap();
    let (listed, after) = rest.split_once("<!-- /faults -->").unwrap();
    if std::env::var_os("SANDBOX_WRITE_README").is_some() {
        let (open, close) = ("<!-- faults -->\n", "<!-- /faults -->");
        std::fs::write(path, format!("{before}{open}{}{close}{after}", table())).unwrap();
        return;
    }
    assert!(
        listed == table(),
        "the table is out of date: run this test once with SANDBOX_WRITE_README=1"
    );
}

#[tokio::test]
async fn a_fault_can_be_for_one_client_or_for_every_provider() {
    let world = World::start().await;
    let client = json!({
        "provider": "google", "client_id": "other", "client_secret": "s",
        "redirect_uris": [crate::support::REDIRECT],
    });
    world.post_json("/control/client", "", client).await;
    let fault = json!({
        "provider": "google", "client": "app", "fault": "unavailable", "times": "always", "on": "any",
    });
    world.post_json("/control/fault", "", fault).await;
    let armed = world.get("/control/armed", "").await.json();
    assert_eq!(
        armed,
        json!([{
            "provider": "google", "client": "app", "fault": "unavailable", "times": "always", "on": "any",
        }])
    );
    let ask = async |client: &str| {
        let fields = [("grant_type", "refresh_token"), ("client_id", client)];
        let path = crate::support::token_path(Provider::Google);
        world.form(path, &fields).await.status
    };
    assert_eq!((ask("app").await, ask("other").await), (503, 401));

    let fault = json!({ "fault": "server-error", "on": "identity" });
    world.post_json("/control/fault", "", fault).await;
    for path in [
        "/slack/api/auth.test",
        "/google/v1/userinfo",
        "/salesforce/services/oauth2/userinfo",
    ] {
        let (first, second) = (world.get(path, "x").await, world.get(path, "x").await);
        assert_eq!(first.status, 500, "{path}");
        assert_ne!(second.status, 500, "{path}");
    }
}

#[tokio::test]
async fn clients_rotation_revocation_and_expiry_are_switched_over_http() {
    let world = World::start().await;
    let post = async |path: &str, body: Value| world.post_json(path, "", body).await.json();
    let client = json!({
        "provider": "google", "client_id": "new", "client_secret": "s", "name": "New app",
        "redirect_uris": ["http://localhost:1/"],
    });
    post("/control/client", client).await;
    let more = [
        ("client_id", "new"),
        ("redirect_uri", "http://localhost:1/"),
    ];
    let page = world
        .get(&world.authorize_url(Provider::Google, &more), "")
        .await;
    assert!(page.text.contains("New app asks for access"));

    post(
        "/control/rotation",
        json!({ "provider": "slack", "rotation": "strict" }),
    )
    .await;
    let token = world.link(Provider::Slack, &[]).await;
    assert!(token["refresh_token"].is_string());
    post("/control/expire", json!({ "provider": "slack" })).await;
    let access = text(&token, "access_token");
    assert_eq!(
        world.get("/slack/api/auth.test", &access).await.json()["error"],
        "token_expired"
    );
    let ended = post(
        "/control/revoke",
        json!({ "provider": "slack", "email": "ada@example.com" }),
    )
    .await;
    assert_eq!(ended["ended"], 1);
    let gone = world
        .refresh(Provider::Slack, &text(&token, "refresh_token"))
        .await
        .json();
    assert_eq!(gone["error"], "token_revoked");
}

#[tokio::test]
async fn requests_and_tokens_are_remembered() {
    let world = World::start().await;
    let token = world.link(Provider::Slack, &[]).await;
    let access = text(&token, "access_token");
    let message = json!({ "channel": "general", "text": "hello" });
    world
        .post_json("/slack/api/chat.postMessage?x=1", &access, message.clone())
        .await;

    let log = world.control.requests(Provider::Slack);
    let paths: Vec<&str> = log.iter().map(|request| request.path.as_str()).collect();
    let expected = [
        "/slack/oauth/v2/authorize",
        "/slack/api/oauth.v2.access",
        "/slack/api/chat.postMessage",
    ];
    assert_eq!(paths, expected);
    assert_eq!(
        log[1].field("redirect_uri").as_deref(),
        Some(crate::support::REDIRECT)
    );
    assert_eq!(
        log[2].header("authorization"),
        Some(format!("Bearer {access}").as_str())
    );
    assert_eq!(
        (log[2].method.as_str(), log[2].text()),
        ("POST", message.to_string())
    );
    assert_eq!(log[2].query, [("x".to_owned(), "1".to_owned())]);
    assert!(world.control.requests(Provider::Google).is_empty());
    assert_eq!(
        world
            .control
            .token_calls(Provider::Slack, "authorization_code"),
        1
    );

    let seen = world
        .get("/control/requests?provider=slack", "")
        .await
        .json();
    assert_eq!(
        (seen.as_array().unwrap().len(), &seen[2]["path"]),
        (3, &json!(expected[2]))
    );
    assert_eq!(
        world.get("/control/posted", "").await.json()[0]["text"],
        "hello"
    );
    assert_eq!(world.get("/control/sent", "").await.json(), json!([]));

    let issued = world.control.issued_tokens();
    assert_eq!(
        (issued.len(), issued[0].kind, issued[0].email.as_str()),
        (1, TokenKind::Access, "ada@example.com")
    );
    assert_eq!(issued[0].token, access);
}

#[tokio::test]
async fn a_stopped_sandbox_frees_its_port() {
    let sandbox = Sandbox::start(Config::system()).await.unwrap();
    let url = sandbox.url();
    assert_eq!(sandbox.slack_url(), format!("{url}/slack"));
    let port = url.rsplit(':').next().unwrap().parse().unwrap();
    let taken = Sandbox::start(Config {
        port,
        ..Config::system()
    })
    .await;
    assert!(taken.is_err());
    sandbox.stop().await;
    let again = Sandbox::start(Config {
        port,
        host: "localhost".into(),
        ..Config::system()
    })
    .await
    .unwrap();
    assert_eq!(
        again.google_url(),
        format!("http://localhost:{port}/google")
    );
}
