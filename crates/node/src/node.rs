use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use formic_completion::{Completion, Message as Job, Spawn};
use formic_core::{
    Blame, Capability, Descriptor, Digest, Fault, JobId, Key, Life, Member, Outcome, PeerId,
    Protocol, Random, Sink, Time, earliest, mix, transport::CloseReason,
};
use formic_healing::{Belief, Fate, Healing, Standing};
use formic_identity::SecretKey;
use formic_mesh::Mesh;
use formic_pheromones::Pheromones;
use formic_work::{TaskId, Work};

use crate::{
    Config, Counters, Effect, Error, Event, Input, Message, Record, RemoteLeave,
    exclusive::Exclusive,
    jobs::{Jobs, Submitter},
    step::{Origin, Step},
    trails::Trails,
    views::Published,
    votes::{Courts, Docket},
    withheld::Withheld,
};

/// One peer: all its protocols, and the translations between them.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) me: Life,
    secret: SecretKey,
    completion: formic_completion::Config,
    leave_grace: core::time::Duration,
    pub(crate) remote_leave: RemoteLeave,
    pub(crate) mesh: Mesh,
    pub(crate) healing: Healing,
    pub(crate) work: Work,
    pub(crate) trails: Trails,
    pub(crate) jobs: Jobs,
    pub(crate) withheld: Withheld,
    pub(crate) exclusive: Exclusive,
    pub(crate) courts: Courts,
    pub(crate) consensus: formic_consensus::Config,
    pub(crate) voters_lost: core::time::Duration,
    /// Members that are up and whose record has not arrived.
    pub(crate) unnamed: BTreeSet<Life>,
    /// A client that waits for a forced view.
    pub(crate) operator: Option<Life>,
    pub(crate) published: Published,
    /// Jobs submitted to this life so far.
    pub(crate) submitted: u64,
    leaving: Leaving,
    counters: Counters,
    fresh: bool,
    pub(crate) now: Time,
    pub(crate) steps: VecDeque<Step>,
    pub(crate) out: Vec<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    Not,
    Until(Time),
    Left,
}

impl Node {
    /// A peer that has not started.
    ///
    /// # Errors
    /// The secret is not this peer's, or a setting is out of its range.
    pub fn new(config: Config) -> Result<Self, Error> {
        let me = config.life;
        let of = config.secret.public().peer_id();
        if of != me.peer {
            return Err(Error::WrongSecret { of, peer: me.peer });
        }
        if config.leave_grace > core::time::Duration::from_secs(3_600) {
            return Err(Error::LeaveGrace { value: config.leave_grace });
        }
        if config.voters_lost > core::time::Duration::from_secs(3_600) {
            return Err(Error::VotersLost { value: config.voters_lost });
        }
        config.completion.check()?;
        let random = Random::new(mix(config.seed ^ 2));
        let machine = Pheromones::new(config.trails.clone(), me, random)?;
        config.consensus.check()?;
        let mut work = config.work;
        work.brief = config.trails.brief;
        work.slots = config.mesh.slots;
        work.capabilities.clone_from(&config.mesh.capabilities);
        let member = Member { life: me, fate: config.mesh.fate };
        let mut mesh = config.mesh;
        mesh.seed = mix(config.seed ^ 1);
        Ok(Self {
            me,
            secret: config.secret,
            completion: config.completion,
            leave_grace: config.leave_grace,
            remote_leave: config.remote_leave,
            healing: Healing::new(config.healing, member, Random::new(mix(config.seed)))?,
            mesh: Mesh::new(mesh, me)?,
            work: Work::new(work, me)?,
            trails: Trails::new(&config.trails, machine),
            jobs: Jobs::default(),
            withheld: Withheld::default(),
            exclusive: Exclusive::new(me),
            courts: Courts::default(),
            consensus: config.consensus,
            voters_lost: config.voters_lost,
            unnamed: BTreeSet::new(),
            operator: None,
            published: Published::default(),
            submitted: 0,
            leaving: Leaving::Not,
            counters: Counters::default(),
            fresh: true,
            now: Time::ZERO,
            steps: VecDeque::new(),
            out: Vec::new(),
        })
    }

    /// Who this peer is.
    pub const fn life(&self) -> Life {
        self.me
    }

    /// The mesh this peer is a member of.
    pub const fn mesh(&self) -> Option<Digest> {
        self.mesh.mesh()
    }

