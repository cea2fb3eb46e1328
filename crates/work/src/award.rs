//! From promises to awards: W5 and W6.

use core::time::Duration;

use formic_core::{Key, Life, Sink, Time};

use crate::{
    Award, Bid, Config, Effect, Error, Load, Message, Offer, Patience, Ranked, Want,
    lane::{Asked, Lane, Phase, Promised, Seen},
    owner::{At, Owner, PATIENCE_MAX},
};

/// No wait or service counts for more: 30 days.
const SPAN_MAX_US: u64 = 30 * 24 * 3_600 * 1_000_000;

impl Owner {
    pub(crate) fn on_promise(
        &mut self,
        now: Time,
        config: &Config,
        (from, id, load, offer): (Life, u64, Load, Option<Offer>),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if id >= self.probes() {
            return Err(Error::Unasked { from, id });
        }
        if let Some(offer) = offer {
            judge(from, load, offer)?;
        }
        let probed = self.lanes.iter_mut().find_map(|(want, lane)| match &mut lane.phase {
            Phase::Probing(asked) if asked.id == id => Some((want, asked)),
            _ => None,
        });
        // A promise that came after its probe was decided is late, not wrong.
        let Some((want, asked)) = probed else { return Ok(()) };
        if asked.promises.contains_key(&from) {
            return Err(Error::Unasked { from, id });
        }
        // Held for dead meanwhile, or never asked: it is not waited for.
        if !asked.lives.contains(&from) {
            return Ok(());
        }
        self.patience = (now.since(asked.since) * 2).min(PATIENCE_MAX);
        let way = now.since(asked.since);
        asked.promises.insert(from, Promised { load, offer, awards: 0, way });
        if asked.is_answered() {
            let want = want.clone();
            self.rank(now, config, &want, out);
        }
        Ok(())
    }

    pub(crate) fn on_down(
        &mut self,
        now: Time,
        config: &Config,
        life: Life,
        out: &mut impl Sink<Effect>,
    ) {
        let lanes = self.lanes.iter_mut();
        let decided: Vec<Want> =
            lanes.filter_map(|(want, lane)| lane.forget(life).then(|| want.clone())).collect();
        for want in decided {
            self.rank(now, config, &want, out);
        }
    }

    pub(crate) fn on_deadline(&mut self, now: Time, config: &Config, out: &mut impl Sink<Effect>) {
        let is_due = |lane: &Lane| lane.deadline().is_some_and(|at| at <= now);
        let due: Vec<Want> = self
            .lanes
            .iter()
            .filter(|(_, lane)| is_due(lane))
            .map(|(want, _)| want.clone())
            .collect();
        for want in due {
            let Some(lane) = self.lanes.get_mut(&want) else { continue };
            if matches!(lane.phase, Phase::Probing(_)) {
                self.rank(now, config, &want, out);
                continue;
            }
            if matches!(lane.phase, Phase::Waiting { .. }) {
                // A `Room` may have been lost with its link: believe nobody to be full any more.
                lane.full.clear();
            }
            // An answer that never came: whoever was to choose does not know the task any more.
            lane.phase = Phase::Idle;
            self.hold_back(&want);
            self.advance(&want, out);
        }
    }

    /// W5: who promised what is compared outside. Those that are full take part unless the tasks are too brief
    /// to wait for them.
    fn rank(&mut self, now: Time, config: &Config, want: &Want, out: &mut impl Sink<Effect>) {
        let Some(lane) = self.lanes.get_mut(want) else { return };
        let Phase::Probing(asked) = core::mem::take(&mut lane.phase) else { return };
        let mut bids: Vec<Bid> =
            asked.promises.iter().filter_map(|(life, promised)| promised.bid(*life)).collect();
        if lane.batch.is_empty() {
            self.hold_back(want);
            self.advance(want, out);
            return;
        }
        if bids.is_empty() {
            note_full(now, lane, (&asked, Duration::ZERO, &[]));
            self.close(now, config, (want, &asked, 0), out);
            return;
        }
        let is_brief = asked.mean < config.brief;
        if !is_brief {
            let seen =
                lane.full.iter().filter_map(|(life, seen)| Some(seen.as_ref()?.bid(*life, now)));
            bids.extend(seen);
        }
        let patience = if is_brief { Patience::None } else { Patience::Waits };
        let least = self.patience.max(config.probe_timeout);
        let hold = asked.mean.saturating_mul(config.hold).max(least);
        let (key, count) = (asked.key, u32::try_from(lane.batch.len()).unwrap_or(u32::MAX));
        lane.phase = Phase::Ranking { asked, hold, until: now + config.ask_again };
        out.push(Effect::Rank { key, count, hold, patience, bids });
    }

