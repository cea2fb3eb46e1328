use std::{collections::BTreeMap, sync::Arc};

use formic_core::{Capability, Digest, Life, PeerId, Protocol, Random, Sink, Time, View, earliest};

use crate::{
    Audience, Candidate, Config, Draft, Effect, Error, Event, Health, Input, Load, Message,
    NoCapablePeer, NoMatch, Record, Requirement, Scope, Slot, SlotRecord, Standing, Value,
    admission::Departed,
    casts::Casts,
    door::Door,
    index::{Index, Saturated, Takes},
    join::Join,
    load::Publisher,
    roster::{Entry, Pace, Roster},
    search::Search,
    slot::Slots,
    sync::Sync,
    tree::Tree,
    vitals::Vitals,
};

/// Membership of one peer: who is here, what they can do, whom to dial.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mesh {
    pub(crate) config: Config,
    pub(crate) me: Life,
    pub(crate) mesh: Option<Digest>,
    pub(crate) view: Option<Arc<View>>,
    pub(crate) place: Place,
    pub(crate) quorum: Quorum,
    pub(crate) roster: Roster,
    /// Lives that were members, for a while.
    pub(crate) departed: BTreeMap<PeerId, Departed>,
    pub(crate) door: Door,
    /// Every link that is up, members or not.
    pub(crate) links: BTreeMap<PeerId, Life>,
    pub(crate) join: Join,
    pub(crate) search: Search,
    pub(crate) slots: Slots,
    pub(crate) publisher: Publisher,
    pub(crate) tree: Tree,
    pub(crate) sync: Sync,
    pub(crate) index: Index,
    pub(crate) casts: Casts,
    pub(crate) vitals: Vitals,
    pub(crate) random: Random,
    pub(crate) started: bool,
    /// When the next deadline is.
    wakes: Option<Time>,
    pub(crate) now: Time,
}

/// What the newest view known says about this life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// Nothing: it wants in.
    Outside,
    /// Its first view is on its way.
    Founding,
    /// An earlier life of this peer is in it: this one wants in, and may vote others in.
    Returning,
    /// It is a member.
    Member,
    /// It was a member: only a later life may come back.
    Evicted,
}

/// Whether a majority is in touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Quorum {
    Held,
    Lost,
}

impl Mesh {
    /// A peer that has not looked for anybody yet.
    ///
    /// # Errors
    /// A value of `config` is out of its range.
    pub fn new(config: Config, me: Life) -> Result<Self, Error> {
        config.check()?;
        let record = config.record(me)?;
        let mut random = Random::new(config.seed);
        let casts = Casts::new(me, config.casts(), Random::new(random.next()));
        let mut roster = Roster::default();
        let mut index = Index::default();
        index.put(me, &record.capabilities, &record.labels);
        index.mark(me.peer, Takes::Work, Saturated::No);
        let own = Entry { record: Some(record), standing: Standing::Alive, ..Entry::new(me) };
        roster.insert(own);
        Ok(Self {
            mesh: config.found.or(config.rejoin),
            sync: Sync::new(config.sync_interval),
            config,
            me,
            view: None,
            place: Place::Outside,
            quorum: Quorum::Held,
            roster,
            departed: BTreeMap::new(),
            door: Door::default(),
            links: BTreeMap::new(),
            join: Join::default(),
            search: Search::default(),
            slots: Slots::default(),
            publisher: Publisher::default(),
            tree: Tree::default(),
            index,
            casts,
            vitals: Vitals::new(),
            random,
            started: false,
            wakes: None,
            now: Time::ZERO,
        })
    }

    /// The mesh this peer is a member of, was one of, or founds.
    pub const fn mesh(&self) -> Option<Digest> {
        self.mesh
    }

    /// The newest view known.
    pub const fn view(&self) -> Option<&Arc<View>> {
        self.view.as_ref()
    }

    /// This life.
    pub const fn me(&self) -> Life {
        self.me
    }

    /// Whether this very life is a member, or this one. O(log members).
    pub fn is_member(&self, life: Life) -> bool {
        self.roster.of(life).is_some()
    }

