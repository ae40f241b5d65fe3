//! What the program holds in memory stays there: a crash leaves no core dump,
//! and another program of the same user reads nothing of it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};

use crate::process::{free_port, says};

/// Somebody without rights of their own, where the tests run as root: root
/// reads everything.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A command of an ordinary user's in this folder, with core dumps as large as may be.
fn ordinary(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -c unlimited 2>/dev/null; {script}");
    command
        .args(["-c", &script])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ATTORN_")) {
        command.env_remove(name);
    }
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

struct Served {
    folder: tempfile::TempDir,
    child: Child,
}

impl Served {
    async fn with(private: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The build's folder may be closed to an ordinary user.
        let program = folder.path().join("attorn");
        std::fs::copy(env!("CARGO_BIN_EXE_attorn"), &program).unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, open.clone()).unwrap();
        std::fs::set_permissions(folder.path(), open).unwrap();
        if is_root() {
            std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let port = free_port().await;
        let mut command = ordinary(folder.path(), "exec ./attorn serve");
        command
            .env("NO_COLOR", "1")
            .env("ATTORN_SERVER__LISTEN", format!("127.0.0.1:{port}"))
            .env(
                "ATTORN_SERVER__PUBLIC_URL",
                format!("http://localhost:{port}/"),
            )
            .env("ATTORN_SERVER__PRIVATE_MEMORY", private.to_string());
        let mut child = command.spawn().unwrap();
        says(child.stderr.take().unwrap(), "serving").await;
        Self { folder, child }
    }

    /// Whether another program of the same user can read a byte of its memory.
    async fn is_legible(&self) -> bool {
        let pid = self.child.id().unwrap();
        // Where the program itself is mapped, and the bytes that begin every program.
        let script = format!(
            "from=$(sed -n '/attorn$/{{s/-.*//p;q}}' /proc/{pid}/maps) && test -n \"$from\" && \
             dd if=/proc/{pid}/mem bs=4096 skip=$((0x$from / 4096)) count=1 2>/dev/null | grep -q ELF"
        );
        let mut reader = ordinary(self.folder.path(), &script);
        reader.status().await.unwrap().success()
    }

    /// It crashes.
    async fn crashed(mut self) -> (ExitStatus, usize) {
        let kill = format!("kill -ABRT {}", self.child.id().unwrap());
        let sent = ordinary(self.folder.path(), &kill).status().await;
        assert!(sent.unwrap().success());
        let status = self.child.wait().await.unwrap();
        assert!(status.signal().is_some(), "{status}");
        (status, cores(self.folder.path()))
    }
}

/// Files in the folder that look like a core dump.
fn cores(folder: &Path) -> usize {
    std::fs::read_dir(folder)
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("core")
        })
        .count()
}

#[tokio::test]
async fn a_crash_leaves_no_core_and_nobody_beside_reads_the_memory() {
    let served = Served::with(true).await;
    let proc = format!("/proc/{}", served.child.id().unwrap());
    let limits = std::fs::read_to_string(format!("{proc}/limits")).unwrap();
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"));
    let core: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(core[..2], ["0", "0"], "{limits}");
    assert!(!served.is_legible().await, "its memory was read");
    let (status, cores) = served.crashed().await;
    assert!(!status.core_dumped(), "{status}");
    assert_eq!(cores, 0);
}

/// The test above can fail: without the setting memory is read and, where this
/// machine writes core dumps at all, one is written.
#[tokio::test]
async fn a_developer_may_look_into_the_memory() {
    let served = Served::with(false).await;
    // Some machines let nobody but a debugger's child be read.
    let yama = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    if yama.is_err() || yama.is_ok_and(|scope| scope.trim() == "0") {
        assert!(served.is_legible().await, "profilers need it");
    }
    let folder = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let mut other = ordinary(folder.path(), "kill -ABRT $$");
    let here = other.status().await.unwrap().core_dumped();
    let (status, _) = served.crashed().await;
    assert_eq!(status.core_dumped(), here, "{status}");
}
