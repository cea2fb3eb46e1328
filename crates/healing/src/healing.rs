use core::time::Duration;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use formic_core::{Life, Member, PeerId, Protocol, Random, Sink, Time, View, earliest};

use crate::{
    Belief, Busy, Config, Effect, Error, Event, Fate, Input, Message, Standing,
    chain::Chain,
    force::Forcing,
    pause::Pausing,
    watch::{Told, Watch},
};

/// The failure detector and the views of one peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Healing {
    pub(crate) config: Config,
    pub(crate) me: Member,
    pub(crate) random: Random,
    pub(crate) now: Time,
    pub(crate) watch: Option<Watch>,
    pub(crate) chain: Chain,
    /// Every link that is up, member or not.
    pub(crate) links: BTreeMap<PeerId, (Life, Fate)>,
    /// Later lives of members' peers: they vote, and wait to be admitted.
    pub(crate) returned: BTreeMap<PeerId, Life>,
    pub(crate) standing: Standing,
    /// Verdicts that this peer keeps to itself while it may be the one that is cut off.
    pub(crate) held: BTreeMap<Life, Time>,
    pub(crate) rumors: VecDeque<Rumor>,
    pub(crate) timers: Timers,
    pub(crate) pace: Pace,
    pub(crate) pausing: Pausing,
    pub(crate) forcing: Option<Forcing>,
    /// Lives condemned within the last half second.
    pub(crate) loss: Vec<Life>,
    /// When views and verdicts were last shown to a peer.
    pub(crate) shown: BTreeMap<PeerId, Time>,
    pub(crate) counters: Counters,
    pub(crate) fresh: bool,
    pub(crate) out: Vec<Effect>,
}

/// A message that spreads: to four random members, four times.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rumor {
    pub(crate) message: Message,
    pub(crate) left: u8,
    pub(crate) at: Time,
}

/// When what is due at the earliest. Firing early is harmless.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Timers {
    pub(crate) beat: Option<Time>,
    pub(crate) silence: Option<Time>,
    pub(crate) alert: Option<Time>,
    pub(crate) probe: Option<Time>,
    pub(crate) quorum: Option<Time>,
    pub(crate) loss: Option<Time>,
    /// Others are asked for later views: this peer has no majority.
    pub(crate) seek: Option<Time>,
}

/// How often this peer beats.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pace {
    pub(crate) seq: u64,
    pub(crate) busy: Busy,
    /// Since when there is nothing that others wait for.
    pub(crate) idle_since: Time,
    /// Full-rate beats left before it gets quiet.
    pub(crate) fading: u8,
    /// No alerts before this moment: this peer stalled.
    pub(crate) humble_until: Time,
    pub(crate) lag_ms: u16,
}

/// What happened so far: monotone counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// Verdicts reached or believed here.
    pub verdicts: u64,
    /// Of these: taken back.
    pub false_verdicts: u64,
    /// Members evicted by views seen here.
    pub evictions: u64,
    /// Views installed here.
    pub views: u64,
}

impl Healing {
    /// A peer that belongs to no view yet. `random` decides whom it tells first.
    ///
    /// # Errors
    /// A value of `config` is out of its range.
    pub fn new(config: Config, me: Member, random: Random) -> Result<Self, Error> {
        config.check()?;
        Ok(Self {
            config,
            me,
            random,
            now: Time::ZERO,
            watch: None,
            chain: Chain::default(),
            links: BTreeMap::new(),
            returned: BTreeMap::new(),
            standing: Standing::Lost,
            held: BTreeMap::new(),
            rumors: VecDeque::new(),
            timers: Timers::default(),
            pace: Pace {
                seq: 0,
                busy: Busy::Yes,
                idle_since: Time::ZERO,
                fading: 0,
                humble_until: Time::ZERO,
                lag_ms: 0,
            },
            pausing: Pausing::default(),
            forcing: None,
            loss: Vec::new(),
            shown: BTreeMap::new(),
            counters: Counters::default(),
            fresh: true,
            out: Vec::new(),
        })
    }

