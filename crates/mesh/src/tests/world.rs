//! Machines of several peers, links that work at once, messages in order, and one truth about who is
//! a member in place of healing.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use formic_core::{
    Digest, Epoch, FateId, Incarnation, Life, Member, PeerId, Protocol, Random, Time, View,
    transport::Address,
};

use crate::{Cast, CastMessage, Config, Effect, Event, Input, Mesh, Message, Record};

pub(super) const SECOND: u64 = 1_000_000;

pub(super) fn life(n: u8) -> Life {
    lives(n, 1)
}

pub(super) fn lives(n: u8, incarnation: u64) -> Life {
    Life::new(PeerId::from_bytes([n; 32]), Incarnation(incarnation))
}

pub(super) fn address(n: u8) -> Address {
    Address::new("memory", &n.to_string())
}

pub(super) fn mesh_id() -> Digest {
    Digest::of(&[b"test mesh"])
}

pub(super) fn record(n: u8) -> Record {
    Record {
        life: life(n),
        version: 1,
        name: format!("p{n}"),
        addresses: vec![address(n)],
        capabilities: vec![],
        labels: vec![],
        slots: 1,
        draining: false,
    }
}

pub(super) fn member(n: u8) -> Member {
    Member { life: life(n), fate: FateId(u64::from(n)) }
}

pub(super) fn view(epoch: u64, members: &[u8]) -> Arc<View> {
    let members = members.iter().copied().map(member).collect();
    let previous = Digest::of(&[b"previous"]);
    Arc::new(View { epoch: Epoch(epoch), members, previous, forced: None })
}

pub(super) fn config(n: u8, founds: Option<Digest>, seeds: &[u8]) -> Config {
    Config {
        found: founds,
        seeds: seeds.iter().copied().map(address).collect(),
        name: format!("p{n}"),
        addresses: vec![address(n)],
        fate: FateId(u64::from(n)),
        seed: u64::from(n),
        ..Config::default()
    }
}

/// A founder that has started and is the only member.
pub(super) fn founder(n: u8) -> Mesh {
    let mut mesh = Mesh::new(config(n, Some(mesh_id()), &[]), life(n)).unwrap();
    mesh.handle(Time::ZERO, Input::Deadline, &mut Vec::new()).unwrap();
    let view = view(1, &[n]);
    mesh.handle(Time::ZERO, Input::View { view }, &mut Vec::new()).unwrap();
    mesh
}

/// A founder in a view with others, whose records it knows and who are alive and linked.
pub(super) fn member_of(n: u8, others: &[u8]) -> Mesh {
    let mut mesh = founder(n);
    let all: Vec<u8> = [&[n], others].concat();
    handle(&mut mesh, Input::View { view: view(2, &all) }).unwrap();
    for &other in others {
        handle(&mut mesh, Input::LinkUp { life: life(other) }).unwrap();
        handle(&mut mesh, delta(other, vec![record(other)])).unwrap();
        handle(&mut mesh, Input::Up { life: life(other) }).unwrap();
    }
    mesh
}

pub(super) fn delta(from: u8, records: Vec<Record>) -> Input {
    let message = Message::Delta { mesh: mesh_id(), records, slots: vec![] };
    Input::Message { from: life(from), message }
}

pub(super) fn knock(n: u8, mesh: Option<Digest>) -> Input {
    knock_with(record(n), mesh, u64::from(n))
}

pub(super) fn knock_with(record: Record, mesh: Option<Digest>, fate: u64) -> Input {
    let from = record.life;
    let message = Message::Knock { mesh, fate: FateId(fate), record: Box::new(record) };
    Input::Message { from, message }
}

pub(super) fn handle(mesh: &mut Mesh, input: Input) -> Result<Vec<Effect>, crate::Error> {
    handle_at(mesh, 1_000, input)
}

pub(super) fn handle_at(
    mesh: &mut Mesh,
    us: u64,
    input: Input,
) -> Result<Vec<Effect>, crate::Error> {
    let mut out = Vec::new();
    mesh.handle(Time::from_us(us), input, &mut out).map(|()| out)
}

