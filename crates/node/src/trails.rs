//! Which peer suits which kind of work: pheromones decides, work asks, and workers promise from their ledger.
//! Translations only.

use core::time::Duration;
use std::collections::BTreeSet;

use formic_completion::Input as JobInput;
use formic_core::{Kind, Life, Outcome, PeerId};
use formic_pheromones::{
    Award, Backlog, Effect as TrailEffect, Event as TrailEvent, Input as TrailInput, Latency,
    Ledger, Offer, Pheromones, Probe, Promise, Running, Size, Turn, WhenFull,
};
use formic_work::{
    Bid, Effect as WorkEffect, Input as WorkInput, Message as Work, Patience, TaskId,
};

use crate::{Effect, Event, Message, Node, TrailStatus, step::Step};

/// Names of kinds that are remembered, for people.
const NAMES_MAX: usize = 256;
/// Trails that are listed at most.
const LISTED_MAX: usize = 1_000;

/// What this peer learned about others, and what it promises itself.
#[derive(Clone, Debug)]
pub(crate) struct Trails {
    pub(crate) machine: Pheromones,
    ledger: Ledger,
    names: BTreeSet<String>,
}

impl Trails {
    pub(crate) fn new(config: &formic_pheromones::Config, machine: Pheromones) -> Self {
        Self { machine, ledger: Ledger::new(config), names: BTreeSet::new() }
    }

    /// A task of this kind is to be placed.
    pub(crate) fn note(&mut self, kind: &str) {
        if self.names.len() < NAMES_MAX && !self.names.contains(kind) {
            self.names.insert(kind.to_owned());
        }
    }

    fn name(&self, kind: Kind) -> String {
        let name = self.names.iter().find(|name| Kind::of(name) == kind);
        name.cloned().unwrap_or_else(|| format!("{:016x}", kind.0))
    }
}

/// How a body ended, as far as its trail is concerned.
pub(crate) struct Ending<'a> {
    pub(crate) outcome: &'a Outcome,
    /// For how long it had a slot.
    pub(crate) slot: Duration,
    /// Tasks it spawned, and theirs.
    pub(crate) below: u64,
}

impl Node {
    pub(crate) fn on_trails(&mut self, effect: TrailEffect) {
        match effect {
            TrailEffect::Send { to, class: _, message } => {
                self.send(to, Message::Pheromones(message));
            }
            TrailEffect::Event(event) => self.on_trail_event(event),
        }
    }

    fn on_trail_event(&mut self, event: TrailEvent) {
        match event {
            TrailEvent::Candidates { key, lives, mean } => {
                self.steps.push_back(Step::Work(WorkInput::Drawn { key, lives, mean }));
            }
            TrailEvent::Chosen { key, place } => {
                let lives = place.into_iter().map(|place| place.life).collect();
                let drawn = WorkInput::Drawn { key, lives, mean: Duration::ZERO };
                self.steps.push_back(Step::Work(drawn));
            }
            TrailEvent::Spread { key, places, waits } => {
                let ranked = |place: formic_pheromones::Placed| formic_work::Ranked {
                    life: place.life,
                    promised: place.promised,
                    service: place.service,
                };
                let places = places.into_iter().map(ranked).collect();
                self.steps.push_back(Step::Work(WorkInput::Ranked { key, places, waits }));
            }
            // It is in the promise trail. Nothing is started twice for it (Limits of work).
            TrailEvent::Overdue { .. } => {}
            TrailEvent::Quarantined { kind, peer } => {
                let kind = self.trails.name(kind);
                self.out.push(Effect::Event(Event::PeerQuarantined { peer, kind }));
            }
            TrailEvent::Released { kind, peer } => {
                let kind = self.trails.name(kind);
                self.out.push(Effect::Event(Event::PeerReleased { peer, kind }));
            }
            TrailEvent::Muted { peer } => {
                self.misbehaved(peer, "shares trails far above the rate".to_owned());
            }
        }
    }

    /// W3: whom to probe.
    pub(crate) fn draw(&mut self, key: formic_core::Key, kind: Kind, eligible: Vec<Life>) {
        let (size, tried) = (Size::MEAN, vec![]);
        let choose = TrailInput::Choose { key, kind, size, eligible, tried };
        self.steps.push_back(Step::Trails(choose));
    }

    /// W5: who gets what.
    pub(crate) fn rank(&mut self, effect: WorkEffect) {
        let WorkEffect::Rank { key, count, hold, patience, bids } = effect else { return };
        let when_full = match patience {
            Patience::Waits => WhenFull::Wait,
            Patience::None => WhenFull::Next,
        };
        let offer = |Bid { life, wait, service, room, slots, free }| {
            let promise = Promise::new(life, wait, service).ok()?;
            Some(Offer { promise, room, slots, free })
        };
        let offers = bids.into_iter().filter_map(offer).collect();
        let spread = TrailInput::Spread { key, count, hold, when_full, offers };
        self.steps.push_back(Step::Trails(spread));
    }