    /// What went wrong so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Asserts the invariants of all protocols: O(tasks).
    ///
    /// # Panics
    /// If one is broken: a bug of this workspace.
    pub fn check(&self) {
        assert!(self.steps.is_empty() && self.out.is_empty(), "{} left work undone", self.me);
        self.work.check();
        self.trails.machine.check();
        self.exclusive.check();
        self.courts.check();
        self.jobs.iter().for_each(|(_, job)| job.completion.check());
    }

    /// Members that are alive, this one not included; sorted.
    pub(crate) fn alive(&self) -> Vec<Life> {
        self.healing.up()
    }

    pub(crate) fn send(&mut self, to: Life, message: Message) {
        if to == self.me {
            self.steps.push_back(Step::Own(message));
        } else {
            self.out.push(Effect::Send { to, message });
        }
    }

    pub(crate) fn misbehaved(&mut self, peer: PeerId, what: String) {
        *self.counters.misbehaved.entry(peer).or_default() += 1;
        self.out.push(Effect::Event(Event::Misbehaved { peer, what }));
    }

    pub(crate) const fn is_leaving(&self) -> bool {
        !matches!(self.leaving, Leaving::Not)
    }

    fn on_input(&mut self, input: Input) -> Result<(), Error> {
        match input {
            Input::Restore { records } => self.on_restore(records)?,
            Input::LinkUp { life, shared_fate } => {
                let fate = if shared_fate { Fate::Shared } else { Fate::Own };
                self.steps.push_back(Step::Healing(formic_healing::Input::LinkUp { life, fate }));
                self.steps.push_back(Step::Mesh(formic_mesh::Input::LinkUp { life }));
            }
            Input::LinkDown { life, reason } => {
                self.on_link_down(life, reason);
            }
            Input::Message { from, message } => self.on_message(from, message),
            Input::DialFailed { peer, addresses: _ } => {
                let failed = |peer| Step::Mesh(formic_mesh::Input::DialFailed { peer });
                self.steps.extend(peer.map(failed));
            }
            Input::Submit { request, root, plan } => {
                self.on_submit(Submitter::Local { request }, root, plan);
            }
            Input::Cancel { job, reason } => {
                self.jobs.get(job).ok_or(Error::UnknownJob { job })?;
                self.cancel(job, reason);
            }
            Input::Spawn { job, owner, index, descriptor, mode } => {
                self.on_spawn((job, owner), (index, descriptor), mode)?;
            }
            Input::Decide { job, owner, case } => self.on_decide(job, owner, case)?,
            Input::Opinion { job, instance, ballot } => self.on_opinion(job, instance, ballot),
            Input::Finished { job, key, outcome } => self.on_finished(job, key, outcome)?,
            Input::Stopped { job, key } => self.on_stopped(TaskId { job, key }),
            Input::Waits { job, key } => self.on_waits(TaskId { job, key }),
            Input::Runs { job, key } => self.on_runs(TaskId { job, key }),
            Input::SetCapabilities { capabilities } => self.on_capabilities(capabilities),
            Input::Found { addresses } => {
                self.steps.push_back(Step::Mesh(formic_mesh::Input::Found { addresses }));
            }
            Input::Pause { span } => {
                self.steps.push_back(Step::Healing(formic_healing::Input::Pause(span)));
            }
            Input::Resume => self.steps.push_back(Step::Healing(formic_healing::Input::Resume)),
            Input::ForceView { members, epoch, reason } => {
                let force = formic_healing::Input::ForceView { members, epoch, reason };
                self.steps.push_back(Step::Healing(force));
            }
            Input::Cast { to, draft } => {
                self.steps.push_back(Step::Mesh(formic_mesh::Input::Cast { to, draft }));
            }
            Input::SetRecord { slot, value } => {
                self.steps.push_back(Step::Mesh(formic_mesh::Input::SetRecord { slot, value }));
            }
            Input::Leave => self.on_leave(),
            Input::Deadline => self.on_deadline(),
        }
        Ok(())
    }

    fn on_spawn(
        &mut self,
        (job, owner): (JobId, Key),
        (index, descriptor): (u64, Arc<Descriptor>),
        mode: Spawn,
    ) -> Result<(), Error> {
        self.jobs.get(job).ok_or(Error::UnknownJob { job })?;
        if self.exclusive.has(TaskId { job, key: owner }) {
            return Err(Error::ExclusiveSpawn { job, key: owner });
        }
        let origin = Origin::Spawn { index, descriptor: Arc::clone(&descriptor) };
        let input = formic_completion::Input::Spawn { owner, index, descriptor, mode };
        self.steps.push_back(Step::Completion { job, input, origin });
        Ok(())
    }

