//! Suspicions, verdicts, and taking them back (healing.md sections 3.3 and 3.4).

use std::collections::BTreeSet;

use formic_core::{Epoch, Life, earliest, rule};

use crate::{
    Belief, Cause, Error, Event, Evidence, Healing, Message, Standing,
    rings::Place,
    watch::{Alerted, Told, Watch},
};

/// Verdicts closer together than this may have one reason.
const LOSS_SPAN: core::time::Duration = core::time::Duration::from_millis(500);

/// Voices against a life at one moment.
#[derive(Debug, Default)]
struct Voices {
    /// Observers that miss it, each with the last beat heard.
    fresh: Vec<(Place, u64)>,
    /// Observers that cannot speak.
    lost: Vec<Place>,
    /// Observers that do not miss it.
    silent: Vec<Place>,
}

impl Voices {
    const fn condemn(&self, (voices, alive): (usize, usize)) -> bool {
        self.fresh.len() + self.lost.len() >= voices && self.fresh.len() >= alive
    }
}

impl Healing {
    /// Members whose silence has lasted too long are suspected by their observers.
    pub(crate) fn check_silence(&mut self) {
        self.timers.silence = None;
        let Some(watch) = &self.watch else { return };
        let late: Vec<Place> = watch
            .duties
            .iter()
            .copied()
            .filter(|place| {
                let subject = watch.subject(*place);
                let watched = matches!(subject.belief, Belief::Unheard | Belief::Alive);
                watched && self.not_before(subject.due(&self.config)) <= self.now
            })
            .collect();
        for place in late {
            self.suspect(place);
        }
        self.ask_silent();
        let Some(watch) = &self.watch else { return };
        let watched = |place: &&Place| {
            matches!(watch.subject(**place).belief, Belief::Unheard | Belief::Alive)
        };
        // Whom it could not ask now, for too many questions are open, is asked a little later.
        let soon = self.now + watch.rings.interval;
        let due = |place: &Place| {
            let due = self.not_before(watch.subject(*place).due(&self.config));
            watch.asks_at(*place).map_or(due, |asks| asks.max(soon).min(due))
        };
        self.timers.silence = watch.duties.iter().filter(watched).map(due).min();
    }

    /// Stand-ins ask (healing.md 3.4, orphans).
    fn ask_silent(&mut self) {
        let Some(watch) = &self.watch else { return };
        let due = |place: &Place| watch.asks_at(*place).is_some_and(|at| at <= self.now);
        let silent: Vec<Place> = watch.duties.iter().copied().filter(due).collect();
        silent.into_iter().for_each(|place| self.probe(place));
    }

    fn suspect(&mut self, place: Place) {
        let now = self.now;
        let Some(watch) = &mut self.watch else { return };
        let subject = watch.subject_mut(place);
        subject.belief = Belief::Suspect { since: now };
        subject.paused_until = None;
        let (life, told) = (subject.life(), subject.told);
        if let Some(me) = watch.me {
            watch.absolved.remove(&(place, me));
        }
        if told == Told::Up {
            self.event(Event::Suspect { life });
        }
        self.timers.alert = Some(now);
        self.timers.quorum = earliest(self.timers.quorum, Some(now + super::quorum::DOUBT));
        self.probe_if_alone();
        self.judge(place);
    }

    /// Tells the other observers of everybody that this peer misses.
    pub(crate) fn alert(&mut self) {
        self.timers.alert = None;
        let Some(watch) = &self.watch else { return };
        let Some(me) = watch.me else { return };
        let missed = watch.missed();
        if missed.is_empty() {
            return;
        }
        let mut targets = BTreeSet::new();
        for subject in &missed {
            for post in watch.posts(*subject) {
                targets.insert(post.holder());
            }
        }
        targets.remove(&me);
        let suspects = watch.suspects();
        let lives: Vec<Life> =
            targets.into_iter().map(|place| watch.subject(place).life()).collect();
        let epoch = watch.view.epoch;
        for to in lives {
            self.send(to, Message::Alert { epoch, suspects: suspects.clone() });
        }
        self.timers.alert = Some(self.now + self.config.alert_resend);
        // Where nobody else speaks, only time brings a new count.
        self.ask_again_if_alone();
        missed.into_iter().for_each(|place| self.judge(place));
    }

