//! One loop per peer: what happens outside goes into the node, what the node wants done is done, in order.
//!
//! ```text
//!   transport, bodies, user, clock --> inputs --> Node --> effects --> persist, then send, start, answer, log
//! ```

mod announcer;
mod bodies;
mod body;
mod jobs;
mod joins;
mod judges;
mod rebirth;
mod translate;
mod wire;

use core::time::Duration;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use formic_consensus::InstanceId;
use formic_core::{
    Blame as _, Descriptor, Digest, Fault, Incarnation, JobId, Key, Life, PeerId, Protocol as _,
    discovery::{Announcement, Discovery},
    transport::{CloseReason, Event as LinkEvent, Misbehaviour},
};
use formic_node::{Effect, Event, Input, Node, Record, Status};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    Error, EventLog, Fence, LogEvent, StoreError,
    clock::Clock,
    context::{Ask, Command},
    journal::Journal,
};

pub(crate) use announcer::Announcer;
pub(crate) use bodies::Bodies;
use bodies::News;
pub(crate) use jobs::{Ending, Jobs, Submission};
use joins::{Seat, Turn};
use judges::Opinion;
pub(crate) use translate::Sent;
pub(crate) use wire::{Arrival, Wire};

/// Refused messages of one peer until its link is closed: an honest peer sends none.
const REFUSALS_MAX: u32 = 1_000;
/// Farewells reach a healthy link in milliseconds; a link to a dead peer must not hold the end up.
const FAREWELL: Duration = Duration::from_millis(300);

/// What the user of a peer asks.
pub(crate) enum Order {
    Submit {
        root: Arc<Descriptor>,
        plan: Digest,
        reply: Submission,
    },
    Attach {
        job: JobId,
        reply: oneshot::Sender<Result<Ending, Error>>,
    },
    Cancel {
        job: JobId,
        reason: String,
    },
    Status {
        reply: oneshot::Sender<Status>,
    },
    Leave,
    /// Stands in for the node's own decision that its life is over.
    #[cfg(test)]
    Reborn,
}

/// Whether a mesh took the peer in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    Asking,
    Member,
    Refused { reason: String },
}

/// How a peer ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Stopped {
    /// It left in good order.
    Left,
    /// It was killed, or its last handle was dropped.
    Killed,
    /// Its state could not be made durable, so it must not go on.
    Failed(Arc<StoreError>),
    /// Its transport was shut down under it.
    Transport,
}

/// A running peer.
pub(crate) struct Driver {
    pub(crate) me: Life,
    /// Told when a new life begins.
    pub(crate) lives: watch::Sender<Life>,
    /// What the node of the next life is made from.
    pub(crate) config: formic_node::Config,
    pub(crate) node: Node,
    pub(crate) clock: Clock,
    pub(crate) wire: Wire,
    /// Where peers may be found, besides the seeds.
    pub(crate) sources: Vec<Arc<dyn Discovery>>,
    pub(crate) announcer: Announcer,
    pub(crate) bodies: Bodies,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) journal: Journal,
    pub(crate) log: EventLog,
    pub(crate) jobs: Jobs,
    pub(crate) membership: watch::Sender<Membership>,
    pub(crate) inputs: VecDeque<Input>,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) sent: Sent,
    pub(crate) refusals: BTreeMap<PeerId, u32>,
    /// The next life is to begin.
    pub(crate) rebirth: Option<Incarnation>,
    pub(crate) stopped: Option<Stopped>,
}

impl Driver {
    /// Runs until the peer ends.
    pub(crate) async fn run(mut self, records: Vec<Record>) -> Stopped {
        self.restore(records);
        loop {
            if let Err(error) = self.settle().await {
                tracing::error!(peer = %self.me, %error, "the peer stops: its state cannot be made durable");
                self.stopped = Some(Stopped::Failed(Arc::new(error)));
            }
            if let Some(stopped) = self.stopped.take() {
                self.close().await;
                return stopped;
            }
            tokio::select! {
                arrival = self.wire.next() => self.on_arrival(arrival),
                news = self.bodies.next() => self.on_news(news),
                order = self.orders.recv() => self.on_order(order),
                () = self.clock.until(self.node.deadline()) => self.on_deadline(),
            }
        }
    }

