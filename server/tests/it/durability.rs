//! What was answered survives a power cut. A kill does not show that: the
//! kernel keeps what was written. So the calls that wait for the disk are
//! counted, and what was not waited for is spoilt on a copy.

use std::path::{Path, PathBuf};

use domain::clock::ManualClock;
use domain::testing::START;

use crate::crash::open;
use crate::house::GOOGLE;
use crate::process::Process;

fn synced(trace: &Path) -> usize {
    let text = std::fs::read_to_string(trace).unwrap_or_default();
    let calls = text.lines().filter(|line| line.contains("sync("));
    calls
        .filter(|line| line.ends_with("= 0") || line.contains("unfinished"))
        .count()
}

#[tokio::test]
async fn an_exchange_is_answered_after_the_disk_has_it_and_many_share_the_wait() {
    let is_there = std::process::Command::new("strace").arg("-V").output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this machine has no strace to count fsync calls with");
        return;
    }
    let mut process = Process::open().await;
    process.link(GOOGLE, "release").await;
    let trace = process.restart_traced().await;
    assert_eq!(process.exchange(GOOGLE).await.status, 200);
    // Alone, each waits for the disk before its answer.
    for _ in 0..20 {
        let before = synced(&trace);
        assert_eq!(process.exchange(GOOGLE).await.status, 200);
        assert!(
            synced(&trace) > before,
            "it was answered before the disk had it"
        );
    }
    // Together they share it.
    let before = synced(&trace);
    let mut asked = Vec::new();
    for _ in 0..1_000 {
        asked.push(tokio::spawn(process.exchanging(GOOGLE).send()));
    }
    let mut answered = 0;
    for one in asked {
        answered += usize::from(one.await.unwrap().unwrap().status() == 200);
    }
    let waits = synced(&trace) - before;
    println!("{answered} exchanges were answered after {waits} calls of fsync or fdatasync");
    assert!(answered >= 256, "only {answered} were answered");
    assert!(waits > 0 && waits < answered / 4, "{waits} for {answered}");
}

/// A database and its write-ahead log as they lie there.
struct Lying {
    database: Vec<u8>,
    log: Vec<u8>,
}

fn look(process: &Process) -> Lying {
    let database = process.database();
    let mut log = database.clone().into_os_string();
    log.push("-wal");
    Lying {
        database: std::fs::read(database).unwrap(),
        log: std::fs::read(PathBuf::from(log)).unwrap(),
    }
}

/// How many releases a copy of these tells of. It opens, and its log verifies.
async fn released(process: &Process, database: &[u8], log: &[u8]) -> i64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attorn.db");
    std::fs::write(&path, database).unwrap();
    std::fs::write(folder.path().join("attorn.db-wal"), log).unwrap();
    let clock = ManualClock::at(START);
    let engine = open(process, &path, clock).await;
    let report = domain::audit::verify(&engine, None).await.unwrap();
    assert!(report.is_sound(), "{report}");
    let sql = "select count(*) as n from events where kind = 'token.released'";
    let mut reader = engine.store.reader().await.unwrap();
    let row = reader.optional(sql, vec![]).await.unwrap().unwrap();
    drop(reader);
    engine.store.close().await;
    row.get("n").unwrap()
}

#[tokio::test]
async fn what_was_answered_survives_whatever_becomes_of_the_bytes_after_the_last_sync() {
    let process = Process::open().await;
    process.link(GOOGLE, "release").await;
    let answered = 25;
    for _ in 0..answered {
        assert_eq!(process.exchange(GOOGLE).await.status, 200);
    }
    // All of this was waited for; what comes after is as if it had not been.
    let then = look(&process);
    let safe = then.log.len();
    for _ in 0..25 {
        assert_eq!(process.exchange(GOOGLE).await.status, 200);
    }
    let now = look(&process);
    assert_eq!(
        now.log[..32],
        then.log[..32],
        "the log began anew: choose fewer exchanges"
    );
    assert_eq!(now.log[32..safe], then.log[32..safe]);
    let tail = now.log.len() - safe;
    assert!(tail > 8_192, "there is nothing to tear");

    // Cut off anywhere, in the middle of a page or of its header.
    for keep in [0, 1, 24, 4_000, 4_120, tail / 2, tail - 1] {
        let found = released(&process, &then.database, &now.log[..safe + keep]).await;
        assert!(found >= answered, "{keep}: {found}");
    }
    // Written in part or out of order: noise, nothing, or a hole.
    let mut noise = now.log.clone();
    let mut value = 1_u32;
    for byte in &mut noise[safe..] {
        value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = value.to_be_bytes()[0];
    }
    let mut nothing = now.log.clone();
    nothing[safe..].fill(0);
    let mut hole = now.log.clone();
    hole[safe + 100..safe + 4_200].fill(0);
    for torn in [noise, nothing, hole] {
        let found = released(&process, &then.database, &torn).await;
        assert!(found >= answered, "{found}");
    }
    // The test can tell: of what was synced, nothing may go.
    let found = released(&process, &then.database, &then.log[..safe / 2]).await;
    assert!(found < answered, "{found}");
    assert!(released(&process, &now.database, &now.log).await >= 2 * answered);
}
