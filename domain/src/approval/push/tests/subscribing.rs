use std::sync::Arc;
use std::time::Duration;

use super::super::Outcome;
use super::super::subscriptions::{self, NewSubscription, SubscribeError, Subscription};
use super::browser;
use crate::audit::Kind;
use crate::identity::Person;
use crate::secret::Secret;
use crate::storage;
use crate::testing::Bench;

fn new_subscription(endpoint: &str) -> NewSubscription {
    let keys = browser().0;
    NewSubscription {
        endpoint: endpoint.parse().unwrap(),
        p256dh: keys.p256dh.to_vec(),
        auth: Secret::new(keys.auth.expose().to_vec()),
        name: " Phone ".to_owned(),
    }
}

async fn subscribed(bench: &Bench, person: &Person, endpoint: &str) -> Subscription {
    subscriptions::subscribe(bench, &person.id, new_subscription(endpoint))
        .await
        .unwrap()
}

async fn events(bench: &Bench, kind: Kind) -> i64 {
    let sql = "select count(*) as n from events where kind = $1";
    let mut reader = bench.store.reader().await.unwrap();
    let row = reader.optional(sql, vec![kind.word().into()]).await;
    row.unwrap().unwrap().get("n").unwrap()
}

const ENDPOINT: &str = "https://push.example/send/abc";

#[tokio::test]
async fn a_browser_is_told_until_it_is_taken_away() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let eve = bench.person("eve@example.com").await;
    let made = subscribed(&bench, &ada, ENDPOINT).await;
    assert_eq!((&*made.name, &*made.host), ("Phone", "push.example"));
    let listed = subscriptions::list(&bench, &ada.id).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&made));
    let targets = subscriptions::targets(&bench, &ada.id).await.unwrap();
    assert_eq!(targets.len(), 1);
    assert_eq!(targets[0].endpoint.as_str(), ENDPOINT);
    assert_eq!(targets[0].keys.p256dh, browser().0.p256dh);
    assert_eq!(targets[0].keys.auth.expose(), browser().0.auth.expose());
    let others = subscriptions::unsubscribe(&bench, &eve.id, &made.id).await;
    assert!(matches!(others, Err(SubscribeError::NotFound)));
    subscriptions::unsubscribe(&bench, &ada.id, &made.id)
        .await
        .unwrap();
    let twice = subscriptions::unsubscribe(&bench, &ada.id, &made.id).await;
    assert!(matches!(twice, Err(SubscribeError::NotFound)));
    assert!(
        subscriptions::list(&bench, &ada.id)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(events(&bench, Kind::PushSubscribed).await, 1);
    assert_eq!(events(&bench, Kind::PushUnsubscribed).await, 1);
    // What is left of it sends nothing.
    let mut reader = bench.store.reader().await.unwrap();
    let left = reader
        .optional("select * from push_subscriptions", vec![])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        left.get::<String>("endpoint").unwrap(),
        "https://push.example/"
    );
    assert_eq!(left.get::<Option<Vec<u8>>>("auth_sealed").unwrap(), None);
    assert_eq!(left.get::<Option<Vec<u8>>>("data_key").unwrap(), None);
}

#[tokio::test]
async fn a_browser_belongs_to_who_subscribed_with_it_last() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let eve = bench.person("eve@example.com").await;
    subscribed(&bench, &ada, ENDPOINT).await;
    let again = subscribed(&bench, &ada, ENDPOINT).await;
    let listed = subscriptions::list(&bench, &ada.id).await.unwrap();
    assert_eq!(listed, [again]);
    let eves = subscribed(&bench, &eve, ENDPOINT).await;
    assert!(
        subscriptions::list(&bench, &ada.id)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(subscriptions::list(&bench, &eve.id).await.unwrap(), [eves]);
}

