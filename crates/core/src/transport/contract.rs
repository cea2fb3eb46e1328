use std::collections::{BTreeMap, BTreeSet};

use super::{Class, Event, LinkId};
use crate::{Life, PeerId};

/// How a transport broke its contract (transport.md section 2). The transport's fault, whatever its peers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// K1: something about a link that is not up, or not any more.
    #[error("{what} on {link:?}, which is not up")]
    NotUp {
        /// What was reported.
        what: &'static str,
        /// Of which link.
        link: LinkId,
    },
    /// K1: the id of a link that was up before.
    #[error("{link:?} came up twice")]
    UpTwice {
        /// Which.
        link: LinkId,
    },
    /// K4: a second link to one peer.
    #[error("{peer} came up while {other} of the same peer was up")]
    TwoLinks {
        /// The life of the new link.
        peer: Life,
        /// The life of the other one.
        other: Life,
    },
    /// K4: a life that is over.
    #[error("{peer} came up after {newer}")]
    OlderLife {
        /// Which.
        peer: Life,
        /// The life that came after it.
        newer: Life,
    },
    /// K2: a reliable message out of its turn: a gap, a duplicate, or another order.
    #[error("{class:?} message {found} of {link:?} instead of {expected}")]
    OutOfOrder {
        /// On which link.
        link: LinkId,
        /// Of which class.
        class: Class,
        /// The number whose turn it was.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// K3: an unreliable message came twice.
    #[error("unreliable message {number} of {link:?} came twice")]
    Doubled {
        /// On which link.
        link: LinkId,
        /// Which.
        number: u64,
    },
    /// K6: room was announced to whom nothing had been refused.
    #[error("{class:?} of {link:?} is writable, and was never full")]
    NeverFull {
        /// Of which link.
        link: LinkId,
        /// Which class.
        class: Class,
    },
}

#[derive(Clone, Debug)]
struct Link {
    peer: Life,
    /// The next number of each reliable class.
    next: [u64; 3],
    unreliable: BTreeSet<u64>,
    /// Classes that refused something: how often, each time after they took something; and whether the last answer
    /// was a refusal.
    full: BTreeMap<Class, (u64, bool)>,
}

/// What one end of a transport reports, held against what it promises: K1 to K4 and K6. Pure: for the
/// conformance suite, for decorators, for simulators.
///
/// The sender numbers its messages from 0 on each link and class; the number is read out of the message.
#[derive(Clone, Debug, Default)]
pub struct Contract {
    links: BTreeMap<LinkId, Link>,
    /// With what arrived on each.
    ended: BTreeMap<LinkId, [u64; 3]>,
    newest: BTreeMap<PeerId, Life>,
}

impl Contract {
    /// Before anything happened.
    pub const fn new() -> Self {
        Self { links: BTreeMap::new(), ended: BTreeMap::new(), newest: BTreeMap::new() }
    }

    /// How many messages of a reliable class have arrived on a link.
    pub fn received(&self, link: LinkId, class: Class) -> u64 {
        let open = self.links.get(&link).map(|link| link.next);
        let next = open.or_else(|| self.ended.get(&link).copied());
        next.and_then(|next| next.get(class as usize).copied()).unwrap_or_default()
    }

    /// This end was refused a message with `Full`.
    pub fn full(&mut self, link: LinkId, class: Class) {
        if let Some(link) = self.links.get_mut(&link) {
            let (owed, refuses) = link.full.entry(class).or_default();
            *owed += u64::from(!*refuses);
            *refuses = true;
        }
    }

    /// A message of this end was accepted: room for the next refused one is announced anew.
    pub fn accepted(&mut self, link: LinkId, class: Class) {
        let known = self.links.get_mut(&link).and_then(|link| link.full.get_mut(&class));
        if let Some((_, refuses)) = known {
            *refuses = false;
        }
    }

    /// The end reports this, next.
    ///
    /// # Errors
    /// The first promise that it breaks.
    pub fn event<M>(
        &mut self,
        event: &Event<M>,
        number: impl FnOnce(&M) -> u64,
    ) -> Result<(), Breach> {
        match event {
            Event::Up { link, peer, .. } => self.up(*link, *peer),
            Event::Message { link, class, message } => self.message(*link, *class, number(message)),
            Event::Writable { link, class } => {
                let known = self.open(*link, "Writable")?;
                let (owed, refuses) = known.full.entry(*class).or_default();
                let never = Breach::NeverFull { link: *link, class: *class };
                *owed = owed.checked_sub(1).ok_or(never)?;
                *refuses = false;
                Ok(())
            }
            Event::Down { link, .. } => {
                let next = self.open(*link, "Down")?.next;
                self.links.remove(link);
                self.ended.insert(*link, next);
                Ok(())
            }
        }
    }

    fn open(&mut self, link: LinkId, what: &'static str) -> Result<&mut Link, Breach> {
        self.links.get_mut(&link).ok_or(Breach::NotUp { what, link })
    }

