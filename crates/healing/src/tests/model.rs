//! The shipped machine decides the next view, exhaustively: rival proposals, every order of deliveries,
//! losses, duplicates and turns, and a crash with restart between any two effects.
//!
//! Only what belongs to the decision is delivered: `Ballot`, `Ask`, `Want`, `Committed`. Beats and what
//! follows from them are left out, all peers are in touch, and who is to go is told as `Left`: so nobody
//! objects in the reserved round. One step of the chain, from view 1 to view 2.

use std::{collections::BTreeSet, sync::Arc};

use formic_core::{Digest, Epoch, Life, Member, PeerId, Protocol as _, Random, Time, View};
use formic_register::{Ballot, Input as VoteInput, Message as Vote, Record as Voted};

use super::world::{life, member, ms};
use crate::{
    Belief, Config, Effect, Healing, Input, Message, Record,
    healing::{Counters, Timers},
    watch::Told,
};

#[path = "../../../register/src/tests/model/space.rs"]
mod space;

use space::{First, Sent, Step, System, What, compare, explore};

/// By then everybody who wants another view has its turn.
const TURN: u64 = 2_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Host {
    machine: Healing,
    life: Life,
    view: Option<Record>,
    ballots: Vec<Record>,
    /// Whether it may yet look whether something is to be proposed.
    turns: u8,
    /// The highest ballot that it began, in any life.
    begun: Option<Ballot>,
    /// What it voted for last, and the view that this makes.
    voted: Option<(Ballot, Digest)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Local {
    Feed(Input),
    /// It looks whether something is to be proposed.
    Turn,
    /// It begins another ballot after a refusal.
    Wake,
    Crash,
}

/// A view was committed.
type Committed = (Epoch, Digest);

/// From which life, what.
type Said = (Life, Message);

/// How many members there are, what is on whose mind, and no round above this one.
#[derive(Clone, Debug)]
struct Views {
    members: usize,
    wishes: Vec<(usize, Input)>,
    round: u64,
}

fn rank(life: Life) -> usize {
    usize::from(life.peer.as_bytes()[0]) - 1
}

fn machine(at: usize, incarnation: u64) -> Healing {
    Healing::new(Config::default(), member(at, incarnation), Random::new(1)).unwrap()
}

fn founded(members: usize) -> Arc<View> {
    let members: Vec<Member> = (0..members).map(|at| member(at, 1)).collect();
    Arc::new(View { members, ..View::found(member(0, 1)) })
}

/// Everything but what belongs to the decision is as it was.
fn forget(machine: &mut Healing) {
    machine.random = Random::new(1);
    machine.timers = Timers::default();
    machine.counters = Counters::default();
    (machine.pace.seq, machine.pace.lag_ms) = (0, 0);
    machine.pace.humble_until = Time::ZERO;
    machine.rumors.clear();
    machine.loss.clear();
    machine.held.clear();
    machine.shown.clear();
    let Some(watch) = &mut machine.watch else { return };
    for subject in &mut watch.subjects {
        if !subject.is_condemned() {
            (subject.belief, subject.told) = (Belief::Alive, Told::Up);
        }
        if let Belief::Condemned { since, .. } = &mut subject.belief {
            *since = ms(1);
        }
        subject.heard = ms(1);
        (subject.mute, subject.disputed, subject.probing) = (false, None, None);
    }
}

impl Host {
    fn new(at: usize) -> Self {
        Self {
            machine: machine(at, 1),
            life: life(at, 1),
            view: None,
            ballots: vec![],
            turns: 1,
            begun: None,
            voted: None,
        }
    }

    fn epoch(&self) -> Epoch {
        self.machine.view().map_or(Epoch(0), |view| view.epoch)
    }

    fn promised(&self) -> Option<Ballot> {
        self.machine.chain.ballots().and_then(formic_register::Register::promised)
    }

    /// When a refused proposer tries again, if that is what it waits for.
    fn wakes(&self) -> Option<Time> {
        let mut vote = self.machine.chain.ballots()?.clone();
        let (at, before) = (vote.deadline()?, vote.promised());
        vote.handle(at, VoteInput::Deadline, &mut Vec::new()).unwrap();
        (vote.promised() > before).then_some(at)
    }

    fn handle(&mut self, now: Time, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        let now = now.max(self.machine.now);
        // Only what a correct peer refuses of another that is ahead.
        self.machine.handle(now, input, &mut effects).ok();
        self.machine.check();
        effects
    }

    fn write(&mut self, record: Record, out: &mut Out) {
        match &record {
            Record::View(view) => {
                out.committed.push((view.epoch, view.hash()));
                self.view = Some(record);
                self.ballots.clear();
            }
            Record::Ballot { record: Voted::Promised(_), .. } => {
                let promise =
                    |old: &Record| matches!(old, Record::Ballot { record: Voted::Promised(_), .. });
                self.ballots.retain(|old| !promise(old));
                self.ballots.push(record);
            }
            Record::Ballot { record: Voted::Accepted(ballot, cut), .. } => {
                if let Some(Record::View(view)) = &self.view {
                    self.voted = cut.apply(view, 9).ok().map(|next| (*ballot, next.hash()));
                }
                self.ballots = vec![record];
            }
            Record::Ballot { .. } => {}
        }
    }

    fn apply(&mut self, effect: Effect, out: &mut Out, members: usize) {
        match effect {
            Effect::Persist(record) => self.write(record, out),
            Effect::Send { to, message } if rank(to) < members => self.send(rank(to), message, out),
            Effect::Send { .. } | Effect::Event(_) => {}
        }
    }

    fn send(&mut self, to: usize, message: Message, out: &mut Out) {
        let mut from = self.life;
        match &message {
            Message::Ballot { message: Vote::Decided(_), .. } | Message::Committed { .. } => {
                // Who says what is decided makes no difference.
                from = life(usize::from(to == 0), 1);
            }
            Message::Ballot { message, .. } => {
                if let Vote::Prepare { ballot } | Vote::Accept { ballot, .. } = message {
                    self.begun = self.begun.max(Some(*ballot));
                }
            }
            Message::Ask { .. } | Message::Want { .. } => {}
            _ => return,
        }
        out.sent.push(Sent { from: rank(from), to, message: (from, message) });
    }

    fn restart(&mut self, out: &mut Out, members: usize) {
        self.life.incarnation = self.life.incarnation.next();
        self.machine = machine(rank(self.life), self.life.incarnation.0);
        self.turns = 1;
        let records = self.view.iter().chain(&self.ballots).cloned().collect();
        for effect in self.handle(ms(1), Input::Restore(records)) {
            self.apply(effect, out, members);
        }
    }
}

#[derive(Default)]
struct Out {
    sent: Vec<Sent<Said>>,
    committed: Vec<Committed>,
}

impl System for Views {
    type Host = Host;
    type Message = Said;
    type Local = Local;
    type Event = Committed;
    type Ledger = BTreeSet<Committed>;

    fn start(&self) -> (Vec<Host>, Vec<First<Local>>) {
        let view = founded(self.members);
        let feed = |at, input| First::Local(at, Local::Feed(input));
        let joined = (0..self.members).map(|at| feed(at, Input::Joined(Arc::clone(&view))));
        let wishes = self.wishes.iter().map(|(at, input)| feed(*at, input.clone()));
        ((0..self.members).map(Host::new).collect(), joined.chain(wishes).collect())
    }

    fn locals(&self, _: usize, host: &Host) -> Vec<Local> {
        let first = host.epoch() == Epoch(1);
        let turn = (first && host.turns > 0).then_some(Local::Turn);
        let wake = (first && host.wakes().is_some()).then_some(Local::Wake);
        turn.into_iter().chain(wake).collect()
    }

    fn crash(&self) -> Local {
        Local::Crash
    }

    fn tick(&self) -> Option<Local> {
        None
    }

    fn step(
        &self,
        _: usize,
        host: &Host,
        what: &What<Said, Local>,
        cut: Option<usize>,
    ) -> Option<Step<Self>> {
        let mut host = host.clone();
        let mut effects = match what {
            What::Message((from, message)) => {
                host.handle(ms(1), Input::Message { from: *from, message: message.clone() })
            }
            What::Local(Local::Feed(input)) => host.handle(ms(1), input.clone()),
            What::Local(Local::Turn) => {
                host.turns -= 1;
                host.machine.chain.stir();
                host.handle(ms(TURN), Input::Deadline)
            }
            What::Local(Local::Wake) => {
                let at = host.wakes()?;
                host.handle(at, Input::Deadline)
            }
            What::Local(Local::Crash) => vec![],
        };
        if let Some(cut) = cut {
            // To end before a message is to lose it; before the first effect, to have heard nothing.
            let writes = |(_, effect): &(usize, &Effect)| matches!(effect, Effect::Persist(_));
            let place = effects.iter().enumerate().skip(1).filter(writes).nth(cut)?.0;
            effects.truncate(place);
        }
        let mut out = Out::default();
        for effect in effects {
            host.apply(effect, &mut out, self.members);
        }
        if cut.is_some() || matches!(what, What::Local(Local::Crash)) {
            host.restart(&mut out, self.members);
        }
        if host.promised().is_some_and(|ballot| ballot.round > self.round) {
            return None;
        }
        forget(&mut host.machine);
        Some(Step { host, sent: out.sent, events: out.committed })
    }

    fn is_dead(&self, sent: &Sent<Said>, from: &Host, to: &Host) -> bool {
        let past = |host: &Host, ballot: Ballot| host.begun > Some(ballot);
        match &sent.message.1 {
            // Whoever decides tells everybody: the answer to a late vote is under way anyhow.
            Message::Ballot { epoch, .. } if *epoch < to.epoch() => true,
            Message::Ballot { message, .. } => match message {
                Vote::Prepare { ballot } => past(from, *ballot) && to.promised() >= Some(*ballot),
                Vote::Accept { ballot, .. } => {
                    past(from, *ballot)
                        && (to.promised() > Some(*ballot)
                            || to.voted.is_some_and(|(voted, _)| voted == *ballot))
                }
                Vote::Promise { ballot, .. }
                | Vote::Accepted { ballot }
                | Vote::Refuse { ballot, .. } => past(to, *ballot),
                Vote::Decided(_) => false,
            },
            Message::Committed { views } => views.iter().all(|view| view.epoch <= to.epoch()),
            Message::Ask { .. } => to.epoch() > Epoch(1),
            _ => false,
        }
    }

    fn note(&self, ledger: &mut Self::Ledger, _: usize, committed: &Committed) {
        ledger.insert(*committed);
    }

    fn broken(&self, hosts: &[Arc<Host>], ledger: &Self::Ledger) -> Option<&'static str> {
        let first = founded(self.members);
        for (epoch, view) in ledger.iter().filter(|(epoch, _)| *epoch > first.epoch) {
            if ledger.iter().filter(|(other, _)| other == epoch).count() > 1 {
                return Some("two views of one epoch");
            }
            // Higher ballots repeat what a majority voted for, so that the last votes tell.
            let voted = |host: &&Arc<Host>| host.voted.is_some_and(|(_, next)| next == *view);
            let peers: BTreeSet<PeerId> =
                hosts.iter().filter(voted).map(|host| host.life.peer).collect();
            if *epoch == first.epoch.next() && !first.is_quorum(&peers) {
                return Some("a view without a majority of the last one");
            }
        }
        None
    }

    fn reached(&self, ledger: &Self::Ledger) -> bool {
        ledger.iter().any(|(epoch, _)| *epoch > Epoch(1))
    }
}

fn left(at: usize, gone: usize) -> (usize, Input) {
    (at, Input::Left { life: life(gone, 1) })
}

fn admit(at: usize, new: usize) -> (usize, Input) {
    (at, Input::Admit(member(new, 1)))
}

fn three(round: u64) -> Views {
    Views { members: 3, wishes: vec![left(0, 2), left(1, 0), left(2, 1)], round }
}

/// Two rivals: one evicts, one admits.
fn rivals(members: usize, round: u64) -> Views {
    Views { members, wishes: vec![left(0, members - 1), admit(1, members)], round }
}

#[test]
fn one_next_view() {
    explore("views, 3 members, 3 proposals", three(2), 0, 75_771);
    explore("views, 3 members, 2 proposals", rivals(3, 2), 0, 3_758);
}

#[test]
#[ignore = "minutes: cargo test -p formic-healing --lib model -- --ignored --nocapture"]
fn deeper() {
    explore("views, 3 members, 2 proposals", rivals(3, 2), 1, 611_475);
}

#[test]
#[ignore = "minutes, as above"]
fn the_dead_do_not_matter() {
    compare(|| three(2), 0);
}
