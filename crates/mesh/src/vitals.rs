//! How this peer's part of the mesh does, from what passes anyway.

use core::{fmt, time::Duration};
use std::collections::{BTreeMap, VecDeque};

use formic_core::{FateId, Life, PeerId, Time};
use serde::{Deserialize, Serialize};

/// How far back link samples count.
const WINDOW: Duration = Duration::from_secs(10);
/// The most samples kept of one link: p99 of so many is their largest.
const SAMPLES_MAX: usize = 64;
const RTT_MAX: Duration = Duration::from_millis(50);
/// Below this, ten times the least is no trouble: microseconds vary that much.
const RTT_FLOOR: Duration = Duration::from_millis(5);
const FULL_MAX: Duration = Duration::from_secs(1);
const LATE_MAX: Duration = Duration::from_millis(60);
const LINK_PATIENCE: Duration = Duration::from_secs(2);
const SYNC_PATIENCE: Duration = Duration::from_secs(10);
const ALONE_PATIENCE: Duration = Duration::from_secs(30);
const FLAPS: usize = 3;
const FLAP_WINDOW: Duration = Duration::from_secs(600);

/// How well it does.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Status {
    /// No cause to worry.
    #[default]
    Well,
    /// Works, with less reserve or speed than it should.
    Degraded,
    /// Cannot agree on anything.
    Critical,
}

impl Status {
    /// One word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Degraded => "degraded",
            Self::Critical => "critical",
        }
    }
}

/// How this peer's part of the mesh does, and why. No single score: it would hide the cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Health {
    /// The worst of the causes.
    pub status: Status,
    /// How many more members may crash at once before the majority is lost; `None`: not known yet.
    pub margin: Option<u32>,
    /// Each with how long it has lasted: sorted.
    pub causes: Vec<(Cause, Duration)>,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// No majority of the view is in touch.
    QuorumLost,
    /// One more crash loses the majority.
    NoMargin,
    /// The end of one process loses the majority.
    OneFate {
        /// Whose.
        fate: FateId,
    },
    /// No link to a member for more than 2 s.
    LinkMissing {
        /// To whom.
        life: Life,
    },
    /// A round trip of the last 10 s was above 50 ms, or above 5 ms and ten times the least.
    SlowLink {
        /// To whom.
        life: Life,
    },
    /// A class had no room for more than 1 s of the last 10 s.
    FullLink {
        /// To whom.
        life: Life,
    },
    /// This peer's own loop was more than 60 ms late in the last 10 s.
    LateLoop,
    /// A member's records differ from this peer's for more than 10 s.
    OutOfSync {
        /// Whose.
        life: Life,
    },
    /// A life was down and up again 3 times in 10 minutes.
    Flapping {
        /// Which.
        life: Life,
    },
    /// Nobody was found, no link for 30 s.
    Alone,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QuorumLost => f.write_str("no majority of the mesh is in touch"),
            Self::NoMargin => f.write_str("one more crash loses the majority"),
            Self::OneFate { .. } => f.write_str("the end of one process loses the majority"),
            Self::LinkMissing { life } => write!(f, "no link to {life}"),
            Self::SlowLink { life } => write!(f, "the link to {life} is slow"),
            Self::FullLink { life } => write!(f, "the link to {life} is full"),
            Self::LateLoop => f.write_str("this peer's own loop runs late"),
            Self::OutOfSync { life } => write!(f, "{life} has other records"),
            Self::Flapping { life } => write!(f, "{life} went down and came back repeatedly"),
            Self::Alone => f.write_str("nobody was found"),
        }
    }
}

