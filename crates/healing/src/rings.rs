//! Who watches whom: a pure function of the view (healing.md section 3.1).

use core::time::Duration;
use std::collections::BTreeSet;

use formic_core::{FateId, View, mix};

use crate::{
    Config,
    message::{head, number},
};

/// A member's position in the view.
pub(crate) type Place = u16;

/// One observer of a life, and the ring on which its stand-in is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seat {
    ring: u8,
    pub(crate) observer: Place,
}

/// The observers of every member of one view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Rings {
    fates: Vec<FateId>,
    /// Members in the order of each ring.
    orders: Vec<Vec<Place>>,
    /// Where each member stands on each ring.
    ranks: Vec<Vec<Place>>,
    seats: Vec<Vec<Seat>>,
    /// Whose observer each member is.
    subjects: Vec<Vec<Place>>,
    /// Observers per life, K.
    pub(crate) observers: usize,
    /// Voices that condemn, H.
    pub(crate) voices: usize,
    /// Between two beats, T.
    pub(crate) interval: Duration,
}

impl Rings {
    pub(crate) fn of(view: &View, config: &Config) -> Self {
        let fates: Vec<FateId> = view.members.iter().map(|member| member.fate).collect();
        let processes = fates.iter().collect::<BTreeSet<_>>().len();
        let observers = (processes - 1).min(config.observers as usize);
        let voices = (observers * config.quorum_percent as usize).div_ceil(100);
        let spread = config.interval_per_observer * u32::try_from(observers).unwrap_or(1).max(1);
        let shortest = Duration::from_millis(25).min(config.interval_max);
        let interval = spread.clamp(shortest, config.interval_max);
        let count = view.members.len();
        let mut rings = Self {
            fates,
            orders: Vec::new(),
            ranks: Vec::new(),
            seats: vec![Vec::new(); count],
            subjects: vec![Vec::new(); count],
            observers,
            voices,
            interval,
        };
        if observers > 0 {
            rings.seat_all(view);
        }
        rings
    }

    /// Rings are added until everybody has K observers of distinct processes; what is still missing
    /// after 5 K of them is filled from the first.
    fn seat_all(&mut self, view: &View) {
        let seed = head(view.hash());
        let count = view.members.len();
        let most = u8::try_from(self.observers * 5).unwrap_or(u8::MAX);
        for ring in 0..most {
            if self.seats.iter().all(|seats| seats.len() == self.observers) {
                break;
            }
            let key = |place: &Place| {
                let life = view.members[usize::from(*place)].life;
                let who = mix(number(life.peer) ^ mix(life.incarnation.0));
                (mix(seed ^ mix(u64::from(ring)) ^ who), *place)
            };
            let mut order: Vec<Place> =
                (0..count).filter_map(|n| Place::try_from(n).ok()).collect();
            order.sort_unstable_by_key(key);
            let mut ranks = vec![0; count];
            for (rank, place) in order.iter().enumerate() {
                ranks[usize::from(*place)] = Place::try_from(rank).unwrap_or(Place::MAX);
            }
            self.orders.push(order);
            self.ranks.push(ranks);
            for subject in 0..count {
                self.seat_one(ring, subject, 1);
            }
        }
        for subject in 0..count {
            self.seat_one(0, subject, self.observers);
        }
        for (subject, seats) in self.seats.iter().enumerate() {
            for seat in seats {
                let subject = Place::try_from(subject).unwrap_or(Place::MAX);
                self.subjects[usize::from(seat.observer)].push(subject);
            }
        }
    }

    /// Up to `most` successors on this ring that share no process with the subject or its observers.
    fn seat_one(&mut self, ring: u8, subject: usize, most: usize) {
        for _ in 0..most {
            if self.seats[subject].len() == self.observers {
                return;
            }
            let taken: BTreeSet<FateId> = self.fates_at(subject);
            let next = self.after(ring, subject).find(|place| {
                let fate = self.fates[usize::from(*place)];
                // A ring offers its first successor of another process; the last resort offers all.
                fate != self.fates[subject] && (most == 1 || !taken.contains(&fate))
            });
            let Some(observer) = next else { return };
            if taken.contains(&self.fates[usize::from(observer)]) {
                return;
            }
            self.seats[subject].push(Seat { ring, observer });
        }
    }

    fn fates_at(&self, subject: usize) -> BTreeSet<FateId> {
        self.seats[subject].iter().map(|seat| self.fates[usize::from(seat.observer)]).collect()
    }

