//! Exclusive tasks: a body runs only while this peer holds the task's claim (healing.md 7.2).
//!
//! ```text
//!   work: Start --> Asking --Granted--> Running --Finished--> Committing --Committed--> done
//!                     |                    | LeaseLost, Abort                |
//!                     |                    v                                 |
//!                     |<--Stopped------ Stopping                             |
//!                     +------------Adopted: somebody else's result is the result
//! ```
//!
//! Whoever waits for a lease to end, or for keepers that do not answer, gives the slot back, and gets one
//! again with the claim (`Seating`); a result that waits for them needs none.
//! The claim of a body that is being stopped is kept until it stands still: nobody begins before.
//!
//! A job's home group keeps the claims of its exclusive tasks: whatever loses them, a majority of the
//! group, has lost the job anyway. Where another group follows, the claims move to it (`keepers.rs`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_completion::Input as JobInput;
use formic_core::{
    Descriptor, JobId, Key, Life, Outcome, PeerId, Protocol as _, Time, earliest, wire,
};
use formic_healing::Standing;
use formic_register::claims::{
    Claims, Denial, Effect as ClaimsEffect, Event as Claim, Fence, Input as ClaimsInput, LEASE_MAX,
    LEASE_MIN, Message as ClaimsMessage, Record as ClaimsRecord, Task, VALUE_MAX, Value,
};
use formic_work::TaskId;
use serde::{Deserialize, Serialize};

use crate::{
    Effect, Event, Message, Node, Record,
    keepers::{ASK_EVERY, Keepers, views},
    step::Step,
};

/// How an exclusive task ended: the value that its replicas agree on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ended(pub Outcome);

impl Ended {
    /// What is too large to be replicated in full is committed as a failure: whatever the body did
    /// outside, it must not be done again.
    fn of(outcome: Outcome) -> Self {
        let ended = Self(outcome);
        let size = ended.size();
        if size <= VALUE_MAX {
            return ended;
        }
        let message = format!(
            "the result of an exclusive task may have {VALUE_MAX} bytes, this one has {size}"
        );
        Self(Outcome::failed("exclusive_result_too_large", message))
    }
}

impl Value for Ended {
    fn size(&self) -> usize {
        wire::encode(&self.0).map_or(usize::MAX, |bytes| bytes.len())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It wants the claim.
    Asking,
    /// It has the claim and wants its slot again.
    Seating(Fence),
    /// The body runs.
    Running,
    /// The body was told to stop.
    Stopping,
    /// The body ended, its result is not decided.
    Committing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In its slot.
    Seated,
    /// It gave the slot back.
    Standing,
}

/// An exclusive task that was awarded to this peer.
#[derive(Clone, Debug)]
struct Run {
    attempt: u16,
    descriptor: Arc<Descriptor>,
    phase: Phase,
    /// Whether work and completion still count on it: then a body that stands still is begun anew.
    wanted: bool,
    /// Where it waits for its keepers: others need the slot while it may take long.
    place: Place,
}

/// This peer's part in exclusive tasks.
#[derive(Clone, Debug)]
pub(crate) struct Exclusive {
    /// As keeper and as claimant, by job.
    claims: BTreeMap<JobId, Claims<Ended>>,
    runs: BTreeMap<TaskId, Run>,
    /// Who keeps the tasks of a job, beyond what is known of the job.
    pub(crate) keepers: Keepers,
}

impl Exclusive {
    pub(crate) const fn new(me: Life) -> Self {
        Self { claims: BTreeMap::new(), runs: BTreeMap::new(), keepers: Keepers::new(me) }
    }

    pub(crate) fn has(&self, task: TaskId) -> bool {
        self.runs.contains_key(&task)
    }

    pub(crate) fn of(&mut self, job: JobId) -> Option<&mut Claims<Ended>> {
        self.claims.get_mut(&job)
    }

    fn claims_task(&self, task: TaskId) -> bool {
        self.claims.get(&task.job).is_some_and(|claims| claims.claims_task(register(task)))
    }

