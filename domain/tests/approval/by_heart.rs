//! What is known by heart of requests that wait.

use std::time::Duration;

use domain::approval::{self, Ask, AskError, Channel, Decide, Decision, PersonHint, RedeemError};
use domain::identity;
use domain::testing::Bench;

use crate::story::{ask_of, story};

/// Waits until memory counts: on PostgreSQL until a word that the instance sent
/// to itself has come back, which it sends as time goes on.
async fn hears(bench: &Bench) {
    while !bench.store.feed().is_alive() {
        bench.advance(Duration::from_millis(150));
        for _ in 0..50 {
            let nobody = identity::person_by_email(bench, "nobody@example.com").await;
            assert!(nobody.unwrap().is_none());
        }
    }
}

#[tokio::test]
async fn a_waiting_request_is_polled_by_heart_and_a_changed_row_is_refused_when_it_is_read() {
    let mut story = story().await;
    hears(&story.bench).await;
    let asked = story.asked().await;
    story
        .bench
        .store
        .write(|tx| {
            Box::pin(async move {
                tx.execute(
                    "update approvals set state = 'approved', decided_at = created_at",
                    vec![],
                )
                .await
            })
        })
        .await
        .map(|_: u64| ())
        .map_err(|error: domain::storage::Error| error.to_string())
        .unwrap();
    // The row was not read; nothing is given.
    let waiting = story.poll(&asked).await.unwrap_err();
    assert!(matches!(waiting, RedeemError::AuthorizationPending));
    // An instance that knows nothing reads it, and sees another's hand.
    story.bench = story.bench.restart().await;
    let refused = story.poll(&asked).await.unwrap_err();
    assert!(refused.to_string().contains("approvals.mac"), "{refused}");
}

#[tokio::test]
async fn whom_an_address_means_is_known_for_the_client_that_asked_and_only_while_it_is_so() {
    let story = story().await;
    let (other, _) = story.bench.client("Another bot").await;
    let by_address = || Ask {
        person: PersonHint::Email("Anna@example.com".to_owned()),
        ..ask_of(&story.person)
    };
    for _ in 0..2 {
        approval::ask(&story.bench, &story.client, by_address())
            .await
            .unwrap();
    }
    let refused = approval::ask(&story.bench, &other, by_address()).await;
    assert!(matches!(refused, Err(AskError::UnknownUser)));
    let (engine, id) = (&story.bench, &story.person.id);
    identity::set_state(engine, None, id, identity::State::Locked)
        .await
        .unwrap();
    let refused = approval::ask(&story.bench, &story.client, by_address()).await;
    assert!(matches!(refused, Err(AskError::UnknownUser)));
}

#[tokio::test]
async fn a_request_that_ran_out_does_not_wait_by_heart() {
    let story = story().await;
    let asked = story.asked().await;
    story.bench.advance(Duration::from_secs(3600));
    let ended = story.poll(&asked).await.unwrap_err();
    assert!(matches!(ended, RedeemError::ExpiredToken), "{ended}");
}

#[tokio::test]
async fn after_a_restart_a_waiting_request_waits_and_is_decided_as_ever() {
    let mut story = story().await;
    let asked = story.asked().await;
    story.bench = story.bench.restart().await;
    for _ in 0..2 {
        let waiting = story.poll(&asked).await.unwrap_err();
        assert!(matches!(waiting, RedeemError::AuthorizationPending));
        story.bench.advance(Duration::from_secs(5));
    }
    story
        .decide(&asked.approval_id, Decision::Approve)
        .await
        .unwrap();
    story.poll(&asked).await.unwrap();
}

/// SQLite has one instance, which has nothing to hear.
#[tokio::test]
async fn what_another_instance_decides_is_heard() {
    let story = story().await;
    let Some(other) = story.bench.beside().await else {
        return;
    };
    let asked = story.asked().await;
    let waiting = story.poll(&asked).await.unwrap_err();
    assert!(matches!(waiting, RedeemError::AuthorizationPending));
    let decide = Decide {
        approval_id: asked.approval_id.clone(),
        person_id: story.person.id.clone(),
        decision: Decision::Approve,
        channel: Channel::Browser,
        address: None,
        user_agent: None,
        number: None,
    };
    approval::decide(&other, decide).await.unwrap();
    // Until the word is here, and no longer: the clock stands still, so only
    // the row can say anything but that we poll too fast.
    while let Err(error) = story.poll(&asked).await {
        assert!(matches!(error, RedeemError::SlowDown { .. }), "{error}");
        tokio::task::yield_now().await;
    }
}
