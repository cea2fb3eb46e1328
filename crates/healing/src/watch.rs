//! What one peer knows about the members of the view that it watches and is watched in.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_core::{Life, Member, PeerId, Time, View, mix};

use crate::{
    Cause, Config, Evidence,
    message::{head, number},
    rings::{Place, Post, Rings},
};

/// What is believed about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Belief {
    /// Not heard yet.
    Unheard,
    /// Nothing speaks against it.
    Alive,
    /// This peer misses it.
    Suspect {
        /// Since when.
        since: Time,
    },
    /// There is a verdict.
    Condemned {
        /// Since when.
        since: Time,
        /// Why.
        cause: Cause,
    },
}

/// What was said about a life to the other protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Told {
    Nothing,
    Up,
    Down,
}

/// Questions to a silent observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Probing {
    pub(crate) since: Time,
    pub(crate) sent: u8,
    pub(crate) next: Time,
}

/// A member, as this peer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    pub(crate) member: Member,
    pub(crate) belief: Belief,
    pub(crate) told: Told,
    /// When it was last heard, or when its silence began to count.
    pub(crate) heard: Time,
    /// Its newest beat.
    pub(crate) seq: u64,
    /// The silence it announced.
    pub(crate) promise: Duration,
    pub(crate) paused_until: Option<Time>,
    /// It did not answer probes; cleared by any frame.
    pub(crate) mute: bool,
    /// Not heard since this peer stood still for long: what arrives before this moment may have waited meanwhile.
    pub(crate) stale: Option<Time>,
    /// Since when its observers disagree.
    pub(crate) disputed: Option<Time>,
    pub(crate) probing: Option<Probing>,
}

impl Subject {
    fn new(member: Member, heard: Time) -> Self {
        Self {
            member,
            belief: Belief::Unheard,
            told: Told::Nothing,
            heard,
            seq: 0,
            promise: Duration::ZERO,
            paused_until: None,
            mute: false,
            stale: None,
            disputed: None,
            probing: None,
        }
    }

    pub(crate) const fn life(&self) -> Life {
        self.member.life
    }

    pub(crate) const fn is_condemned(&self) -> bool {
        matches!(self.belief, Belief::Condemned { .. })
    }

    pub(crate) const fn is_suspect(&self) -> bool {
        matches!(self.belief, Belief::Suspect { .. })
    }

    /// Since when this peer misses it.
    pub(crate) const fn missed_since(&self) -> Option<Time> {
        match self.belief {
            Belief::Suspect { since } => Some(since),
            _ => None,
        }
    }

    /// Condemned or mute: its seat as an observer is empty.
    pub(crate) const fn is_out(&self) -> bool {
        self.is_condemned() || self.mute
    }

    /// This peer begins to watch it: its silence counts from `at` on. Of one that was never heard the
    /// time that it has to dial goes on, but it needs as long as all others to beat here.
    pub(crate) fn watched_from(&mut self, at: Time, config: &Config) {
        let waits = config.first_timeout.saturating_sub(config.timeout);
        let from = if self.belief == Belief::Unheard { at - waits } else { at };
        self.heard = self.heard.max(from);
    }

    /// When its silence has lasted too long.
    pub(crate) fn due(&self, config: &Config) -> Time {
        let silence = match self.belief {
            Belief::Unheard => config.first_timeout,
            _ => config.timeout.max(self.promise * 7 / 2),
        };
        (self.heard + silence).max(self.paused_until.unwrap_or(Time::ZERO))
    }
}

/// A suspicion of another observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Alerted {
    /// When it was last said.
    pub(crate) at: Time,
    /// Since when it is said again and again.
    pub(crate) since: Time,
    pub(crate) seq: u64,
}

/// One view, and what this peer knows about its members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Watch {
    pub(crate) view: Arc<View>,
    pub(crate) head: u64,
    pub(crate) rings: Rings,
    /// This life's place; `None`: this peer is no member as this life.
    pub(crate) me: Option<Place>,
    pub(crate) subjects: Vec<Subject>,
    places: BTreeMap<PeerId, Place>,
    /// Whom this peer watches, stand-ins included.
    pub(crate) duties: BTreeSet<Place>,
    /// By subject and observer.
    pub(crate) alerts: BTreeMap<(Place, Place), Alerted>,
    /// Observers that heard a condemned life again, and its beat.
    pub(crate) absolved: BTreeMap<(Place, Place), u64>,
    /// Why the condemned are.
    pub(crate) evidence: BTreeMap<Place, Evidence>,
    /// Order-free digest of the condemned.
    pub(crate) condemned: u64,
    /// When this peer last asked everybody whether it is alone.
    pub(crate) asked_all: Option<Time>,
}