impl Cause {
    const fn status(self) -> Status {
        match self {
            Self::QuorumLost => Status::Critical,
            _ => Status::Degraded,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Link {
    life: Life,
    /// Since when there is none; `None`: there is.
    missing: Option<Time>,
    round_trips: VecDeque<(Time, Duration)>,
    least: Option<Duration>,
    full: VecDeque<(Time, Duration)>,
    differs: Option<Time>,
    down: bool,
    returns: VecDeque<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Vitals {
    links: BTreeMap<PeerId, Link>,
    margin: Option<(u32, Time)>,
    quorum_lost: Option<Time>,
    one_fate: Option<(FateId, Time)>,
    late: VecDeque<(Time, Duration)>,
    /// Since when there is no link at all.
    alone: Option<Time>,
    /// As last reported.
    reported: Status,
    looks_at: Time,
}

impl Vitals {
    pub(crate) const fn new() -> Self {
        Self {
            links: BTreeMap::new(),
            margin: None,
            quorum_lost: None,
            one_fate: None,
            late: VecDeque::new(),
            alone: Some(Time::ZERO),
            reported: Status::Well,
            looks_at: Time::ZERO,
        }
    }

    pub(crate) fn on_member(&mut self, now: Time, life: Life) {
        let (round_trips, full, returns) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        let (missing, least, differs, down) = (Some(now), None, None, false);
        let link = Link { life, missing, round_trips, least, full, differs, down, returns };
        self.links.insert(life.peer, link);
    }

    pub(crate) fn on_evicted(&mut self, life: Life) {
        if self.links.get(&life.peer).is_some_and(|link| link.life == life) {
            self.links.remove(&life.peer);
        }
    }

    pub(crate) fn on_linked(&mut self, life: Life) {
        self.alone = None;
        if let Some(link) = self.link(life) {
            link.missing = None;
        }
    }

    pub(crate) fn on_unlinked(&mut self, now: Time, life: Life, links: usize) {
        if let Some(link) = self.link(life) {
            link.missing = Some(now);
            link.differs = None;
        }
        if links == 0 {
            self.alone.get_or_insert(now);
        }
    }

    pub(crate) const fn on_margin(&mut self, now: Time, margin: u32) {
        let since = match self.margin {
            Some((0, since)) if margin == 0 => since,
            _ => now,
        };
        self.margin = Some((margin, since));
    }

    pub(crate) fn on_quorum_lost(&mut self, now: Time) {
        self.quorum_lost.get_or_insert(now);
    }

    pub(crate) const fn on_quorum_held(&mut self) {
        self.quorum_lost = None;
    }

    pub(crate) fn on_fate(&mut self, now: Time, fate: Option<FateId>) {
        let since = self.one_fate.filter(|(known, _)| Some(*known) == fate).map(|(_, at)| at);
        self.one_fate = fate.map(|fate| (fate, since.unwrap_or(now)));
    }

    pub(crate) fn on_sample(
        &mut self,
        now: Time,
        life: Life,
        (rtt, full): (Option<Duration>, Duration),
    ) {
        let Some(link) = self.link(life) else { return };
        if let Some(rtt) = rtt {
            link.least = Some(link.least.map_or(rtt, |least| least.min(rtt)));
            push(&mut link.round_trips, now, rtt);
        }
        if !full.is_zero() {
            push(&mut link.full, now, full);
        }
    }

    pub(crate) fn on_late(&mut self, now: Time, by: Duration) {
        if by > LATE_MAX {
            push(&mut self.late, now, by);
        }
    }

    pub(crate) fn on_compared(&mut self, now: Time, life: Life, equal: core::cmp::Ordering) {
        if let Some(link) = self.link(life) {
            link.differs = equal.is_ne().then(|| link.differs.unwrap_or(now));
        }
    }

    pub(crate) fn on_down(&mut self, life: Life) {
        if let Some(link) = self.link(life) {
            link.down = true;
        }
    }

    pub(crate) fn on_up(&mut self, now: Time, life: Life) {
        let Some(link) = self.link(life) else { return };
        if core::mem::replace(&mut link.down, false) {
            if link.returns.len() >= FLAPS {
                link.returns.pop_front();
            }
            link.returns.push_back(now);
        }
    }

    fn link(&mut self, life: Life) -> Option<&mut Link> {
        self.links.get_mut(&life.peer).filter(|link| link.life == life)
    }

    /// O(members x samples).
    pub(crate) fn health(&self, now: Time) -> Health {
        let mut causes = Vec::new();
        let mut add = |cause, since: Option<Time>, patience| {
            let lasted = since.map(|since| now.since(since));
            causes.extend(lasted.filter(|lasted| *lasted >= patience).map(|it| (cause, it)));
        };
        let none = Duration::ZERO;
        add(Cause::QuorumLost, self.quorum_lost, none);
        let no_margin = self.margin.filter(|(margin, _)| *margin == 0).map(|(_, since)| since);
        add(Cause::NoMargin, no_margin, none);
        if let Some((fate, since)) = self.one_fate {
            add(Cause::OneFate { fate }, Some(since), none);
        }
        add(Cause::LateLoop, recent(&self.late, now).next().map(|(at, _)| at), none);
        add(Cause::Alone, self.alone, ALONE_PATIENCE);
        for link in self.links.values() {
            let life = link.life;
            add(Cause::LinkMissing { life }, link.missing, LINK_PATIENCE);
            add(Cause::OutOfSync { life }, link.differs, SYNC_PATIENCE);
            add(Cause::SlowLink { life }, link.slow_since(now), none);
            let full = recent(&link.full, now);
            let total: Duration = full.clone().map(|(_, full)| full).sum();
            let since = full.clone().next().filter(|_| total > FULL_MAX).map(|(at, _)| at);
            add(Cause::FullLink { life }, since, none);
            let returns = link.returns.iter().filter(|at| now.since(**at) <= FLAP_WINDOW);
            let flaps = returns.clone().count() >= FLAPS;
            add(Cause::Flapping { life }, returns.clone().next().filter(|_| flaps).copied(), none);
        }
        causes.sort_unstable();
        let status = causes.iter().map(|(cause, _)| cause.status()).max().unwrap_or_default();
        Health { status, margin: self.margin.map(|(margin, _)| margin), causes }
    }

    /// When a cause that only waits for its patience may begin, or a sample be out of the window: a
    /// look once a second is enough while something is wrong.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let waits = self.alone.is_some() || self.links.values().any(Link::is_in_trouble);
        let ill = self.reported != Status::Well || !self.late.is_empty();
        (waits || ill).then_some(self.looks_at)
    }

    /// The status, if it is another than last time.
    pub(crate) fn look(&mut self, now: Time) -> Option<Status> {
        self.looks_at = now + Duration::from_secs(1);
        let status = self.health(now).status;
        let before = core::mem::replace(&mut self.reported, status);
        (before != status).then_some(status)
    }
}

impl Link {
    fn is_in_trouble(&self) -> bool {
        self.missing.is_some() || self.differs.is_some() || !self.full.is_empty()
    }

    fn slow_since(&self, now: Time) -> Option<Time> {
        let least = self.least?;
        let limit = RTT_MAX.min(RTT_FLOOR.max(least * 10));
        let mut slow = recent(&self.round_trips, now).filter(|(_, rtt)| *rtt > limit);
        slow.next().map(|(at, _)| at)
    }
}

fn push(samples: &mut VecDeque<(Time, Duration)>, now: Time, value: Duration) {
    while samples.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) {
        samples.pop_front();
    }
    if samples.len() >= SAMPLES_MAX {
        samples.pop_front();
    }
    samples.push_back((now, value));
}

fn recent(
    samples: &VecDeque<(Time, Duration)>,
    now: Time,
) -> impl Iterator<Item = (Time, Duration)> + Clone + '_ {
    samples.iter().copied().filter(move |(at, _)| now.since(*at) <= WINDOW)
}
