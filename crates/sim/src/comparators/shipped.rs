//! Ours: one `Completion` for each peer, as shipped, with its default configuration.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_completion::{
    Attestation, Completion, Config, Effect, Error, Event, Fact, Input, JobSpec, Message, Record,
    Spawn,
};
use formic_core::{
    Descriptor, Digest, Incarnation, JobId, Key, Life, Outcome, Output, PeerId, Protocol, Time,
};

use super::{Act, Detector, Happened, Schedule};

/// What the nodes around the machines carry.
#[derive(Clone, Debug)]
pub enum Note {
    /// A message of the machine, from one life to another.
    Machine {
        /// Who wrote it.
        from: Life,
        /// Who shall read it: no later life of the same peer.
        to: Life,
        /// What it says.
        message: Message,
    },
    /// A signature another peer asked for.
    Signed {
        /// Digest of the statement.
        statement: Digest,
        /// Who signed it.
        attestation: Attestation,
    },
}

/// All peers of one job.
#[derive(Clone, Debug)]
pub struct Shipped<'a> {
    schedule: &'a Schedule,
    mode: Spawn,
    machines: Vec<Completion>,
    lives: Vec<Life>,
    /// What each peer wrote to its disk.
    disks: Vec<Vec<Record>>,
    keys: Vec<Key>,
    numbers: BTreeMap<Key, usize>,
    descriptors: Vec<Arc<Descriptor>>,
    spec: Arc<JobSpec>,
    /// Who is believed dead: (by whom, who).
    down: BTreeSet<(usize, usize)>,
    /// The life of each peer that each was told of: (to whom, who).
    told: BTreeMap<(usize, usize), Life>,
}

pub(super) fn life(peer: usize) -> Life {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&(peer as u64).to_be_bytes());
    Life::new(PeerId::from_bytes(bytes), Incarnation(1))
}

fn peer_of(life: Life) -> usize {
    let tail = life.peer.as_bytes().last_chunk().map_or(0, |tail| u64::from_be_bytes(*tail));
    usize::try_from(tail).unwrap_or(usize::MAX)
}

fn descriptor(task: usize) -> Arc<Descriptor> {
    let payload = (task as u64).to_be_bytes().to_vec();
    let (kind, name) = ("schedule".to_owned(), String::new());
    Arc::new(Descriptor {
        kind,
        name,
        requires: vec![],
        payload,
        recipe: vec![],
        wall: None,
        exclusive: None,
    })
}

