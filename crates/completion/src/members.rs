//! Who belongs to the job, and what the failure detector says of them (T11 to T13).

use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Incarnation, Key, Life, PeerId, rule};

use crate::{Completion, Message, task::Progress, timers::Timer};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Presence {
    Up,
    Down,
    /// Reported down without ever having been seen: no member.
    NeverSeen,
}

/// The newest life of each peer, and whether it is believed alive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Members {
    peers: BTreeMap<PeerId, (Incarnation, Presence)>,
    /// Lives that belong to the mesh and were never met here.
    unmet: BTreeSet<Life>,
}

impl Members {
    /// Whether a later life of the same peer is known.
    pub(crate) fn is_stale(&self, life: Life) -> bool {
        self.peers.get(&life.peer).is_some_and(|(newest, _)| *newest > life.incarnation)
    }

    /// Whether this life is over or believed to be.
    pub(crate) fn is_down(&self, life: Life) -> bool {
        self.peers.get(&life.peer).is_some_and(|(newest, presence)| {
            *newest > life.incarnation || *newest == life.incarnation && *presence != Presence::Up
        })
    }

    /// Whether this very life was met.
    pub(crate) fn is_known(&self, life: Life) -> bool {
        self.peers.get(&life.peer).is_some_and(|(newest, _)| *newest == life.incarnation)
    }

    /// The newest life of the same peer.
    pub(crate) fn newest(&self, life: Life) -> Life {
        let newest = self.peers.get(&life.peer).map_or(life.incarnation, |(newest, _)| *newest);
        Life::new(life.peer, newest)
    }

    /// Whether this very life was seen alive, and none after it.
    fn is_met(&self, life: Life) -> bool {
        self.peers.get(&life.peer).is_some_and(|(newest, presence)| {
            *newest == life.incarnation && *presence != Presence::NeverSeen
        })
    }

    /// Whether any life of this peer was met.
    pub(crate) fn has_met(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(|(_, presence)| *presence != Presence::NeverSeen)
    }

    /// The newest life of every member.
    pub(crate) fn lives(&self) -> Vec<Life> {
        let member = |(peer, (incarnation, presence)): (&PeerId, &(Incarnation, Presence))| {
            (*presence != Presence::NeverSeen).then_some(Life::new(*peer, *incarnation))
        };
        self.peers.iter().filter_map(member).collect()
    }

    /// It is or was there: it may work for others.
    pub(crate) fn note_unmet(&mut self, life: Life) {
        if !self.is_met(life) {
            self.unmet.insert(life);
        }
    }

    /// Whether there is or was a life that nobody here met, and which therefore seals for others only.
    pub(crate) fn has_unmet(&self) -> bool {
        !self.unmet.is_empty()
    }

    fn set(&mut self, life: Life, presence: Presence) {
        if presence != Presence::NeverSeen {
            self.unmet.remove(&life);
        }
        self.peers.insert(life.peer, (life.incarnation, presence));
    }
}

impl Completion {
    /// T13 for any evidence of a life.
    pub(crate) fn heard(&mut self, from: Life) {
        let known = self.members.peers.get(&from.peer).copied();
        match known {
            Some((incarnation, _)) if incarnation == from.incarnation => {}
            Some((incarnation, _)) if incarnation > from.incarnation => {}
            _ => self.on_up(from),
        }
    }

    /// T12, T13.
    pub(crate) fn on_up(&mut self, life: Life) {
        if life.peer == self.me.peer {
            return;
        }
        match self.members.peers.get(&life.peer).copied() {
            Some((newest, _)) if newest > life.incarnation => {}
            Some((newest, Presence::Up)) if newest == life.incarnation => {}
            Some((newest, Presence::Down)) if newest == life.incarnation => {
                self.members.set(life, Presence::Up);
                self.on_returned(life);
            }
            Some((newest, presence)) if newest < life.incarnation => {
                let old = Life::new(life.peer, newest);
                self.members.set(life, Presence::Up);
                self.on_reborn(old, presence);
                if !rule!("completion/checks-last") {
                    self.home_check();
                    self.probe_check();
                }
                self.on_joined(life);
            }
            _ => {
                self.members.set(life, Presence::Up);
                self.on_joined(life);
            }
        }
    }

