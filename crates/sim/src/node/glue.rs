//! Everything that depends on what a node's effects, events and records are called: effects become
//! happenings of the world, events are held against what really happened.

use std::sync::Arc;

use formic_completion::{Record as JobRecord, Verdict};
use formic_core::{Digest, JobId, Life, Outcome, View, transport::CloseReason};
use formic_node::{Effect, Event, Input, Message, verify_certificate};

use super::{
    agents::Start,
    host::State,
    links::Farewell,
    world::{What, World},
};
use crate::{
    engine::Detail,
    marks::Mark,
    oracles::{
        blame_is_just, never_early, one_verdict, one_view, quiet_is_quiet, verdicts_alternate,
    },
};

/// What a node makes durable.
pub(super) type Stored = formic_node::Record;

/// The record of an effect that makes one durable.
pub(super) const fn record_of(effect: &Effect) -> Option<&Stored> {
    match effect {
        Effect::Persist(record) => Some(record),
        _ => None,
    }
}

/// Makes records durable: one that closes its shelf takes the place of all before it.
pub(super) fn store(disk: &mut Vec<Stored>, records: impl Iterator<Item = Stored>) {
    for record in records {
        if record.closes() {
            let shelf = record.shelf();
            disk.retain(|other| other.shelf() != shelf);
        }
        disk.push(record);
    }
}

/// The last committed view that is durable.
pub(super) fn view_of(disk: &[Stored]) -> Option<&View> {
    disk.iter().rev().find_map(|record| match record {
        Stored::View(formic_healing::Record::View(view)) => Some(&**view),
        _ => None,
    })
}

/// What a record says about a job.
const fn about_job(record: &Stored) -> Option<(JobId, &JobRecord)> {
    match record {
        Stored::Job { job, record } => Some((*job, record)),
        _ => None,
    }
}

/// Whether this disk keeps the job for its home group.
pub(super) fn keeps_home(disk: &[Stored], job: JobId) -> bool {
    disk.iter().filter_map(about_job).any(|(of, record)| {
        of == job && matches!(record, JobRecord::Home { .. } | JobRecord::Closed { .. })
    })
}

/// Whether a message is about work, not about who is there.
pub(super) const fn is_work(message: &Message) -> bool {
    match message {
        Message::Work(_)
        | Message::Completion { .. }
        | Message::Attestation { .. }
        | Message::Claims(_)
        | Message::WhoKeeps { .. }
        | Message::Votes(_)
        | Message::Keepers { .. } => true,
        Message::Mesh(_)
        | Message::Healing(_)
        | Message::Pheromones(_)
        | Message::Request(_)
        | Message::Reply(_) => false,
    }
}

/// Whether a turn spawns more than it acknowledges.
pub(super) fn withholds(effects: &[Effect]) -> bool {
    let count = |which: fn(&&Effect) -> bool| effects.iter().filter(which).count();
    let spawned = count(|it| matches!(it, Effect::Event(Event::TaskSpawned { .. })));
    spawned > count(|it| matches!(it, Effect::Spawned { .. }))
}

/// Events that only show that a situation came up.
const fn mark_of(event: &Event) -> Option<Mark> {
    match event {
        Event::TaskHeld { .. } => Some(Mark::Held),
        Event::LeaseLost { .. } => Some(Mark::LeaseLost),
        Event::TaskAdopted { .. } => Some(Mark::Adopted),
        Event::TaskDropped { .. } => Some(Mark::Dropped),
        Event::TaskDivergent { .. } => Some(Mark::Divergent),
        Event::PeerSuspect { .. } => Some(Mark::Suspected),
        Event::Loss { lives } if lives.len() > 1 => Some(Mark::LostTogether),
        _ => None,
    }
}