    fn up(&mut self, link: LinkId, peer: Life) -> Result<(), Breach> {
        if self.ended.contains_key(&link) || self.links.contains_key(&link) {
            return Err(Breach::UpTwice { link });
        }
        let other = self.links.values().find(|known| known.peer.peer == peer.peer);
        if let Some(other) = other.map(|known| known.peer) {
            return Err(Breach::TwoLinks { peer, other });
        }
        let newer = *self.newest.entry(peer.peer).or_insert(peer);
        if newer > peer {
            return Err(Breach::OlderLife { peer, newer });
        }
        self.newest.insert(peer.peer, peer);
        let (unreliable, full) = (BTreeSet::new(), BTreeMap::new());
        self.links.insert(link, Link { peer, next: [0; 3], unreliable, full });
        Ok(())
    }

    fn message(&mut self, link: LinkId, class: Class, found: u64) -> Result<(), Breach> {
        let known = self.open(link, "Message")?;
        let Some(next) = known.next.get_mut(class as usize) else {
            let fresh = known.unreliable.insert(found);
            return if fresh { Ok(()) } else { Err(Breach::Doubled { link, number: found }) };
        };
        let expected = *next;
        if found != expected {
            return Err(Breach::OutOfOrder { link, class, expected, found });
        }
        *next += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use core::num::NonZeroU32;

    use super::*;
    use crate::{
        Incarnation,
        transport::{CloseReason, Direction},
    };

    const fn link(index: u32) -> LinkId {
        LinkId { index, generation: NonZeroU32::MIN }
    }

    fn life(peer: u8, incarnation: u64) -> Life {
        Life::new(PeerId::from_bytes([peer; 32]), Incarnation(incarnation))
    }

    const fn up(index: u32, peer: Life) -> Event<u64> {
        Event::Up { link: link(index), peer, direction: Direction::Dialed }
    }

    const fn message(class: Class, number: u64) -> Event<u64> {
        Event::Message { link: link(1), class, message: number }
    }

    const fn down(index: u32) -> Event<u64> {
        Event::Down { link: link(index), reason: CloseReason::Lost }
    }

    /// What the last of these events breaks; all before it are in order.
    fn breach(events: &[Event<u64>]) -> Option<Breach> {
        let mut contract = Contract::new();
        let (last, before) = events.split_last().unwrap();
        for event in before {
            contract.event(event, |number| *number).unwrap();
        }
        contract.event(last, |number| *number).err()
    }

    #[test]
    fn a_link_has_one_beginning_and_one_end() {
        let (one, two) = (life(1, 1), life(2, 1));
        assert_eq!(breach(&[up(1, one), up(2, two), down(1), up(3, one)]), None);
        let not_up = |what| Some(Breach::NotUp { what, link: link(1) });
        assert_eq!(breach(&[message(Class::Data, 0)]), not_up("Message"));
        assert_eq!(breach(&[up(1, one), down(1), down(1)]), not_up("Down"));
        assert_eq!(breach(&[up(1, one), down(1), message(Class::Data, 0)]), not_up("Message"));
        let twice = Some(Breach::UpTwice { link: link(1) });
        assert_eq!(breach(&[up(1, one), down(1), up(1, one)]), twice);
    }

    #[test]
    fn one_life_of_a_peer_at_a_time_and_never_an_older_one() {
        let (old, new) = (life(1, 1), life(1, 2));
        let two = Some(Breach::TwoLinks { peer: new, other: old });
        assert_eq!(breach(&[up(1, old), up(2, new)]), two);
        let older = Some(Breach::OlderLife { peer: old, newer: new });
        assert_eq!(breach(&[up(1, new), down(1), up(2, old)]), older);
    }

    #[test]
    fn reliable_classes_are_counted_each_on_its_own() {
        let begin = || vec![up(1, life(1, 1)), message(Class::Data, 0), message(Class::Bulk, 0)];
        assert_eq!(breach(&[begin(), vec![message(Class::Data, 1)]].concat_all()), None);
        for found in [0, 2] {
            let events = [begin(), vec![message(Class::Data, found)]].concat_all();
            let class = Class::Data;
            let out = Breach::OutOfOrder { link: link(1), class, expected: 1, found };
            assert_eq!(breach(&events), Some(out));
        }
    }

    #[test]
    fn unreliable_messages_may_be_lost_and_late_but_not_doubled() {
        let class = Class::Unreliable;
        let events = [up(1, life(1, 1)), message(class, 7), message(class, 3), message(class, 7)];
        assert_eq!(breach(&events[..3]), None);
        assert_eq!(breach(&events), Some(Breach::Doubled { link: link(1), number: 7 }));
    }

    #[test]
    fn room_is_announced_once_to_whom_was_refused() {
        let mut contract = Contract::new();
        let class = Class::Data;
        contract.event(&up(1, life(1, 1)), |number| *number).unwrap();
        contract.full(link(1), class);
        let writable = Event::<u64>::Writable { link: link(1), class };
        assert_eq!(contract.event(&writable, |number| *number), Ok(()));
        let never = Breach::NeverFull { link: link(1), class };
        assert_eq!(contract.event(&writable, |number| *number), Err(never));
    }

    trait ConcatAll {
        fn concat_all(self) -> Vec<Event<u64>>;
    }

    impl<const N: usize> ConcatAll for [Vec<Event<u64>>; N] {
        fn concat_all(self) -> Vec<Event<u64>> {
            self.into_iter().flatten().collect()
        }
    }
}
