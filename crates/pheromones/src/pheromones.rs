//! The machine: every input comes in here.

use std::collections::BTreeMap;

use formic_core::{Key, Life, PeerId, Protocol, Random, Sink, Time, View, earliest};

use crate::{
    Award, Choice, Config, Effect, Error, Event, Input, Kind, Latency, Word,
    attempts::{Attempt, Attempts, Name},
    choice::Choices,
    choosing::Scratch,
    clock::HalfLives,
    effect::Standing,
    estimate::{Estimate, HONEST},
    fixed::{ONE, scale},
    heard::Cut,
    kind::KindState,
    peers::Peers,
    share::Sharing,
    spread::Batch,
    trails::Sums,
    units::{SAMPLE, TICKS, span, us},
};

/// Mean services that a failure counts for, as many as an overdue attempt (P11).
pub(crate) const FAILURE_MEANS: u64 = 10;

/// What was passed over without being anybody's offence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// Promises of others than candidates.
    pub promises_unasked: u64,
    /// Trails older than what their source said, or of another view.
    pub stale: u64,
    /// Trails of sources outside the panel (G6).
    pub outside_panel: u64,
    /// Records above a source's rate (G2).
    pub flood: u64,
    /// Records of kinds for which this peer never chose.
    pub unknown_kind: u64,
}

/// Trails and choices of one peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pheromones {
    pub(crate) config: Config,
    pub(crate) me: Life,
    pub(crate) random: Random,
    pub(crate) now: Time,
    pub(crate) kinds: BTreeMap<Kind, KindState>,
    pub(crate) peers: Peers,
    /// Twice the longest half-life of any kind.
    pub(crate) honesty: HalfLives,
    pub(crate) attempts: Attempts,
    pub(crate) choices: Choices,
    pub(crate) sharing: Sharing,
    pub(crate) counters: Counters,
    pub(crate) scratch: Scratch,
}

/// What a peer knows about another at a kind of work: own experience and what is left of hearsay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trail {
    /// Completions, faded, in 65,536ths.
    pub count: u64,
    /// Verified outcomes, faded, in 65,536ths.
    pub verified: u64,
    /// Good ones among them, in 65,536ths.
    pub good: u64,
    /// P1: expected service for a task of mean size, in microseconds.
    pub service_us: u64,
    /// P2: expected share of good results, in millionths.
    pub quality_ppm: u32,
    /// P3: latency over promise, in thousandths; 1,000 below the bound.
    pub honesty_permille: u32,
}

impl Pheromones {
    /// A peer that knows nothing yet.
    ///
    /// # Errors
    /// A value of `config` is out of its range.
    pub fn new(config: Config, me: Life, random: Random) -> Result<Self, Error> {
        config.check()?;
        Ok(Self {
            honesty: HalfLives::new(2 * us(config.half_life_min)),
            sharing: Sharing::new(&config),
            config,
            me,
            random,
            now: Time::ZERO,
            kinds: BTreeMap::new(),
            peers: Peers::default(),
            attempts: Attempts::default(),
            choices: Choices::default(),
            counters: Counters::default(),
            scratch: Scratch::default(),
        })
    }

    /// What was passed over.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// The mean service of a kind, as seen or expected here.
    pub fn mean(&self, kind: Kind) -> core::time::Duration {
        self.kinds.get(&kind).map_or(self.config.expect, |known| span(known.mean_us()))
    }

    /// How fast this kind's trails fade at present.
    pub fn half_life(&self, kind: Kind) -> Option<core::time::Duration> {
        self.kinds.get(&kind).map(|known| known.clock.half_life())
    }

    /// What is known of a peer at a kind, at this time: what a choice at this time would use.
    pub fn trail(&self, kind: Kind, peer: PeerId, now: Time) -> Trail {
        let slot = self.peers.slot(peer);
        let sums = self.sums(kind, slot, now);
        let estimate = self.estimate((kind, now), slot);
        Trail {
            count: sums.count,
            verified: sums.verified,
            good: sums.good,
            service_us: estimate.service / TICKS,
            quality_ppm: scale(estimate.quality, 1_000_000, ONE) as u32,
            honesty_permille: scale(estimate.honesty, 1_000, HONEST) as u32,
        }
    }

    /// Why a task went where it went: of the last 1,024 choices.
    pub fn explain(&self, key: Key) -> Option<&Choice> {
        self.choices.find(key)
    }

    pub(crate) fn cut(&self) -> Cut {
        let Config { trim_percent, source_cap, .. } = self.config;
        Cut { trim_percent, source_cap, panel: self.sharing.panel.len() }
    }

