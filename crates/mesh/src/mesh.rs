use std::collections::BTreeMap;

use formic_core::{
    Capability, Digest, Life, PeerId, Protocol, Sink, Time, earliest, transport::Address,
};

use crate::{
    Config, Effect, Error, Event, Input, Message, Record, Refusal, Standing,
    join::Join,
    roster::{Member, Merge, Roster},
};

/// Encoded records per message, in bytes: a Control message has at most 64 KiB.
const PAGE_BYTES: usize = 48 * 1_024;

/// Membership of one peer: who is here, what they can do, whom to dial.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mesh {
    config: Config,
    me: Life,
    mesh: Option<Digest>,
    roster: Roster,
    /// Every link that is up, members or not.
    links: BTreeMap<PeerId, Life>,
    join: Join,
    started: bool,
    now: Time,
}

impl Mesh {
    /// A peer that has not looked for anybody yet.
    ///
    /// # Errors
    /// A value of `config` is out of its range.
    pub fn new(config: Config, me: Life) -> Result<Self, Error> {
        config.check()?;
        let mut roster = Roster::default();
        roster.merge(Time::ZERO, config.record(me)?);
        if let Some(own) = roster.of_mut(me) {
            own.standing = Standing::Alive;
        }
        let mesh = config.found;
        let (links, join) = (BTreeMap::new(), Join::new());
        Ok(Self { config, me, mesh, roster, links, join, started: false, now: Time::ZERO })
    }

    /// The mesh this peer is a member of.
    pub const fn mesh(&self) -> Option<Digest> {
        self.mesh
    }

    /// All known members with what is known about them, this one included, sorted by peer.
    pub fn members(&self) -> impl Iterator<Item = (&Record, Standing)> {
        self.roster.iter().map(|member| (&member.record, member.standing))
    }

    /// The record of this life, if it is the newest life of a member.
    pub fn member(&self, life: Life) -> Option<&Record> {
        self.roster.of(life).map(|member| &member.record)
    }

    /// This peer's own record.
    pub fn own(&self) -> Option<&Record> {
        self.member(self.me)
    }

    /// The newest life of a member.
    pub fn life(&self, peer: &PeerId) -> Option<Life> {
        self.roster.get(peer).map(|member| member.record.life)
    }

    /// Lives that are alive, take work and have all of `requires`; sorted. O(members).
    pub fn candidates(&self, requires: &[Capability]) -> Vec<Life> {
        self.takers().filter(|record| record.can(requires)).map(|record| record.life).collect()
    }

    /// Why [`Mesh::candidates`] is empty: the capabilities that nobody alive has, or all of `requires`
    /// where no single peer has them together. Empty if there is a candidate or nobody takes work.
    pub fn missing(&self, requires: &[Capability]) -> Vec<Capability> {
        if self.takers().any(|record| record.can(requires)) {
            return Vec::new();
        }
        let nobody = |wanted: &&Capability| {
            !self.takers().any(|record| record.can(core::slice::from_ref(*wanted)))
        };
        let missing: Vec<_> = requires.iter().filter(nobody).cloned().collect();
        if missing.is_empty() { requires.to_vec() } else { missing }
    }

    fn takers(&self) -> impl Iterator<Item = &Record> {
        let takes =
            |member: &&Member| member.standing == Standing::Alive && !member.record.draining;
        self.roster.iter().filter(takes).map(|member| &member.record)
    }

    fn on_link_up(&mut self, life: Life, out: &mut impl Sink<Effect>) {
        self.links.insert(life.peer, life);
        if let (Some(mesh), Some(member)) = (self.mesh, self.roster.of_mut(life)) {
            (member.failed, member.dial_at) = (0, None);
            self.announce_all(life, mesh, out);
        } else if self.join.round_at.is_some() && self.has_foreign_seeds() {
            self.knock(life, out);
        }
    }

    fn on_link_down(&mut self, now: Time, life: Life) {
        if self.links.get(&life.peer) == Some(&life) {
            self.links.remove(&life.peer);
        }
        self.join.link_lost(life);
        let grace = self.grace(life.peer);
        if let Some(member) = self.roster.of_mut(life)
            && member.standing != Standing::Left
        {
            member.dial_at = Some(now + grace.max(FIRST_REDIAL));
        }
        let linked = self.links.values().any(|&other| self.roster.of(other).is_some());
        if !linked && self.has_foreign_seeds() {
            self.join.lonely(now);
        }
    }

    fn on_dial_failed(&mut self, now: Time, peer: PeerId) {
        let max = self.config.retry_max;
        if let Some(member) = self.roster.get_mut(&peer)
            && member.dial_at.is_some()
        {
            // 0.1 s, 0.2 s, 0.4 s, ... up to `retry_max`.
            let pause = FIRST_REDIAL * 2_u32.saturating_pow(member.failed.min(16));
            member.failed = member.failed.saturating_add(1);
            member.dial_at = Some(now + pause.min(max));
        }
    }