    /// All members whose records are known with what is known about them, this one included, sorted
    /// by peer.
    pub fn members(&self) -> impl Iterator<Item = (&Record, Standing)> {
        let known = |entry: &'_ Entry| entry.standing;
        self.roster.iter().filter_map(move |it| Some((it.record.as_ref()?, known(it))))
    }

    /// The record of this life, if it is a member and its record is known.
    pub fn member(&self, life: Life) -> Option<&Record> {
        self.roster.of(life).and_then(|entry| entry.record.as_ref())
    }

    /// This peer's own record.
    pub fn own(&self) -> Option<&Record> {
        self.member(self.me)
    }

    /// The life by which a peer is a member.
    pub fn life(&self, peer: &PeerId) -> Option<Life> {
        self.roster.get(peer).map(|entry| entry.life)
    }

    /// What a life that was a member until a minute ago had said about itself.
    pub fn departed(&self) -> impl Iterator<Item = (Life, Option<&Record>)> {
        self.departed.values().map(|departed| (departed.life, departed.record.as_ref()))
    }

    /// What a member publishes in a slot beside its main record.
    pub fn slot(&self, life: Life, slot: Slot) -> Option<&SlotRecord> {
        self.slots.get(life.peer, slot).filter(|record| record.owner == life)
    }

    /// How busy a member is as far as it publishes that, and whether it calls itself saturated.
    pub fn load(&self, life: Life) -> Option<(Load, bool)> {
        match self.slot(life, Slot::LOAD)?.value {
            Value::Load { load, saturated } => Some((load, saturated)),
            Value::Application(_) => None,
        }
    }

    /// Lives that are alive, take work and serve all of `requires`; sorted.
    pub fn candidates(&self, requires: &[Capability]) -> Vec<Life> {
        self.index.able(requires)
    }

    /// Who answers to `requirement`: alive and taking work, sorted by life, saturated ones last.
    ///
    /// # Errors
    /// The requirement breaks a limit, or nobody answers to it.
    pub fn search(&self, requirement: &Requirement) -> Result<Vec<Candidate>, NoMatch> {
        requirement.check()?;
        let found = self.index.search(requirement);
        if found.is_empty() {
            return Err(NoMatch::Nobody(self.nearest(requirement)));
        }
        Ok(found)
    }

    /// O(members x capabilities).
    fn nearest(&self, requirement: &Requirement) -> NoCapablePeer {
        let mut missing = self.index.unserved(&requirement.required);
        for group in &requirement.any_of {
            if self.index.unserved(group).len() == group.len() {
                missing.extend(group.first().cloned());
            }
        }
        let lacks = |(life, offered): (Life, &[Capability])| (life, requirement.lacking(offered));
        let mut nearest: Vec<(Life, Vec<Capability>)> = self.index.takers().map(lacks).collect();
        nearest.sort_by_key(|(life, lacking)| (lacking.len(), *life));
        nearest.truncate(5);
        NoCapablePeer { missing, nearest }
    }

    /// Why [`Mesh::candidates`] is empty: the capabilities that nobody alive has, or all of `requires`
    /// where no single peer has them together. Empty if there is a candidate.
    pub fn missing(&self, requires: &[Capability]) -> Vec<Capability> {
        if !self.candidates(requires).is_empty() {
            return Vec::new();
        }
        let missing = self.index.unserved(requires);
        if missing.is_empty() { requires.to_vec() } else { missing }
    }

    /// How this peer's part of the mesh does. O(members).
    pub fn health(&self) -> Health {
        self.vitals.health(self.now)
    }

    /// How many casts were given up for this peer so far.
    pub const fn cast_gaps(&self) -> u64 {
        self.casts.gaps
    }

    fn on_link_up(&mut self, now: Time, life: Life, out: &mut impl Sink<Effect>) {
        self.links.insert(life.peer, life);
        self.search.rendezvous_at = None;
        self.vitals.on_linked(life);
        if self.roster.of(life).is_some() && life != self.me && self.place == Place::Member {
            self.greet(now, life, out);
        }
        if self.wants_in() {
            self.knock(now, life, out);
        }
    }