    fn may_commit(&self, task: TaskId) -> bool {
        self.claims.get(&task.job).is_some_and(|claims| claims.may_commit(register(task)))
    }

    /// Whether a body ended whose result is not decided: its slot may be another's by now.
    pub(crate) fn is_committing(&self) -> bool {
        self.runs.values().any(|run| run.wanted && run.phase == Phase::Committing)
    }

    pub(crate) fn keeps(&self, job: JobId) -> bool {
        self.claims.contains_key(&job)
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.claims.values().map(Claims::deadline).fold(self.keepers.asks_at, earliest)
    }

    pub(crate) fn due(&self, now: Time) -> Vec<JobId> {
        let is_due = |claims: &Claims<Ended>| claims.deadline().is_some_and(|at| at <= now);
        self.claims.iter().filter(|(_, claims)| is_due(claims)).map(|(job, _)| *job).collect()
    }

    /// The job's verdict is forgotten here: late claims of its tasks are answered no more.
    pub(crate) fn forget(&mut self, me: Life, job: JobId, out: &mut Vec<Effect>) {
        self.keepers.forget(me, job);
        self.drop_claims(job, out);
    }

    pub(crate) fn drop_claims(&mut self, job: JobId, out: &mut Vec<Effect>) {
        let promised = self.keepers.promised.remove(&job);
        if self.claims.remove(&job).is_some() || promised.is_some() {
            let record = ClaimsRecord::Forgotten(job);
            out.push(Effect::Persist(Record::Claims { job, record }));
        }
    }

    /// What was said to be nothing holds without a record (`keepers.rs`); what was promised waits for its job.
    pub(crate) fn lay_aside(
        &mut self,
        job: JobId,
        records: Vec<ClaimsRecord<Ended>>,
        out: &mut Vec<Effect>,
    ) {
        if records.iter().any(ClaimsRecord::is_promise) && formic_core::rule!("node/promised") {
            self.keepers.promised.insert(job, records);
        } else {
            let record = ClaimsRecord::Forgotten(job);
            out.push(Effect::Persist(Record::Claims { job, record }));
        }
    }

    pub(crate) fn check(&self) {
        self.claims.values().for_each(Claims::check);
        for (task, run) in &self.runs {
            assert!(run.wanted || run.phase != Phase::Asking, "{task:?} is asked for by nobody");
        }
    }
}

const fn register(TaskId { job, key }: TaskId) -> Task {
    Task { job, key }
}

const fn task_of(Task { job, key }: Task) -> TaskId {
    TaskId { job, key }
}

impl Node {
    /// Work gives the task a slot: the body waits in it for the claim.
    pub(crate) fn start_exclusive(
        &mut self,
        task: TaskId,
        attempt: u16,
        descriptor: Arc<Descriptor>,
    ) {
        let known = self.exclusive.runs.get(&task).map(|run| run.phase);
        let phase = match known {
            None | Some(Phase::Asking | Phase::Seating(_)) => Phase::Asking,
            // An earlier body of it has not stopped, or its result is about to be decided.
            Some(Phase::Running | Phase::Stopping) => Phase::Stopping,
            Some(Phase::Committing) => Phase::Committing,
        };
        let run = Run { attempt, descriptor, phase, wanted: true, place: Place::Seated };
        self.exclusive.runs.insert(task, run);
        self.ask_for_claims();
    }

    /// Asks for every claim that is missing, if a majority is in touch: without one it is refused.
    pub(crate) fn ask_for_claims(&mut self) {
        self.exclusive.keepers.asks_at = None;
        let is_member = self.healing.view().is_some_and(|view| view.contains(self.me));
        if !is_member || self.healing.standing() == Standing::Lost {
            return;
        }
        let wants = self.exclusive.runs.iter().filter(|(_, run)| run.phase == Phase::Asking);
        let wants = wants.filter(|(task, _)| !self.exclusive.claims_task(**task));
        let wants: Vec<_> = wants.map(|(task, run)| (*task, run.descriptor.exclusive)).collect();
        let mut unknown = BTreeSet::new();
        for (task, lease) in wants {
            if !self.open_claims(task.job) {
                unknown.insert(task.job);
                continue;
            }
            // What another peer asked for may be anything.
            let lease = lease.unwrap_or(LEASE_MIN).clamp(LEASE_MIN, LEASE_MAX);
            let (job, born) = (task.job, task.job.born());
            let task = register(task);
            let claim = ClaimsInput::Claim { task, born, attempt: 1, lease };
            self.steps.push_back(Step::Claims(job, claim));
        }
        for job in unknown {
            self.exclusive.keepers.asks_at = Some(self.now + ASK_EVERY);
            for life in self.alive() {
                self.send(life, Message::WhoKeeps { job });
            }
        }
    }

