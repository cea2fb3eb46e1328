//! The event log: reading it back, and following it while it grows.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use formic::{LogEvent, LogLine};

/// What a log says, and how many of its lines say nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// In the order of the file.
    pub(crate) lines: Vec<LogLine>,
    /// Lines that are no event: cut off by a kill, or foreign.
    pub(crate) unreadable: usize,
    /// The beginning of a line whose end is not there yet.
    rest: Vec<u8>,
}

impl Log {
    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return };
        let rest = self.rest.split_off(end + 1);
        let whole = core::mem::replace(&mut self.rest, rest);
        for line in whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(line) => self.lines.push(line),
                Err(_) => self.unreadable += 1,
            }
        }
    }
}

/// Reads the log in a file.
pub(crate) fn read_file(path: &Path) -> io::Result<Log> {
    let mut log = Log::default();
    log.take(&std::fs::read(path)?);
    log.unreadable += usize::from(!log.rest.is_empty());
    Ok(log)
}

/// Reads what is appended to a log.
#[derive(Debug)]
pub(crate) struct Follower {
    file: File,
    pub(crate) log: Log,
}

impl Follower {
    /// Follows from byte `from` on.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn open(path: &Path, from: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Self { file, log: Log::default() })
    }

    /// Takes what is new. Returns the index of the first new line.
    pub(crate) fn poll(&mut self) -> io::Result<usize> {
        let known = self.log.lines.len();
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        self.log.take(&bytes);
        Ok(known)
    }
}

/// The lines of the last run in a log that several runs appended to, in the order of their time: from its
/// `run_started` on, and with the runs before it whose job it resumed.
pub(crate) fn last_run(lines: Vec<LogLine>) -> Vec<LogLine> {
    let starts: Vec<usize> = (0..lines.len())
        .filter(|index| matches!(lines[*index].event, LogEvent::RunStarted { .. }))
        .collect();
    let mut from = lines.len();
    for start in starts.into_iter().rev() {
        from = start;
        let run = &lines[from..];
        let accepts = |job: &str| {
            run.iter()
                .any(|it| matches!(&it.event, LogEvent::JobAccepted { job: of, .. } if of == job))
        };
        let open =
            run.iter().any(|it| matches!(&it.event, LogEvent::JobResumed { job } if !accepts(job)));
        if !open {
            break;
        }
    }
    // A log of peers alone has no run in it.
    let mut run = if from == lines.len() { lines } else { lines.into_iter().skip(from).collect() };
    // Stable: what one process wrote in one microsecond stays in its order.
    run.sort_by_key(|line| line.at_us);
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at_us: u64, event: LogEvent) -> LogLine {
        LogLine { at_us, peer: "a.1".to_owned(), event }
    }

    fn started() -> LogEvent {
        let (version, plan) = ("0".to_owned(), "p".to_owned());
        let transport = "memory".to_owned();
        LogEvent::RunStarted { version, plan, peers: 1, transport, seed: 1, durable: true }
    }

    #[test]
    fn a_log_is_followed_and_a_cut_line_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let whole = "{\"at_us\":9,\"peer\":\"b.1\",\"event\":\"peer_stopped\"}\n";
        std::fs::write(&path, format!("{whole}\n{{\"at_us\":3,\"pe\n{}", &whole[..20])).unwrap();
        let mut follower = Follower::open(&path, 0).unwrap();
        assert_eq!(follower.poll().unwrap(), 0);
        assert_eq!((follower.log.lines.len(), follower.log.unreadable), (1, 1));
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        io::Write::write_all(&mut file, &whole.as_bytes()[20..]).unwrap();
        assert_eq!(follower.poll().unwrap(), 1);
        assert_eq!((follower.log.lines.len(), follower.log.unreadable), (2, 1));
        assert_eq!(read_file(&path).unwrap().lines, follower.log.lines);
        assert_eq!(Follower::open(&path, whole.len() as u64 + 1).unwrap().poll().unwrap(), 0);
    }

    #[test]
    fn a_resumed_run_has_the_run_before_it() {
        let job = || "j".to_owned();
        let accepted = || LogEvent::JobAccepted { job: job(), home: vec![] };
        let lines = vec![
            line(1, started()),
            line(2, accepted()),
            line(11, started()),
            line(13, accepted()),
            line(12, LogEvent::PeerStopped {}),
            line(21, started()),
            line(22, LogEvent::JobResumed { job: job() }),
        ];
        let times = |lines: &[LogLine]| {
            last_run(lines.to_vec()).iter().map(|it| it.at_us).collect::<Vec<_>>()
        };
        assert_eq!(times(&lines), [11, 12, 13, 21, 22]);
        assert_eq!(times(&lines[..5]), [11, 12, 13]);
        assert_eq!(times(&lines[1..2]), [2]);
    }
}