    fn on_message(
        &mut self,
        now: Time,
        from: Life,
        message: Message,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        match message {
            Message::Knock { mesh, record } => self.on_knock(now, from, (mesh, *record), out),
            Message::Welcome { mesh, records } => self.on_welcome(now, from, (mesh, records), out),
            Message::Refused { reason } => self.on_refused(from, reason, out),
            Message::Pledge => self.on_pledge(from, out),
            Message::Announce { mesh, records } => {
                self.on_announce(now, from, (mesh, records), out)
            }
            Message::Leave => {
                self.on_leave_of(now, from, out);
                Ok(())
            }
        }
    }

    fn on_knock(
        &mut self,
        now: Time,
        from: Life,
        (wanted, record): (Option<Digest>, Record),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if record.life != from {
            return Err(Error::ForeignRecord { from, owner: record.life });
        }
        record.check().map_err(|defect| Error::BadRecord { from, owner: from, defect })?;
        let Some(mesh) = self.mesh else {
            let pledges = wanted.is_none() && self.join.may_pledge(self.me, from);
            if pledges {
                self.join.pledge(from);
            }
            let refused = Message::Refused { reason: Refusal::Outside };
            let message = if pledges { Message::Pledge } else { refused };
            out.push(Effect::Send { to: from, message });
            return Ok(());
        };
        if let Some(reason) = self.refusal(mesh, from, wanted) {
            out.push(Effect::Send { to: from, message: Message::Refused { reason } });
            return Ok(());
        }
        let merge = self.admit(now, record.clone(), out);
        let mut pages = self.pages();
        let first = if pages.is_empty() { Vec::new() } else { pages.remove(0) };
        out.push(Effect::Send { to: from, message: Message::Welcome { mesh, records: first } });
        for records in pages {
            out.push(Effect::Send { to: from, message: Message::Announce { mesh, records } });
        }
        if merge != Merge::Stale {
            self.tell_others(mesh, from, record, out);
        }
        Ok(())
    }

    fn refusal(&self, mesh: Digest, from: Life, wanted: Option<Digest>) -> Option<Refusal> {
        if from.peer == self.me.peer {
            return Some(Refusal::Duplicate);
        }
        if wanted.is_some_and(|wanted| wanted != mesh) {
            return Some(Refusal::WrongMesh { ours: mesh });
        }
        let Some(known) = self.life(&from.peer) else {
            return (self.roster.len() >= self.config.members_max).then_some(Refusal::Full);
        };
        let newest = known.incarnation;
        (newest > from.incarnation).then_some(Refusal::StaleLife { newest })
    }

    fn on_welcome(
        &mut self,
        now: Time,
        from: Life,
        (mesh, records): (Digest, Vec<Record>),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if !self.join.has_knocked(from) {
            // Repeated by a member whose first welcome this peer has taken.
            let known = self.mesh == Some(mesh) && self.links.contains_key(&from.peer);
            if !known {
                return Err(Error::Unasked { from });
            }
            return self.merge_all(now, from, records, out);
        }
        if self.mesh.is_some_and(|ours| ours != mesh) {
            // The first welcome counts. The second host must not believe that this peer is its member.
            out.push(Effect::Send { to: from, message: Message::Leave });
            out.push(Effect::Hangup { life: from });
            return Ok(());
        }
        self.refuse_bad(from, &records)?;
        let joins = self.mesh.replace(mesh).is_none();
        self.join.welcomed();
        self.merge_all(now, from, records, out)?;
        if joins {
            out.push(Effect::Event(Event::Joined { mesh, members: self.roster.len() }));
        }
        Ok(())
    }

    fn on_refused(
        &mut self,
        from: Life,
        reason: Refusal,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if !self.join.has_knocked(from) {
            return Err(Error::Unasked { from });
        }
        if reason.is_final() {
            self.join.link_lost(from);
            out.push(Effect::Event(Event::Refused { by: from, reason }));
            out.push(Effect::Hangup { life: from });
        }
        Ok(())
    }

    fn on_pledge(&mut self, from: Life, out: &mut impl Sink<Effect>) -> Result<(), Error> {
        if !self.join.has_knocked(from) {
            return Err(Error::Unasked { from });
        }
        let seeds = self.foreign_seeds().count();
        if self.mesh.is_none() && seeds > 0 && self.join.pledged(from, seeds) {
            let mesh = Digest::of(&[b"formic/mesh/1", &self.me.to_bytes()]);
            self.mesh = Some(mesh);
            self.join.welcomed();
            out.push(Effect::Event(Event::Joined { mesh, members: self.roster.len() }));
        }
        Ok(())
    }

