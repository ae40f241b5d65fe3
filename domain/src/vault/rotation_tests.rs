//! The key-encryption key is rotated under many accounts while their tokens
//! are asked for. `ATTORN_ROTATION_ACCOUNTS` says how many; 10,000 without it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Engine;
use crate::keyring::KeySet;
use crate::rotation::{self, Error as Rotation};
use crate::secret::Secret;
use crate::storage::{self, Json, Value};
use crate::testing::{Bench, START, key};
use crate::vault::connections::{self, NewConnection, Source};
use crate::vault::envelope::DataKey;
use crate::vault::held::{Kept, seal_grant};
use crate::vault::{Error, Overrides, TokenKind, fresh_token};

const CONNECTION: &str = "google-oauth2";

async fn bench() -> Bench {
    let bench = Bench::new().await;
    let new = NewConnection {
        id: CONNECTION.to_owned(),
        provider: "google".to_owned(),
        client_id: "attorn-at-google".to_owned(),
        client_secret: Secret::from("secret of the connection"),
        scopes: None,
        overrides: Overrides::below("google", "http://127.0.0.1:1").unwrap(),
        source: Source::Config,
    };
    connections::put(&bench, new).await.unwrap();
    bench
}

fn name(number: usize) -> String {
    format!("acc_{number:08}")
}

/// Accounts with a living token of their own, as linking leaves them.
async fn fill(bench: &Bench, count: usize) {
    let person = bench.person("ada@example.com").await.id;
    let stored = connections::need(bench, CONNECTION).await.unwrap();
    for begin in (0..count).step_by(500) {
        let mut rows: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
        for number in begin..count.min(begin + 500) {
            let id = name(number);
            let (key, wrapped) = DataKey::make(bench, "accounts", &id).await.unwrap();
            let kept = Kept {
                access: format!("token of {id}"),
                refresh: None,
                expires_at: Some(START + 3_600_000),
                scopes: vec!["openid".to_owned()],
                api_base: None,
            };
            let grant = seal_grant(bench, &key, &id, TokenKind::User, &stored, &kept).unwrap();
            let account = vec![
                (&id).into(),
                (&person).into(),
                CONNECTION.into(),
                format!("subject {number}").into(),
                Json(&kept.scopes).into(),
                wrapped.key.into(),
                wrapped.kek_id.into(),
                START.into(),
            ];
            let grant = vec![
                (&id).into(),
                format!("lock {number}").into(),
                Json(&grant.scopes).into(),
                grant.access_sealed.into(),
                grant.access_expires_at.into(),
                START.into(),
            ];
            rows.push((account, grant));
        }
        let rows = Arc::new(rows);
        bench.store.write(move |tx| {
            let rows = rows.clone();
            Box::pin(async move {
                for (account, grant) in rows.iter() {
                    tx.execute(
                        "insert into accounts (id, person_id, connection_id, tenant, subject, label, scopes, state, \
                         is_default, data_key, kek_id, created_at, updated_at) \
                         values ($1, $2, $3, 'tenant', $4, $4, $5, 'linked', false, $6, $7, $8, $8)",
                        account.clone(),
                    )
                    .await?;
                    tx.execute(
                        "insert into provider_grants (account_id, token_kind, lock_key, epoch, state, scopes, \
                         access_sealed, access_expires_at, obtained_at, updated_at) \
                         values ($1, 'user', $2, 1, 'fresh', $3, $4, $5, $6, $6)",
                        grant.clone(),
                    )
                    .await?;
                }
                Ok(())
            })
        }).await.map_err(|error: storage::Error| error).unwrap();
    }
}

/// The configuration names this key first; the bench's own stays known.
fn wish(engine: &Engine, byte: u8) {
    engine.keys.keks().learn(KeySet {
        first: key(byte, &engine.rng),
        others: vec![key(7, &engine.rng)],
    });
}

async fn count(engine: &Engine, sql: &'static str, args: Vec<Value>) -> usize {
    let mut rx = engine.store.reader().await.unwrap();
    let row = rx.optional(sql, args).await.unwrap().unwrap();
    usize::try_from(row.get::<i64>("n").unwrap()).unwrap()
}