    pub(crate) fn vet_alert(
        &self,
        from: Life,
        epoch: Epoch,
        suspects: &[(Life, u64)],
    ) -> Result<(), Error> {
        let Some(watch) = self.watch.as_ref().filter(|watch| watch.view.epoch == epoch) else {
            return Ok(());
        };
        let Some(observer) = watch.place_of(from) else { return Ok(()) };
        let most = watch.rings.observers * 4 + 8;
        for (life, _) in suspects.iter().take(most) {
            let Some(subject) = watch.place_of(*life) else { continue };
            // Whether a stand-in is one depends on verdicts that may not have arrived here yet: a voice
            // without a seat is no lie. It is not counted (`voices`).
            if !watch.rings.may_watch(observer, subject) {
                return Err(Error::NotObserver { from, life: *life });
            }
        }
        Ok(())
    }

    pub(crate) fn on_alert(&mut self, from: Life, epoch: Epoch, suspects: &[(Life, u64)]) {
        self.heard(from);
        let now = self.now;
        let Some(watch) = &mut self.watch else { return };
        if watch.view.epoch != epoch {
            return;
        }
        let Some(observer) = watch.place_of(from) else { return };
        // More than a life can watch says nothing but that its sender misses everybody.
        let most = watch.rings.observers * 4 + 8;
        let mut accused = Vec::new();
        for (life, seq) in suspects.iter().take(most) {
            if *life == self.me.life {
                accused.push(None);
            } else if let Some(subject) = watch.place_of(*life) {
                let alert = Alerted { at: now, since: now, seq: *seq };
                watch.accuse((subject, observer), alert, self.config.alert_fresh);
                accused.push(Some(subject));
            }
        }
        for subject in accused {
            match subject {
                Some(subject) => {
                    self.judge(subject);
                    self.tell_verdict(from, subject);
                    self.heed_mate(from, subject);
                }
                // Whoever hears that it is missed shows at once that it is here.
                None => self.timers.beat = self.timers.beat.map(|_| now),
            }
        }
    }

    /// What one of this process misses another can hardly hear: it asks.
    fn heed_mate(&mut self, from: Life, subject: Place) {
        if self.watch.as_ref().is_some_and(|watch| watch.is_mate(from)) {
            self.probe(subject);
        }
    }

    /// Who misses a life that is condemned here refused the verdict while it had heard a later beat, or
    /// did not get it: those who condemned have stopped to alert, so its own alerts would find no echo.
    fn tell_verdict(&mut self, to: Life, subject: Place) {
        let Some(watch) = &self.watch else { return };
        let epoch = watch.view.epoch;
        let life = watch.subject(subject).life();
        if let Some(evidence) = watch.evidence.get(&subject).cloned() {
            self.send(to, Message::Verdict { epoch, life, evidence });
        }
    }

    /// Who misses a life, who cannot, who does not.
    fn voices(
        watch: &Watch,
        subject: Place,
        now: formic_core::Time,
        fresh: core::time::Duration,
    ) -> Voices {
        let mut voices = Voices::default();
        for post in watch.posts(subject) {
            let holder = post.holder();
            let own = watch.me == Some(holder) && watch.subject(subject).is_suspect();
            let alert = watch.alerts.get(&(subject, holder));
            let alert = alert.filter(|alert| now.since(alert.at) <= fresh);
            if own {
                voices.fresh.push((holder, watch.subject(subject).seq));
            } else if let Some(alert) = alert {
                voices.fresh.push((holder, alert.seq));
            } else if watch.is_out(post.observer) && rule!("healing/implicit-alerts") {
                voices.lost.push(post.observer);
            } else {
                voices.silent.push(holder);
            }
        }
        voices
    }