    /// The last committed view that this peer knows.
    pub fn view(&self) -> Option<&Arc<View>> {
        self.watch.as_ref().map(|watch| &watch.view)
    }

    /// Whether this life is a member of the last committed view.
    pub fn is_member(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.me.is_some())
    }

    /// Whether this peer belongs to a majority.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// What is believed about a member, and when it was last heard. `None`: it is none.
    pub fn belief(&self, life: Life) -> Option<(Belief, Time)> {
        let watch = self.watch.as_ref()?;
        let subject = watch.subject(watch.place_of(life)?);
        Some((subject.belief, subject.heard))
    }

    /// All other members in the order of the view.
    pub fn subjects(&self) -> impl Iterator<Item = (Life, Belief)> {
        let subjects = self.watch.iter().flat_map(|watch| &watch.subjects);
        let me = self.me.life;
        let others = subjects.filter(move |subject| subject.life() != me);
        others.map(|subject| (subject.life(), subject.belief))
    }

    /// Members that were reported as up and not as down since; sorted. O(members).
    pub fn up(&self) -> Vec<Life> {
        let subjects = self.watch.iter().flat_map(|watch| &watch.subjects);
        let up = subjects.filter(|subject| subject.told == Told::Up);
        let mut lives: Vec<Life> = up.map(|subject| subject.life()).collect();
        lives.sort_unstable();
        lives
    }

    /// All other members that were reported, with what is believed about them; those held for up
    /// although there is a verdict count as alive.
    pub fn told(&self) -> Vec<(Life, Belief)> {
        let subjects = self.watch.iter().flat_map(|watch| &watch.subjects);
        let told = subjects.filter_map(|subject| match subject.told {
            Told::Nothing => None,
            Told::Up => Some((subject.life(), Belief::Alive)),
            Told::Down => Some((subject.life(), subject.belief)),
        });
        told.collect()
    }

    /// What happened so far.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Asserts what must hold between any two inputs: O(members).
    ///
    /// # Panics
    /// If an invariant is broken.
    pub fn check(&self) {
        assert!(self.out.is_empty(), "{} left effects behind", self.me.life);
        let Some(watch) = &self.watch else { return };
        let mut condemned = 0;
        for (n, subject) in watch.subjects.iter().enumerate() {
            assert_eq!(watch.view.members[n], subject.member, "subjects follow the view");
            if subject.is_condemned() {
                condemned ^= formic_core::mix(crate::message::number(subject.life().peer));
            }
            let held = self.held.contains_key(&subject.life());
            assert!(!held || subject.told == Told::Up, "{} is held but down", subject.life());
        }
        assert_eq!(condemned, watch.condemned, "the digest follows the condemned");
        assert!(watch.duties.iter().all(|place| Some(*place) != watch.me), "nobody watches itself");
        self.chain.check();
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.out.push(Effect::Event(event));
    }

    pub(crate) fn send(&mut self, to: Life, message: Message) {
        self.out.push(Effect::Send { to, message });
    }

    /// The life that speaks for a peer: the newest one met.
    pub(crate) fn newest(&self, life: Life) -> Life {
        self.returned.get(&life.peer).copied().unwrap_or(life).max(life)
    }

    /// Spreads a message from here on.
    pub(crate) fn spread(&mut self, message: Message) {
        let beaten = self.watch.as_ref().is_some_and(|watch| watch.rings.observers > 0);
        if beaten && !self.rumors.iter().any(|rumor| rumor.message == message) {
            self.rumors.push_back(Rumor { message, left: 4, at: self.now });
        }
    }

    fn spread_due(&mut self) {
        let mut rumors = core::mem::take(&mut self.rumors);
        let now = self.now;
        for rumor in rumors.iter_mut().filter(|rumor| rumor.at <= now) {
            rumor.left -= 1;
            rumor.at = now + SPREAD_EVERY;
            let targets = self.some_members(SPREAD_TO);
            targets.into_iter().for_each(|to| self.send(to, rumor.message.clone()));
        }
        rumors.retain(|rumor| rumor.left > 0);
        self.rumors.extend(rumors);
    }

    /// Up to `count` different members that are not condemned, by chance.
    pub(crate) fn some_members(&mut self, count: usize) -> Vec<Life> {
        let Some(watch) = &self.watch else { return Vec::new() };
        let mut chosen: Vec<Life> = Vec::with_capacity(count);
        // A few draws more than needed: some hit the condemned, this peer, or one already chosen.
        for _ in 0..count * 4 {
            let Some(subject) = self.random.pick(&watch.subjects) else { break };
            let life = subject.life();
            let known = chosen.len() == count || chosen.contains(&life);
            if !known && !subject.is_condemned() && life != self.me.life {
                chosen.push(life);
            }
        }
        chosen
    }

    fn on_deadline(&mut self) {
        let due = |at: Option<Time>, now: Time| at.is_some_and(|at| at <= now);
        let now = self.now;
        let Some(first) = self.deadline().filter(|first| *first <= now) else { return };
        self.mind_lateness(now.since(first));
        if due(self.timers.silence, now) {
            self.check_silence();
        }
        if due(self.timers.alert, now) {
            self.alert();
        }
        if due(self.timers.probe, now) {
            self.probe_due();
        }
        if due(self.timers.beat, now) {
            self.beat();
        }
        if due(self.timers.loss, now) {
            self.timers.loss = None;
            let lives = core::mem::take(&mut self.loss);
            self.event(Event::Loss { lives });
        }
        if due(self.timers.seek, now) {
            self.seek();
        }
        self.release_held();
        self.pause_deadline();
        self.force_deadline();
        self.chain_deadline();
    }

    fn dispatch(&mut self, input: Input) -> Result<(), Error> {
        match input {
            Input::Restore(records) => self.on_restore(records)?,
            Input::Found => self.on_found(),
            Input::Joined(view) => self.on_joined(view)?,
            Input::Admit(member) => self.on_admit(member),
            Input::Kin { life } => self.on_kin(life),
            Input::LinkUp { life, fate } => self.on_link_up(life, fate),
            Input::LinkDown { life, reason } => self.on_link_down(life, reason),
            Input::Heard { life } => self.heard(life),
            Input::Message { from, message } => self.on_message(from, message)?,
            Input::Left { life } => self.on_left(life),
            Input::Busy(busy) => self.on_busy(busy),
            Input::Pause(span) => self.on_pause(span),
            Input::Resume => self.on_resume(),
            Input::ForceView { members, epoch, reason } => self.on_force(members, epoch, reason),
            Input::Deadline => self.on_deadline(),
        }
        Ok(())
    }
}

