//! Frames, beats, links: every sign of life (healing.md sections 3.2 and 3.3).

use core::time::Duration;

use formic_core::{Life, PeerId, Time, earliest, rule, transport::CloseReason};

use crate::{
    Belief, Busy, Cause, Error, Event, Evidence, Fate, Healing, Message,
    message::Beat,
    quorum::DOUBT,
    rings::Place,
    watch::{Subject, Told},
};

/// Views and verdicts are shown to one peer at most this often.
const SHOW_EVERY: Duration = Duration::from_secs(1);
/// Full-rate beats with the longer promise before a peer gets quiet: two of them may be lost.
const FADING: u8 = 5;

impl Healing {
    pub(crate) fn on_link_up(&mut self, life: Life, fate: Fate) {
        self.links.insert(life.peer, (life, fate));
        self.heard(life);
        self.beat_soon();
        self.ask_newcomer(life);
    }

    pub(crate) fn on_link_down(&mut self, life: Life, reason: CloseReason) {
        let linked = self.links.get(&life.peer).copied();
        if linked.is_some_and(|(linked, _)| linked == life) {
            self.links.remove(&life.peer);
        }
        if self.returned.get(&life.peer) == Some(&life) {
            self.returned.remove(&life.peer);
            self.doubt();
        }
        self.miss_from_now(life);
        let shared = linked == Some((life, Fate::Shared));
        match reason {
            CloseReason::Gone if shared => self.said(life, Cause::Gone),
            CloseReason::PeerRestarted => self.said(life, Cause::Restarted),
            _ => {} // No evidence: the time since it was last heard runs on.
        }
    }

    /// One of this process does not beat: its silence counts from the end of its link on.
    fn miss_from_now(&mut self, life: Life) {
        let now = self.now;
        let Some(watch) = self.watch.as_mut().filter(|watch| watch.is_mate(life)) else { return };
        if let Some(place) = watch.place_of(life) {
            watch.subject_mut(place).heard = now;
            self.doubt();
        }
    }

    pub(crate) fn on_left(&mut self, life: Life) {
        self.said(life, Cause::Left);
    }

    /// Somebody who knows said that the life is over.
    fn said(&mut self, life: Life, cause: Cause) {
        let place = self.watch.as_ref().and_then(|watch| watch.place_of(life));
        if let Some(place) = place {
            self.condemn(place, Evidence::Said(cause));
        }
    }

    /// Any frame of a life is a sign of it.
    pub(crate) fn heard(&mut self, life: Life) {
        let now = self.now;
        let Some(watch) = &mut self.watch else { return };
        let Some(place) = watch.place(life.peer) else { return };
        let subject = watch.subject_mut(place);
        let known = subject.life();
        if life.incarnation > known.incarnation {
            return self.on_later_life(place, life);
        }
        if life != known
            || matches!(subject.belief, Belief::Condemned { cause, .. } if cause.is_final())
        {
            return;
        }
        if subject.stale.is_some_and(|until| now < until) {
            return;
        }
        subject.heard = now;
        subject.probing = None;
        let was_stale = subject.stale.take().is_some();
        let told = subject.told;
        let was_mute = core::mem::take(&mut subject.mute);
        let was = core::mem::replace(&mut subject.belief, Belief::Alive);
        if was == Belief::Alive && !was_mute && !was_stale {
            return;
        }
        self.doubt();
        match was {
            Belief::Alive => {}
            Belief::Unheard => self.on_first_heard(place),
            // It was missed before it was ever heard.
            Belief::Suspect { .. } if told != Told::Up => self.on_first_heard(place),
            Belief::Suspect { .. } => {
                self.event(Event::Cleared { life });
                // Whoever suspected everybody watched nobody any more.
                self.watch_soon();
            }
            Belief::Condemned { .. } => self.on_return(place),
        }
        if was_mute {
            self.reassign();
        }
    }

