//! What `formic __exec` does: become an agent that does not outlive its peer.

use std::{ffi::OsString, io, os::unix::process::CommandExt as _, process::Command};

/// Replaces this process by `args[1..]` as a child of the process `args[0]`: at lower priority, first in line when memory
/// runs out, and killed by the kernel when the thread that started it ends (Linux).
///
/// Returns only if that failed: the caller prints the error and exits with 127. No other thread may run.
pub fn exec(args: impl IntoIterator<Item = OsString>) -> io::Error {
    let mut args = args.into_iter();
    let parent = args.next().and_then(|pid| pid.to_str()?.parse::<i32>().ok());
    let (Some(parent), Some(program)) = (parent, args.next()) else {
        return io::Error::new(io::ErrorKind::InvalidInput, "expected PARENT_PID PROGRAM [ARGS..]");
    };
    if let Err(error) = tie_to(parent) {
        return error;
    }
    // Both are courtesies: an agent at full priority is still a right agent.
    let _refused = rustix::process::nice(5);
    drop(std::fs::write("/proc/self/oom_score_adj", "500"));
    let error = Command::new(&program).args(args).exec();
    io::Error::new(error.kind(), format!("{}: {error}", program.display()))
}

#[cfg(target_os = "linux")]
fn tie_to(parent: i32) -> io::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before the line above: then nobody would ever kill us.
    if getppid().map(|pid| pid.as_raw_nonzero().get()) == Some(parent) {
        return Ok(());
    }
    Err(io::Error::other(format!("the peer, process {parent}, is gone")))
}

#[cfg(not(target_os = "linux"))]
fn tie_to(_parent: i32) -> io::Result<()> {
    Ok(())
}
