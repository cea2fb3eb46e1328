//! Whole peers in virtual time: links with a delay, bodies that spawn trees, crashes and restarts.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_completion::{Spawn, Verdict as JobEnd};
use formic_consensus::{Ballot, DIMENSIONS, InstanceId, Verdict};
use formic_core::{
    Descriptor, Digest, FateId, Incarnation, JobId, Key, Life, Outcome, Output, PeerId, Protocol,
    Random, Time,
    transport::{Address, CloseReason},
};
use formic_identity::SecretKey;

use crate::{
    Case, Config, Effect, Event, Fence, Input, Message, Node, Record, Reply, Request, Ruling,
};

pub(super) const SEED: u8 = 0;
const SERVICE_US: u64 = 20_000;

/// How a liar says something else than its node.
pub(super) type Lie = fn(&SecretKey, PeerId, Message) -> Option<Message>;

enum Happening {
    Feed(Input),
    /// A client, which is no node, hears.
    Hear(Reply),
    /// A body did its own part of the work.
    Works {
        job: JobId,
        key: Key,
    },
    /// A process that has left ends.
    Ends,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    Slot,
}

struct Body {
    descriptor: Arc<Descriptor>,
    open: BTreeSet<u64>,
    place: Place,
    acknowledged: u8,
    waits: bool,
}

#[derive(Default)]
pub(super) struct World {
    pub(super) now: u64,
    pub(super) nodes: BTreeMap<u8, Node>,
    pub(super) records: BTreeMap<u8, Vec<Record>>,
    pub(super) events: Vec<(u8, Event)>,
    pub(super) submitted: BTreeMap<u64, JobId>,
    pub(super) refused: Vec<String>,
    pub(super) replies: Vec<Reply>,
    pub(super) left: BTreeSet<u8>,
    pub(super) runs: BTreeMap<u8, usize>,
    /// How long bodies take at a peer, in microseconds, where it is not the usual.
    pub(super) services: BTreeMap<u8, u64>,
    /// Where bodies fail.
    pub(super) fails: BTreeSet<u8>,
    /// Bodies of exclusive tasks in the order in which they started: when, where, which.
    pub(super) fences: Vec<(u64, u8, Key, Fence)>,
    /// How each peer judges; who has no entry approves with full scores. `None`: not at all.
    pub(super) judges: BTreeMap<u8, Option<Ballot>>,
    pub(super) judged: Vec<(u8, Arc<Case>)>,
    pub(super) rulings: Vec<(u8, Key, Ruling)>,
    /// A liar: what this peer says, to whom, is changed or dropped.
    pub(super) liar: Option<(u8, Lie)>,
    incarnations: BTreeMap<u8, u64>,
    links: BTreeSet<(Life, Life)>,
    bodies: BTreeMap<(u8, JobId, Key), Body>,
    queue: BTreeMap<(u64, u64), (Life, Happening)>,
    sent: u64,
    peers: BTreeMap<PeerId, u8>,
}

pub(super) fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed([n + 1; 32])
}

/// A yes with one score in all dimensions.
pub(super) fn approval(score: u16) -> Ballot {
    let scores = [score; DIMENSIONS];
    Ballot { verdict: Verdict::Approve, scores, comment: Digest::from_bytes([0; 32]) }
}

pub(super) fn client() -> Life {
    Life::new(secret(200).public().peer_id(), Incarnation(1))
}

/// The children of a body of this kind are exclusive, with this lease.
pub(super) const EXCLUSIVE: (&str, Duration) = ("exclusive", Duration::from_secs(1));

/// The innermost bodies of this kind never end.
pub(super) const HANGS: &str = "hangs";

/// A tree of bodies: each spawns `width` children until `depth` is 0.
pub(super) fn tree(depth: u8, width: u8, kind: &str) -> Arc<Descriptor> {
    Arc::new(Descriptor {
        kind: kind.into(),
        name: format!("{depth}"),
        requires: vec![],
        payload: vec![depth, width],
        recipe: vec![],
        wall: None,
        exclusive: None,
    })
}

