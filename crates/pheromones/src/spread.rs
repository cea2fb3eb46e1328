//! Many tasks of one kind at once: P7 and P8 for a whole batch, own awards counted (work.md W5, W6).

use core::time::Duration;

use formic_core::{Key, Life, Sink, Time, rule};

use crate::{
    Effect, Error, Event, Offer, Pheromones, Placed, WhenFull,
    choice::{Scored, promised, tie},
    estimate::HONEST,
    fixed::scale,
    units::{span, us},
};

/// One batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    pub(crate) key: Key,
    pub(crate) count: u32,
    pub(crate) hold: Duration,
    pub(crate) when_full: WhenFull,
}

/// An offer while its room is given away.
struct Open<'a> {
    life: Life,
    scored: Scored<'a>,
    score: u128,
    tie: formic_core::Digest,
    slots: u64,
    free: u32,
    room: u32,
}

impl Open<'_> {
    /// rho w'.
    fn wait_us(&self) -> u64 {
        scale(self.scored.promise.0, self.scored.estimate.honesty, HONEST)
    }

    /// One more of this owner's tasks is ahead of the next. Free slots take one each without a wait.
    fn take(&mut self) {
        self.room -= 1;
        if self.free > 0 {
            self.free -= 1;
        }
        if self.free == 0 {
            let (wait, service) = self.scored.promise;
            self.scored.promise.0 = wait.saturating_add(service / self.slots);
            self.score = self.scored.score();
        }
    }
}

impl Pheromones {
    /// Each task goes where its score is smallest. Held back is what would wait longer than `hold` there, and
    /// all after it: who is better although it has no room now is worth waiting for.
    pub(crate) fn on_spread(
        &mut self,
        now: Time,
        batch: Batch,
        offers: &[Offer],
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let Batch { key, count, hold, when_full } = batch;
        let choice = self.choices.find(key).filter(|choice| choice.chosen.is_none());
        let choice = choice.ok_or(Error::UnknownTask { key })?;
        let (kind, size, at) = (choice.kind, choice.size, choice.at);
        let mean_us = size.of(us(self.mean(kind))).max(1);
        let verified = self.kinds.get(&kind).map_or(0, |known| known.verified_share());
        let config = self.config.clone();
        let mut open = Vec::with_capacity(offers.len());
        for offer in offers {
            let life = offer.promise.life();
            let slot = self.peers.slot(life.peer);
            let unseen = self.peers.get(slot).map_or(0, |peer| peer.unseen_us(at));
            let slots = u64::from(offer.slots.max(1));
            let wait = offer.promise.wait_us().saturating_add(unseen / slots);
            let promise = (wait, offer.promise.service_us());
            let estimate = self.estimate((kind, now), slot);
            let scored = Scored { config: &config, estimate, promise, mean_us, verified };
            let score = scored.score();
            // Who is remembered from an earlier probe was not drawn: it has no room and can only be waited for.
            if !self.choices.note(key, life, promise, score) && offer.room > 0 {
                self.counters.promises_unasked += 1;
                continue;
            }
            let (free, room) = (offer.free, offer.room);
            open.push(Open { life, scored, score, tie: tie(key, life.peer), slots, free, room });
        }
        let places = give(&mut open, (count, us(hold)), when_full);
        self.choices.close(key, places.first().map(|place| place.life));
        let waits = open.iter().map(|open| (open.life, span(open.wait_us()))).collect();
        out.push(Effect::Event(Event::Spread { key, places, waits }));
        Ok(())
    }
}

fn give(open: &mut [Open<'_>], (count, hold_us): (u32, u64), when_full: WhenFull) -> Vec<Placed> {
    let mut places = Vec::new();
    for _ in 0..count {
        let able = open.iter_mut().filter(|open| open.room > 0 || when_full == WhenFull::Wait);
        let Some(best) = able.min_by_key(|open| (open.score, open.tie)) else { break };
        let is_over = best.wait_us() > hold_us && rule!("pheromones/W5-hold");
        if is_over || best.room == 0 {
            break;
        }
        let (promise, life) = (best.scored.promise, best.life);
        places.push(Placed { life, promised: promised(promise), service: span(promise.1) });
        best.take();
    }
    places
}
