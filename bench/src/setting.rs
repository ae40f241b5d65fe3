//! What a run is told: which programs, where, how often.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::meter::Result;

/// A PostgreSQL server on which databases may be created.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// Address of a superuser's connection.
    pub url: String,
    /// Its first process, if it runs on this machine for us alone: then its CPU time is counted.
    pub pid: Option<u32>,
}

/// What a run is told.
pub struct Setting {
    /// The `attorn` program.
    pub attorn: PathBuf,
    /// The folder of the peer, with its packages.
    pub peer: PathBuf,
    /// Where databases and logs go.
    pub scratch: PathBuf,
    /// Without it PostgreSQL is left out.
    pub postgres: Option<Postgres>,
    /// Rounds for each program.
    pub repeats: usize,
    /// How long a program is called before its first round.
    pub warm_up: Duration,
    /// How long a program is called in a round before it is measured.
    pub warm: Duration,
    /// How long it is measured.
    pub measure: Duration,
    /// Connections of the closed loops.
    pub connections: usize,
    /// How many requests are pending where many are.
    pub many: usize,
    /// Sockets of the open loop, at most.
    pub sockets: usize,
    /// How long the open loop is measured.
    pub open: Duration,
    /// Where profiles go, if some are wanted.
    pub profiles: Option<PathBuf>,
    counter: AtomicU32,
}

impl Setting {
    /// Programs and places; the rest as the report wants it.
    pub fn new(attorn: PathBuf, peer: PathBuf, scratch: PathBuf) -> Self {
        Self {
            attorn,
            peer,
            scratch,
            postgres: None,
            repeats: 5,
            warm_up: Duration::from_secs(12),
            warm: Duration::from_secs(1),
            measure: Duration::from_secs(4),
            connections: 64,
            many: 100_000,
            sockets: 10_000,
            open: Duration::from_secs(60),
            profiles: None,
            counter: AtomicU32::new(0),
        }
    }

    /// A number that this run has not used yet.
    pub fn number(&self) -> u32 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// A new folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let folder = self.scratch.join(format!("{plain}-{}", self.number()));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(folder)
    }
}