    pub(crate) fn estimate(&self, (kind, now): (Kind, Time), slot: u32) -> Estimate {
        let mean_us = us(self.mean(kind)).max(1);
        let at = self.honesty.at(now);
        let promises = self.peers.get(slot).map_or((0, 0), |peer| peer.promises(at));
        Estimate::new(&self.config, &self.sums(kind, slot, now), promises, mean_us)
    }

    /// Known from now on; the least recently used makes room.
    pub(crate) fn kind(&mut self, kind: Kind, now: Time) -> &mut KindState {
        if !self.kinds.contains_key(&kind) && self.kinds.len() >= self.config.kinds_max {
            let oldest = self.kinds.iter().min_by_key(|(_, known)| known.touched).map(|it| *it.0);
            oldest.and_then(|oldest| self.kinds.remove(&oldest));
        }
        let config = &self.config;
        let known = self.kinds.entry(kind).or_insert_with(|| KindState::new(config, now));
        known.touched = now;
        known
    }

    /// Own experience and hearsay, at this time.
    fn sums(&self, kind: Kind, slot: u32, now: Time) -> Sums {
        self.kinds.get(&kind).map_or_else(Sums::default, |known| {
            let (at, factor) = (known.clock.at(now), self.config.quality_factor);
            let heard = known.heard.read(slot, at, self.cut(), factor);
            known.trails.read(slot, at, factor).plus(heard)
        })
    }

    fn on_sent(&mut self, now: Time, name: Name, award: Award) -> Result<(), Error> {
        if self.attempts.is_open(name) {
            return Err(Error::SentTwice { key: name.0, attempt: name.1 });
        }
        let slot = self.peers.intern(award.life.peer);
        let config = self.config.clone();
        let known = self.kind(award.kind, now);
        known.add_attempt(&config, now, slot);
        let mean_us = award.size.of(known.mean_us());
        let due = crate::attempts::due(now, award.promised, config.overdue_promises, mean_us);
        if let Some(peer) = self.peers.known(award.life.peer) {
            peer.open.insert((now, name.0, name.1), us(award.service));
        }
        if let Some((gone, attempt)) = self.attempts.add((name, award, now), due, config.trails_max)
        {
            self.unlist(gone, &attempt);
        }
        Ok(())
    }

    /// Takes an attempt out of what its peer has to do.
    fn unlist(&mut self, (key, number): Name, attempt: &Attempt) {
        if let Some(peer) = self.peers.known(attempt.award.life.peer) {
            peer.open.remove(&(attempt.sent, key, number));
        }
    }

    /// P9: exactly one (kind, peer) trail is touched.
    fn on_finished(
        &mut self,
        now: Time,
        (name, life): (Name, Life),
        (service, latency): (core::time::Duration, Latency),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        self.attempts.open(name, life)?;
        let Some(attempt) = self.attempts.close(name) else { return Ok(()) };
        self.unlist(name, &attempt);
        let Award { kind, size, promised, life, .. } = attempt.award;
        let latency_us = us(attempt.elapsed(now));
        // A false service can only lower the sum to what this peer's own clock cannot disprove.
        // It counts waits, too: a body is not heard of again when it has its slot back.
        let most_us = us(now.since(attempt.sent)).max(1);
        let ticks = size.ticks_at_mean(us(service).max(1).min(most_us));
        let slot = self.peers.intern(life.peer);
        let quarantined = self.estimate((kind, now), slot).is_quarantined(&self.config);
        let config = self.config.clone();
        let known = self.kind(kind, now);
        if !quarantined {
            known.add_service(&config, now, ticks);
        }
        known.add_completion();
        let mean_us = size.of(known.mean_us());
        let promised_us = us(promised);
        let most = match latency {
            Latency::Counts => promised_us.saturating_mul(10).saturating_add(mean_us / 5),
            Latency::HadChildren => promised_us,
        };
        self.add_promise(now, life.peer, (latency_us.min(most), promised_us));
        self.deposit(now, (kind, life.peer), |sums| {
            sums.count += SAMPLE;
            sums.service = sums.service.saturating_add(ticks);
        });
        self.tell_standing(now, kind, slot, out);
        Ok(())
    }

    /// What failed has to be done again: as slow as ten mean services more, for this peer's trail alone. The
    /// kind's mean, the promise trail and quality are left as they are: nobody has verified anything.
    fn on_failed(&mut self, now: Time, name: Name, life: Life) -> Result<(), Error> {
        self.attempts.open(name, life)?;
        let Some(attempt) = self.attempts.cancel(name) else { return Ok(()) };
        self.unlist(name, &attempt);
        let Award { kind, size, life, .. } = attempt.award;
        let mean_us = us(self.mean(kind));
        let took = size.ticks_at_mean(us(attempt.elapsed(now)).max(1));
        let ticks = took.saturating_add(mean_us.saturating_mul(FAILURE_MEANS * TICKS));
        self.deposit(now, (kind, life.peer), |sums| {
            sums.count += SAMPLE;
            sums.service = sums.service.saturating_add(ticks);
        });
        Ok(())
    }