    /// W6: the first tasks go where they were ranked to, the rest is held back.
    pub(crate) fn on_ranked(
        &mut self,
        now: Time,
        config: &Config,
        (key, places, waits): (Key, Vec<Ranked>, Vec<(Life, Duration)>),
        out: &mut impl Sink<Effect>,
    ) {
        let ranking =
            |lane: &Lane| matches!(&lane.phase, Phase::Ranking { asked, .. } if asked.key == key);
        let found = self.lanes.iter().find(|(_, lane)| ranking(lane)).map(|(want, _)| want.clone());
        let Some(want) = found else { return };
        let Some(lane) = self.lanes.get_mut(&want) else { return };
        let Phase::Ranking { mut asked, hold, .. } = core::mem::take(&mut lane.phase) else {
            return;
        };
        let slack = self.patience.max(config.probe_timeout);
        let mut awarded = 0;
        let mut batch = core::mem::take(&mut lane.batch).into_iter();
        for place in places {
            let life = place.life;
            // It died meanwhile: completion would not hear of it again.
            let Some(promised) = asked.promises.get_mut(&life) else { continue };
            let Some(task) = batch.next() else { break };
            let Some(entry) = self.tasks.get_mut(&task) else { continue };
            assert!(asked.capable.contains(&life), "an awarded life was eligible (L3)");
            promised.awards += 1;
            entry.at = At::Awarded(life);
            (awarded, self.held) = (awarded + 1, self.held - 1);
            // What the messages take is nobody's fault.
            let promised = place.promised.saturating_add(slack);
            let award = Award { kind: want.kind, promised, service: place.service };
            out.push(Effect::Placed { task, attempt: entry.attempt, life, award });
        }
        lane.batch = batch.collect();
        note_full(now, lane, (&asked, hold, &waits));
        self.close(now, config, (&want, &asked, awarded), out);
    }

    /// What was not awarded is held; who has no room says when it has.
    fn close(
        &mut self,
        now: Time,
        config: &Config,
        (want, asked, awarded): (&Want, &Asked, usize),
        out: &mut impl Sink<Effect>,
    ) {
        self.hold_back(want);
        let Some(lane) = self.lanes.get_mut(want) else { return };
        let mut learned = false;
        for (&to, promised) in &asked.promises {
            let full = lane.full.get(&to);
            learned |= full.is_some();
            if full.is_some_and(Option::is_some) {
                let message = Message::Interest { tasks: promised.report_at() };
                out.push(Effect::Send { to, message });
            }
        }
        let is_silent = asked.promises.is_empty();
        lane.silent = if is_silent { lane.silent.saturating_add(1).min(5) } else { 0 };
        if is_silent {
            // Over a slow link every answer would come too late, for ever.
            self.patience = (self.patience.max(config.probe_timeout) * 2).min(PATIENCE_MAX);
        }
        if awarded == 0 && !learned {
            let is_blocked = lane.full.values().any(Option::is_some);
            let pause = config.probe_timeout * (1 << lane.silent);
            let until = now + if is_blocked { config.ask_again } else { pause };
            lane.phase = Phase::Waiting { until };
        }
        self.advance(want, out);
    }

    /// The batch is held again, in its old order; a lane that nobody needs goes.
    fn hold_back(&mut self, want: &Want) {
        let Some(lane) = self.lanes.get_mut(want) else { return };
        for task in core::mem::take(&mut lane.batch) {
            if let Some(entry) = self.tasks.get_mut(&task) {
                entry.at = At::Held;
                lane.held.insert(entry.seq, task);
            }
        }
        if lane.held.is_empty() {
            self.lanes.remove(want);
        }
    }
}

fn judge(from: Life, load: Load, offer: Offer) -> Result<(), Error> {
    let Offer { room, wait_us, service_us } = offer;
    if load.slots == 0 {
        return Err(Error::RoomWithoutSlots { from, room });
    }
    for (field, value, low) in [("wait_us", wait_us, 0), ("service_us", service_us, 1)] {
        if value < low || value > SPAN_MAX_US {
            return Err(Error::OutOfRange { from, field, value, low, high: SPAN_MAX_US });
        }
    }
    Ok(())
}

/// Who has no room left, has too long a queue, or does not take such tasks is not asked again before it says so.
fn note_full(
    now: Time,
    lane: &mut Lane,
    (asked, hold, waits): (&Asked, Duration, &[(Life, Duration)]),
) {
    for (&life, promised) in &asked.promises {
        let Some(bid) = promised.bid(life) else {
            lane.full.insert(life, None);
            continue;
        };
        let wait = waits.iter().find(|(other, _)| *other == life).map_or(bid.wait, |it| it.1);
        let is_full = bid.room <= promised.awards || wait > hold;
        // Who has nothing to do and is promised to others has room again at once.
        if is_full && promised.tasks() > 0 {
            let Bid { service, slots, .. } = bid;
            lane.full.insert(life, Some(Seen { at: now, wait, service, slots }));
        }
    }
}