    /// Whether this peer knows who keeps the exclusive tasks of the job.
    fn open_claims(&mut self, job: JobId) -> bool {
        if self.exclusive.claims.contains_key(&job) {
            return true;
        }
        let Some(groups) = self.groups(job).map(<[_]>::to_vec) else { return false };
        self.begin_claims(job, &groups, None);
        true
    }

    pub(crate) fn begin_claims(
        &mut self,
        job: JobId,
        groups: &[Vec<Life>],
        records: Option<Vec<ClaimsRecord<Ended>>>,
    ) {
        let forgot = self.exclusive.keepers.has_forgotten(job);
        let claims = if forgot { Claims::amnesiac(self.me) } else { Claims::new(self.me) };
        self.exclusive.claims.insert(job, claims.of_job(job));
        let is_over = self.is_over(job);
        let promised = self.exclusive.keepers.promised.remove(&job);
        let records = records.or(promised);
        let mut feed = |input| self.steps.push_back(Step::Claims(job, input));
        records.into_iter().for_each(|records| feed(ClaimsInput::Restore(records)));
        views(job, groups).for_each(|view| feed(ClaimsInput::View(view)));
        if is_over {
            feed(ClaimsInput::Over);
        }
        let others = self.healing.up();
        others.into_iter().chain([self.me]).for_each(|life| feed(ClaimsInput::Guest(life)));
    }

    pub(crate) fn restore_claims(&mut self, job: JobId, records: Vec<ClaimsRecord<Ended>>) {
        match self.groups(job).map(<[_]>::to_vec) {
            Some(groups) => self.begin_claims(job, &groups, Some(records)),
            None => self.exclusive.lay_aside(job, records, &mut self.out),
        }
    }

    /// Exclusive tasks of the job that this peer keeps and cannot answer for, each with the peers whose disks it waits for: a
    /// home group lost its majority before what it knew had moved to the next one. O(tasks).
    pub fn waiting(&self, job: JobId) -> Vec<(Key, BTreeSet<PeerId>)> {
        let claims = self.exclusive.claims.get(&job);
        claims.into_iter().flat_map(Claims::waiting).map(|(task, of)| (task.key, of)).collect()
    }

    /// A life that is heard may claim, and may be the newest one of a keeper.
    pub(crate) fn invite(&mut self, life: Life) {
        for job in self.exclusive.claims.keys() {
            self.steps.push_back(Step::Claims(*job, ClaimsInput::Guest(life)));
        }
    }

    /// What is about a job that is not known here is lost: claimants ask again.
    pub(crate) fn on_claims_message(&mut self, from: Life, message: ClaimsMessage<Ended>) {
        let job = message.job();
        self.compare_groups(from, &message);
        if self.open_claims(job) {
            self.steps.push_back(Step::Claims(job, ClaimsInput::Message { from, message }));
        }
    }

    pub(crate) fn is_over(&self, job: JobId) -> bool {
        self.jobs.get(job).is_some_and(|entry| entry.completion.is_closed())
    }

    /// The job is over: nothing of it moves or is decided any more.
    pub(crate) fn end_claims(&mut self, job: JobId) {
        let runs = self.exclusive.runs.iter();
        let undecided = runs
            .filter(|(task, run)| task.job == job && run.phase == Phase::Committing && !run.wanted);
        let undecided: Vec<TaskId> = undecided.map(|(task, _)| *task).collect();
        undecided.into_iter().for_each(|task| self.let_go(task));
        if self.exclusive.claims.contains_key(&job) {
            self.steps.push_back(Step::Claims(job, ClaimsInput::Over));
        }
    }

