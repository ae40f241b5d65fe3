//! The program's memory stays its own: it holds keys and tokens in clear.
//!
//! No core dump is written when the program crashes, and no other program of
//! the same user reads its memory (`/proc/PID/mem`, `ptrace`, `gcore`). An
//! administrator of the machine still can: whoever is root reads everything.

use std::io;

/// Forbids core dumps and looks into this process from beside it.
///
/// # Errors
/// When the system does not let it.
#[cfg(target_os = "linux")]
pub fn keep_private() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    // Also against a `core_pattern` that pipes into a program, which the limit
    // alone does not stop.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    no_core()
}

/// Forbids core dumps.
///
/// # Errors
/// When the system does not let it.
#[cfg(not(target_os = "linux"))]
pub fn keep_private() -> io::Result<()> {
    no_core()
}

fn no_core() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    Ok(())
}
