//! The rules by which one honest voter votes (consensus.md section 6), and nothing else: what has been
//! seen is asked of whoever knows, so that the shipped rules are also those that are model-checked.

use std::collections::BTreeMap;

use formic_core::rule;

/// Which quorums exist, as far as the asked one can prove.
pub trait Seen<V> {
    /// A quorum notarized this value in this round.
    fn notarized(&self, round: u64, value: &V) -> bool;
    /// A quorum nullified this round.
    fn nullified(&self, round: u64) -> bool;
    /// A quorum finalized this value in this round.
    fn finalized(&self, round: u64, value: &V) -> bool;
}

/// What a voter signed in one round: each at most once (S1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Own<V> {
    /// The value it notarized.
    pub notarize: Option<V>,
    /// The value it finalized.
    pub finalize: Option<V>,
    /// Whether it nullified the round.
    pub nullify: bool,
}

impl<V> Default for Own<V> {
    fn default() -> Self {
        Self { notarize: None, finalize: None, nullify: false }
    }
}

/// What the voter has to sign after a quorum was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The round is over without a vote of this voter.
    Entered,
    /// The round is over, and the voter finalizes its value.
    Finalized,
}

/// One honest voter in one instance: its round, its own votes, what it decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rounds<V> {
    round: u64,
    own: BTreeMap<u64, Own<V>>,
    decided: Option<V>,
}

impl<V: Clone + Eq> Rounds<V> {
    /// A voter that voted for nothing yet and is in round 1.
    pub const fn new() -> Self {
        Self { round: 1, own: BTreeMap::new(), decided: None }
    }

    /// The round in which the voter votes, from 1.
    pub const fn round(&self) -> u64 {
        self.round
    }

    /// What it decided.
    pub const fn decided(&self) -> Option<&V> {
        self.decided.as_ref()
    }

    /// Its votes by round.
    pub const fn own(&self) -> &BTreeMap<u64, Own<V>> {
        &self.own
    }

    /// Its votes in this round.
    pub fn in_round(&self, round: u64) -> Own<V> {
        self.own.get(&round).cloned().unwrap_or_default()
    }

    /// S3: the round of the notarization that lets the voter's round carry `value`, 0 if all earlier
    /// rounds are nullified, `None` if neither is proved.
    pub fn parent(&self, value: &V, seen: &impl Seen<V>) -> Option<u64> {
        let mut round = self.round;
        while round > 1 {
            round -= 1;
            if seen.notarized(round, value) {
                return Some(round);
            }
            if rule!("consensus/S3") && !seen.nullified(round) {
                return None;
            }
        }
        Some(0)
    }

    /// Whether the voter may still notarize in its round (S1, S2).
    pub fn may_notarize(&self) -> bool {
        self.own.get(&self.round).is_none_or(|own| own.notarize.is_none() && !own.nullify)
    }

    /// Notarizes `value` in the voter's round; false, and nothing happens, if S1 to S3 forbid it.
    #[must_use]
    pub fn notarize(&mut self, value: &V, seen: &impl Seen<V>) -> bool {
        if !self.may_notarize() || self.parent(value, seen).is_none() {
            return false;
        }
        self.at(self.round).notarize = Some(value.clone());
        true
    }

    /// Whether the voter may nullify its round (S1, S2).
    pub fn may_nullify(&self) -> bool {
        self.own.get(&self.round).is_none_or(|own| !own.nullify && own.finalize.is_none())
    }

    /// Nullifies the voter's round; false, and nothing happens, if S1 or S2 forbids it.
    #[must_use]
    pub fn nullify(&mut self) -> bool {
        let may = self.may_nullify();
        if may {
            self.at(self.round).nullify = true;
        }
        may
    }

    /// A4: a quorum notarized `value` in `round`. `None` if it is not so, or the round is over here.
    #[must_use]
    pub fn on_notarized(&mut self, round: u64, value: &V, seen: &impl Seen<V>) -> Option<Moved> {
        if round < self.round || !seen.notarized(round, value) {
            return None;
        }
        let own = self.at(round);
        let free = own.finalize.is_none() && (!own.nullify || !rule!("consensus/S2"));
        if free {
            own.finalize = Some(value.clone());
        }
        self.round = round + 1;
        Some(if free { Moved::Finalized } else { Moved::Entered })
    }

    /// A6: a quorum nullified `round`. `None` if it is not so, or the round is over here.
    #[must_use]
    pub fn on_nullified(&mut self, round: u64, seen: &impl Seen<V>) -> Option<Moved> {
        if round < self.round || !seen.nullified(round) {
            return None;
        }
        self.round = round + 1;
        Some(Moved::Entered)
    }

    /// A7: a quorum finalized `value`, in whatever round. False if it is not so or nothing is new.
    #[must_use]
    pub fn on_finalized(&mut self, round: u64, value: &V, seen: &impl Seen<V>) -> bool {
        let new = self.decided.is_none() && seen.finalized(round, value);
        if new {
            self.decided = Some(value.clone());
        }
        new
    }

    /// R1: a vote that was durable before the restart. The round is the highest with an own vote.
    pub fn restore(&mut self, round: u64, write: impl FnOnce(&mut Own<V>)) {
        write(self.at(round));
        self.round = self.round.max(round);
    }

    /// The same voter with other names for the values.
    #[cfg(test)]
    pub(crate) fn renamed(&self, name: impl Fn(&V) -> V) -> Self {
        let own = |own: &Own<V>| Own {
            notarize: own.notarize.as_ref().map(&name),
            finalize: own.finalize.as_ref().map(&name),
            nullify: own.nullify,
        };
        let renamed = self.own.iter().map(|(round, votes)| (*round, own(votes))).collect();
        Self { round: self.round, own: renamed, decided: self.decided.as_ref().map(&name) }
    }

    fn at(&mut self, round: u64) -> &mut Own<V> {
        self.own.entry(round).or_default()
    }
}

impl<V: Clone + Eq> Default for Rounds<V> {
    fn default() -> Self {
        Self::new()
    }
}

/// How many of `voters` may lie: `f = floor((n - 1) / 3)` (consensus.md section 1).
pub const fn liars_max(voters: usize) -> usize {
    voters.saturating_sub(1) / 3
}

/// How many of `voters` are a quorum: `Q = n - f`. Two quorums share an honest voter.
pub fn quorum(voters: usize) -> usize {
    if rule!("consensus/quorum") { voters - liars_max(voters) } else { voters.div_ceil(2) }
}