    /// The body of an exclusive task ended by itself.
    pub(crate) fn commit_exclusive(&mut self, task: TaskId, outcome: Outcome) {
        let may_commit = self.exclusive.may_commit(task);
        let Some(run) = self.exclusive.runs.get_mut(&task) else { return };
        // It ended while it was told to stop: a lost lease alone forbids nothing (healing.md 7.2 step 5).
        let ended = run.phase == Phase::Stopping && run.wanted;
        if run.phase == Phase::Running || ended && may_commit {
            run.phase = Phase::Committing;
            let (job, value) = (task.job, Ended::of(outcome));
            let task = register(task);
            self.steps.push_back(Step::Claims(job, ClaimsInput::Commit { task, value }));
        } else {
            self.on_stopped(task);
        }
    }

    /// Nobody counts on the task any more: its body is stopped.
    pub(crate) fn abort_exclusive(&mut self, task: TaskId) {
        let is_over = self.is_over(task.job);
        let Some(run) = self.exclusive.runs.get_mut(&task) else { return };
        run.wanted = false;
        match run.phase {
            Phase::Asking | Phase::Seating(_) => self.let_go(task),
            Phase::Running => {
                run.phase = Phase::Stopping;
                self.out.push(Effect::Abort { job: task.job, key: task.key });
            }
            Phase::Stopping => {}
            // Nobody is next.
            Phase::Committing if is_over => self.let_go(task),
            // What happened outside has happened: it is still decided, and adopted by whoever is next.
            Phase::Committing => {}
        }
    }

    fn let_go(&mut self, task: TaskId) {
        self.exclusive.runs.remove(&task);
        self.release(task);
    }

    fn release(&mut self, task: TaskId) {
        if self.exclusive.claims_task(task) {
            let release = ClaimsInput::Release { task: register(task) };
            self.steps.push_back(Step::Claims(task.job, release));
        }
    }

    pub(crate) fn on_stopped(&mut self, task: TaskId) {
        let Some(run) = self.exclusive.runs.get_mut(&task) else { return };
        match (run.phase, run.wanted) {
            (Phase::Stopping, false) => self.let_go(task),
            (Phase::Stopping, true) => {
                run.phase = Phase::Asking;
                self.release(task);
                self.steps.push_back(Step::AskForClaims);
            }
            (Phase::Asking | Phase::Seating(_) | Phase::Running | Phase::Committing, _) => {}
        }
    }

    pub(crate) fn on_claims(&mut self, job: JobId, effect: ClaimsEffect<Ended>) {
        match effect {
            ClaimsEffect::Persist(record) => {
                self.out.push(Effect::Persist(Record::Claims { job, record }));
            }
            ClaimsEffect::Send { to, message } => self.send(to, Message::Claims(Box::new(message))),
            ClaimsEffect::Event(event) => self.on_claim(event),
        }
    }

    fn on_claim(&mut self, event: Claim<Ended>) {
        match event {
            Claim::Granted { task, fence, .. } => self.on_granted(task_of(task), fence),
            Claim::Waiting { task, remaining } => {
                let Task { job, key } = task;
                self.out.push(Effect::Event(Event::TaskHeld { job, key, remaining }));
                self.stand_up(task_of(task));
            }
            Claim::LeaseLost { task } => self.on_lease_lost(task_of(task)),
            Claim::Committed { task, value } => self.on_decided(task_of(task), value),
            Claim::Adopted { task, value } => {
                let Task { job, key } = task;
                self.out.push(Effect::Event(Event::TaskAdopted { job, key }));
                self.on_decided(task_of(task), value);
            }
            Claim::Undecided { task, missing } => {
                let Task { job, key } = task;
                self.out.push(Effect::Event(Event::TaskUndecided { job, key, missing }));
                self.stand_up(task_of(task));
                // Others may keep it by now.
                for life in self.alive() {
                    self.send(life, Message::WhoKeeps { job });
                }
            }
            // This life is over: whatever it ran is done again elsewhere.
            Claim::Refused { task, why: Denial::NotMember } => {
                drop(self.exclusive.runs.remove(&task_of(task)));
            }
            // Somebody may have a result by now, and this one be nobody's: the next claim tells.
            Claim::Refused { task, why: Denial::Superseded { .. } } => {
                let task = task_of(task);
                match self.exclusive.runs.get_mut(&task) {
                    Some(run) if run.wanted => {
                        run.phase = Phase::Asking;
                        self.ask_for_claims();
                    }
                    _ => drop(self.exclusive.runs.remove(&task)),
                }
            }
        }
    }

