//! Messages to many: each member gets each cast once, in order where asked, or is told of a gap.
//!
//! The origin numbers the casts of a stream and tells each reader with every cast which numbers before
//! it were for others. A reader asks for what it misses (`Want`), the origin says what there is until
//! it is acknowledged (`Have`), and any member that holds a cast may answer for a dead origin.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_core::{Epoch, Life, Random, Sink, Time, rule};

use crate::{Effect, Error, Event, Message};

mod inbox;
mod log;
mod message;
mod outbox;

use inbox::{Inbox, Step};
use log::Log;
pub use message::{Cast, CastMessage, Draft, Order, Scope, Stream};
use outbox::Outbox;

/// The largest payload of a cast, in bytes. Larger things are cast as artifact ids.
pub const PAYLOAD_MAX: usize = 64 * 1_024;
/// The most peers that a cast may name.
pub const NAMED_MAX: usize = 64;
/// The most streams of one origin.
pub const STREAMS_MAX: usize = 64;
/// How many casts of a stream may be under way: what is this far behind is given up.
pub const WINDOW: u64 = 1_024;
/// The most casts asked for in one message.
const WANT_MAX: usize = 64;
/// After this many casts without one, a reader acknowledges at once.
const ACK_EVERY: u32 = 64;
/// How long an acknowledgement, or the question for one, waits for more.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two questions of the same sort.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A reader that is silent for this long does not hold the origin up any more.
const SILENCE: Duration = Duration::from_secs(2);

/// How casts are kept and when they are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Limits {
    pub(crate) window: u64,
    pub(crate) log_bytes: usize,
    pub(crate) gap_after: Duration,
}

/// What is to be done when its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Chore {
    /// Ask a reader how far it is.
    Offer(u32, Life),
    /// Acknowledge.
    Acknowledge(Stream),
    /// Ask for what is missing, or give it up.
    Hole(Stream),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Casts {
    me: Life,
    limits: Limits,
    /// Since which view each member is one.
    joined: BTreeMap<Life, Epoch>,
    linked: BTreeSet<Life>,
    outboxes: BTreeMap<u32, Outbox>,
    inboxes: BTreeMap<Stream, Inbox>,
    log: Log,
    /// Chores by time; one that no state asks for any more is dropped when its time comes.
    due: BTreeSet<(Time, Chore)>,
    random: Random,
    /// Numbers that were given up so far.
    pub(crate) gaps: u64,
}