    /// Recounts the voices against a member.
    pub(crate) fn judge(&mut self, subject: Place) {
        let (now, fresh) = (self.now, self.config.alert_fresh);
        let Some(watch) = &self.watch else { return };
        if watch.subject(subject).is_condemned() || watch.me.is_none() {
            return;
        }
        let voices = Self::voices(watch, subject, now, fresh);
        let needed = watch.needed();
        let paused = watch.subject(subject).paused_until.is_some_and(|until| until > now);
        let hears = watch.duties.contains(&subject) && !watch.subject(subject).is_suspect();
        let newest = voices.fresh.iter().map(|(_, seq)| *seq).max().unwrap_or(0);
        let vouched = watch.vouched(subject, (newest, voices.fresh.len()));
        let condemned = voices.condemn(needed)
            // Where all other processes are silent there is but one voice, as in a mesh of two.
            || voices.condemn((needed.0, 1)) && self.speaks_alone(subject);
        if condemned && !hears && !paused && !vouched {
            let life = |place: &Place| watch.subject(*place).life();
            let alerts = voices.fresh.iter().map(|(place, seq)| (life(place), *seq)).collect();
            let lost = voices.lost.iter().map(life).collect();
            let epoch = watch.view.epoch;
            self.condemn(subject, Evidence::Alerts { epoch, alerts, lost });
        } else {
            self.question(subject, voices, needed.1);
        }
    }

    /// Observers that do not say that they miss a member, although it is missed for a while, may be silent
    /// themselves.
    fn question(&mut self, subject: Place, voices: Voices, alive: usize) {
        let now = self.now;
        let Some(watch) = &mut self.watch else { return };
        let watches = watch.duties.contains(&subject);
        let told = voices.fresh.iter().filter_map(|(by, _)| watch.alerts.get(&(subject, *by)));
        let told = told.map(|alert| alert.since).min();
        let missed = watch.subject_mut(subject);
        let since = if voices.fresh.len() >= alive {
            Some(*missed.disputed.get_or_insert(now))
        } else {
            missed.disputed = None;
            // One voice is a question to whoever misses the member itself, and to whoever does not watch it:
            // who alerts him holds an observer for dead in whose place he stands.
            if watches { missed.missed_since() } else { told }
        };
        if since.is_some_and(|since| now.since(since) >= self.config.fallback_after) {
            for observer in voices.silent {
                self.probe(observer);
            }
        }
    }

    /// All members that somebody misses.
    pub(crate) fn judge_all(&mut self) {
        let Some(watch) = &self.watch else { return };
        let mut missed: BTreeSet<Place> =
            watch.alerts.keys().map(|(subject, _)| *subject).collect();
        missed.extend(watch.duties.iter().filter(|place| watch.subject(**place).is_suspect()));
        missed.into_iter().for_each(|subject| self.judge(subject));
    }

    /// There is a verdict.
    pub(crate) fn condemn(&mut self, place: Place, evidence: Evidence) {
        let cause = match &evidence {
            Evidence::Alerts { .. } => Cause::Silent,
            Evidence::Said(cause) => *cause,
        };
        let now = self.now;
        let Some(watch) = &mut self.watch else { return };
        let known = watch.subject(place).belief;
        let upgrades =
            matches!(known, Belief::Condemned { cause: Cause::Silent, .. }) && cause.is_final();
        if watch.me == Some(place) || watch.subject(place).is_condemned() && !upgrades {
            return;
        }
        if !upgrades {
            watch.mark(place);
            self.counters.verdicts += 1;
        }
        let subject = watch.subject_mut(place);
        subject.belief = Belief::Condemned { since: now, cause };
        subject.probing = None;
        let life = subject.life();
        watch.absolved.retain(|(subject, _), _| *subject != place);
        watch.evidence.insert(place, evidence.clone());
        let epoch = watch.view.epoch;
        // Who was heard again in between is told once.
        if !self.loss.contains(&life) {
            self.loss.push(life);
        }
        self.timers.loss = self.timers.loss.or(Some(now + LOSS_SPAN));
        self.doubt();
        self.chain.stir();
        self.check_quorum();
        self.say_down(place, cause);
        self.spread(Message::Verdict { epoch, life, evidence });
        self.reassign();
    }

