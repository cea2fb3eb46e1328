//! What arrives from other peers and from clients, and what clients are answered.

use std::sync::Arc;

use formic_completion::{Attestation, Input as JobInput, Message as Job, Verdict};
use formic_core::{JobId, Key, Life};
use formic_healing::{Belief, Standing as Majority};
use formic_mesh::Standing;
use formic_work::{Input as WorkInput, TaskId};

use crate::{
    Effect, Event, JobStatus, MemberStatus, Message, Node, RemoteLeave, Reply, Request, Status,
    jobs::Submitter,
    step::{Origin, Step},
};

impl Node {
    pub(crate) fn on_message(&mut self, from: Life, message: Message) {
        let is_member = self.healing.belief(from).is_some();
        match message {
            Message::Mesh(message) => {
                if is_member {
                    self.heard(from);
                }
                self.steps.push_back(Step::Mesh(formic_mesh::Input::Message { from, message }));
            }
            Message::Request(request) => self.on_request(from, request),
            // Peers vote as later lives too, and the evicted must hear that they are.
            Message::Healing(message) => {
                let input = formic_healing::Input::Message { from, message };
                self.steps.push_back(Step::Healing(input));
            }
            // A view may still be on its way: what only members may say is dropped, not punished.
            _ if !is_member => self.count_stranger(),
            _ => {
                self.heard(from);
                self.on_member_message(from, message);
            }
        }
    }

    fn heard(&mut self, life: Life) {
        self.steps.push_back(Step::Healing(formic_healing::Input::Heard { life }));
    }

    pub(crate) fn on_member_message(&mut self, from: Life, message: Message) {
        match message {
            Message::Work(message) => {
                self.steps.push_back(Step::Work(WorkInput::Message { from, message }));
            }
            Message::Pheromones(message) => {
                let input = formic_pheromones::Input::Message { from, message };
                self.steps.push_back(Step::Trails(input));
            }
            Message::Completion { job, message } => self.on_job_message(from, job, message),
            Message::Attestation { job, statement, public_key, signature } => {
                let signature = signature.as_bytes().to_vec();
                let attestation = Attestation { signer: from, public_key, signature };
                if let Err(unproved) = crate::attest::verify(statement, &attestation) {
                    self.misbehaved(from.peer, unproved.to_string());
                    return;
                }
                let input = JobInput::Attested { statement, attestation };
                self.steps.push_back(Step::completion(job, input));
            }
            Message::Claims(message) => self.on_claims_message(from, *message),
            Message::Votes(votes) => self.on_votes(from, *votes),
            Message::WhoKeeps { job } => self.tell_keepers(from, job),
            Message::Keepers { job, groups } => self.on_keepers(from, job, groups),
            // A forwarded `Cancel` met a peer that did not yet know this one as a member, and took it for a client.
            Message::Reply(Reply::Unknown { .. }) => {}
            Message::Reply(_) => {
                self.misbehaved(from.peer, "a reply to a peer that asked nothing".to_owned());
            }
            Message::Mesh(_) | Message::Healing(_) | Message::Request(_) => {
                debug_assert!(false, "{from} is told apart before");
            }
        }
    }

    fn on_job_message(&mut self, from: Life, job: JobId, message: Job) {
        if !self.admits(job, &message) {
            return;
        }
        let mut origin = Origin::Other;
        if let Job::Work { key, attempt, descriptor, .. } = &message {
            origin = Origin::Work { from, key: *key };
            let task = TaskId { job, key: *key };
            if self.is_unknown(task)
                && let Some(reason) = self.work.refusal(&descriptor.requires)
            {
                // Given back before it is accepted, so that its owner may move it.
                let tasks = vec![(task, *attempt)];
                let returned = formic_work::Message::Returned { tasks, reason };
                self.send(from, Message::Work(returned));
                return;
            }
        }
        if let (Job::HomePut { spec, .. }, Some(entry)) = (&message, self.jobs.get_mut(job))
            && entry.homes.is_empty()
        {
            entry.homes.push(spec.home.clone());
        }
        let input = JobInput::Message { from, message };
        self.steps.push_back(Step::Completion { job, input, origin });
    }

    /// Whether this task would be executed here if it were accepted now.
    fn is_unknown(&self, task: TaskId) -> bool {
        let open = self.jobs.get(task.job).filter(|entry| !entry.completion.is_sealed());
        open.is_some_and(|entry| entry.completion.waiters(task.key).is_empty())
            && !self.work.runs(task)
    }

    fn on_request(&mut self, from: Life, request: Request) {
        match request {
            Request::Submit { request, root, plan } => {
                self.on_submit(Submitter::Client { life: from, request }, root, plan);
            }
            Request::Watch { job } => self.on_watch(from, job),
            Request::Cancel { job, reason } => {
                // A member forwarded it because this peer may be home: it goes no further.
                let is_member = self.healing.belief(from).is_some();
                if self.jobs.get(job).is_some_and(|entry| !is_member || !entry.homes.is_empty()) {
                    self.cancel(job, reason);
                } else if !is_member {
                    self.send(from, Message::Reply(Reply::Unknown { job }));
                }
            }
            Request::Status => {
                let status = Arc::new(self.status());
                self.send(from, Message::Reply(Reply::Status(status)));
            }
            Request::Trails => {
                let trails = self.trails();
                self.send(from, Message::Reply(Reply::Trails(trails)));
            }
            Request::ForceView { members, epoch, reason } => {
                self.operator = Some(from);
                let force = formic_healing::Input::ForceView { members, epoch, reason };
                self.steps.push_back(Step::Healing(force));
            }
            Request::Leave if self.remote_leave == RemoteLeave::Allowed => self.on_leave(),
            Request::Leave => {
                self.misbehaved(from.peer, "asked this peer to leave".to_owned());
            }
        }
    }

