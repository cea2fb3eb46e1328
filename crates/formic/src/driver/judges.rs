//! Judges of this peer: they look at what others did, outside of the slots, a few at a time.

use core::{
    task::{Context, Poll, ready},
    time::Duration,
};
use std::{collections::BTreeMap, sync::Arc};

use formic_consensus::{Ballot, InstanceId, NOT_JUDGED, Reason, Verdict};
use formic_core::{Descriptor, Digest, JobId, Key, Life};
use formic_node::{Case, DIMENSION_NAMES};
use serde_json::Value;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::{AbortHandle, JoinSet},
};

use crate::{
    Adapters, Agent, AgentError, Task, TaskContext,
    context::Command,
    question::{Exhibit, JUDGE},
};

/// Judges that work at once.
const JUDGES: usize = 4;

/// What a judge thinks of a case.
#[derive(Debug)]
pub(crate) struct Opinion {
    pub(crate) task: Key,
    pub(crate) ballot: Ballot,
    /// Why it could not judge, for the event log.
    pub(crate) trouble: Option<String>,
}

/// Who may judge at this peer.
pub(crate) struct Bench {
    pub(crate) me: (Life, String),
    /// An own agent with the capability `validate`.
    pub(crate) own: Option<Arc<dyn Agent>>,
    pub(crate) adapters: Option<Arc<dyn Adapters>>,
    pub(crate) commands: mpsc::Sender<Command>,
}

pub(crate) struct Judges {
    /// A judge that took longer than its case allows gives no opinion.
    tasks: JoinSet<(JobId, InstanceId, Option<Opinion>)>,
    handles: BTreeMap<JobId, Vec<AbortHandle>>,
    seats: Arc<Semaphore>,
}

impl Default for Judges {
    fn default() -> Self {
        let seats = Arc::new(Semaphore::new(JUDGES));
        Self { tasks: JoinSet::new(), handles: BTreeMap::new(), seats }
    }
}