    fn on_link_down(&mut self, life: Life, reason: CloseReason) {
        self.jobs.forget_client(life);
        let ended = formic_healing::Input::LinkDown { life, reason };
        self.steps.push_back(Step::Healing(ended));
        self.steps.push_back(Step::Mesh(formic_mesh::Input::LinkDown { life }));
    }

    fn on_waits(&mut self, task: TaskId) {
        if self.withheld.waits(task) {
            self.steps.push_back(Step::Work(formic_work::Input::Waits { task }));
        }
    }

    fn on_runs(&mut self, task: TaskId) {
        if self.withheld.runs(task) {
            self.steps.push_back(Step::Work(formic_work::Input::Runs { task }));
        }
    }

    fn on_capabilities(&mut self, capabilities: Vec<Capability>) {
        let wanted = capabilities.clone();
        let mesh = formic_mesh::Input::SetCapabilities { capabilities: wanted };
        self.steps.push_back(Step::Mesh(mesh));
        let work = formic_work::Input::SetCapabilities { capabilities };
        self.steps.push_back(Step::Work(work));
    }

    /// A body that was stopped meanwhile may still end: that is no news.
    fn on_finished(&mut self, job: JobId, key: Key, outcome: Outcome) -> Result<(), Error> {
        self.jobs.get(job).ok_or(Error::UnknownJob { job })?;
        let task = TaskId { job, key };
        if self.exclusive.has(task) {
            self.commit_exclusive(task, outcome);
        } else if self.work.runs(task) {
            self.withheld.forget(task);
            let finished = Event::TaskFinished { job, key, outcome: outcome.clone() };
            self.out.push(Effect::Event(finished));
            let slot = self.served(task, &outcome);
            let input = formic_completion::Input::BodyFinished { key, outcome, slot };
            self.steps.push_back(Step::completion(job, input));
            self.steps.push_back(Step::Work(formic_work::Input::Ended { task }));
        }
        Ok(())
    }

    fn on_restore(&mut self, mut records: Vec<Record>) -> Result<(), Error> {
        if !self.fresh {
            return Err(Error::RestoreNotFirst);
        }
        Record::drop_left(&mut records);
        let mut jobs: BTreeMap<JobId, Vec<formic_completion::Record>> = BTreeMap::new();
        let mut claims: BTreeMap<JobId, Vec<_>> = BTreeMap::new();
        let mut dockets: BTreeMap<JobId, Vec<Docket>> = BTreeMap::new();
        let mut views = Vec::new();
        for record in records {
            match record {
                Record::Job { job, record } => jobs.entry(job).or_default().push(record),
                Record::View(record) => views.push(record),
                Record::Claims { job, record } => claims.entry(job).or_default().push(record),
                Record::Votes { job, record } => dockets.entry(job).or_default().push(record),
                // Taken by `Config::resume`, before there is a node.
                Record::Mesh(_) | Record::Left => {}
                Record::Since(since) => self.exclusive.keepers.restore(since),
                Record::Addresses(addresses) => {
                    let known = formic_mesh::Input::Addresses { addresses };
                    self.steps.push_back(Step::Mesh(known));
                }
            }
        }
        self.steps.push_back(Step::Healing(formic_healing::Input::Restore(views)));
        for (job, records) in jobs {
            self.open(job);
            let homes = records.iter().rev().find_map(|record| match record {
                formic_completion::Record::Home { spec, later } => {
                    Some(core::iter::once(&spec.home).chain(later).cloned().collect())
                }
                _ => None,
            });
            if let Some(entry) = self.jobs.get_mut(job) {
                entry.homes = homes.unwrap_or_default();
            }
            if let Some(records) = claims.remove(&job) {
                self.restore_claims(job, records);
            }
            // In this life nobody was heard yet: healing says when a majority is in touch.
            let quorum = formic_completion::Input::Quorum { held: false };
            self.steps.push_back(Step::completion(job, quorum));
            let input = formic_completion::Input::Restore { records };
            self.steps.push_back(Step::completion(job, input));
        }
        for (job, dockets) in dockets {
            self.restore_courts(job, dockets);
        }
        for (job, records) in claims {
            self.exclusive.lay_aside(job, records, &mut self.out);
        }
        Ok(())
    }

    fn open(&mut self, job: JobId) {
        self.jobs.insert(job, Completion::new(self.completion.clone(), self.me, job));
    }

