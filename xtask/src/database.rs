//! A PostgreSQL server for one test run.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::apt;
use crate::files::at;
use crate::run::{self, Result, say};

/// The variable that brings the tests a server they may fill with databases.
pub const URL: &str = "ATTORN_TEST_POSTGRES";

/// A running server; gone when dropped, with all its data, unless it was given to us.
pub struct Postgres {
    /// Address of a superuser's connection.
    pub url: String,
    cluster: Option<Cluster>,
}

struct Cluster {
    server: Child,
    binaries: PathBuf,
    dir: PathBuf,
    user: Option<(u32, u32)>,
}

impl Postgres {
    /// The server of `ATTORN_TEST_POSTGRES`, or a temporary cluster.
    pub fn start() -> Result<Self> {
        match std::env::var(URL) {
            Ok(url) if !url.is_empty() => Ok(Self { url, cluster: None }),
            // It outlives no test run: losing its data in a power cut is no loss.
            _ => Self::temporary(&["-c", "fsync=off", "-c", "full_page_writes=off"]),
        }
    }

    /// The server of `ATTORN_TEST_POSTGRES`, or a temporary cluster that keeps what it says it
    /// keeps: what durability costs is part of what a bench measures.
    pub fn durable() -> Result<Self> {
        match std::env::var(URL) {
            Ok(url) if !url.is_empty() => Ok(Self { url, cluster: None }),
            _ => Self::temporary(&[]),
        }
    }

    /// Its first process, if it is ours.
    pub fn pid(&self) -> Option<u32> {
        self.cluster.as_ref().map(|cluster| cluster.server.id())
    }

    fn temporary(settings: &[&str]) -> Result<Self> {
        let binaries = match binaries() {
            Some(found) => found,
            None => {
                apt::install(
                    &["postgresql"],
                    "PostgreSQL (or a server's URL in ATTORN_TEST_POSTGRES)",
                )?;
                binaries().ok_or("PostgreSQL's programs are not in /usr/lib/postgresql")?
            }
        };
        // PostgreSQL refuses to run as root.
        let user = if run::is_root() {
            Some(ids("postgres")?)
        } else {
            None
        };
        let dir = std::env::temp_dir().join(format!("attorn-postgres-{}", std::process::id()));
        fs::remove_dir_all(&dir).ok();
        at(&dir, fs::create_dir(&dir))?;
        if let Some((uid, gid)) = user {
            at(&dir, std::os::unix::fs::chown(&dir, Some(uid), Some(gid)))?;
        }
        let data = dir.join("data");
        say("starting a temporary PostgreSQL");
        run::output(
            program(&binaries, "initdb", user, &dir)
                .args([
                    "--auth=trust",
                    "--username=postgres",
                    "--encoding=UTF8",
                    "--locale=C",
                ])
                .args(["--no-sync", "--pgdata"])
                .arg(&data),
        )?;

        let port = free_port()?;
        let log = at(&dir, fs::File::create(dir.join("log")))?;
        // A child in our process group, so that Ctrl-C ends it too.
        let server = program(&binaries, "postgres", user, &dir)
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&dir)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "max_connections=400"])
            .args(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("postgres: {error}"))?;
        let mut cluster = Cluster {
            server,
            binaries,
            dir,
            user,
        };
        cluster.wait_until_ready(port)?;
        Ok(Self {
            url: format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            cluster: Some(cluster),
        })
    }
}

impl Cluster {
    fn wait_until_ready(&mut self, port: u16) -> Result<()> {
        for _ in 0..600 {
            let ready = program(&self.binaries, "pg_isready", self.user, &self.dir)
                .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
                .status();
            if ready.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            if self.server.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        Err(format!("PostgreSQL did not start:\n{}", log.trim_end()))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(cluster) = &mut self.cluster {
            say("dropping the temporary PostgreSQL");
            let stopped = program(&cluster.binaries, "pg_ctl", cluster.user, &cluster.dir)
                .args(["stop", "--silent", "--mode=immediate", "--pgdata"])
                .arg(cluster.dir.join("data"))
                .status();
            if !stopped.is_ok_and(|status| status.success()) {
                cluster.server.kill().ok();
            }
            cluster.server.wait().ok();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Also on the way out of a failed start.
        self.server.kill().ok();
        self.server.wait().ok();
        fs::remove_dir_all(&self.dir).ok();
    }
}

fn program(binaries: &Path, name: &str, user: Option<(u32, u32)>, dir: &Path) -> Command {
    let mut command = Command::new(binaries.join(name));
    command.current_dir(dir);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// The newest of Debian's versions, or what is in `PATH`.
fn binaries() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let bin = entry.path().join("bin");
            bin.join("initdb").is_file().then_some((version, bin))
        })
        .collect();
    versions.sort();
    match versions.pop() {
        Some((_, bin)) => Some(bin),
        None => Some(run::find("initdb")?.parent()?.to_path_buf()),
    }
}

fn ids(user: &str) -> Result<(u32, u32)> {
    let id = |flag| -> Result<u32> {
        let text = run::output(Command::new("id").args([flag, user]))?;
        text.trim()
            .parse()
            .map_err(|_| format!("`id {flag} {user}` said {text}"))
    };
    Ok((id("-u")?, id("-g")?))
}

fn free_port() -> Result<u16> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free port: {error}"))
}
