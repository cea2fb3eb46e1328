//! Choose and Rank: P4 to P8, step by step.

use formic_core::{Digest, Key, Life, PeerId, Sink, Time};

use crate::{
    Config, Effect, Error, Event, Kind, Pheromones, Placed, Promise, Size,
    choice::{Candidate, Scored, draw, log_weight, normalise, promised, tie},
    estimate::Estimate,
    units::{SAMPLE, span, us},
};

/// A task to be placed.
type Task = (Key, Kind, Size);

/// Memory used again by each choice; empty between inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Scratch {
    slots: Vec<u32>,
    pool: Vec<Pooled>,
    logs: Vec<i64>,
    weights: Vec<u64>,
    lives: Vec<Life>,
}

/// An eligible life, looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pooled {
    life: Life,
    slot: u32,
    estimate: Estimate,
    backlog_us: u64,
    rank: Rank,
}

/// P4: only the best that there is takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Rank {
    /// Untried, below the share cap.
    Fresh,
    /// Untried.
    Capped,
    /// Had it before.
    Tried,
}

impl Pheromones {
    pub(crate) fn on_choose(
        &mut self,
        now: Time,
        task: Task,
        (mut eligible, tried): (Vec<Life>, &[PeerId]),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if !eligible.is_sorted_by(|a, b| a.peer < b.peer) {
            return Err(Error::Unsorted);
        }
        let (key, kind, size) = task;
        self.kind(kind, now);
        let mut scratch = core::mem::take(&mut self.scratch);
        self.look(now, kind, (&eligible, tried), &mut scratch);
        for pooled in &scratch.pool {
            self.note_standing(kind, pooled, out);
        }
        let best = scratch.pool.iter().map(|pooled| pooled.rank).min();
        scratch.pool.retain(|pooled| Some(pooled.rank) == best);
        self.draw(now, task, &mut scratch);
        // The list that came in goes out: a choice allocates nothing.
        eligible.clear();
        eligible.append(&mut scratch.lives);
        scratch.pool.clear();
        self.scratch = scratch;
        if eligible.is_empty() {
            out.push(Effect::Event(Event::Chosen { key, place: None }));
            return Ok(());
        }
        let mean = span(size.of(us(self.mean(kind))).max(1));
        out.push(Effect::Event(Event::Candidates { key, lives: eligible, mean }));
        Ok(())
    }

    /// What is known of each eligible life, at this time.
    fn look(
        &mut self,
        now: Time,
        kind: Kind,
        (eligible, tried): (&[Life], &[PeerId]),
        scratch: &mut Scratch,
    ) {
        self.peers.slots(eligible.iter().map(|life| life.peer), &mut scratch.slots);
        let (cut, honesty_at) = (self.cut(), self.honesty.at(now));
        let Some(known) = self.kinds.get_mut(&kind) else { return };
        let (config, at, mean_us) = (&self.config, known.clock.at(now), known.mean_us());
        let factor = config.quality_factor;
        let has_cap = known.has_share_cap();
        known.forget_attempts(config, now);
        for (&life, slot) in eligible.iter().zip(scratch.slots.drain(..)) {
            let heard = known.heard.refresh(slot, at, cut, factor);
            let sums = known.trails.read(slot, at, factor).plus(heard);
            let (mut promises, mut backlog_us) = ((0, 0), 0);
            if let Some(peer) = self.peers.get(slot) {
                promises = peer.promises(honesty_at);
                backlog_us = peer.backlog_us;
            }
            let hardly = has_cap && sums.verified < 3 * SAMPLE;
            let rank = if tried.contains(&life.peer) {
                Rank::Tried
            } else if hardly && known.is_capped(config, slot, eligible.len()) {
                Rank::Capped
            } else {
                Rank::Fresh
            };
            let estimate = Estimate::new(config, &sums, promises, mean_us);
            scratch.pool.push(Pooled { life, slot, estimate, backlog_us, rank });
        }
    }