    /// The instance of this job, made if it is not there. It learns first who is alive.
    pub(crate) fn open_informed(&mut self, job: JobId) {
        if self.jobs.get(job).is_some() {
            return;
        }
        self.open(job);
        let held = self.healing.standing() == Standing::Held;
        let quorum = formic_completion::Input::Quorum { held };
        self.steps.push_back(Step::completion(job, quorum));
        for (life, told) in self.healing.told() {
            let input = match told {
                Belief::Condemned { .. } => formic_completion::Input::Down { life },
                _ => formic_completion::Input::Up { life },
            };
            self.steps.push_back(Step::completion(job, input));
        }
        self.tell_view(&[job]);
    }

    pub(crate) fn on_leave(&mut self) {
        if self.leaving == Leaving::Not {
            self.leaving = Leaving::Until(self.now + self.leave_grace);
            self.steps.push_back(Step::Mesh(formic_mesh::Input::Drain));
            self.steps.push_back(Step::Work(formic_work::Input::Drain));
        }
    }

    fn leave_when_idle(&mut self) {
        let Leaving::Until(at) = self.leaving else { return };
        let is_idle = !self.work.is_running() && !self.exclusive.is_committing();
        if is_idle || at <= self.now {
            self.leaving = Leaving::Left;
            self.steps.push_back(Step::Mesh(formic_mesh::Input::Leave));
        }
    }

    /// The farewell. With no open job the mesh is forgotten; with one this peer is still needed, and comes back.
    fn take_leave(&mut self) {
        let farewell = self.out.len();
        self.run_own();
        if !self.jobs.any_open() {
            self.out
                .retain(|effect| !matches!(effect, Effect::Persist(record) if record.is_of_mesh()));
            // Nobody may hear a farewell that a crash could still undo.
            let farewell = farewell.min(self.out.len());
            self.out.insert(farewell, Effect::Persist(Record::Left));
        }
        self.out.push(Effect::Left);
    }

    fn on_deadline(&mut self) {
        let now = self.now;
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if due(self.mesh.deadline()) {
            self.steps.push_back(Step::Mesh(formic_mesh::Input::Deadline));
        }
        if due(self.healing.deadline()) {
            self.steps.push_back(Step::Healing(formic_healing::Input::Deadline));
        }
        for job in self.exclusive.due(self.now) {
            self.steps.push_back(Step::Claims(job, formic_register::claims::Input::Deadline));
        }
        for court in self.courts.due(self.now) {
            self.on_court_deadline(court);
        }
        if due(self.exclusive.keepers.asks_at) {
            self.steps.push_back(Step::AskForClaims);
        }
        if due(self.work.deadline()) {
            self.steps.push_back(Step::Work(formic_work::Input::Deadline));
        }
        if due(self.trails.machine.deadline()) {
            self.steps.push_back(Step::Trails(formic_pheromones::Input::Deadline));
        }
        for job in self.jobs.due(self.now) {
            self.steps.push_back(Step::completion(job, formic_completion::Input::Deadline));
        }
    }

    /// Feeds steps that this peer made itself: whose fault a refusal is does not depend on the caller.
    fn run_own(&mut self) {
        while let Some(step) = self.steps.pop_front() {
            match self.step(step).err().map(|error| (error.fault(), error)) {
                None => {}
                Some((Fault::Peer(peer), error)) => self.misbehaved(peer, error.to_string()),
                Some(_) => self.counters.out_of_turn += 1,
            }
        }
    }

