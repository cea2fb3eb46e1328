//! What one peer does on its own: a function of its state and of what happens to it, so that it is
//! computed once for all worlds in which it is in that state.

use core::time::Duration;
use std::collections::VecDeque;

use super::{
    trees::Tree,
    world::{Carried, Envelope, Host, PEERS, index, print},
    *,
};
use crate::timers::Timer;

/// Where all timers of a machine rest until the model fires one of them.
const PARKED: Time = Time::from_us(1);

/// What happens to one peer.
#[derive(Clone, Debug)]
pub(super) enum Local {
    Plain(Input),
    Deliver(u64, Arc<Envelope>),
    /// A body ends.
    End(Key),
    /// This timer is due.
    Fire(Timer),
    /// The detector speaks; `over` if the life has in truth ended.
    Tell {
        life: Life,
        up: bool,
        over: bool,
    },
    /// A view of the mesh was committed.
    View(Arc<[Life]>),
}

impl Local {
    pub(super) fn print(&self) -> u64 {
        match self {
            Self::Plain(input) => print(&(0_u64, input)),
            Self::Deliver(key, _) => *key,
            Self::End(key) => print(&(1_u64, key)),
            Self::Fire(timer) => print(&(2_u64, timer)),
            Self::Tell { life, up, over } => print(&(3_u64, life, up, over)),
            Self::View(lives) => print(&(4_u64, lives)),
        }
    }

    /// Changes what is around the machine; returns what the machine is told.
    fn enter(&self, host: &mut Host) -> Input {
        match self {
            Self::Plain(input) => input.clone(),
            Self::Deliver(_, envelope) => envelope.input(),
            Self::End(key) => {
                host.bodies.remove(key);
                Input::BodyFinished { key: *key, outcome: ok(), slot: Duration::ZERO }
            }
            Self::Fire(timer) => {
                host.machine.timers.set(*timer, Time::ZERO);
                Input::Deadline
            }
            Self::Tell { life, up, over } => {
                let life = *life;
                if !up && *over {
                    host.mourned.insert(life);
                }
                if host.opinion(index(life)).is_none_or(|(newest, _)| newest <= life) {
                    host.told.retain(|other, _| other.peer != life.peer);
                    host.told.insert(life, *up);
                }
                if *up { Input::Up { life } } else { Input::Down { life } }
            }
            Self::View(lives) => {
                host.viewed = Some(Arc::clone(lives));
                Input::Members { lives: Arc::clone(lives) }
            }
        }
    }
}

/// What others notice of a step, in order.
#[derive(Debug)]
pub(super) enum Said {
    Post(u64, Arc<Envelope>),
    Event(Event),
    Breaks(&'static str),
}

/// One peer after something happened to it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) host: Arc<Host>,
    pub(super) print: u64,
    pub(super) said: Vec<Said>,
}

impl Step {
    /// In a model: time stands still.
    pub(super) fn rest(tree: &Tree, before: &Host, what: &Local) -> Self {
        let (mut host, said) = react(tree, before, (Time::ZERO, what));
        normalise(&mut host.machine);
        Self { print: print(&host), host: Arc::new(host), said }
    }

    /// While a world settles: time passes.
    pub(super) fn at(tree: &Tree, before: &Host, (now, what): (Time, &Local)) -> Self {
        let (host, said) = react(tree, before, (now, what));
        Self { print: 0, host: Arc::new(host), said }
    }
}

/// Feeds one input and all that follows at this peer without delay.
fn react(tree: &Tree, before: &Host, (now, what): (Time, &Local)) -> (Host, Vec<Said>) {
    let (mut host, mut said) = (before.clone(), vec![]);
    let mut inputs = VecDeque::from([what.enter(&mut host)]);
    while let Some(input) = inputs.pop_front() {
        if let Input::Spawn { owner, .. } = &input
            && !host.bodies.contains(owner)
        {
            continue; // Its body was stopped meanwhile.
        }
        let author = !host.machine.is_closed() && matches!(input, Input::Attested { .. });
        let mut out = vec![];
        if host.machine.handle(now, input, &mut out).is_err() {
            said.push(Said::Breaks("honest peers refuse nothing that honest peers do"));
        }
        if author && !covers_members(&host) {
            said.push(Said::Breaks("every member is sealed or excluded"));
        }
        for effect in out {
            inputs.extend(apply(tree, &mut host, (effect, &mut said)));
        }
        if inputs.is_empty() && host.machine.deadline().is_some_and(|at| at <= now) {
            inputs.push_back(Input::Deadline);
        }
    }
    host.machine.check();
    (host, said)
}

