//! Peers with the shipped claims on their disks, as a system to explore: every timer but the end of a
//! lease may fire at any time, and a lease ends when time passes.

use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Incarnation, PeerId};

use super::{
    super::{
        super::model::space::{First, Sent, Step, System, What},
        *,
    },
    LEASE, rank,
};
use crate::claims::{
    Event, Fence, Message, Record, Refusal, Stage, Stamp,
    shift::{PRESENT, forget_message, forget_record},
};

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Host {
    pub(super) machine: Claims<u32>,
    life: Life,
    /// How many views it was told.
    told: usize,
    /// How many claims it may yet begin.
    claims: u8,
    entered: Option<Record<u32>>,
    disk: Option<Record<u32>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Local {
    /// The next view that is of use to this peer.
    View,
    Claim,
    /// Its timers, the end of its lease too if that has come.
    Fire,
    Commit,
    /// Time passes, everywhere alike.
    Tick,
    Crash,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Seen {
    Granted(Fence, Life),
    Adopted(u32),
    Committed(u32),
    Fell,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ledger {
    granted: BTreeMap<Fence, Life>,
    results: BTreeSet<u32>,
    /// How claims ended.
    ends: BTreeSet<Goal>,
    broken: Option<&'static str>,
}

/// How time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// At all peers by so much at once: leases mean something.
    Common(Duration),
    /// Not at all, and every lease is over at once for those that gave it: what must hold then holds
    /// without leases.
    None,
}

/// What may happen, and how much of it is explored.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) peers: usize,
    pub(super) views: Vec<Arc<View>>,
    /// Who claims, from which attempt on, once it knows so many views.
    pub(super) claimants: Vec<(usize, u64, usize)>,
    pub(super) clock: Clock,
    /// Higher attempts are not explored.
    pub(super) attempt: u64,
    /// Nor more renewals of a life.
    pub(super) renewals: u64,
    /// What has happened before.
    pub(super) first: Vec<First<Local>>,
    /// What must be reached.
    pub(super) goal: Goal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Goal {
    /// A life commits its own result.
    Commits,
    /// A life gets the result of another one decided that never learned of it.
    Adopts,
}

/// The answers and questions of one step, and what was seen.
#[derive(Default)]
struct Out {
    sent: Vec<Sent<Told>>,
    seen: Vec<Seen>,
}

/// Which life said it.
pub(super) type Told = (Life, Message<u32>);

impl Host {
    fn new(at: usize, claims: u8) -> Self {
        let life = life(at, 1);
        let machine = Claims::new(life);
        Self { machine, life, told: 0, claims, entered: None, disk: None }
    }

    fn apply(&mut self, effect: Effect<u32>, out: &mut Out) {
        match effect {
            Effect::Persist(record @ Record::Register { .. }) => {
                self.disk = Some(forget_record(record));
            }
            Effect::Persist(record) => self.entered = Some(record),
            Effect::Send { to, message } => {
                let message = forget_message(message);
                let to = rank(to);
                // Who says what is decided makes no difference.
                let (from, life) = match &message {
                    Message::Decided { .. } => {
                        let from = usize::from(to == 0);
                        (from, life(from, 1))
                    }
                    _ => (rank(self.life), self.life),
                };
                out.sent.push(Sent { from, to, message: (life, message) });
            }
            Effect::Event(Event::Granted { fence, .. }) => {
                out.seen.push(Seen::Granted(fence, self.life));
            }
            Effect::Event(Event::Adopted { value, .. }) => out.seen.push(Seen::Adopted(value)),
            Effect::Event(Event::Committed { value, .. }) => out.seen.push(Seen::Committed(value)),
            Effect::Event(_) => {}
        }
    }

    fn handle(&mut self, input: Input<u32>, out: &mut Out) -> Vec<Effect<u32>> {
        let mut effects = Vec::new();
        let promised = |machine: &Claims<u32>| machine.promised(task(0)).map(|stamp| stamp.fence);
        let before = promised(&self.machine);
        // Only what a correct peer refuses of another that is ahead, or of a task that is decided.
        if let Err(error) = self.machine.handle(PRESENT, input, &mut effects) {
            assert!(matches!(error, crate::Error::Stranger { .. }), "{error}");
        }
        self.machine.check();
        if promised(&self.machine) < before {
            out.seen.push(Seen::Fell);
        }
        effects
    }

    fn restart(&mut self, views: &[Arc<View>], out: &mut Out) {
        self.life.incarnation = Incarnation(self.life.incarnation.0 + 1);
        self.machine = Claims::new(self.life);
        let records = self.entered.iter().chain(&self.disk).cloned().collect();
        let views = views[..self.told].iter().map(|view| Input::View(Arc::clone(view)));
        for input in [Input::Restore(records)].into_iter().chain(views) {
            for effect in self.handle(input, out) {
                self.apply(effect, out);
            }
        }
    }
}

impl World {
    fn inputs(&self, at: usize, host: &mut Host, what: &What<Told, Local>) -> Vec<Input<u32>> {
        match what {
            What::Message((from, message)) => {
                vec![Input::Message { from: *from, message: message.clone() }]
            }
            What::Local(Local::View) => {
                let mine = |view: &Arc<View>| view.contains(host.life);
                let next = self.views[host.told..].iter().position(mine).unwrap_or_default();
                let views = &self.views[host.told..=host.told + next];
                host.told += views.len();
                views.iter().map(|view| Input::View(Arc::clone(view))).collect()
            }
            What::Local(Local::Claim) => {
                host.claims -= 1;
                let (_, attempt, _) = self.claimants.iter().find(|(who, ..)| *who == at).unwrap();
                let attempt = *attempt;
                vec![Input::Claim { task: task(0), born: Epoch(1), attempt, lease: LEASE }]
            }
            What::Local(Local::Fire) => vec![Input::Deadline],
            What::Local(Local::Commit) => {
                let value = u32::try_from(at).unwrap() + 1;
                vec![Input::Commit { task: task(0), value }]
            }
            What::Local(Local::Tick) => {
                if let Clock::Common(span) = self.clock {
                    host.machine.elapse(span);
                }
                vec![]
            }
            What::Local(Local::Crash) => vec![],
        }
    }

    fn is_beyond(&self, sent: &Sent<Told>) -> bool {
        match &sent.message.1 {
            Message::Prepare { ask, .. } => ask.stamp.fence.attempt > self.attempt,
            Message::Renew { serial, .. } => *serial > self.renewals,
            _ => false,
        }
    }
}

impl System for World {
    type Host = Host;
    type Message = Told;
    type Local = Local;
    type Event = Seen;
    type Ledger = Ledger;

    fn start(&self) -> (Vec<Host>, Vec<First<Local>>) {
        let claims =
            |at: usize| u8::from(self.claimants.iter().any(|(claimant, ..)| *claimant == at));
        let hosts = (0..self.peers).map(|at| Host::new(at, claims(at))).collect();
        (hosts, self.first.clone())
    }

    fn locals(&self, at: usize, host: &Host) -> Vec<Local> {
        let machine = &host.machine;
        let stage = machine.stage(task(0)).map(|(_, stage)| stage);
        let due = machine.deadline().is_some_and(|at| at <= PRESENT);
        // What is sent again was sent before.
        let asks = matches!(stage, Some(Stage::Preparing | Stage::Committing(_)));
        let asked = matches!(stage, Some(Stage::Holding(Some(_))))
            && machine.held(task(0), PRESENT).is_some();
        let told = |(who, _, views): &(usize, u64, usize)| *who == at && host.told >= *views;
        let claims = host.claims > 0 && self.claimants.iter().any(told);
        [
            (host.told < self.views.len(), Local::View),
            (claims && host.life.incarnation == Incarnation(1), Local::Claim),
            (machine.claims_task(task(0)) && due && !asks && !asked, Local::Fire),
            (machine.may_commit(task(0)), Local::Commit),
        ]
        .into_iter()
        .filter_map(|(may, local)| may.then_some(local))
        .collect()
    }

    fn crash(&self) -> Local {
        Local::Crash
    }

    fn tick(&self) -> Option<Local> {
        matches!(self.clock, Clock::Common(_)).then_some(Local::Tick)
    }

    fn step(
        &self,
        at: usize,
        host: &Host,
        what: &What<Told, Local>,
        cut: Option<usize>,
    ) -> Option<Step<Self>> {
        let mut host = host.clone();
        let mut out = Out::default();
        let mut effects = vec![];
        for input in self.inputs(at, &mut host, what) {
            effects.extend(host.handle(input, &mut out));
        }
        if let Some(cut) = cut {
            // To end before a message is to lose it; before the first effect, to have heard nothing.
            let writes = |(_, effect): &(usize, &Effect<u32>)| matches!(effect, Effect::Persist(_));
            let mut places = effects.iter().enumerate().skip(1).filter(writes);
            let place = places.nth(cut)?.0;
            effects.truncate(place);
        }
        for effect in effects {
            host.apply(effect, &mut out);
        }
        if cut.is_some() || matches!(what, What::Local(Local::Crash)) {
            host.restart(&self.views, &mut out);
        }
        if out.sent.iter().any(|sent| self.is_beyond(sent)) {
            return None;
        }
        host.machine.forget();
        if self.clock == Clock::None {
            host.machine.end_leases();
        }
        Some(Step { host, sent: out.sent, events: out.seen })
    }

    fn is_dead(&self, sent: &Sent<Told>, from: &Host, to: &Host) -> bool {
        let (life, message) = &sent.message;
        dead::is_dead((life.peer, message), &from.machine, &to.machine)
    }

    fn arrives_once(&self, (_, message): &Told) -> bool {
        matches!(message, Message::Pull { .. } | Message::State { .. })
    }

    fn note(&self, ledger: &mut Ledger, _: usize, seen: &Seen) {
        match seen {
            Seen::Granted(fence, life) => {
                let last = ledger.granted.last_key_value().map(|(fence, _)| *fence);
                if matches!(self.clock, Clock::Common(_)) && Some(*fence) <= last {
                    ledger.broken = Some("fences rise over grants");
                }
                if *ledger.granted.entry(*fence).or_insert(*life) != *life {
                    ledger.broken = Some("a fence goes to one life");
                }
            }
            Seen::Adopted(value) => {
                ledger.ends.insert(Goal::Adopts);
                ledger.results.insert(*value);
            }
            Seen::Committed(value) => {
                ledger.ends.insert(Goal::Commits);
                ledger.results.insert(*value);
            }
            Seen::Fell => ledger.broken = Some("a promise fell"),
        }
    }

    fn broken(&self, hosts: &[Arc<Host>], ledger: &Ledger) -> Option<&'static str> {
        let holds = |host: &&Arc<Host>| host.machine.held(task(0), PRESENT).is_some();
        let common = matches!(self.clock, Clock::Common(_));
        if common && hosts.iter().filter(holds).count() > 1 {
            return Some("two unexpired leases");
        }
        if ledger.results.len() > 1 {
            return Some("two results");
        }
        ledger.broken
    }

    fn reached(&self, ledger: &Ledger) -> bool {
        match self.goal {
            Goal::Commits => ledger.ends.contains(&Goal::Commits),
            Goal::Adopts => ledger.ends == BTreeSet::from([Goal::Adopts]),
        }
    }
}

mod dead {
    //! Which messages cannot matter any more.

    use super::*;

    /// Whether `claimant` will never again count an answer to this try: a life makes each try once.
    fn is_past(claimant: &Claims<u32>, stamp: Stamp) -> bool {
        claimant.stage(task(0)).is_none_or(|(now, _)| now != stamp)
    }

    fn stage(claimant: &Claims<u32>) -> Option<Stage> {
        claimant.stage(task(0)).map(|(_, stage)| stage)
    }

    /// Whether a replica's promise or its view rules out for ever that it does what `stamp` asks.
    fn is_refused(replica: &Claims<u32>, stamp: Stamp, set: Epoch) -> bool {
        let moved = replica.answers_for() > Some(set) && formic_core::rule!("register/wedge");
        let Some(kept) = replica.kept(task(0)) else { return moved };
        let above = kept.promised.map(|promised| promised.fence) > Some(stamp.fence);
        moved || above && kept.installed >= Some(set) && formic_core::rule!("register/fence")
    }

    pub(super) fn is_dead(
        (peer, message): (PeerId, &Message<u32>),
        from: &Claims<u32>,
        to: &Claims<u32>,
    ) -> bool {
        let ends = |machine: &Claims<u32>| {
            machine.decided(task(0)).is_some() && !machine.claims_task(task(0))
        };
        let kept = to.kept(task(0));
        let decided = to.decided(task(0)).is_some();
        match message {
            // The answer to a late question would be the decision.
            Message::Prepare { ask, .. } | Message::Renew { ask, .. } => {
                decided && ends(from)
                    || is_past(from, ask.stamp) && !decided && is_refused(to, ask.stamp, ask.set)
            }
            Message::Accept { ask, .. } => {
                let again = kept.is_some_and(|kept| {
                    kept.accepted == Some(ask.stamp) && kept.installed >= Some(ask.set)
                });
                decided && ends(from)
                    || is_past(from, ask.stamp)
                        && !decided
                        && (again || is_refused(to, ask.stamp, ask.set))
            }
            Message::Promise { ask, .. } => {
                is_past(to, ask.stamp) || stage(to) != Some(Stage::Preparing)
            }
            Message::Accepted { ask } => {
                let counts = match stage(to) {
                    Some(Stage::Committing(set)) => {
                        set == ask.set || !formic_core::rule!("register/set-epoch")
                    }
                    _ => false,
                };
                is_past(to, ask.stamp) || !counts
            }
            Message::Renewed { ask, serial } => {
                is_past(to, ask.stamp) || stage(to) != Some(Stage::Holding(Some(*serial)))
            }
            Message::Refuse { ask, why } => match why {
                Refusal::Lower { .. } => is_past(to, ask.stamp),
                Refusal::Held { .. } => {
                    is_past(to, ask.stamp) || stage(to) != Some(Stage::Preparing)
                }
                // They only say when to ask again.
                _ => true,
            },
            Message::Release { stamp, .. } => {
                let above = kept.and_then(|kept| kept.promised).map(|promised| promised.fence);
                decided || above > Some(stamp.fence)
            }
            Message::Decided { .. } => ends(to),
            Message::State { epoch, state, .. } => {
                kept.is_some_and(|kept| kept.installed >= Some(*epoch))
                    || to.knows(task(0), *epoch, peer, state)
            }
            Message::Pull { epoch, .. } => {
                let installed = from.kept(task(0)).is_some_and(|own| own.installed >= Some(*epoch));
                installed && kept.is_some_and(|kept| kept.installed.is_some())
            }
            // Whoever is asked pulls without a hint, and those it pulls from changed nothing since.
            Message::Hint { .. } | Message::Installed { .. } => true,
            Message::WhatIsKnown { .. } | Message::Known { .. } => true,
        }
    }
}
