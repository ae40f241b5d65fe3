//! Keys, copies and backups, by the commands that keep them, beside the real
//! program.

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
async fn the_socket_is_its_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let process = Process::open().await;
    let socket = process.database().with_extension("sock");
    let mode = std::fs::metadata(socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