impl World {
    pub(super) fn config(&mut self, n: u8) -> Config {
        let incarnation = *self.incarnations.entry(n).and_modify(|i| *i += 1).or_insert(1);
        let secret = secret(n);
        let life = Life::new(secret.public().peer_id(), Incarnation(incarnation));
        self.peers.insert(life.peer, n);
        let mut config = Config::new(life, secret);
        config.seed = u64::from(n);
        config.mesh.name = format!("p{n}");
        config.mesh.addresses = vec![Address::new("memory", &n.to_string())];
        config.mesh.slots = 2;
        config.mesh.fate = FateId(u64::from(n) << 8 | incarnation);
        if n == SEED {
            config.mesh.found = Some(Digest::of(&[b"world"]));
        } else {
            config.mesh.seeds = vec![Address::new("memory", &SEED.to_string())];
        }
        config
    }

    pub(super) fn start(&mut self, n: u8) {
        let config = self.config(n);
        self.start_with(n, config);
    }

    pub(super) fn start_with(&mut self, n: u8, mut config: Config) {
        if let Some(records) = self.records.get(&n) {
            config.resume(records);
        }
        self.nodes.insert(n, Node::new(config).unwrap());
        if let Some(records) = self.records.get(&n).cloned() {
            self.feed(n, Input::Restore { records });
        }
    }

    pub(super) fn of(count: u8) -> Self {
        let mut world = Self::default();
        (0..count).for_each(|n| world.start(n));
        world.run_for(3_000_000);
        let all = |node: &Node| node.alive().len() + 1 == usize::from(count);
        assert!(world.nodes.values().all(all), "everybody knows everybody");
        world
    }

    pub(super) fn life(&self, n: u8) -> Life {
        self.nodes[&n].life()
    }

    fn number(&self, life: Life) -> Option<u8> {
        let n = *self.peers.get(&life.peer)?;
        (self.nodes.get(&n)?.life() == life).then_some(n)
    }

    fn later(&mut self, after: u64, to: Life, what: Happening) {
        self.sent += 1;
        self.queue.insert((self.now + after, self.sent), (to, what));
    }

    pub(super) fn feed(&mut self, n: u8, input: Input) {
        let Some(node) = self.nodes.get_mut(&n) else { return };
        let mut out = Vec::new();
        node.handle(Time::from_us(self.now), input, &mut out).unwrap();
        node.check();
        out.into_iter().for_each(|effect| self.apply(n, effect));
    }

    fn apply(&mut self, n: u8, effect: Effect) {
        let me = self.life(n);
        match effect {
            Effect::Persist(record) => self.persist(n, record),
            Effect::Send { to, message } if self.links.contains(&(me, to)) => {
                self.send(n, to, message);
            }
            Effect::Send { .. } => {}
            Effect::Dial { peer, addresses } => self.dial(me, peer, addresses),
            Effect::Hangup { life } => self.cut(me, life, CloseReason::Closed),
            // There are no outside sources in this world.
            Effect::Discover => {}
            Effect::Reborn { .. } => {
                self.crash(n);
                self.start(n);
            }
            Effect::Start { .. } => self.begin(n, effect),
            Effect::Abort { job, key } => {
                self.bodies.remove(&(n, job, key));
                self.later(500, me, Happening::Feed(Input::Stopped { job, key }));
            }
            Effect::Resume { job, key } => {
                self.later(100, me, Happening::Works { job, key });
            }
            Effect::Spawned { job, owner, .. } => self.wait(n, job, owner),
            Effect::ChildDone { job, owner, key: _, by: _, outcome: _ } => {
                self.child_done(n, job, owner);
            }
            Effect::Judge { job, instance, case } => self.judge(n, (job, instance, case)),
            Effect::Ruled { task, ruling, .. } => self.rulings.push((n, task, ruling)),
            Effect::Submitted { request, job } => drop(self.submitted.insert(request, job)),
            Effect::SubmitRefused { reason, .. } => self.refused.push(reason),
            Effect::Left => {
                self.left.insert(n);
                // What was sent before is delivered.
                self.later(1_000, me, Happening::Ends);
            }
            Effect::Event(event) => self.events.push((n, event)),
        }
    }

    fn persist(&mut self, n: u8, record: Record) {
        let kept = self.records.entry(n).or_default();
        if record.closes() {
            kept.retain(|other| other.shelf() != record.shelf());
        }
        kept.push(record);
    }

    fn send(&mut self, n: u8, to: Life, message: Message) {
        let lie = self.liar.filter(|(liar, _)| *liar == n).map(|(_, lie)| lie);
        let message = match lie {
            Some(lie) => lie(&secret(n), to.peer, message),
            None => Some(message),
        };
        let Some(message) = message else { return };
        let delay = 300 + Random::new(self.sent).below(10);
        match message {
            Message::Reply(reply) if to == client() => {
                self.later(delay, to, Happening::Hear(reply));
            }
            message => {
                let input = Input::Message { from: self.life(n), message };
                // One delay for all: links keep the order.
                self.later(300, to, Happening::Feed(input));
            }
        }
    }

