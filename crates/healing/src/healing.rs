use std::collections::BTreeMap;

use formic_core::{Life, PeerId, Protocol, Sink, Time, earliest, transport::CloseReason};

use crate::{Belief, Cause, Config, Effect, Error, Event, Fate, Input, Message, subject::Subject};

/// The failure detector of one peer: an opinion about every member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Healing {
    config: Config,
    subjects: BTreeMap<PeerId, Subject>,
    /// Every link that is up, watched or not.
    links: BTreeMap<PeerId, (Life, Fate)>,
    seq: u64,
    /// `None`: nobody is to hear beats.
    beat_at: Option<Time>,
    /// No subject's silence is too long before this moment.
    check_at: Option<Time>,
    now: Time,
}

impl Healing {
    /// A detector that watches nobody.
    ///
    /// # Errors
    /// A value of `config` is out of its range.
    pub fn new(config: Config) -> Result<Self, Error> {
        config.check()?;
        Ok(Self {
            config,
            subjects: BTreeMap::new(),
            links: BTreeMap::new(),
            seq: 0,
            beat_at: None,
            check_at: None,
            now: Time::ZERO,
        })
    }

    /// What is believed about a life, and when it was last heard. `None`: it is not watched.
    pub fn belief(&self, life: Life) -> Option<(Belief, Time)> {
        let subject = self.subjects.get(&life.peer).filter(|subject| subject.life == life)?;
        Some((subject.belief, subject.heard))
    }

    /// All watched lives, sorted by peer.
    pub fn subjects(&self) -> impl Iterator<Item = (Life, Belief)> {
        self.subjects.values().map(|subject| (subject.life, subject.belief))
    }

    #[cfg(test)]
    pub(crate) const fn now(&self) -> Time {
        self.now
    }

    fn on_watch(&mut self, now: Time, life: Life, out: &mut impl Sink<Effect>) {
        let known = self.subjects.get(&life.peer).map(|subject| subject.life.incarnation);
        if known.is_some_and(|known| known >= life.incarnation) {
            return;
        }
        self.end(life.peer, Cause::Restarted, out);
        self.subjects.insert(life.peer, Subject::new(life, now));
        self.watch_soon(now);
        // A link proves that its other end was there when it came up.
        if self.links.get(&life.peer).is_some_and(|&(linked, _)| linked == life) {
            self.heard(now, life, out);
            self.beat_soon(now);
        }
    }

    fn on_forget(&mut self, life: Life) {
        if self.subjects.get(&life.peer).is_some_and(|subject| subject.life == life) {
            self.subjects.remove(&life.peer);
        }
    }

    fn on_link_up(&mut self, now: Time, life: Life, fate: Fate, out: &mut impl Sink<Effect>) {
        self.links.insert(life.peer, (life, fate));
        self.heard(now, life, out);
        self.beat_soon(now);
    }

    fn on_link_down(
        &mut self,
        now: Time,
        life: Life,
        reason: CloseReason,
        out: &mut impl Sink<Effect>,
    ) {
        let linked = self.links.get(&life.peer).copied();
        if linked.is_some_and(|(linked, _)| linked == life) {
            self.links.remove(&life.peer);
        }
        if self.belief(life).is_none() {
            return;
        }
        let shared = linked == Some((life, Fate::Shared));
        match reason {
            CloseReason::Gone if shared => self.end(life.peer, Cause::Gone, out),
            CloseReason::PeerRestarted => self.end(life.peer, Cause::Restarted, out),
            _ if shared => self.rearm(now, life),
            _ => {} // No evidence: the time since it was last heard runs on.
        }
    }

    /// Over a shared-fate link nobody beats: silence counts from its end.
    fn rearm(&mut self, now: Time, life: Life) {
        if let Some(subject) = self.subjects.get_mut(&life.peer) {
            subject.heard = now;
        }
        self.watch_soon(now);
    }

    fn on_message(
        &mut self,
        now: Time,
        from: Life,
        Message::Beat { seq }: Message,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if let Some(subject) = self.subjects.get_mut(&from.peer)
            && subject.life == from
        {
            if seq <= subject.seq {
                return Err(Error::OldBeat { from, seq, newest: subject.seq });
            }
            subject.seq = seq;
        }
        self.heard(now, from, out);
        Ok(())
    }

