use core::{ops::ControlFlow, time::Duration};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic::{AgentError, ContextError, Done, Key, Outcome};
use formic_core::Digest;
use serde_json::Map;
use tokio::task::JoinSet;

use super::{Start, clock::Clock, open::Opened, pool::Pool, process::Stop, wire::Wire};
use crate::{
    host::{Tie, Wait},
    protocol::{
        ChildMessage, DoneMessage, ErrorMessage, FailedMessage, FromAgent, FromHost, JoinMessage,
        ResultMessage, SpawnMessage, TaskMessage,
    },
};

mod job;
mod translate;

use job::{Job, State};
use translate::{child_spec, outcomes, wait_of};

/// Requests of one task that are not answered yet.
const REQUESTS_MAX: usize = 1_024;
/// Stray output and stderr that reach the event log, in bytes per task.
const LOG_MAX: usize = 64 << 10;
/// Ended tasks whose values are remembered, to find divergent late ones.
const ENDED_MAX: usize = 256;

/// What a task waited for.
#[derive(Debug)]
pub(super) enum Happened {
    Spawned {
        task: String,
        re: String,
        result: Result<Key, ContextError>,
    },
    Joined {
        task: String,
        re: String,
        result: Result<BTreeMap<Key, Outcome>, ContextError>,
    },
    /// The task is cancelled or hit its wall.
    Stopped {
        task: String,
        error: AgentError,
    },
    /// A stopped task had its grace.
    Patience {
        task: String,
    },
}

/// The tasks of one process and their requests.
#[derive(Debug)]
pub(super) struct Desk {
    pool: Arc<Pool>,
    seat: u64,
    features: BTreeSet<String>,
    jobs: BTreeMap<String, Job>,
    pub(super) happened: JoinSet<Happened>,
    next_task: u64,
    newest: Option<String>,
    logged: usize,
    stray: usize,
    ended: BTreeMap<u64, Option<Digest>>,
}

impl Desk {
    pub(super) fn new(pool: &Arc<Pool>, seat: u64, opened: &Opened) -> Self {
        Self {
            pool: Arc::clone(pool),
            seat,
            features: opened.ready.features.iter().cloned().collect(),
            jobs: BTreeMap::new(),
            happened: JoinSet::new(),
            next_task: 0,
            newest: None,
            logged: 0,
            stray: 0,
            ended: BTreeMap::new(),
        }
    }

    pub(super) fn start(&mut self, start: Start, wire: &mut Wire) {
        self.next_task += 1;
        let id = format!("t{}", self.next_task);
        let Start { work, host, place, reply, gone } = start;
        let wall = work.wall.unwrap_or(self.pool.config.wall);
        let clock = Clock::new(wall, place.waiting());
        let watched = (id.clone(), Arc::clone(&host));
        let watch = self.happened.spawn(async move {
            let (task, host) = watched;
            let error = tokio::select! {
                () = host.cancelled() => AgentError::failed("cancelled", "the task was cancelled"),
                _ = gone => AgentError::failed("cancelled", "nobody waits for it"),
                () = clock.run_out() => AgentError::expired(format!("ran longer than its wall of {wall:?}")),
            };
            Happened::Stopped { task, error }
        });
        wire.send(&FromHost::Task(TaskMessage {
            id: id.clone(),
            key: work.key.to_string(),
            name: work.name,
            kind: work.kind,
            attempt: work.attempt,
            fence: work.fence.map(|fence| fence.to_string()),
            payload: work.payload,
            inputs: Map::new(),
            outputs: Vec::new(),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        }));
        self.jobs.insert(id.clone(), Job::new(host, place, reply, watch));
        self.newest = Some(id);
        (self.logged, self.stray) = (0, 0);
    }

    /// Counts stray output since the newest task began.
    pub(super) const fn stray(&mut self, size: usize) -> usize {
        self.stray += size;
        self.stray
    }

    /// A line of stderr or stray output, written to the log of the newest task.
    pub(super) fn log(&mut self, line: String) {
        let host = self.newest.as_ref().and_then(|id| self.jobs.get(id)).map(|job| &job.host);
        let Some(host) = host else {
            tracing::debug!(agent = %self.pool.spec.name, line, "said without a task");
            return;
        };
        let before = self.logged;
        self.logged = self.logged.saturating_add(line.len() + 1);
        if self.logged <= LOG_MAX {
            host.log("info", line);
        } else if before <= LOG_MAX {
            host.log("warn", format!("more than {LOG_MAX} bytes of output: the rest is left out"));
        }
    }

