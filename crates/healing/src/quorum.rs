//! Whether this peer is among the majority (healing.md section 6).

use core::time::Duration;
use std::collections::BTreeSet;

use formic_core::{PeerId, Time, earliest};

use crate::{
    Belief, Cause, Event, Evidence, Healing, Standing,
    rings::Place,
    watch::{Subject, Watch},
};

/// A member that is missed for this long is not in touch.
pub(crate) const DOUBT: Duration = Duration::from_millis(500);

impl Healing {
    /// How many further crashes at once the majority survives, the anchor's among them. `None`: it is
    /// lost.
    pub fn margin(&self) -> Option<usize> {
        let watch = self.watch.as_ref().filter(|_| self.standing == Standing::Held)?;
        // The anchor is among the first that are gone: then more than half of the view must be left.
        let least = watch.view.members.len() / 2 + 1;
        Some(self.in_touch(watch).len().saturating_sub(least))
    }

    /// Peers of the view that are neither condemned, nor mute, nor missed for long, this one included.
    pub(crate) fn in_touch(&self, watch: &Watch) -> BTreeSet<PeerId> {
        let now = self.now;
        let here = |subject: &&Subject| {
            let peer = subject.life().peer;
            if peer == self.me.life.peer || self.returned.contains_key(&peer) {
                return true;
            }
            let believed = match subject.belief {
                Belief::Alive => true,
                // A newcomer must dial first; nobody of a view from the disk was heard in this life.
                Belief::Unheard => {
                    !self.chain.is_restored()
                        && now.since(subject.heard) < self.config.first_timeout
                }
                Belief::Suspect { since } => now.since(since) < DOUBT,
                Belief::Condemned { .. } => false,
            };
            believed && !subject.mute && subject.stale.is_none()
        };
        watch.subjects.iter().filter(here).map(|subject| subject.life().peer).collect()
    }

    /// Whether nobody but this process can speak about a member, and those who are left decide: all other
    /// processes, the member's own aside, are condemned or mute. O(members).
    pub(crate) fn speaks_alone(&self, subject: Place) -> bool {
        let Some(watch) = &self.watch else { return false };
        let Some(me) = watch.me else { return false };
        let fate = |place: Place| watch.subject(place).member.fate;
        let involved = [fate(me), fate(subject)];
        let mut others = watch.subjects.iter();
        if !others.all(|other| other.is_out() || involved.contains(&other.member.fate)) {
            return false;
        }
        let accused = watch.subject(subject).life();
        let left = watch
            .subjects
            .iter()
            .filter(|other| !other.is_out() && !other.is_suspect() && other.life() != accused);
        watch.view.is_quorum(&left.map(|other| other.life().peer).collect())
    }

    /// Where all members share one process nobody beats, and nobody watches: a link tells of each end. Whom
    /// no link reaches ended while there was none.
    fn miss_mates(&mut self) {
        let Some(watch) = self.watch.as_ref().filter(|watch| watch.rings.observers == 0) else {
            return;
        };
        if watch.me.is_none() || self.chain.is_restored() {
            return;
        }
        let late = |subject: &&Subject| {
            let due = subject.heard + self.config.first_timeout <= self.now;
            due && !subject.is_condemned() && self.is_cut_off(subject)
        };
        let late = watch.subjects.iter().filter(late);
        let late: Vec<Place> = late.filter_map(|it| watch.place_of(it.life())).collect();
        for place in late {
            self.condemn(place, Evidence::Said(Cause::Silent));
        }
    }

    /// Whether there is no link to another member.
    fn is_cut_off(&self, subject: &Subject) -> bool {
        let life = subject.life();
        let linked = self.links.get(&life.peer).is_some_and(|(linked, _)| *linked == life);
        life != self.me.life && !linked
    }

    /// Something changed that may change who is in touch.
    pub(crate) fn doubt(&mut self) {
        self.timers.quorum = Some(self.now);
    }

    /// Looks again whether a majority is in touch; reports changes.
    pub(crate) fn check_quorum(&mut self) {
        if self.timers.quorum.is_none_or(|at| at > self.now) {
            return;
        }
        self.miss_mates();
        let Some(watch) = &self.watch else { return };
        let touch = self.in_touch(watch);
        let decides = if formic_core::rule!("healing/last-view") {
            watch.view.is_quorum(&touch)
        } else {
            true // "Those that I see are all there are."
        };
        let member = watch.me.is_some() && !self.chain.is_forked();
        self.timers.quorum = self.next_doubt();
        let standing = if member && decides { Standing::Held } else { Standing::Lost };
        if standing != self.standing {
            self.standing = standing;
            self.event(Event::Quorum(standing));
            self.seek_soon();
            self.release_held();
        }
    }

    /// When silence alone may change who is in touch.
    fn next_doubt(&self) -> Option<Time> {
        let watch = self.watch.as_ref()?;
        let doubt = |subject: &Subject| match subject.belief {
            Belief::Suspect { since } => Some(since + DOUBT),
            Belief::Unheard if !self.chain.is_restored() => {
                Some(subject.heard + self.config.first_timeout)
            }
            Belief::Alive if watch.rings.observers == 0 && self.is_cut_off(subject) => {
                Some(subject.heard + self.config.first_timeout)
            }
            _ => None,
        };
        let later = watch.subjects.iter().filter_map(doubt).filter(|at| *at > self.now);
        later.map(Some).fold(None, earliest)
    }
}
