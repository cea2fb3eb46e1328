use core::{ops::RangeInclusive, time::Duration};
use std::{io, path::PathBuf};

/// Limits and places of the shipped adapters. The defaults suit workers that answer within minutes.
///
/// ```
/// let mut config = formic_agents::Config::default();
/// config.grace = std::time::Duration::from_secs(1); // Cancelled tasks are killed sooner.
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// What the word `formic` means in `run` and as the first word of a command; default: the running executable.
    pub executable: Option<PathBuf>,
    /// The program whose hidden command `__exec` is [`shim::exec`](crate::shim::exec); agents are started through it,
    /// so that they die with a killed peer. Default: none, agents are started directly.
    pub shim: Option<PathBuf>,
    /// Folder for the tasks' own folders; default: a fresh one below the system's folder for temporary files.
    pub work_root: Option<PathBuf>,
    /// How long one execution may take if its task names no `wall`: `1 s..=24 h`, default 15 min.
    ///
    /// Waiting for children does not count.
    pub wall: Duration,
    /// How long a cancelled task may take to stop before it is killed: `0..=60 s`, default 5 s.
    pub grace: Duration,
    /// How long a lasting process may take to say `ready`: `1..=600 s`, default 10 s.
    pub open_timeout: Duration,
    /// The longest line a lasting process may write, in bytes: `64 KiB..=16 MiB`, default 1 MiB.
    pub line_max: usize,
    /// The most a task may write to stdout or stderr, in bytes: `64 KiB..=1 GiB`, default 16 MiB.
    pub stdout_max: usize,
    /// Malformed lines after which a process is killed: `1..=1,000`, default 10.
    pub bad_lines: u32,
    /// Lasting processes per agent: `1..=4,096`, default 64.
    pub processes: usize,
    /// How long a process may leave more than 4 MiB or 1,000 messages unread: `1..=600 s`, default 30 s.
    pub unread: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            executable: None,
            shim: None,
            work_root: None,
            wall: Duration::from_secs(15 * 60),
            grace: Duration::from_secs(5),
            open_timeout: Duration::from_secs(10),
            line_max: 1 << 20,
            stdout_max: 16 << 20,
            bad_lines: 10,
            processes: 64,
            unread: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// Refuses values out of range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let seconds = Duration::from_secs;
        within("wall", self.wall, seconds(1)..=seconds(86_400))?;
        within("grace", self.grace, Duration::ZERO..=seconds(60))?;
        within("open_timeout", self.open_timeout, seconds(1)..=seconds(600))?;
        within("line_max", self.line_max, 64 << 10..=16 << 20)?;
        within("stdout_max", self.stdout_max, 64 << 10..=1 << 30)?;
        within("bad_lines", self.bad_lines, 1..=1_000)?;
        within("processes", self.processes, 1..=4_096)?;
        within("unread", self.unread, seconds(1)..=seconds(600))
    }
}

fn within<T: PartialOrd + core::fmt::Debug>(
    field: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::Config { field, value: format!("{value:?}"), range: format!("{range:?}") })
}

/// Why the adapters could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of [`Config`] is out of range. The caller's fault; nothing was started.
    #[error("{field} is {value}, expected {range}")]
    Config {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: String,
        /// The allowed range.
        range: String,
    },
    /// A folder or thread could not be made. The environment's fault.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}
