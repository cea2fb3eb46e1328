//! Asking observers that say nothing (healing.md section 3.4).

use core::time::Duration;
use std::collections::BTreeSet;

use formic_core::{Life, Time, earliest};

use crate::{Healing, Message, rings::Place, watch::Probing};

/// Probes of one observer, and the time between them: three in 150 ms.
const PROBES: u8 = 3;
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// An observer that answered none after this is mute: as long as the timeout of beats.
const MUTE_AFTER: Duration = Duration::from_millis(350);
/// A mute observer is asked again after this: its seat would stay empty if three lost answers had made it
/// mute, for nothing else reaches those who do not watch it.
const ASK_MUTE_EVERY: Duration = Duration::from_millis(500);
/// Probes under way at most, so that a cut costs no storm.
const PROBES_MAX: usize = 64;

impl Probing {
    /// After one more question; `None`: all were asked in vain.
    fn asked(mut self, now: Time) -> Option<Self> {
        if self.sent == PROBES {
            return None;
        }
        self.sent += 1;
        self.next = if self.sent == PROBES { self.since + MUTE_AFTER } else { now + PROBE_EVERY };
        Some(self)
    }
}

impl Healing {
    /// Asks a member whether it is there, unless it was heard of just now.
    pub(crate) fn probe(&mut self, place: Place) {
        let now = self.now;
        let Some(watch) = &mut self.watch else { return };
        let open = watch.subjects.iter().filter(|s| s.probing.is_some() && !s.mute).count();
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
        let (mut asked, mut muted) = (Vec::new(), false);
        for subject in &mut watch.subjects {
            let Some(probing) = subject.probing.filter(|probing| probing.next <= now) else {
                continue;
            };
            subject.probing = probing.asked(now);
            if subject.probing.is_some() {
                asked.push((subject.life(), probing.since.as_us()));
            } else {
                muted |= !subject.mute;
                subject.mute = true;
                let next = now + ASK_MUTE_EVERY;
                subject.probing = Some(Probing { since: next, sent: PROBES - 1, next });
            }
        }
        let probing = watch.subjects.iter().filter_map(|subject| subject.probing);
        self.timers.probe = probing.map(|probing| Some(probing.next)).fold(None, earliest);
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
        let now = self.now;
        let Some(watch) = &mut self.watch else { return };
        let misses = |place: &Place| {
            let subject = watch.subject(*place);
            subject.is_suspect() || subject.is_condemned()
        };
        if !watch.duties.iter().all(misses) {
            return;
        }
        watch.asked_all = Some(now);
        let count = watch.subjects.len();
        let mut places: BTreeSet<Place> = BTreeSet::new();
        if count <= PROBES_MAX {
            places.extend((0..count).filter_map(|n| Place::try_from(n).ok()));
        } else {
            let drawn = (0..PROBES_MAX).map(|_| self.random.below(count as u64));
            places.extend(drawn.filter_map(|n| Place::try_from(n).ok()));
        }
        places.into_iter().for_each(|place| self.probe(place));
        self.tell_mates();
    }

    /// As long as it is alone it asks again: who answered may have died since.
    pub(crate) fn ask_again_if_alone(&mut self) {
        let asked = self.watch.as_ref().and_then(|watch| watch.asked_all);
        if asked.is_none_or(|at| self.now.since(at) >= ASK_MUTE_EVERY) {
            self.probe_if_alone();
        }
    }

    /// Whom this peer misses, to others of its process: they may watch nobody there.
    fn tell_mates(&mut self) {
        let Some(watch) = &self.watch else { return };
        let (epoch, suspects) = (watch.view.epoch, watch.suspects());
        let mates = watch.view.lives().filter(|life| watch.is_mate(*life)).take(PROBES_MAX);
        for to in mates.collect::<Vec<_>>() {
            self.send(to, Message::Alert { epoch, suspects: suspects.clone() });
        }
    }
}