impl Judges {
    pub(crate) fn start(
        &mut self,
        job: JobId,
        instance: InstanceId,
        case: Arc<Case>,
        bench: Bench,
    ) {
        let seats = Arc::clone(&self.seats);
        let handle = self.tasks.spawn(async move {
            // Never closed.
            let seat = seats.acquire_owned().await;
            let opinion = opinion(job, &case, bench).await;
            drop(seat);
            (job, instance, opinion)
        });
        let handles = self.handles.entry(job).or_default();
        handles.retain(|handle| !handle.is_finished());
        handles.push(handle);
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(JobId, InstanceId, Opinion)> {
        loop {
            match ready!(self.tasks.poll_join_next(cx)) {
                Some(Ok((job, instance, Some(opinion)))) => {
                    return Poll::Ready((job, instance, opinion));
                }
                // It was too late, was ended, or panicked: its voter says nothing.
                Some(Ok((.., None)) | Err(_)) => {}
                // Whoever starts the next one polls again.
                None => return Poll::Pending,
            }
        }
    }

    pub(crate) fn end(&mut self, job: JobId) {
        self.handles.remove(&job).into_iter().flatten().for_each(|handle| handle.abort());
    }

    pub(crate) fn end_all(&mut self) {
        self.handles.clear();
        self.tasks.abort_all();
    }
}

async fn opinion(job: JobId, case: &Case, bench: Bench) -> Option<Opinion> {
    let task = case.task;
    // No longer than others wait for the ballot: a no for want of time would race with their patience.
    let wall = Duration::from_millis(case.policy.deadline_ms.into());
    let judged = tokio::time::timeout(wall, judge(job, case, bench)).await.ok()?;
    let (ballot, trouble) = match judged {
        Ok(value) => match ballot_of(&value) {
            Ok(ballot) => (ballot, None),
            Err(wrong) => {
                (no(Reason::Unable), Some(format!("cannot judge {}: {wrong}", case.name)))
            }
        },
        // The exit status of a command is its verdict.
        Err(error) if error.code.starts_with("exit-") => (no(Reason::None), None),
        Err(error) => (no(Reason::Unable), Some(format!("cannot judge {}: {error}", case.name))),
    };
    Some(Opinion { task, ballot, trouble })
}

async fn judge(job: JobId, case: &Case, bench: Bench) -> Result<Value, AgentError> {
    let Bench { me, own, adapters, commands } = bench;
    let exhibit: Exhibit = serde_json::from_slice(&case.content)
        .map_err(|error| AgentError::failed("bad-case", error))?;
    let agent = match (own, adapters, &exhibit.recipe) {
        (Some(agent), ..) => agent,
        (None, Some(adapters), Some(recipe)) => adapters.open(recipe).await?,
        (None, ..) => {
            let what =
                format!("peer {} has no agent that can `{JUDGE}`, and the case names none", me.1);
            return Err(AgentError::failed("no-agent", what));
        }
    };
    // The judge's own end comes first: whoever waits for it gives up after the deadline.
    let wall = 2 * Duration::from_millis(case.policy.deadline_ms.into());
    let requires = JUDGE.parse().into_iter().collect();
    let name = format!("{JUDGE} {}", case.name);
    let descriptor = Descriptor {
        kind: JUDGE.to_owned(),
        name: name.clone(),
        requires,
        payload: Vec::new(),
        recipe: Vec::new(),
        wall: Some(wall),
        exclusive: None,
    };
    let task = Task {
        job,
        key: case.task,
        attempt: 1,
        fence: None,
        kind: JUDGE.to_owned(),
        name,
        requires: descriptor.requires.clone(),
        payload: exhibit.shown,
        recipe: exhibit.recipe,
        wall: Some(wall),
    };
    let (cancel, cancelled) = watch::channel(false);
    // No body of this peer has this number: what a judge asks of the mesh is refused.
    let whose = (job, case.task, u64::MAX);
    let context = TaskContext::new(me, whose, Arc::new(descriptor), commands, cancelled);
    let done = agent.run(task, context).await;
    drop(cancel);
    Ok(done?.value)
}

fn no(reason: Reason) -> Ballot {
    Ballot { verdict: Verdict::Reject(reason), ..blank() }
}

fn blank() -> Ballot {
    let scores = [NOT_JUDGED; DIMENSION_NAMES.len()];
    Ballot { verdict: Verdict::Approve, scores, comment: Digest::from_bytes([0; 32]) }
}

/// What a judge returned: an object with scores from 0 to 1 by dimension and, if it says no, `"approve": false`; the same
/// as a text; or nothing at all, which is a yes without scores.
pub(crate) fn ballot_of(value: &Value) -> Result<Ballot, String> {
    let parsed;
    let value = match value {
        Value::String(text) if text.trim().is_empty() => return Ok(blank()),
        Value::String(text) => {
            parsed = serde_json::from_str::<Value>(text)
                .map_err(|error| format!("its scores are no JSON: {error}"))?;
            &parsed
        }
        other => other,
    };
    let fields = match value {
        Value::Null => return Ok(blank()),
        Value::Object(fields) => fields,
        other => return Err(format!("expected an object with scores, found {other}")),
    };
    let mut ballot = blank();
    for (name, value) in fields {
        if name == "approve" {
            match value {
                Value::Bool(true) => {}
                Value::Bool(false) => ballot.verdict = Verdict::Reject(Reason::None),
                other => return Err(format!("`approve`: expected true or false, found {other}")),
            }
            continue;
        }
        let known = DIMENSION_NAMES.iter().position(|known| known == name);
        let Some(slot) = known.and_then(|at| ballot.scores.get_mut(at)) else {
            let all = DIMENSION_NAMES.join(", ");
            return Err(format!("`{name}` is no dimension: expected {all}, or approve"));
        };
        *slot = per_mille(name, value)?;
    }
    Ok(ballot)
}

fn per_mille(name: &str, value: &Value) -> Result<u16, String> {
    let score = value.as_f64().filter(|score| (0.0..=1.0).contains(score));
    let score = score.ok_or(format!("`{name}`: expected a score from 0 to 1, found {value}"))?;
    // From 0 to 1000, so it fits.
    Ok((score * 1_000.0).round() as u16)
}
