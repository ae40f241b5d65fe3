//! An answer that is stored after its holder was given up still counts.

use domain::vault::{Account, Error, TokenKind, fresh_token};
use sandbox::{Fault, Provider, Rotation, Target, Times};

use crate::stage::Stage;

async fn fresh(stage: &Stage, account: &Account) -> Result<String, Error> {
    let token = fresh_token(stage, &account.id, TokenKind::User).await?;
    Ok(token.access.expose().clone())
}

/// A grant whose last answer lies stored by `late` and is not chosen: the rows
/// as they were before the refresh. Answers the token that was answered.
async fn stored_and_not_chosen(stage: &Stage, account: &Account) -> String {
    let before = stage
        .row(
            "select epoch, access_sealed, refresh_sealed, refresh_hash, access_expires_at from provider_grants where account_id = $1",
            vec![(&account.id).into()],
        )
        .await
        .unwrap();
    stage.pass(7200);
    let token = fresh(stage, account).await.unwrap();
    stage
        .sql(
            "update provider_grants set epoch = $2, access_sealed = $3, refresh_sealed = $4, refresh_hash = $5, \
             access_expires_at = $6, state = 'unknown' where account_id = $1",
            vec![
                (&account.id).into(),
                before.get::<i64>("epoch").unwrap().into(),
                before.get::<Vec<u8>>("access_sealed").unwrap().into(),
                before.get::<Vec<u8>>("refresh_sealed").unwrap().into(),
                before.get::<Vec<u8>>("refresh_hash").unwrap().into(),
                before.get::<i64>("access_expires_at").unwrap().into(),
            ],
        )
        .await;
    stage
        .sql(
            "update refresh_candidates set chosen_at = null, holder = 'late'",
            vec![],
        )
        .await;
    stage
        .sql("update refresh_intents set outcome = 'unknown'", vec![])
        .await;
    token
}

#[tokio::test]
async fn an_answer_stored_late_mends_an_account_that_was_given_up() {
    let stage = Stage::new().await;
    let rotates = Rotation::Rotates { grace_seconds: 0 };
    stage.control.set_rotation(Provider::Salesforce, rotates);
    let account = stage.link(Provider::Salesforce).await;
    let token = stored_and_not_chosen(&stage, &account).await;
    // Somebody took the lease over, asked again, and was refused.
    stage
        .sql(
            "update provider_grants set state = 'reconnect' where account_id = $1",
            vec![(&account.id).into()],
        )
        .await;
    stage
        .sql(
            "update accounts set state = 'reconnect', state_reason = 'answer_lost' where id = $1",
            vec![(&account.id).into()],
        )
        .await;
    assert_eq!(fresh(&stage, &account).await.unwrap(), token);
    assert_eq!(stage.state(&account).await, ("linked".to_owned(), None));
    assert_eq!(stage.refreshes(Provider::Salesforce), 1);
    stage.pass(7200);
    fresh(&stage, &account).await.unwrap();
}

#[tokio::test]
async fn choosing_a_late_answer_leaves_the_lease_of_who_asks_meanwhile() {
    let stage = Stage::new().await;
    let account = stage.link(Provider::Salesforce).await;
    let token = stored_and_not_chosen(&stage, &account).await;
    let leased = || async {
        let row = stage
            .row(
                "select holder from refresh_leases where not released",
                vec![],
            )
            .await;
        row.map(|row| row.get::<String>("holder").unwrap())
    };
    // Another took it over, and its request is on the way.
    stage
        .sql(
            "update refresh_leases set released = false, holder = 'other', counter = counter + 1",
            vec![],
        )
        .await;
    stage
        .sql(
            "insert into refresh_intents (id, account_id, token_kind, epoch, parent_hash, holder, started_at) \
             select 'int_other', account_id, 'user', epoch, refresh_hash, 'other', 0 from provider_grants where account_id = $1",
            vec![(&account.id).into()],
        )
        .await;
    assert_eq!(fresh(&stage, &account).await.unwrap(), token);
    assert_eq!(leased().await.as_deref(), Some("other"));
    // The holder that stored it is past its call.
    let token = stored_and_not_chosen_again(&stage, &account).await;
    assert_eq!(fresh(&stage, &account).await.unwrap(), token);
    assert_eq!(leased().await, None);
}

/// As [`stored_and_not_chosen`], under the lease of who stored it.
async fn stored_and_not_chosen_again(stage: &Stage, account: &Account) -> String {
    stage
        .sql("update refresh_leases set released = true", vec![])
        .await;
    let token = stored_and_not_chosen(stage, account).await;
    stage
        .sql(
            "update refresh_leases set released = false, holder = 'late'",
            vec![],
        )
        .await;
    token
}

#[tokio::test]
async fn a_no_to_a_later_call_does_not_settle_a_lost_answer() {
    let stage = Stage::new().await;
    let rotates = Rotation::Rotates { grace_seconds: 0 };
    stage.control.set_rotation(Provider::Salesforce, rotates);
    let account = stage.link(Provider::Salesforce).await;
    let lost = Fault::AnswerLostAfterRotation;
    let limited = Fault::RateLimited { retry_after: 1 };
    stage.pass(7200);
    for fault in [lost, limited] {
        stage
            .control
            .set_fault_on(Provider::Salesforce, Target::Refresh, fault, Times::Once);
        assert!(fresh(&stage, &account).await.is_err());
        stage.pass(31);
    }
    let row = stage
        .row(
            "select state from provider_grants where account_id = $1",
            vec![(&account.id).into()],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<String>("state").unwrap(), "unknown");
}
