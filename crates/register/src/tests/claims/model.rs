//! The shipped claims, exhaustively: three replicas, two of them claim one task. The network is a set
//! that only grows: what was sent may arrive at any time, again, or never. Time passes at each peer
//! alone, so any lease may seem to end first: what must hold here holds without clocks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use formic_core::Incarnation;
use stateright::{Checker, Model, Property};

use super::*;
use crate::claims::{Event, Fence, Message, Record};

mod crash;
mod moved;
mod world;

const PEERS: usize = 3;
const LEASE: Duration = Duration::from_millis(500);
/// Longer than a lease and than any wait for an answer.
const WHILE: Duration = Duration::from_secs(2);

/// Who sent it, to whom, what.
type Sent = (Life, usize, Message<u32>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    machines: Vec<Claims<u32>>,
    lives: Vec<Life>,
    /// How many views each was told.
    told: Vec<usize>,
    entered: Vec<Option<Record<u32>>>,
    disks: Vec<Option<Record<u32>>>,
    sent: BTreeSet<Sent>,
    crashes: u8,
    granted: BTreeMap<Fence, Life>,
    decided: BTreeSet<u32>,
    adopted: bool,
    broken: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Action {
    Deliver(Sent),
    /// It arrives, and the receiver ends after so many of the effects.
    DeliverInto(Sent, usize),
    /// Much time passes at this peer alone.
    Pass(usize),
    Commit(usize),
    View(usize),
    Crash(usize),
}

/// The bounds of one exploration.
struct Bounds {
    views: Vec<Arc<View>>,
    /// Who, and its first attempt.
    claimants: [(usize, u64); 2],
    crashes: u8,
    /// Higher attempts are not explored.
    attempt: u64,
}

fn rank(life: Life) -> usize {
    usize::from(life.peer.as_bytes()[0]) - 1
}

fn value(at: usize) -> u32 {
    u32::try_from(at).unwrap() + 1
}

impl State {
    fn new(bounds: &Bounds) -> Self {
        let lives: Vec<_> = (0..PEERS).map(|at| life(at, 1)).collect();
        let mut state = Self {
            machines: lives.iter().map(|life| Claims::new(*life)).collect(),
            lives,
            told: vec![1; PEERS],
            entered: vec![None; PEERS],
            disks: vec![None; PEERS],
            sent: BTreeSet::new(),
            crashes: bounds.crashes,
            granted: BTreeMap::new(),
            decided: BTreeSet::new(),
            adopted: false,
            broken: None,
        };
        for at in 0..PEERS {
            state.step(at, Time::ZERO, Input::View(Arc::clone(&bounds.views[0])), usize::MAX);
        }
        for (at, attempt) in bounds.claimants {
            state.step(at, Time::ZERO, claim(attempt), usize::MAX);
        }
        state
    }

    /// Feeds one input and takes so many of the effects.
    fn feed(&mut self, at: usize, now: Time, input: Input<u32>, effects: usize) -> Vec<Sent> {
        let mut out = Vec::new();
        let before = self.machines[at].promised(task(0)).map(|stamp| stamp.fence);
        // Only what a correct peer refuses of another that is ahead.
        if let Err(error) = self.machines[at].handle(now, input, &mut out) {
            assert!(matches!(error, crate::Error::Stranger { .. }), "{error}");
        }
        self.machines[at].check();
        if self.machines[at].promised(task(0)).map(|stamp| stamp.fence) < before {
            self.broken = Some("I5");
        }
        let mut sent = vec![];
        for effect in out.into_iter().take(effects) {
            match effect {
                Effect::Persist(record @ Record::Register { .. }) => self.disks[at] = Some(record),
                Effect::Persist(record) => self.entered[at] = Some(record),
                Effect::Send { to, message } => {
                    sent.push((self.lives[at], rank(to), message));
                }
                Effect::Event(event) => self.event(at, event),
            }
        }
        sent
    }

    fn event(&mut self, at: usize, event: Event<u32>) {
        match event {
            Event::Granted { fence, .. } => {
                let life = self.lives[at];
                if *self.granted.entry(fence).or_insert(life) != life {
                    self.broken = Some("I4");
                }
            }
            Event::Adopted { value, .. } => {
                self.adopted = true;
                self.decided.insert(value);
            }
            Event::Committed { value, .. } => {
                self.decided.insert(value);
            }
            _ => {}
        }
    }

    fn step(&mut self, at: usize, now: Time, input: Input<u32>, effects: usize) {
        let sent = self.feed(at, now, input, effects);
        self.sent.extend(sent);
        self.machines[at].shift();
    }

    fn crash(&mut self, at: usize, views: &[Arc<View>]) {
        self.crashes -= 1;
        self.lives[at].incarnation = Incarnation(2);
        self.machines[at] = Claims::new(self.lives[at]);
        let records = self.entered[at].iter().chain(&self.disks[at]).cloned().collect();
        self.step(at, Time::ZERO, Input::Restore(records), usize::MAX);
        for view in &views[..self.told[at]] {
            self.step(at, Time::ZERO, Input::View(Arc::clone(view)), usize::MAX);
        }
    }

    /// Faults end: all learn of all views, all that was sent arrives, timers fire in order, who is
    /// granted the task commits, and a member without a claim claims. Everybody ends with one result.
    fn settles(&self, views: &[Arc<View>]) -> bool {
        let mut world = self.clone();
        let mut flying: VecDeque<Sent> = world.sent.iter().cloned().collect();
        let mut last = View::clone(&views[views.len() - 1]);
        last.epoch = last.epoch.next();
        last.members.iter_mut().for_each(|member| member.life = self.lives[rank(member.life)]);
        let last = Arc::new(last);
        for at in 0..PEERS {
            for view in views[world.told[at]..].iter().chain([&last]) {
                flying.extend(world.feed(
                    at,
                    Time::ZERO,
                    Input::View(Arc::clone(view)),
                    usize::MAX,
                ));
            }
        }
        let chosen = rank(last.members[0].life);
        if !world.machines[chosen].claims_task(task(0)) {
            flying.extend(world.feed(chosen, Time::ZERO, claim(1), usize::MAX));
        }
        world.run(flying)
    }

    fn run(&mut self, mut flying: VecDeque<Sent>) -> bool {
        let mut now = Time::ZERO;
        for _ in 0..10_000 {
            let granted = |at: &usize| self.machines[*at].may_commit(task(0));
            if let Some(at) = (0..PEERS).find(granted) {
                let input = Input::Commit { task: task(0), value: value(at) };
                flying.extend(self.feed(at, now, input, usize::MAX));
            }
            if let Some((from, to, message)) = flying.pop_front() {
                flying.extend(self.feed(to, now, Input::Message { from, message }, usize::MAX));
                continue;
            }
            let closed = |machine: &Claims<u32>| !machine.claims_task(task(0));
            if self.machines.iter().all(closed) {
                return self.decided.len() == 1 && self.broken.is_none();
            }
            let due = |at: &usize| self.machines[*at].deadline();
            let Some(at) = (0..PEERS).filter(|at| due(at).is_some()).min_by_key(due) else {
                return false;
            };
            now = due(&at).unwrap().max(now);
            flying.extend(self.feed(at, now, Input::Deadline, usize::MAX));
        }
        false
    }
}

fn claim(attempt: u64) -> Input<u32> {
    Input::Claim { task: task(0), born: Epoch(1), attempt, lease: LEASE }
}

impl Model for Bounds {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for sent in &state.sent {
            actions.push(Action::Deliver(sent.clone()));
            if state.crashes > 0 {
                actions.extend((0..3).map(|effects| Action::DeliverInto(sent.clone(), effects)));
            }
        }
        for at in 0..PEERS {
            actions.push(Action::Pass(at));
            if state.machines[at].may_commit(task(0)) {
                actions.push(Action::Commit(at));
            }
            if state.told[at] < self.views.len() {
                actions.push(Action::View(at));
            }
            if state.crashes > 0 {
                actions.push(Action::Crash(at));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Deliver((from, to, message)) => {
                state.step(to, Time::ZERO, Input::Message { from, message }, usize::MAX);
            }
            Action::DeliverInto((from, to, message), effects) => {
                state.step(to, Time::ZERO, Input::Message { from, message }, effects);
                state.crash(to, &self.views);
            }
            Action::Pass(at) => {
                state.step(at, Time::ZERO + WHILE, Input::Deadline, usize::MAX);
            }
            Action::Commit(at) => {
                let input = Input::Commit { task: task(0), value: value(at) };
                state.step(at, Time::ZERO, input, usize::MAX);
            }
            Action::View(at) => {
                let view = Arc::clone(&self.views[state.told[at]]);
                state.told[at] += 1;
                state.step(at, Time::ZERO, Input::View(view), usize::MAX);
            }
            Action::Crash(at) => state.crash(at, &self.views),
        }
        (state != *last).then_some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.sent.iter().all(|(_, _, message)| match message {
            Message::Prepare { ask, .. } => ask.stamp.fence.attempt <= self.attempt,
            _ => true,
        })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("I3 one result", |_, state: &State| state.decided.len() <= 1),
            Property::always("I4, I5 fences", |_, state: &State| state.broken.is_none()),
            Property::always("settle", |bounds: &Self, state: &State| state.settles(&bounds.views)),
            Property::sometimes("adopts", |_, state: &State| state.adopted),
            Property::sometimes("decides", |_, state: &State| !state.decided.is_empty()),
        ]
    }
}

