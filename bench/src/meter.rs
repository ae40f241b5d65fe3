//! What a program has used so far, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// What went wrong, as a sentence for the person at the terminal.
pub type Result<T> = std::result::Result<T, String>;

/// The kernel counts CPU time in `/proc` in hundredths of a second, on every Linux machine we build for.
const TICK: Duration = Duration::from_millis(10);

/// Fields of `/proc/PID/stat` after the program's name, counted from 0 (proc_pid_stat(5)).
struct Stat(Vec<String>);

impl Stat {
    const PARENT: usize = 1;
    const USER: usize = 11;
    const SYSTEM: usize = 12;
    const CHILDREN_USER: usize = 13;
    const CHILDREN_SYSTEM: usize = 14;

    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in brackets and may hold anything.
        let (_, fields) = text.rsplit_once(") ")?;
        Some(Self(fields.split_whitespace().map(str::to_owned).collect()))
    }

    fn number(&self, field: usize) -> u32 {
        self.0
            .get(field)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }
}

/// CPU time of a process, user and system, all its threads.
pub fn cpu(pid: u32) -> Result<Duration> {
    let stat = Stat::of(pid).ok_or_else(|| format!("process {pid} has ended"))?;
    Ok(TICK * (stat.number(Stat::USER) + stat.number(Stat::SYSTEM)))
}

/// CPU time of a process and its children, those that have ended among them: a PostgreSQL
/// server has one process for each connection.
pub fn cpu_of_family(pid: u32) -> Result<Duration> {
    let stat = Stat::of(pid).ok_or_else(|| format!("process {pid} has ended"))?;
    let ended = stat.number(Stat::CHILDREN_USER) + stat.number(Stat::CHILDREN_SYSTEM);
    let living: u32 = fs::read_dir("/proc")
        .map_err(|error| format!("/proc: {error}"))?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Stat::of)
        .filter(|child| child.number(Stat::PARENT) == pid)
        .map(|child| child.number(Stat::USER) + child.number(Stat::SYSTEM))
        .sum();
    Ok(cpu(pid)? + TICK * (ended + living))
}

/// Memory of a process that is in RAM, in bytes.
pub fn memory(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(|error| format!("process {pid}: {error}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|value| value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
        .map(|kib| kib * 1024)
        .ok_or_else(|| format!("process {pid} does not say how much memory it has"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_process_has_used_memory_and_its_time_never_runs_back() {
        let pid = std::process::id();
        assert!(memory(pid).unwrap() > 100_000);
        let before = cpu(pid).unwrap();
        assert!(cpu(pid).unwrap() >= before);
        assert!(cpu_of_family(pid).unwrap() >= before);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error_and_not_zero() {
        assert!(cpu(u32::MAX).is_err());
        assert!(memory(u32::MAX).is_err());
    }
}
