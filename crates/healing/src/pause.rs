//! Announced pauses of a whole process (healing.md section 3.5).

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

use formic_core::{Life, Time};

use crate::{Belief, Event, Healing, Message, PauseRefusal};

/// How long observers are given to agree.
const ANSWER: Duration = Duration::from_millis(500);
/// Pauses of this span together are at most twice the longest single one.
const SPAN: Duration = Duration::from_secs(600);

/// The pauses of this peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Pausing {
    asked: Option<Asked>,
    /// Granted ones, oldest first.
    used: VecDeque<(Time, Duration)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    span: Duration,
    acks: BTreeSet<Life>,
    until: Time,
}

impl Pausing {
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.asked.as_ref().map(|asked| asked.until)
    }
}

impl Healing {
    pub(crate) fn on_pause(&mut self, span: Duration) {
        if let Some(reason) = self.pause_refusal(span) {
            self.event(Event::PauseRefused { reason });
            return;
        }
        self.pausing.asked = Some(Asked { span, acks: BTreeSet::new(), until: self.now + ANSWER });
        let span_ms = u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
        self.tell_members(&Message::Pause { span_ms });
        self.check_pause();
    }

    fn pause_refusal(&mut self, span: Duration) -> Option<PauseRefusal> {
        let (now, max) = (self.now, self.config.pause_max);
        self.pausing.used.retain(|(at, _)| now.since(*at) < SPAN);
        let used: Duration = self.pausing.used.iter().map(|(_, span)| *span).sum();
        if !self.is_member() {
            return Some(PauseRefusal::NoMember);
        }
        if self.pausing.asked.is_some() {
            return Some(PauseRefusal::Busy);
        }
        (span > max || used + span > max * 2).then_some(PauseRefusal::TooLong { max })
    }

    fn tell_members(&mut self, message: &Message) {
        let Some(watch) = &self.watch else { return };
        let others = watch.subjects.iter().filter(|subject| !subject.is_condemned());
        let lives: Vec<Life> =
            others.map(|subject| subject.life()).filter(|life| *life != self.me.life).collect();
        lives.into_iter().for_each(|to| self.send(to, message.clone()));
    }

    /// Enough observers agreed.
    fn check_pause(&mut self) {
        let (Some(asked), Some(watch)) = (&self.pausing.asked, &self.watch) else { return };
        let Some(me) = watch.me else { return };
        let observers = watch.posts(me).into_iter().map(|post| watch.subject(post.holder()).life());
        let agreed = observers.filter(|life| asked.acks.contains(life)).count();
        if agreed >= watch.rings.voices {
            let span = asked.span;
            self.pausing.asked = None;
            self.pausing.used.push_back((self.now, span));
            self.event(Event::PauseGranted { span });
        }
    }

    pub(crate) fn on_pause_ack(&mut self, from: Life) {
        self.heard(from);
        if let Some(asked) = &mut self.pausing.asked {
            asked.acks.insert(from);
            self.check_pause();
        }
    }

    pub(crate) fn pause_deadline(&mut self) {
        if self.pausing.deadline().is_some_and(|at| at <= self.now) {
            self.pausing.asked = None;
            self.tell_members(&Message::Resume);
            self.event(Event::PauseRefused { reason: PauseRefusal::NoAnswer });
        }
    }

    pub(crate) fn on_resume(&mut self) {
        self.pausing.asked = None;
        self.tell_members(&Message::Resume);
        self.beat_soon();
    }

    /// Another peer will stand still: its silence does not count meanwhile.
    pub(crate) fn on_pause_of(&mut self, from: Life, span_ms: u32) {
        self.heard(from);
        let span = Duration::from_millis(span_ms.into());
        let (now, timeout) = (self.now, self.config.timeout);
        let Some(watch) = &mut self.watch else { return };
        let Some(place) = watch.place_of(from) else { return };
        let subject = watch.subject_mut(place);
        // Longer ones are not agreed to, and count as silence.
        if span > self.config.pause_max || subject.belief != Belief::Alive {
            return;
        }
        let until = now + span + timeout;
        subject.paused_until = Some(until);
        self.send(from, Message::PauseAck);
        self.event(Event::Paused { life: from, until });
    }

    pub(crate) fn on_resume_of(&mut self, from: Life) {
        self.heard(from);
        let Some(watch) = &mut self.watch else { return };
        let Some(place) = watch.place_of(from) else { return };
        if watch.subject_mut(place).paused_until.take().is_some() {
            self.watch_soon();
            self.event(Event::Resumed { life: from });
        }
    }
}