    fn restore(&mut self, records: Vec<Record>) {
        for job in self.jobs.restore(&records) {
            self.write(LogEvent::JobResumed { job: job.to_string() });
        }
        if !records.is_empty() {
            self.inputs.push_back(Input::Restore { records });
        }
    }

    /// Feeds all inputs, makes all records durable, applies all other effects, and sends what is to be sent.
    ///
    /// Records of one turn are committed together, ahead of every other effect of the turn: earlier than they must be.
    async fn settle(&mut self) -> Result<(), StoreError> {
        loop {
            if let Some(incarnation) = self.rebirth.take() {
                self.reborn(incarnation).await?;
            }
            while let Some(input) = self.inputs.pop_front() {
                self.feed(input);
            }
            if self.effects.is_empty() {
                break;
            }
            self.persist().await?;
            for effect in core::mem::take(&mut self.effects) {
                self.apply(effect);
            }
        }
        self.wire.flush();
        Ok(())
    }

    fn feed(&mut self, input: Input) {
        let spawn = match &input {
            Input::Spawn { job, owner, index, .. } => Some((*job, *owner, *index)),
            _ => None,
        };
        let Err(error) = self.node.handle(self.clock.now(), input, &mut self.effects) else {
            return;
        };
        // The task was dropped meanwhile: its body hears that it is cancelled.
        if let Some((job, owner, index)) = spawn
            && let Some(body) = self.bodies.get(job, owner)
        {
            body.on_spawn_refused(index);
        }
        match error.fault() {
            Fault::Caller => tracing::error!(peer = %self.me, %error, "input refused"),
            Fault::Environment => tracing::warn!(peer = %self.me, %error, "input refused"),
            Fault::Peer(peer) => self.on_misbehaved(peer, &error.to_string()),
        }
    }

    /// Counts what no correct peer does; at the limit its link is closed.
    fn on_misbehaved(&mut self, peer: PeerId, what: &str) {
        tracing::warn!(peer = %self.me, who = %peer.short(), what, "a peer misbehaved");
        let refusals = self.refusals.entry(peer).or_insert(0);
        *refusals = refusals.saturating_add(1);
        if *refusals == REFUSALS_MAX {
            self.refusals.remove(&peer);
            self.wire.hang_up_peer(peer, CloseReason::Misbehaved(Misbehaviour::Flood));
        }
    }

