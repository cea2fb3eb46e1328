//! What goes wrong where: one plan for all ends of a mesh, changed while they run.

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
};

use formic_core::{PeerId, transport::Class};

use super::{
    alarm::Alarm,
    weather::{Draw, FaultError, Mode, Weather},
};
use crate::end::hold;

/// What goes wrong between the ends that are wrapped with it ([`Faulty`](crate::Faulty)). Clones share one plan, and every
/// change takes effect at once.
///
/// Who is lost, late or refused is decided by a hash of the seed, both peers, the class and the number of the
/// message, never by timing: a seed decides alike on any machine.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    seed: u64,
    mode: Mode,
    plan: RwLock<Arc<Plan>>,
    ends: Mutex<Vec<Weak<Alarm>>>,
    injected: [AtomicU64; 7],
}

/// A slow consumer: at most so many events per span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pace {
    /// How many events; 0 is a stalled peer, which [`Faults::stall`] makes, and refused.
    pub events: usize,
    /// In which span: 1 ms to 60 s.
    pub every: Duration,
}

/// What was done to messages and links so far, over all ends of one plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Injected {
    /// Messages that were held back by a delay.
    pub delayed: u64,
    /// Messages that were lost, whyever.
    pub lost: u64,
    /// Messages that were doubled, or came again on the next link.
    pub duplicated: u64,
    /// Messages that went behind their successor.
    pub reordered: u64,
    /// Refusals with `Full` although there was room.
    pub storms: u64,
    /// Refusals with `Full` because of a partition or a stalled peer.
    pub blocked: u64,
    /// Ends of links that were cut.
    pub cuts: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Injury {
    Delayed,
    Lost,
    Duplicated,
    Reordered,
    Storm,
    Blocked,
    Cut,
}

/// One state of the plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    everywhere: Weather,
    between: BTreeMap<(PeerId, PeerId), Weather>,
    /// From whom to whom nothing comes.
    blocked: Vec<(BTreeSet<PeerId>, BTreeSet<PeerId>)>,
    pub(crate) lost_after: Option<Duration>,
    /// How often the connection of a pair was cut, the smaller peer first.
    cuts: BTreeMap<(PeerId, PeerId), u64>,
    stalled: BTreeSet<PeerId>,
    paces: BTreeMap<PeerId, Pace>,
}

impl Faults {
    /// No fault yet, and none ever that a transport may not have: whatever is set, the contract of
    /// [`formic_core::transport`] holds.
    pub fn legal(seed: u64) -> Self {
        Self::new(seed, Mode::Legal)
    }

    /// No fault yet; faults may break the contract: reliable messages may be lost, doubled and reordered.
    pub fn hostile(seed: u64) -> Self {
        Self::new(seed, Mode::Hostile)
    }

    fn new(seed: u64, mode: Mode) -> Self {
        let (plan, ends, injected) = (RwLock::default(), Mutex::default(), Default::default());
        Self(Arc::new(Shared { seed, mode, plan, ends, injected }))
    }

    /// The weather of all directions that have none of their own.
    ///
    /// # Errors
    /// A value is out of range, or hostile and these faults are legal.
    pub fn weather(&self, weather: Weather) -> Result<(), FaultError> {
        weather.check(self.0.mode)?;
        self.change(|plan| plan.everywhere = weather);
        Ok(())
    }

    /// The weather of one direction.
    ///
    /// # Errors
    /// As [`weather`](Self::weather).
    pub fn weather_between(
        &self,
        from: PeerId,
        to: PeerId,
        weather: Weather,
    ) -> Result<(), FaultError> {
        weather.check(self.0.mode)?;
        self.change(|plan| {
            plan.between.insert((from, to), weather);
        });
        Ok(())
    }

    /// Nothing comes from `from` to `to` any more, until [`heal`](Self::heal): unreliable messages are lost. Legal
    /// faults hold reliable ones at the receiver, 64 of each class beside what was on its way, then the sender's
    /// class is full; hostile ones lose them. Between such peers nobody can dial.
    pub fn one_way(
        &self,
        from: impl IntoIterator<Item = PeerId>,
        to: impl IntoIterator<Item = PeerId>,
    ) {
        let wall = (from.into_iter().collect(), to.into_iter().collect());
        self.change(|plan| plan.blocked.push(wall));
    }

    /// [`one_way`](Self::one_way) in both directions.
    pub fn partition(
        &self,
        here: impl IntoIterator<Item = PeerId>,
        there: impl IntoIterator<Item = PeerId>,
    ) {
        let here: BTreeSet<PeerId> = here.into_iter().collect();
        let there: BTreeSet<PeerId> = there.into_iter().collect();
        let back = (there.clone(), here.clone());
        self.change(|plan| plan.blocked.extend([(here, there), back]));
    }