pub(super) struct World {
    pub(super) now: Time,
    pub(super) peers: BTreeMap<u8, Mesh>,
    pub(super) links: BTreeSet<(u8, u8)>,
    pub(super) events: Vec<(u8, Event)>,
    pub(super) dials: usize,
    pub(super) dialled: Vec<(u8, u8)>,
    pub(super) asked_outside: usize,
    pub(super) persisted: BTreeMap<u8, Vec<(PeerId, Vec<Address>)>>,
    /// What a mesh agreed on.
    pub(super) views: BTreeMap<Digest, Arc<View>>,
    /// Of a thousand messages about casts so many are lost.
    pub(super) loss: u64,
    /// Messages that were sent, by a word for their sort.
    pub(super) sent: BTreeMap<&'static str, usize>,
    /// Links that cannot come up.
    pub(super) blocked: BTreeSet<(u8, u8)>,
    random: Random,
    inputs: VecDeque<(u8, Input)>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            now: Time::ZERO,
            peers: BTreeMap::new(),
            links: BTreeSet::new(),
            events: Vec::new(),
            dials: 0,
            dialled: Vec::new(),
            asked_outside: 0,
            persisted: BTreeMap::new(),
            views: BTreeMap::new(),
            loss: 0,
            sent: BTreeMap::new(),
            blocked: BTreeSet::new(),
            random: Random::new(7),
            inputs: VecDeque::new(),
        }
    }
}

impl World {
    /// A mesh of so many, all linked, founded by 0.
    pub(super) fn of(count: u8) -> Self {
        let mut world = Self::default();
        world.add(0, config(0, Some(mesh_id()), &[]));
        (1..count).for_each(|n| world.add(n, config(n, None, &[0])));
        world.run_for(2 * SECOND);
        world.assert_full();
        world
    }

    pub(super) fn add(&mut self, n: u8, config: Config) {
        self.add_life(n, 1, config);
    }

    pub(super) fn add_life(&mut self, n: u8, incarnation: u64, config: Config) {
        let mut mesh = Mesh::new(config, lives(n, incarnation)).unwrap();
        // A process starts at the world's time.
        mesh.handle(self.now, Input::Margin { margin: 9 }, &mut Vec::new()).unwrap();
        self.peers.insert(n, mesh);
    }

    pub(super) fn feed(&mut self, n: u8, input: Input) {
        self.inputs.push_back((n, input));
        let mut steps = 0;
        while let Some((n, input)) = self.inputs.pop_front() {
            steps += 1;
            assert!(steps < 5_000_000, "the world does not come to rest");
            let Some(peer) = self.peers.get_mut(&n) else { continue };
            let mut out = Vec::new();
            peer.handle(self.now, input, &mut out).unwrap();
            for effect in out {
                self.apply(n, effect);
            }
        }
    }

    fn apply(&mut self, n: u8, effect: Effect) {
        let me = self.peers[&n].me();
        match effect {
            Effect::Send { to, message } => self.send(n, to, message),
            Effect::Dial { peer, addresses } => self.dial(n, peer, &addresses),
            Effect::Discover => self.asked_outside += 1,
            Effect::Persist { addresses } => drop(self.persisted.insert(n, addresses)),
            Effect::Hangup { life: target } => {
                let target = target.peer.as_bytes()[0];
                self.cut(n, target);
            }
            Effect::Event(event) => {
                self.decide(n, me, &event);
                self.events.push((n, event));
            }
        }
    }

    fn send(&mut self, n: u8, to: Life, message: Message) {
        let target = to.peer.as_bytes()[0];
        let word = match &message {
            Message::Cast(CastMessage::Cast { .. }) => "cast",
            Message::Cast(_) => "about casts",
            Message::Root { .. } => "root",
            Message::Nodes { .. } | Message::Keys { .. } | Message::Pull { .. } => "comparison",
            Message::Delta { .. } => "delta",
            _ => "other",
        };
        *self.sent.entry(word).or_default() += 1;
        if matches!(message, Message::Cast(_)) && self.random.chance(self.loss) {
            return;
        }
        let is_there = self.peers.get(&target).is_some_and(|peer| peer.me() == to);
        if self.links.contains(&(n, target)) && is_there {
            let from = self.peers[&n].me();
            self.inputs.push_back((target, Input::Message { from, message }));
        }
    }

    fn dial(&mut self, n: u8, peer: Option<PeerId>, addresses: &[Address]) {
        self.dials += 1;
        let target: u8 = addresses[0].rest("memory").unwrap().parse().unwrap();
        assert_ne!(target, n, "nobody dials itself");
        self.dialled.push((n, target));
        let reachable = self.peers.contains_key(&target) && !self.blocked.contains(&(n, target));
        if !reachable {
            self.inputs.extend(peer.map(|peer| (n, Input::DialFailed { peer })));
        } else if self.links.insert((n, target)) {
            self.links.insert((target, n));
            let (a, b) = (self.peers[&n].me(), self.peers[&target].me());
            self.inputs.push_back((n, Input::LinkUp { life: b }));
            self.inputs.push_back((target, Input::LinkUp { life: a }));
        }
    }