    fn on_watch(&mut self, client: Life, job: JobId) {
        let reply = match self.jobs.verdict(job).map(|verdict| verdict_reply(job, verdict)) {
            Some(reply) => reply,
            None if self.jobs.watch(job, client) => return,
            None => Reply::Unknown { job },
        };
        self.send(client, Message::Reply(reply));
    }

    pub(crate) fn on_verdict(&mut self, job: JobId, verdict: &Verdict) {
        let watchers = self.jobs.get_mut(job).map(|entry| core::mem::take(&mut entry.watchers));
        for client in watchers.unwrap_or_default() {
            self.send(client, Message::Reply(verdict_reply(job, verdict)));
        }
        self.steps.push_back(Step::Work(WorkInput::JobOver { job }));
        self.end_claims(job);
        self.close_courts(job);
        // Until here late claims of its exclusive tasks are answered with what was decided.
        if let Some(oldest) = self.jobs.close(job) {
            self.exclusive.forget(self.me, oldest, &mut self.out);
            self.courts.decisions.remove(&oldest);
        }
    }

    pub(crate) fn on_spawned(&mut self, job: JobId, (owner, key): (Key, Key), origin: &Origin) {
        let Origin::Spawn { index, descriptor } = origin else { return };
        let (kind, name) = (descriptor.kind.clone(), descriptor.name.clone());
        self.out.push(Effect::Event(Event::TaskSpawned { job, owner, key, kind, name }));
        let acknowledgement = Effect::Spawned { job, owner, index: *index, key };
        let task = TaskId { job, key: owner };
        if !self.work.is_full() {
            self.out.push(acknowledgement);
        } else if self.withheld.keep(task, acknowledgement) {
            self.steps.push_back(Step::Work(WorkInput::Waits { task }));
        }
    }

    /// Who is there and what goes on, as this peer sees it. O(members + jobs).
    pub fn status(&self) -> Status {
        let mut members: Vec<MemberStatus> = self
            .mesh
            .members()
            .map(|(record, standing)| self.member_status(record, standing))
            .collect();
        members.sort_by_key(|member| member.life);
        let jobs = self.jobs.iter().map(|(id, entry)| {
            let completion = &entry.completion;
            let state = match (completion.is_closed(), completion.is_sealed()) {
                (true, _) => "closed",
                (false, true) => "sealed",
                (false, false) => "open",
            };
            let here = |life: &&Life| **life == self.me || self.alive().contains(life);
            JobStatus {
                job: id,
                state: state.to_owned(),
                rank: entry.home().iter().position(|life| life.peer == self.me.peer),
                live: completion.live() as u64,
                awaited: completion.open_children() as u64,
                home_alive: (entry.home().iter().filter(here).count(), entry.home().len()),
            }
        });
        Status {
            mesh: self.mesh.mesh(),
            me: self.me,
            view: self.healing.view().cloned(),
            quorum: self.healing.standing() == Majority::Held,
            margin: self.healing.margin().map(|margin| margin as u64),
            health: self.mesh.health(),
            members,
            jobs: jobs.collect(),
            electorates: self.electorates(),
            reputations: self.courts.reputations(),
        }
    }

    fn member_status(&self, record: &formic_mesh::Record, standing: Standing) -> MemberStatus {
        let own = record.life == self.me;
        let is_in = self.healing.view().is_some_and(|view| view.contains(self.me));
        let (belief, heard) =
            self.healing.belief(record.life).unwrap_or((Belief::Unheard, self.now));
        let state = match (belief, standing) {
            (_, Standing::Left) => "left",
            _ if own && !is_in => "joining",
            _ if own || belief == Belief::Alive => {
                if record.draining {
                    "leaving"
                } else {
                    "alive"
                }
            }
            (Belief::Unheard, Standing::Fresh) => "joining",
            (Belief::Suspect { .. }, _) => "suspect",
            _ => "down",
        };
        let own_load = own.then(|| self.load());
        let load = own_load.or_else(|| self.mesh.load(record.life).map(|(load, _)| load));
        let heard_us = if own { 0 } else { self.now.since(heard).as_micros() };
        MemberStatus {
            life: record.life,
            name: record.name.clone(),
            capabilities: record.capabilities.clone(),
            addresses: record.addresses.clone(),
            state: state.to_owned(),
            slots: record.slots,
            running: load.map(|load| load.running.into()),
            queued: load.map(|load| load.queued),
            heard_us: u64::try_from(heard_us).unwrap_or(u64::MAX),
        }
    }
}

fn verdict_reply(job: JobId, verdict: &Verdict) -> Reply {
    Reply::Verdict {
        job,
        decree: Arc::new(verdict.decree.clone()),
        certificate: Arc::new(verdict.certificate.clone()),
    }
}
