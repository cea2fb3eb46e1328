//! One peer of the world: its node, its disk, its clock, its bodies.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use formic_core::{Digest, Epoch, JobId, Key, Life, Time};
use formic_node::{Effect, Input, Node};

use super::{agents::Body, glue::Stored, plan::Peer};
use crate::oracles::durable_first::Ordered;

/// What became of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Absent,
    Running,
    Dead,
    /// In good order.
    Left,
}

/// A clock that runs a little wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    world: Time,
    local: Time,
    /// Parts in a million.
    rate: i64,
}

impl Clock {
    pub(super) const fn right() -> Self {
        Self { world: Time::ZERO, local: Time::ZERO, rate: 0 }
    }

    const fn pace(self) -> u64 {
        1_000_000_u64.saturating_add_signed(self.rate)
    }

    /// What it shows.
    pub(super) fn local(self, now: Time) -> Time {
        let real = u128::from(now.as_us().saturating_sub(self.world.as_us()));
        let shown = real * u128::from(self.pace()) / 1_000_000;
        self.local + Duration::from_micros(u64::try_from(shown).unwrap_or(u64::MAX))
    }

    /// When it shows this; the first such moment.
    pub(super) fn world(self, local: Time) -> Time {
        let shown = u128::from(local.as_us().saturating_sub(self.local.as_us()));
        let real = (shown * 1_000_000).div_ceil(u128::from(self.pace().max(1)));
        self.world + Duration::from_micros(u64::try_from(real).unwrap_or(u64::MAX))
    }

    pub(super) fn set_rate(&mut self, now: Time, rate: i64) {
        *self = Self { world: now, local: self.local(now), rate };
    }
}

pub(super) struct Host {
    pub(super) peer: Peer,
    pub(super) life: Life,
    /// How often it started: tells its lives apart where the identity changes.
    pub(super) born: u64,
    /// When it started last.
    pub(super) began: Time,
    /// When it last became a member.
    pub(super) joined: Time,
    /// How often it lost its disk.
    pub(super) identity: u64,
    pub(super) state: State,
    pub(super) node: Option<Node>,
    pub(super) disk: Vec<Stored>,
    /// The mesh it was a member of, as far as its disk knows.
    pub(super) mesh: Option<Digest>,
    /// The last view it knows.
    pub(super) view: Option<(Epoch, Digest)>,
    /// Whether it says that a majority is in touch.
    pub(super) quorum: bool,
    /// What arrived while it could not take it.
    pub(super) inbox: VecDeque<Input>,
    /// Effects that wait until their records are durable.
    pub(super) pending: Option<Vec<Effect>>,
    /// Turns committed so far.
    pub(super) commits: u64,
    pub(super) frozen: Option<Time>,
    pub(super) died: Option<Time>,
    pub(super) wake: Option<Time>,
    pub(super) clock: Clock,
    pub(super) bodies: BTreeMap<(JobId, Key), Body>,
    /// Lives it believes alive.
    pub(super) up: BTreeSet<Life>,
    /// Lives it ever believed alive, in this life.
    pub(super) met: BTreeSet<Life>,
    /// Jobs whose verdict this life knows.
    pub(super) decided: BTreeSet<JobId>,
    /// Dies after so many more effects: the number of the strike.
    pub(super) fuse: Option<(usize, usize)>,
    pub(super) ordered: Ordered,
    pub(super) leaving: bool,
}

impl Host {
    pub(super) fn new(peer: Peer, life: Life) -> Self {
        Self {
            peer,
            life,
            born: 0,
            began: Time::ZERO,
            joined: Time::ZERO,
            identity: 0,
            state: State::Absent,
            node: None,
            disk: vec![],
            mesh: None,
            view: None,
            quorum: false,
            inbox: VecDeque::new(),
            pending: None,
            commits: 0,
            frozen: None,
            died: None,
            wake: None,
            clock: Clock::right(),
            bodies: BTreeMap::new(),
            up: BTreeSet::new(),
            met: BTreeSet::new(),
            decided: BTreeSet::new(),
            fuse: None,
            ordered: Ordered::default(),
            leaving: false,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// Whether it is still the life that this was meant for.
    pub(super) fn is(&self, born: u64) -> bool {
        self.is_running() && self.born == born
    }

    /// Whether inputs have to wait.
    pub(super) const fn is_busy(&self) -> bool {
        self.frozen.is_some() || self.pending.is_some()
    }

    /// Everything that a process has in memory is gone.
    pub(super) fn forget(&mut self) {
        self.node = None;
        self.inbox.clear();
        self.pending = None;
        self.frozen = None;
        self.wake = None;
        self.bodies.clear();
        self.up.clear();
        self.met.clear();
        self.decided.clear();
        self.fuse = None;
        self.leaving = false;
        self.view = None;
        self.quorum = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_reaches_a_deadline_at_the_first_moment_it_shows_it() {
        for rate in [-20_000, -1, 0, 7, 20_000] {
            let mut clock = Clock::right();
            clock.set_rate(Time::from_us(1_000), rate);
            for local in [1_000, 1_001, 77_777, 3_000_001] {
                let at = clock.world(Time::from_us(local));
                assert!(clock.local(at).as_us() >= local);
                assert!(
                    at.as_us() == 1_000
                        || clock.local(at - Duration::from_micros(1)).as_us() < local
                );
            }
        }
    }
}
