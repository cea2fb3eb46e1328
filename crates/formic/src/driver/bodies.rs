use core::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};
use std::{collections::BTreeMap, sync::Arc};

use formic_completion::Spawn;
use formic_consensus::InstanceId;
use formic_core::{Capability, Descriptor, JobId, Key, Life, Outcome, PeerId, Time};
use formic_node::{Case, Ruling};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use super::{
    body::{Execution, Executor, recipe_of},
    joins::{Joins, Seat},
    judges::{Bench, Judges, Opinion},
};
use crate::{
    Adapters, Agent, Description, Fence, TaskContext, context::Command, plan::ROOT_KIND,
    question::JUDGE,
};

/// Questions of bodies that wait for the driver; a full queue makes bodies wait.
const COMMANDS: usize = 1_024;
/// Progress reports of one body are written at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// All bodies of a peer: who can execute, what runs, what it asks.
pub(crate) struct Bodies {
    me: (Life, String),
    agents: Vec<(Description, Arc<dyn Agent>)>,
    adapters: Option<Arc<dyn Adapters>>,
    grace: Duration,
    running: BTreeMap<(JobId, Key), Body>,
    /// How many aborted bodies of a task have not ended.
    stopping: BTreeMap<(JobId, Key), u32>,
    tasks: JoinSet<Ended>,
    judges: Judges,
    asks: mpsc::Receiver<Command>,
    sender: mpsc::Sender<Command>,
    runs: u64,
}

/// One running body.
pub(crate) struct Body {
    run: u64,
    /// Index of the own agent that executes it.
    agent: Option<usize>,
    cancelled: Arc<watch::Sender<bool>>,
    /// Spawns that the node holds back, by index.
    spawns: BTreeMap<u64, Vec<(Spawn, oneshot::Sender<Key>)>>,
    pub(crate) joins: Joins,
    /// Who executed the children that are done.
    authors: BTreeMap<Key, PeerId>,
    /// Questions to voters, by the task that is judged.
    questions: BTreeMap<Key, Vec<oneshot::Sender<Ruling>>>,
    progress: Progress,
}

/// Newest wins: at most one report per [`PROGRESS_EVERY`] is written, and the last one when the body ends.
#[derive(Default)]
struct Progress {
    written: Option<Time>,
    held: Option<(u16, String)>,
}

/// What a body did.
pub(crate) enum News {
    /// It asks.
    Asks(Command),
    /// It ended.
    Ended { job: JobId, key: Key, outcome: Outcome },
    /// It was aborted, and no body of this task does anything any more.
    Stopped { job: JobId, key: Key },
    /// A judge of this peer has an opinion.
    Judged { job: JobId, instance: InstanceId, opinion: Opinion },
}

struct Ended {
    job: JobId,
    key: Key,
    run: u64,
    outcome: Outcome,
}

impl Bodies {
    pub(crate) fn new(
        me: (Life, String),
        agents: Vec<Arc<dyn Agent>>,
        adapters: Option<Arc<dyn Adapters>>,
        grace: Duration,
    ) -> Self {
        let (sender, asks) = mpsc::channel(COMMANDS);
        let agents = agents.into_iter().map(|agent| (agent.describe(), agent)).collect();
        let (running, stopping, tasks) = (BTreeMap::new(), BTreeMap::new(), JoinSet::new());
        let judges = Judges::default();
        Self {
            me,
            agents,
            adapters,
            grace,
            running,
            stopping,
            tasks,
            judges,
            asks,
            sender,
            runs: 0,
        }
    }

    /// The peer's next life begins: all bodies of the old one are stopped, as by [`Bodies::abort`].
    pub(crate) fn renew(&mut self, me: Life) {
        for (task, body) in core::mem::take(&mut self.running) {
            body.cancelled.send_replace(true);
            *self.stopping.entry(task).or_default() += 1;
        }
        self.judges.end_all();
        self.me.0 = me;
    }

