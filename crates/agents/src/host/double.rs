//! A peer for tests: runs children by a closure, remembers what was logged.

use core::{future::Future, pin::Pin};
use std::sync::{Arc, Mutex, Weak};

use formic::{AgentError, Done};
use formic_core::{Digest, Failure, Incarnation, Output, PeerId};
use tokio::{sync::watch, task::JoinSet};

use super::*;

type Ended = watch::Receiver<Option<Outcome>>;
type Body = Pin<Box<dyn Future<Output = Result<Done, AgentError>> + Send>>;
type Run = dyn Fn(Work, Arc<Double>) -> Body + Send + Sync;

/// One task's host; hosts of children share its runner.
pub(crate) struct Double {
    me: Weak<Self>,
    run: Option<Arc<Run>>,
    key: Key,
    children: Mutex<BTreeMap<Key, Ended>>,
    bodies: Mutex<JoinSet<()>>,
    pub(crate) logs: Mutex<Vec<String>>,
    pub(crate) cancel: watch::Sender<bool>,
}

pub(crate) fn work(payload: Value) -> Work {
    Work {
        job: JobId::from_bytes([7; 16]),
        key: Key::from_bytes([1; 16]),
        attempt: 1,
        fence: None,
        kind: "test".into(),
        name: "a test".into(),
        payload,
        recipe: None,
        wall: None,
    }
}

impl Double {
    pub(crate) fn new(run: Option<Arc<Run>>, key: Key) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            run,
            key,
            children: Mutex::default(),
            bodies: Mutex::default(),
            logs: Mutex::default(),
            cancel: watch::Sender::new(false),
        })
    }

    /// A host that cannot spawn.
    pub(crate) fn alone() -> Arc<Self> {
        Self::new(None, Key::from_bytes([1; 16]))
    }

    pub(crate) fn logged(&self, text: &str) -> bool {
        self.logs.lock().unwrap().iter().any(|line| line.contains(text))
    }
}

#[async_trait]
impl Host for Double {
    fn life(&self) -> Life {
        Life::new(PeerId::from_bytes([2; 32]), Incarnation(3))
    }

    fn peer_name(&self) -> &str {
        "p3"
    }

    async fn spawn(&self, child: ChildSpec, _tie: Tie) -> Result<Key, ContextError> {
        let Some(run) = self.run.clone() else { return Err(ContextError::Cancelled) };
        let index = child.index.unwrap();
        let digest = Digest::of(&[child.payload.to_string().as_bytes()]);
        let key = Key::child(JobId::from_bytes([7; 16]), self.key, index, digest);
        let (ended, seen) = watch::channel(None);
        if self.children.lock().unwrap().insert(key, seen).is_some() {
            return Ok(key);
        }
        let mut task = work(child.payload);
        (task.key, task.kind) = (key, child.kind);
        self.bodies.lock().unwrap().spawn(async move {
            let host = Self::new(Some(Arc::clone(&run)), key);
            let outcome = match run(task, Arc::clone(&host)).await {
                Ok(done) => Outcome::Ok(Output {
                    value: done.value.to_string().into_bytes(),
                    files: done.files,
                }),
                Err(AgentError { code, message, retryable, .. }) => {
                    Outcome::Failed(Failure { code, message, retryable })
                }
            };
            ended.send_replace(Some(outcome));
        });
        Ok(key)
    }

    async fn join(&self, wait: Wait) -> Result<BTreeMap<Key, Outcome>, ContextError> {
        let children = self.children.lock().unwrap().clone();
        let keys = match wait {
            Wait::Everything => children.keys().copied().collect(),
            Wait::All(keys) | Wait::Any(keys) => keys,
        };
        let mut outcomes = BTreeMap::new();
        for key in keys {
            let mut ended = children[&key].clone();
            let outcome = ended.wait_for(Option::is_some).await.unwrap().clone().unwrap();
            outcomes.insert(key, outcome);
        }
        Ok(outcomes)
    }

    fn progress(&self, per_mille: u16, note: String) {
        self.logs.lock().unwrap().push(format!("{per_mille} {note}"));
    }

    fn log(&self, level: &str, message: String) {
        self.logs.lock().unwrap().push(format!("{level}: {message}"));
    }

    async fn cancelled(&self) {
        let me = self.me.upgrade().unwrap();
        me.cancel.subscribe().wait_for(|cancelled| *cancelled).await.unwrap();
    }
}

/// Whether a process still runs; a zombie that nobody reaps does not.
pub(crate) fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with(['Z', 'X']))
}
