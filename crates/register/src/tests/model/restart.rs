//! The register with restarts: three replicas, two propose, and one that starts again from its disk
//! proposes something else. Timers fire at any time.

use std::{collections::BTreeSet, sync::Arc};

use formic_core::{Protocol as _, Time};

use super::{
    super::{life, replica},
    REPLICAS, rank,
    space::{First, Sent, Step, System, What, compare, explore},
};
use crate::{Effect, Input, Message, Record, Register};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Host {
    machine: Register<u32>,
    disk: Vec<Record<u32>>,
    /// What this life proposes.
    value: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Local {
    Propose,
    Wake,
    Crash,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Event {
    Decided(u32),
    Fell,
}

/// What was decided, and whether a promise fell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ledger {
    decided: BTreeSet<u32>,
    fell: bool,
}

/// The bound: no higher round is begun.
struct Restart {
    round: u64,
}

impl Host {
    fn feed(
        &mut self,
        at: usize,
        input: Input<u32>,
        step: &mut Vec<Sent<Told>>,
        events: &mut Vec<Event>,
    ) {
        let mut out = Vec::new();
        let before = self.machine.promised();
        self.machine.handle(Time::ZERO, input, &mut out).unwrap();
        self.machine.check();
        if self.machine.promised() < before {
            events.push(Event::Fell);
        }
        for effect in out {
            match effect {
                Effect::Persist(record) => self.write(record),
                // Who says what is decided makes no difference.
                Effect::Send { to, message: message @ Message::Decided(_) } => {
                    let from = usize::from(rank(to) == 0);
                    step.push(Sent { from, to: rank(to), message: (from, message) });
                }
                Effect::Send { to, message } => {
                    step.push(Sent { from: at, to: rank(to), message: (at, message) });
                }
                Effect::Decided(value) => events.push(Event::Decided(value)),
            }
        }
    }

    /// Only what a restart makes of it: later records outdate earlier ones.
    fn write(&mut self, record: Record<u32>) {
        match record {
            Record::Promised(_) => {
                self.disk.retain(|record| !matches!(record, Record::Promised(_)));
            }
            Record::Accepted(..) | Record::Decided(_) => self.disk.clear(),
        }
        self.disk.push(record);
    }
}

/// From which replica, what.
type Told = (usize, Message<u32>);

impl System for Restart {
    type Host = Host;
    type Message = Told;
    type Local = Local;
    type Event = Event;
    type Ledger = Ledger;

    fn start(&self) -> (Vec<Host>, Vec<First<Local>>) {
        let host = |at: usize| {
            let value = (at < 2).then(|| u32::try_from(at).unwrap());
            Host { machine: replica(REPLICAS, at), disk: vec![], value }
        };
        let first = (0..2).map(|at| First::Local(at, Local::Propose));
        ((0..REPLICAS).map(host).collect(), first.collect())
    }

    fn locals(&self, _: usize, host: &Host) -> Vec<Local> {
        // What is sent again was sent before.
        if host.machine.is_waiting() { vec![Local::Wake] } else { vec![] }
    }

    fn crash(&self) -> Local {
        Local::Crash
    }

    fn tick(&self) -> Option<Local> {
        None
    }

    fn step(
        &self,
        at: usize,
        host: &Host,
        what: &What<Told, Local>,
        cut: Option<usize>,
    ) -> Option<Step<Self>> {
        let mut host = host.clone();
        let (mut sent, mut events) = (vec![], vec![]);
        let inputs = match what {
            What::Message((from, message)) => {
                vec![Input::Message { from: life(*from, 1), message: message.clone() }]
            }
            What::Local(Local::Propose) => vec![Input::Propose(host.value?)],
            What::Local(Local::Wake) => vec![Input::Deadline],
            What::Local(Local::Crash) => {
                host.machine = replica(REPLICAS, at);
                host.value = host.value.map(|value| value + 2);
                let restore = Input::Restore(host.disk.clone());
                [restore].into_iter().chain(host.value.map(Input::Propose)).collect()
            }
        };
        // A step writes once, before it says anything: to end within it is to end before or after it.
        if cut.is_some() {
            return None;
        }
        for input in inputs {
            host.feed(at, input, &mut sent, &mut events);
        }
        if host.machine.promised().is_some_and(|ballot| ballot.round > self.round) {
            return None;
        }
        host.machine.forget();
        Some(Step { host, sent, events })
    }

    fn is_dead(&self, sent: &Sent<Told>, from: &Host, to: &Host) -> bool {
        let (from, to) = (&from.machine, &to.machine);
        // Whoever decides tells everybody, so that the answer to a late question is under way anyhow.
        if to.decided().is_some() {
            return true;
        }
        match &sent.message.1 {
            Message::Prepare { ballot } => from.is_past(*ballot) && to.promised() >= Some(*ballot),
            Message::Accept { ballot, .. } => {
                let refused = to.promised() > Some(*ballot) && formic_core::rule!("register/R2");
                from.is_past(*ballot) && (refused || to.accepted_at() == Some(*ballot))
            }
            Message::Promise { ballot, .. }
            | Message::Accepted { ballot }
            | Message::Refuse { ballot, .. } => to.is_past(*ballot),
            Message::Decided(_) => false,
        }
    }

    fn note(&self, ledger: &mut Ledger, _: usize, event: &Event) {
        match event {
            Event::Decided(value) => {
                ledger.decided.insert(*value);
            }
            Event::Fell => ledger.fell = true,
        }
    }

    fn broken(&self, _: &[Arc<Host>], ledger: &Ledger) -> Option<&'static str> {
        if ledger.fell {
            return Some("a promise fell");
        }
        (ledger.decided.len() > 1).then_some("two decisions")
    }

    fn reached(&self, ledger: &Ledger) -> bool {
        !ledger.decided.is_empty()
    }
}

#[test]
fn a_restart_keeps_one_decision() {
    explore("register, 2 rounds", Restart { round: 2 }, 1, 1_685);
    explore("register, 3 rounds", Restart { round: 3 }, 1, 52_252);
}

#[test]
fn the_dead_do_not_matter() {
    compare(|| Restart { round: 2 }, 1);
}

#[test]
#[ignore = "seconds: cargo test -p formic-register --lib model -- --ignored --nocapture"]
fn deeper() {
    explore("register, 3 rounds", Restart { round: 3 }, 2, 134_191);
    explore("register, 4 rounds", Restart { round: 4 }, 1, 433_392);
}
