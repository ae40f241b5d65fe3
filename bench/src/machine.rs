//! On what it was measured, in a line.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::setting::Setting;

/// Processor, cores, memory, kernel, disk, and the versions of what ran.
pub fn line(setting: &Setting) -> String {
    let cpu = find("/proc/cpuinfo", "model name");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = find("/proc/meminfo", "MemTotal");
    let memory = memory
        .strip_suffix(" kB")
        .and_then(|kib| kib.trim().parse::<f64>().ok())
        .map_or(memory.clone(), |kib| format!("{:.0} GB", kib / 1e6));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let disk = said(
        "stat",
        &["-f", "-c", "%T", &setting.scratch.to_string_lossy()],
    );
    let attorn = said(&setting.attorn.to_string_lossy(), &["--version"]);
    let node = setting.peer.join("node_modules/.bin/node");
    let node = said(&node.to_string_lossy(), &["--version"]);
    let peer = package(&setting.peer.join("node_modules/oidc-provider/package.json"));
    format!(
        "{cpu}, {cores} cores, {memory}, Linux {}, {disk}; {attorn}; oidc-provider {peer} on Node.js {node}; {} connections, {} rounds of {} s.",
        kernel.trim(),
        setting.connections,
        setting.repeats,
        setting.measure.as_secs(),
    )
}

fn find(file: &str, name: &str) -> String {
    fs::read_to_string(file)
        .unwrap_or_default()
        .lines()
        .find(|line| line.starts_with(name))
        .and_then(|line| line.split_once(':'))
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default()
}

fn said(program: &str, words: &[&str]) -> String {
    Command::new(program)
        .args(words)
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

fn package(file: &Path) -> String {
    let text = fs::read(file).unwrap_or_default();
    let package: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    package
        .get("version")
        .and_then(|version| version.as_str())
        .unwrap_or_default()
        .to_owned()
}
