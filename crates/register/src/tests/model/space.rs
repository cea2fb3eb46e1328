//! Peers over a network that is a set: what was sent may arrive at any time, again, or never.
//!
//! Three things keep the space small without leaving anything out. A peer in a state it was in before is
//! asked once what it does there. What happens only later than something else by a timer happens at any
//! time: more than clocks allow. And a message whose arrival cannot matter any more, now or later, is not
//! kept ([`System::is_dead`]); `the_dead_do_not_matter` compares with all of them kept.

use core::{
    fmt::Debug,
    hash::{Hash, Hasher as _},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use stateright::{Checker, Model, Path, Property};

/// Anything that states are made of.
pub(crate) trait Part: Clone + Debug + Eq + Hash + Send + Sync {}
impl<T: Clone + Debug + Eq + Hash + Send + Sync> Part for T {}

/// A message under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sent<M> {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) message: M,
}

/// What may happen at one peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What<M, L> {
    Message(M),
    Local(L),
}

/// What happens before the first state.
#[derive(Clone, Debug)]
pub(crate) enum First<L> {
    Local(usize, L),
    /// Everything that is under way to this peer arrives.
    #[allow(dead_code, reason = "not every crate that includes this begins so")]
    Deliver(usize),
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Step<S: System> {
    pub(crate) host: S::Host,
    pub(crate) sent: Vec<Sent<S::Message>>,
    pub(crate) events: Vec<S::Event>,
}

/// Some peers, their faults, and what must hold.
pub(crate) trait System: Sized + Send + Sync {
    /// A peer: its machine and its disk.
    type Host: Part;
    type Message: Part;
    /// What may happen at a peer without a message.
    type Local: Part;
    type Event: Part;
    /// What was seen so far.
    type Ledger: Part + Default;

    /// The peers before anything happened, and what happens first.
    fn start(&self) -> (Vec<Self::Host>, Vec<First<Self::Local>>);
    fn locals(&self, at: usize, host: &Self::Host) -> Vec<Self::Local>;
    /// Ends the process and starts it from its disk.
    fn crash(&self) -> Self::Local;
    /// Time passes at all peers alike.
    fn tick(&self) -> Option<Self::Local>;
    /// One step; the process ends at the `cut`-th place where that makes a difference, and starts again.
    /// `None`: there is no such place, or it is beyond the bounds.
    fn step(
        &self,
        at: usize,
        host: &Self::Host,
        what: &What<Self::Message, Self::Local>,
        cut: Option<usize>,
    ) -> Option<Step<Self>>;
    /// Whether this message cannot matter any more, whatever happens.
    fn is_dead(&self, sent: &Sent<Self::Message>, from: &Self::Host, to: &Self::Host) -> bool;
    /// Whether this message arrives once at most.
    fn arrives_once(&self, _: &Self::Message) -> bool {
        false
    }
    fn note(&self, ledger: &mut Self::Ledger, at: usize, event: &Self::Event);
    /// What must hold in every state; the name of what does not.
    fn broken(&self, hosts: &[Arc<Self::Host>], ledger: &Self::Ledger) -> Option<&'static str>;
    /// What must be reached.
    fn reached(&self, ledger: &Self::Ledger) -> bool;
}

/// Hosts and messages by number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State<L> {
    hosts: Vec<u32>,
    /// Sorted.
    sent: Vec<u32>,
    crashes: u8,
    ledger: L,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Deliver(u32, Option<usize>),
    /// The one of this number among those that the peer offers.
    Local(usize, usize, Option<usize>),
    Crash(usize),
    Tick,
}

/// Everything met so far of one kind.
struct Names<T> {
    numbers: BTreeMap<u64, u32>,
    things: Vec<Arc<T>>,
}

impl<T: Hash> Names<T> {
    const fn new() -> Self {
        Self { numbers: BTreeMap::new(), things: vec![] }
    }

    fn name(&mut self, thing: T) -> u32 {
        let next = u32::try_from(self.things.len()).unwrap();
        let number = *self.numbers.entry(print(&thing)).or_insert(next);
        if number == next {
            self.things.push(Arc::new(thing));
        }
        number
    }

    fn get(&self, number: u32) -> Arc<T> {
        Arc::clone(&self.things[number as usize])
    }
}

/// A step with its results by number.
struct Known<E> {
    host: u32,
    sent: Vec<u32>,
    events: Vec<E>,
}

/// Host, what, cut.
type Cause = (u32, u64, Option<usize>);

/// Which messages are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    Living,
    /// Also those that cannot matter.
    All,
}

struct Memory<S: System> {
    hosts: Names<S::Host>,
    sent: Names<Sent<S::Message>>,
    steps: BTreeMap<Cause, Option<Arc<Known<S::Event>>>>,
    /// Prints of what all peers were and had seen, messages left out.
    seen: Option<BTreeSet<u64>>,
}

