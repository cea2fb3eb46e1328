//! Telling and hearing trails: G1, G2, G6.

use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Digest, Epoch, Life, PeerId, Random, Time, View, rule};

use crate::{Config, Kind, units::us};

/// Above its rate for so long, a source is muted.
const FLOOD_US: u64 = 10_000_000;
/// For so long.
const MUTE_US: u64 = 60_000_000;
/// A record, in the bucket's units: rates are per second, time is in microseconds.
const RECORD: u64 = 1_000_000;

/// Who is listened to, who listens, and what is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sharing {
    pub(crate) epoch: Epoch,
    /// Sorted by peer.
    members: Vec<Life>,
    /// Whom this peer listens to.
    pub(crate) panel: BTreeSet<PeerId>,
    /// Who listens to this peer.
    pub(crate) audience: Vec<Life>,
    seq: u64,
    /// Own trails touched since they were told, with the number of deposits.
    pub(crate) dirty: BTreeMap<(Kind, PeerId), u32>,
    bucket: Bucket,
    last: Option<Time>,
    sources: BTreeMap<PeerId, Source>,
}

/// A token bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Bucket {
    level: u64,
    at: Time,
}

impl Bucket {
    fn new(config: &Config, now: Time) -> Self {
        Self { level: u64::from(config.share_burst) * RECORD, at: now }
    }

    fn fill(&mut self, config: &Config, now: Time) {
        let gained = us(now.since(self.at)).saturating_mul(config.share_rate.into());
        let full = u64::from(config.share_burst) * RECORD;
        self.level = self.level.saturating_add(gained).min(full);
        self.at = now;
    }

    /// At most `wanted` records.
    fn take(&mut self, config: &Config, now: Time, wanted: usize) -> usize {
        self.fill(config, now);
        let granted = (wanted as u64).min(self.level / RECORD);
        self.level -= granted * RECORD;
        granted as usize
    }

    /// When there is a whole record in it.
    fn ready(&self, config: &Config) -> Time {
        let missing = RECORD.saturating_sub(self.level).div_ceil(config.share_rate.into());
        self.at + core::time::Duration::from_micros(missing)
    }
}

/// What is kept about a source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Source {
    seq: u64,
    bucket: Bucket,
    /// Since when it sends more than it may.
    floods: Option<Time>,
    muted_until: Time,
}

/// What may be taken from a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Admitted {
    pub(crate) records: usize,
    pub(crate) flood: Flood,
}

/// How a source keeps its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flood {
    /// Within it, or not long above it.
    No,
    /// It has just been muted.
    Muted,
}

impl Sharing {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            epoch: Epoch(0),
            members: Vec::new(),
            panel: BTreeSet::new(),
            audience: Vec::new(),
            seq: 0,
            dirty: BTreeMap::new(),
            bucket: Bucket::new(config, Time::ZERO),
            last: None,
            sources: BTreeMap::new(),
        }
    }

    pub(crate) fn is_member(&self, peer: PeerId) -> bool {
        self.members.binary_search_by_key(&peer, |life| life.peer).is_ok()
    }

    pub(crate) fn is_life(&self, life: Life) -> bool {
        self.members.binary_search(&life).is_ok()
    }

    /// G6: members stand in a circle, ordered by SHA-256("formic/panel/1", view hash, peer). Everybody
    /// listens to those at the same distances ahead, which the view hash draws: so each peer can tell
    /// who listens to it, and tells nobody else.
    pub(crate) fn on_view(&mut self, config: &Config, me: Life, view: &View) {
        let hash = view.hash();
        self.epoch = view.epoch;
        self.seq = 0;
        self.members = view.lives().collect();
        self.members.sort_unstable();
        let place =
            |life: &Life| Digest::of(&[b"formic/panel/1", hash.as_bytes(), life.peer.as_bytes()]);
        let mut circle: Vec<Life> = self.members.clone();
        circle.sort_by_cached_key(place);
        self.panel.clear();
        self.audience.clear();
        self.sources.retain(|peer, _| view.member(*peer).is_some());
        self.sources.values_mut().for_each(|source| source.seq = 0);
        let Some(here) = circle.iter().position(|life| *life == me) else { return };
        let n = circle.len();
        for distance in distances(config, n, &hash) {
            self.panel.insert(circle[(here + distance) % n].peer);
            self.audience.push(circle[(here + n - distance) % n]);
        }
        self.audience.sort_unstable();
    }

    pub(crate) fn touch(&mut self, kind: Kind, peer: PeerId) {
        if !self.audience.is_empty() {
            *self.dirty.entry((kind, peer)).or_default() += 1;
        }
    }

    /// G1, G2: nothing touched, no deadline.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Time> {
        if self.dirty.is_empty() {
            return None;
        }
        let next = self.last.map_or(Time::ZERO, |last| last + config.share_interval);
        Some(next.max(self.bucket.ready(config)))
    }

    /// What is told now: the largest change first, within the rate. Empty before the deadline.
    pub(crate) fn due(&mut self, config: &Config, now: Time) -> Vec<(Kind, PeerId)> {
        if self.deadline(config).is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut touched: Vec<_> =
            self.dirty.iter().map(|(name, n)| (u32::MAX - n, *name)).collect();
        touched.sort_unstable();
        touched.truncate(self.bucket.take(config, now, touched.len()));
        self.last = Some(now);
        let told: Vec<_> = touched.into_iter().map(|(_, name)| name).collect();
        self.dirty.retain(|name, _| !told.contains(name));
        told
    }

    pub(crate) const fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Whether this message is newer than what its source said in this view.
    pub(crate) fn is_news(&self, from: PeerId, epoch: Epoch, seq: u64) -> bool {
        epoch == self.epoch && self.sources.get(&from).is_none_or(|source| seq > source.seq)
    }

    /// G2, at the receiver: what is above rate and burst is dropped, and who goes on is muted.
    pub(crate) fn admit(
        &mut self,
        config: &Config,
        now: Time,
        (from, seq, records): (PeerId, u64, usize),
    ) -> Admitted {
        let fresh = || Source {
            seq: 0,
            bucket: Bucket::new(config, now),
            floods: None,
            muted_until: Time::ZERO,
        };
        let source = self.sources.entry(from).or_insert_with(fresh);
        source.seq = seq;
        if now < source.muted_until {
            return Admitted { records: 0, flood: Flood::No };
        }
        let mut granted = source.bucket.take(config, now, records);
        if !rule!("pheromones/G2") {
            granted = records;
        }
        if granted == records {
            source.floods = None;
            return Admitted { records, flood: Flood::No };
        }
        let since = *source.floods.get_or_insert(now);
        let mut flood = Flood::No;
        if us(now.since(since)) >= FLOOD_US {
            source.floods = None;
            source.muted_until = now + core::time::Duration::from_micros(MUTE_US);
            flood = Flood::Muted;
        }
        Admitted { records: granted, flood }
    }
}

/// How far ahead on the circle the panel stands: all others up to its size, else that many distances drawn
/// by the view hash.
fn distances(config: &Config, members: usize, hash: &Digest) -> Vec<usize> {
    let mut ahead: Vec<usize> = (1..members).collect();
    if ahead.len() <= config.panel {
        return ahead;
    }
    let seed = hash.as_bytes().iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
    let mut random = Random::new(seed);
    for position in 0..config.panel {
        let rest = random.below((ahead.len() - position) as u64) as usize;
        ahead.swap(position, position + rest);
    }
    ahead.truncate(config.panel);
    ahead
}