fn task_of(descriptor: &Descriptor) -> usize {
    let number = descriptor.payload.first_chunk().map_or(0, |head| u64::from_be_bytes(*head));
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl<'a> Shipped<'a> {
    /// All machines, fresh; parents await their children.
    pub fn new(schedule: &'a Schedule) -> Self {
        Self::spawning(schedule, Spawn::Nested)
    }

    /// All machines, fresh; children are awaited or handed over.
    pub fn spawning(schedule: &'a Schedule, mode: Spawn) -> Self {
        let job = JobId::derive(life(0), 1);
        let count = schedule.tasks.len();
        let descriptors: Vec<Arc<Descriptor>> = (0..count).map(descriptor).collect();
        let mut keys = vec![Key::root(job, descriptors[0].digest()); count];
        // A parent has a lower number than its children.
        for (parent, task) in schedule.tasks.iter().enumerate() {
            for (index, (_, child)) in task.spawns.iter().enumerate() {
                let digest = descriptors[*child].digest();
                keys[*child] = Key::child(job, keys[parent], index as u64, digest);
            }
        }
        let home = (0..schedule.home).map(life).collect();
        let root = Arc::clone(&descriptors[0]);
        let machine = |peer| Completion::new(Config::default(), life(peer), job);
        Self {
            schedule,
            mode,
            machines: (0..schedule.peers).map(machine).collect(),
            numbers: keys.iter().enumerate().map(|(number, key)| (*key, number)).collect(),
            keys,
            descriptors,
            spec: Arc::new(JobSpec { job, root, plan: Digest::of(&[b"schedule"]), home }),
            down: BTreeSet::new(),
            told: BTreeMap::new(),
            lives: (0..schedule.peers).map(life).collect(),
            disks: vec![vec![]; schedule.peers],
        }
    }

    /// Whether the job is over at `peer`: sealed, verdict known.
    pub fn knows_verdict(&self, peer: usize) -> bool {
        self.machines.get(peer).is_some_and(Completion::is_closed)
    }

    fn inputs(&mut self, peer: usize, what: Happened<Note>) -> Vec<Input> {
        match what {
            Happened::Start => {
                let others = (0..self.schedule.peers).filter(|other| *other != peer);
                let mut inputs: Vec<_> = others.map(|other| self.up(peer, other)).collect();
                if peer == 0 {
                    inputs.push(Input::Submit { spec: Arc::clone(&self.spec) });
                }
                inputs
            }
            Happened::Message { message: Note::Machine { from, to, message }, .. } => {
                let mine = to == self.lives[peer];
                if mine { vec![Input::Message { from, message }] } else { vec![] }
            }
            Happened::Message { message: Note::Signed { statement, attestation }, .. } => {
                vec![Input::Attested { statement, attestation }]
            }
            Happened::Spawned { parent, index, child } => {
                let descriptor = Arc::clone(&self.descriptors[child]);
                let (owner, index) = (self.keys[parent], index as u64);
                vec![Input::Spawn { owner, index, descriptor, mode: self.mode }]
            }
            Happened::Ended { task } => {
                let value = (task as u64).to_be_bytes().to_vec();
                let outcome = Outcome::Ok(Output { value, files: vec![] });
                let slot = Duration::ZERO;
                vec![Input::BodyFinished { key: self.keys[task], outcome, slot }]
            }
            Happened::Down { peer: other } => {
                self.down.insert((peer, other));
                vec![Input::Down { life: self.known(peer, other) }]
            }
            Happened::Up { peer: other } => vec![self.up(peer, other)],
            Happened::Restarted => {
                let reborn = Life::new(self.lives[peer].peer, self.lives[peer].incarnation.next());
                self.lives[peer] = reborn;
                self.machines[peer] = Completion::new(Config::default(), reborn, self.spec.job);
                self.down.retain(|(observer, _)| *observer != peer);
                let records = self.disks[peer].clone();
                if records.is_empty() { vec![] } else { vec![Input::Restore { records }] }
            }
            Happened::Deadline => vec![Input::Deadline],
        }
    }

    fn up(&mut self, observer: usize, other: usize) -> Input {
        self.down.remove(&(observer, other));
        self.told.insert((observer, other), self.lives[other]);
        Input::Up { life: self.lives[other] }
    }

    /// The life of `other` that `observer` was told of last.
    fn known(&self, observer: usize, other: usize) -> Life {
        let own = || self.lives.get(other).copied().unwrap_or_else(|| life(other));
        self.told.get(&(observer, other)).copied().unwrap_or_else(own)
    }

    /// The place the schedule names, or the next peer that is not to be avoided.
    fn place(&self, asker: usize, task: usize, avoid: Option<Life>) -> Life {
        let first = self.schedule.place(task);
        let places = (first..first + self.schedule.peers).map(|peer| peer % self.schedule.peers);
        let mut good = places
            .map(|peer| (peer, self.known(asker, peer)))
            .filter(|(peer, life)| !self.down.contains(&(asker, *peer)) && avoid != Some(*life));
        good.next().map_or_else(|| self.known(asker, first), |(_, life)| life)
    }

    /// What the node around a machine does itself; the rest is for the world.
    fn apply(&mut self, peer: usize, effect: Effect, out: &mut Vec<Act<Note>>) -> Option<Input> {
        match effect {
            Effect::Send { to, message } => {
                let message = Note::Machine { from: self.lives[peer], to, message };
                out.push(Act::Send { to: peer_of(to), message });
            }
            Effect::Place { key, attempt, descriptor, avoid } => {
                let life = self.place(peer, task_of(&descriptor), avoid);
                return Some(Input::Placed { key, attempt, life });
            }
            Effect::Execute { descriptor, .. } => {
                out.push(Act::Execute { task: task_of(&descriptor) });
            }
            Effect::Abort { key } => {
                out.extend(self.numbers.get(&key).map(|task| Act::Abort { task: *task }));
            }
            Effect::Sign { to, statement } => {
                let signature = statement.as_bytes().to_vec();
                let signer = self.lives[peer];
                let attestation = Attestation { signer, public_key: vec![], signature };
                if peer_of(to) == peer {
                    return Some(Input::Attested { statement, attestation });
                }
                let message = Note::Signed { statement, attestation };
                out.push(Act::Send { to: peer_of(to), message });
            }
            Effect::Event(Event::Complete { .. }) => out.push(Act::Announce),
            Effect::Persist(record) => self.disks[peer].push(record),
            // The other events are for people.
            Effect::Unplace { .. } | Effect::Event(_) => {}
        }
        None
    }
}

impl Detector for Shipped<'_> {
    type Message = Note;

    fn on(
        &mut self,
        now: Time,
        peer: usize,
        what: Happened<Note>,
        out: &mut Vec<Act<Note>>,
    ) -> Result<(), Error> {
        let mut inputs = self.inputs(peer, what);
        let mut effects = Vec::new();
        while !inputs.is_empty() {
            for input in inputs.drain(..) {
                self.machines[peer].handle(now, input, &mut effects)?;
            }
            for effect in core::mem::take(&mut effects) {
                inputs.extend(self.apply(peer, effect, out));
            }
        }
        Ok(())
    }

    fn deadline(&self, peer: usize) -> Option<Time> {
        self.machines[peer].deadline()
    }

    fn work(&self, message: &Note) -> Option<usize> {
        match message {
            Note::Machine { message: Message::Work { descriptor, .. }, .. } => {
                Some(task_of(descriptor))
            }
            _ => None,
        }
    }

    fn words(&self, note: &Note) -> Option<String> {
        let name = |key: &Key| self.numbers.get(key).map_or("?", |task| self.schedule.name(*task));
        let Note::Machine { message, .. } = note else { return Some("signed".to_owned()) };
        let words = match message {
            Message::Work { key, .. } => return Some(format!("run {}", name(key))),
            Message::Signal(signal) if !signal.done.is_empty() => {
                return Some(facts(&signal.done, name));
            }
            Message::Register { .. } => "the home group agrees on the result",
            Message::Probe { .. } => "seal: no more work of this job",
            Message::Sealed { seal } if seal.live_before == 0 => "sealed, nothing runs here",
            Message::Sealed { .. } => "sealed, something was stopped here",
            Message::Attest { .. } => "sign that all are sealed",
            Message::Announce { .. } => "the job is over, here is the proof",
            _ => return None,
        };
        Some(words.to_owned())
    }
}

fn facts<'a>(facts: &[Fact], name: impl Fn(&Key) -> &'a str) -> String {
    let words = facts.iter().map(|fact| match fact.tally.tasks {
        0 | 1 => format!("{} is done", name(&fact.key)),
        _ => format!("{} and all it spawned is done", name(&fact.key)),
    });
    words.collect::<Vec<_>>().join(", ")
}