    fn begin(&mut self, n: u8, effect: Effect) {
        let Effect::Start { job, key, descriptor, root, fence, .. } = effect else { return };
        self.fences.extend(fence.map(|fence| (self.now, n, key, fence)));
        *self.runs.entry(n).or_default() += usize::from(!root);
        let place = if root { Place::Root } else { Place::Slot };
        let body = Body { descriptor, open: BTreeSet::new(), place, acknowledged: 0, waits: false };
        self.bodies.insert((n, job, key), body);
        let own = self.services.get(&n).filter(|_| place == Place::Slot);
        let service = own.copied().unwrap_or(SERVICE_US);
        self.later(service, self.life(n), Happening::Works { job, key });
    }

    fn judge(&mut self, n: u8, (job, instance, case): (JobId, InstanceId, Arc<Case>)) {
        self.judged.push((n, case));
        let ballot = self.judges.get(&n).copied().unwrap_or(Some(approval(1_000)));
        if let Some(ballot) = ballot {
            let opinion = Input::Opinion { job, instance, ballot };
            self.later(SERVICE_US, self.life(n), Happening::Feed(opinion));
        }
    }

    fn dial(&mut self, me: Life, peer: Option<PeerId>, addresses: Vec<Address>) {
        let target: u8 = addresses[0].rest("memory").unwrap().parse().unwrap();
        let Some(other) = self.nodes.get(&target).map(Node::life) else {
            let failed = Input::DialFailed { peer, addresses };
            self.later(500, me, Happening::Feed(failed));
            return;
        };
        assert_ne!(me, other, "nobody dials itself");
        self.link(me, other);
    }

    fn link(&mut self, a: Life, b: Life) {
        if self.links.insert((a, b)) {
            self.links.insert((b, a));
            self.later(600, a, Happening::Feed(Input::LinkUp { life: b, shared_fate: false }));
            self.later(600, b, Happening::Feed(Input::LinkUp { life: a, shared_fate: false }));
        }
    }

    fn cut(&mut self, a: Life, b: Life, reason: CloseReason) {
        if self.links.remove(&(a, b)) {
            self.links.remove(&(b, a));
            self.later(300, a, Happening::Feed(Input::LinkDown { life: b, reason }));
            self.later(300, b, Happening::Feed(Input::LinkDown { life: a, reason }));
        }
    }

    pub(super) fn crash(&mut self, n: u8) {
        let me = self.life(n);
        self.nodes.remove(&n);
        self.bodies.retain(|(owner, _, _), _| *owner != n);
        let lost: Vec<_> = self.links.iter().filter(|(a, _)| *a == me).copied().collect();
        lost.into_iter().for_each(|(a, b)| self.cut(a, b, CloseReason::Lost));
    }

    /// A body joins its children once all of them are acknowledged.
    fn wait(&mut self, n: u8, job: JobId, owner: Key) {
        let Some(body) = self.bodies.get_mut(&(n, job, owner)) else { return };
        body.acknowledged += 1;
        if body.acknowledged < body.descriptor.payload[1] {
            return;
        }
        body.waits = true;
        if body.open.is_empty() {
            self.works(n, job, owner);
        } else {
            self.feed(n, Input::Waits { job, key: owner });
        }
    }

    fn child_done(&mut self, n: u8, job: JobId, owner: Key) {
        let Some(body) = self.bodies.get_mut(&(n, job, owner)) else { return };
        body.open.pop_first();
        if body.open.is_empty() && body.waits {
            self.feed(n, Input::Runs { job, key: owner });
        }
    }

