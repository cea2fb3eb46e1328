//! Three peers, a network that forgets nothing, and what may happen next.

use core::hash::{Hash, Hasher};
use formic_core::mix;

use super::{
    step::{Local, Said, Step},
    trees::Tree,
    *,
};
use crate::timers::Timer;

pub(super) const PEERS: usize = 3;

/// A hasher without a secret: the count of unique states is asserted.
struct Print(u64);

impl Hasher for Print {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = mix(self.0.rotate_left(5) ^ word);
    }
}

pub(super) fn print(what: &impl Hash) -> u64 {
    let mut hasher = Print(0);
    what.hash(&mut hasher);
    hasher.finish()
}

/// What the nodes around the machines carry.
#[derive(Clone, Debug, Hash)]
pub(super) enum Carried {
    Message(Message),
    Signed { statement: Digest, attestation: Attestation },
}

#[derive(Clone, Debug, Hash)]
pub(super) struct Envelope {
    pub(super) from: Life,
    pub(super) to: Life,
    pub(super) what: Carried,
}

impl Envelope {
    pub(super) fn input(&self) -> Input {
        match &self.what {
            Carried::Message(message) => {
                Input::Message { from: self.from, message: message.clone() }
            }
            Carried::Signed { statement, attestation } => {
                Input::Attested { statement: *statement, attestation: attestation.clone() }
            }
        }
    }
}

/// Number of a peer, 0 to 2.
pub(super) fn index(life: Life) -> usize {
    usize::from(life.peer.as_bytes()[0]) - 1
}

pub(super) fn born(peer: usize, incarnation: u64) -> Life {
    life(u8::try_from(peer + 1).unwrap(), incarnation)
}

#[derive(Clone, Debug, Hash)]
pub(super) struct Host {
    pub(super) life: Life,
    pub(super) alive: bool,
    pub(super) machine: Completion,
    pub(super) disk: Vec<Record>,
    /// Bodies that run here, by their key's number in the tree.
    pub(super) bodies: BTreeSet<Key>,
    /// What its detector said last of the newest life of each other peer it was told of.
    pub(super) told: BTreeMap<Life, bool>,
    /// Lives whose end it was told.
    pub(super) mourned: BTreeSet<Life>,
    /// The view it was told last.
    pub(super) viewed: Option<Arc<[Life]>>,
}

fn machine(life: Life) -> Completion {
    let config = Config { flush: Duration::ZERO, takeover: Duration::ZERO, ..Config::default() };
    Completion::new(config, life, job())
}

impl Host {
    fn new(life: Life) -> Self {
        Self {
            life,
            alive: true,
            machine: machine(life),
            disk: vec![],
            bodies: BTreeSet::new(),
            told: BTreeMap::new(),
            mourned: BTreeSet::new(),
            viewed: None,
        }
    }

    /// What it says of a peer: the newest life it was told of, and whether that one is up.
    pub(super) fn opinion(&self, peer: usize) -> Option<(Life, bool)> {
        let told = self.told.iter().filter(|(life, _)| index(**life) == peer);
        told.max_by_key(|(life, _)| **life).map(|(life, up)| (*life, *up))
    }

    pub(super) fn keeps_home(&self) -> bool {
        self.disk.iter().any(|record| matches!(record, Record::Home { .. } | Record::Closed { .. }))
    }
}

/// Faults that may still strike.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
pub(super) struct Faults {
    pub(super) crashes: u8,
    pub(super) restarts: u8,
    pub(super) suspicions: u8,
}

