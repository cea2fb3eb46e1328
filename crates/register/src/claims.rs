//! Exclusive tasks: one valid attempt at a time (healing.md 7.2 and 8).
//!
//! ```text
//!   claimant                              replicas of the task in view e
//!   Prepare(fence) ---------------------> persist promise, lease; Promise(accepted?)
//!     nothing accepted: Granted(fence)      another's lease: Held; not above: Lower
//!     accepted: drive that, do not run
//!   Renew -------------- every quarter -> lease goes on
//!   Accept(fence, result) --------------> persist; Accepted
//!     majority of view e: Committed
//!   view e+1: replicas of e fall silent (X1), those of e+1 pull a majority of e (X2, X3) and answer
//! ```
//!
//! **Guarantees.** One result per task, fences that rise and go to one life, one unexpired lease while
//! clock rates differ by less than two percent, nothing said before it is durable, and a decision when
//! faults end: under loss, duplication, reordering, crashes between any two effects, restarts, growing
//! and shrinking views (`tests::claims::schedules`). One test per rule in `tests::claims::rules`; two
//! claimants over three replicas, exhaustively, in `tests::claims::model`.
//!
//! **Explored to the end** (`tests::claims::model::{crash, moved}`), every order of deliveries, losses,
//! duplicates and timers. *One time*: three replicas, two claimants; time passes at all of them alike, a
//! lease at a time, and nobody's clock drifts; fences rise over grants, one result, one unexpired lease.
//! A crash is an end between any two effects and a restart from disk. *A set change*: of the replicas 0, 1,
//! 3 the last one is replaced by 4 while a commit is under way, and another life claims in the new view;
//! leases are over at once, hints are lost, a pull and its answer arrive once at most; one result.
//!
//! | what | crashes | unique states | time | when |
//! |---|---|---|---|---|
//! | one time, 1 attempt each | 0 | 25,882 | 1 s | every run |
//! | one time, a grant, then 2 attempts | 0 | 78,783 | 4 s | every run |
//! | one time, 2 attempts | 0 | 290,841 | 16 s | ignored |
//! | one time, 1 attempt each | 1 | 382,154 | 17 s | ignored |
//! | one time, a grant, then 2 attempts | 1 | 1,128,613 | 93 s | ignored |
//! | a set change, one vote cast | 0 | 431,574 | 14 s | every run |
//! | a set change | 0 | 3,679,622 | 111 s | ignored |
//!
//! What the everyday ones find without a rule: `tie` and `fence` one fence for two lives (7 steps), `lease`
//! two unexpired leases (6), `adopt` two results (11), `set-epoch` two results (20).
//!
//! **Used** by `formic-node` with one machine per job and one view per home group of the job, which lists the
//! peers by rank. Everybody else is a guest ([`Input::Guest`]), who claims and keeps nothing. Once the job is
//! over nothing moves any more ([`Input::Over`]). Replicas by the mesh's views (healing.md 8) were tried: 17 of 1,000 simulated schedules hung, because a task that nobody claimed
//! before its first replicas were gone was undecidable, and the tasks of closed jobs moved with every view.
//!
//! **What nobody claimed.** Where all tasks have one set of replicas ([`Claims::of_job`]), each replica asks once per
//! set which tasks are known at all; every other one is fresh, whoever of its first replicas is gone
//! (`tests::claims::ground`). Found by `formic-sim`, seed 1618: a job's home group was replaced one by one before
//! anybody claimed its last tasks.
//!
//! **Asked too early.** Those who enter a view first ask those who have not heard of it yet; the question is kept and
//! answered as soon as it can be, because who was asked may be gone a moment later (`early`).
//!
//! **Limits.** A task whose replicas lost a majority between two views is undecided until enough of
//! them return with their disks; without [`Claims::of_job`] that holds for a task nobody claimed yet, too, from the
//! view in which its job was accepted (`born`). With more than 2,048 known tasks none is taken for fresh. The last 256 views are known. A job must be forgotten only when
//! nobody will claim a task of it again. The replicas of a task are found in O(members x log members). A
//! forced view asks all surviving replicas, and may lose what only the dropped ones knew. Two fences of
//! equal attempt, promised by different replicas to different lives, may cost the one that was granted
//! its grant when the set changes: never a second holder, but a second run.
//!
//! **Sources.** Lamport, *The Part-Time Parliament*, ACM TOCS 16 (1998); Gray and Cheriton, *Leases*,
//! SOSP 1989; Lamport, Malkhi, Zhou, *Reconfiguring a State Machine*, SIGACT News 41 (2010). Deviations:
//! a fence of equal attempt is refused to everybody but its first claimant instead of being ordered by
//! identity; what is pulled is merged with the own state, one register per task, instead of a log.

mod claimant;
mod early;
mod ground;
mod lease;
mod message;
mod replica;
mod sets;
mod transfer;
mod vet;

