use std::sync::Arc;

use domain::vault::{
    AccessMode, Error, TokenKind, accounts, fresh_token, permissions, revocations,
};
use sandbox::{Fault, Provider, Rotation, Target, Times};

use crate::permission::give;
use crate::stage::Stage;

fn revoked_at(stage: &Stage, provider: Provider) -> usize {
    let path = match provider {
        Provider::Slack => "/slack/api/auth.revoke",
        Provider::Google => "/google/revoke",
        Provider::Salesforce => "/salesforce/services/oauth2/revoke",
    };
    stage
        .control
        .requests(provider)
        .iter()
        .filter(|request| request.path == path)
        .count()
}

#[tokio::test]
async fn unlinking_shreds_the_key_takes_permissions_back_and_revokes_at_the_provider() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    for provider in Provider::ALL {
        let account = stage.link(provider).await;
        give(&stage, &client.id, &account, AccessMode::Release).await;
        let done = accounts::unlink(&stage, &stage.ada.id, &account.id)
            .await
            .unwrap();
        assert!(done.revocation_queued && done.revoked, "{provider}");
        assert_eq!(
            done.agents_may_hold_until, None,
            "{provider}: the provider confirmed"
        );
        assert_eq!(revoked_at(&stage, provider), 1, "{provider}");
        // There is nothing left to revoke: it is gone at the provider.
        assert_eq!(
            stage.control.revoke(provider, "ada@example.com"),
            0,
            "{provider}"
        );
        let row = stage
            .row(
                "select data_key from accounts where id = $1",
                vec![(&account.id).into()],
            )
            .await
            .unwrap();
        assert!(row.get::<Option<Vec<u8>>>("data_key").unwrap().is_none());
        let kept = stage
            .row(
                "select sealed, data_key from revocations where account_id = $1",
                vec![(&account.id).into()],
            )
            .await
            .unwrap();
        assert!(kept.get::<Vec<u8>>("sealed").unwrap().is_empty());
        assert!(kept.get::<Vec<u8>>("data_key").unwrap().is_empty());
        assert!(matches!(
            fresh_token(&stage, &account.id, TokenKind::User).await,
            Err(Error::NotFound)
        ));
        assert!(matches!(
            accounts::unlink(&stage, &stage.ada.id, &account.id).await,
            Err(Error::NotFound)
        ));
    }
    assert!(
        permissions::list_for_person(&stage, &stage.ada.id)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        accounts::list(&stage, &stage.ada.id)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(stage.events("grant.revoked").await, 3);
}

#[tokio::test]
async fn a_revocation_is_tried_until_the_provider_answers() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Google).await;
    give(&stage, &client.id, &account, AccessMode::Release).await;
    stage.control.set_fault_on(
        Provider::Google,
        Target::Revoke,
        Fault::Unavailable,
        Times::N(2),
    );
    let done = accounts::unlink(&stage, &stage.ada.id, &account.id)
        .await
        .unwrap();
    assert!(done.revocation_queued && !done.revoked);
    assert_eq!(done.agents_may_hold_until, Some(stage.now() + 3_599_000));
    assert_eq!(
        revocations::run_due(&stage, 10).await.unwrap(),
        0,
        "not due yet"
    );
    stage.pass(121);
    assert_eq!(
        revocations::run_due(&stage, 10).await.unwrap(),
        0,
        "the second one fails too"
    );
    stage.pass(600);
    assert_eq!(revocations::run_due(&stage, 10).await.unwrap(), 1);
    assert_eq!(stage.control.revoke(Provider::Google, "ada@example.com"), 0);
    stage.pass(86_400);
    assert_eq!(revocations::run_due(&stage, 10).await.unwrap(), 0);
}

#[tokio::test]
async fn linking_again_cancels_a_revocation_that_would_undo_it() {
    let stage = Stage::new().await;
    let account = stage.link(Provider::Google).await;
    stage.control.set_fault_on(
        Provider::Google,
        Target::Revoke,
        Fault::Unavailable,
        Times::Once,
    );
    accounts::unlink(&stage, &stage.ada.id, &account.id)
        .await
        .unwrap();
    let again = stage.link(Provider::Google).await;
    assert_ne!(again.id, account.id);
    stage.pass(3600);
    assert_eq!(revocations::run_due(&stage, 10).await.unwrap(), 0);
    fresh_token(&stage, &again.id, TokenKind::User)
        .await
        .unwrap();
}