    fn on_link_down(&mut self, now: Time, life: Life) {
        if self.links.get(&life.peer) == Some(&life) {
            self.links.remove(&life.peer);
        }
        self.join.link_lost(life);
        self.search.asked.remove(&life.peer);
        self.casts.on_unlinked(life);
        self.vitals.on_unlinked(now, life, self.links.len());
        self.redial(now, life, crate::rounds::FIRST_REDIAL);
        if self.members_linked().next().is_none() {
            self.look_around(now);
        }
    }

    /// Links to members.
    pub(crate) fn members_linked(&self) -> impl Iterator<Item = Life> {
        self.links.values().copied().filter(|&life| self.roster.of(life).is_some())
    }

    /// A member at the other end of a link: each tells the other what it publishes, and they compare.
    pub(crate) fn greet(&mut self, now: Time, life: Life, out: &mut impl Sink<Effect>) {
        if let Some(entry) = self.roster.of_mut(life) {
            (entry.failed, entry.dial_at) = (0, None);
        }
        self.vitals.on_linked(life);
        self.send_own(life, out);
        out.push(Effect::Send { to: life, message: Message::Root { root: self.tree.root() } });
        self.sync.wake(now);
        self.casts.on_linked(now, life, out);
    }

    fn on_message(
        &mut self,
        now: Time,
        from: Life,
        message: Message,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        match message {
            Message::Knock { mesh, fate, record } => {
                self.on_knock(now, from, (mesh, fate, *record), out)
            }
            Message::Welcome { mesh, view, records } => {
                self.on_welcome(now, from, (mesh, view, records), out)
            }
            Message::Refused { reason } => self.on_refused(from, reason, out),
            Message::Who { max } => {
                self.on_who(now, from, max, out);
                Ok(())
            }
            Message::Peers { peers } => self.on_peers(from, peers, out),
            Message::Delta { mesh, records, slots } => {
                self.on_delta(now, from, (mesh, records, slots), out)
            }
            _ if self.roster.of(from).is_none() || self.place != Place::Member => {
                // Its view, or this peer's, is on its way: what is lost is offered again.
                Ok(())
            }
            Message::Root { root } => {
                self.on_root(now, from, root, out);
                Ok(())
            }
            Message::Same => {
                self.on_same(now, from);
                Ok(())
            }
            Message::Nodes { nodes } => self.on_nodes(from, nodes, out),
            Message::Keys { leaves } => self.on_keys(from, leaves, out),
            Message::Pull { keys } => self.on_pull(from, keys, out),
            Message::Cast(message) => self.casts.on_message(now, from, message, out),
            Message::Leave => {
                self.on_leave_of(from, out);
                Ok(())
            }
        }
    }

    fn on_leave_of(&mut self, from: Life, out: &mut impl Sink<Effect>) {
        let Some(entry) = self.roster.of_mut(from) else { return };
        if entry.standing != Standing::Left {
            (entry.standing, entry.dial_at) = (Standing::Left, None);
            out.push(Effect::Event(Event::Left { life: from }));
            self.refresh(from);
        }
    }

    fn on_leave(&mut self, out: &mut impl Sink<Effect>) {
        for to in self.members_linked() {
            out.push(Effect::Send { to, message: Message::Leave });
        }
    }

    fn on_quorum(&mut self, now: Time, quorum: Quorum, out: &mut impl Sink<Effect>) {
        self.quorum = quorum;
        match quorum {
            Quorum::Held => self.vitals.on_quorum_held(),
            Quorum::Lost => {
                self.vitals.on_quorum_lost(now);
                self.redial_all(now);
                self.look_around(now);
            }
        }
        self.report_health(now, out);
    }

    fn on_cast(
        &mut self,
        now: Time,
        (to, draft): (Audience, Draft),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let epoch = self.view.as_ref().filter(|_| self.place == Place::Member);
        let epoch = epoch.ok_or(Error::CastOutside)?.epoch;
        let scope = match to {
            Audience::All => Scope::All,
            Audience::Named(lives) => Scope::Named(lives),
            Audience::Capable(requirement) => Scope::Named(self.fittest(&requirement)?),
        };
        self.casts.cast(now, epoch, (scope, draft), out).map(drop)
    }