impl World<'_> {
    /// What a life had made durable is its own again.
    pub(super) fn restored(&mut self, host: usize, records: &[Stored]) {
        for (job, stored) in records.iter().filter_map(about_job) {
            self.hosts[host].ordered.stored(job, stored);
            let closed = matches!(stored, JobRecord::Closed { .. });
            self.reach(if closed { Mark::RestoredClosed } else { Mark::RestoredOpen });
            if closed {
                self.hosts[host].decided.insert(job);
            }
        }
    }

    /// What is to be done outside is done.
    pub(super) fn apply(&mut self, host: usize, effect: Effect) {
        match effect {
            Effect::Persist(record) => {
                if let Some((job, stored)) = about_job(&record) {
                    self.hosts[host].ordered.stored(job, stored);
                }
            }
            // There are no outside sources in this world: seeds and what was durable must do.
            Effect::Discover => {}
            Effect::Reborn { incarnation } => {
                self.note(Detail::Brief, Some(host), || {
                    format!("p{host} is EVICTED and goes on as incarnation {}", incarnation.0)
                });
                self.reach(Mark::Reborn);
                self.reborn(host, incarnation);
            }
            Effect::Send { to, message } => self.says(host, to, message),
            Effect::Dial { peer, addresses } => self.dial(host, peer, addresses),
            Effect::Hangup { life } => self.hang_up(host, life, CloseReason::Closed),
            Effect::Start { job, key, attempt, descriptor, fence, root } => {
                self.note(Detail::Brief, Some(host), || {
                    format!("p{host} runs {} of {}, attempt {attempt}", key.short(), job.short())
                });
                self.start_body(host, Start { job, key, descriptor, fence, root });
            }
            Effect::Abort { job, key } => {
                self.body_stops(host, (job, key));
                self.give(host, Input::Stopped { job, key });
            }
            Effect::Resume { job, key } => self.body_resumes(host, (job, key)),
            Effect::Spawned { job, owner, index: _, key } => {
                self.body_spawned(host, (job, owner), key);
            }
            // No job of this world asks voters.
            Effect::Judge { .. } | Effect::Ruled { .. } => {}
            Effect::ChildDone { job, owner, key, by: _, outcome: _ } => {
                self.body_child_done(host, (job, owner), key);
            }
            Effect::Submitted { request, job } => {
                let number = usize::try_from(request >> 32).unwrap_or(usize::MAX);
                let (now, truth) = (self.now, self.truth.job(job, number));
                truth.truth.accepted = truth.truth.accepted.or(Some(now));
                self.report.submitted += 1;
                if let Some(latest) = self.truth.submitted.get_mut(number) {
                    *latest = Some(job);
                }
            }
            Effect::SubmitRefused { request, reason } => self.on_refused(host, request, &reason),
            Effect::Left => {
                self.note(Detail::Brief, Some(host), || format!("p{host} LEFT"));
                self.ends(host, State::Left, Farewell::Said);
            }
            Effect::Event(event) => self.event(host, event),
        }
    }

    fn says(&mut self, host: usize, to: Life, message: Message) {
        self.note(Detail::Full, Some(host), || {
            let text: String = format!("{message:?}").chars().take(300).collect();
            format!("p{host} -> {to} {text}")
        });
        match &message {
            Message::Completion { job, message } => {
                let durable = self.hosts[host].ordered.at_send(*job, message);
                self.claim("durable_first", durable.map_err(|what| format!("p{host}: {what}")));
            }
            Message::Work(formic_work::Message::Returned { .. }) => self.reach(Mark::Returned),
            _ => {}
        }
        self.send(host, to, message);
    }

    /// People try again for a while.
    fn on_refused(&mut self, host: usize, request: u64, reason: &str) {
        self.note(Detail::Brief, Some(host), || format!("p{host} refuses a job: {reason}"));
        self.reach(Mark::Refused);
        let job = usize::try_from(request >> 32).unwrap_or(usize::MAX);
        let round = u32::try_from(request & 0xff).unwrap_or(0) + 1;
        if round < 20 && !self.hosts[host].leaving && job < self.plan.jobs.len() {
            let at = self.now + core::time::Duration::from_millis(400);
            self.queue.push(at, What::Submit { job, peer: host, round });
        }
    }

    fn event(&mut self, host: usize, event: Event) {
        self.note(Detail::Brief, Some(host), || {
            let text: String = format!("{event:?}").chars().take(240).collect();
            format!("p{host} says {text}")
        });
        match event {
            Event::Joined { mesh, .. } => {
                if self.hosts[host].mesh.is_some() {
                    self.reach(Mark::Rejoined);
                }
                self.hosts[host].mesh = Some(mesh);
                self.hosts[host].joined = self.now;
                if self.truth.jobs.values().any(|job| job.truth.first_verdict.is_none()) {
                    self.reach(Mark::LateJoin);
                }
            }
            Event::PeerUp { life, .. } => self.on_up(host, life),
            Event::PeerDown { life, reason } => self.on_down(host, life, reason),
            Event::JobAccepted { job, home } => {
                self.reach(Mark::Accepted);
                self.truth.jobs.entry(job).or_default().kept_by(0, home);
            }
            Event::HomeChanged { job, generation, home } => {
                self.reach(Mark::HomeChanged);
                self.truth.jobs.entry(job).or_default().kept_by(generation, home);
            }
            Event::HomeTookOver { rank, .. } if rank > 0 => {
                self.report.takeovers += 1;
                self.reach(Mark::TookOver);
            }
            Event::TaskRespawned { .. } => {
                self.report.respawns += 1;
                self.reach(Mark::Respawned);
            }
            Event::TaskFinished { job, key, outcome } => {
                self.on_finished(host, (job, key), &outcome);
            }
            Event::JobComplete { job, outcome } => self.on_complete(host, job, &outcome),
            Event::JobVerdict { job, verdict } => self.on_verdict(host, job, &verdict),
            Event::JobAnomaly { what, .. } => self.claim("no_anomaly", Err(what)),
            Event::Misbehaved { peer, what } => {
                let accused =
                    self.of_peer.get(&peer).map_or_else(String::new, |it| format!("p{it}"));
                let what = format!("p{host} says: {what}");
                self.claim("blame_is_just", blame_is_just::at_blame(&accused, &what));
            }
            Event::ViewCommitted { view } => self.on_view(host, &view),
            Event::QuorumLost => {
                self.hosts[host].quorum = false;
                self.reach(Mark::QuorumLost);
            }
            Event::QuorumHeld => self.on_held(host),
            Event::Fork { ours, theirs } => {
                let (ours, theirs) = (ours.hash().short(), theirs.hash().short());
                self.claim("one_view", Err(format!("p{host} knows {ours} and meets {theirs}")));
            }
            // Nothing is claimed about the others.
            other => mark_of(&other).into_iter().for_each(|mark| self.reach(mark)),
        }
    }

    fn on_held(&mut self, host: usize) {
        self.hosts[host].quorum = true;
        if self.marks.count(Mark::QuorumLost) > 0 {
            self.reach(Mark::QuorumBack);
        }
    }

    /// A view was committed, or learnt.
    fn on_view(&mut self, host: usize, view: &Arc<View>) {
        let Some(mesh) = self.hosts[host].node.as_ref().and_then(|node| node.mesh()) else {
            return;
        };
        self.reach(Mark::ViewCommitted);
        let (epoch, hash) = (view.epoch, view.hash());
        let first = self.truth.views.get(&(mesh, epoch)).map(|view| view.hash());
        self.claim("one_view", one_view::at_view(epoch, hash, first));
        self.hosts[host].view = Some((epoch, hash));
        if first.is_some() {
            return;
        }
        self.report.views += 1;
        if self.truth.jobs.values().any(|job| job.truth.first_verdict.is_none()) {
            self.reach(Mark::ViewDuringJob);
        }
        self.claim_votes(host, mesh, view);
        self.truth.views.insert((mesh, epoch), Arc::clone(view));
    }

    fn on_up(&mut self, host: usize, life: Life) {
        let believed = self.hosts[host].up.contains(&life);
        let result = verdicts_alternate::at_verdict(believed, "up");
        self.claim("verdicts_alternate", result.map_err(|what| format!("p{host}: {life}: {what}")));
        self.hosts[host].up.insert(life);
        if !self.hosts[host].met.insert(life) {
            self.reach(Mark::UpAgain);
        }
    }

    fn on_down(&mut self, host: usize, life: Life, reason: &str) {
        let believed = self.hosts[host].up.contains(&life);
        let result = verdicts_alternate::at_verdict(believed, "down");
        self.claim("verdicts_alternate", result.map_err(|what| format!("p{host}: {life}: {what}")));
        self.hosts[host].up.remove(&life);
        let alive = self.hosts.iter().any(|other| other.is_running() && other.life == life);
        match reason {
            _ if alive && reason != "left" => {
                self.report.false_downs += 1;
                self.reach(Mark::FalseDown);
            }
            "silent" => self.reach(Mark::Silent),
            "gone" => self.reach(Mark::Gone),
            "restarted" => self.reach(Mark::Restarted),
            "left" => self.reach(Mark::LeftGood),
            _ => {}
        }
    }

    fn on_complete(&mut self, host: usize, job: JobId, outcome: &Outcome) {
        self.reach(Mark::Complete);
        let (now, life) = (self.now, self.hosts[host].life);
        self.claim_result(host, job, outcome);
        let truth = self.truth.jobs.entry(job).or_default();
        truth.truth.complete = truth.truth.complete.or(Some(now));
        truth.completers.insert(life);
        if !matches!(outcome, Outcome::Cancelled { .. }) {
            let covered = never_early::at_complete(&truth.truth);
            self.claim("never_early", covered);
        }
    }

    fn on_verdict(&mut self, host: usize, job: JobId, verdict: &Arc<Verdict>) {
        let (now, life) = (self.now, self.hosts[host].life);
        let outcome = &verdict.decree.outcome;
        let tally = &verdict.decree.tally;
        let counts = [tally.tasks, tally.ok, tally.failed, tally.executions];
        let counts: Vec<u8> = counts.into_iter().flat_map(u64::to_be_bytes).collect();
        let result = Digest::of(&[outcome.digest().as_bytes(), &counts]);
        let statement = &verdict.certificate.statement;
        let truth = self.truth.jobs.entry(job).or_default();
        let same = one_verdict::at_verdict(&mut truth.truth, life, result);
        let quiet = quiet_is_quiet::at_verdict(&truth.truth, statement);
        let is_first = truth.truth.first_verdict.is_none();
        truth.truth.first_verdict = truth.truth.first_verdict.or(Some(now));
        truth.truth.last_verdict = Some(now);
        let cancelled = matches!(outcome, Outcome::Cancelled { .. });
        let covered =
            if is_first && !cancelled { never_early::at_complete(&truth.truth) } else { Ok(()) };
        let proved = if truth.proofs.insert(statement.digest()) {
            let shape = verdict.certificate.check_decree(job, &verdict.decree);
            let signed = verify_certificate(&verdict.certificate);
            shape.map_err(|why| why.to_string()).and(signed.map_err(|why| why.to_string()))
        } else {
            Ok(())
        };
        self.report.verdicts += 1;
        self.hosts[host].decided.insert(job);
        self.claim("one_verdict", same);
        self.claim("quiet_is_quiet", quiet);
        self.claim("never_early", covered);
        self.claim("certificates_verify", proved);
        if cancelled {
            self.reach(Mark::Cancelled);
        }
        if !statement.excluded.is_empty() {
            self.reach(Mark::Excluded);
        }
    }
}
