use domain::vault::connections::{self, ConnectionState, Source};
use domain::vault::{Error, Reason, TokenKind, fresh_token};
use sandbox::Provider;

use crate::stage::{Stage, new_connection};

#[tokio::test]
async fn a_connection_that_stands_already_is_left_alone() {
    let stage = Stage::new().await;
    let base = format!("{}/slack", stage.sandbox.url());
    let before = stage.events("connection.changed").await;
    connections::put(&stage, new_connection(Provider::Slack, &base))
        .await
        .unwrap();
    assert_eq!(stage.events("connection.changed").await, before);
    let mut changed = new_connection(Provider::Slack, &base);
    changed.scopes = Some(vec!["channels:read".to_owned()]);
    let put = connections::put(&stage, changed).await.unwrap();
    assert_eq!(put.scopes, ["channels:read"]);
    assert_eq!(stage.events("connection.changed").await, before + 1);
}

#[tokio::test]
async fn bad_names_providers_and_addresses_are_refused() {
    let stage = Stage::new().await;
    let good = || new_connection(Provider::Slack, "https://slack.test");
    let mut bad = vec![good(), good(), good(), good(), good()];
    bad[0].id = "Not A Name".to_owned();
    bad[1].provider = "nobody".to_owned();
    bad[2].overrides.token = Some("http://slack.test/token".to_owned());
    bad[3].overrides.api_base = Some("https://user:pass@slack.test/".to_owned());
    bad[4].client_id = String::new();
    for new in bad {
        assert!(matches!(
            connections::put(&stage, new).await,
            Err(Error::Invalid(_))
        ));
    }
}

#[tokio::test]
async fn a_changed_origin_cannot_draw_old_grants_out() {
    let stage = Stage::new().await;
    let account = stage.link(Provider::Slack).await;
    let elsewhere = new_connection(Provider::Slack, "https://evil.test");
    assert!(matches!(
        connections::put(&stage, elsewhere.clone()).await,
        Err(Error::Invalid(_))
    ));
    fresh_token(&stage, &account.id, TokenKind::User)
        .await
        .unwrap();
    // A demo starts on another port every time: its accounts say so.
    let demo = connections::NewConnection {
        source: Source::Demo,
        ..elsewhere
    };
    connections::put(&stage, demo).await.unwrap();
    let refused = fresh_token(&stage, &account.id, TokenKind::User).await;
    assert!(matches!(
        refused,
        Err(Error::Reconnect {
            reason: Reason::ConnectionChanged,
            ..
        })
    ));
}

#[tokio::test]
async fn a_connection_rewritten_in_the_database_is_refused() {
    let stage = Stage::new().await;
    let account = stage.link(Provider::Slack).await;
    stage
        .sql(
            "update connections set client_id = 'mallory' where id = 'sign-in-with-slack'",
            vec![],
        )
        .await;
    assert!(matches!(
        connections::get(&stage, "sign-in-with-slack").await,
        Err(Error::Storage(_))
    ));
    assert!(
        fresh_token(&stage, &account.id, TokenKind::User)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_disabled_connection_gives_no_token() {
    let stage = Stage::new().await;
    let account = stage.link(Provider::Google).await;
    connections::set_disabled(&stage, &stage.ada.id, "google-oauth2", true)
        .await
        .unwrap();
    let refused = fresh_token(&stage, &account.id, TokenKind::User).await;
    assert!(
        matches!(refused, Err(Error::ProviderRefused { code, .. }) if code == "connection_disabled")
    );
    connections::set_disabled(&stage, &stage.ada.id, "google-oauth2", false)
        .await
        .unwrap();
    let connection = connections::get(&stage, "google-oauth2")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(connection.state, ConnectionState::Active);
    fresh_token(&stage, &account.id, TokenKind::User)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_client_secret_lies_sealed() {
    let stage = Stage::new().await;
    let row = stage
        .row(
            "select * from connections where id = 'google-oauth2'",
            vec![],
        )
        .await
        .unwrap();
    let sealed: Vec<u8> = row.get("secret_sealed").unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains("secret-of-google"));
}