    fn fittest(&self, requirement: &Requirement) -> Result<Vec<Life>, Error> {
        let mut found = self.search(requirement).map_err(|none| match none {
            NoMatch::Excess(excess) => Error::Requirement(excess),
            NoMatch::Nobody(_) => Error::NoAudience,
        })?;
        found.retain(|candidate| candidate.life != self.me);
        found.sort_by_key(|it| (it.saturated, core::cmp::Reverse(it.fit), it.life));
        found.truncate(crate::NAMED_MAX);
        let lives: Vec<Life> = found.into_iter().map(|candidate| candidate.life).collect();
        if lives.is_empty() { Err(Error::NoAudience) } else { Ok(lives) }
    }

    fn on_deadline(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        if !core::mem::replace(&mut self.started, true) {
            self.start(now, out);
        }
        self.door.expire(now);
        let forget_after = self.config.forget_after;
        self.departed.retain(|_, departed| departed.since + forget_after > now);
        self.search_on(now, out);
        self.knock_again(now, out);
        self.dial_members(now, out);
        self.publish_load(now, out);
        self.compare_records(now, out);
        self.casts.on_deadline(now, out);
        if self.vitals.deadline().is_some_and(|at| at <= now) {
            self.report_health(now, out);
        }
    }

    pub(crate) fn report_health(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        if let Some(status) = self.vitals.look(now) {
            out.push(Effect::Event(Event::Health { status }));
        }
    }
}

impl Protocol for Mesh {
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
            Input::LinkUp { life } => self.on_link_up(now, life, out),
            Input::LinkDown { life } => self.on_link_down(now, life),
            Input::DialFailed { peer } => self.on_dial_failed(now, peer),
            Input::Found { addresses } => self.on_found(addresses, out),
            Input::Addresses { addresses } => self.search.store(addresses),
            Input::Message { from, message } => self.on_message(now, from, message, out)?,
            Input::View { view } => self.on_view(now, view, out)?,
            Input::Up { life } | Input::Cleared { life } => {
                self.on_standing(now, life, Standing::Alive, out);
            }
            Input::Suspect { life } => self.on_standing(now, life, Standing::Suspect, out),
            Input::Down { life } => self.on_standing(now, life, Standing::Down, out),
            Input::Paused { life } => self.on_pace(life, Pace::Paused),
            Input::Resumed { life } => self.on_pace(life, Pace::Running),
            Input::Quorum { held: true } => self.on_quorum(now, Quorum::Held, out),
            Input::Quorum { held: false } => self.on_quorum(now, Quorum::Lost, out),
            Input::Margin { margin } => {
                self.vitals.on_margin(now, margin);
                self.report_health(now, out);
            }
            Input::Sample { life, rtt, full } => self.vitals.on_sample(now, life, (rtt, full)),
            Input::Late { by } => self.vitals.on_late(now, by),
            Input::SetCapabilities { capabilities } => {
                self.on_capabilities(now, capabilities, out)?;
            }
            Input::SetLoad { load } => self.on_load(now, load, out),
            Input::SetRecord { slot, value } => self.on_set_record(now, (slot, value), out)?,
            Input::Cast { to, draft } => self.on_cast(now, (to, draft), out)?,
            Input::Reborn { life } => self.on_reborn(now, life)?,
            Input::Drain => self.publish(now, |own| own.draining = true, out),
            Input::Leave => self.on_leave(out),
            Input::Deadline => self.on_deadline(now, out),
        }
        self.now = now;
        self.wakes = self.next_wake();
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        if self.started { self.wakes } else { Some(self.now) }
    }
}

impl Mesh {
    /// The earliest of all that waits. O(members): once per input, because it is asked for more often.
    fn next_wake(&self) -> Option<Time> {
        let forget = self.departed.values().map(|it| it.since + self.config.forget_after).min();
        let inside = earliest(self.next_dial(), self.publisher.deadline(self.size()));
        let outside = earliest(self.search.deadline(), self.join.deadline());
        let talk = earliest(self.sync.deadline(), self.casts.deadline());
        let keep = earliest(forget, self.door.deadline());
        let all = earliest(earliest(inside, outside), earliest(talk, keep));
        earliest(all, self.vitals.deadline())
    }
}
