//! The demo's data folder: marked, with its random secrets.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use domain::ids::{SystemRng, random};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::serve::{DEMO_MARK, Error};

/// Random per folder. Kept in clear beside the database: this is a demo.
#[derive(Serialize, Deserialize)]
pub struct Secrets {
    /// Of the seeded person.
    pub person_password: String,
    /// Of the seeded admin.
    pub admin_password: String,
    /// Attorn's client secret at every sandbox provider.
    pub provider_secret: String,
    /// Of the example agent.
    pub agent_secret: String,
    /// Of the example API.
    pub api_secret: String,
    /// In the address that plays the person.
    pub decide: String,
}

/// The folder.
pub struct Folder {
    /// Where it lies.
    pub root: PathBuf,
    /// What is random in it.
    pub secrets: Secrets,
}

fn word(length: usize) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bytes: [u8; 40] = random(&SystemRng);
    bytes
        .iter()
        .take(length)
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect()
}

impl Secrets {
    fn new() -> Self {
        let password = || format!("{}-{}-{}", word(5), word(5), word(5));
        Self {
            person_password: password(),
            admin_password: password(),
            provider_secret: word(40),
            agent_secret: word(40),
            api_secret: word(40),
            decide: word(32),
        }
    }
}

impl Folder {
    /// Opens the folder, making and marking it if it is new.
    ///
    /// # Errors
    /// When it holds something that `attorn demo` did not make.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let says = |error: std::io::Error| Error(format!("{}: {error}", root.display()));
        std::fs::create_dir_all(root).map_err(says)?;
        let root = root.canonicalize().map_err(says)?;
        let (mark, file) = (root.join(DEMO_MARK), root.join("demo.json"));
        if !mark.exists() {
            if std::fs::read_dir(&root).map_err(says)?.next().is_some() {
                return Err(Error(format!(
                    "{} holds something that attorn demo did not make; choose another folder with --data",
                    root.display()
                )));
            }
            write_secret(
                &file,
                &serde_json::to_string_pretty(&Secrets::new()).map_err(Error::new)?,
            )
            .map_err(says)?;
            std::fs::write(&mark, "Known passwords; never serve this folder.\n").map_err(says)?;
        }
        let text = std::fs::read_to_string(&file).map_err(says)?;
        let secrets = serde_json::from_str(&text)
            .map_err(|error| Error(format!("{}: {error}", file.display())))?;
        Ok(Self { root, secrets })
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The sandbox's port of last time, or 0.
    #[must_use]
    pub fn sandbox_port(&self) -> u16 {
        std::fs::read_to_string(self.path("sandbox-port"))
            .ok()
            .and_then(|port| port.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Remembers the sandbox's port, so that linked accounts keep their addresses.
    pub fn keep_sandbox_port(&self, url: &str) {
        if let Some(port) = Url::parse(url).ok().and_then(|url| url.port()) {
            let _ = std::fs::write(self.path("sandbox-port"), port.to_string());
        }
    }
}

/// Writes a file that only its owner may read.
pub fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