    fn works(&mut self, n: u8, job: JobId, key: Key) {
        let Some(body) = self.bodies.get_mut(&(n, job, key)) else { return };
        let (depth, width) = (body.descriptor.payload[0], body.descriptor.payload[1]);
        if depth == 0 && body.descriptor.kind == HANGS {
            return;
        }
        if depth == 0 || body.waits {
            let root = body.place == Place::Root;
            self.bodies.remove(&(n, job, key));
            let value = if root { b"\"root\"".to_vec() } else { vec![] };
            let outcome = if self.fails.contains(&n) && !root {
                Outcome::failed("no", "this peer can not")
            } else {
                Outcome::Ok(Output { value, files: vec![] })
            };
            self.feed(n, Input::Finished { job, key, outcome });
            return;
        }
        body.open = (0..u64::from(width)).collect();
        let kind = body.descriptor.kind.clone();
        for index in 0..u64::from(width) {
            let exclusive = (kind == EXCLUSIVE.0).then_some(EXCLUSIVE.1);
            let child = (*tree(depth - 1, width, &kind)).clone();
            let child = Descriptor { name: format!("{index}"), exclusive, ..child };
            let (descriptor, mode) = (Arc::new(child), Spawn::Nested);
            self.feed(n, Input::Spawn { job, owner: key, index, descriptor, mode });
        }
    }

    pub(super) fn run_for(&mut self, us: u64) {
        let until = self.now + us;
        let mut steps = 0;
        loop {
            steps += 1;
            assert!(steps < 2_000_000, "the world does not come to rest");
            let timer =
                self.nodes.iter().filter_map(|(&n, node)| Some((node.deadline()?.as_us(), n)));
            let timer = timer.min().filter(|(at, _)| *at <= until);
            let message =
                self.queue.first_key_value().map(|(&(at, _), _)| at).filter(|&at| at <= until);
            match (timer, message) {
                (Some((at, n)), message) if message.is_none_or(|other| at < other) => {
                    self.now = self.now.max(at);
                    self.feed(n, Input::Deadline);
                }
                (_, Some(_)) => self.next_happening(),
                _ => break,
            }
        }
        self.now = until;
    }

    fn next_happening(&mut self) {
        let Some(((at, _), (to, what))) = self.queue.pop_first() else { return };
        self.now = self.now.max(at);
        self.happen(to, what);
    }

    fn happen(&mut self, to: Life, what: Happening) {
        if let Happening::Hear(reply) = what {
            self.replies.push(reply);
            return;
        }
        let Some(n) = self.number(to) else { return };
        match what {
            Happening::Feed(Input::Message { from, .. }) if !self.links.contains(&(to, from)) => {}
            Happening::Feed(input) => self.feed(n, input),
            Happening::Works { job, key } => self.works(n, job, key),
            Happening::Ends => self.crash(n),
            Happening::Hear(_) => {}
        }
    }

    pub(super) fn submit(&mut self, n: u8, root: Arc<Descriptor>) -> JobId {
        let request = self.sent;
        self.feed(n, Input::Submit { request, root, plan: Digest::of(&[b"plan"]) });
        self.run_for(5_000);
        self.submitted[&request]
    }

    /// The client asks one peer.
    pub(super) fn ask(&mut self, n: u8, request: Request) {
        let life = self.life(n);
        self.link(client(), life);
        self.run_for(1_000);
        let input = Input::Message { from: client(), message: Message::Request(request) };
        self.feed(n, input);
        self.run_for(1_000);
    }

    pub(super) fn verdicts(&self, job: JobId) -> BTreeMap<u8, Arc<JobEnd>> {
        let verdict = |(n, event): &(u8, Event)| match event {
            Event::JobVerdict { job: of, verdict } if *of == job => Some((*n, Arc::clone(verdict))),
            _ => None,
        };
        self.events.iter().filter_map(verdict).collect()
    }

    /// All living peers know one verdict, with this many tasks, all well, and it verifies.
    pub(super) fn assert_complete(&self, job: JobId, tasks: u64) {
        let verdicts = self.verdicts(job);
        for (n, node) in &self.nodes {
            let verdict = verdicts.get(n).unwrap_or_else(|| panic!("{n} knows no verdict"));
            let tally = verdict.decree.tally;
            assert_eq!((tally.tasks, tally.ok, tally.failed), (tasks, tasks, 0));
            crate::verify_certificate(&verdict.certificate).unwrap();
            verdict.certificate.check_decree(job, &verdict.decree).unwrap();
            assert_eq!(node.counters().misbehaved, BTreeMap::new());
        }
        let decrees: BTreeSet<_> = verdicts.values().map(|v| v.decree.outcome.digest()).collect();
        assert_eq!(decrees.len(), 1, "one result");
        let anomalies = self.events.iter().filter(|(_, e)| matches!(e, Event::JobAnomaly { .. }));
        assert_eq!(anomalies.count(), 0);
    }

    pub(super) fn count(&self, which: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| which(event)).count()
    }
}