impl Watch {
    /// A new view. What is known about lives that stay members is kept.
    pub(crate) fn new(view: Arc<View>, me: Life, config: &Config, now: Time) -> Self {
        let rings = Rings::of(&view, config);
        let subjects: Vec<Subject> =
            view.members.iter().map(|member| Subject::new(*member, now)).collect();
        let place = |n: usize| Place::try_from(n).unwrap_or(Place::MAX);
        let places = view.lives().enumerate().map(|(n, life)| (life.peer, place(n))).collect();
        let me = view.lives().position(|life| life == me).map(place);
        let mut watch = Self {
            head: head(view.hash()),
            view,
            rings,
            me,
            subjects,
            places,
            duties: BTreeSet::new(),
            alerts: BTreeMap::new(),
            absolved: BTreeMap::new(),
            evidence: BTreeMap::new(),
            condemned: 0,
            asked_all: None,
        };
        watch.assign();
        watch
    }

    /// Takes over what the last view's watch knew. Alerts belong to their view and are not.
    pub(crate) fn inherit(&mut self, mut old: Self, now: Time, config: &Config) -> Vec<Subject> {
        let mut gone = Vec::new();
        for subject in core::mem::take(&mut old.subjects) {
            let kept = self.place_of(subject.life());
            let Some(place) = kept else {
                gone.push(subject);
                continue;
            };
            let watched = old.duties.contains(&old.place_of_peer(subject.life().peer));
            let new = &mut self.subjects[usize::from(place)];
            *new = subject;
            // It did not beat this peer before: its silence counts from half a timeout on.
            if !watched {
                new.watched_from(now - config.timeout / 2, config);
            }
            new.disputed = None;
            if new.is_condemned()
                && let Some(evidence) = old.evidence.remove(&old.places[&new.life().peer])
            {
                self.condemned ^= mix(number(new.life().peer));
                self.evidence.insert(place, evidence);
            }
        }
        self.assign();
        gone
    }

    fn place_of_peer(&self, peer: PeerId) -> Place {
        self.places.get(&peer).copied().unwrap_or(Place::MAX)
    }

    /// The place of this very life.
    pub(crate) fn place_of(&self, life: Life) -> Option<Place> {
        let place = self.place(life.peer)?;
        (self.subject(place).life() == life).then_some(place)
    }

    /// The place of a peer, whichever its life.
    pub(crate) fn place(&self, peer: PeerId) -> Option<Place> {
        self.places.get(&peer).copied()
    }

    pub(crate) fn subject(&self, place: Place) -> &Subject {
        &self.subjects[usize::from(place)]
    }

    pub(crate) fn subject_mut(&mut self, place: Place) -> &mut Subject {
        &mut self.subjects[usize::from(place)]
    }

    pub(crate) fn is_out(&self, place: Place) -> bool {
        self.subject(place).is_out()
    }

    /// When this peer asks one whom it watches as a stand-in whether it is there: it is not beaten by those
    /// who hold its predecessor for alive. `None`: it need not, or has asked.
    pub(crate) fn asks_at(&self, place: Place) -> Option<Time> {
        let subject = self.subject(place);
        let seated = self.me.is_some_and(|me| self.rings.has_seat(me, place));
        let asks = !seated && subject.belief == Belief::Alive && subject.probing.is_none();
        asks.then(|| subject.heard + self.rings.interval * 2)
    }

    /// Whom this peer watches and misses.
    pub(crate) fn missed(&self) -> Vec<Place> {
        let missed = |place: &Place| self.subject(*place).is_suspect();
        self.duties.iter().copied().filter(missed).collect()
    }

    /// The same, as an alert names them: each with the last beat heard.
    pub(crate) fn suspects(&self) -> Vec<(Life, u64)> {
        let missed = self.missed().into_iter().map(|place| self.subject(place));
        missed.map(|subject| (subject.life(), subject.seq)).collect()
    }

    /// Whether this life is another one of this peer's process.
    pub(crate) fn is_mate(&self, life: Life) -> bool {
        let places = self.me.zip(self.place_of(life));
        places.is_some_and(|(me, other)| me != other && !self.rings.may_watch(me, other))
    }