    /// Judges a case, outside of the slots: bodies that hold them may wait for the decision.
    pub(crate) fn judge(&mut self, job: JobId, instance: InstanceId, case: Arc<Case>) {
        let judge: Capability = match JUDGE.parse() {
            Ok(judge) => judge,
            Err(_) => return,
        };
        let own = self.agents.iter().find(|(it, _)| it.capabilities.contains(&judge));
        let bench = Bench {
            me: self.me.clone(),
            own: own.map(|(_, agent)| Arc::clone(agent)),
            adapters: self.adapters.clone(),
            commands: self.sender.clone(),
        };
        self.judges.start(job, instance, case, bench);
    }

    /// Nobody wants these opinions any more.
    pub(crate) fn end_judges(&mut self, job: JobId) {
        self.judges.end(job);
    }

    /// What the next body does. Cancel-safe.
    pub(crate) async fn next(&mut self) -> News {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<News> {
        // Questions first: what a body logged before its end is written before its end.
        if let Poll::Ready(Some(command)) = self.asks.poll_recv(cx) {
            return Poll::Ready(News::Asks(command));
        }
        // An error is a task ended by the runtime, which happens at its shutdown only: bodies catch their panics.
        while let Poll::Ready(Some(joined)) = self.tasks.poll_join_next(cx) {
            let Ok(ended) = joined else { continue };
            if let Some(news) = self.on_ended(ended) {
                return Poll::Ready(news);
            }
        }
        if let Poll::Ready((job, instance, opinion)) = self.judges.poll(cx) {
            return Poll::Ready(News::Judged { job, instance, opinion });
        }
        Poll::Pending
    }

    fn on_ended(&mut self, ended: Ended) -> Option<News> {
        let Ended { job, key, run, outcome } = ended;
        let running = self.running.get(&(job, key));
        if running.is_some_and(|body| body.run == run) {
            return Some(News::Ended { job, key, outcome });
        }
        let is_last =
            running.is_none() & self.stopping.get(&(job, key)).is_none_or(|&left| left <= 1);
        if let Some(left) = self.stopping.get_mut(&(job, key)) {
            *left -= 1;
            if *left == 0 {
                self.stopping.remove(&(job, key));
            }
        }
        is_last.then_some(News::Stopped { job, key })
    }

    /// Starts a body.
    pub(crate) fn start(
        &mut self,
        (job, key, attempt): (JobId, Key, u16),
        fence: Option<Fence>,
        descriptor: Arc<Descriptor>,
        seat: Seat,
    ) {
        self.abort(job, key);
        let run = self.runs;
        self.runs += 1;
        let (executor, agent) = self.executor(&descriptor, seat);
        let cancelled = Arc::new(watch::Sender::new(false));
        let context = TaskContext::new(
            self.me.clone(),
            (job, key, run),
            Arc::clone(&descriptor),
            self.sender.clone(),
            cancelled.subscribe(),
        );
        let body = Body {
            run,
            agent,
            cancelled: Arc::clone(&cancelled),
            spawns: BTreeMap::new(),
            joins: Joins::new(seat),
            authors: BTreeMap::new(),
            questions: BTreeMap::new(),
            progress: Progress::default(),
        };
        self.running.insert((job, key), body);
        let grace = self.grace;
        let execution =
            Execution { job, key, attempt, fence, descriptor, executor, context, cancelled, grace };
        self.tasks.spawn(async move {
            let outcome = execution.run().await;
            Ended { job, key, run, outcome }
        });
    }

    /// Own agents first, the least busy of those that can; then the recipe's.
    fn executor(&self, descriptor: &Descriptor, seat: Seat) -> (Executor, Option<usize>) {
        if seat == Seat::Root && descriptor.kind == ROOT_KIND {
            return (Executor::Plan, None);
        }
        let able = |description: &Description| {
            Capability::lacking(&description.capabilities, &descriptor.requires).next().is_none()
        };
        let busy =
            |index: usize| self.running.values().filter(|body| body.agent == Some(index)).count();
        let own = self.agents.iter().enumerate().filter(|(_, (description, _))| able(description));
        if let Some((index, (_, agent))) = own.min_by_key(|(index, _)| busy(*index)) {
            return (Executor::Own(Arc::clone(agent)), Some(index));
        }
        let executor = match (recipe_of(descriptor), &self.adapters) {
            (Ok(Some(recipe)), Some(adapters)) => {
                Executor::Recipe(Arc::clone(adapters), Box::new(recipe))
            }
            (Ok(Some(recipe)), None) => Executor::Nobody(format!(
                "peer {} opens no agents and has none of its own like {:?}",
                self.me.1, recipe.agent.name
            )),
            (Ok(None), _) => Executor::Nobody(format!(
                "peer {} has no agent for {:?}, and the task names none",
                self.me.1, descriptor.requires
            )),
            (Err(error), _) => Executor::Nobody(error.message),
        };
        (executor, None)
    }

    /// Stops a body: it is told, then has its grace, then is dropped; nothing it does is heard any more.
    pub(crate) fn abort(&mut self, job: JobId, key: Key) {
        if let Some(body) = self.running.remove(&(job, key)) {
            body.cancelled.send_replace(true);
            *self.stopping.entry((job, key)).or_default() += 1;
        }
    }

    /// The body, if it is still this execution.
    pub(crate) fn current(&mut self, job: JobId, key: Key, run: u64) -> Option<&mut Body> {
        self.running.get_mut(&(job, key)).filter(|body| body.run == run)
    }

    /// The body, whichever execution.
    pub(crate) fn get(&mut self, job: JobId, key: Key) -> Option<&mut Body> {
        self.running.get_mut(&(job, key))
    }

    /// Takes an ended body out; returns a progress report that was held back.
    pub(crate) fn forget(&mut self, job: JobId, key: Key) -> Option<(u16, String)> {
        self.running.remove(&(job, key)).and_then(|body| body.progress.held)
    }

    /// The peer stops: bodies are told and dropped, agents closed.
    pub(crate) async fn close(&mut self) {
        for body in self.running.values() {
            body.cancelled.send_replace(true);
        }
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        // Bodies that ignore their grace are dropped by it, so this is a second bound only.
        drop(tokio::time::timeout(self.grace * 2, ended).await);
        self.tasks.shutdown().await;
        self.judges.end_all();
        self.running.clear();
        for (_, agent) in &self.agents {
            agent.close(self.grace).await;
        }
        if let Some(adapters) = &self.adapters {
            adapters.close(self.grace).await;
        }
    }
}

impl Body {
    /// A spawn is on its way to the node.
    pub(crate) fn on_spawn(&mut self, index: u64, mode: Spawn, reply: oneshot::Sender<Key>) {
        self.spawns.entry(index).or_default().push((mode, reply));
    }