#[tokio::test]
async fn the_secret_of_a_subscription_is_not_in_the_database_in_clear() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    subscribed(&bench, &ada, ENDPOINT).await;
    let mut reader = bench.store.reader().await.unwrap();
    let row = reader
        .optional("select auth_sealed from push_subscriptions", vec![])
        .await
        .unwrap()
        .unwrap();
    let sealed: Vec<u8> = row.get("auth_sealed").unwrap();
    let (auth, text) = (browser().0.auth, b"BTBZMqHH6r4Tts7J_aSIgg");
    assert!(!sealed.windows(16).any(|window| window == auth.expose()));
    assert!(!sealed.windows(text.len()).any(|window| window == text));
}

#[tokio::test]
async fn how_a_delivery_ended_is_noted() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let made = subscribed(&bench, &ada, ENDPOINT).await;
    let note = async |outcome: Outcome| {
        subscriptions::note(&bench, &made.id, &outcome)
            .await
            .unwrap();
        subscriptions::list(&bench, &ada.id).await.unwrap()
    };
    let retry = Outcome::Retry {
        after: None,
        why: String::new(),
    };
    assert_eq!(note(retry.clone()).await[0].failures, 1);
    assert_eq!(note(Outcome::Refused { status: 400 }).await[0].failures, 2);
    bench.advance(Duration::from_secs(1));
    let after = note(Outcome::Delivered).await;
    assert_eq!(after[0].failures, 0);
    assert_eq!(after[0].last_used_at, Some(bench.now()));
    for _ in 0..19 {
        assert_eq!(note(retry.clone()).await.len(), 1);
    }
    assert!(note(retry).await.is_empty());
    let made = subscribed(&bench, &ada, ENDPOINT).await;
    subscriptions::note(&bench, &made.id, &Outcome::Gone)
        .await
        .unwrap();
    assert!(
        subscriptions::list(&bench, &ada.id)
            .await
            .unwrap()
            .is_empty()
    );
    subscriptions::note(&bench, &made.id, &Outcome::Delivered)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_subscription_that_could_not_be_sent_to_is_refused() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let changes: [fn(&mut NewSubscription); 4] = [
        |new| new.p256dh[3] ^= 1,
        |new| new.p256dh.truncate(33),
        |new| new.auth = Secret::new(vec![1; 15]),
        |new| new.p256dh.clear(),
    ];
    for change in changes {
        let mut new = new_subscription(ENDPOINT);
        change(&mut new);
        let refused = subscriptions::subscribe(&bench, &ada.id, new).await;
        assert!(matches!(refused, Err(SubscribeError::Keys)));
    }
    for bad in [
        "ftp://push.example/",
        "data:x",
        &format!("{ENDPOINT}{}", "x".repeat(2048)),
    ] {
        let refused = subscriptions::subscribe(&bench, &ada.id, new_subscription(bad)).await;
        assert!(matches!(refused, Err(SubscribeError::Endpoint)), "{bad}");
    }
    let mut new = new_subscription(ENDPOINT);
    new.name = "\u{7}".to_owned();
    let refused = subscriptions::subscribe(&bench, &ada.id, new).await;
    assert!(matches!(refused, Err(SubscribeError::Name)));
    for number in 0..subscriptions::MOST {
        subscribed(&bench, &ada, &format!("{ENDPOINT}{number}")).await;
    }
    let refused = subscriptions::subscribe(&bench, &ada.id, new_subscription(ENDPOINT)).await;
    assert!(matches!(refused, Err(SubscribeError::TooMany)));
}

#[tokio::test]
async fn a_row_that_sends_notices_elsewhere_is_refused() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let eve = Arc::new(bench.person("eve@example.com").await);
    subscribed(&bench, &ada, ENDPOINT).await;
    let id = eve.id.clone();
    let done: Result<u64, storage::Error> = bench
        .store
        .write(move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let sql = "update push_subscriptions set person_id = $1";
                tx.execute(sql, vec![id.into()]).await
            })
        })
        .await;
    assert_eq!(done.unwrap(), 1);
    let refused = subscriptions::targets(&bench, &eve.id).await;
    assert!(matches!(
        refused,
        Err(SubscribeError::Storage(storage::Error::BadRow {
            column: "mac",
            ..
        }))
    ));
}