#[tokio::test]
async fn unlinking_waits_for_a_refresh_and_revokes_what_it_brought() {
    let stage = Arc::new(Stage::new().await);
    stage
        .control
        .set_rotation(Provider::Salesforce, Rotation::Strict);
    let account = stage.link(Provider::Salesforce).await;
    stage.pass(7200);
    let gate = stage.control.gate_on(Provider::Salesforce, Target::Refresh);
    let (with, id) = (stage.clone(), account.id.clone());
    let caller = tokio::spawn(async move { fresh_token(&with, &id, TokenKind::User).await });
    gate.arrived(1).await;
    let (with, id) = (stage.clone(), account.id.clone());
    let unlinking = tokio::spawn(async move { accounts::unlink(&with, &with.ada.id, &id).await });
    gate.release();
    let _ = caller.await.unwrap();
    assert!(unlinking.await.unwrap().unwrap().revoked);
    assert_eq!(
        stage
            .control
            .revoke(Provider::Salesforce, "ada@example.com"),
        0
    );
}

#[tokio::test]
async fn an_answer_for_an_account_unlinked_elsewhere_is_revoked() {
    let stage = Arc::new(Stage::new().await);
    stage
        .control
        .set_rotation(Provider::Salesforce, Rotation::Strict);
    let account = stage.link(Provider::Salesforce).await;
    stage.pass(7200);
    let gate = stage.control.gate_on(Provider::Salesforce, Target::Refresh);
    let (with, id) = (stage.clone(), account.id.clone());
    let caller = tokio::spawn(async move { fresh_token(&with, &id, TokenKind::User).await });
    gate.arrived(1).await;
    // Another instance unlinks: this one only sees the row.
    stage
        .sql(
            "update accounts set state = 'unlinked', data_key = null where id = $1",
            vec![(&account.id).into()],
        )
        .await;
    gate.release();
    assert!(matches!(caller.await.unwrap(), Err(Error::NotFound)));
    assert_eq!(
        stage
            .control
            .revoke(Provider::Salesforce, "ada@example.com"),
        0
    );
}

#[tokio::test]
async fn the_default_moves_on_and_siblings_keep_what_they_share() {
    let stage = Stage::new().await;
    let first = stage.link(Provider::Google).await;
    let second = stage
        .try_link(Provider::Google, "grace@example.com")
        .await
        .unwrap()
        .account;
    accounts::unlink(&stage, &stage.ada.id, &first.id)
        .await
        .unwrap();
    let left = accounts::list(&stage, &stage.ada.id).await.unwrap();
    assert_eq!(left.len(), 1);
    assert!(left[0].is_default && left[0].id == second.id);
}

#[tokio::test]
async fn a_revocation_is_left_out_while_somebody_shares_what_it_would_reach() {
    let stage = Stage::new().await;
    let account = stage.link(Provider::Google).await;
    let grace = stage.bench.person("grace@example.com").await;
    // The same Google account, linked by two people here.
    let shared = stage
        .link_as(&grace, Provider::Google, "ada@example.com")
        .await;
    let done = accounts::unlink(&stage, &stage.ada.id, &account.id)
        .await
        .unwrap();
    assert!(done.revocation_queued);
    assert_eq!(revoked_at(&stage, Provider::Google), 0);
    stage.pass(3600);
    fresh_token(&stage, &shared.id, TokenKind::User)
        .await
        .unwrap();
    accounts::unlink(&stage, &grace.id, &shared.id)
        .await
        .unwrap();
    assert_eq!(revoked_at(&stage, Provider::Google), 1);
}

#[tokio::test]
async fn nobody_unlinks_somebody_elses_account() {
    let stage = Stage::new().await;
    let account = stage.link(Provider::Google).await;
    let mallory = stage.bench.person("mallory@example.com").await;
    assert!(matches!(
        accounts::unlink(&stage, &mallory.id, &account.id).await,
        Err(Error::NotFound)
    ));
    assert!(matches!(
        accounts::get(&stage, &mallory.id, &account.id).await,
        Err(Error::NotFound)
    ));
    fresh_token(&stage, &account.id, TokenKind::User)
        .await
        .unwrap();
}