/// At the verdict, every member that its author was told of is sealed or excluded (I6).
fn covers_members(host: &Host) -> bool {
    let Some(verdict) = host.machine.verdict() else { return true };
    let statement = &verdict.certificate.statement;
    let listed = statement.sealed.iter().map(|(life, _)| life).chain(&statement.excluded);
    let listed: Vec<&Life> = listed.collect();
    let covers = |told: &Life| listed.iter().any(|life| life.peer == told.peer && *life >= told);
    host.told.keys().all(covers)
}

fn apply(tree: &Tree, host: &mut Host, (effect, said): (Effect, &mut Vec<Said>)) -> Vec<Input> {
    let mut post = |from: Life, to: Life, what: Carried| {
        let envelope = Envelope { from, to, what };
        said.push(Said::Post(print(&envelope), Arc::new(envelope)));
    };
    match effect {
        Effect::Persist(record) if host.disk.last() != Some(&record) => host.disk.push(record),
        Effect::Send { to, message } => {
            let atoms = atoms(message).into_iter();
            atoms.for_each(|message| post(host.life, to, Carried::Message(message)));
        }
        Effect::Place { key, attempt, avoid, .. } => {
            let life = place(tree, host, (key, avoid));
            return vec![Input::Placed { key, attempt, life }];
        }
        Effect::Execute { key, .. } => {
            if host.machine.is_sealed() {
                said.push(Said::Breaks("a sealed life starts no body"));
            }
            host.bodies.insert(key);
            return tree.spawns(key);
        }
        Effect::Abort { key } => {
            host.bodies.remove(&key);
        }
        Effect::Sign { to, statement } => {
            let attestation = attestation(host.life);
            if to == host.life {
                return vec![Input::Attested { statement, attestation }];
            }
            post(host.life, to, Carried::Signed { statement, attestation });
        }
        Effect::Event(event) => said.push(Said::Event(event)),
        Effect::Persist(_) | Effect::Unplace { .. } => {}
    }
    vec![]
}

/// The tree's place, or the next peer that the asker believes alive.
fn place(tree: &Tree, host: &Host, (key, avoid): (Key, Option<Life>)) -> Life {
    let first = tree.place(key);
    let peers = (first..first + PEERS).map(|peer| peer % PEERS);
    let up = peers.filter_map(|peer| match peer == index(host.life) {
        true => Some(host.life),
        false => host.opinion(peer).filter(|(_, up)| *up).map(|(life, _)| life),
    });
    let lives: Vec<Life> = up.collect();
    let best = lives.iter().find(|life| Some(**life) != avoid).or(lives.first());
    best.copied().unwrap_or(host.life)
}

/// A signal is taken apart: what it gathers may arrive in any order, and which facts happened to leave
/// together makes no state of its own.
fn atoms(message: Message) -> Vec<Message> {
    let Message::Signal(signal) = message else { return vec![message] };
    let empty = Signal::default;
    let accepted = signal.accepted.into_iter().map(|key| Signal { accepted: vec![key], ..empty() });
    let done = signal.done.into_iter().map(|fact| Signal { done: vec![fact], ..empty() });
    let taken = signal.taken.into_iter().map(|key| Signal { taken: vec![key], ..empty() });
    let cancelled =
        signal.cancelled.into_iter().map(|pair| Signal { cancelled: vec![pair], ..empty() });
    let unknown = signal.unknown.into_iter().map(|key| Signal { unknown: vec![key], ..empty() });
    let all = accepted.chain(done).chain(taken).chain(cancelled).chain(unknown);
    all.map(Message::Signal).collect()
}

/// States that differ only in times, in how often something was repeated, or in counts that no longer
/// decide anything are one state.
fn normalise(machine: &mut Completion) {
    machine.timers.park(PARKED);
    for task in machine.tasks.values_mut() {
        task.age = 0;
        task.children.values_mut().for_each(|child| child.age = 0);
    }
    if machine.counts.disturbed > 0 {
        machine.counts = Seal { disturbed: 1, ..Seal::default() };
    }
}
