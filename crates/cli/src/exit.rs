use core::fmt;
use std::process::ExitCode;

/// How the command ends, as its exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exit {
    /// 0: the job is complete, all tasks are ok.
    Ok,
    /// 1: the job is complete, some task failed.
    TaskFailed,
    /// 2: bad usage or bad plan.
    Usage,
    /// 3: no capable peer, or an agent's binary is missing.
    NoPeer,
    /// 4: no quorum.
    NoQuorum,
    /// 5: timeout.
    Timeout,
    /// 7: the certificate does not verify, or the peers and `--mesh-key` are of different authorities or out of time.
    BadCertificate,
    /// 127: an agent's program did not start (the hidden `__exec` only, as shells do).
    NotStarted,
    /// 130: interrupted.
    Interrupted,
}

impl Exit {
    /// The number for the shell.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::TaskFailed => 1,
            Self::Usage => 2,
            Self::NoPeer => 3,
            Self::NoQuorum => 4,
            Self::Timeout => 5,
            Self::BadCertificate => 7,
            Self::NotStarted => 127,
            Self::Interrupted => 130,
        }
    }

    /// The report's word for it.
    pub const fn verdict(self) -> &'static str {
        match self {
            Self::Ok | Self::TaskFailed => "complete",
            Self::Usage => "refused",
            Self::NoPeer => "no-capable-peer",
            Self::NoQuorum => "no-quorum",
            Self::Timeout => "timeout",
            Self::BadCertificate => "bad-certificate",
            Self::NotStarted => "not-started",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command ended before its work was done: an exit code and sentences for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Stop {
    /// The exit code.
    pub exit: Exit,
    /// What happened, and what to do. Several lines are allowed.
    pub message: String,
}

impl Stop {
    /// Ends with this code.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// Bad usage (2).
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A file or folder could not be used (2): names it and what was wanted of it.
    pub fn file(verb: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::usage(format!("cannot {verb} {}: {error}", path.display()))
    }
}