    /// Seats changed hands: new duties begin now, and voices count anew.
    pub(crate) fn reassign(&mut self) {
        let now = self.now;
        let Some(watch) = &mut self.watch else { return };
        let new = watch.assign();
        for place in &new {
            watch.subject_mut(*place).watched_from(now, &self.config);
        }
        new.into_iter().for_each(|place| self.probe(place));
        self.watch_soon();
        self.judge_all();
    }

    /// Reports a death, unless this peer may be the one that is cut off.
    fn say_down(&mut self, place: Place, cause: Cause) {
        let (now, hold) = (self.now, self.config.minority_hold);
        let standing = self.standing;
        let Some(watch) = &mut self.watch else { return };
        let subject = watch.subject_mut(place);
        let life = subject.life();
        if subject.told != Told::Up {
            return;
        }
        if standing == Standing::Lost && !cause.is_final() && rule!("healing/held-down") {
            self.held.entry(life).or_insert(now + hold);
            return;
        }
        subject.told = Told::Down;
        self.held.remove(&life);
        self.event(Event::Down { life, cause, standing });
    }

    /// Verdicts that were held back long enough, or that a majority stands behind again.
    pub(crate) fn release_held(&mut self) {
        let due = |at: &formic_core::Time| *at <= self.now || self.standing == Standing::Held;
        let lives: Vec<Life> =
            self.held.iter().filter(|(_, at)| due(at)).map(|(life, _)| *life).collect();
        for life in lives {
            self.held.remove(&life);
            let standing = self.standing;
            let Some(watch) = &mut self.watch else { return };
            let Some(place) = watch.place_of(life) else { continue };
            let subject = watch.subject_mut(place);
            if let Belief::Condemned { cause, .. } = subject.belief {
                subject.told = Told::Down;
                self.event(Event::Down { life, cause, standing });
            }
        }
    }

    pub(crate) fn vet_verdict(
        &self,
        from: Life,
        (epoch, life): (Epoch, Life),
        evidence: &Evidence,
    ) -> Result<(), Error> {
        let Some(watch) = self.watch.as_ref().filter(|watch| watch.view.epoch == epoch) else {
            return Ok(());
        };
        let (Some(subject), Evidence::Alerts { epoch: reached, alerts, lost }) =
            (watch.place_of(life), evidence)
        else {
            return Ok(());
        };
        // Who observed whom in an earlier view is not known here any more.
        if *reached < epoch {
            return Ok(());
        }
        let (needed, alive) = watch.needed();
        let voices = watch.count(subject, alerts.iter().map(|(life, _)| *life), lost);
        let counted = voices.map_or(0, |(heard, lost)| heard + lost);
        // One voice is enough where the sender knows of no other process (`speaks_alone`): that is no
        // lie, but only its own process takes its word for it.
        let enough = counted >= needed && voices.is_some_and(|(heard, _)| heard >= alive.min(1));
        if enough && *reached == epoch {
            return Ok(());
        }
        Err(Error::BadVerdict { from, life, counted, needed })
    }

    pub(crate) fn on_verdict(
        &mut self,
        from: Life,
        (epoch, life): (Epoch, Life),
        evidence: Evidence,
    ) {
        self.heard(from);
        let Some(watch) = &self.watch else { return };
        if watch.view.epoch != epoch || watch.me.is_none() {
            return;
        }
        if life == self.me.life {
            // Whoever hears that it is missed shows at once that it is here.
            self.timers.beat = self.timers.beat.map(|_| self.now);
            return;
        }
        let Some(place) = watch.place_of(life) else { return };
        let Evidence::Alerts { epoch: reached, alerts, .. } = &evidence else {
            return self.condemn(place, evidence);
        };
        let alone = *reached == epoch && alerts.len() < watch.needed().1;
        if alone && !watch.is_mate(from) && !self.speaks_alone(place) {
            return;
        }
        let subject = watch.subject(place);
        let heard_since = alerts.iter().map(|(_, seq)| *seq).max() < Some(subject.seq);
        if watch.duties.contains(&place) && subject.belief == Belief::Alive && heard_since {
            // It hears the life: the verdict is older than that.
            let seq = subject.seq;
            return self.absolve(place, seq);
        }
        if self.is_absolved(place, &evidence) {
            return;
        }
        self.condemn(place, evidence);
    }

