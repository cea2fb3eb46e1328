//! Asking observers that say nothing (healing.md section 3.4).

use core::time::Duration;
use std::collections::BTreeSet;

use formic_core::{Life, earliest};

use crate::{
    Healing, Message,
    rings::Place,
    watch::Probing,
};

/// Probes of one observer, and the time between them: three in 150 ms.
const PROBES: u8 = 3;
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// An observer that answered none after this is mute: as long as the timeout of beats.
const MUTE_AFTER: Duration = Duration::from_millis(350);
/// Probes under way at most, so that a cut costs no storm.
const PROBES_MAX: usize = 64;

impl Healing {
    /// Asks a member whether it is there, unless it was heard of just now.
    pub(crate) fn probe(&mut self, place: Place) {
        let now = self.now;
        let Some(watch) = &mut self.watch else { return };
        let open = watch.subjects.iter().filter(|subject| subject.probing.is_some()).count();
        let interval = watch.rings.interval;
        let subject = watch.subject_mut(place);
        let lately = now.since(subject.heard) < interval && !subject.is_suspect();
        let itself = subject.life() == self.me.life;
        if subject.probing.is_some() || subject.is_out() || lately || itself || open >= PROBES_MAX {
            return;
        }
        subject.probing = Some(Probing { since: now, sent: 0, next: now });
        self.timers.probe = Some(now);
    }

    pub(crate) fn probe_due(&mut self) {
        let now = self.now;
        self.timers.probe = None;
        let Some(watch) = &mut self.watch else { return };
        let (mut asked, mut muted, mut next) = (Vec::new(), false, None);
        for subject in &mut watch.subjects {
            let Some(probing) = &mut subject.probing else { continue };
            if probing.next <= now && probing.sent < PROBES {
                asked.push((subject.member.life, probing.since.as_us()));
                probing.sent += 1;
                let last = probing.sent == PROBES;
                probing.next = if last { probing.since + MUTE_AFTER } else { now + PROBE_EVERY };
            } else if probing.next <= now {
                subject.probing = None;
                subject.mute = true;
                muted = true;
                continue;
            }
            next = earliest(next, Some(probing.next));
        }
        self.timers.probe = next;
        for (to, number) in asked {
            self.send(to, Message::Probe { number });
        }
        if muted {
            self.doubt();
            self.reassign();
        }
    }

    pub(crate) fn on_probe(&mut self, from: Life, number: u64) {
        self.heard(from);
        self.send(from, Message::ProbeAck { number });
    }

    /// A peer that misses everybody it watches asks everybody: is it cut off itself?
    pub(crate) fn probe_if_alone(&mut self) {
        let Some(watch) = &self.watch else { return };
        let misses = |place: &Place| {
            let subject = watch.subject(*place);
            subject.is_suspect() || subject.is_condemned()
        };
        if !watch.duties.iter().all(misses) {
            return;
        }
        let count = watch.subjects.len();
        let mut places: BTreeSet<Place> = BTreeSet::new();
        if count <= PROBES_MAX {
            places.extend((0..count).filter_map(|n| Place::try_from(n).ok()));
        } else {
            for _ in 0..PROBES_MAX {
                places.extend(Place::try_from(self.random.below(count as u64)).ok());
            }
        }
        places.into_iter().for_each(|place| self.probe(place));
    }
}