impl Casts {
    pub(crate) fn new(me: Life, limits: Limits, random: Random) -> Self {
        Self {
            me,
            limits,
            joined: BTreeMap::new(),
            linked: BTreeSet::new(),
            outboxes: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            log: Log::new(limits.log_bytes),
            due: BTreeSet::new(),
            random,
            gaps: 0,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.due.first().map(|&(at, _)| at)
    }

    /// A life is a member from this view on.
    pub(crate) fn on_joined(&mut self, life: Life, epoch: Epoch) {
        self.joined.insert(life, epoch);
    }

    /// A life is no member any more: its streams end, it holds nobody up.
    pub(crate) fn on_evicted(&mut self, life: Life, out: &mut impl Sink<Effect>) {
        self.joined.remove(&life);
        self.outboxes.values_mut().for_each(|outbox| outbox.forget(life));
        let of = Stream { origin: life, number: 0 }..=Stream { origin: life, number: u32::MAX };
        let streams: Vec<Stream> = self.inboxes.range(of).map(|(stream, _)| *stream).collect();
        for stream in streams {
            let Some(mut inbox) = self.inboxes.remove(&stream) else { continue };
            let steps = inbox.give_up_all();
            self.tell(stream, steps, out);
        }
        self.log.forget(life);
        self.report_room(out);
    }

    /// This peer goes on as a later life: what the earlier one cast is closed.
    pub(crate) fn on_reborn(&mut self, me: Life) {
        self.me = me;
        self.outboxes.clear();
    }

    /// A link to a member came up: each tells the other what it has.
    pub(crate) fn on_linked(&mut self, now: Time, life: Life, out: &mut impl Sink<Effect>) {
        self.linked.insert(life);
        if !rule!("mesh/relink-repair") {
            return;
        }
        self.compare(life, out);
        for (&number, outbox) in &mut self.outboxes {
            outbox.ask_again(life, now);
            self.due.extend(outbox.due(life).map(|at| (at, Chore::Offer(number, life))));
        }
    }

    pub(crate) fn on_unlinked(&mut self, life: Life) {
        self.linked.remove(&life);
    }

    /// A member is believed dead: what it had begun is completed among those that hear of it.
    pub(crate) fn on_down(&mut self, life: Life, out: &mut impl Sink<Effect>) {
        for &to in &self.linked {
            for have in self.relayed().filter(|(stream, ..)| stream.origin == life) {
                out.push(say(to, have_of(have)));
            }
        }
    }

    /// Tells a member what this peer has of all streams; part of every synchronisation round.
    pub(crate) fn compare(&self, life: Life, out: &mut impl Sink<Effect>) {
        for (&number, outbox) in &self.outboxes {
            if let Some((since, upto)) = outbox.offer(life) {
                let stream = Stream { origin: self.me, number };
                out.push(say(life, CastMessage::Have { stream, since, upto }));
            }
        }
        for have in self.relayed().take(WANT_MAX) {
            if have.0.origin != life {
                out.push(say(life, have_of(have)));
            }
        }
    }

    /// Streams of others with casts in the log.
    fn relayed(&self) -> impl Iterator<Item = (Stream, u64, u64)> {
        self.inboxes.iter().filter_map(|(stream, inbox)| {
            let first = self.log.first(*stream)?;
            let upto = inbox.settled_upto();
            (first <= upto).then_some((*stream, first, upto))
        })
    }

    /// Casts to these members and returns the number of the cast.
    ///
    /// # Errors
    /// Too large, too many streams, or a reader is a whole window behind. State unchanged.
    pub(crate) fn cast(
        &mut self,
        now: Time,
        epoch: Epoch,
        (scope, draft): (Scope, Draft),
        out: &mut impl Sink<Effect>,
    ) -> Result<u64, Error> {
        let bytes = draft.payload.len();
        if bytes > PAYLOAD_MAX {
            return Err(Error::CastSize { bytes });
        }
        if !self.outboxes.contains_key(&draft.stream) && self.outboxes.len() >= STREAMS_MAX {
            return Err(Error::CastStreams { stream: draft.stream });
        }
        let readers = self.readers(&scope)?;
        let stream = Stream { origin: self.me, number: draft.stream };
        self.check_room(stream, &readers, bytes)?;
        let Draft { stream: number, order, payload } = draft;
        let outbox = self.outboxes.entry(number).or_default();
        let seq = outbox.number();
        let cast =
            Arc::new(Cast { origin: self.me, stream: number, seq, epoch, scope, order, payload });
        for &life in &readers {
            let follows = outbox.sends(life, now);
            if self.linked.contains(&life) {
                let cast = Arc::clone(&cast);
                out.push(say(life, CastMessage::Cast { cast, follows }));
            }
            if let Some(at) = outbox.due(life) {
                self.due.insert((at, Chore::Offer(number, life)));
            }
        }
        outbox.has_room_anew(self.limits.window);
        self.log.keep(now, cast);
        Ok(seq)
    }

    fn readers(&self, scope: &Scope) -> Result<Vec<Life>, Error> {
        let others = |life: &&Life| **life != self.me;
        match scope {
            Scope::All => Ok(self.joined.keys().filter(others).copied().collect()),
            Scope::Named(lives) if lives.len() > NAMED_MAX => {
                Err(Error::CastNames { count: lives.len() })
            }
            Scope::Named(lives) => {
                let unique: BTreeSet<Life> = lives.iter().filter(others).copied().collect();
                match unique.iter().find(|life| !self.joined.contains_key(life)) {
                    Some(&life) => Err(Error::CastStranger { life }),
                    None => Ok(unique.into_iter().collect()),
                }
            }
        }
    }

    fn check_room(&self, stream: Stream, readers: &[Life], bytes: usize) -> Result<(), Error> {
        let Some(outbox) = self.outboxes.get(&stream.number) else { return Ok(()) };
        let slowest = outbox.slowest(readers);
        let behind = slowest.map_or(0, |acked| outbox.last().saturating_sub(acked));
        if behind >= self.limits.window {
            return Err(Error::CastFull { stream: stream.number, behind });
        }
        // What a reader may still ask for must not fall out of the log.
        if let Some(acked) = slowest
            && self.log.is_full(bytes)
            && self.log.bytes_above(stream, acked) + bytes > self.limits.log_bytes
        {
            return Err(Error::CastFull { stream: stream.number, behind });
        }
        Ok(())
    }

    pub(crate) fn on_message(
        &mut self,
        now: Time,
        from: Life,
        message: CastMessage,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        match message {
            CastMessage::Cast { cast, follows } => self.on_cast(now, from, (cast, follows), out),
            CastMessage::Have { stream, since, upto } => {
                self.on_have(now, from, (stream, since, upto), out)
            }
            CastMessage::Want { stream, seqs } => self.on_want(from, (stream, seqs), out),
            CastMessage::Skip { stream, seqs } => {
                if seqs.len() > WANT_MAX {
                    return Err(Error::CastRules { from, rule: "more was skipped than asked for" });
                }
                let Some(inbox) = self.inboxes.get_mut(&stream) else { return Ok(()) };
                let steps = inbox.skip(&seqs);
                self.tell(stream, steps, out);
                self.settle(now, stream, out);
                Ok(())
            }
            CastMessage::Gone { stream, upto } => {
                if stream.origin != from {
                    return Err(Error::CastRules { from, rule: "only its origin ends a stream" });
                }
                let Some(inbox) = self.inboxes.get_mut(&stream) else { return Ok(()) };
                let steps = inbox.give_up(upto);
                self.tell(stream, steps, out);
                self.settle(now, stream, out);
                Ok(())
            }
        }
    }

    fn on_cast(
        &mut self,
        now: Time,
        from: Life,
        (cast, follows): (Arc<Cast>, Option<u64>),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let origin = cast.origin;
        let breaks = |rule| Err(Error::CastRules { from, rule });
        if cast.payload.len() > PAYLOAD_MAX {
            return breaks("at most 64 KiB");
        }
        if cast.seq == 0 || cast.seq >= u64::MAX / 2 || origin == self.me {
            return breaks("a number from 1 on, of another origin than the reader");
        }
        if let Scope::Named(lives) = &cast.scope
            && (lives.len() > NAMED_MAX || !lives.contains(&self.me))
        {
            return breaks("at most 64 names, the reader's among them");
        }
        let stream = Stream { origin, number: cast.stream };
        let Some(epoch) = self.joined.get(&self.me).copied() else { return Ok(()) };
        if !self.joined.contains_key(&origin) {
            return Ok(()); // The view with its origin is on its way; what is lost is offered again.
        }
        let is_known = self.inboxes.contains_key(&stream);
        if !is_known && self.streams_of(origin) >= STREAMS_MAX {
            return breaks("at most 64 streams");
        }
        let asked = self.inboxes.get(&stream).is_some_and(|inbox| inbox.asked(cast.seq));
        let is_news = self.inboxes.get(&stream).is_none_or(|inbox| inbox.is_news(cast.seq));
        if origin != from && is_news && !asked {
            return breaks("another's cast comes only if asked for");
        }
        let inbox = self.inboxes.entry(stream).or_insert_with(Inbox::new);
        let mut steps = Vec::new();
        if origin == from {
            steps.extend(inbox.follow(cast.seq, follows));
        }
        if is_news || !rule!("mesh/M3") {
            self.log.keep(now, Arc::clone(&cast));
            let is_mine = cast.scope != Scope::All || cast.epoch >= epoch;
            steps.extend(if is_mine { inbox.take(&cast) } else { inbox.skip(&[cast.seq]) });
        }
        let acknowledges = inbox.counts_to(ACK_EVERY);
        self.tell(stream, steps, out);
        if acknowledges {
            self.acknowledge(stream, out);
        } else if let Some(inbox) = self.inboxes.get_mut(&stream)
            && let Some(at) = inbox.acknowledge_by(now + PAUSE)
        {
            self.due.insert((at, Chore::Acknowledge(stream)));
        }
        self.settle(now, stream, out);
        Ok(())
    }

    fn on_have(
        &mut self,
        now: Time,
        from: Life,
        (stream, since, upto): (Stream, u64, u64),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if upto >= u64::MAX / 2 {
            return Err(Error::CastRules { from, rule: "a number that can be reached" });
        }
        if stream.origin == self.me {
            let Some(outbox) = self.outboxes.get_mut(&stream.number) else { return Ok(()) };
            if !outbox.acknowledged(from, upto, now) {
                return Err(Error::CastRules { from, rule: "only what was sent is had" });
            }
            if let Some(at) = outbox.due(from) {
                self.due.insert((at, Chore::Offer(stream.number, from)));
            }
            self.report_room(out);
            return Ok(());
        }
        let is_member = self.joined.contains_key(&stream.origin);
        let is_known = self.inboxes.contains_key(&stream);
        if !is_member || !is_known && self.streams_of(stream.origin) >= STREAMS_MAX {
            return Ok(());
        }
        let inbox = self.inboxes.entry(stream).or_insert_with(Inbox::new);
        let steps = if stream.origin == from {
            inbox.offered(since, upto)
        } else {
            inbox.heard_of(since, upto);
            Vec::new()
        };
        let complete = inbox.settled_upto() >= upto;
        self.tell(stream, steps, out);
        match (complete, stream.origin == from) {
            (true, true) => self.acknowledge(stream, out),
            (true, false) => {}
            (false, _) => self.want(stream, from, out),
        }
        self.settle(now, stream, out);
        Ok(())
    }

    fn on_want(
        &mut self,
        from: Life,
        (stream, seqs): (Stream, Vec<u64>),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if seqs.len() > WANT_MAX {
            return Err(Error::CastRules { from, rule: "at most 64 are wanted at once" });
        }
        let is_mine = stream.origin == self.me;
        let last = self.outboxes.get(&stream.number).map_or(0, Outbox::last);
        let (mut skip, mut gone) = (Vec::new(), 0);
        for seq in seqs {
            match self.log.get(stream, seq) {
                Some(cast) if self.is_for(from, cast) => {
                    let (cast, follows) = (Arc::clone(cast), Some(seq.saturating_sub(1)));
                    out.push(say(from, CastMessage::Cast { cast, follows }));
                }
                Some(_) => skip.push(seq),
                None if is_mine && seq <= last => gone = gone.max(seq),
                None => {}
            }
        }
        if !skip.is_empty() {
            out.push(say(from, CastMessage::Skip { stream, seqs: skip }));
        }
        if gone > 0 {
            out.push(say(from, CastMessage::Gone { stream, upto: gone }));
        }
        Ok(())
    }

    fn is_for(&self, life: Life, cast: &Cast) -> bool {
        match &cast.scope {
            Scope::All => self.joined.get(&life).is_some_and(|&joined| joined <= cast.epoch),
            Scope::Named(lives) => lives.contains(&life),
        }
    }

    fn streams_of(&self, origin: Life) -> usize {
        let of = Stream { origin, number: 0 }..=Stream { origin, number: u32::MAX };
        self.inboxes.range(of).count()
    }

    /// Tells the application.
    fn tell(&mut self, stream: Stream, steps: Vec<Step>, out: &mut impl Sink<Effect>) {
        let (origin, number) = (stream.origin, stream.number);
        for step in steps {
            out.push(Effect::Event(match step {
                Step::Deliver(cast) => Event::Delivered { cast },
                Step::Gap { from, to } => {
                    self.gaps += to - from + 1;
                    Event::Gap { origin, stream: number, from, to }
                }
            }));
        }
    }

    fn acknowledge_since(&mut self, at: Time, stream: Stream, out: &mut impl Sink<Effect>) {
        if self.inboxes.get(&stream).is_some_and(|inbox| inbox.owes_since(at)) {
            self.acknowledge(stream, out);
        }
    }

    fn acknowledge(&mut self, stream: Stream, out: &mut impl Sink<Effect>) {
        let Some(inbox) = self.inboxes.get_mut(&stream) else { return };
        let upto = inbox.acknowledges();
        if self.linked.contains(&stream.origin) {
            out.push(say(stream.origin, CastMessage::Have { stream, since: 0, upto }));
        }
    }

    /// Starts the watch on a hole.
    fn settle(&mut self, now: Time, stream: Stream, out: &mut impl Sink<Effect>) {
        let Some(inbox) = self.inboxes.get_mut(&stream) else { return };
        if let Some(at) = inbox.watch_hole(now) {
            self.due.insert((at, Chore::Hole(stream)));
            self.want(stream, stream.origin, out);
        }
    }

    fn want(&mut self, stream: Stream, from: Life, out: &mut impl Sink<Effect>) {
        let Some(inbox) = self.inboxes.get_mut(&stream) else { return };
        if self.linked.contains(&from) {
            let seqs = inbox.wants(WANT_MAX);
            if !seqs.is_empty() {
                out.push(say(from, CastMessage::Want { stream, seqs }));
            }
        }
    }

    pub(crate) fn on_deadline(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        self.log.expire(now);
        while let Some(&(at, chore)) = self.due.first()
            && at <= now
        {
            self.due.pop_first();
            match chore {
                Chore::Offer(number, life) => self.offer(now, at, (number, life), out),
                Chore::Acknowledge(stream) => self.acknowledge_since(at, stream, out),
                Chore::Hole(stream) => self.on_hole(now, at, stream, out),
            }
        }
    }

    fn offer(
        &mut self,
        now: Time,
        at: Time,
        (number, life): (u32, Life),
        out: &mut impl Sink<Effect>,
    ) {
        let Some(outbox) = self.outboxes.get_mut(&number) else { return };
        if outbox.due(life) != Some(at) {
            return;
        }
        if let Some((since, upto)) = outbox.offer(life)
            && self.linked.contains(&life)
        {
            let stream = Stream { origin: self.me, number };
            out.push(say(life, CastMessage::Have { stream, since, upto }));
        }
        outbox.asked(life, now);
        if let Some(at) = outbox.due(life) {
            self.due.insert((at, Chore::Offer(number, life)));
        }
        self.report_room(out);
    }

    fn on_hole(&mut self, now: Time, at: Time, stream: Stream, out: &mut impl Sink<Effect>) {
        let gap_after = self.limits.gap_after;
        let Some(inbox) = self.inboxes.get_mut(&stream) else { return };
        if inbox.hole_due() != Some(at) {
            return;
        }
        let steps = inbox.outlast(now, gap_after);
        self.tell(stream, steps, out);
        let others: Vec<Life> =
            self.linked.iter().filter(|life| **life != stream.origin).copied().collect();
        let from = if self.linked.contains(&stream.origin) {
            Some(stream.origin)
        } else {
            self.random.pick(&others).copied()
        };
        if let Some(from) = from {
            self.want(stream, from, out);
        }
        if let Some(at) = self.inboxes.get_mut(&stream).and_then(|inbox| inbox.watch_on(now)) {
            self.due.insert((at, Chore::Hole(stream)));
        }
    }

    /// Tells the application once about each stream that had no room and has some.
    fn report_room(&mut self, out: &mut impl Sink<Effect>) {
        let window = self.limits.window;
        for (&stream, outbox) in &mut self.outboxes {
            if outbox.is_full() && outbox.has_room_anew(window) {
                out.push(Effect::Event(Event::CastWritable { stream }));
            }
        }
    }

    /// How many streams are followed, and how many bytes of casts are kept.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.inboxes.len(), self.log.bytes())
    }
}

fn say(to: Life, message: CastMessage) -> Effect {
    Effect::Send { to, message: Message::Cast(message) }
}

const fn have_of((stream, since, upto): (Stream, u64, u64)) -> CastMessage {
    CastMessage::Have { stream, since, upto }
}