    /// The ledger has the child.
    pub(crate) fn on_spawned(&mut self, index: u64, key: Key) {
        for (mode, reply) in self.spawns.remove(&index).unwrap_or_default() {
            self.joins.on_spawned(key, mode);
            // A body that dropped the call finds the child again by its index.
            reply.send(key).ok();
        }
    }

    /// The node refused the spawn: the body is told that it is not wanted any more.
    pub(crate) fn on_spawn_refused(&mut self, index: u64) {
        self.spawns.remove(&index);
    }

    /// A child is done, executed by this peer.
    pub(crate) fn on_author(&mut self, key: Key, by: PeerId) {
        self.authors.entry(key).or_insert(by);
    }

    /// A question is on its way to the node; returns whose work it is about.
    pub(crate) fn on_decide(
        &mut self,
        task: Key,
        reply: oneshot::Sender<Ruling>,
    ) -> Option<PeerId> {
        self.questions.entry(task).or_default().push(reply);
        self.authors.get(&task).copied()
    }

    /// What the body asked about this task is ruled.
    pub(crate) fn on_ruled(&mut self, task: Key, ruling: &Ruling) {
        for reply in self.questions.remove(&task).unwrap_or_default() {
            // A body that dropped the call may ask again.
            reply.send(ruling.clone()).ok();
        }
    }

    /// What of a progress report is to be written at once.
    pub(crate) fn on_progress(
        &mut self,
        now: Time,
        per_mille: u16,
        note: String,
    ) -> Option<(u16, String)> {
        let due = self.progress.written.is_none_or(|last| now.since(last) >= PROGRESS_EVERY);
        if due {
            self.progress = Progress { written: Some(now), held: None };
            return Some((per_mille, note));
        }
        self.progress.held = Some((per_mille, note));
        None
    }
}