    async fn persist(&mut self) -> Result<(), StoreError> {
        let records: Vec<Record> = (self.effects.iter())
            .filter_map(|effect| match effect {
                Effect::Persist(record) => Some(record.clone()),
                _ => None,
            })
            .collect();
        if records.is_empty() {
            return Ok(());
        }
        self.journal.append(records).await
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(_) => {}
            Effect::Send { to, message } => {
                self.sent.count(&message);
                self.wire.send(to, message);
            }
            Effect::Dial { peer, addresses } => self.wire.dial(peer, addresses),
            Effect::Discover => self.discover(),
            Effect::Reborn { incarnation } => self.rebirth = Some(incarnation),
            Effect::Hangup { life } => self.wire.hang_up(life, CloseReason::Closed),
            Effect::Start { job, key, attempt, descriptor, fence, root } => {
                let seat = if root { Seat::Root } else { Seat::Slot };
                let fence = fence.map(|fence| Fence::new(key, fence));
                self.bodies.start((job, key, attempt), fence, descriptor, seat);
            }
            Effect::Abort { job, key } => self.bodies.abort(job, key),
            Effect::Resume { job, key } => self.on_body(job, key, |body| body.joins.on_resumed()),
            Effect::Spawned { job, owner, index, key } => self.on_body(job, owner, |body| {
                body.on_spawned(index, key);
                Turn::Nothing
            }),
            Effect::ChildDone { job, owner, key, by, outcome } => {
                self.on_body(job, owner, |body| {
                    body.on_author(key, by.peer);
                    body.joins.on_done(key, outcome)
                });
            }
            Effect::Judge { job, instance, case } => self.bodies.judge(job, instance, case),
            Effect::Ruled { job, owner, task, ruling } => self.on_body(job, owner, |body| {
                body.on_ruled(task, &ruling);
                Turn::Nothing
            }),
            Effect::Submitted { request, job } => self.jobs.on_submitted(request, job),
            Effect::SubmitRefused { request, reason } => self.jobs.on_refused(request, reason),
            Effect::Left => self.stopped = Some(Stopped::Left),
            Effect::Event(event) => self.on_event(&event),
        }
    }

    /// One round over all sources that know of peers.
    fn discover(&mut self) {
        for source in &self.sources {
            self.wire.discover(Arc::clone(source));
        }
    }

    fn on_event(&mut self, event: &Event) {
        if let Some(line) = translate::line(event) {
            self.write(line);
        }
        match event {
            Event::Joined { mesh, .. } => {
                self.membership.send_replace(Membership::Member);
                let (peer, mesh) = (self.me.peer, *mesh);
                let addresses = self.wire.transport().addresses();
                self.announcer.start(&Announcement { peer, mesh, addresses });
            }
            Event::JoinRefused { reason } => {
                self.membership.send_replace(Membership::Refused { reason: reason.clone() });
            }
            Event::Misbehaved { peer, what } => self.on_misbehaved(*peer, what),
            Event::JobVerdict { job, verdict } => {
                self.bodies.end_judges(*job);
                self.write(self.sent.line());
                self.jobs.on_verdict(*job, verdict);
            }
            _ => {}
        }
    }

    fn on_arrival(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Events(events) => events.into_iter().for_each(|event| self.on_link(event)),
            Arrival::DialFailed(failed) => {
                self.wire.tell_flaw(&failed);
                let (peer, addresses) = (failed.peer, failed.addresses);
                self.inputs.push_back(Input::DialFailed { peer, addresses });
            }
            Arrival::Found(addresses) => self.inputs.push_back(Input::Found { addresses }),
            Arrival::Closed => self.stopped = Some(Stopped::Transport),
        }
    }

    fn on_link(&mut self, event: LinkEvent<formic_node::Message>) {
        match event {
            LinkEvent::Up { link, peer, .. } => {
                self.wire.on_up(link, peer);
                let shared_fate = self.wire.transport().capabilities().shared_fate;
                self.inputs.push_back(Input::LinkUp { life: peer, shared_fate });
            }
            LinkEvent::Message { link, message, .. } => {
                if let Some(from) = self.wire.life_of(link) {
                    self.inputs.push_back(Input::Message { from, message });
                }
            }
            LinkEvent::Writable { link, class } => self.wire.on_writable(link, class),
            LinkEvent::Down { link, reason } => {
                if let Some(life) = self.wire.on_down(link) {
                    self.inputs.push_back(Input::LinkDown { life, reason });
                }
            }
        }
    }

    fn on_news(&mut self, news: News) {
        match news {
            News::Asks(command) => self.on_ask(command),
            News::Ended { job, key, outcome } => {
                if let Some((per_mille, note)) = self.bodies.forget(job, key) {
                    self.write_progress(job, key, (per_mille, note));
                }
                self.inputs.push_back(Input::Finished { job, key, outcome });
            }
            News::Judged { job, instance, opinion } => self.on_judged(job, instance, opinion),
            News::Stopped { job, key } => self.inputs.push_back(Input::Stopped { job, key }),
        }
    }

    fn on_judged(&mut self, job: JobId, instance: InstanceId, opinion: Opinion) {
        let Opinion { task, ballot, trouble } = opinion;
        if let Some(message) = trouble {
            let (job, key) = (job.to_string(), task.to_string());
            self.write(LogEvent::TaskLog { job, key, level: "warn".to_owned(), message });
        }
        self.inputs.push_back(Input::Opinion { job, instance, ballot });
    }

    fn on_ask(&mut self, Command { job, key, run, ask }: Command) {
        let now = self.clock.now();
        let Some(body) = self.bodies.current(job, key, run) else { return };
        match ask {
            Ask::Spawn { index, descriptor, mode, reply } => {
                body.on_spawn(index, mode, reply);
                let turn = body.joins.settle();
                self.on_turn(job, key, turn);
                self.inputs.push_back(Input::Spawn { job, owner: key, index, descriptor, mode });
            }
            Ask::Join { children, until, reply } => {
                let turn = body.joins.on_join(children, until, reply);
                self.on_turn(job, key, turn);
            }
            Ask::Decide { mut case, reply } => {
                case.author = body.on_decide(case.task, reply);
                let case = Arc::new(*case);
                self.inputs.push_back(Input::Decide { job, owner: key, case });
            }
            Ask::Progress { per_mille, note } => {
                if let Some(report) = body.on_progress(now, per_mille, note) {
                    self.write_progress(job, key, report);
                }
            }
            Ask::Log { level, message } => {
                let (job, key) = (job.to_string(), key.to_string());
                self.write(LogEvent::TaskLog { job, key, level, message });
            }
        }
    }

    fn on_body(&mut self, job: JobId, key: Key, change: impl FnOnce(&mut bodies::Body) -> Turn) {
        if let Some(body) = self.bodies.get(job, key) {
            let turn = change(body);
            self.on_turn(job, key, turn);
        }
    }

    fn on_turn(&mut self, job: JobId, key: Key, turn: Turn) {
        match turn {
            Turn::Nothing => {}
            Turn::Waits => self.inputs.push_back(Input::Waits { job, key }),
            Turn::Runs => self.inputs.push_back(Input::Runs { job, key }),
        }
    }

    fn on_order(&mut self, order: Option<Order>) {
        match order {
            None => self.stopped = Some(Stopped::Killed),
            Some(Order::Submit { root, plan, reply }) => {
                let request = self.jobs.on_submit(reply);
                self.inputs.push_back(Input::Submit { request, root, plan });
            }
            Some(Order::Attach { job, reply }) => {
                let known = self.jobs.verdict(job).is_some()
                    || self.status().jobs.iter().any(|status| status.job == job);
                let ending =
                    if known { Ok(self.jobs.wait(job)) } else { Err(Error::UnknownJob { job }) };
                // Whoever dropped the call needs no answer; the same below.
                drop(reply.send(ending));
            }
            Some(Order::Cancel { job, reason }) => {
                self.inputs.push_back(Input::Cancel { job, reason });
            }
            Some(Order::Status { reply }) => drop(reply.send(self.status())),
            Some(Order::Leave) => self.inputs.push_back(Input::Leave),
            #[cfg(test)]
            Some(Order::Reborn) => self.rebirth = Some(self.me.incarnation.next()),
        }
    }

    fn status(&self) -> Status {
        self.node.status()
    }

    /// A message that is here already may be the one whose absence the deadline is about.
    fn on_deadline(&mut self) {
        if let Some(arrival) = self.wire.arrived() {
            self.on_arrival(arrival);
        }
        self.inputs.push_back(Input::Deadline);
    }

    fn write_progress(&self, job: JobId, key: Key, (per_mille, note): (u16, String)) {
        let (job, key) = (job.to_string(), key.to_string());
        self.write(LogEvent::TaskProgress { job, key, per_mille, note });
    }

    fn write(&self, event: LogEvent) {
        self.log.write(&self.me.to_string(), event);
    }

    async fn close(&mut self) {
        self.wire.flush();
        tokio::join!(self.bodies.close(), self.announcer.close());
        self.wire.transport().shutdown(FAREWELL).await;
        if self.wire.dropped() > 0 {
            tracing::warn!(peer = %self.me, dropped = self.wire.dropped(), "messages were dropped");
        }
        self.write(LogEvent::PeerStopped {});
    }
}