async fn left(engine: &Engine) -> usize {
    let old = crate::keyring::KeyEncryption::id(&*key(7, &engine.rng)).to_owned();
    let sql = "select count(*) as n from accounts where kek_id = $1";
    count(engine, sql, vec![old.into()]).await
}

async fn token(engine: &Engine, number: usize) -> Result<(), Error> {
    let fresh = fresh_token(engine, &name(number), TokenKind::User).await?;
    assert_eq!(fresh.access.expose(), &format!("token of {}", name(number)));
    Ok(())
}

/// Asks for one token after another, all over the place, until it is told to stop.
fn asking(
    bench: &Bench,
    count: usize,
    seed: usize,
) -> (Arc<AtomicBool>, tokio::task::JoinHandle<u64>) {
    let (engine, stop) = (bench.engine.clone(), Arc::new(AtomicBool::new(false)));
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        let (mut asked, mut number) = (0, seed);
        while !stopped.load(Ordering::Relaxed) {
            // A step that shares no factor with the count visits them all.
            number = (number + 7_919) % count;
            token(&engine, number).await.unwrap();
            asked += 1;
        }
        asked
    });
    (stop, task)
}

fn accounts() -> usize {
    std::env::var("ATTORN_ROTATION_ACCOUNTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vaults_key_is_rotated_under_load_and_no_request_fails() {
    let bench = bench().await;
    let many = accounts();
    fill(&bench, many).await;
    wish(&bench, 8);
    let askers: Vec<_> = (0..4).map(|seed| asking(&bench, many, seed * 31)).collect();
    let report = rotation::rotate(&bench, "command").await.unwrap();
    let mut asked = 0;
    for (stop, task) in askers {
        stop.store(true, Ordering::Relaxed);
        asked += task.await.unwrap();
    }
    assert!(asked > 100, "only {asked} were asked meanwhile");
    // All accounts, the connection, and the keys of the deployment.
    assert!(report.wrapped >= many as u64 + 8, "{report:?}");
    assert_eq!((report.broken, left(&bench).await), (0, 0));
    let events = "select count(*) as n from events where kind = 'keys.changed'";
    assert_eq!(count(&bench, events, vec![]).await, 2, "begun, and done");
    println!("{many} accounts; {asked} tokens were asked for meanwhile, none refused");

    // Nobody needs the old key any more, and it opens nothing.
    let bench = bench.restart_with(|rng| key(8, rng).into()).await.unwrap();
    for number in (0..many).step_by(many / 50) {
        token(&bench, number).await.unwrap();
    }
    let stored = connections::need(&bench, CONNECTION).await.unwrap();
    let secret = stored.secret(&bench).await.unwrap();
    assert_eq!(secret.expose(), "secret of the connection");
    let refused = bench.restart_with(|rng| key(7, rng).into()).await;
    assert!(refused.is_err(), "the old key starts nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_was_killed_goes_on_after_the_restart() {
    let bench = bench().await;
    let many = 2_000;
    fill(&bench, many).await;
    wish(&bench, 8);
    let engine = bench.engine.clone();
    let task = tokio::spawn(async move { rotation::rotate(&engine, "command").await });
    while left(&bench).await > many / 2 {
        tokio::task::yield_now().await;
    }
    task.abort();
    let _ = task.await;
    let then = left(&bench).await;
    assert!(then > 0, "it ended before it was killed");
    for number in (0..many).step_by(97) {
        token(&bench, number).await.unwrap();
    }
    // Either key alone does not start it, in whichever order both do.
    let bench = bench
        .restart_with(|rng| KeySet {
            first: key(8, rng),
            others: vec![key(7, rng)],
        })
        .await
        .unwrap();
    // A write that was handed over was carried out; no other.
    let still = left(&bench).await;
    assert!(still > 0 && still <= then, "{still} of {then}");
    rotation::upkeep(&bench).await.unwrap();
    assert_eq!(left(&bench).await, 0);
    let done = "select count(*) as n from deployment where next_kek_id is null";
    assert_eq!(count(&bench, done, vec![]).await, 1);
    let bench = bench.restart_with(|rng| key(8, rng).into()).await.unwrap();
    for number in (0..many).step_by(97) {
        token(&bench, number).await.unwrap();
    }
}

#[tokio::test]
async fn both_keys_are_needed_until_a_rotation_is_done() {
    for byte in [7, 8] {
        let bench = bench().await;
        fill(&bench, 300).await;
        wish(&bench, 8);
        // One that does not open keeps it from ending.
        let flip = "update accounts set data_key = (select data_key from accounts where id = $2) where id = $1";
        let args: Vec<Value> = vec![name(1).into(), name(2).into()];
        bench
            .store
            .write(move |tx| {
                let args = args.clone();
                Box::pin(async move { tx.execute(flip, args).await })
            })
            .await
            .map_err(|error: storage::Error| error)
            .unwrap();
        rotation::rotate(&bench, "command").await.unwrap();
        let error = bench.restart_with(|rng| key(byte, rng).into()).await;
        let error = error.err().unwrap().to_string();
        assert!(error.contains("kek_"), "{error}");
    }
}

#[tokio::test]
async fn a_swapped_or_flipped_key_is_never_wrapped_anew_but_named() {
    let bench = bench().await;
    fill(&bench, 300).await;
    let mut rx = bench.store.reader().await.unwrap();
    let sql = "select data_key from accounts where id = $1";
    let row = rx.optional(sql, vec![name(5).into()]).await.unwrap();
    let whole: Vec<u8> = row.unwrap().get("data_key").unwrap();
    drop(rx);
    let mut flipped = whole.clone();
    flipped[20] ^= 1;
    bench
        .store
        .write(move |tx| {
            let (whole, flipped) = (whole.clone(), flipped.clone());
            let _ = &tx;
            Box::pin(async move {
                let sql = "update accounts set data_key = $2 where id = $1";
                tx.execute(sql, vec![name(3).into(), whole.into()]).await?;
                tx.execute(sql, vec![name(5).into(), flipped.into()])
                    .await?;
                Ok(())
            })
        })
        .await
        .map_err(|error: storage::Error| error)
        .unwrap();
    wish(&bench, 8);
    let report = rotation::rotate(&bench, "command").await.unwrap();
    assert_eq!(report.broken, 2);
    let named: HashSet<_> = report.named.iter().map(String::as_str).collect();
    assert_eq!(
        named,
        HashSet::from(["accounts acc_00000003", "accounts acc_00000005"])
    );
    assert_eq!(left(&bench).await, 2, "they are left as they are");
    for number in [3, 5] {
        assert!(matches!(token(&bench, number).await, Err(Error::Keys(_))));
    }
    token(&bench, 4).await.unwrap();
    // It is not done, and no third key may begin before it is.
    let open = "select count(*) as n from deployment where next_kek_id is not null";
    assert_eq!(count(&bench, open, vec![]).await, 1);
    wish(&bench, 9);
    assert!(matches!(
        rotation::rotate(&bench, "command").await,
        Err(Rotation::Other(_))
    ));
}

#[tokio::test]
async fn what_was_wrapped_with_the_old_key_by_somebody_late_is_wrapped_anew() {
    let bench = bench().await;
    fill(&bench, 10).await;
    wish(&bench, 8);
    rotation::rotate(&bench, "command").await.unwrap();
    // As an instance does that has not heard of it yet.
    let old = crate::keyring::KeyEncryption::id(&*key(7, &bench.rng)).to_owned();
    bench.keys.keks().wrap_with(&old).unwrap();
    let (_, wrapped) = DataKey::make(&bench, "accounts", &name(0)).await.unwrap();
    bench
        .store
        .write(move |tx| {
            let wrapped = wrapped.clone();
            let _ = &tx;
            Box::pin(async move {
                let sql = "update accounts set data_key = $2, kek_id = $3 where id = $1";
                let args = vec![name(0).into(), wrapped.key.into(), wrapped.kek_id.into()];
                tx.execute(sql, args).await
            })
        })
        .await
        .map_err(|error: storage::Error| error)
        .unwrap();
    assert_eq!(left(&bench).await, 1);
    bench.keys.reload(&bench.store).await.unwrap();
    rotation::upkeep(&bench).await.unwrap();
    assert_eq!(left(&bench).await, 0);
}
