use core::time::Duration;
use std::{collections::VecDeque, io, process::ExitStatus};

use tokio::{
    io::{AsyncRead, AsyncWriteExt as _},
    process::{ChildStderr, ChildStdin, ChildStdout},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    lines::{Line, Lines},
    process::Program,
    protocol::{FromHost, encode},
};

/// Unread bytes and messages from which a process counts as not reading.
const UNREAD_BYTES: usize = 4 << 20;
const UNREAD_MESSAGES: usize = 1_000;
/// Lines read ahead of the desk.
const SAID_MAX: usize = 64;
/// Longer lines of stderr are left out.
const STDERR_LINE_MAX: usize = 8 << 10;
/// What a failure quotes of stderr.
const QUOTE_MAX: usize = 700;

/// What comes out of a process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Out(Line),
    Err(Line),
    /// Stdout ended.
    End,
}

/// What happened at the process itself.
#[derive(Debug)]
pub(super) enum Step {
    Wrote,
    /// It does not take its messages.
    Unread,
    Exited(io::Result<ExitStatus>),
}

/// A process with its queue of unread messages.
#[derive(Debug)]
pub(super) struct Wire {
    program: Program,
    stdin: Option<ChildStdin>,
    queue: VecDeque<Vec<u8>>,
    queued: usize,
    /// How much of the first message is written.
    offset: usize,
    over_since: Option<Instant>,
    patience: Duration,
    stderr_tail: VecDeque<String>,
    _pumps: JoinSet<()>,
}

impl Wire {
    pub(super) fn new(
        mut program: Program,
        line_max: usize,
        patience: Duration,
    ) -> io::Result<(Self, mpsc::Receiver<Said>)> {
        let (stdin, stdout, stderr) = program.pipes()?;
        let (said, inbox) = mpsc::channel(SAID_MAX);
        let mut pumps = JoinSet::new();
        pumps.spawn(pump_out(stdout, line_max, said.clone()));
        pumps.spawn(pump_err(stderr, said));
        let wire = Self {
            program,
            stdin: Some(stdin),
            queue: VecDeque::new(),
            queued: 0,
            offset: 0,
            over_since: None,
            patience,
            stderr_tail: VecDeque::new(),
            _pumps: pumps,
        };
        Ok((wire, inbox))
    }

    pub(super) fn send(&mut self, message: &FromHost) {
        let line = encode(message);
        self.queued += line.len();
        self.queue.push_back(line);
        if self.is_over() {
            self.over_since.get_or_insert_with(Instant::now);
        }
    }

    /// While this is so nothing more should be read from the process, since each line may be answered.
    pub(super) fn is_over(&self) -> bool {
        self.queued > UNREAD_BYTES || self.queue.len() > UNREAD_MESSAGES
    }

    /// Writes, waits and watches. Cancel-safe.
    pub(super) async fn step(&mut self) -> Step {
        let deadline = self.over_since.map(|since| since + self.patience);
        let chunk = self.queue.front().and_then(|line| line.get(self.offset..)).unwrap_or_default();
        let write = async {
            match &mut self.stdin {
                Some(stdin) if !chunk.is_empty() => stdin.write(chunk).await,
                _ => core::future::pending().await,
            }
        };
        let unread = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => core::future::pending().await,
            }
        };
        tokio::select! {
            written = write => { self.wrote(written); Step::Wrote }
            () = unread => Step::Unread,
            status = self.program.wait() => Step::Exited(status),
        }
    }

    fn wrote(&mut self, written: io::Result<usize>) {
        // A closed pipe: the process ends or goes deaf, which other arms and limits find.
        let Ok(written) = written else {
            self.stdin = None;
            return;
        };
        self.offset += written;
        if self.queue.front().is_some_and(|line| line.len() == self.offset) {
            self.queue.pop_front();
            self.queued -= self.offset;
            self.offset = 0;
        }
        if !self.is_over() {
            self.over_since = None;
        }
    }

    /// Writes what is queued, closes stdin and lets the process end by itself within `grace`, else by the kill ladder.
    pub(super) async fn end(&mut self, grace: Duration) {
        let farewell = async {
            self.flush().await;
            self.stdin = None;
            drop(self.program.wait().await);
        };
        if tokio::time::timeout(grace, farewell).await.is_err() {
            self.stdin = None;
            self.program.end().await;
        }
    }

    async fn flush(&mut self) {
        while !self.queue.is_empty() && self.stdin.is_some() {
            if matches!(self.step().await, Step::Exited(_)) {
                return;
            }
        }
    }

    /// The exit status if it comes soon.
    pub(super) async fn status(&mut self, patience: Duration) -> Option<ExitStatus> {
        tokio::time::timeout(patience, self.program.wait()).await.ok()?.ok()
    }

    /// Remembers the end of stderr for failures.
    pub(super) fn remember(&mut self, line: String) {
        self.stderr_tail.push_back(line);
        if self.stderr_tail.len() > 8 {
            self.stderr_tail.pop_front();
        }
    }

    /// `: last lines of stderr`, or nothing.
    pub(super) fn quote(&self) -> String {
        let mut quote = String::new();
        for line in self.stderr_tail.iter().rev() {
            if quote.len() + line.len() > QUOTE_MAX {
                break;
            }
            quote.insert_str(0, line);
            quote.insert(0, '\n');
        }
        if quote.is_empty() { quote } else { format!(":{quote}") }
    }
}

async fn pump_out(stdout: ChildStdout, line_max: usize, said: mpsc::Sender<Said>) {
    pump(stdout, line_max, &said, Said::Out).await;
    // Nobody listens any more: the process is being ended.
    drop(said.send(Said::End).await);
}

async fn pump_err(stderr: ChildStderr, said: mpsc::Sender<Said>) {
    pump(stderr, STDERR_LINE_MAX, &said, Said::Err).await;
}

async fn pump<R: AsyncRead + Unpin>(
    input: R,
    line_max: usize,
    said: &mpsc::Sender<Said>,
    wrap: fn(Line) -> Said,
) {
    let mut lines = Lines::new(input, line_max);
    // A pipe that breaks has ended as well.
    while let Ok(Some(line)) = lines.next().await {
        if said.send(wrap(line)).await.is_err() {
            return;
        }
    }
}
