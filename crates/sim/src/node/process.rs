//! Processes: they start, die in the middle of a turn, stand still, come back with or without a disk.

use core::time::Duration;
use std::collections::BTreeSet;

use formic_core::{Digest, FateId, Incarnation, Life, PeerId, Time};
use formic_node::{Config, Input, Node};

use super::{
    agents,
    faults::{Disk, Fault},
    glue,
    host::{Host, State},
    links::{Farewell, address},
    sky::micros,
    world::{What, World},
};
use crate::{
    engine::Detail,
    marks::Mark,
    oracles::{
        bounded,
        detected_in_time::{self, Company, Judged},
        durable_first::Ordered,
    },
};

/// Peers that others ask first.
const SEEDS: usize = 3;
/// A fuse that no effect burns down goes off by itself.
const FUSE: Duration = Duration::from_millis(50);
/// Longer than this is a stall to the detector.
const STALL: Duration = Duration::from_millis(400);

impl World<'_> {
    /// A life begins.
    pub(super) fn start(&mut self, peer: usize) {
        if matches!(self.hosts[peer].state, State::Running | State::Left) {
            return;
        }
        let secret = self.secret(peer);
        let host = &mut self.hosts[peer];
        host.born += 1;
        host.began = self.now;
        let incarnation = host.life.incarnation.next();
        let life = Life::new(secret.public().peer_id(), incarnation);
        (host.life, host.state) = (life, State::Running);
        host.ordered = Ordered::default();
        self.of_peer.insert(life.peer, peer);
        let mut config = Config::new(life, secret);
        config.seed = self.draw.bits("node", &[peer as u64, self.hosts[peer].born]);
        config.mesh.name = format!("p{peer}");
        config.mesh.addresses = vec![address(peer)];
        config.mesh.slots = self.hosts[peer].peer.slots;
        config.work.held_max = self.plan.held_max;
        // Seeds may name the peer itself. The founder comes back to the mesh it founded.
        let seeds = 0..self.hosts.len().min(SEEDS);
        config.mesh.seeds = seeds.map(address).collect();
        let process = self.hosts[peer].peer.process as u64;
        let beginning = self.truth.begun.get(&self.hosts[peer].peer.process).copied();
        config.mesh.fate = FateId(self.draw.bits("fate", &[process, beginning.unwrap_or(0)]));
        if peer == 0 {
            let founded = self.draw.bits("mesh", &[self.hosts[peer].born]);
            config.mesh.found = Some(Digest::of(&[b"world", &founded.to_be_bytes()]));
        }
        config.resume(&self.hosts[peer].disk);
        let records = self.hosts[peer].disk.clone();
        self.report.starts += 1;
        self.note(Detail::Brief, Some(peer), || {
            format!("p{peer} STARTS as {life} with {} records", records.len())
        });
        match Node::new(config) {
            Ok(node) => self.hosts[peer].node = Some(node),
            Err(error) => self.claim("bounded", Err(format!("no node: {error}"))),
        }
        if records.is_empty() {
            self.schedule_wake(peer);
            self.give(peer, Input::Deadline);
        } else {
            self.restored(peer, &records);
            self.give(peer, Input::Restore { records });
        }
    }

    /// A process is to die, in the middle of a turn if there is one soon.
    fn crash(&mut self, number: usize, host: usize) {
        if !self.hosts[host].is_running() {
            return;
        }
        let left = self.draw.index("fuse", &[number as u64, host as u64], 12);
        if left < 4 {
            self.burn_one(number, host);
            return;
        }
        let born = self.hosts[host].born;
        self.hosts[host].fuse = Some((left - 4, number));
        self.queue.push(self.now + FUSE, What::Burn { host, born, number });
    }

    /// The fuse of this strike burnt down.
    pub(super) fn burn(&mut self, number: usize) {
        let Some(strike) = self.plan.faults.get(number) else { return };
        match &strike.fault {
            Fault::Crash { peer, .. } | Fault::Drop { peer, .. } => self.burn_one(number, *peer),
            _ => {}
        }
    }

    fn burn_one(&mut self, number: usize, host: usize) {
        let Some(strike) = self.plan.faults.get(number) else { return };
        let process = self.hosts[host].peer.process;
        let alone = matches!(strike.fault, Fault::Drop { .. });
        let back = match &strike.fault {
            Fault::Crash { back, .. } | Fault::CrashAll { back, .. } | Fault::Drop { back, .. } => {
                *back
            }
            _ => return,
        };
        for other in 0..self.hosts.len() {
            let dies =
                if alone { other == host } else { self.hosts[other].peer.process == process };
            if dies && self.hosts[other].is_running() {
                self.dies(other);
                self.comes_back(other, back);
            }
        }
        if !alone {
            *self.truth.begun.entry(process).or_default() += 1;
        }
        if self.hosts.iter().all(|host| !host.is_running()) {
            self.reach(Mark::AllDown);
        }
    }

    /// A life that a view does not have ends, and the next one begins in the same process.
    pub(super) fn reborn(&mut self, peer: usize, incarnation: Incarnation) {
        self.ends(peer, State::Dead, Farewell::None);
        self.hosts[peer].life.incarnation = Incarnation(incarnation.0.saturating_sub(1));
        self.report.reborn += 1;
        self.queue.push(self.now + Duration::from_micros(500), What::Start { peer });
    }

    fn comes_back(&mut self, peer: usize, back: Option<(Duration, Disk)>) {
        let Some((after, disk)) = back else { return };
        if disk == Disk::Lost {
            self.reach(Mark::NewIdentity);
            let host = &mut self.hosts[peer];
            host.identity += 1;
            host.disk.clear();
            host.mesh = None;
            host.life.incarnation = Incarnation(0);
        }
        self.queue.push(self.now + after, What::Start { peer });
    }

    /// A life ends. Of the records of a turn that is not committed, a part is durable.
    fn dies(&mut self, peer: usize) {
        let life = self.hosts[peer].life;
        self.note(Detail::Brief, Some(peer), || format!("p{peer} CRASHES ({life})"));
        self.report.crashes += 1;
        if let Some(effects) = self.hosts[peer].pending.take() {
            let mut records: Vec<_> = effects.iter().filter_map(glue::record_of).cloned().collect();
            let what = [peer as u64, self.hosts[peer].born];
            records.truncate(self.draw.index("torn", &what, records.len() + 1));
            self.keep(peer, records);
            self.reach(Mark::TornTurn);
        }
        let completed = |job: &super::truth::JobTruth| {
            job.completers.contains(&life) && !job.truth.verdicts.contains_key(&life)
        };
        if self.truth.jobs.values().any(completed) {
            self.reach(Mark::DiesComplete);
        }
        self.expect_detection(peer);
        self.ends(peer, State::Dead, Farewell::None);
    }

    /// A life is over, in whatever way.
    pub(super) fn ends(&mut self, peer: usize, state: State, farewell: Farewell) {
        let life = self.hosts[peer].life;
        self.hosts[peer].state = state;
        self.hosts[peer].died = Some(self.now);
        self.hosts[peer].forget();
        self.truth.dead.insert(life, self.now);
        let Host { began, joined, .. } = &self.hosts[peer];
        if *began.max(joined) + detected_in_time::BEGINNING >= self.now {
            self.truth.young.insert(life);
        }
        for job in self.truth.jobs.values_mut() {
            job.truth.running.retain(|(at, _), _| *at != life);
        }
        self.mourn(peer, farewell);
    }

    /// In good weather everybody who runs now will know in time.
    fn expect_detection(&mut self, peer: usize) {
        let dead = self.hosts[peer].life;
        for host in 0..self.hosts.len() {
            let observer = &self.hosts[host];
            if observer.is_running() && observer.frozen.is_none() && observer.up.contains(&dead) {
                let (born, ghosts) = (observer.born, self.ghosts(host));
                for judged in [Judged::Alone, Judged::Together, Judged::Beginning] {
                    let Some(promise) = judged.promise() else { continue };
                    let at = self.now + promise + detected_in_time::SLACK;
                    let ghosts = ghosts.clone();
                    self.queue.push(at, What::Detect { host, born, dead, promise, ghosts });
                }
            }
        }
    }

    /// Members of the view that a peer knows whose lives are over: none of them speaks, however long ago
    /// it died.
    fn ghosts(&self, host: usize) -> BTreeSet<PeerId> {
        let mesh = self.hosts[host].node.as_ref().and_then(|node| node.mesh());
        let known = mesh.zip(self.hosts[host].view);
        let view = known.and_then(|(mesh, (epoch, _))| self.truth.views.get(&(mesh, epoch)));
        let lives = view.into_iter().flat_map(|view| view.lives());
        lives.filter(|life| self.truth.dead.contains_key(life)).map(|life| life.peer).collect()
    }

    /// Peers that died or began so near to a death that their verdicts were missing, and ghosts.
    fn company(&self, dead: Life, died: Time, ghosts: BTreeSet<PeerId>) -> Company {
        let near = |at: Time| at + detected_in_time::PROMISE_TOGETHER >= died;
        let died_too = self.truth.dead.iter().filter(|(life, at)| **life != dead && near(**at));
        let mut fell = ghosts;
        fell.extend(died_too.map(|(life, _)| life.peer));
        let fresh =
            |host: &&Host| host.is_running() && host.began + detected_in_time::BEGINNING >= died;
        let began = self.hosts.iter().filter(fresh).count();
        // It may have died before its observers had a link to it.
        let began = began + usize::from(self.truth.young.contains(&dead));
        let stood = self.truth.stalled.values().filter(|until| **until >= died).count();
        Company { peers: self.hosts.len(), missing: fell.len() + stood, began }
    }

    /// When the last of those that run began, or a death if that was later.
    fn last_beginning(&self, died: Time) -> Time {
        let running = self.hosts.iter().filter(|host| host.is_running());
        running.map(|host| host.began).fold(died, Time::max)
    }

    pub(super) fn detect(
        &mut self,
        (host, born): (usize, u64),
        (dead, ghosts): (Life, BTreeSet<PeerId>),
        promise: Duration,
    ) {
        let Some(died) = self.truth.dead.get(&dead).copied() else { return };
        // Who began since may watch the dead one, and waits for its first sign of life from then on.
        let at = self.last_beginning(died) + promise + detected_in_time::SLACK;
        if promise == detected_in_time::PROMISE_BEGINNING && at > self.now {
            self.queue.push(at, What::Detect { host, born, dead, promise, ghosts });
            return;
        }
        let observer = &self.hosts[host];
        let stalled = self.truth.stalled.get(&host).is_some_and(|until| *until >= died);
        // Whoever may be the one that is cut off holds verdicts back (healing.md 6.2).
        let fair = observer.is(born) && observer.frozen.is_none() && !stalled && observer.quorum;
        let stormy = self.sky.is_stormy().then_some(self.now).or(self.sky.stormy);
        let judged = detected_in_time::judged(died, stormy, self.company(dead, died, ghosts));
        if fair && judged.promise() == Some(promise) {
            self.report.detections += 1;
            let result = detected_in_time::at_promise(observer.up.contains(&dead), died);
            self.claim(
                "detected_in_time",
                result.map_err(|what| format!("p{host}: {dead}: {what}")),
            );
        }
    }

    fn freeze(&mut self, peer: usize, span: Duration) {
        let process = self.hosts[peer].peer.process;
        for host in 0..self.hosts.len() {
            let Host { peer, frozen, .. } = &mut self.hosts[host];
            if peer.process != process || frozen.is_some() || !self.hosts[host].is_running() {
                continue;
            }
            let since = self.now;
            self.hosts[host].frozen = Some(since);
            self.note(Detail::Brief, Some(host), || format!("p{host} STANDS STILL for {span:?}"));
            self.queue.push(since + span, What::Thaw { host, since });
            self.truth.stalled.insert(host, since + span + STALL);
            for (link, _) in self.links_of(host) {
                self.expect_silence(link);
            }
            if span > STALL {
                self.reach(Mark::Stalled);
            }
        }
    }

    /// It goes on: what arrived meanwhile first, then its deadline, late.
    pub(super) fn thaw(&mut self, host: usize, since: Time) {
        if self.hosts[host].frozen != Some(since) || !self.hosts[host].is_running() {
            return;
        }
        self.hosts[host].frozen = None;
        self.hosts[host].wake = None;
        self.note(Detail::Brief, Some(host), || format!("p{host} goes on"));
        self.drain(host);
        self.schedule_wake(host);
    }

    /// A fault strikes.
    pub(super) fn strike(&mut self, number: usize) {
        let Some(strike) = self.plan.faults.get(number) else { return };
        if self.now >= self.plan.calm {
            return;
        }
        self.note(Detail::Brief, None, || format!("FAULT {number}: {}", strike.fault));
        *self.report.faults.entry(strike.fault.kind()).or_default() += 1;
        match strike.fault.clone() {
            Fault::Crash { peer, .. } | Fault::Drop { peer, .. } => self.crash(number, peer),
            Fault::CrashAll { peers, .. } => {
                peers.into_iter().for_each(|peer| self.burn_one(number, peer));
            }
            Fault::Freeze { peer, span } => self.freeze(peer, span),
            Fault::Skew { peer, rate } => {
                let (now, process) = (self.now, self.hosts[peer].peer.process);
                let rate = rate.clamp(-500_000, 500_000);
                let hosts = self.hosts.iter_mut().filter(|host| host.peer.process == process);
                hosts.for_each(|host| host.clock.set_rate(now, rate));
            }
            Fault::Loss { span, .. }
            | Fault::Reorder { span, .. }
            | Fault::Late { span, .. }
            | Fault::Half { span, .. }
            | Fault::Partition { span, .. }
            | Fault::OneWay { span, .. } => {
                self.queue.push(self.now + span, What::Over { number });
                self.weather(number, true);
            }
            Fault::Flap { .. } => self.flip(number, true),
            Fault::Reset { left, right } => self.reset(left, right),
            Fault::Leave { peer } => {
                self.hosts[peer].leaving |= self.hosts[peer].is_running();
                if !self.hosts[peer].bodies.is_empty() {
                    self.reach(Mark::LeftBusy);
                }
                self.give(peer, Input::Leave);
            }
            Fault::Cancel { job, peer } => {
                if let Some(Some(job)) = self.truth.submitted.get(job).copied() {
                    self.give(peer, Input::Cancel { job, reason: "people".to_owned() });
                }
            }
            Fault::Again { job, peer } => self.submit((job, 0), peer),
        }
    }

    /// A flapping link changes, until its time is over.
    pub(super) fn flip(&mut self, number: usize, cut: bool) {
        let Some(strike) = self.plan.faults.get(number) else { return };
        let Fault::Flap { every, span, .. } = strike.fault else { return };
        let since = *self.truth.flapping.entry(number).or_insert(self.now);
        let is_on = cut && self.now < since + span && self.now < self.plan.calm;
        self.weather(number, is_on);
        if self.now < since + span && micros(every) > 0 && self.now < self.plan.calm {
            self.queue.push(self.now + every, What::Flips { number, cut: !cut });
        }
    }

    /// From here on nothing goes wrong any more.
    pub(super) fn calm(&mut self) {
        self.note(Detail::Brief, None, || "CALM".to_owned());
        self.clear_sky();
        for host in 0..self.hosts.len() {
            if let Some(since) = self.hosts[host].frozen {
                self.thaw(host, since);
            }
        }
        self.queue.push(self.now, What::Look);
    }

    /// A user submits a job; who is refused tries again.
    pub(super) fn submit(&mut self, (job, round): (usize, u32), peer: usize) {
        let root = agents::descriptor(job as u64, 0, job as u64 + 1, None);
        let request = (job as u64) << 32 | u64::from(round);
        self.note(Detail::Brief, Some(peer), || format!("p{peer} is asked for job {job}"));
        let plan = Digest::of(&[b"plan"]);
        self.give(peer, Input::Submit { request, root, plan });
    }

    /// No more bodies in slots than there are. Not judged where spawners give slots back unasked.
    pub(super) fn check_slots(&mut self, host: usize) {
        if self.plan.held_max < 1_000 {
            return;
        }
        let Host { bodies, peer, .. } = &self.hosts[host];
        let held = bodies.values().filter(|body| body.holds_slot()).count();
        let slots = usize::try_from(peer.slots).unwrap_or(usize::MAX);
        let count = bounded::at_count("bodies in slots", held, slots);
        self.claim("bounded", count.map_err(|what| format!("p{host}: {what}")));
    }
}
