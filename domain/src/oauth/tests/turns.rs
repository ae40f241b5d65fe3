//! The keys of tokens take turns.

use std::time::Duration;

use super::*;
use crate::audit::Kind;
use crate::keyring::SigningAlg;
use crate::oauth::access;
use crate::oauth::signing_keys::{AFTER_MS, AHEAD_MS, Turn, list, rotate, upkeep};

const API: &str = "https://api.test/";

fn ms(count: i64) -> Duration {
    Duration::from_millis(count.try_into().unwrap())
}

fn signing(bench: &Bench) -> String {
    let key = bench.keys.signing(SigningAlg::Es256, bench.now()).unwrap();
    key.kid.clone()
}

fn published(bench: &Bench) -> Vec<String> {
    let keys = bench.keys.jwks(bench.now());
    keys.into_iter().map(|key| key.kid).collect()
}

async fn verifies(bench: &Bench, token: &Secret<String>) -> bool {
    access::verify(bench, token.expose(), API).await.is_ok()
}

#[tokio::test]
async fn a_new_key_is_published_before_it_signs_and_an_old_one_after() {
    let bench = Bench::new().await;
    let (client, _) = bench.client("Agent").await;
    let old = signing(&bench);
    rotate(&bench, None, Turn::Orderly).await.unwrap();
    assert_eq!(published(&bench).len(), 6);
    assert_eq!(signing(&bench), old);
    bench.advance(ms(AHEAD_MS - 1000));
    let last = bench.access_token(&client, None, API, &[]);
    bench.advance(ms(1000));
    let new = signing(&bench);
    assert_ne!(new, old);
    // What the old one signed in its last second counts for all its life.
    bench.advance(Duration::from_secs(590));
    assert!(verifies(&bench, &last).await);
    let fresh = bench.access_token(&client, None, API, &[]);
    assert!(verifies(&bench, &fresh).await);
    bench.advance(ms(AFTER_MS));
    assert!(!published(&bench).contains(&old));
    assert!(published(&bench).contains(&new));
    // Nothing that could sign is left of it, also after a start.
    upkeep(&bench).await.unwrap();
    let shredded =
        "select id from keys where purpose = 'token' and state = 'retired' and length(wrapped) = 0";
    let mut reader = bench.store.reader().await.unwrap();
    assert_eq!(reader.all(shredded, vec![]).await.unwrap().len(), 3);
    drop(reader);
    let bench = bench.restart().await;
    assert_eq!(signing(&bench), new);
    assert_eq!(published(&bench).len(), 3);
}

#[tokio::test]
async fn a_compromised_key_ends_at_once_with_what_it_signed() {
    let bench = Bench::new().await;
    let (client, _) = bench.client("Agent").await;
    let stolen = bench.access_token(&client, None, API, &[]);
    let old = signing(&bench);
    rotate(&bench, None, Turn::Compromised).await.unwrap();
    assert!(!verifies(&bench, &stolen).await);
    assert!(!published(&bench).contains(&old));
    let fresh = bench.access_token(&client, None, API, &[]);
    assert!(verifies(&bench, &fresh).await);
    assert_eq!(events(&bench, Kind::KeysChanged).await, 3);
}

#[tokio::test]
async fn keys_give_way_on_schedule_once_however_many_instances_look() {
    let bench = Bench::new().await;
    upkeep(&bench).await.unwrap();
    assert_eq!(list(&bench).await.unwrap().len(), 3);
    bench.advance(Duration::from_secs(89 * 24 * 60 * 60));
    let all = (0..4).map(|_| upkeep(&bench));
    for outcome in futures::future::join_all(all).await {
        outcome.unwrap();
    }
    assert_eq!(list(&bench).await.unwrap().len(), 6);
    let old = signing(&bench);
    bench.advance(Duration::from_secs(24 * 60 * 60));
    upkeep(&bench).await.unwrap();
    assert_ne!(signing(&bench), old);
    bench.advance(Duration::from_secs(24 * 60 * 60));
    upkeep(&bench).await.unwrap();
    assert_eq!(list(&bench).await.unwrap().len(), 3);
}