    /// Whether the message was for a task that runs or ran.
    pub(super) fn on_message(&mut self, message: FromAgent, wire: &mut Wire) -> bool {
        let task = match &message {
            FromAgent::Spawn(SpawnMessage { task, .. })
            | FromAgent::Join(JoinMessage { task, .. })
            | FromAgent::Progress { task, .. }
            | FromAgent::Done(DoneMessage { task, .. })
            | FromAgent::Failed(FailedMessage { task, .. }) => Some(task.clone()),
            FromAgent::Log { task, .. } => task.clone(),
            FromAgent::Ready(_) => None,
        };
        if let Some(task) = task
            && self.jobs.get(&task).is_none_or(|job| job.ending.is_some())
        {
            return self.on_absent(&task, message, wire);
        }
        match message {
            FromAgent::Spawn(spawn) => self.on_spawn(spawn, wire),
            FromAgent::Join(join) => self.on_join(join, wire),
            FromAgent::Progress { task, per_mille, note } => {
                if let Some(job) = self.jobs.get(&task) {
                    job.host.progress(per_mille.min(1_000), note);
                }
            }
            FromAgent::Log { level, message, task } => self.on_log(&level, message, task),
            FromAgent::Done(done) => self.on_done(done),
            FromAgent::Failed(failed) => {
                let error = AgentError::failed(failed.code, failed.message);
                let error = if failed.retryable { error.retryable() } else { error };
                self.ends(&failed.task, Err(error));
            }
            FromAgent::Ready(_) => {}
        }
        true
    }

    /// A message for a task that ended is late; for one that never was, unknown.
    fn on_absent(&mut self, task: &str, message: FromAgent, wire: &mut Wire) -> bool {
        let number = task.strip_prefix('t').and_then(|digits| digits.parse::<u64>().ok());
        let late = number.is_some_and(|number| (1..=self.next_task).contains(&number));
        let code = if late { "late" } else { "unknown_task" };
        let text = format!("task {task:.64} is not running here");
        match message {
            FromAgent::Spawn(SpawnMessage { id, .. }) | FromAgent::Join(JoinMessage { id, .. }) => {
                wire.send(&refusal(id, code, &text));
            }
            FromAgent::Done(done) if late => {
                let digest = Digest::of(&[done.value.to_string().as_bytes()]);
                let first = number.and_then(|number| self.ended.get(&number)).copied().flatten();
                let divergent = first.is_some_and(|first| first != digest);
                tracing::warn!(agent = %self.pool.spec.name, task, divergent, "late result");
            }
            _ => tracing::debug!(agent = %self.pool.spec.name, task, code, "absent task"),
        }
        if !late {
            let code = code.to_owned();
            wire.send(&FromHost::Error(ErrorMessage { code, line: None, message: text }));
        }
        late
    }

    fn on_log(&self, level: &str, message: String, task: Option<String>) {
        match task.as_ref().or(self.newest.as_ref()).and_then(|task| self.jobs.get(task)) {
            Some(job) => job.host.log(level, message),
            None => tracing::debug!(agent = %self.pool.spec.name, level, message),
        }
    }

    fn on_spawn(&mut self, message: SpawnMessage, wire: &mut Wire) {
        let SpawnMessage { id, task, tail, child } = message;
        let Some(job) = self.jobs.get_mut(&task) else { return };
        let child =
            match admit(&self.features, job).and_then(|()| child_spec(child, job.next_index())) {
                Ok(child) => child,
                Err((code, text)) => return wire.send(&refusal(id, code, &text)),
            };
        let host = Arc::clone(&job.host);
        let tie = if tail { Tie::Tail } else { Tie::Nested };
        job.spawns += 1;
        let abort = self.happened.spawn(async move {
            let result = host.spawn(child, tie).await;
            Happened::Spawned { task, re: id, result }
        });
        job.requests.push(abort);
    }

    fn on_join(&mut self, message: JoinMessage, wire: &mut Wire) {
        let Some(job) = self.jobs.get_mut(&message.task) else { return };
        let wait = match admit(&self.features, job).and_then(|()| wait_of(&message, &job.spawned)) {
            Ok(wait) => wait,
            Err((code, text)) => return wire.send(&refusal(message.id, code, &text)),
        };
        let host = Arc::clone(&job.host);
        job.place.join_begins();
        let abort = self.happened.spawn(async move {
            let result = host.join(wait).await;
            Happened::Joined { task: message.task, re: message.id, result }
        });
        job.requests.push(abort);
    }

    fn on_done(&mut self, done: DoneMessage) {
        let result = if done.outputs.is_empty() {
            Ok(Done::from(done.value))
        } else {
            let text = "this host takes no output files from jsonl agents; use a `command` agent";
            Err(AgentError::failed("unsupported", text))
        };
        self.ends(&done.task, result);
    }

    pub(super) fn on_happened(&mut self, happened: Happened, wire: &mut Wire) -> ControlFlow<Stop> {
        match happened {
            Happened::Spawned { task, re, result } => self.on_spawned(&task, re, result, wire),
            Happened::Joined { task, re, result } => {
                let Some(job) = self.jobs.get_mut(&task) else { return self.deaf_or_on() };
                job.place.join_ends();
                wire.send(&match result {
                    Ok(ended) => answer(re, None, Some(outcomes(ended))),
                    Err(error) => refusal(re, "cancelled", &error.to_string()),
                });
            }
            Happened::Stopped { task, error } => self.on_stopped(task, error, wire),
            Happened::Patience { task } => {
                if let Some(job) = self.jobs.get_mut(&task) {
                    job.state = State::Abandoned;
                    self.pool.leaving(self.seat);
                }
            }
        }
        self.deaf_or_on()
    }

