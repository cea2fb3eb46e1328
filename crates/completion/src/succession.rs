//! Who keeps a job when those who keep it are lost: the home group of the next generation.
//!
//! ```text
//!   generation g: register among its lives, decides one Ruling
//!      Result(decree)  -> the job's result; g is the last generation
//!      Succeed(group)  -> g decides nothing any more; g + 1 has a register of its own
//! ```
//!
//! A chain of write-once registers (stoppable state machines: Lamport, Malkhi, Zhou, *Reconfiguring a
//! State Machine*, SIGACT News 41, 2010): exactly one of them decides the result, because every earlier
//! one has decided something else. Nothing moves from one register to the next, so an acceptor of `g`
//! that is behind can harm nobody, and a new life needs no vote of an earlier one.
//!
//! Who acts for the job proposes a successor once a view of the mesh was committed without one of the
//! group, or with room for a larger one. Lives that forgot what they kept are never chosen again: what
//! else the group keeps (claims of exclusive tasks) does move, and must not be pulled from them.

use std::{collections::BTreeMap, sync::Arc};

use formic_core::{Digest, JobId, Life, PeerId, Time, rule};

use crate::{
    Completion, Effect, Event, JobSpec, Message, Record, Ruling,
    certificate::is_home_group,
    home::{Ban, Home, Origin, Reign},
    timers::Timer,
};

/// How many generations may follow the first one: bounds what every home record repeats.
pub const SUCCESSIONS_MAX: usize = 64;
/// A life that came back may have its records: it is waited for so many times `resend`.
const PATIENCE_ROUNDS: u32 = 8;

/// The newest members of the mesh that were told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pool {
    /// By seniority.
    lives: Arc<[Life]>,
    /// From when on later lives of home peers count as lives without records.
    patience: Time,
}

/// How many of `count` peers make a home group: 1, 2 or an odd number up to 7.
const fn size(count: usize) -> usize {
    match count {
        0..=2 => count,
        3..=7 => count - (count + 1) % 2,
        _ => 7,
    }
}

fn by_rendezvous(job: JobId, lives: &mut [Life]) {
    let rank = |life: &Life| Digest::of(&[b"formic/rank/1", job.as_bytes(), life.peer.as_bytes()]);
    lives.sort_by_cached_key(rank);
}

/// The first home group of a job: the peer that hosts it, and others by rendezvous; 1, 2 or an odd number
/// up to 7 lives.
pub fn home_group(job: JobId, first: Life, mut others: Vec<Life>) -> Vec<Life> {
    others.retain(|life| life.peer != first.peer);
    by_rendezvous(job, &mut others);
    let count = size(others.len() + 1);
    core::iter::once(first).chain(others).take(count).collect()
}

/// The newest of the home groups.
pub fn current<'a>(spec: &'a JobSpec, later: &'a [Vec<Life>]) -> &'a [Life] {
    later.last().unwrap_or(&spec.home)
}

/// Whether these may be home groups after the first one.
pub(crate) fn is_succession(later: &[Vec<Life>]) -> bool {
    later.len() <= SUCCESSIONS_MAX && later.iter().all(|group| is_home_group(group))
}

impl Home {
    /// The number of home groups before the current one.
    pub(crate) fn generation(&self) -> u32 {
        u32::try_from(self.later.len()).unwrap_or(u32::MAX)
    }

    fn all(&self) -> impl Iterator<Item = &Life> {
        let first = self.spec.iter().flat_map(|spec| spec.home.iter());
        first.chain(self.later.iter().flatten())
    }

    /// Whether the peer is or was of a home group.
    pub(crate) fn ever_had(&self, peer: PeerId) -> bool {
        self.all().any(|life| life.peer == peer)
    }

    /// Whether this very life is or was of one.
    fn had(&self, life: Life) -> bool {
        self.all().any(|other| *other == life)
    }
}

impl Completion {
    pub(crate) fn on_members(&mut self, lives: Arc<[Life]>) {
        let others = lives.iter().filter(|life| life.peer != self.me.peer);
        others.for_each(|life| self.members.note_unmet(*life));
        let patience = self.now + self.config.resend * PATIENCE_ROUNDS;
        self.home.pool = Some(Pool { lives, patience });
        self.review_home();
    }

    /// Looks at the home group soon.
    pub(crate) fn review_home(&mut self) {
        if self.home.rank.is_some() && self.home.pool.is_some() && self.closed.is_none() {
            self.timers.set(Timer::Succeed, self.now);
        }
    }

    pub(crate) fn on_succeed_timer(&mut self) {
        let open = self.closed.is_none() && self.home.decided.is_none();
        if !open || self.home.rank.is_none() || self.home.later.len() >= SUCCESSIONS_MAX {
            return;
        }
        let Some(next) = self.next_home() else {
            // What may be a life without records counts as one later.
            let patience = self.home.pool.as_ref().map(|pool| pool.patience);
            if let Some(at) = patience.filter(|at| *at > self.now) {
                self.timers.set(Timer::Succeed, at);
            }
            return;
        };
        self.timers.set(Timer::Succeed, self.now + self.config.resend);
        if self.home.reign == Reign::Acts && self.home.ban == Ban::None {
            self.feed_register(formic_register::Input::Propose(Ruling::Succeed(next))).ok();
        }
    }

