//! An answer that the database does not take outlives the process that heard it.

use std::path::{Path, PathBuf};

use domain::clock::{Clock as _, SystemClock};
use domain::testing::database;
use domain::vault::{accounts, connections, journal};
use domain::{Engine, identity};
use sandbox::{Provider, Sandbox, Target};

use crate::instances::{
    Fast, Instance, LIFETIME_S, SPEED, Shared, is_alive, issued_to, link, number, on_disk,
    provider, start,
};
use crate::outage::Outages;
use crate::stage::new_connection;

const EMAIL: &str = "ada@example.com";
const EPOCH: &str = "select epoch as n from provider_grants where account_id = $1";
const CANDIDATES: &str =
    "select count(*) as n from refresh_candidates where account_id = $1 and chosen_at is null";

/// What a process left that was killed with an answer of its provider in hand.
struct Left {
    shared: Shared,
    clock: Fast,
    account: String,
    sandbox: Sandbox,
    _folder: tempfile::TempDir,
}

/// A process asks the provider to refresh, its database goes away, the provider
/// answers, and the process is killed. Then the database is back.
async fn killed_with_an_answer() -> Left {
    let clock = Fast::since(SystemClock::new().now());
    let sandbox = provider(&clock, &[EMAIL.to_owned()]).await;
    let control = sandbox.control();
    control.set_lifetime(Provider::Google, LIFETIME_S);
    let folder = tempfile::tempdir().unwrap();
    let shared = Shared {
        location: database(folder.path()).await,
        journal: folder.path().join("answers"),
    };
    let setting_up = start(&shared, &clock, "setting-up").await.unwrap();
    let base = format!("{}/google", sandbox.url());
    connections::put(&setting_up, new_connection(Provider::Google, &base))
        .await
        .unwrap();
    let account = link(&setting_up, EMAIL).await;
    setting_up.store.close().await;
    drop(setting_up);

    let outages = Outages::new(&shared.location).await;
    let theirs = Shared {
        location: outages.location(),
        ..shared.clone()
    };
    let gate = control.gate_on(Provider::Google, Target::Refresh);
    let process = Instance::start(&theirs, &clock, &account);
    gate.arrived(1).await;
    outages.begin().await;
    gate.release();
    while on_disk(&shared.journal) == 0 {
        clock.pause(10).await;
    }
    drop(process);
    outages.end().await;
    Left {
        shared,
        clock,
        account,
        sandbox,
        _folder: folder,
    }
}

impl Left {
    async fn restarted(&self) -> Engine {
        start(&self.shared, &self.clock, "restarted").await.unwrap()
    }

    fn on_disk(&self) -> usize {
        on_disk(&self.shared.journal)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_the_database_did_not_take_is_recovered_after_a_kill() {
    let left = killed_with_an_answer().await;
    let control = left.sandbox.control();
    let engine = left.restarted().await;
    // The provider has replaced the refresh token, and the database knows nothing of it.
    assert_eq!(issued_to(&control, EMAIL), 2);
    assert_eq!(number(&engine, EPOCH, &left.account).await, 1);
    assert_eq!(number(&engine, CANDIDATES, &left.account).await, 0);

    assert_eq!(journal::replay(&engine).await.unwrap(), 1);
    assert_eq!(left.on_disk(), 0);
    assert!(is_alive(&engine, &left.clock, &left.account).await);
    // And the successor is the one that the provider honours.
    let before = number(&engine, EPOCH, &left.account).await;
    assert!(before >= 2);
    left.clock
        .pause(u64::try_from(LIFETIME_S * 1000 / SPEED).unwrap() + 100)
        .await;
    assert!(is_alive(&engine, &left.clock, &left.account).await);
    assert_eq!(number(&engine, EPOCH, &left.account).await, before + 1);
    assert_eq!(journal::replay(&engine).await.unwrap(), 0);
    engine.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_on_disk_is_sealed_bound_and_does_not_outlive_its_account() {
    let left = killed_with_an_answer().await;
    let path = only(&left.shared.journal);
    let written = std::fs::read(&path).unwrap();
    let issued = left.sandbox.control().issued_tokens();
    for one in &issued {
        let token = one.token.as_bytes();
        assert!(!written.windows(token.len()).any(|part| part == token));
    }

    let engine = left.restarted().await;
    // Somebody changed it: it is not believed, and not taken away at once.
    let mut changed = written.clone();
    let at = changed
        .windows(7)
        .position(|part| part == b"\"epoch\"")
        .unwrap()
        + 8;
    changed[at] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    assert_eq!(journal::replay(&engine).await.unwrap(), 0);
    assert_eq!(left.on_disk(), 1);
    assert_eq!(number(&engine, CANDIDATES, &left.account).await, 0);

    // The account is unlinked, and its data key shredded with it.
    std::fs::write(&path, &written).unwrap();
    let ada = identity::person_by_email(&engine, EMAIL).await.unwrap();
    accounts::unlink(&engine, &ada.unwrap().id, &left.account)
        .await
        .unwrap();
    assert_eq!(journal::replay(&engine).await.unwrap(), 0);
    assert_eq!(left.on_disk(), 0);
    engine.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_dropped_after_a_week() {
    let left = killed_with_an_answer().await;
    std::fs::write(only(&left.shared.journal), b"torn").unwrap();
    let engine = left.restarted().await;
    assert_eq!(journal::replay(&engine).await.unwrap(), 0);
    assert_eq!(left.on_disk(), 1);
    engine.store.close().await;
    drop(engine);

    let later = Fast::since(left.clock.started - journal::KEPT_MS / SPEED - 1_000);
    let engine = start(&left.shared, &later, "later").await.unwrap();
    assert_eq!(journal::replay(&engine).await.unwrap(), 0);
    assert_eq!(left.on_disk(), 0);
    engine.store.close().await;
}

/// The one answer on disk.
fn only(journal: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(journal).unwrap();
    files.next().unwrap().unwrap().path()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_on_disk_does_not_take_the_place_of_a_later_one() {
    let left = killed_with_an_answer().await;
    let engine = left.restarted().await;
    // Somebody asked again, where the provider answers again, and stored what came.
    let account = left.account.clone();
    engine
        .store
        .write(move |tx| {
            let account = account.clone();
            Box::pin(async move {
                tx.execute(
                    "insert into refresh_candidates (id, account_id, token_kind, epoch, parent_hash, sealed, holder, created_at) \
                     select 'cnd_later', account_id, token_kind, epoch, refresh_hash, $2, 'later', $3 \
                     from provider_grants where account_id = $1",
                    vec![account.into(), vec![0_u8; 64].into(), tx.now().into()],
                )
                .await
            })
        })
        .await
        .map_err(|error: domain::storage::Error| error)
        .unwrap();
    assert_eq!(journal::replay(&engine).await.unwrap(), 1);
    assert_eq!(left.on_disk(), 0);
    let later =
        "select count(*) as n from refresh_candidates where account_id = $1 and holder = 'later'";
    assert_eq!(number(&engine, later, &left.account).await, 1);
    engine.store.close().await;
}