    /// Whether this very life is a member that was heard in this life's time.
    pub(crate) fn has_heard(&self, life: Life) -> bool {
        let Some(watch) = &self.watch else { return false };
        let place = watch.place_of(life);
        place.is_some_and(|place| watch.subject(place).belief != Belief::Unheard)
    }

    fn on_first_heard(&mut self, place: Place) {
        let Some(watch) = &mut self.watch else { return };
        let subject = watch.subject_mut(place);
        let life = subject.life();
        if subject.told != Told::Up {
            subject.told = Told::Up;
            self.event(Event::Up { life });
        }
        self.watch_soon();
        self.beat_soon();
    }

    /// A later life of a member's peer: the old one is over, and the peer votes as the new one.
    fn on_later_life(&mut self, place: Place, life: Life) {
        let newer = self.returned.get(&life.peer).is_none_or(|known| *known < life);
        if newer {
            self.returned.insert(life.peer, life);
            self.tell_register(life);
            self.doubt();
        }
        let condemned = self.watch.as_ref().is_some_and(|w| w.subject(place).is_condemned());
        if !condemned {
            self.condemn(place, Evidence::Said(Cause::Restarted));
        }
    }

    fn newest_beat(&self, from: Life) -> Option<u64> {
        let watch = self.watch.as_ref()?;
        watch.place_of(from).map(|place| watch.subject(place).seq)
    }

