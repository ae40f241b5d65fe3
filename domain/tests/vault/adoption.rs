use domain::adoption;
use domain::testing::Bench;
use domain::vault::link::{self, StartLink};
use domain::vault::{AccessMode, Error, TokenKind, accounts, fresh_token, release, revocations};
use sandbox::{Provider, Rotation};

use crate::permission::give;
use crate::stage::{REDIRECT, SESSION, Stage, connection};

/// Stops the stage's engine, and starts it again beside one on a copy.
async fn copied(stage: Stage) -> (Stage, Bench) {
    let Stage {
        sandbox,
        control,
        bench,
        ada,
    } = stage;
    let (bench, copy) = bench.copied().await;
    let stage = Stage {
        sandbox,
        control,
        bench,
        ada,
    };
    (stage, copy)
}

fn calls(stage: &Stage) -> usize {
    Provider::ALL
        .into_iter()
        .map(|provider| stage.control.requests(provider).len())
        .sum()
}

#[tokio::test]
async fn a_copy_asks_no_provider_for_anything_until_it_is_adopted() {
    let stage = Stage::new().await;
    stage
        .control
        .set_rotation(Provider::Salesforce, Rotation::Strict);
    let mut linked = Vec::new();
    for provider in Provider::ALL {
        linked.push(stage.link(provider).await);
    }
    let (client, _) = stage.bench.client("Agent").await;
    give(&stage, &client.id, &linked[1], AccessMode::Release).await;
    let (stage, copy) = copied(stage).await;
    assert!(stage.adoption.is_adopted() && !copy.adoption.is_adopted());

    // What lives is served.
    let before = calls(&stage);
    for account in &linked {
        fresh_token(&copy, &account.id, TokenKind::User)
            .await
            .unwrap();
    }
    // Nearly spent, it is not renewed ahead; spent, it is refused with a reason.
    stage.pass(3_500);
    let ask = domain::vault::Release {
        client_id: client.id.clone(),
        person_id: stage.ada.id.clone(),
        connection: connection(Provider::Google).to_owned(),
        login_hint: None,
        scopes: None,
        on_behalf: None,
    };
    release(&copy, ask).await.unwrap();
    stage.pass(86_400);
    for account in [&linked[1], &linked[2]] {
        let refused = fresh_token(&copy, &account.id, TokenKind::User).await;
        assert!(matches!(refused, Err(Error::NotAdopted)));
    }
    // Unlinking ends it here, and tells nobody yet.
    let done = accounts::unlink(&copy, &stage.ada.id, &linked[1].id)
        .await
        .unwrap();
    assert!(done.revocation_queued && !done.revoked);
    stage.pass(86_400);
    assert_eq!(revocations::run_due(&copy, 10).await.unwrap(), 0);
    let ask = StartLink {
        person_id: stage.ada.id.clone(),
        session_id: SESSION.to_owned(),
        connection: connection(Provider::Google).to_owned(),
        client: None,
        return_to: "/accounts".to_owned(),
        redirect_uri: REDIRECT.to_owned(),
    };
    assert!(matches!(
        link::start(&copy, ask).await,
        Err(link::Error::Vault(Error::NotAdopted))
    ));
    assert_eq!(calls(&stage), before, "no provider heard of the copy");

    // The original never noticed.
    fresh_token(&stage, &linked[1].id, TokenKind::User)
        .await
        .unwrap();

    // Adopted, it goes on where the original was, and so does its restart.
    assert!(adoption::adopt(&copy, "command").await.unwrap());
    assert!(!adoption::adopt(&copy, "command").await.unwrap());
    fresh_token(&copy, &linked[2].id, TokenKind::User)
        .await
        .unwrap();
    assert_eq!(revocations::run_due(&copy, 10).await.unwrap(), 1);
    let copy = copy.restart().await;
    assert!(copy.adoption.is_adopted());
}

#[tokio::test]
async fn a_restart_is_no_copy_and_a_place_written_by_another_hand_is_none() {
    let stage = Stage::new().await;
    let (stage, copy) = copied(stage).await;
    let place = copy.store.place().await.unwrap();
    copy.store
        .write(move |tx| {
            let place = place.clone();
            Box::pin(async move {
                let sql = "update deployment set place = $1";
                tx.execute(sql, vec![place.into()]).await
            })
        })
        .await
        .map_err(|error: domain::storage::Error| error)
        .unwrap();
    adoption::look(&copy).await.unwrap();
    assert!(!copy.adoption.is_adopted());
    assert!(!copy.restart().await.adoption.is_adopted());
    assert!(stage.bench.restart().await.adoption.is_adopted());
}

#[tokio::test]
async fn an_instance_hears_that_another_adopted_the_copy() {
    let (_stage, copy) = copied(Stage::new().await).await;
    // SQLite has one owner: there is no other instance to hear it.
    let Some(beside) = copy.beside().await else {
        return;
    };
    adoption::adopt(&copy, "command").await.unwrap();
    assert!(!beside.adoption.is_adopted());
    adoption::look(&beside).await.unwrap();
    assert!(beside.adoption.is_adopted());
}