    /// Ends all partitions: what was held arrives.
    pub fn heal(&self) {
        self.change(|plan| plan.blocked.clear());
    }

    /// A link is `Down(Lost)` at both ends once a partition has separated its peers, in either direction, for so
    /// long. `None`, the default: it lasts.
    pub fn lose_links_after(&self, span: Option<Duration>) {
        self.change(|plan| plan.lost_after = span);
    }

    /// The connection of two peers is lost: `Down(Lost)` at both ends, and what was on its way never arrives.
    pub fn cut(&self, one: PeerId, other: PeerId) {
        self.change(|plan| *plan.cuts.entry(pair(one, other)).or_default() += 1);
    }

    /// A peer stops as a stopped process does: it takes nothing, its reliable classes are full, and what else it sends
    /// is lost.
    pub fn stall(&self, peer: PeerId) {
        self.change(|plan| {
            plan.stalled.insert(peer);
        });
    }

    /// A stalled peer goes on.
    pub fn resume(&self, peer: PeerId) {
        self.change(|plan| {
            plan.stalled.remove(&peer);
        });
    }

    /// A peer takes no more events than this; `None`: as many as it likes.
    ///
    /// # Errors
    /// A value is out of range.
    pub fn slow(&self, peer: PeerId, pace: Option<Pace>) -> Result<(), FaultError> {
        match pace {
            Some(Pace { events: 0, .. }) => {
                let allowed = "1 and more";
                return Err(FaultError::Range { knob: "pace.events", value: 0, allowed });
            }
            Some(Pace { every, .. }) if !(1..=60_000).contains(&every.as_millis()) => {
                let (knob, value) = ("pace.every", every.as_millis());
                return Err(FaultError::Range { knob, value, allowed: "1 ms to 60 s" });
            }
            Some(pace) => self.change(|plan| {
                plan.paces.insert(peer, pace);
            }),
            None => self.change(|plan| {
                plan.paces.remove(&peer);
            }),
        }
        Ok(())
    }

    /// What was done so far.
    pub fn injected(&self) -> Injected {
        let [delayed, lost, duplicated, reordered, storms, blocked, cuts] =
            self.0.injected.each_ref().map(|count| count.load(Ordering::Relaxed));
        Injected { delayed, lost, duplicated, reordered, storms, blocked, cuts }
    }

    pub(crate) fn count(&self, injury: Injury) {
        self.0.injected[injury as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.0.plan.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn is_hostile(&self) -> bool {
        self.0.mode == Mode::Hostile
    }

    pub(crate) fn draw(&self, from: PeerId, to: PeerId, class: Class, seq: u64) -> Draw {
        Draw { seed: self.0.seed, from, to, class, seq }
    }

    /// An end wants to be told of changes.
    pub(crate) fn tell(&self, alarm: &Arc<Alarm>) {
        let mut ends = hold(&self.0.ends);
        ends.retain(|end| end.strong_count() > 0);
        ends.push(Arc::downgrade(alarm));
    }

    fn change(&self, edit: impl FnOnce(&mut Plan)) {
        edit(Arc::make_mut(&mut *self.0.plan.write().unwrap_or_else(PoisonError::into_inner)));
        let ends: Vec<_> = hold(&self.0.ends).iter().filter_map(Weak::upgrade).collect();
        ends.iter().for_each(|end| end.ring());
    }
}

fn pair(one: PeerId, other: PeerId) -> (PeerId, PeerId) {
    (one.min(other), one.max(other))
}

impl Plan {
    pub(crate) fn weather(&self, from: PeerId, to: PeerId) -> &Weather {
        self.between.get(&(from, to)).unwrap_or(&self.everywhere)
    }

    pub(crate) fn blocks(&self, from: PeerId, to: PeerId) -> bool {
        self.blocked.iter().any(|(here, there)| here.contains(&from) && there.contains(&to))
    }

    /// Whether something is blocked between two peers.
    pub(crate) fn separates(&self, one: PeerId, other: PeerId) -> bool {
        self.blocks(one, other) || self.blocks(other, one)
    }

    pub(crate) fn cuts(&self, one: PeerId, other: PeerId) -> u64 {
        self.cuts.get(&pair(one, other)).copied().unwrap_or_default()
    }

    pub(crate) fn stalls(&self, peer: PeerId) -> bool {
        self.stalled.contains(&peer)
    }

    pub(crate) fn pace(&self, peer: PeerId) -> Option<Pace> {
        self.paces.get(&peer).copied()
    }
}