    /// P13, for whoever is looked at.
    fn note_standing(&mut self, kind: Kind, pooled: &Pooled, out: &mut impl Sink<Effect>) {
        let is_bad = pooled.estimate.is_quarantined(&self.config);
        self.set_standing((kind, pooled.slot), is_bad.into(), out);
    }

    /// P5: d draws without replacement.
    fn draw(&mut self, now: Time, (key, kind, size): Task, scratch: &mut Scratch) {
        let mean_us = us(self.mean(kind));
        let config = &self.config;
        let Scratch { pool, logs, weights, lives, .. } = scratch;
        logs.extend(
            pool.iter()
                .map(|pooled| log_weight(config, &pooled.estimate, (pooled.backlog_us, mean_us))),
        );
        normalise(config, logs, weights);
        logs.clear();
        let choice = self.choices.add((key, kind, size), now);
        let own = pool.iter().position(|pooled| pooled.life == self.me);
        let own = own.filter(|_| mean_us < us(config.brief));
        // To ask oneself costs no message.
        let others = draws(config, pool.len(), mean_us) - usize::from(own.is_some());
        for _ in 0..others {
            let Some((number, weight)) = draw(&mut self.random, weights) else { break };
            let pooled = &pool[number];
            choice.candidates.push(Candidate::new(pooled.life, weight, &pooled.estimate));
            lives.push(pooled.life);
        }
        if let Some(own) = own
            && !lives.contains(&self.me)
        {
            let pooled = &pool[own];
            choice.candidates.push(Candidate::new(pooled.life, weights[own], &pooled.estimate));
            lives.push(pooled.life);
        }
        weights.clear();
    }

    /// P7, P8. A promise of somebody who was not asked is passed over.
    pub(crate) fn on_rank(
        &mut self,
        now: Time,
        key: Key,
        promises: &[Promise],
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let choice = self.choices.find(key).filter(|choice| choice.chosen.is_none());
        let choice = choice.ok_or(Error::UnknownTask { key })?;
        let (kind, size, at) = (choice.kind, choice.size, choice.at);
        let mean_us = size.of(us(self.mean(kind))).max(1);
        let verified = self.kinds.get(&kind).map_or(0, |known| known.verified_share());
        let mut best: Option<(u128, Placed)> = None;
        for promise in promises {
            let life = promise.life();
            let slot = self.peers.slot(life.peer);
            let estimate = self.estimate((kind, now), slot);
            // W6: a promise cannot have seen what was awarded after it was asked for.
            let unseen = self.peers.get(slot).map_or(0, |peer| peer.unseen_us(at));
            let pair = (promise.wait_us().saturating_add(unseen), promise.service_us());
            let scored =
                Scored { config: &self.config, estimate, promise: pair, mean_us, verified };
            let score = scored.score();
            if !self.choices.note(key, life, pair, score) {
                self.counters.promises_unasked += 1;
                continue;
            }
            let place = Placed { life, promised: promised(pair), service: span(pair.1) };
            if best.is_none_or(|best| wins(key, (score, life), (best.0, best.1.life))) {
                best = Some((score, place));
            }
        }
        let place = best.map(|best| best.1);
        self.choices.close(key, place.map(|place| place.life));
        out.push(Effect::Event(Event::Chosen { key, place }));
        Ok(())
    }
}

fn wins(key: Key, (score, life): (u128, Life), (best, holder): (u128, Life)) -> bool {
    let hash = |life: Life| -> Digest { tie(key, life.peer) };
    score < best || score == best && hash(life) < hash(holder)
}

/// Where asking costs as much as doing, fewer are asked.
fn draws(config: &Config, pool: usize, mean_us: u64) -> usize {
    if mean_us < us(config.brief) {
        return config.candidates_of_brief;
    }
    if pool > config.many { config.candidates_of_many } else { config.candidates }
}