    /// T11.
    pub(crate) fn on_down(&mut self, life: Life) {
        if life.peer == self.me.peer {
            return;
        }
        match self.members.peers.get(&life.peer).copied() {
            None => {
                self.members.set(life, Presence::NeverSeen);
                self.members.note_unmet(life);
            }
            Some((newest, _)) if newest > life.incarnation => {
                // News of a life that is over anyway: 8.3 #5.
                if !rule!("completion/down-incarnation") {
                    self.members.set(Life::new(life.peer, newest), Presence::Down);
                }
            }
            Some((newest, Presence::Up)) if newest == life.incarnation => {
                self.members.set(life, Presence::Down);
                self.on_lost(life);
            }
            Some((newest, presence)) if newest < life.incarnation => {
                self.members.set(life, Presence::Down);
                self.on_reborn(Life::new(life.peer, newest), presence);
                self.on_joined(life); // It existed: it is to seal, or to be excluded.
            }
            Some(_) => {}
        }
    }

    /// T11: everything this life did for us is to be done by others.
    fn on_lost(&mut self, life: Life) {
        self.counts.disturbed += 1;
        self.hints.retain(|_, at| *at != life);
        self.pend.remove(&life);
        if rule!("completion/T11") {
            self.respawn_from(life);
        }
        let keys: Vec<Key> = self.tasks.keys().copied().collect();
        for key in keys {
            self.tell_grand(key, life);
            self.watch_waiters(key);
        }
    }

    fn respawn_from(&mut self, life: Life) {
        let mut lost = Vec::new();
        for (owner, task) in self.tasks.iter().filter(|(_, task)| task.open > 0) {
            let open = task
                .children
                .iter()
                .filter(|(_, child)| child.exec == Some(life) && child.progress != Progress::Done);
            lost.extend(open.map(|(key, _)| (*owner, *key)));
        }
        lost.into_iter().for_each(|(owner, key)| self.respawn(owner, key, life));
    }

    /// A waiter is lost: whoever will execute its owner again hears where this task is alive. Where the
    /// owner's own waiters are lost too nobody here knows who that will be, so everybody hears it: one
    /// small frame per member, against executing the whole tree below this task again.
    fn tell_grand(&mut self, key: Key, life: Life) {
        let Some(task) = self.tasks.get(&key) else { return };
        let mut orphans = Vec::new();
        for (waiter, waiting) in &task.waiters {
            // What was told to a grand-waiter that is lost as well is told again to the next one.
            let told = || waiting.grand.iter().any(|grand| grand.life == life);
            if waiter.life != life && !(self.members.is_down(waiter.life) && told()) {
                continue;
            }
            let mut grand = waiting.grand.iter().filter(|grand| !self.members.is_down(grand.life));
            match grand.next() {
                Some(grand) => orphans.push((grand.life, waiter.owner)),
                None => {
                    let up = self.members.lives().into_iter();
                    let up = up.filter(|life| !self.members.is_down(*life));
                    orphans.extend(up.map(|life| (life, waiter.owner)));
                    orphans.push((self.me, waiter.owner));
                }
            }
        }
        for (to, owner) in orphans {
            self.send(to, Message::Orphan { key, owner });
        }
    }

    /// T13: a life is over for good.
    fn on_reborn(&mut self, old: Life, was: Presence) {
        if was == Presence::Up {
            self.on_lost(old);
        }
        self.pend.remove(&old);
        let waits = |waiter: &crate::Waiter| waiter.life.peer == old.peer && waiter.life <= old;
        let keys: Vec<Key> = self.tasks.keys().copied().collect();
        for key in keys {
            let Some(task) = self.tasks.get_mut(&key) else { continue };
            let gone: Vec<_> = task.waiters.keys().copied().filter(waits).collect();
            for waiter in gone {
                task.waiters.remove(&waiter);
                task.lost.insert(waiter);
            }
            self.watch_waiters(key);
        }
    }

    /// T13: a life is new here.
    fn on_joined(&mut self, life: Life) {
        self.greet(life);
        if !rule!("completion/T13") {
            return;
        }
        if self.closed.is_some() {
            if self.wave.announces || self.home.rank.is_some() {
                self.announce_to(life);
            }
        } else {
            self.probe_newcomer(life);
        }
    }

    /// T12: a suspicion was false.
    fn on_returned(&mut self, life: Life) {
        let keys: Vec<Key> = self.tasks.keys().copied().collect();
        keys.into_iter().for_each(|key| self.watch_waiters(key));
        self.greet(life);
        if self.wave.announcing.contains(&life) {
            self.announce_to(life);
        } else {
            self.timers.arm(Timer::Wave, self.now + self.config.resend);
        }
    }
}