    fn on_announce(
        &mut self,
        now: Time,
        from: Life,
        (mesh, records): (Digest, Vec<Record>),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let Some(ours) = self.mesh else {
            // A member heard of this peer before its own welcome arrived; the welcome brings it all.
            return Ok(());
        };
        if mesh != ours {
            return Err(Error::WrongMesh { from, theirs: mesh, ours });
        }
        let introduces = records.iter().any(|record| record.life == from);
        if self.roster.of(from).is_none() && !introduces {
            return Err(Error::Stranger { from });
        }
        self.merge_all(now, from, records, out)
    }

    fn refuse_bad(&self, from: Life, records: &[Record]) -> Result<(), Error> {
        for record in records {
            let bad = |defect| Error::BadRecord { from, owner: record.life, defect };
            record.check().map_err(bad)?;
        }
        let is_unknown = |record: &&Record| self.roster.get(&record.life.peer).is_none();
        let count = records.iter().filter(is_unknown).count();
        let room = self.config.members_max.saturating_sub(self.roster.len());
        if count > room {
            return Err(Error::Full { from, count, room });
        }
        Ok(())
    }

    fn merge_all(
        &mut self,
        now: Time,
        from: Life,
        records: Vec<Record>,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        self.refuse_bad(from, &records)?;
        for record in records {
            let life = record.life;
            if life.peer == self.me.peer {
                self.on_own_record(record, out);
            } else if self.admit(now, record, out) == Merge::Added
                && let (Some(mesh), Some(&linked)) = (self.mesh, self.links.get(&life.peer))
                && linked == life
            {
                // The link came up before this peer knew that a member is at its other end.
                self.announce_all(life, mesh, out);
            }
        }
        Ok(())
    }

    fn admit(&mut self, now: Time, record: Record, out: &mut impl Sink<Effect>) -> Merge {
        let life = record.life;
        let merge = self.roster.merge(now, record);
        match merge {
            Merge::Stale => {}
            Merge::Changed => out.push(Effect::Event(Event::Changed { life })),
            Merge::Added => {
                let linked = self.links.get(&life.peer) == Some(&life);
                let grace = self.grace(life.peer);
                if let Some(member) = self.roster.of_mut(life) {
                    member.dial_at = (!linked).then_some(now + grace);
                }
                out.push(Effect::Event(Event::Added { life }));
            }
        }
        merge
    }

    /// This peer's own record came back. If it is newer, an earlier life's state was lost or a second
    /// process has this identity: publish above it, so that the others hear the living one.
    fn on_own_record(&mut self, record: Record, out: &mut impl Sink<Effect>) {
        let version = self.own().map_or(0, |own| own.version);
        if record.life == self.me && record.version > version {
            self.publish(|own| own.version = record.version, out);
        }
    }

    fn on_leave_of(&mut self, now: Time, from: Life, out: &mut impl Sink<Effect>) {
        let Some(member) = self.roster.of_mut(from) else { return };
        if member.standing != Standing::Left {
            (member.standing, member.since, member.dial_at) = (Standing::Left, now, None);
            out.push(Effect::Event(Event::Left { life: from }));
        }
    }

    fn on_standing(&mut self, now: Time, life: Life, standing: Standing) {
        if let Some(member) = self.roster.of_mut(life)
            && life != self.me
            && member.standing != Standing::Left
        {
            (member.standing, member.since) = (standing, now);
        }
    }

    fn on_capabilities(
        &mut self,
        capabilities: Vec<Capability>,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if let Some(own) = self.own() {
            let record = Record { capabilities: capabilities.clone(), ..own.clone() };
            record.check().map_err(Error::OwnRecord)?;
        }
        self.publish(|own| own.capabilities = capabilities, out);
        Ok(())
    }

    /// Changes this peer's own record and tells everybody.
    fn publish(&mut self, change: impl FnOnce(&mut Record), out: &mut impl Sink<Effect>) {
        let Some(own) = self.roster.of_mut(self.me) else { return };
        change(&mut own.record);
        own.record.version += 1;
        let record = own.record.clone();
        if let Some(mesh) = self.mesh {
            self.tell_others(mesh, self.me, record, out);
        }
        out.push(Effect::Event(Event::Changed { life: self.me }));
    }

    fn on_leave(&mut self, out: &mut impl Sink<Effect>) {
        for &to in self.links.values().filter(|&&life| self.roster.of(life).is_some()) {
            out.push(Effect::Send { to, message: Message::Leave });
        }
    }