    /// Transports never double a beat, but may let one overtake another (transport.md, K3).
    pub(crate) fn vet_beat(&self, from: Life, beat: &Beat) -> Result<(), Error> {
        match self.newest_beat(from) {
            Some(newest) if beat.seq == newest => {
                Err(Error::OldBeat { from, seq: beat.seq, newest })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn on_beat(&mut self, from: Life, beat: Beat) {
        // What was overtaken is no sign of life: a later one was heard already.
        if self.newest_beat(from).is_some_and(|newest| beat.seq < newest) {
            return;
        }
        self.heard(from);
        let Some(watch) = &mut self.watch else { return };
        if let Some(place) = watch.place_of(from) {
            let subject = watch.subject_mut(place);
            subject.seq = beat.seq;
            subject.promise =
                Duration::from_millis(beat.promise_ms.into()).min(self.config.quiet_interval);
        }
        let (epoch, head, condemned) = (watch.view.epoch, watch.head, watch.condemned);
        if beat.epoch > epoch {
            if self.may_show(from.peer, SHOW_EVERY / 10) {
                self.send(from, Message::Want { epoch });
            }
        } else if beat.epoch < epoch {
            if self.may_show(from.peer, SHOW_EVERY / 10) {
                self.show_views(from, beat.epoch);
            }
        } else if beat.view != head {
            self.on_other_view(from);
        } else if beat.condemned != condemned && self.may_show(from.peer, SHOW_EVERY) {
            self.show_verdicts(from);
        }
    }

    /// Whether this peer was shown nothing for a while.
    pub(crate) fn may_show(&mut self, peer: PeerId, every: Duration) -> bool {
        let now = self.now;
        let last = self.shown.get(&peer).copied();
        if last.is_some_and(|last| now.since(last) < every) {
            return false;
        }
        // Only peers with links are shown anything: bounded by the links.
        if !self.links.contains_key(&peer) {
            self.shown.remove(&peer);
            return true;
        }
        self.shown.insert(peer, now);
        true
    }

    fn show_verdicts(&mut self, to: Life) {
        let Some(watch) = &self.watch else { return };
        let epoch = watch.view.epoch;
        let verdict = |(place, evidence): (&Place, &Evidence)| Message::Verdict {
            epoch,
            life: watch.subject(*place).life(),
            evidence: evidence.clone(),
        };
        let verdicts: Vec<Message> = watch.evidence.iter().map(verdict).collect();
        verdicts.into_iter().for_each(|message| self.send(to, message));
    }

    pub(crate) fn beat(&mut self) {
        let Some(watch) = &self.watch else { return };
        let targets = watch.beaten();
        if targets.is_empty() {
            self.timers.beat = None;
            return;
        }
        let interval = watch.rings.interval;
        let quiet = self.pace.busy == Busy::No
            && self.now.since(self.pace.idle_since) >= self.config.quiet_after;
        let promise = if quiet { self.config.quiet_interval.max(interval) } else { interval };
        let beat = Beat {
            epoch: watch.view.epoch,
            view: watch.head,
            seq: self.pace.seq + 1,
            promise_ms: u16::try_from(promise.as_millis()).unwrap_or(u16::MAX),
            lag_ms: core::mem::take(&mut self.pace.lag_ms),
            condemned: watch.condemned,
        };
        self.pace.seq += 1;
        for to in targets {
            self.send(to, Message::Beat(beat));
        }
        let fading = quiet && self.pace.fading > 0;
        self.pace.fading -= u8::from(fading);
        self.timers.beat = Some(self.now + if fading { interval } else { promise });
    }

    pub(crate) fn on_busy(&mut self, busy: Busy) {
        if self.pace.busy == busy {
            return;
        }
        self.pace.busy = busy;
        self.pace.idle_since = self.now;
        self.pace.fading = FADING;
        if busy == Busy::Yes && self.timers.beat.is_some() {
            self.timers.beat = Some(self.now);
        }
    }

    /// Beats start when there is somebody to hear them.
    pub(crate) fn beat_soon(&mut self) {
        let watched = self.watch.as_ref();
        let heard = watched.is_some_and(|watch| watch.me.is_some() && watch.rings.observers > 0);
        if heard && self.timers.beat.is_none() {
            self.timers.beat = Some(self.now);
        }
    }

    pub(crate) fn watch_soon(&mut self) {
        let Some(watch) = &self.watch else { return };
        let due = |place: &Place| {
            let due = watch.subject(*place).due(&self.config);
            watch.asks_at(*place).map_or(due, |asks| asks.min(due))
        };
        let first = watch.duties.iter().map(due).min();
        self.timers.silence = earliest(self.timers.silence, first);
    }

    /// A peer that stalled missed what was sent to it: it accuses nobody for a while.
    pub(crate) fn mind_lateness(&mut self, late: Duration) {
        let late_ms = u16::try_from(late.as_millis()).unwrap_or(u16::MAX);
        self.pace.lag_ms = self.pace.lag_ms.max(late_ms);
        if late <= self.config.lateness || !rule!("healing/lateness") {
            return;
        }
        let now = self.now;
        let Some(watch) = &mut self.watch else { return };
        self.pace.humble_until = now + watch.rings.interval * 2;
        for place in watch.duties.clone() {
            watch.subject_mut(place).watched_from(now, &self.config);
        }
    }

    /// Whoever stood still for so long that others may have gone on without it, knows of nobody whether he is there
    /// until it hears him anew. What waited for it meanwhile says nothing about now. Before every input, a bad one too: this
    /// is about time, not about what came.
    pub(crate) fn mind_stall(&mut self) {
        let now = self.now;
        let stood = self.timers.beat.is_some_and(|at| now.since(at) > DOUBT);
        if !stood || !rule!("healing/stall") {
            return;
        }
        let Some(watch) = &mut self.watch else { return };
        let until = now + watch.rings.interval * 2;
        let lives: Vec<Life> = watch.subjects.iter().map(Subject::life).collect();
        // Those of this process stood still with it.
        let others: Vec<Place> = lives
            .into_iter()
            .filter(|it| !watch.is_mate(*it))
            .filter_map(|it| watch.place_of(it))
            .collect();
        others.into_iter().for_each(|place| watch.subject_mut(place).stale = Some(until));
        self.doubt();
    }

    /// Whether this peer heard the member within its timeout.
    pub(crate) fn hears(&self, place: Place) -> bool {
        let Some(watch) = &self.watch else { return false };
        let subject = watch.subject(place);
        let fresh = subject.belief == Belief::Alive && subject.stale.is_none();
        fresh && subject.due(&self.config) > self.now
    }

    pub(crate) fn not_before(&self, at: Time) -> Time {
        at.max(self.pace.humble_until)
    }
}
