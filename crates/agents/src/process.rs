use core::time::Duration;
use std::{
    future::Future,
    io,
    process::{ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process_group, setpriority_pgrp};
use tokio::{
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    runtime::Handle,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

/// Between SIGTERM and SIGKILL: long enough to delete a lock file.
const TERM_PATIENCE: Duration = Duration::from_secs(2);
/// After SIGKILL, and after an exit: the kernel needs moments, a busy machine some more.
pub(crate) const DRAIN: Duration = Duration::from_secs(1);

/// One lasting thread that starts all processes: the kernel ties a child's death signal to the thread that started it,
/// and threads of the runtime come and go.
#[derive(Debug)]
pub(crate) struct Spawner {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    command: Command,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

impl Spawner {
    pub(crate) fn start() -> io::Result<Self> {
        let (requests, mut inbox) = mpsc::channel::<Request>(64);
        std::thread::Builder::new().name("formic-spawner".to_owned()).spawn(move || {
            while let Some(mut request) = inbox.blocking_recv() {
                let _runtime = request.runtime.enter();
                // Nobody waits any more: the child is dropped, which kills it.
                drop(request.reply.send(request.command.spawn()));
            }
        })?;
        Ok(Self { requests })
    }

    /// Starts a program in a process group of its own, with three pipes. Cancel-safe: a child nobody takes is killed.
    pub(crate) async fn spawn(&self, mut command: Command) -> io::Result<Program> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let (reply, answer) = oneshot::channel();
        let request = Request { command, runtime: Handle::current(), reply };
        let gone = || io::Error::other("the thread that starts processes is gone");
        self.requests.send(request).await.map_err(|_| gone())?;
        Program::new(answer.await.map_err(|_| gone())??)
    }
}

/// A running program and its process group, which does not outlive this value.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    group: Pid,
    reaped: bool,
}

impl Program {
    fn new(child: Child) -> io::Result<Self> {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let group = pid.ok_or_else(|| io::Error::other("the process ended before it began"))?;
        // Agents run behind the protocol loops, else a busy agent looks like a dead peer. A courtesy: may be refused.
        let _refused = setpriority_pgrp(Some(group), 5);
        Ok(Self { child, group, reaped: false })
    }

    pub(crate) fn pipes(&mut self) -> io::Result<(ChildStdin, ChildStdout, ChildStderr)> {
        let pipes = (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("the pipes of this process were taken already"));
        };
        Ok((stdin, stdout, stderr))
    }

    /// Waits for the program's end, then kills what it left in its group. Cancel-safe.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.kill_leftovers();
        Ok(status)
    }

    /// The kill ladder: SIGTERM to the group, 2 s, SIGKILL, 1 s. Cancel-safe: a dropped call kills at once.
    pub(crate) async fn end(&mut self) {
        if self.reaped {
            return;
        }
        let _gone = kill_process_group(self.group, Signal::TERM);
        if timeout(TERM_PATIENCE, self.child.wait()).await.is_err() {
            let _gone = kill_process_group(self.group, Signal::KILL);
            drop(timeout(DRAIN, self.child.wait()).await);
        }
        self.kill_leftovers();
    }

    /// Once and right after the leader was reaped: later its number may belong to a stranger.
    fn kill_leftovers(&mut self) {
        if !core::mem::replace(&mut self.reaped, true) {
            let _gone = kill_process_group(self.group, Signal::KILL);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill_leftovers();
    }
}

/// Tasks that look after processes: they outlive the futures of the bodies, not their agent.
#[derive(Debug, Default)]
pub(crate) struct Keepers {
    set: Mutex<JoinSet<()>>,
}

impl Keepers {
    pub(crate) fn spawn(&self, keeper: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        while set.try_join_next().is_some() {}
        set.spawn(keeper);
    }

    /// Waits for all, at most `patience`; kills the processes of the rest.
    pub(crate) async fn close(&self, patience: Duration) {
        let mut set =
            core::mem::take(&mut *self.set.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while set.join_next().await.is_some() {} };
        drop(timeout(patience, all).await);
        set.shutdown().await;
    }
}