    fn on_deadline(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        if !core::mem::replace(&mut self.started, true)
            && let Some(mesh) = self.mesh
        {
            out.push(Effect::Event(Event::Joined { mesh, members: self.roster.len() }));
        }
        if self.join.round_at.is_some_and(|at| at <= now) {
            self.round(now, out);
        }
        self.dial_members(now, out);
        for life in self.roster.forget(now, self.config.forget_after) {
            if self.links.get(&life.peer) == Some(&life) {
                out.push(Effect::Hangup { life });
            }
            out.push(Effect::Event(Event::Forgotten { life }));
        }
    }

    fn round(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        if !self.has_foreign_seeds() {
            self.join.round_at = None;
            return;
        }
        for seed in self.foreign_seeds() {
            out.push(Effect::Dial { peer: None, addresses: vec![seed.clone()] });
        }
        let links = self.links.values().copied();
        let strangers: Vec<Life> = links.filter(|&life| self.roster.of(life).is_none()).collect();
        for life in strangers {
            self.knock(life, out);
        }
        self.join.schedule(now, self.config.first_retry, self.config.retry_max);
    }

    fn dial_members(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        let Some(_) = self.mesh else { return };
        for member in self.roster.iter_mut() {
            if member.dial_at.is_some_and(|at| at <= now) {
                let addresses = member.record.addresses.clone();
                let peer = Some(member.record.life.peer);
                // Without an answer from the driver: a lost dial is repeated.
                member.dial_at = Some(now + DIAL_TIMEOUT);
                out.push(Effect::Dial { peer, addresses });
            }
        }
    }

    fn knock(&mut self, to: Life, out: &mut impl Sink<Effect>) {
        let Some(own) = self.own() else { return };
        let message = Message::Knock { mesh: self.mesh, record: Box::new(own.clone()) };
        self.join.knocks(to);
        out.push(Effect::Send { to, message });
    }

    fn announce_all(&self, to: Life, mesh: Digest, out: &mut impl Sink<Effect>) {
        for records in self.pages() {
            out.push(Effect::Send { to, message: Message::Announce { mesh, records } });
        }
    }

    fn tell_others(&self, mesh: Digest, but: Life, record: Record, out: &mut impl Sink<Effect>) {
        for &to in self.links.values().filter(|&&life| life != but) {
            if self.roster.of(to).is_some() {
                let message = Message::Announce { mesh, records: vec![record.clone()] };
                out.push(Effect::Send { to, message });
            }
        }
    }

    /// All records worth spreading, this peer's own first. Not those of the dead: two peers would
    /// remind each other of them for ever.
    fn pages(&self) -> Vec<Vec<Record>> {
        let here = |member: &&Member| {
            matches!(member.standing, Standing::Fresh | Standing::Alive)
                && member.record.life != self.me
        };
        let others = self.roster.iter().filter(here).map(|member| &member.record);
        let mut pages: Vec<Vec<Record>> = Vec::new();
        let mut size = PAGE_BYTES;
        for record in self.own().into_iter().chain(others) {
            if size + record.size() > PAGE_BYTES {
                pages.push(Vec::new());
                size = 0;
            }
            size += record.size();
            if let Some(page) = pages.last_mut() {
                page.push(record.clone());
            }
        }
        pages
    }

    fn foreign_seeds(&self) -> impl Iterator<Item = &Address> {
        self.config.seeds.iter().filter(|seed| !self.config.addresses.contains(seed))
    }

    fn has_foreign_seeds(&self) -> bool {
        self.foreign_seeds().next().is_some()
    }

    /// Of two peers the smaller dials at once.
    fn grace(&self, peer: PeerId) -> core::time::Duration {
        if self.me.peer < peer { core::time::Duration::ZERO } else { self.config.grace }
    }
}

/// The first pause before a lost or failed link is dialled again.
const FIRST_REDIAL: core::time::Duration = core::time::Duration::from_millis(100);

/// After this a dial that the driver never answered is repeated.
const DIAL_TIMEOUT: core::time::Duration = core::time::Duration::from_secs(15);

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
            Input::LinkUp { life } => self.on_link_up(life, out),
            Input::LinkDown { life } => self.on_link_down(now, life),
            Input::DialFailed { peer } => self.on_dial_failed(now, peer),
            Input::Message { from, message } => self.on_message(now, from, message, out)?,
            Input::Up { life } => self.on_standing(now, life, Standing::Alive),
            Input::Down { life } => self.on_standing(now, life, Standing::Down),
            Input::SetCapabilities { capabilities } => self.on_capabilities(capabilities, out)?,
            Input::Drain => self.publish(|own| own.draining = true, out),
            Input::Leave => self.on_leave(out),
            Input::Deadline => self.on_deadline(now, out),
        }
        self.now = now;
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        if !self.started {
            return Some(self.now);
        }
        let dials = self.mesh.and_then(|_| self.roster.wake(self.config.forget_after));
        earliest(self.join.round_at, dials)
    }
}