/// A system and how far it is explored.
struct Space<S: System> {
    system: S,
    crashes: u8,
    keeping: Keeping,
    #[expect(
        clippy::disallowed_types,
        reason = "the checker shares the model between its threads"
    )]
    memory: std::sync::Mutex<Memory<S>>,
}

#[expect(clippy::disallowed_types, reason = "compared within one run only")]
fn print(thing: &impl Hash) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}

impl<S: System> Space<S> {
    fn new(system: S, crashes: u8, keeping: Keeping) -> Self {
        let memory =
            Memory { hosts: Names::new(), sent: Names::new(), steps: BTreeMap::new(), seen: None };
        Self { system, crashes, keeping, memory: memory.into() }
    }

    fn host(&self, number: u32) -> Arc<S::Host> {
        self.memory.lock().unwrap().hosts.get(number)
    }

    fn known(
        &self,
        at: usize,
        host: u32,
        what: &What<S::Message, S::Local>,
        cut: Option<usize>,
    ) -> Option<Arc<Known<S::Event>>> {
        let key = (host, print(&(at, what)), cut);
        let mut memory = self.memory.lock().unwrap();
        if let Some(known) = memory.steps.get(&key) {
            return known.clone();
        }
        let before = memory.hosts.get(host);
        let known = self.system.step(at, &before, what, cut).map(|step| {
            let sent = step.sent.into_iter().map(|sent| memory.sent.name(sent)).collect();
            Arc::new(Known { host: memory.hosts.name(step.host), sent, events: step.events })
        });
        memory.steps.insert(key, known.clone());
        known
    }

    /// Takes one step in `state`; whether there was one.
    fn take(
        &self,
        state: &mut State<S::Ledger>,
        at: usize,
        what: &What<S::Message, S::Local>,
        cut: Option<usize>,
    ) -> bool {
        let Some(known) = self.known(at, state.hosts[at], what, cut) else { return false };
        state.hosts[at] = known.host;
        state.sent.extend(&known.sent);
        for event in &known.events {
            self.system.note(&mut state.ledger, at, event);
        }
        true
    }

    fn deliver_all(&self, state: &mut State<S::Ledger>, to: usize) {
        for number in state.sent.clone() {
            let sent = self.memory.lock().unwrap().sent.get(number);
            if sent.to == to {
                self.take(state, to, &What::Message(sent.message.clone()), None);
            }
        }
    }

    /// What can matter no more is dropped.
    fn tidy(&self, state: &mut State<S::Ledger>) {
        state.sent.sort_unstable();
        state.sent.dedup();
        if self.keeping == Keeping::All {
            return;
        }
        let memory = self.memory.lock().unwrap();
        let host = |at: usize| &memory.hosts.things[state.hosts[at] as usize];
        state.sent.retain(|number| {
            let sent = &memory.sent.things[*number as usize];
            !self.system.is_dead(sent, host(sent.from), host(sent.to))
        });
    }

    /// The action in words, for traces.
    fn describe(&self, state: &State<S::Ledger>, action: Action) -> String {
        match action {
            Action::Deliver(number, cut) => {
                format!("{:?} {cut:?}", self.memory.lock().unwrap().sent.get(number))
            }
            Action::Local(at, number, cut) => {
                let host = self.host(state.hosts[at]);
                format!("{at}: {:?} {cut:?}", self.system.locals(at, &host)[number])
            }
            Action::Crash(_) | Action::Tick => format!("{action:?}"),
        }
    }

    fn local_actions(&self, state: &State<S::Ledger>, at: usize, actions: &mut Vec<Action>) {
        let locals = self.system.locals(at, &self.host(state.hosts[at])).len();
        actions.extend((0..locals).map(|local| Action::Local(at, local, None)));
        if state.crashes > 0 {
            for local in 0..locals {
                let cuts = self.crash_at(state, at, None, local);
                actions.extend((0..cuts).map(|cut| Action::Local(at, local, Some(cut))));
            }
            actions.push(Action::Crash(at));
        }
    }

    /// How many ends within this step make a difference.
    fn crash_at(
        &self,
        state: &State<S::Ledger>,
        at: usize,
        sent: Option<u32>,
        local: usize,
    ) -> usize {
        let host = self.host(state.hosts[at]);
        let what = match sent {
            Some(number) => {
                What::Message(self.memory.lock().unwrap().sent.get(number).message.clone())
            }
            None => What::Local(self.system.locals(at, &host)[local].clone()),
        };
        (0..).take_while(|cut| self.known(at, state.hosts[at], &what, Some(*cut)).is_some()).count()
    }
}

impl<S: System> Model for Space<S> {
    type State = State<S::Ledger>;
    type Action = Action;