fn explore(bounds: Bounds) -> usize {
    let checker = bounds.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    checker.unique_state_count()
}

fn three() -> Arc<View> {
    view(1, &[life(0, 1), life(1, 1), life(2, 1)])
}

#[test]
fn model_of_two_claimants_and_one_attempt() {
    let bounds =
        Bounds { views: vec![three()], claimants: [(0, 1), (1, 1)], crashes: 0, attempt: 1 };
    assert_eq!(explore(bounds), 100_558);
}

#[test]
#[ignore = "large: its end was not reached within ten minutes, so no count is asserted"]
fn model_of_a_shrinking_view() {
    let views = vec![three(), view(2, &[life(0, 1), life(1, 1)])];
    let bounds = Bounds { views, claimants: [(0, 1), (2, 1)], crashes: 0, attempt: 1 };
    explore(bounds);
}

#[test]
#[ignore = "large: its end was not reached within ten minutes, so no count is asserted"]
fn model_of_a_second_claimant_that_fences_the_first() {
    let bounds =
        Bounds { views: vec![three()], claimants: [(0, 1), (1, 2)], crashes: 0, attempt: 2 };
    explore(bounds);
}

#[test]
#[ignore = "large: its end was not reached within ten minutes, so no count is asserted"]
fn model_of_two_claimants_and_a_crash() {
    let bounds =
        Bounds { views: vec![three()], claimants: [(0, 1), (1, 2)], crashes: 1, attempt: 2 };
    explore(bounds);
}