    /// The group that is to follow, if this one lost members or may grow: whoever acts, those who stay,
    /// and others by rendezvous.
    fn next_home(&self) -> Option<Vec<Life>> {
        let (home, pool) = (&self.home, self.home.pool.as_ref()?);
        let newest: BTreeMap<PeerId, Life> =
            pool.lives.iter().map(|life| (life.peer, *life)).collect();
        if !newest.contains_key(&self.me.peer) {
            return None;
        }
        let late = pool.patience <= self.now;
        let stays = |life: &&Life| match newest.get(&life.peer) {
            Some(newest) => newest <= *life || !late,
            None => false,
        };
        let staying: Vec<Life> = home.lives.iter().filter(stays).copied().collect();
        let mut fresh: Vec<Life> =
            pool.lives.iter().copied().filter(|life| self.is_fit(life)).collect();
        by_rendezvous(self.job, &mut fresh);
        let others = staying.iter().filter(|life| life.peer != self.me.peer).copied();
        let mut next: Vec<Life> = core::iter::once(self.me).chain(others).chain(fresh).collect();
        next.truncate(size(next.len().min(pool.lives.len())));
        // Of two the one that decides alone is the one with which the mesh goes on.
        if let ([first, second], Some(anchor)) = (next.as_mut_slice(), pool.lives.first())
            && second.peer == anchor.peer
        {
            core::mem::swap(first, second);
        }
        let better = staying.len() < home.lives.len() || next.len() > home.lives.len();
        better.then_some(next)
    }

    /// Whether this member of the mesh may join the group: it is here, and has not forgotten anything.
    fn is_fit(&self, life: &Life) -> bool {
        let here = self.members.is_known(*life) && !self.members.is_down(*life);
        let back = self.home.backs.get(&life.peer) == Some(life);
        let keeps = back || self.home.had(*life) || !self.home.ever_had(life.peer);
        let keeps = keeps || !rule!("completion/forgotten");
        let inside = self.home.lives.iter().any(|other| other.peer == life.peer);
        here && keeps && !inside
    }

    /// The group of a later generation keeps the job.
    pub(crate) fn succeed(&mut self, later: Vec<Vec<Life>>) {
        let Some(spec) = self.home.spec.clone() else { return };
        self.home.later.clone_from(&later);
        self.out.push(Effect::Persist(Record::Home { spec, later }));
        self.enter_generation();
        self.tell_groups();
        // A majority that handed the job over had stored it.
        if self.home.origin == Origin::Submitted {
            self.home.origin = Origin::Accepted;
            self.event(Event::Accepted);
        }
        if let Some(decree) = self.home.wanted.clone()
            && rule!("completion/outlives")
        {
            self.rule(decree);
        }
        self.review_home();
        self.on_home_timer();
    }

    pub(crate) fn tell_groups(&mut self) {
        let Some(spec) = self.home.spec.as_ref().filter(|_| !self.home.later.is_empty()) else {
            return;
        };
        let groups = core::iter::once(&spec.home).chain(&self.home.later).cloned().collect();
        self.event(Event::Succeeded { groups });
    }

    /// Takes this life's place in the newest generation, if it has one.
    pub(crate) fn enter_generation(&mut self) {
        let Some(spec) = self.home.spec.clone() else { return };
        let group = current(&spec, &self.home.later);
        let back = |life: &Life| *self.home.backs.get(&life.peer).unwrap_or(life).max(life);
        self.home.lives = group.iter().map(back).collect();
        self.home.rank = self.home.lives.iter().position(|life| *life == self.me);
        self.home.stored = self.home.rank.into_iter().collect();
        self.wave.forget_statement();
        let register = |rank| formic_register::Register::new(self.home.lives.clone(), rank).ok();
        self.home.register = self.home.rank.and_then(register);
        if self.home.rank.is_none() {
            // Others keep the job; the verdict comes as to any member.
            self.home.reign = Reign::No;
            self.leave_home();
            self.ask_later();
        }
    }

    /// Whoever asks for the verdict may be of a later group and the last to hear of it: the word of the one that
    /// decided it can be lost, and who left the group repeats nothing (completion seed 145801).
    pub(crate) fn on_ask(&mut self, from: Life, known: Option<u32>) {
        let home = &self.home;
        let ours = home.spec.as_ref().map(|spec| current(spec, &home.later));
        let later = ours.is_some_and(|group| match known {
            Some(generation) => generation < home.generation(),
            None => home.generation() > 0 && group.contains(&from),
        });
        if later && self.closed.is_none() && rule!("completion/tell-asker") {
            self.tell_succession(from);
        }
    }

    /// Whoever asks in the name of an earlier group hears which one follows it.
    pub(crate) fn tell_succession(&mut self, to: Life) {
        if let Some(spec) = self.home.spec.clone() {
            let later = self.home.later.clone();
            self.send(to, Message::HomePut { spec, later });
        }
    }
}