    fn on_left(&mut self, life: Life, out: &mut impl Sink<Effect>) {
        if self.belief(life).is_some() {
            self.end(life.peer, Cause::Left, out);
        }
    }

    fn heard(&mut self, now: Time, life: Life, out: &mut impl Sink<Effect>) {
        let Some(subject) = self.subjects.get_mut(&life.peer) else { return };
        if life.incarnation > subject.life.incarnation {
            self.on_watch(now, life, out);
            return;
        }
        if life != subject.life || subject.belief == Belief::Ended {
            return;
        }
        subject.heard = now;
        if subject.belief != Belief::Up {
            subject.belief = Belief::Up;
            self.watch_soon(now);
            out.push(Effect::Event(Event::Up { life }));
        }
    }

    /// The life of this peer that is watched is dead for good.
    fn end(&mut self, peer: PeerId, cause: Cause, out: &mut impl Sink<Effect>) {
        let Some(subject) = self.subjects.get_mut(&peer) else { return };
        let was = core::mem::replace(&mut subject.belief, Belief::Ended);
        if was == Belief::Up {
            out.push(Effect::Event(Event::Down { life: subject.life, cause }));
        }
    }

    fn on_deadline(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        let Some(due) = self.deadline() else { return };
        if due > now {
            return;
        }
        if now.since(due) > self.config.lateness && formic_core::rule!("healing/lateness") {
            // This peer stalled. What it did not hear meanwhile accuses nobody.
            for subject in self.subjects.values_mut() {
                subject.heard = now;
            }
        }
        if self.beat_at.is_some_and(|at| at <= now) {
            self.beat(now, out);
        }
        if self.check_at.is_some_and(|at| at <= now) {
            self.check_silence(now, out);
        }
    }

    fn beat(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        self.seq += 1;
        let message = Message::Beat { seq: self.seq };
        let targets = self.beaten();
        for &to in &targets {
            out.push(Effect::Send { to, message });
        }
        self.beat_at = (!targets.is_empty()).then_some(now + self.config.interval);
    }

    /// Watched lives at the other end of a link without shared fate.
    fn beaten(&self) -> Vec<Life> {
        let own = self.links.values().filter(|(_, fate)| *fate == Fate::Own);
        own.map(|&(life, _)| life).filter(|&life| self.belief(life).is_some()).collect()
    }

    fn check_silence(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        let timeout = self.config.timeout;
        let mut next = None;
        for subject in self.subjects.values_mut().filter(|s| s.belief == Belief::Up) {
            let link = self.links.get(&subject.life.peer);
            if link.is_some_and(|&link| link == (subject.life, Fate::Shared)) {
                continue;
            }
            let due = subject.heard + timeout;
            if due > now {
                next = earliest(next, Some(due));
            } else {
                subject.belief = Belief::Down;
                let (life, cause) = (subject.life, Cause::Silent);
                out.push(Effect::Event(Event::Down { life, cause }));
            }
        }
        self.check_at = next;
    }

    fn watch_soon(&mut self, now: Time) {
        self.check_at = earliest(self.check_at, Some(now + self.config.timeout));
    }

    fn beat_soon(&mut self, now: Time) {
        if self.beat_at.is_none() && !self.beaten().is_empty() {
            self.beat_at = Some(now);
        }
    }
}

impl Protocol for Healing {
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
            Input::Watch { life } => self.on_watch(now, life, out),
            Input::Forget { life } => self.on_forget(life),
            Input::LinkUp { life, fate } => self.on_link_up(now, life, fate, out),
            Input::LinkDown { life, reason } => self.on_link_down(now, life, reason, out),
            Input::Heard { life } => self.heard(now, life, out),
            Input::Message { from, message } => self.on_message(now, from, message, out)?,
            Input::Left { life } => self.on_left(life, out),
            Input::Deadline => self.on_deadline(now, out),
        }
        self.now = now;
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        earliest(self.beat_at, self.check_at)
    }
}