    /// Who watches this member at the moment.
    pub(crate) fn posts(&self, subject: Place) -> Vec<Post> {
        self.rings.observers(subject, |place| self.is_out(place))
    }

    /// Whether this peer or another watches `subject` in `observer`'s person.
    pub(crate) fn watches(&self, observer: Place, subject: Place) -> bool {
        self.posts(subject)
            .iter()
            .any(|post| post.observer == observer || post.stand_in == Some(observer))
    }

    /// Voices of a verdict: distinct members that miss the subject, and lost observers. `None`: no state
    /// of this view gives this verdict. Which member stands in for a lost observer depends on what
    /// its sender knew, so any other process may; but there are no more voices than seats.
    pub(crate) fn count(
        &self,
        subject: Place,
        alerts: impl Iterator<Item = Life>,
        lost: &[Life],
    ) -> Option<(usize, usize)> {
        let mut voices = BTreeSet::new();
        for life in alerts {
            let place = self.place_of(life)?;
            if !self.rings.may_watch(place, subject) || !voices.insert(place) {
                return None;
            }
        }
        let heard = voices.len();
        for life in lost {
            let place = self.place_of(*life)?;
            if !self.rings.has_seat(place, subject) || !voices.insert(place) {
                return None;
            }
        }
        (voices.len() <= self.rings.observers).then_some((heard, voices.len() - heard))
    }

    /// Recomputes whom this peer watches.
    pub(crate) fn assign(&mut self) -> Vec<Place> {
        let Some(me) = self.me else { return Vec::new() };
        let mut duties: BTreeSet<Place> = self.rings.subjects(me).iter().copied().collect();
        if self.subjects.iter().any(Subject::is_out) {
            let orphaned: BTreeSet<Place> = (0..self.subjects.len())
                .filter_map(|n| Place::try_from(n).ok())
                .filter(|place| self.is_out(*place))
                .flat_map(|place| self.rings.subjects(place).iter().copied())
                .filter(|subject| *subject != me && !self.subject(*subject).is_condemned())
                .collect();
            let stands_in =
                |subject: &Place| self.posts(*subject).iter().any(|post| post.stand_in == Some(me));
            duties.extend(orphaned.into_iter().filter(stands_in));
        }
        let new = duties.difference(&self.duties).copied().collect();
        self.duties = duties;
        new
    }

    /// Lives that hear this peer's beats: its observers and their stand-ins, condemned ones too, for
    /// after a cut they must hear of this peer to take their verdict back.
    pub(crate) fn beaten(&self) -> Vec<Life> {
        let Some(me) = self.me else { return Vec::new() };
        let mut targets = BTreeSet::new();
        for post in self.posts(me) {
            targets.insert(post.observer);
            targets.extend(post.stand_in);
        }
        targets.into_iter().map(|place| self.subject(place).life()).collect()
    }

    /// Voices that condemn, and how many of them must be alerts of the living.
    pub(crate) fn needed(&self) -> (usize, usize) {
        let voices = if formic_core::rule!("healing/H") { self.rings.voices } else { 1 };
        (voices, voices.min(2))
    }

    /// An observer misses a member, and no longer vouches for it.
    pub(crate) fn accuse(
        &mut self,
        (subject, observer): (Place, Place),
        mut alert: Alerted,
        fresh: Duration,
    ) {
        let before = self.alerts.get(&(subject, observer));
        if let Some(before) = before.filter(|before| alert.at.since(before.at) <= fresh) {
            alert.since = before.since;
        }
        self.alerts.insert((subject, observer), alert);
        if self.absolved.get(&(subject, observer)).is_some_and(|vouched| *vouched <= alert.seq) {
            self.absolved.remove(&(subject, observer));
        }
    }

    /// Whether enough observers heard beats of this member after number `seq` to take back a verdict of
    /// `alerts` voices: one takes back what one said alone.
    pub(crate) fn vouched(&self, subject: Place, (seq, alerts): (u64, usize)) -> bool {
        let voices = self.absolved.range((subject, 0)..=(subject, Place::MAX));
        let needed = self.needed().1.min(alerts.max(1));
        voices.filter(|(_, heard)| **heard > seq).count() >= needed
    }

    pub(crate) fn mark(&mut self, place: Place) {
        self.condemned ^= mix(number(self.subject(place).life().peer));
    }
}