    fn on_granted(&mut self, task: TaskId, fence: Fence) {
        let Some(run) = self.exclusive.runs.get_mut(&task).filter(|it| it.phase == Phase::Asking)
        else {
            self.release(task);
            return;
        };
        if run.place == Place::Standing {
            run.phase = Phase::Seating(fence);
            self.steps.push_back(Step::Work(formic_work::Input::Runs { task }));
            return;
        }
        self.run_exclusive(task, fence);
    }

    /// Others run meanwhile: whoever held it last may be gone, or the keepers may, for good.
    fn stand_up(&mut self, task: TaskId) {
        if let Some(run) = self.exclusive.runs.get_mut(&task)
            && matches!(run.phase, Phase::Asking | Phase::Committing)
            // A task that was given up while its result is decided has no slot any more.
            && run.wanted
            && run.place == Place::Seated
        {
            run.place = Place::Standing;
            self.steps.push_back(Step::Work(formic_work::Input::Waits { task }));
        }
    }

    /// It has its slot again; true if it is one that stood up for its claim.
    pub(crate) fn sit_down(&mut self, task: TaskId) -> bool {
        let Some(run) = self.exclusive.runs.get_mut(&task) else { return false };
        run.place = Place::Seated;
        if let Phase::Seating(fence) = run.phase {
            self.run_exclusive(task, fence);
        }
        true
    }

    fn run_exclusive(&mut self, task: TaskId, fence: Fence) {
        let Some(run) = self.exclusive.runs.get_mut(&task) else { return };
        run.phase = Phase::Running;
        let (attempt, descriptor) = (run.attempt, Arc::clone(&run.descriptor));
        let TaskId { job, key } = task;
        let fence = Some(fence);
        self.out.push(Effect::Event(Event::TaskStarted { job, key, attempt, fence }));
        self.out.push(Effect::Start { job, key, attempt, descriptor, fence, root: false });
    }

    fn on_lease_lost(&mut self, task: TaskId) {
        let TaskId { job, key } = task;
        let Some(run) = self.exclusive.runs.get_mut(&task) else { return };
        match run.phase {
            Phase::Running => run.phase = Phase::Stopping,
            // The slot came too late.
            Phase::Seating(_) => {
                run.phase = Phase::Asking;
                self.release(task);
                self.steps.push_back(Step::Work(formic_work::Input::Waits { task }));
                self.steps.push_back(Step::AskForClaims);
                return;
            }
            Phase::Asking | Phase::Stopping | Phase::Committing => return,
        }
        self.out.push(Effect::Event(Event::LeaseLost { job, key }));
        self.out.push(Effect::Abort { job, key });
    }

    /// There is one result, whoever's it is. Other runs of the task here are over.
    fn on_decided(&mut self, task: TaskId, Ended(outcome): Ended) {
        let Some(run) = self.exclusive.runs.remove(&task) else { return };
        let TaskId { job, key } = task;
        if matches!(run.phase, Phase::Running | Phase::Stopping) {
            self.out.push(Effect::Abort { job, key });
        }
        if !run.wanted {
            return;
        }
        let finished = Event::TaskFinished { job, key, outcome: outcome.clone() };
        self.out.push(Effect::Event(finished));
        let slot = self.served(task, &outcome);
        self.steps.push_back(Step::completion(job, JobInput::BodyFinished { key, outcome, slot }));
        self.steps.push_back(Step::Work(formic_work::Input::Ended { task }));
    }
}