    /// The members that follow `place` on a ring, once around.
    fn after(&self, ring: u8, place: usize) -> impl Iterator<Item = Place> + '_ {
        let order = &self.orders[usize::from(ring)];
        let rank = usize::from(self.ranks[usize::from(ring)][place]);
        order[rank + 1..].iter().chain(&order[..rank]).copied()
    }

    /// Whether a member can be an observer of another, or stand in for one.
    pub(crate) fn may_watch(&self, observer: Place, subject: Place) -> bool {
        self.fates[usize::from(observer)] != self.fates[usize::from(subject)]
    }

    /// Whether a member is an observer of another, stand-ins not counted.
    pub(crate) fn has_seat(&self, observer: Place, subject: Place) -> bool {
        self.seats[usize::from(subject)].iter().any(|seat| seat.observer == observer)
    }

    /// Whose observer this member is, stand-ins not counted.
    pub(crate) fn subjects(&self, observer: Place) -> &[Place] {
        &self.subjects[usize::from(observer)]
    }

    /// The observers of a life, with stand-ins for those that are out: the next live member on the
    /// same ring takes the seat (healing.md 3.4, orphans).
    pub(crate) fn observers(&self, subject: Place, is_out: impl Fn(Place) -> bool) -> Vec<Post> {
        let subject = usize::from(subject);
        let seats = &self.seats[subject];
        let mut posts: Vec<Post> = Vec::with_capacity(seats.len());
        // Each process speaks once. One whose observer is out may speak through another of its peers.
        let holders = seats.iter().filter(|seat| !is_out(seat.observer));
        let mut busy: BTreeSet<FateId> =
            holders.map(|seat| self.fates[usize::from(seat.observer)]).collect();
        for seat in seats {
            let free = |place: &Place| {
                let fate = self.fates[usize::from(*place)];
                fate != self.fates[subject] && !busy.contains(&fate) && !is_out(*place)
            };
            let empty = is_out(seat.observer);
            let stand_in = empty
                .then(|| self.after(seat.ring, usize::from(seat.observer)).find(free))
                .flatten();
            busy.extend(stand_in.map(|place| self.fates[usize::from(place)]));
            posts.push(Post { observer: seat.observer, stand_in });
        }
        posts
    }
}

/// A seat as it is filled at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Post {
    pub(crate) observer: Place,
    /// Who watches instead, if the observer is out and somebody is left.
    pub(crate) stand_in: Option<Place>,
}

impl Post {
    /// Who watches.
    pub(crate) fn holder(&self) -> Place {
        self.stand_in.unwrap_or(self.observer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formic_core::{Incarnation, Life, Member, PeerId};

    fn view(fates: &[u64]) -> View {
        let member = |(n, fate): (usize, &u64)| Member {
            life: Life::new(PeerId::from_bytes([u8::try_from(n).unwrap(); 32]), Incarnation(1)),
            fate: FateId(*fate),
        };
        let members: Vec<Member> = fates.iter().enumerate().map(member).collect();
        View { members, ..View::found(member((0, &0))) }
    }

    fn out(_: Place) -> bool {
        false
    }

    #[test]
    fn everybody_has_k_observers_of_other_processes() {
        for count in 1..=40_u64 {
            let fates: Vec<u64> = (0..count).map(|n| n / 2).collect();
            let view = view(&fates);
            let rings = Rings::of(&view, &Config::default());
            let processes = count.div_ceil(2);
            assert_eq!(rings.observers as u64, 8.min(processes - 1));
            for subject in 0..u16::try_from(count).unwrap() {
                let posts = rings.observers(subject, out);
                let seats: BTreeSet<u64> =
                    posts.iter().map(|post| fates[usize::from(post.observer)]).collect();
                assert_eq!(seats.len(), rings.observers, "{count}: {subject}");
                assert!(!seats.contains(&fates[usize::from(subject)]));
            }
        }
    }

    #[test]
    fn duties_are_spread() {
        let fates: Vec<u64> = (0..200).collect();
        let rings = Rings::of(&view(&fates), &Config::default());
        let most = (0..200).map(|n| rings.subjects(n).len()).max().unwrap();
        assert_eq!(rings.subjects.iter().map(Vec::len).sum::<usize>(), 1_600);
        assert!(most <= 12, "one member watches {most}");
    }

    #[test]
    fn a_seat_whose_observer_is_out_is_filled_by_somebody_new() {
        let fates: Vec<u64> = (0..20).collect();
        let rings = Rings::of(&view(&fates), &Config::default());
        let full: BTreeSet<Place> = rings.observers(3, out).iter().map(Post::holder).collect();
        let gone = *full.first().unwrap();
        let posts = rings.observers(3, |place| place == gone);
        let now: BTreeSet<Place> = posts.iter().map(Post::holder).collect();
        assert_eq!(now.len(), 8);
        assert!(!now.contains(&gone) && !now.contains(&3));
        assert_eq!(now.intersection(&full).count(), 7);
    }

    #[test]
    fn a_dead_observer_speaks_through_another_of_its_process() {
        // Three processes of two: nobody else is free to take a seat.
        let rings = Rings::of(&view(&[0, 0, 1, 1, 2, 2]), &Config::default());
        for subject in 0..6 {
            for gone in rings.observers(subject, out).iter().map(Post::holder) {
                let posts = rings.observers(subject, |place| place == gone);
                assert!(
                    posts.iter().any(|post| post.stand_in == Some(gone ^ 1)),
                    "{subject} {gone}"
                );
                let processes: BTreeSet<Place> =
                    posts.iter().map(|post| post.holder() / 2).collect();
                assert_eq!(processes.len(), 2, "each process speaks once");
            }
        }
    }

    #[test]
    fn few_observers_beat_faster() {
        let interval = |count: u64| {
            let fates: Vec<u64> = (0..count).collect();
            Rings::of(&view(&fates), &Config::default()).interval.as_micros()
        };
        let intervals: Vec<u128> = [2, 4, 5, 8, 9, 100].map(interval).to_vec();
        assert_eq!(intervals, [25_000, 37_500, 50_000, 87_500, 100_000, 100_000]);
        let h = |count: u64| {
            let fates: Vec<u64> = (0..count).collect();
            Rings::of(&view(&fates), &Config::default()).voices
        };
        assert_eq!([2, 3, 4, 5, 8, 9].map(h), [1, 2, 2, 3, 5, 5]);
    }
}