    /// P10.
    fn on_verified(
        &mut self,
        now: Time,
        (name, life): (Name, Life),
        finding: crate::Finding,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let kind = self.attempts.judged(name, life)?.kind;
        self.attempts.judge(name);
        let slot = self.peers.intern(life.peer);
        self.kind(kind, now).add_verified();
        let good = if finding == crate::Finding::Good { SAMPLE } else { 0 };
        self.deposit(now, (kind, life.peer), |sums| {
            sums.verified += SAMPLE;
            sums.good += good;
        });
        self.tell_standing(now, kind, slot, out);
        Ok(())
    }

    /// Adds to one trail, and notes that it is to be told.
    fn deposit(&mut self, now: Time, (kind, peer): (Kind, PeerId), add: impl Fn(&mut Sums)) {
        self.make_room(now);
        let (slot, factor) = (self.peers.intern(peer), self.config.quality_factor);
        let known = self.kind(kind, now);
        let at = known.clock.at(now);
        let sums = known.trails.touch(slot, (now, at), factor);
        add(sums);
        sums.check();
        // Nobody believes praise of oneself (G3).
        if peer != self.me.peer {
            self.sharing.touch(kind, peer);
        }
    }

    fn add_promise(&mut self, now: Time, peer: PeerId, (observed, promised): (u64, u64)) {
        let longest = self.kinds.values().map(|known| us(known.clock.half_life())).max();
        let least = us(self.config.half_life_min);
        self.honesty.set(now, longest.unwrap_or(least).saturating_mul(2));
        let at = self.honesty.at(now);
        if let Some(peer) = self.peers.known(peer) {
            peer.add_promise(at, observed, promised);
        }
    }

    /// P13: quarantine is said when it begins, and when it is noticed to have ended.
    fn tell_standing(&mut self, now: Time, kind: Kind, slot: u32, out: &mut impl Sink<Effect>) {
        let is_bad = self.estimate((kind, now), slot).is_quarantined(&self.config);
        self.set_standing((kind, slot), is_bad.into(), out);
    }

    pub(crate) fn set_standing(
        &mut self,
        (kind, slot): (Kind, u32),
        standing: Standing,
        out: &mut impl Sink<Effect>,
    ) {
        let Some(peer) = self.peers.get(slot).map(|peer| peer.id) else { return };
        let Some(known) = self.kinds.get_mut(&kind) else { return };
        match standing {
            Standing::Bad if known.quarantined.insert(slot) => {
                out.push(Effect::Event(Event::Quarantined { kind, peer }));
            }
            Standing::Good if known.quarantined.remove(&slot) => {
                out.push(Effect::Event(Event::Released { kind, peer }));
            }
            Standing::Bad | Standing::Good => {}
        }
    }

    /// P11.
    fn report_overdue(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        while let Some(((key, number), attempt)) = self.attempts.pop_due(now) {
            let Award { kind, life, size, promised, .. } = attempt.award;
            let mean_us = size.of(us(self.mean(kind)));
            let observed = us(attempt.elapsed(now)).saturating_add(mean_us.saturating_mul(10));
            self.add_promise(now, life.peer, (observed, us(promised)));
            let slot = self.peers.slot(life.peer);
            let estimate = self.estimate((kind, now), slot);
            let word = if estimate.honesty > HONEST { Word::Broken } else { Word::Kept };
            out.push(Effect::Event(Event::Overdue { key, attempt: number, life, word }));
        }
    }

    /// P12: no deposit.
    fn on_cancelled(&mut self, name: Name) {
        if let Some(attempt) = self.attempts.cancel(name) {
            self.unlist(name, &attempt);
        }
    }

    fn on_down(&mut self, life: Life) {
        let Some(peer) = self.peers.get(self.peers.slot(life.peer)) else { return };
        let open: Vec<Name> = peer.open.keys().map(|(_, key, attempt)| (*key, *attempt)).collect();
        for name in open {
            if self.attempts.open(name, life).is_ok_and(|attempt| attempt.award.life == life) {
                self.on_cancelled(name);
            }
        }
    }