/// Whether views of the mesh are part of the model: home groups follow them.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) enum Views {
    Untold,
    Told,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) hosts: [Arc<Host>; PEERS],
    pub(super) prints: [u64; PEERS],
    /// All that was ever sent to lives that still live. It may arrive any time, again, or never.
    pub(super) network: Arc<BTreeMap<u64, Arc<Envelope>>>,
    /// Tasks of which some body ran to its end: what really happened.
    pub(super) finished: BTreeSet<Key>,
    pub(super) verdict: Option<Digest>,
    pub(super) left: Faults,
    pub(super) views: Views,
    /// The first claim that did not hold.
    pub(super) broken: Option<&'static str>,
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.prints.hash(state);
        self.network.keys().for_each(|key| key.hash(state));
        (&self.finished, self.verdict, self.left, self.broken).hash(state);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        print(self) == print(other)
    }
}

/// What may happen next.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Deliver(u64, Arc<Envelope>),
    /// A body ends.
    End(usize, Key),
    /// This timer of this peer is the next to fire.
    Fire(usize, Timer),
    /// The detector corrects itself.
    Tell(usize, Life, bool),
    Crash(usize),
    /// With what is left of its disk.
    Restart(usize, Vec<Record>),
    Suspect(usize, Life),
    /// The view of exactly the live ones is told.
    View(usize, Arc<[Life]>),
}

impl PartialEq for Action {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl World {
    /// All know each other; the job was submitted at peer 0.
    pub(super) fn new(tree: &Tree, home: usize, (left, views): (Faults, Views)) -> Self {
        let hosts: [Arc<Host>; PEERS] =
            core::array::from_fn(|peer| Arc::new(Host::new(born(peer, 1))));
        let mut world = Self {
            prints: core::array::from_fn(|peer| print(&*hosts[peer])),
            hosts,
            network: Arc::default(),
            finished: BTreeSet::new(),
            verdict: None,
            left,
            views,
            broken: None,
        };
        for (observer, other) in pairs() {
            world.at_rest(
                tree,
                observer,
                &Local::Tell { life: born(other, 1), up: true, over: false },
            );
        }
        let lives: Vec<Life> = (0..home).map(|peer| born(peer, 1)).collect();
        world.at_rest(tree, 0, &Local::Plain(Input::Submit { spec: spec(&lives) }));
        world
    }

