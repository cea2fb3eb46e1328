use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{LogEvent, LogLine, clock::host_us};

/// Where a peer writes what happens. Cheap to clone; several peers and processes may share one file, because every
/// line is one `write` to a file opened for appending.
///
/// A log that cannot be written costs one warning; the run goes on.
#[derive(Clone, Debug)]
pub struct EventLog {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    epoch_us: u64,
    target: Target,
    warned: AtomicBool,
}

#[derive(Debug)]
enum Target {
    None,
    Memory(Mutex<Vec<LogLine>>),
    File { file: File, path: PathBuf },
}

/// Why an event log could not be opened. The environment's fault.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
#[non_exhaustive]
pub struct EventLogError {
    /// Where.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl EventLog {
    /// Now, as an epoch: microseconds of the host's clock. A command takes it once and hands the number to the
    /// processes that share its log.
    pub fn epoch() -> u64 {
        host_us()
    }

    /// Appends to the file at `path`, which is made if need be. Times are counted from `epoch_us`.
    ///
    /// # Errors
    /// The file cannot be opened for appending.
    pub fn file(path: &Path, epoch_us: u64) -> Result<Self, EventLogError> {
        let at = |source| EventLogError { path: path.to_owned(), source };
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(at)?;
        Ok(Self::to(Target::File { file, path: path.to_owned() }, epoch_us))
    }

    /// Keeps all lines in memory, for [`EventLog::lines`].
    pub fn memory(epoch_us: u64) -> Self {
        Self::to(Target::Memory(Mutex::default()), epoch_us)
    }

    /// Writes nothing.
    pub fn none() -> Self {
        Self::to(Target::None, 0)
    }

    fn to(target: Target, epoch_us: u64) -> Self {
        Self { inner: Arc::new(Inner { epoch_us, target, warned: AtomicBool::new(false) }) }
    }

    /// Microseconds since the epoch.
    pub fn now_us(&self) -> u64 {
        host_us().saturating_sub(self.inner.epoch_us)
    }

    /// Writes one line; `peer` is the life that saw it, `-` for the command itself.
    pub fn write(&self, peer: &str, event: LogEvent) {
        if matches!(self.inner.target, Target::None) {
            return;
        }
        let line = LogLine { at_us: self.now_us(), peer: peer.to_owned(), event };
        match &self.inner.target {
            Target::None => {}
            Target::Memory(lines) => {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
            Target::File { file, path } => {
                if let Err(error) = append(file, &line) {
                    self.warn(path, &error);
                }
            }
        }
    }

    /// The lines so far, if the log is kept in memory.
    pub fn lines(&self) -> Vec<LogLine> {
        match &self.inner.target {
            Target::Memory(lines) => lines.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Target::None | Target::File { .. } => Vec::new(),
        }
    }

    fn warn(&self, path: &Path, error: &io::Error) {
        if !self.inner.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(path = %path.display(), %error, "the event log cannot be written");
        }
    }
}

/// One `write` call: lines of several processes never mix.
fn append(mut file: &File, line: &LogLine) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    let written = file.write(&bytes)?;
    if written == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}