    fn init_states(&self) -> Vec<Self::State> {
        let (hosts, first) = self.system.start();
        let hosts = {
            let mut memory = self.memory.lock().unwrap();
            hosts.into_iter().map(|host| memory.hosts.name(host)).collect()
        };
        let ledger = S::Ledger::default();
        let mut state = State { hosts, sent: vec![], crashes: self.crashes, ledger };
        for first in first {
            match first {
                First::Local(at, local) => {
                    assert!(self.take(&mut state, at, &What::Local(local), None), "a first step");
                }
                First::Deliver(to) => self.deliver_all(&mut state, to),
            }
            self.tidy(&mut state);
        }
        vec![state]
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Action>) {
        for number in &state.sent {
            actions.push(Action::Deliver(*number, None));
            if state.crashes > 0 {
                let to = self.memory.lock().unwrap().sent.get(*number).to;
                let cuts = self.crash_at(state, to, Some(*number), 0);
                actions.extend((0..cuts).map(|cut| Action::Deliver(*number, Some(cut))));
            }
        }
        for at in 0..state.hosts.len() {
            self.local_actions(state, at, actions);
        }
        actions.extend(self.system.tick().map(|_| Action::Tick));
    }

    fn next_state(&self, last: &Self::State, action: Action) -> Option<Self::State> {
        let mut state = last.clone();
        let took = match action {
            Action::Deliver(number, cut) => {
                let sent = self.memory.lock().unwrap().sent.get(number);
                state.crashes -= u8::from(cut.is_some());
                let took =
                    self.take(&mut state, sent.to, &What::Message(sent.message.clone()), cut);
                if self.system.arrives_once(&sent.message) && state != *last {
                    state.sent.retain(|other| *other != number);
                }
                took
            }
            Action::Local(at, number, cut) => {
                let local = self.system.locals(at, &self.host(state.hosts[at]))[number].clone();
                state.crashes -= u8::from(cut.is_some());
                self.take(&mut state, at, &What::Local(local), cut)
            }
            Action::Crash(at) => {
                state.crashes -= 1;
                self.take(&mut state, at, &What::Local(self.system.crash()), None)
            }
            Action::Tick => {
                let tick = What::Local(self.system.tick()?);
                (0..state.hosts.len()).all(|at| self.take(&mut state, at, &tick, None))
            }
        };
        if !took {
            return None;
        }
        self.tidy(&mut state);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("safe", |space: &Self, state: &Self::State| {
                let mut memory = space.memory.lock().unwrap();
                let hosts: Vec<_> = state.hosts.iter().map(|at| memory.hosts.get(*at)).collect();
                if let Some(seen) = &mut memory.seen {
                    seen.insert(print(&(&hosts, &state.ledger)));
                }
                space.system.broken(&hosts, &state.ledger).is_none()
            }),
            Property::sometimes("reached", |space: &Self, state: &Self::State| {
                space.system.reached(&state.ledger)
            }),
        ]
    }
}

/// The trace that led to a violation, a line per step.
fn told<S: System>(space: &Space<S>, path: Path<State<S::Ledger>, Action>) -> String {
    let last = path.last_state().clone();
    let hosts: Vec<_> = last.hosts.iter().map(|host| space.host(*host)).collect();
    let steps = path.into_vec();
    let lines = steps.iter().filter_map(|(state, action)| {
        action.map(|action| format!("  {}\n", space.describe(state, action)))
    });
    let lines: Vec<_> = lines.collect();
    let why = space.system.broken(&hosts, &last.ledger);
    format!("{why:?} after {} steps:\n{}", lines.len(), lines.concat())
}

/// Explores all of it, breadth first, and finds so many unique states.
#[expect(clippy::disallowed_types, reason = "how long it takes is part of the row")]
pub(crate) fn explore<S: System + 'static>(name: &str, system: S, crashes: u8, states: usize) {
    let start = std::time::Instant::now();
    let space = Space::new(system, crashes, Keeping::Living);
    let checker = space.checker().finish_when(stateright::HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    let unique = checker.unique_state_count();
    println!(
        "| {name} | {crashes} crashes | {unique} | depth {} | {:.1} s |",
        checker.max_depth(),
        start.elapsed().as_secs_f64(),
    );
    if let Some(path) = checker.discovery("safe") {
        panic!("{}", told(checker.model(), path));
    }
    checker.assert_any_discovery("reached");
    // A mutant has other states; that alone is not to betray it.
    if !cfg!(formic_ablate) {
        assert_eq!(unique, states, "{name} has other states now");
    }
}

/// Asserts that the peers reach the same states, whether or not messages that cannot matter are kept.
pub(crate) fn compare<S: System + 'static>(system: impl Fn() -> S, crashes: u8) {
    let seen = |keeping| {
        let space = Space::new(system(), crashes, keeping);
        space.memory.lock().unwrap().seen = Some(BTreeSet::new());
        let checker = space.checker().finish_when(stateright::HasDiscoveries::AnyFailures);
        let checker = checker.spawn_bfs().join();
        println!("{keeping:?}: {} states", checker.unique_state_count());
        let seen = checker.model().memory.lock().unwrap().seen.take();
        seen.unwrap()
    };
    assert_eq!(seen(Keeping::Living), seen(Keeping::All));
}