#[cfg(test)]
pub(crate) mod shift;
#[cfg(test)]
pub(crate) use claimant::Stage;

use core::mem;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use formic_core::{Epoch, Life, PeerId, Protocol, Sink, Time, earliest};

pub use lease::{LEASE_MAX, LEASE_MIN};
pub use message::{
    Ask, Denial, Effect, Event, Fence, Input, Leased, Message, Quorum, Record, Refusal, Snapshot,
    Stamp, Task, Value,
};
pub use replica::REGISTERS_MAX;
pub use sets::REPLICAS;

use crate::Error;

/// The largest result in bytes: a digest and what a person wants to read of it.
pub const VALUE_MAX: usize = 1_024;
/// How many claims a life may have open.
pub const CLAIMS_MAX: usize = 1_000;

/// What a peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    /// Claim, and keep what others claim if it is a replica.
    Keeper,
    /// Claim only.
    Claimant,
}

/// Whether what is kept follows the views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Transfers {
    Due,
    /// Nobody will need what is kept.
    Over,
}

/// One peer's part in all exclusive tasks: claimant of its own, replica of those it keeps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claims<V> {
    me: Life,
    now: Time,
    fresh: bool,
    role: Role,
    quorum: Quorum,
    views: sets::Views,
    /// The newest view this peer was ever in, by its disk.
    oath: Epoch,
    registers: BTreeMap<Task, replica::Register<V>>,
    /// Those that wait for the replicas of another view.
    moving: BTreeSet<Task>,
    transfer: Option<Time>,
    transfers: Transfers,
    ground: Option<ground::Ground>,
    early: early::Early,
    claims: BTreeMap<Task, claimant::Claim<V>>,
    /// The first unused attempt of tasks that were given up in this view: a life uses a fence once.
    used: BTreeMap<Task, u64>,
    serial: u64,
    /// Empty between two inputs.
    out: Vec<Effect<V>>,
    /// To the own replica or claimant; handled after what caused it. Empty between two inputs.
    local: VecDeque<Message<V>>,
}

impl<V: Value> Claims<V> {
    /// Takes no part before the first view.
    pub const fn new(me: Life) -> Self {
        Self {
            me,
            now: Time::ZERO,
            fresh: true,
            role: Role::Keeper,
            quorum: Quorum::Held,
            views: sets::Views::new(),
            oath: Epoch(0),
            registers: BTreeMap::new(),
            moving: BTreeSet::new(),
            transfer: None,
            transfers: Transfers::Due,
            ground: None,
            early: early::Early::new(),
            claims: BTreeMap::new(),
            used: BTreeMap::new(),
            serial: 0,
            out: vec![],
            local: VecDeque::new(),
        }
    }

    /// For a peer that may have kept tasks and forgot them: it claims, and answers nobody.
    pub const fn amnesiac(me: Life) -> Self {
        let mut new = Self::new(me);
        new.role = Role::Claimant;
        new
    }

    /// The fence under which this life may run `task` at `now`, if it holds it.
    pub fn held(&self, task: Task, now: Time) -> Option<Fence> {
        self.claims.get(&task).and_then(|claim| claim.held(now))
    }

    /// Whether this life has a claim of `task` open.
    pub fn claims_task(&self, task: Task) -> bool {
        self.claims.contains_key(&task)
    }

    /// Whether a result of `task` may be committed: it was granted, whether or not its lease ran out.
    pub fn may_commit(&self, task: Task) -> bool {
        self.claims.get(&task).is_some_and(claimant::Claim::may_commit)
    }

    /// The decided result of `task`, as far as this peer knows.
    pub fn decided(&self, task: Task) -> Option<&V> {
        let register = self.registers.get(&task)?;
        register.decided.as_ref().map(|(_, value)| value)
    }

    /// What this replica promised last for `task`.
    pub fn promised(&self, task: Task) -> Option<Stamp> {
        self.registers.get(&task).and_then(|register| register.promised)
    }

    /// The peers that keep `task` in the current view, sorted. O(members x log members).
    pub fn replicas(&self, task: Task) -> Vec<PeerId> {
        let view = self.views.current();
        view.map_or_else(Vec::new, |view| sets::Set::of(view, task.key).peers().to_vec())
    }

    /// Claims and registers kept here.
    pub fn entries(&self) -> usize {
        self.claims.len() + self.registers.len()
    }

    /// Asserts what must hold between any two inputs.
    ///
    /// # Panics
    /// If an invariant is broken.
    pub fn check(&self) {
        assert!(self.out.is_empty() && self.local.is_empty(), "effects are left behind");
        let waits = !self.moving.is_empty() || self.ground_waits();
        assert!(waits == self.transfer.is_some(), "a transfer has no timer");
        self.check_claims();
        for (task, register) in &self.registers {
            let accepted = register.accepted.as_ref().map(|(stamp, _)| stamp.fence);
            let promised = register.promised.map(|stamp| stamp.fence);
            assert!(promised >= accepted, "{task:?}: {accepted:?} accepted above the promise");
        }
    }