    /// Feeds steps until none is left. The first one may be refused as the caller's fault.
    fn run(&mut self) -> Result<(), Error> {
        let mut is_first = true;
        while let Some(step) = self.steps.pop_front() {
            let refused = self.step(step).err();
            match refused.map(|error| (error.fault(), error)) {
                None => {}
                Some((Fault::Peer(peer), error)) => self.misbehaved(peer, error.to_string()),
                Some((_, error)) if is_first => return Err(error),
                Some(_) => self.counters.out_of_turn += 1,
            }
            is_first = false;
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::Mesh(input) => {
                let mut effects = Vec::new();
                self.mesh.handle(self.now, input, &mut effects)?;
                effects.into_iter().for_each(|effect| self.on_mesh(effect));
            }
            Step::Healing(input) => {
                let mut effects = Vec::new();
                self.healing.handle(self.now, input, &mut effects)?;
                effects.into_iter().for_each(|effect| self.on_healing(effect));
            }
            Step::Work(input) => {
                let mut effects = Vec::new();
                self.work.handle(self.now, input, &mut effects)?;
                effects.into_iter().for_each(|effect| self.on_work(effect));
            }
            Step::Trails(input) => {
                let is_said = matches!(input, formic_pheromones::Input::Message { .. });
                let mut effects = Vec::new();
                match self.trails.machine.handle(self.now, input, &mut effects) {
                    Err(error) if is_said => return Err(error.into()),
                    // An attempt or choice that was forgotten: nobody's fault.
                    Err(_) => self.counters.out_of_turn += 1,
                    Ok(()) => effects.into_iter().for_each(|effect| self.on_trails(effect)),
                }
            }
            Step::Completion { job, input, origin } => {
                let mut effects = Vec::new();
                let Some(entry) = self.jobs.get_mut(job) else { return Ok(()) };
                entry.completion.handle(self.now, input, &mut effects)?;
                self.jobs.reschedule(job);
                effects.into_iter().for_each(|effect| self.on_completion(job, effect, &origin));
            }
            Step::Claims(job, input) => {
                let mut effects = Vec::new();
                let Some(claims) = self.exclusive.of(job) else { return Ok(()) };
                claims.handle(self.now, input, &mut effects)?;
                effects.into_iter().for_each(|effect| self.on_claims(job, effect));
            }
            Step::Votes(court, input) => self.vote_step(court, input)?,
            Step::AskForClaims => self.ask_for_claims(),
            Step::Abort(task) => self.abort(task)?,
            Step::Own(message) => self.on_member_message(self.me, message),
        }
        Ok(())
    }

    fn abort(&mut self, task: TaskId) -> Result<(), Error> {
        self.withheld.forget(task);
        let ended = Step::Work(formic_work::Input::Ended { task });
        if self.work.runs(task) {
            if self.exclusive.has(task) {
                self.abort_exclusive(task);
            } else {
                self.out.push(Effect::Abort { job: task.job, key: task.key });
            }
            // Its slot is free only after the other aborts of the same input: what is queued and to be
            // aborted too must not start in it. `tests::clients::a_cancelled_job_ends_everywhere`
            self.steps.push_back(ended);
            return Ok(());
        }
        self.step(ended)
    }

    pub(crate) fn sign(&mut self, job: JobId, to: Life, statement: Digest) {
        let (public_key, signature) = crate::attest::sign(&self.secret, statement);
        self.send(to, Message::Attestation { job, statement, public_key, signature });
    }

    pub(crate) const fn secret(&self) -> &SecretKey {
        &self.secret
    }

    pub(crate) fn count_votes_dropped(&mut self) {
        self.counters.votes_dropped += 1;
    }

    pub(crate) fn count_stranger(&mut self) {
        self.counters.strangers += 1;
    }

    /// Whether a message may open a job here.
    pub(crate) fn admits(&mut self, job: JobId, message: &Job) -> bool {
        if self.jobs.get(job).is_some() {
            return true;
        }
        let opens = matches!(
            message,
            Job::HomePut { .. }
                | Job::HomeBack { .. }
                | Job::Work { .. }
                | Job::Probe { .. }
                | Job::Announce { .. }
        );
        if !opens || self.jobs.is_full() {
            self.counters.unknown_jobs += 1;
            return false;
        }
        self.open_informed(job);
        true
    }
}

impl Protocol for Node {
    type Input = Input;
    type Effect = Effect;
    type Error = Error;

    fn handle(
        &mut self,
        now: Time,
        input: Input,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::ClockWentBack { last: self.now, now });
        }
        if self.leaving == Leaving::Left {
            // Inputs that waited when it left. What it would write down now would come after `Record::Left`.
            return Ok(());
        }
        let before = core::mem::replace(&mut self.now, now);
        if let Err(error) = self.on_input(input).and_then(|()| self.run()) {
            self.now = before;
            self.steps.clear();
            self.out.clear();
            return Err(error);
        }
        self.fresh = false;
        self.publish();
        self.run_own();
        self.leave_when_idle();
        if self.leaving == Leaving::Left {
            self.take_leave();
        }
        core::mem::take(&mut self.out).into_iter().for_each(|effect| out.push(effect));
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let leave = match self.leaving {
            Leaving::Until(at) => Some(at),
            Leaving::Not => None,
            Leaving::Left => return None,
        };
        let watch = earliest(self.mesh.deadline(), self.healing.deadline());
        let tasks = earliest(self.work.deadline(), self.jobs.deadline());
        let tasks = earliest(tasks, self.exclusive.deadline());
        let tasks = earliest(tasks, self.trails.machine.deadline());
        let tasks = earliest(tasks, self.courts.deadline());
        earliest(leave, earliest(watch, tasks))
    }
}
