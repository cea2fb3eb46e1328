use core::time::Duration;
use std::{os::unix::process::ExitStatusExt as _, process::ExitStatus, sync::Arc};

use async_trait::async_trait;
use formic::{Agent, AgentError, AgentSpec, Description, Done, Task, TaskContext};
use formic_core::VALUE_MAX;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::{
    Config,
    environment::Environment,
    host::{Host, Work},
    process::{DRAIN, Keepers, Program, Spawner},
};

mod capture;
mod folder;

use capture::{Capture, Captured};
use folder::Folder;

/// The exit code of `sysexits.h` for "try again later".
const TEMPFAIL: i32 = 75;
/// The end of stderr that a failure quotes.
const QUOTE_MAX: usize = 1_000;

/// One process per task: exit status and stdout are the result.
#[derive(Debug)]
pub(crate) struct CommandAgent {
    shared: Arc<Shared>,
    keepers: Keepers,
}

#[derive(Debug)]
struct Shared {
    spec: AgentSpec,
    config: Config,
    environment: Arc<Environment>,
    spawner: Arc<Spawner>,
}

impl CommandAgent {
    pub(crate) fn new(
        spec: AgentSpec,
        config: Config,
        environment: Arc<Environment>,
        spawner: Arc<Spawner>,
    ) -> Self {
        let shared = Arc::new(Shared { spec, config, environment, spawner });
        Self { shared, keepers: Keepers::default() }
    }

    /// Cancel-safe: a dropped call ends the process by the kill ladder.
    pub(crate) async fn execute(
        &self,
        work: Work,
        host: Arc<dyn Host>,
    ) -> Result<Done, AgentError> {
        let (reply, answer) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        self.keepers.spawn(async move { shared.keep(work, host, reply).await });
        answer.await.unwrap_or_else(|_| Err(AgentError::failed("closed", "the agent was closed")))
    }
}

#[async_trait]
impl Agent for CommandAgent {
    fn describe(&self) -> Description {
        let spec = &self.shared.spec;
        Description::new(&spec.name, spec.capabilities.clone()).slots(spec.slots)
    }

    async fn run(&self, task: Task, context: TaskContext) -> Result<Done, AgentError> {
        self.execute(task.into(), Arc::new(context)).await
    }

    async fn close(&self, grace: Duration) {
        self.keepers.close(grace).await;
    }
}

/// How the run of a program ended.
enum End {
    Exited(ExitStatus),
    Stopped(AgentError),
}

impl Shared {
    async fn keep(
        &self,
        work: Work,
        host: Arc<dyn Host>,
        mut reply: oneshot::Sender<Result<Done, AgentError>>,
    ) {
        let result = self.run(&work, host.as_ref(), &mut reply).await;
        // Nobody waits for it any more: its files went with the folder.
        drop(reply.send(result));
    }

    async fn run(
        &self,
        work: &Work,
        host: &dyn Host,
        reply: &mut oneshot::Sender<Result<Done, AgentError>>,
    ) -> Result<Done, AgentError> {
        let folder = Folder::create(&self.environment.work_root, work).await?;
        let mut program = self.start(work, host, &folder).await?;
        let mut captured = Captured::new(self.config.stdout_max);
        let wall = work.wall.unwrap_or(self.config.wall);
        let end = tokio::select! {
            end = watch(&mut program, &mut captured) => end,
            () = host.cancelled() => End::Stopped(AgentError::failed("cancelled", "the task was cancelled")),
            () = reply.closed() => End::Stopped(AgentError::failed("cancelled", "nobody waits for it")),
            () = tokio::time::sleep(wall) => End::Stopped(AgentError::expired(format!("ran longer than its wall of {wall:?}"))),
        };
        match end {
            End::Stopped(error) => {
                program.end().await;
                folder.remove().await;
                Err(error)
            }
            End::Exited(status) if status.success() => {
                let value = value_of(&captured.stdout)?;
                let files = folder.harvest(work).await?;
                Ok(Done::with_files(value, files))
            }
            End::Exited(status) => {
                folder.remove().await;
                Err(failure(status, &captured.stderr))
            }
        }
    }

