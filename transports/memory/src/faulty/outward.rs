//! What one end sends: when a class is called full although it is not.

use std::collections::{BTreeMap, BTreeSet};

use formic_core::{
    PeerId,
    transport::{Class, LinkId},
};
use tokio::time::Instant;

use super::{
    plan::{Faults, Injury, Plan},
    weather::Question,
};

/// Messages of a class that are still accepted for a peer from which a partition separates.
const CREDIT: u64 = 64;

/// One class of one link.
#[derive(Debug, Default)]
struct Flow {
    /// A message was refused and no room was announced since.
    owed: bool,
    refused: Option<Refusal>,
    /// The message whose storm was had.
    had: Option<u64>,
    /// What was accepted since the partition began.
    credit: u64,
}

/// Why this decorator refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Storm { until: Instant },
    Blocked,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way<'a> {
    pub(super) plan: &'a Plan,
    pub(super) faults: &'a Faults,
    pub(super) me: PeerId,
    pub(super) peer: PeerId,
    pub(super) link: LinkId,
    pub(super) class: Class,
}

/// The sending half of one end.
#[derive(Debug, Default)]
pub(super) struct Outward {
    flows: BTreeMap<(LinkId, Class), Flow>,
    /// How many messages of each class were accepted for a peer, over all links to it.
    seqs: BTreeMap<PeerId, [u64; 4]>,
    /// Room that is to be announced.
    pub(super) writable: BTreeSet<(LinkId, Class)>,
}

impl Way<'_> {
    /// Whether nothing gets through now.
    pub(super) fn is_blocked(&self) -> bool {
        self.plan.stalls(self.me) || self.plan.blocks(self.me, self.peer)
    }
}

impl Outward {
    /// Whether the class is full because somebody wants it so; if it is, until when.
    pub(super) fn gate(&mut self, way: Way<'_>, now: Instant) -> Option<Option<Instant>> {
        let seq = self.seqs.entry(way.peer).or_default()[way.class as usize];
        let flow = self.flows.entry((way.link, way.class)).or_default();
        if way.is_blocked() {
            if flow.credit < CREDIT && !way.plan.stalls(way.me) {
                return None;
            }
            flow.refused = Some(Refusal::Blocked);
            way.faults.count(Injury::Blocked);
            return Some(None);
        }
        flow.credit = 0;
        if let Some(Refusal::Storm { until }) = flow.refused.filter(|_| flow.had == Some(seq)) {
            return (now < until).then_some(Some(until));
        }
        let storm = way.plan.weather(way.me, way.peer).storm;
        let draw = way.faults.draw(way.me, way.peer, way.class, seq);
        if flow.had == Some(seq) || !draw.happens(Question::Storm, storm.permille) {
            return None;
        }
        let until = now + storm.lasts;
        flow.had = Some(seq);
        flow.refused = Some(Refusal::Storm { until });
        way.faults.count(Injury::Storm);
        Some(Some(until))
    }

    /// A message was refused, by whomever: room is announced once.
    pub(super) fn refuse(&mut self, link: LinkId, class: Class) {
        self.flows.entry((link, class)).or_default().owed = true;
    }

    pub(super) fn accept(&mut self, way: Way<'_>) {
        self.seqs.entry(way.peer).or_default()[way.class as usize] += 1;
        if way.is_blocked() {
            self.flows.entry((way.link, way.class)).or_default().credit += 1;
        }
    }

    /// The transport below has room again.
    pub(super) fn on_writable(&mut self, link: LinkId, class: Class) {
        self.writable.insert((link, class));
    }

    /// Whether room may be announced: once per refusal, whoever refused.
    pub(super) fn pays(&mut self, link: LinkId, class: Class) -> bool {
        let flow = self.flows.get_mut(&(link, class));
        flow.is_some_and(|flow| core::mem::take(&mut flow.owed))
    }

    /// Announces room where this decorator refuses no longer; when it will next.
    pub(super) fn calm(
        &mut self,
        now: Instant,
        blocked: impl Fn(LinkId) -> bool,
    ) -> Option<Instant> {
        let mut next = None;
        for ((link, class), flow) in &mut self.flows {
            let over = match flow.refused {
                None => continue,
                Some(Refusal::Blocked) => !blocked(*link),
                Some(Refusal::Storm { until }) if until > now => {
                    next = Some(next.map_or(until, |next: Instant| next.min(until)));
                    false
                }
                Some(Refusal::Storm { .. }) => true,
            };
            if over {
                flow.refused = None;
                self.writable.insert((*link, *class));
            }
        }
        next
    }

    pub(super) fn forget(&mut self, link: LinkId) {
        self.flows.retain(|(of, _), _| *of != link);
        self.writable.retain(|(of, _)| *of != link);
    }
}