/// How many members hear a rumor at once.
const SPREAD_TO: usize = 4;
/// Between two of its rounds: several one-way delays of one site.
const SPREAD_EVERY: Duration = Duration::from_millis(20);

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
        let before = core::mem::replace(&mut self.now, now);
        self.mind_stall();
        if let Err(error) = self.dispatch(input) {
            self.now = before;
            debug_assert!(self.out.is_empty(), "checks come before pushes");
            return Err(error);
        }
        self.fresh = false;
        self.check_quorum();
        // A view that this peer decides alone changes what there is to consider.
        while self.chain.is_due(now) {
            self.consider();
        }
        self.check_quorum();
        self.spread_due();
        self.out.drain(..).for_each(|effect| out.push(effect));
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let timers = &self.timers;
        let rumor = self.rumors.iter().map(|rumor| rumor.at).min();
        let held = self.held.values().min().copied();
        let forcing = self.forcing.as_ref().map(|forcing| forcing.until);
        [
            timers.beat,
            timers.silence,
            timers.alert,
            timers.probe,
            timers.quorum,
            timers.loss,
            timers.seek,
            rumor,
            held,
            forcing,
            self.pausing.deadline(),
            self.chain.deadline(),
        ]
        .into_iter()
        .fold(None, earliest)
    }
}