    pub(super) fn cut(&mut self, a: u8, b: u8) {
        self.links.remove(&(a, b));
        self.links.remove(&(b, a));
        for (to, of) in [(a, b), (b, a)] {
            let end = self.peers.get(&of).map(Mesh::me);
            self.inputs.extend(end.map(|life| (to, Input::LinkDown { life })));
        }
    }

    /// What healing would decide and say.
    fn decide(&mut self, n: u8, me: Life, event: &Event) {
        match *event {
            Event::Founded { mesh } => {
                let fate = FateId(u64::from(n));
                let view = View::found(Member { life: me, fate });
                self.commit(mesh, view);
            }
            Event::Admit { member } => {
                let Some(mesh) = self.peers[&n].mesh() else { return };
                let Some(view) = self.views.get(&mesh) else { return };
                if view.members.contains(&member) {
                    return;
                }
                let mut view = View { epoch: view.epoch.next(), ..(**view).clone() };
                view.members.retain(|other| other.life.peer != member.life.peer);
                view.members.push(member);
                self.commit(mesh, view);
            }
            Event::Added { life } => self.inputs.push_back((n, Input::Up { life })),
            _ => {}
        }
    }

    pub(super) fn commit(&mut self, mesh: Digest, view: View) {
        let view = Arc::new(view);
        self.views.insert(mesh, Arc::clone(&view));
        for (&n, peer) in &self.peers {
            let follows = peer.view().is_some() || view.members.len() == 1;
            if peer.mesh() == Some(mesh) && follows {
                self.inputs.push_back((n, Input::View { view: Arc::clone(&view) }));
            }
        }
    }

    /// The others go on without these.
    pub(super) fn evict(&mut self, gone: &[u8]) {
        let view = &self.views[&mesh_id()];
        let mut view = View { epoch: view.epoch.next(), ..(**view).clone() };
        view.members.retain(|member| !gone.contains(&member.life.peer.as_bytes()[0]));
        self.commit(mesh_id(), view);
        self.flush();
    }

    /// Handles what was queued outside of an input.
    pub(super) fn flush(&mut self) {
        if let Some((n, input)) = self.inputs.pop_back() {
            self.feed(n, input);
        }
    }

    pub(super) fn kill(&mut self, n: u8) {
        let me = self.peers.remove(&n).map(|peer| peer.me());
        let lost: Vec<_> = self.links.iter().copied().filter(|&(a, b)| a == n || b == n).collect();
        for (a, b) in lost {
            self.links.remove(&(a, b));
            if a != n {
                self.feed(a, Input::LinkDown { life: me.unwrap() });
            }
        }
    }

    pub(super) fn run_for(&mut self, us: u64) {
        self.run(Time::from_us(self.now.as_us() + us));
    }

    /// Runs all deadlines up to `until`.
    pub(super) fn run(&mut self, until: Time) {
        self.flush();
        let mut wakes = 0;
        loop {
            let next = self.peers.iter().filter_map(|(&n, p)| Some((p.deadline()?, n))).min();
            match next {
                Some((at, n)) if at <= until => {
                    wakes += 1;
                    assert!(wakes < 1_000_000, "{n} wakes without end at {at:?}");
                    self.now = self.now.max(at);
                    self.feed(n, Input::Deadline);
                }
                _ => break,
            }
        }
        self.now = until;
    }

    pub(super) fn delivered(&self, n: u8) -> Vec<&Cast> {
        let casts = self.events.iter().filter_map(|(at, event)| match event {
            Event::Delivered { cast } if *at == n => Some(&**cast),
            _ => None,
        });
        casts.collect()
    }

    pub(super) fn count(&self, which: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| which(event)).count()
    }

    pub(super) fn roots(&self) -> BTreeSet<u64> {
        self.peers.values().map(|peer| peer.tree.root()).collect()
    }

    /// Everybody knows everybody and has a link to everybody.
    pub(super) fn assert_full(&self) {
        let records: BTreeSet<Vec<&Record>> =
            self.peers.values().map(|p| p.members().map(|(record, _)| record).collect()).collect();
        assert_eq!(records.len(), 1, "all peers hold the same records");
        assert!(records.iter().all(|list| list.len() == self.peers.len()));
        assert_eq!(self.links.len(), self.peers.len() * (self.peers.len() - 1));
        let meshes: BTreeSet<_> = self.peers.values().map(Mesh::mesh).collect();
        assert_eq!(meshes.len(), 1, "one mesh");
        assert!(!meshes.contains(&None));
        let views: BTreeSet<_> = self.peers.values().map(|p| p.view().unwrap().hash()).collect();
        assert_eq!(views.len(), 1, "one view");
        assert_eq!(self.roots().len(), 1, "equal roots");
    }
}
