//! Where the time goes: `perf`, while a program is called for one more round.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::meter::Result;
use crate::program::Program;

/// A recording under way.
pub struct Recording {
    perf: Child,
    data: PathBuf,
}

impl Recording {
    /// Starts recording the program's stacks for so long. By the clock: virtual machines often have no
    /// counters of their own.
    pub fn start(program: &Program, folder: &Path, duration: Duration) -> Result<Self> {
        let data = folder.join("perf.data");
        let mut perf = Command::new("perf");
        perf.args(["record", "-q", "-e", "cpu-clock", "-F", "99"])
            .args(["--call-graph", "dwarf,16384", "-p"])
            .arg(program.pid.to_string())
            .arg("-o")
            .arg(&data)
            .args(["--", "sleep", &duration.as_secs().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let perf = perf
            .spawn()
            .map_err(|error| format!("perf cannot be started: {error}"))?;
        Ok(Self { perf, data })
    }

    /// Waits for its end and writes what each function took, with what it called, to `file`.
    pub fn write(mut self, file: &Path) -> Result<()> {
        self.perf.wait().map_err(|error| error.to_string())?;
        let report = Command::new("perf")
            .args([
                "report",
                "--stdio",
                "--no-inline",
                "--children",
                "-g",
                "none",
            ])
            .args(["--percent-limit", "0.8", "--sort", "symbol", "-i"])
            .arg(&self.data)
            .stderr(Stdio::null())
            .output()
            .map_err(|error| format!("perf: {error}"))?;
        fs::remove_file(&self.data).ok();
        if !report.status.success() {
            return Err("perf could not read what it has recorded".to_owned());
        }
        let mut text = "with what it calls, itself, function\n".to_owned();
        for line in String::from_utf8_lossy(&report.stdout).lines() {
            // Two columns of inlining follow that hold nothing here.
            let line = line.trim_end_matches([' ', '-']);
            if !line.is_empty() && !line.starts_with('#') {
                text.push_str(line);
                text.push('\n');
            }
        }
        fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
    }
}
