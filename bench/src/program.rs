//! A program under load.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::meter::Result;
use crate::wire::form;

/// The audience of all access tokens.
pub const RESOURCE: &str = "https://api.example.com/";

/// A client of the program, and the person it asks.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// `client_id`
    pub id: String,
    /// `client_secret`
    pub secret: String,
    /// `login_hint` of the person.
    pub person: String,
}

/// A program that answers; ended when dropped.
pub struct Program {
    /// As the report calls it.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// As requests name it.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// The parent of its database server's processes, where it has one.
    pub database_pid: Option<u32>,
    /// Path of the token endpoint.
    pub token: &'static str,
    /// Path of the backchannel authentication endpoint.
    pub backchannel: &'static str,
    /// Who asks.
    pub client: Credentials,
    /// Refresh tokens, each the first of a chain.
    pub refresh_tokens: Vec<String>,
    child: Ended,
}

/// A child that does not outlive us.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Program {
    /// A program that has just been started.
    pub fn new(name: &'static str, child: Child, address: SocketAddr) -> Self {
        Self {
            name,
            address,
            host: format!("localhost:{}", address.port()),
            pid: child.id(),
            database_pid: None,
            token: "/oauth/token",
            backchannel: "/bc-authorize",
            client: Credentials::default(),
            refresh_tokens: Vec::new(),
            child: Ended(child),
        }
    }

    /// The beginning of every form: who asks, by `client_secret_post`.
    pub fn form<'a>(&'a self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let who = [
            ("client_id", self.client.id.as_str()),
            ("client_secret", self.client.secret.as_str()),
        ];
        form(who.into_iter().chain(pairs))
    }

    /// Fails if the program has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        match self.child.0.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("{} has ended: {status}", self.name)),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }
}

/// Starts a program with room for many connections; what it says on standard error goes to `log`.
pub fn start(command: &Command, log: File) -> Result<Child> {
    let program = command.get_program().to_owned();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -n 20000 2>/dev/null; exec \"$0\" \"$@\""])
        .arg(&program)
        .args(command.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
        .spawn()
        .map_err(|error| format!("{}: {error}", program.to_string_lossy()))
}