    /// Enough observers heard beats that the evidence does not know of.
    fn is_absolved(&self, place: Place, evidence: &Evidence) -> bool {
        let (Some(watch), Evidence::Alerts { alerts, .. }) = (&self.watch, evidence) else {
            return false;
        };
        let newest = alerts.iter().map(|(_, seq)| *seq).max().unwrap_or(0);
        watch.vouched(place, (newest, alerts.len()))
    }

    /// This peer heard a member that is held for dead, or would be.
    fn absolve(&mut self, place: Place, seq: u64) {
        let observer = self.me.life;
        let Some(watch) = &mut self.watch else { return };
        let (Some(me), life) = (watch.me, watch.subject(place).life()) else { return };
        watch.absolved.insert((place, me), seq);
        let epoch = watch.view.epoch;
        self.spread(Message::Absolve { epoch, life, observer, seq });
    }

    pub(crate) fn on_absolve(&mut self, epoch: Epoch, life: Life, (observer, seq): (Life, u64)) {
        let Some(watch) = &mut self.watch else { return };
        if watch.view.epoch != epoch {
            return;
        }
        let (Some(place), Some(by)) = (watch.place_of(life), watch.place_of(observer)) else {
            return;
        };
        if !watch.watches(by, place) || watch.absolved.get(&(place, by)) >= Some(&seq) {
            return;
        }
        watch.absolved.insert((place, by), seq);
        watch.alerts.remove(&(place, by));
        self.spread(Message::Absolve { epoch, life, observer, seq });
        let Some(watch) = &self.watch else { return };
        let takes_back =
            matches!(watch.subject(place).belief, Belief::Condemned { cause: Cause::Silent, .. });
        let evidence = watch.evidence.get(&place).cloned();
        if takes_back && evidence.is_some_and(|evidence| self.is_absolved(place, &evidence)) {
            self.believe_others(place);
        }
    }

    /// Observers vouch for a condemned life. One that watches it itself goes on missing it: its silence
    /// does not begin anew because others had heard a beat that it lost.
    fn believe_others(&mut self, place: Place) {
        let now = self.now;
        let Some(watch) = &mut self.watch else { return };
        let watches = watch.duties.contains(&place);
        let subject = watch.subject_mut(place);
        subject.belief = Belief::Alive;
        if !watches {
            subject.heard = now;
        }
        self.take_back(place);
        let Some(watch) = &self.watch else { return };
        let missed = watches && watch.subject(place).due(&self.config) <= now;
        if missed && watch.subject(place).belief == Belief::Alive {
            self.suspect(place);
        }
    }

    /// This peer heard a life that it held condemned: it vouches for it, if it watches it.
    pub(crate) fn on_return(&mut self, place: Place) {
        self.take_back(place);
        let Some(watch) = &self.watch else { return };
        if watch.duties.contains(&place) {
            // The beat that was heard is counted after this.
            let seq = watch.subject(place).seq + 1;
            self.absolve(place, seq);
        }
    }

    /// A verdict was wrong, or the life was cut off and is back.
    fn take_back(&mut self, place: Place) {
        let Some(watch) = &mut self.watch else { return };
        watch.mark(place);
        watch.evidence.remove(&place);
        watch.alerts.retain(|(subject, _), _| *subject != place);
        let epoch = watch.view.epoch;
        let subject = watch.subject_mut(place);
        let life = subject.life();
        let was_told = core::mem::replace(&mut subject.told, Told::Up);
        self.counters.false_verdicts += 1;
        self.doubt();
        self.chain.stir();
        self.held.remove(&life);
        self.rumors.retain(|rumor| {
            !matches!(&rumor.message, Message::Verdict { epoch: at, life: who, .. }
                if *at == epoch && *who == life)
        });
        if was_told != Told::Up {
            self.event(Event::Up { life });
        } else {
            self.event(Event::Cleared { life });
        }
        self.reassign();
    }
}
