//! Telling and hearing: G1 to G4 step by step.

use formic_core::{Life, PeerId, Sink, Time, rule};

use crate::{
    Effect, Error, Event, Kind, Message, Pheromones, Record,
    fixed::scale,
    message::{COUNT_MAX, GOOD_MAX, MEAN_MAX_US, RECORDS_MAX},
    share::Flood,
    trails::{Sums, seconds},
    units::{SAMPLE, TICKS},
};

impl Pheromones {
    pub(crate) fn on_message(
        &mut self,
        now: Time,
        from: Life,
        message: &Message,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let Message::Trails { epoch, seq, records } = message;
        // Whoever is in another view may know members that this peer does not, and the other way round.
        if *epoch != self.sharing.epoch {
            self.counters.stale += 1;
            return Ok(());
        }
        if !self.sharing.is_life(from) {
            return Err(Error::NotMember { from });
        }
        let from = from.peer;
        if !self.sharing.is_news(from, *epoch, *seq) {
            self.counters.stale += 1;
            return Ok(());
        }
        if !self.sharing.panel.contains(&from) {
            self.counters.outside_panel += 1;
            return Ok(());
        }
        within(from, "records", records.len() as u64, (1, RECORDS_MAX as u64))?;
        records.iter().try_for_each(|record| self.judge(from, record))?;
        let admitted = self.sharing.admit(&self.config, now, (from, *seq, records.len()));
        self.counters.flood += (records.len() - admitted.records) as u64;
        for record in records.iter().take(admitted.records) {
            self.hear(now, from, record);
        }
        if admitted.flood == Flood::Muted {
            out.push(Effect::Event(Event::Muted { peer: from }));
        }
        Ok(())
    }

    /// G3.
    fn judge(&self, from: PeerId, record: &Record) -> Result<(), Error> {
        let subject = record.subject;
        if rule!("pheromones/G3") && subject == from {
            return Err(Error::SelfPraise { from });
        }
        if !self.sharing.is_member(subject) {
            return Err(Error::UnknownSubject { from, subject });
        }
        within(from, "count", record.count.into(), (0, COUNT_MAX.into()))?;
        within(from, "verified", record.verified.into(), (0, COUNT_MAX.into()))?;
        within(from, "good", record.good.into(), (0, GOOD_MAX.into()))?;
        within(from, "mean_us", record.mean_us, (1, MEAN_MAX_US))
    }

    /// Only kinds of which this peer places tasks are kept: others could fill its memory.
    fn hear(&mut self, now: Time, from: PeerId, record: &Record) {
        if !self.kinds.contains_key(&record.kind) {
            self.counters.unknown_kind += 1;
            return;
        }
        self.make_voices_room();
        let (source, subject) = (self.peers.intern(from), self.peers.intern(record.subject));
        let Some(known) = self.kinds.get_mut(&record.kind) else { return };
        let at = known.clock.at(now);
        known.heard.add(&self.config, (source, subject), (seconds(now), at), record);
    }

    /// T10: a full table loses the eighth that was heard least recently.
    fn make_voices_room(&mut self) {
        let voices: usize = self.kinds.values().map(|known| known.heard.len()).sum();
        if voices < self.config.trails_max {
            return;
        }
        let mut heard: Vec<u32> =
            self.kinds.values().flat_map(|known| known.heard.heard()).collect();
        heard.sort_unstable();
        let bound = heard[voices / 8];
        for known in self.kinds.values_mut() {
            known.heard.retain(|_, _, heard| heard > bound);
        }
    }

    /// G1, G2: own trails touched since the last time, to those who listen.
    pub(crate) fn share(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        let told = self.sharing.due(&self.config, now);
        let records: Vec<Record> =
            told.into_iter().filter_map(|(kind, peer)| self.record(now, kind, peer)).collect();
        for records in records.chunks(RECORDS_MAX) {
            let seq = self.sharing.next_seq();
            let epoch = self.sharing.epoch;
            for &to in &self.sharing.audience {
                let message = Message::Trails { epoch, seq, records: records.to_vec() };
                out.push(Effect::Send { to, class: message.class(), message });
            }
        }
    }

    /// Own experience alone: what was heard is never relayed.
    fn record(&self, now: Time, kind: Kind, subject: PeerId) -> Option<Record> {
        let known = self.kinds.get(&kind)?;
        let (slot, at) = (self.peers.slot(subject), known.clock.at(now));
        let sums: Sums = known.trails.read(slot, at, self.config.quality_factor);
        let sixteenths =
            |n: u64| u16::try_from(n * 16 / SAMPLE).map_or(COUNT_MAX, |n| n.min(COUNT_MAX));
        let mean = scale(sums.service, SAMPLE, sums.count) / TICKS;
        Some(Record {
            kind,
            subject,
            count: sixteenths(sums.count),
            mean_us: mean.clamp(1, MEAN_MAX_US),
            verified: sixteenths(sums.verified),
            good: scale(sums.good, GOOD_MAX.into(), sums.verified) as u16,
        })
    }
}

fn within(
    from: PeerId,
    field: &'static str,
    value: u64,
    (low, high): (u64, u64),
) -> Result<(), Error> {
    if value < low || value > high {
        return Err(Error::OutOfRange { from, field, value, low, high });
    }
    Ok(())
}
