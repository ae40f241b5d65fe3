//! Many grants refused at once are asked about again instead of given up.

use domain::vault::{Account, Error, Reason, TokenKind, ahead, connections, fresh_token};
use sandbox::{Fault, Provider, Target, Times};

use crate::stage::{Stage, connection};

async fn fresh(stage: &Stage, account: &Account) -> Result<String, Error> {
    let token = fresh_token(stage, &account.id, TokenKind::User).await?;
    Ok(token.access.expose().clone())
}

/// Eight people whose accounts the provider refuses, all at once; six have asked.
async fn refused(stage: &Stage) -> Vec<Account> {
    let mut accounts = Vec::new();
    for number in 0..8 {
        let person = stage.bench.person(&format!("p{number}@example.com")).await;
        let account = stage.link_as(&person, Provider::Google, "ada@example.com");
        accounts.push(account.await);
    }
    let refused = Fault::InvalidGrant { status: 400 };
    stage
        .control
        .set_fault_on(Provider::Google, Target::Refresh, refused, Times::Always);
    stage.pass(3600);
    for account in &accounts[..6] {
        assert!(fresh(stage, account).await.is_err());
    }
    accounts
}

async fn is_suspect(stage: &Stage) -> bool {
    let connection = connections::get(stage, connection(Provider::Google)).await;
    connection.unwrap().unwrap().is_suspect(stage.now())
}

async fn linked(stage: &Stage, accounts: &[Account]) -> usize {
    let mut linked = 0;
    for account in accounts {
        linked += usize::from(stage.state(account).await.0 == "linked");
    }
    linked
}

#[tokio::test]
async fn a_mistake_of_the_provider_sends_nobody_to_link_again() {
    let stage = Stage::new().await;
    let accounts = refused(&stage).await;
    assert!(is_suspect(&stage).await);
    assert_eq!(
        linked(&stage, &accounts).await,
        8,
        "those before are taken back"
    );
    let told = fresh(&stage, &accounts[5]).await.unwrap_err();
    assert!(matches!(told, Error::ProviderDown { .. }), "{told}");
    assert_eq!(
        stage.refreshes(Provider::Google),
        6,
        "and left alone for a while"
    );
    // One that asks for the first time now is suspect from the start.
    let told = fresh(&stage, &accounts[6]).await.unwrap_err();
    assert!(matches!(told, Error::ProviderDown { .. }), "{told}");

    stage.control.clear();
    stage.pass(1201);
    ahead::run_due(&stage, 50).await.unwrap();
    assert!(!is_suspect(&stage).await);
    // All are one account at the provider, and wait for one another's lease:
    // who did not come to it has a moment's pause.
    stage.pass(5);
    for account in &accounts {
        fresh(&stage, account).await.unwrap();
    }
    assert_eq!(linked(&stage, &accounts).await, 8);
    // The next no is believed.
    assert_ne!(stage.control.revoke(Provider::Google, "ada@example.com"), 0);
    stage.pass(3600);
    let told = fresh(&stage, &accounts[0]).await.unwrap_err();
    assert!(matches!(told, Error::Reconnect { .. }), "{told}");
}

#[tokio::test]
async fn what_is_refused_for_an_hour_is_believed_and_told_once() {
    let stage = Stage::new().await;
    let accounts = refused(&stage).await;
    // The four before the burst were told, and it was taken back.
    let before = stage.events("account.reconnect").await;
    assert_eq!(before, 4);
    // Nobody asks for a token; upkeep asks again and again.
    for _ in 0..10 {
        stage.pass(601);
        ahead::run_due(&stage, 50).await.unwrap();
    }
    assert_eq!(linked(&stage, &accounts[..6]).await, 0);
    assert_eq!(stage.events("account.reconnect").await, before + 6);
    for account in &accounts[..6] {
        let told = fresh(&stage, account).await.unwrap_err();
        assert!(
            matches!(
                told,
                Error::Reconnect {
                    reason: Reason::Revoked,
                    ..
                }
            ),
            "{told}"
        );
    }
    assert_eq!(stage.events("account.reconnect").await, before + 6);
    assert_eq!(
        linked(&stage, &accounts[6..]).await,
        2,
        "nobody has asked for these"
    );
}

#[tokio::test]
async fn a_few_people_who_revoke_are_believed_at_once() {
    let stage = Stage::new().await;
    for number in 0..4 {
        let person = stage.bench.person(&format!("p{number}@example.com")).await;
        let account = stage
            .link_as(&person, Provider::Google, "ada@example.com")
            .await;
        let refused = Fault::InvalidGrant { status: 400 };
        stage
            .control
            .set_fault_on(Provider::Google, Target::Refresh, refused, Times::Once);
        stage.pass(3600);
        let told = fresh(&stage, &account).await.unwrap_err();
        assert!(matches!(told, Error::Reconnect { .. }), "{told}");
    }
    assert!(!is_suspect(&stage).await);
    assert_eq!(stage.events("account.reconnect").await, 4);
}