    fn send(&mut self, to: PeerId, message: Message<V>) {
        if to == self.me.peer {
            self.local.push_back(message);
        } else if let Some(to) = self.views.life(to) {
            self.out.push(Effect::Send { to, message });
        }
    }

    fn record(&mut self, record: Record<V>) {
        self.out.push(Effect::Persist(record));
    }

    fn event(&mut self, event: Event<V>) {
        self.out.push(Effect::Event(event));
    }

    fn on_message(&mut self, from: Life, message: Message<V>) {
        match message {
            Message::Prepare { ask, lease } => self.on_prepare(from, ask, lease),
            Message::Promise { ask, accepted } => self.on_promise(from, ask, accepted),
            Message::Accept { ask, value } => self.on_accept(from, ask, value),
            Message::Accepted { ask } => self.on_accepted(from, ask),
            Message::Renew { ask, lease, serial } => self.on_renew(from, ask, lease, serial),
            Message::Renewed { ask, serial } => self.on_renewed(from, ask, serial),
            Message::Release { task, stamp } => self.on_release(task, stamp),
            Message::Refuse { ask, why } => self.on_refuse(from, ask, why),
            Message::Decided { task, born, stamp, value } => {
                self.learn(task, born, stamp, &value);
                self.close(task, &value);
            }
            Message::Pull { task, born, epoch } => self.on_pull(from, task, born, epoch),
            Message::State { task, epoch, installed, state } => {
                self.on_state(from, (task, epoch), installed, *state);
            }
            Message::Hint { task, born, epoch } => self.on_hint(from, task, born, epoch),
            Message::Installed { task, epoch } => self.on_installed(from, task, epoch),
            Message::WhatIsKnown { job, epoch } => self.on_what_is_known(from, job, epoch),
            Message::Known { job, epoch, installed, keys } => {
                self.on_known(from, (job, epoch), installed, keys);
            }
        }
    }

    fn on_forget(&mut self, job: formic_core::JobId) {
        let known = self.registers.len();
        self.registers.retain(|task, _| task.job != job);
        self.moving.retain(|task| task.job != job);
        self.used.retain(|task, _| task.job != job);
        self.early.forget(job);
        self.arm_transfer();
        if self.registers.len() < known {
            self.record(Record::Forgotten(job));
        }
    }

    fn on_deadline(&mut self) {
        if self.transfer.is_some_and(|at| at <= self.now) {
            self.on_transfer_timer();
        }
        let now = self.now;
        let due = |claim: &claimant::Claim<V>| claim.deadline().is_some_and(|at| at <= now);
        let tasks = self.claims.iter().filter(|(_, claim)| due(claim)).map(|(task, _)| *task);
        for task in tasks.collect::<Vec<_>>() {
            self.on_claim_timer(task);
        }
    }

    fn dispatch(&mut self, input: Input<V>) {
        match input {
            Input::Restore(records) => self.restore(records, self.now),
            Input::View(view) => {
                self.enter(view);
                self.used.clear();
                self.move_claims();
            }
            Input::Claim { task, born, attempt, lease } => self.claim(task, born, attempt, lease),
            Input::Commit { task, value } => self.on_commit(task, value),
            Input::Release { task } => self.on_release_claim(task),
            Input::Guest(life) => self.views.invite(life),
            Input::Forget(job) => self.on_forget(job),
            Input::Over => self.end_transfers(),
            Input::Quorum(quorum) => self.quorum = quorum,
            Input::Message { from, message } => {
                self.views.met(from);
                self.on_message(from, message);
            }
            Input::Deadline => self.on_deadline(),
        }
        while let Some(message) = self.local.pop_front() {
            self.on_message(self.me, message);
        }
    }
}

impl<V: Value> Protocol for Claims<V> {
    type Input = Input<V>;
    type Effect = Effect<V>;
    type Error = Error;

    fn handle(
        &mut self,
        now: Time,
        input: Input<V>,
        out: &mut impl Sink<Effect<V>>,
    ) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::ClockWentBack { last: self.now, now });
        }
        self.vet(&input)?;
        self.now = now;
        self.fresh = false;
        self.dispatch(input);
        let mut effects = mem::take(&mut self.out);
        // I10: the order of the effects is what makes things durable before they are said.
        if !formic_core::rule!("register/durable") {
            effects.sort_by_key(|effect| matches!(effect, Effect::Persist(_)));
        }
        effects.into_iter().for_each(|effect| out.push(effect));
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        self.claims.values().map(claimant::Claim::deadline).fold(self.transfer, earliest)
    }
}