    /// W4: from own services and what is queued here.
    pub(crate) fn promise(&mut self, effect: WorkEffect) {
        let WorkEffect::Estimate { to, probe, backlog, load, room } = effect else { return };
        let formic_work::Probe { id, count, asked, kind, mean_us, holds_us, .. } = probe;
        let (mean, holds) = (Duration::from_micros(mean_us), Duration::from_micros(holds_us));
        let count = count.min(room).max(1);
        let size = Size::MEAN;
        let probe = Probe { kind, size, mean, asked, count, holds };
        let parts = |(kind, count): (Kind, u32)| (kind, u64::from(count) << 16);
        let queued: Vec<(Kind, u64)> = backlog.queued.into_iter().map(parts).collect();
        let running = |(kind, elapsed)| Running { kind, size: Size::MEAN, elapsed };
        let running: Vec<Running> = backlog.running.into_iter().map(running).collect();
        let backlog = Backlog { queued: &queued, running: &running, slots: backlog.slots };
        let (wait, service) = self.trails.ledger.promise(self.now, &probe, &backlog);
        let us = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let (wait_us, service_us) = (us(wait), us(service).max(1));
        let offer = Some(formic_work::Offer { room, wait_us, service_us });
        self.send(to, Message::Work(Work::Promise { id, load, offer }));
    }

    /// Only what was sent can lay a trail down.
    pub(crate) fn on_placed(&mut self, effect: WorkEffect) {
        let WorkEffect::Placed { task, attempt, life, award } = effect else { return };
        let TaskId { job, key } = task;
        let placed = JobInput::Placed { key, attempt, life };
        self.steps.push_back(Step::completion(job, placed));
        let formic_work::Award { kind, promised, service } = award;
        let award = Award { life, kind, size: Size::MEAN, promised, service };
        self.steps.push_back(Step::Trails(TrailInput::Sent { key, attempt, award }));
        self.out.push(Effect::Event(Event::TaskPlaced { job, key, attempt, life, promised }));
    }

    /// The clock of a body that waits for others stands.
    pub(crate) fn on_wait_told(&mut self, task: TaskId, attempt: u16, life: Life) {
        let slot = TrailInput::Slot { key: task.key, attempt, life, turn: Turn::Waits };
        self.steps.push_back(Step::Trails(slot));
    }

    /// At the owner: a fact about a child that its executor was sent. A result of somebody else's work, or without
    /// own work, says nothing about it.
    pub(crate) fn deposit(&mut self, task: TaskId, life: Life, ending: &Ending<'_>) {
        let Some(attempt) = self.work.awarded(task, life) else { return };
        let (key, service) = (task.key, ending.slot);
        let latency = if ending.below == 0 { Latency::Counts } else { Latency::HadChildren };
        let input = match ending.outcome {
            _ if service.is_zero() => return,
            Outcome::Ok(_) => TrailInput::Finished { key, attempt, life, service, latency },
            Outcome::Failed(_) | Outcome::Expired { .. } => {
                TrailInput::Failed { key, attempt, life }
            }
            Outcome::Cancelled { .. } => return,
        };
        self.steps.push_back(Step::Trails(input));
    }

    /// At the executor: how long the body had a slot; zero if none ran here.
    pub(crate) fn served(&mut self, task: TaskId, outcome: &Outcome) -> Duration {
        let Some((kind, slot)) = self.work.slot_time(task, self.now) else {
            return Duration::ZERO;
        };
        let slot = slot.max(Duration::from_micros(1));
        match outcome {
            Outcome::Ok(_) => self.trails.ledger.served(self.now, kind, Size::MEAN, slot),
            Outcome::Failed(_) | Outcome::Expired { .. } => {
                self.trails.ledger.failed(self.now, kind, Size::MEAN, slot);
            }
            Outcome::Cancelled { .. } => {}
        }
        slot
    }

    fn trail_of(&self, kind: &str, peer: PeerId) -> Option<TrailStatus> {
        let trail = self.trails.machine.trail(Kind::of(kind), peer, self.now);
        (trail.count + trail.verified > 0).then(|| TrailStatus {
            kind: kind.to_owned(),
            peer,
            samples_milli: (trail.count * 1_000) >> 16,
            service_us: trail.service_us,
            honesty_permille: trail.honesty_permille,
        })
    }

    /// What this peer knows of members at the kinds of which it placed tasks: at most 1,000, most samples first.
    /// O(kinds x members).
    pub fn trails(&self) -> Vec<TrailStatus> {
        let peers: BTreeSet<PeerId> =
            self.mesh.members().map(|(record, _)| record.life.peer).collect();
        let pairs =
            self.trails.names.iter().flat_map(|name| peers.iter().map(move |peer| (name, *peer)));
        let mut listed: Vec<TrailStatus> =
            pairs.filter_map(|(name, peer)| self.trail_of(name, peer)).collect();
        listed.sort_by_key(|row| core::cmp::Reverse(row.samples_milli));
        listed.truncate(LISTED_MAX);
        listed
            .sort_by(|a, b| (&a.kind, a.service_us, a.peer).cmp(&(&b.kind, b.service_us, b.peer)));
        listed
    }
}