    pub(super) fn is_live(&self, life: Life) -> bool {
        let host = &self.hosts[index(life)];
        host.alive && host.life == life
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (usize, &Arc<Host>)> {
        self.hosts.iter().enumerate().filter(|(_, host)| host.alive)
    }

    pub(super) fn breaks(&mut self, claim: &'static str) {
        self.broken.get_or_insert(claim);
    }

    fn put(&mut self, peer: usize, host: Host) {
        self.prints[peer] = print(&host);
        self.hosts[peer] = Arc::new(host);
    }

    /// What a detector that is wrong or late may still say.
    pub(super) fn corrections(&self) -> Vec<(usize, Life, bool)> {
        let mut all = vec![];
        for (observer, other) in pairs() {
            let (host, target) = (&self.hosts[observer], &self.hosts[other]);
            if !host.alive {
                continue;
            }
            if host.opinion(other) != Some((target.life, target.alive)) {
                all.push((observer, target.life, target.alive));
            }
            // The end of an earlier life may be told late, after its successor came.
            let ended = (1..target.life.incarnation.0).map(|number| born(other, number));
            let untold = ended.filter(|life| !host.mourned.contains(life));
            all.extend(untold.map(|life| (observer, life, false)));
        }
        all
    }

    /// Who was not told the newest view, if views are told at all. Two of three decide on one.
    pub(super) fn untold(&self) -> Vec<(usize, Arc<[Life]>)> {
        let lives: Arc<[Life]> = self.live().map(|(_, host)| host.life).collect();
        let told = self.views == Views::Told && lives.len() * 2 > PEERS;
        let behind = self.live().filter(|(_, host)| told && host.viewed.as_ref() != Some(&lives));
        behind.map(|(peer, _)| (peer, Arc::clone(&lives))).collect()
    }

    /// The newest home group on any disk, and its generation.
    pub(super) fn newest_home(&self) -> (usize, Vec<Life>) {
        let records = self.hosts.iter().flat_map(|host| &host.disk);
        let groups = records.filter_map(|record| match record {
            Record::Home { spec, later } => {
                Some((later.len(), crate::current(spec, later).to_vec()))
            }
            _ => None,
        });
        groups.max().unwrap_or_default()
    }

    pub(super) fn crash(&mut self, peer: usize) {
        let mut host = (*self.hosts[peer]).clone();
        let dead = host.life;
        host.alive = false;
        host.bodies.clear();
        host.told.clear();
        host.mourned.clear();
        host.viewed = None;
        host.machine = machine(dead);
        self.put(peer, host);
        Arc::make_mut(&mut self.network).retain(|_, envelope| envelope.to != dead);
    }

    pub(super) fn restart(&mut self, tree: &Tree, peer: usize, records: Vec<Record>) {
        let old = self.hosts[peer].life;
        let life = Life::new(old.peer, old.incarnation.next());
        let mut host = Host::new(life);
        host.disk.clone_from(&records);
        self.put(peer, host);
        if !records.is_empty() {
            self.at_rest(tree, peer, &Local::Plain(Input::Restore { records }));
        }
        for other in (0..PEERS).filter(|other| *other != peer) {
            let target = &self.hosts[other];
            let news = self.news((target.life, target.alive));
            self.at_rest(tree, peer, &news);
        }
    }

    pub(super) fn news(&self, (life, up): (Life, bool)) -> Local {
        Local::Tell { life, up, over: !self.is_live(life) }
    }

    fn at_rest(&mut self, tree: &Tree, peer: usize, what: &Local) {
        let step = Step::rest(tree, &self.hosts[peer], what);
        self.commit(tree, peer, (what, &step));
    }

    /// One peer's step becomes part of the world.
    pub(super) fn commit(&mut self, tree: &Tree, peer: usize, (what, step): (&Local, &Step)) {
        if let Local::End(key) = what {
            self.finished.insert(*key);
        }
        self.prints[peer] = step.print;
        self.hosts[peer] = Arc::clone(&step.host);
        for said in &step.said {
            match said {
                Said::Post(key, envelope) => self.post(*key, envelope),
                Said::Event(event) => self.event(tree, event),
                Said::Breaks(claim) => self.breaks(claim),
            }
        }
    }

    fn post(&mut self, key: u64, envelope: &Arc<Envelope>) {
        if self.is_live(envelope.to) && !self.network.contains_key(&key) {
            Arc::make_mut(&mut self.network).insert(key, Arc::clone(envelope));
        }
    }

    fn event(&mut self, tree: &Tree, event: &Event) {
        match event {
            Event::Complete { .. } => self.check_cover(tree),
            Event::Verdict(verdict) => {
                self.check_cover(tree);
                let result = Digest::of(&[format!("{:?}", verdict.decree).as_bytes()]);
                if self.verdict.is_some_and(|first| first != result) {
                    self.breaks("all learn one result");
                }
                self.verdict = Some(result);
                let sealed = &verdict.certificate.statement.sealed;
                let works = |life: &Life| {
                    self.is_live(*life) && !self.hosts[index(*life)].bodies.is_empty()
                };
                if sealed.iter().any(|(life, _)| works(life)) {
                    self.breaks("no sealed life runs a body at the verdict");
                }
            }
            Event::Anomaly { .. } => self.breaks("the two proofs agree"),
            _ => {}
        }
    }

    /// I2: bodies do the same in each execution, so every task of the tree has to have ended.
    fn check_cover(&mut self, tree: &Tree) {
        if !tree.keys().iter().all(|key| self.finished.contains(key)) {
            self.breaks("complete is never early");
        }
    }
}

/// Ordered pairs of different peers.
pub(super) fn pairs() -> impl Iterator<Item = (usize, usize)> {
    let all = (0..PEERS).flat_map(|a| (0..PEERS).map(move |b| (a, b)));
    all.filter(|(a, b)| a != b)
}