    async fn start(
        &self,
        work: &Work,
        host: &dyn Host,
        folder: &Folder,
    ) -> Result<Program, AgentError> {
        let run = work.recipe.as_ref().and_then(|recipe| recipe.run.clone());
        let mut command = match (run, self.spec.command.split_first()) {
            (Some(run), _) => self.environment.command("/bin/sh", &["-c".to_owned(), run]),
            (None, Some((program, arguments))) => self.environment.command(program, arguments),
            (None, None) => {
                return Err(AgentError::failed(
                    "no-command",
                    format!("agent {} has no command and the task no `run`", self.spec.name),
                ));
            }
        };
        if let Some(recipe) = &work.recipe {
            command.envs(&recipe.env);
        }
        let wall = work.wall.unwrap_or(self.config.wall);
        command
            .env("FORMIC_PROTOCOL", "command/1")
            .env("FORMIC_JOB", work.job.to_string())
            .env("FORMIC_TASK", work.key.to_string())
            .env("FORMIC_NAME", &work.name)
            .env("FORMIC_KIND", &work.kind)
            .env("FORMIC_ATTEMPT", work.attempt.to_string())
            .env("FORMIC_PEER", host.peer_name())
            .env("FORMIC_LIFE", host.life().to_string())
            .env("FORMIC_WORK", folder.work())
            .env("FORMIC_OUTPUTS", folder.outputs())
            .env("FORMIC_PAYLOAD", folder.payload())
            .env("FORMIC_WALL_MS", wall.as_millis().to_string());
        if let Some(fence) = work.fence {
            command.env("FORMIC_FENCE", fence.to_string());
        }
        self.spawner.spawn(command).await.map_err(|error| {
            AgentError::failed("open", format!("agent {}: cannot start: {error}", self.spec.name))
        })
    }
}

/// Runs until the program ends or floods. What an escaped grandchild writes later is not waited for.
async fn watch(program: &mut Program, captured: &mut Captured) -> End {
    let (stdin, mut stdout, mut stderr) = match program.pipes() {
        Ok(pipes) => pipes,
        Err(error) => return End::Stopped(AgentError::failed("open", error)),
    };
    drop(stdin); // Reading it finds the end, as with `</dev/null`.
    let Captured { stdout: out, stderr: err } = captured;
    let pumps = async { tokio::try_join!(out.pump(&mut stdout), err.pump(&mut stderr)).map(drop) };
    tokio::pin!(pumps);
    let mut pumped = false;
    let status = loop {
        tokio::select! {
            status = program.wait() => break status,
            flood = &mut pumps, if !pumped => match flood {
                Ok(()) => pumped = true,
                Err(flood) => return End::Stopped(flood),
            },
        }
    };
    if !pumped && let Ok(Err(flood)) = tokio::time::timeout(DRAIN, pumps).await {
        return End::Stopped(flood);
    }
    match status {
        Ok(status) => End::Exited(status),
        Err(error) => End::Stopped(AgentError::failed("crashed", error)),
    }
}

fn value_of(stdout: &Capture) -> Result<Value, AgentError> {
    let size = stdout.seen();
    let too_large = |size: u64| {
        AgentError::failed(
            "value-too-large",
            format!(
                "stdout as a value has {size} bytes, at most {VALUE_MAX} fit; write larger results to a file in \
                 $FORMIC_OUTPUTS and declare it under `outputs`"
            ),
        )
    };
    // The head that is kept is larger than any value that fits.
    if size > VALUE_MAX as u64 + 1 {
        return Err(too_large(size));
    }
    let text = core::str::from_utf8(stdout.kept()).map_err(|error| {
        AgentError::failed(
            "bad-value",
            format!("stdout is no UTF-8 from byte {}", error.valid_up_to()),
        )
    })?;
    let value = Value::String(text.strip_suffix('\n').unwrap_or(text).to_owned());
    let json = value.to_string().len();
    if json > VALUE_MAX { Err(too_large(json as u64)) } else { Ok(value) }
}

fn failure(status: ExitStatus, stderr: &Capture) -> AgentError {
    let (code, retryable) = match (status.code(), status.signal()) {
        (Some(exit), _) => (format!("exit-{exit}"), exit == TEMPFAIL),
        (None, signal) => (format!("signal-{}", signal.unwrap_or_default()), false),
    };
    let quote = stderr.tail(QUOTE_MAX);
    let message = if quote.is_empty() { "nothing on stderr".to_owned() } else { quote };
    let error = AgentError::failed(code, message);
    if retryable { error.retryable() } else { error }
}

#[cfg(test)]
mod tests;
