//! A provider that is unwell is spared, and found well again.

use domain::vault::{Account, Error, TokenKind, connections, fresh_token};
use sandbox::{Fault, Provider, Target, Times};

use crate::stage::{Stage, connection};

async fn fresh(stage: &Stage, account: &Account) -> Result<String, Error> {
    let token = fresh_token(stage, &account.id, TokenKind::User).await?;
    Ok(token.access.expose().clone())
}

/// Seconds to wait, for who is told so.
async fn told_to_wait(stage: &Stage, account: &Account) -> u64 {
    match fresh(stage, account).await {
        Err(Error::ProviderDown { retry_after_s, .. }) => retry_after_s,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("there is a token"),
    }
}

async fn is_unwell(stage: &Stage) -> bool {
    let connection = connections::get(stage, connection(Provider::Google)).await;
    connection.unwrap().unwrap().unwell_since.is_some()
}

async fn accounts(stage: &Stage, many: usize) -> Vec<Account> {
    let mut accounts = Vec::new();
    for number in 0..many {
        let person = stage.bench.person(&format!("p{number}@example.com")).await;
        let account = stage.link_as(&person, Provider::Google, "ada@example.com");
        accounts.push(account.await);
    }
    accounts
}

#[tokio::test]
async fn a_silent_provider_is_spared_until_one_call_finds_it_well() {
    let stage = Stage::new().await;
    let accounts = accounts(&stage, 7).await;
    let down = Fault::Unavailable;
    stage
        .control
        .set_fault_on(Provider::Google, Target::Refresh, down, Times::Always);
    stage.pass(3600);
    let living = stage.link(Provider::Google).await;
    for account in &accounts {
        told_to_wait(&stage, account).await;
    }
    assert_eq!(
        stage.refreshes(Provider::Google),
        5,
        "two were not asked for"
    );
    assert!(is_unwell(&stage).await);
    fresh(&stage, &living).await.unwrap();

    // One is let through in vain.
    stage.pass(11);
    told_to_wait(&stage, &accounts[5]).await;
    told_to_wait(&stage, &accounts[6]).await;
    assert_eq!(stage.refreshes(Provider::Google), 6);

    stage.control.clear();
    stage.pass(21);
    for account in &accounts {
        fresh(&stage, account).await.unwrap();
    }
    assert!(!is_unwell(&stage).await);
    assert_eq!(stage.events("account.reconnect").await, 0);
    let turned = stage
        .row(
            "select count(*) as n from events where kind = 'connection.changed'",
            vec![],
        )
        .await
        .unwrap();
    assert_eq!(turned.get::<i64>("n").unwrap(), 2, "said once each way");
}

#[tokio::test]
async fn when_one_is_told_to_come_back_later_nobody_comes_before() {
    let stage = Stage::new().await;
    let accounts = accounts(&stage, 3).await;
    let limited = Fault::RateLimited { retry_after: 40 };
    stage
        .control
        .set_fault_on(Provider::Google, Target::Refresh, limited, Times::Once);
    stage.pass(3600);
    for account in &accounts {
        let wait = told_to_wait(&stage, account).await;
        assert!((40..=41).contains(&wait), "{wait}");
    }
    assert_eq!(stage.refreshes(Provider::Google), 1);
    assert!(!is_unwell(&stage).await);
    stage.pass(41);
    for account in &accounts {
        fresh(&stage, account).await.unwrap();
    }
}