    fn on_spawned(
        &mut self,
        task: &str,
        re: String,
        result: Result<Key, ContextError>,
        wire: &mut Wire,
    ) {
        let Some(job) = self.jobs.get_mut(task) else { return };
        job.spawns -= 1;
        wire.send(&match result {
            Ok(key) => {
                job.spawned.push(key);
                answer(re, Some(key.to_string()), None)
            }
            Err(error @ ContextError::TooLarge { .. }) => {
                refusal(re, "too_large", &error.to_string())
            }
            Err(error) => refusal(re, "cancelled", &error.to_string()),
        });
        // The task said `done` while this was on its way: a parent ends only when the ledger has its children.
        if job.spawns == 0
            && let Some(result) = job.ending.take()
        {
            self.finish(task, result);
        }
    }

    fn on_stopped(&mut self, task: String, error: AgentError, wire: &mut Wire) {
        let Some(job) = self.jobs.get_mut(&task) else { return };
        let grace = self.pool.config.grace;
        let reason = error.message.clone();
        job.state = State::Stopping;
        job.stopped = Some(error);
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        wire.send(&FromHost::Cancel { task: task.clone(), grace_ms, reason });
        // Who does not offer to cancel need not be waited for.
        let offered = self.features.contains("cancel");
        let patience = if offered { grace } else { Duration::ZERO };
        let abort = self.happened.spawn(async move {
            tokio::time::sleep(patience).await;
            Happened::Patience { task }
        });
        job.requests.push(abort);
    }

    /// The agent ended a task by itself.
    fn ends(&mut self, task: &str, result: Result<Done, AgentError>) {
        self.pool.prove_alive();
        let Some(job) = self.jobs.get_mut(task) else { return };
        if job.spawns > 0 {
            job.ending = Some(result);
        } else {
            self.finish(task, result);
        }
    }

    fn finish(&mut self, task: &str, result: Result<Done, AgentError>) {
        let Some(job) = self.jobs.remove(task) else { return };
        if let Some(number) = task.strip_prefix('t').and_then(|digits| digits.parse().ok()) {
            let digest = |done: &Done| Digest::of(&[done.value.to_string().as_bytes()]);
            self.ended.insert(number, result.as_ref().ok().map(digest));
            if self.ended.len() > ENDED_MAX {
                self.ended.pop_first();
            }
        }
        // A result that won the race against a cancel is kept.
        job.reply(result);
    }

    /// A process whose tasks are all given up is of no use; while others run, their results are worth the wait.
    pub(super) fn deaf_or_on(&mut self) -> ControlFlow<Stop> {
        let mut states = self.jobs.values().map(|job| job.state);
        if self.jobs.is_empty() || !states.any(|state| state == State::Abandoned) {
            return ControlFlow::Continue(());
        }
        if self.jobs.values().all(|job| job.state == State::Abandoned) {
            return ControlFlow::Break(Stop::Deaf);
        }
        for job in self.jobs.values_mut().filter(|job| job.state == State::Abandoned) {
            job.answer_stopped();
        }
        ControlFlow::Continue(())
    }

    /// Whether an end of the process was asked for, more or less.
    pub(super) fn is_stopping(&self) -> bool {
        !self.jobs.is_empty() && self.jobs.values().all(|job| job.state != State::Running)
    }

    /// The process is gone.
    pub(super) fn fail_all(&mut self, error: &AgentError) {
        for (_, job) in core::mem::take(&mut self.jobs) {
            job.reply(Err(error.clone()));
        }
    }
}

/// Refuses a request that was not announced, or one too many.
fn admit(features: &BTreeSet<String>, job: &mut Job) -> Result<(), (&'static str, String)> {
    if !features.contains("spawn") {
        return Err(("unsupported", "`ready` did not offer the feature spawn".to_owned()));
    }
    job.requests.retain(|request| !request.is_finished());
    if job.requests.len() >= REQUESTS_MAX {
        let text = format!("{REQUESTS_MAX} requests of this task are unanswered, wait for some");
        return Err(("busy", text));
    }
    Ok(())
}

pub(super) fn refusal(re: String, code: &str, message: &str) -> FromHost {
    FromHost::Result(ResultMessage {
        re,
        code: Some(code.to_owned()),
        message: Some(message.to_owned()),
        ..ResultMessage::default()
    })
}

fn answer(
    re: String,
    key: Option<String>,
    outcomes: Option<BTreeMap<String, crate::protocol::ChildOutcome>>,
) -> FromHost {
    FromHost::Result(ResultMessage { re, ok: true, key, outcomes, ..ResultMessage::default() })
}