    fn on_view(&mut self, now: Time, view: &View) {
        self.sharing.on_view(&self.config, self.me, view);
        self.sharing.dirty.retain(|(_, peer), _| view.member(*peer).is_some());
        let factor = self.config.quality_factor;
        let (sharing, peers) = (&self.sharing, &self.peers);
        let id = |slot: u32| peers.get(slot).map(|peer| peer.id);
        for known in self.kinds.values_mut() {
            // What strangers said, and what was said about strangers, is dropped; panels are redrawn.
            known.heard.retain(|source, subject, _| {
                id(source).is_some_and(|source| sharing.panel.contains(&source))
                    && id(subject).is_some_and(|subject| sharing.is_member(subject))
            });
            let at = known.clock.at(now);
            known.trails.retain(at, factor, |slot, _, sums| {
                !sums.is_faint() || id(slot).is_some_and(|peer| sharing.is_member(peer))
            });
            known.forget_attempts(&self.config, now);
        }
        let is_gone = |slot: u32, peer: &crate::peers::Peer| {
            let in_use = |known: &KindState| known.trails.has(slot) || known.has_attempts_of(slot);
            peer.open.is_empty() && !sharing.is_member(peer.id) && !self.kinds.values().any(in_use)
        };
        let gone = peers.iter().filter(|(slot, peer)| is_gone(*slot, peer));
        let gone: Vec<u32> = gone.map(|(slot, _)| slot).collect();
        for known in self.kinds.values_mut() {
            known.quarantined.retain(|slot| !gone.contains(slot));
        }
        self.peers.forget(&gone);
    }

    /// T10: a full table loses the eighth that was touched least recently.
    fn make_room(&mut self, now: Time) {
        let rows: usize = self.kinds.values().map(|known| known.trails.len()).sum();
        if rows < self.config.trails_max {
            return;
        }
        let mut touched: Vec<u32> =
            self.kinds.values().flat_map(|known| known.trails.touched()).collect();
        touched.sort_unstable();
        let bound = touched[rows / 8];
        let factor = self.config.quality_factor;
        for known in self.kinds.values_mut() {
            let at = known.clock.at(now);
            known.trails.retain(at, factor, |_, touched, _| touched > bound);
        }
    }

    /// Broken invariants are bugs of this crate.
    ///
    /// # Panics
    /// One is broken.
    pub fn check(&self) {
        assert!(self.kinds.len() <= self.config.kinds_max, "kinds are bounded (T10)");
        self.kinds.values().for_each(KindState::check);
        let rows: usize = self.kinds.values().map(|known| known.trails.len()).sum();
        let voices: usize = self.kinds.values().map(|known| known.heard.len()).sum();
        let max = self.config.trails_max;
        assert!(rows <= max && voices <= max, "trails are bounded (T10)");
        self.attempts.check(max);
        self.choices.check();
        self.peers.check();
    }
}

impl Protocol for Pheromones {
    type Input = Input;
    type Effect = Effect;
    type Error = Error;

    fn handle(
        &mut self,
        now: Time,
        input: Input,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::ClockWentBack { last: self.now, now });
        }
        match input {
            Input::Choose { key, kind, size, eligible, tried } => {
                self.on_choose(now, (key, kind, size), (eligible, &tried), out)?;
            }
            Input::Rank { key, promises } => self.on_rank(now, key, &promises, out)?,
            Input::Spread { key, count, hold, when_full, offers } => {
                self.on_spread(now, Batch { key, count, hold, when_full }, &offers, out)?;
            }
            Input::Sent { key, attempt, award } => self.on_sent(now, (key, attempt), award)?,
            Input::Finished { key, attempt, life, service, latency } => {
                self.on_finished(now, ((key, attempt), life), (service, latency), out)?;
            }
            Input::Failed { key, attempt, life } => self.on_failed(now, (key, attempt), life)?,
            Input::Verified { key, attempt, life, finding } => {
                self.on_verified(now, ((key, attempt), life), finding, out)?;
            }
            Input::Slot { key, attempt, life, turn } => {
                self.attempts.open((key, attempt), life)?;
                self.attempts.turn(now, (key, attempt), turn);
            }
            Input::Cancelled { key, attempt } => self.on_cancelled((key, attempt)),
            Input::Load { peer, queued } => {
                self.peers.intern(peer);
                if let Some(known) = self.peers.known(peer) {
                    known.backlog_us = us(queued);
                }
            }
            Input::Expect { kind, mean } => {
                let config = self.config.clone();
                self.kind(kind, now).expect(&config, now, us(mean));
            }
            Input::View(view) => self.on_view(now, &view),
            Input::Down { life } => self.on_down(life),
            Input::Message { from, message } => self.on_message(now, from, &message, out)?,
            Input::Deadline => {}
        }
        self.report_overdue(now, out);
        self.share(now, out);
        self.now = now;
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        earliest(self.attempts.next_due(), self.sharing.deadline(&self.config))
    }
}
