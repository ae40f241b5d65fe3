//! Refreshing before anybody waits for it.

use domain::vault::{Account, TokenKind, ahead, fresh_token};
use sandbox::{Fault, Provider, Rotation, Target, Times};

use crate::stage::Stage;

const DAY: u64 = 24 * 3600;

async fn fresh(stage: &Stage, account: &Account) -> String {
    let token = fresh_token(stage, &account.id, TokenKind::User).await;
    token.unwrap().access.expose().clone()
}

async fn used(stage: &Stage) {
    let now = stage.now();
    stage
        .sql("update accounts set last_used_at = $1", vec![now.into()])
        .await;
}

async fn run(stage: &Stage) -> usize {
    ahead::run_due(stage, 50).await.unwrap()
}

#[tokio::test]
async fn a_grant_in_use_is_refreshed_before_it_runs_out() {
    let stage = Stage::new().await;
    let account = stage.link(Provider::Google).await;
    let first = fresh(&stage, &account).await;
    used(&stage).await;
    stage.pass(3599 - 601);
    assert_eq!(run(&stage).await, 0, "it is early yet");
    stage.pass(301);
    assert_eq!(run(&stage).await, 1);
    assert_eq!(stage.refreshes(Provider::Google), 1);
    assert_ne!(fresh(&stage, &account).await, first);
    assert_eq!(run(&stage).await, 0, "once is enough");
    assert_eq!(stage.refreshes(Provider::Google), 1);
}

#[tokio::test]
async fn a_grant_that_nobody_uses_is_only_kept_from_lapsing() {
    let stage = Stage::new().await;
    // Google lets a refresh token lapse after 180 days without use, Salesforce does not.
    let google = stage.link(Provider::Google).await;
    stage.link(Provider::Salesforce).await;
    for _ in 0..89 {
        stage.pass(DAY);
        assert_eq!(run(&stage).await, 0);
    }
    stage.pass(47 * DAY);
    assert_eq!(run(&stage).await, 1);
    assert_eq!(stage.refreshes(Provider::Google), 1);
    assert_eq!(stage.refreshes(Provider::Salesforce), 0);
    // And again, for as long as it is linked.
    stage.pass(136 * DAY);
    assert_eq!(run(&stage).await, 1);
    domain::vault::accounts::unlink(&stage, &stage.ada.id, &google.id)
        .await
        .unwrap();
    stage.pass(136 * DAY);
    assert_eq!(run(&stage).await, 0);
    assert_eq!(stage.refreshes(Provider::Google), 2);
}

#[tokio::test]
async fn instances_share_the_work() {
    let stage = Stage::new().await;
    let beside = stage.bench.beside().await;
    for provider in Provider::ALL {
        stage.link(provider).await;
    }
    used(&stage).await;
    stage.control.set_lifetime(Provider::Slack, 3599);
    stage.pass(3599 - 200);
    // On SQLite there is one instance; its upkeep may still overlap itself.
    let other = beside.as_ref().unwrap_or(&stage.bench.engine);
    let (one, two) = tokio::join!(ahead::run_due(&stage, 50), ahead::run_due(other, 50));
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    assert_eq!(stage.refreshes(Provider::Google), 1);
}

#[tokio::test]
async fn an_unwell_provider_is_tried_again_while_the_living_token_is_served() {
    let stage = Stage::new().await;
    let account = stage.link(Provider::Google).await;
    let first = fresh(&stage, &account).await;
    used(&stage).await;
    let down = Fault::Unavailable;
    stage
        .control
        .set_fault_on(Provider::Google, Target::Refresh, down, Times::Always);
    stage.pass(3599 - 300);
    assert_eq!(run(&stage).await, 0);
    assert_eq!(stage.refreshes(Provider::Google), 1);
    assert_eq!(run(&stage).await, 0, "not at once again");
    assert_eq!(stage.refreshes(Provider::Google), 1);
    assert_eq!(fresh(&stage, &account).await, first);
    stage.control.clear();
    stage.pass(600);
    assert_eq!(run(&stage).await, 1);
}

#[tokio::test]
async fn a_grant_whose_answer_was_lost_is_left_alone_while_its_token_lives() {
    let stage = Stage::new().await;
    stage
        .control
        .set_rotation(Provider::Slack, Rotation::Strict);
    let account = stage.link(Provider::Slack).await;
    used(&stage).await;
    let lost = Fault::AnswerLostAfterRotation;
    stage
        .control
        .set_fault_on(Provider::Slack, Target::Refresh, lost, Times::Once);
    stage.pass(12 * 3600 - 300);
    assert_eq!(run(&stage).await, 0);
    assert_eq!(stage.refreshes(Provider::Slack), 1);
    for _ in 0..4 {
        stage.pass(60);
        assert_eq!(run(&stage).await, 0);
    }
    assert_eq!(stage.refreshes(Provider::Slack), 1);
    assert_eq!(stage.state(&account).await.0, "linked");
    assert_eq!(stage.events("account.reconnect").await, 0);
}
