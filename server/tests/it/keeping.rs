//! Keys, copies and backups, by the commands that keep them, beside the real
//! program.

use sandbox::Provider;

use crate::house::{GOOGLE, SLACK};
use crate::process::Process;

#[tokio::test]
async fn the_vaults_key_is_rotated_beside_a_running_server() {
    let mut process = Process::open().await;
    process.link(GOOGLE, "release").await;
    process.link(SLACK, "release").await;
    let new = process.key().with_file_name("new.key");
    process
        .command(&["keys", "create", new.to_str().unwrap()])
        .await;
    let old = process.key().display().to_string();
    process.configure(
        &format!("key_file = \"{old}\""),
        &format!(
            "key_file = \"{}\"\nold_key_files = [\"{old}\"]",
            new.display()
        ),
    );
    let rotating = process.command(&["keys", "rotate", "--vault-key"]);
    let exchanging = async {
        for _ in 0..50 {
            for connection in [GOOGLE, SLACK] {
                let answer = process.exchange(connection).await;
                assert_eq!(answer.status, 200, "{}", answer.body);
            }
        }
    };
    let (said, ()) = tokio::join!(rotating, exchanging);
    assert!(said.contains("wrapped anew"), "{said}");
    let again = process.command(&["keys", "rotate", "--vault-key"]).await;
    assert!(again.starts_with("0 keys"), "{again}");

    // Killed and started with both, then with the new key alone.
    process.kill().await;
    process.restart().await;
    assert_eq!(process.exchange(GOOGLE).await.status, 200);
    process.kill().await;
    process.configure(&format!("\nold_key_files = [\"{old}\"]"), "");
    process.restart().await;
    for connection in [GOOGLE, SLACK] {
        assert_eq!(process.exchange(connection).await.status, 200);
    }
}

#[tokio::test]
async fn signing_keys_are_renewed_beside_a_running_server_at_once_or_in_order() {
    let process = Process::open().await;
    process.link(GOOGLE, "release").await;
    let states = |said: &str| -> Vec<String> {
        let mut states: Vec<String> = said
            .lines()
            .map(|line| line.rsplit('\t').next().unwrap())
            .map(|state| state.split(' ').next().unwrap().to_owned())
            .collect();
        states.sort();
        states
    };
    let kinds = |words: &[&str]| -> Vec<String> {
        let mut all: Vec<String> = vec!["wraps".to_owned()];
        for word in words {
            all.extend(["ES256", "EdDSA", "RS256"].map(|_| (*word).to_owned()));
        }
        all.sort();
        all
    };
    let first = process.command(&["keys", "list"]).await;
    assert_eq!(states(&first), kinds(&["signs"]), "{first}");
    // In order: the new ones are published, the old ones go on for a day.
    let second = process.command(&["keys", "rotate"]).await;
    assert_eq!(states(&second), kinds(&["ends", "signs"]), "{second}");
    assert_eq!(process.exchange(GOOGLE).await.status, 200);
    // At once: what the old ones signed is good for nothing.
    let third = process.command(&["keys", "rotate", "--compromised"]).await;
    for key in first.lines().filter(|line| line.ends_with("signs")) {
        let kid = key.split('\t').next().unwrap();
        let still = third.lines().find(|line| line.starts_with(kid));
        assert!(
            still.is_none_or(|line| line.contains("ends")),
            "{kid}: {third}"
        );
    }
    assert_eq!(process.exchange(GOOGLE).await.status, 200);
}

#[tokio::test]
async fn the_socket_is_its_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let process = Process::open().await;
    let socket = process.database().with_extension("sock");
    let mode = std::fs::metadata(socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Moves the database away, as a lost disk does.
fn lose(process: &Process) {
    let database = process.database();
    for suffix in ["", "-wal", "-shm"] {
        let mut from = database.clone().into_os_string();
        from.push(suffix);
        let mut to = from.clone();
        to.push(".lost");
        let _ = std::fs::rename(from, to);
    }
}

#[tokio::test]
async fn a_backup_beside_the_running_server_is_restored_and_waits_to_be_adopted() {
    let mut process = Process::open().await;
    process.link(GOOGLE, "release").await;
    assert_eq!(process.exchange(GOOGLE).await.status, 200);
    let backup = process.database().with_file_name("backup.db");
    let path = backup.to_str().unwrap().to_owned();
    let words = ["backup", path.as_str()];
    let backing = process.command(&words);
    let exchanging = async {
        for _ in 0..20 {
            assert_eq!(process.exchange(GOOGLE).await.status, 200);
        }
    };
    let (said, ()) = tokio::join!(backing, exchanging);
    for part in ["audit log of", "verifies", "kek_", "not in it"] {
        assert!(said.contains(part), "{said}");
    }
    let again = process.refused(&["backup", &path]).await;
    assert!(again.contains("nothing is written over"), "{again}");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(&backup).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // What came later is lost with the disk; what was before is there.
    process.link(SLACK, "release").await;
    let there = process.refused(&["restore", &path]).await;
    assert!(there.contains("is there already"), "{there}");
    process.kill().await;
    lose(&process);
    let said = process.command(&["restore", &path]).await;
    assert!(said.contains("attorn adopt"), "{said}");
    process.restart().await;
    assert_eq!(
        process.exchange(GOOGLE).await.status,
        200,
        "a living token is served"
    );
    let code = "federated_connection_refresh_token_not_found".to_owned();
    assert_eq!(process.exchange(SLACK).await.error(), (401, code));
    let refused = process.post("/accounts/link/google-oauth2", &[]).await;
    assert_ne!(refused.status, 303);
    let said = process.command(&["adopt"]).await;
    assert!(said.starts_with("Adopted"), "{said}");
    process.link(SLACK, "release").await;
    let calls = process.sandbox.control().requests(Provider::Slack).len();
    assert!(calls > 0);
}

#[tokio::test]
async fn a_spoilt_backup_is_not_restored_and_leaves_nothing_behind() {
    let mut process = Process::open().await;
    process.link(GOOGLE, "release").await;
    let backup = process.database().with_file_name("backup.db");
    let path = backup.to_str().unwrap().to_owned();
    process.command(&["backup", &path]).await;
    process.kill().await;
    lose(&process);
    let whole = std::fs::read(&backup).unwrap();
    // An entry of the log, rewritten in a file that is whole by itself.
    let mut changed = whole.clone();
    let at = changed
        .windows(14)
        .position(|window| window == b"account.linked")
        .unwrap();
    changed[at..at + 14].copy_from_slice(b"account.linkex");
    let mut cut = whole.clone();
    cut.truncate(whole.len() / 2);
    for spoilt in [changed, cut] {
        std::fs::write(&backup, spoilt).unwrap();
        process.refused(&["restore", &path]).await;
        let folder = std::fs::read_dir(backup.parent().unwrap()).unwrap();
        let left: Vec<_> = folder
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("partial") || name == "attorn.db")
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    std::fs::write(&backup, whole).unwrap();
    process.command(&["restore", &path]).await;
}
