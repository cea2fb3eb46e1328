//! Who is let in, and what a committed view changes (mesh.md 3).

use std::{collections::BTreeMap, sync::Arc};

use formic_core::{Digest, FateId, Life, Member, PeerId, Sink, Time, View, rule};

use crate::{
    Effect, Error, Event, Mesh, Message, Record, Refusal, Standing,
    mesh::{Place, Quorum},
    roster::Entry,
};

/// A life that was a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Departed {
    pub(crate) life: Life,
    pub(crate) record: Option<Record>,
    pub(crate) since: Time,
}

impl Mesh {
    pub(crate) fn on_knock(
        &mut self,
        now: Time,
        from: Life,
        (wanted, fate, record): (Option<Digest>, FateId, Record),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if record.life != from {
            return Err(Error::ForeignRecord { from, owner: record.life });
        }
        // A6.
        record.check().map_err(|defect| Error::BadRecord { from, owner: from, defect })?;
        let answer = match (self.mesh, self.place) {
            (Some(mesh), Place::Member | Place::Returning) => {
                let member = Member { life: from, fate };
                self.admit(now, mesh, (member, wanted, record), out)
            }
            _ => {
                if self.mesh.is_some() && wanted == self.mesh {
                    out.push(Effect::Event(Event::Kin { life: from }));
                }
                Some(Message::Refused { reason: Refusal::Outside })
            }
        };
        if let Some(message) = answer {
            out.push(Effect::Send { to: from, message });
        }
        Ok(())
    }

    /// Welcomes a member, refuses, or lets the knocker wait for its view (no answer yet).
    fn admit(
        &mut self,
        now: Time,
        mesh: Digest,
        (member, wanted, record): (Member, Option<Digest>, Record),
        out: &mut impl Sink<Effect>,
    ) -> Option<Message> {
        let verdict = match self.refusal(now, mesh, (member, wanted)) {
            Some(reason) => Err(reason),
            None if self.is_member(member.life) => {
                self.merge_record(now, record, out);
                self.welcome(member.life, out);
                return None;
            }
            None => self.door.wait(now, member, record),
        };
        match verdict {
            Ok(()) => {
                out.push(Effect::Event(Event::Admit { member }));
                None
            }
            Err(reason) => Some(Message::Refused { reason }),
        }
    }

    /// A1 to A4, cheapest first.
    fn refusal(
        &mut self,
        now: Time,
        mesh: Digest,
        (member, wanted): (Member, Option<Digest>),
    ) -> Option<Refusal> {
        let life = member.life;
        if wanted.is_some_and(|wanted| wanted != mesh) {
            return Some(Refusal::WrongMesh { ours: mesh });
        }
        if let Err(busy) = self.door.count(now, life.peer) {
            return Some(busy);
        }
        if let Some(reason) = self.outlived(member).filter(|_| rule!("mesh/A3")) {
            return Some(reason);
        }
        if self.is_member(life) {
            return None;
        }
        if self.quorum == Quorum::Lost && rule!("mesh/A4") {
            return Some(Refusal::NoQuorum);
        }
        let is_new = self.roster.get(&life.peer).is_none();
        (is_new && self.size() >= self.config.members_max).then_some(Refusal::Full)
    }

    /// A3: whether this life, or another process with its identity, came before.
    fn outlived(&self, member: Member) -> Option<Refusal> {
        let life = member.life;
        if life.peer == self.me.peer {
            return Some(Refusal::Duplicate);
        }
        if let Some(departed) = self.departed.get(&life.peer)
            && departed.life.incarnation >= life.incarnation
        {
            return Some(Refusal::StaleLife { newest: departed.life.incarnation });
        }
        let known = *self.view.as_ref()?.member(life.peer)?;
        if known.life.incarnation > life.incarnation {
            return Some(Refusal::StaleLife { newest: known.life.incarnation });
        }
        let twice = known.life == life && known.fate != member.fate;
        twice.then_some(Refusal::Duplicate)
    }

    /// Tells a member that it is one, and who else is.
    fn welcome(&self, to: Life, out: &mut impl Sink<Effect>) {
        let (Some(mesh), Some(view)) = (self.mesh, &self.view) else { return };
        let mut pages = self.pages().into_iter();
        let records = pages.next().unwrap_or_default();
        let welcome = Message::Welcome { mesh, view: Arc::clone(view), records };
        out.push(Effect::Send { to, message: welcome });
        for records in pages {
            let message = Message::Delta { mesh, records, slots: Vec::new() };
            out.push(Effect::Send { to, message });
        }
    }

    pub(crate) fn on_welcome(
        &mut self,
        now: Time,
        from: Life,
        (mesh, view, records): (Digest, Arc<View>, Vec<Record>),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let is_ours = self.mesh == Some(mesh);
        let expects = self.join.has_knocked(from) || is_ours && self.is_member(from);
        // An answer may come over a new link to a knock that the old one brought: nobody's fault.
        if !expects {
            return Ok(());
        }
        if self.mesh.is_some() && !is_ours {
            // The first welcome counts. The second host must not believe that this peer is its member.
            out.push(Effect::Send { to: from, message: Message::Leave });
            out.push(Effect::Hangup { life: from });
            return Ok(());
        }
        if !view.contains(self.me) {
            return Err(Error::NotInView { from });
        }
        self.check_values(from, &records, &[])?;
        let is_news = self.view.as_ref().is_none_or(|known| known.epoch < view.epoch);
        self.mesh = Some(mesh);
        if is_news {
            out.push(Effect::Event(Event::Welcomed { view: Arc::clone(&view) }));
        }
        for record in records {
            self.merge_record(now, record, out);
        }
        if is_news && self.place != Place::Member {
            self.install(now, view, out);
        }
        Ok(())
    }

    pub(crate) fn on_refused(
        &mut self,
        from: Life,
        reason: Refusal,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if !self.join.has_knocked(from) {
            return Ok(());
        }
        self.join.answered(from);
        if self.place == Place::Member {
            return Ok(());
        }
        if reason.is_final() {
            self.join.link_lost(from);
            out.push(Effect::Event(Event::Refused { by: from, reason }));
            out.push(Effect::Hangup { life: from });
        } else if self.search.asked.insert(from.peer) {
            let message = Message::Who { max: crate::message::WHO_MAX };
            out.push(Effect::Send { to: from, message });
        }
        Ok(())
    }

    pub(crate) fn on_view(
        &mut self,
        now: Time,
        view: Arc<View>,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if self.mesh.is_none() {
            return Err(Error::NoMesh);
        }
        if self.view.as_ref().is_none_or(|known| known.epoch < view.epoch) {
            self.install(now, view, out);
        }
        Ok(())
    }

    /// The members are those of `view`: no other message or verdict changes who they are.
    fn install(&mut self, now: Time, view: Arc<View>, out: &mut impl Sink<Effect>) {
        let lives: BTreeMap<PeerId, Life> =
            view.members.iter().map(|member| (member.life.peer, member.life)).collect();
        let others = self.roster.iter().map(|entry| entry.life).filter(|&life| life != self.me);
        let gone: Vec<Life> = others.filter(|life| lives.get(&life.peer) != Some(life)).collect();
        self.view = Some(Arc::clone(&view));
        for life in gone {
            self.expel(now, life, out);
        }
        let place = self.placed(&lives);
        let before = core::mem::replace(&mut self.place, place);
        if self.place == Place::Member {
            self.casts.on_joined(self.me, view.epoch);
        }
        let mut welcomed = Vec::new();
        for &life in lives.values() {
            let is_other = life.peer != self.me.peer;
            if is_other && self.roster.of(life).is_none() && self.enlist(now, life, out) {
                welcomed.push(life);
            }
        }
        match (before == Place::Member, self.place == Place::Member) {
            (false, true) => self.enter(now, out),
            (true, false) => self.fall_out(now, out),
            _ => {}
        }
        welcomed.into_iter().for_each(|life| self.welcome(life, out));
        self.vitals.on_fate(now, decisive_fate(&view));
        self.sync.hurry(now);
        self.search.is_stale(now);
        self.report_health(now, out);
    }

    fn placed(&self, lives: &BTreeMap<PeerId, Life>) -> Place {
        let was_member = matches!(self.place, Place::Member | Place::Evicted);
        match lives.get(&self.me.peer) {
            Some(&life) if life == self.me => Place::Member,
            Some(life) if life.incarnation < self.me.incarnation => Place::Returning,
            // A later life, maybe of another process: this one is over.
            Some(_) => Place::Evicted,
            None if was_member => Place::Evicted,
            None => Place::Outside,
        }
    }

    /// A life is a member no more. What it said about itself is kept for a while.
    fn expel(&mut self, now: Time, life: Life, out: &mut impl Sink<Effect>) {
        let Some(entry) = self.roster.remove(life) else { return };
        for slot in self.slots.remove(life.peer) {
            self.tree.remove(life.peer, slot);
        }
        self.tree.remove(life.peer, crate::Slot::MAIN);
        self.index.remove(life.peer);
        self.vitals.on_evicted(life);
        let departed = Departed { life, record: entry.record, since: now };
        self.departed.insert(life.peer, departed);
        if self.departed.len() > self.config.members_max {
            let oldest = self.departed.values().min_by_key(|it| it.since).map(|it| it.life.peer);
            oldest.and_then(|peer| self.departed.remove(&peer));
        }
        out.push(Effect::Event(Event::Forgotten { life }));
        self.casts.on_evicted(life, out);
    }

    /// A life is a member; true if it knocked here and waits for its welcome.
    fn enlist(&mut self, now: Time, life: Life, out: &mut impl Sink<Effect>) -> bool {
        let epoch = self.view.as_ref().map(|view| view.epoch).unwrap_or_default();
        self.roster.insert(Entry::new(life));
        self.casts.on_joined(life, epoch);
        self.vitals.on_member(now, life);
        let waiting = self.door.take(life);
        let knocked = waiting.as_ref().is_some_and(|waiting| waiting.knocked.is_some());
        if let Some(waiting) = waiting {
            if knocked {
                self.tell_others(life, (vec![waiting.record.clone()], Vec::new()), out);
            }
            self.enter_record(now, waiting.record);
        }
        out.push(Effect::Event(Event::Added { life }));
        if self.links.get(&life.peer) != Some(&life) {
            self.redial(now, life, core::time::Duration::ZERO);
        } else if self.place == Place::Member {
            self.greet(now, life, out);
        }
        knocked
    }

    /// This life is a member.
    fn enter(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        self.join.welcomed();
        self.enter_own(now);
        self.search.discover_at = now + crate::rounds::DISCOVER_GAP;
        let pause = self.config.retry_max;
        self.search.rest(now, pause, &mut self.random);
        let linked: Vec<Life> = self.members_linked().collect();
        for life in linked {
            self.greet(now, life, out);
        }
        if let Some(mesh) = self.mesh {
            out.push(Effect::Event(Event::Joined { mesh, members: self.size() }));
        }
    }

    /// This life is a member no more.
    fn fall_out(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        self.leave_tree();
        self.casts.on_evicted(self.me, out);
        self.look_around(now);
    }

    /// A later life of this peer takes over what this one knows, and knocks.
    pub(crate) fn on_reborn(&mut self, now: Time, life: Life) -> Result<(), Error> {
        let me = self.me;
        if life.peer != me.peer || life.incarnation <= me.incarnation {
            return Err(Error::NotReborn { life, me });
        }
        if self.place == Place::Member {
            self.leave_tree();
        }
        self.me = life;
        self.casts.on_reborn(life);
        if let Some(mut own) = self.roster.remove(me) {
            own.life = life;
            if let Some(record) = &mut own.record {
                record.life = life;
            }
            self.roster.insert(own);
        }
        self.rename_own(life);
        self.place = match &self.view {
            Some(view) => {
                self.place = Place::Outside;
                let lives = view.lives().map(|life| (life.peer, life)).collect();
                self.placed(&lives)
            }
            None => Place::Outside,
        };
        self.look_around(now);
        Ok(())
    }

    /// How many members there are, this peer included.
    pub(crate) fn size(&self) -> usize {
        self.view.as_ref().map_or(1, |view| view.members.len())
    }

    pub(crate) fn on_standing(
        &mut self,
        now: Time,
        life: Life,
        standing: Standing,
        out: &mut impl Sink<Effect>,
    ) {
        if let Some(entry) = self.roster.of_mut(life)
            && life != self.me
            && entry.standing != Standing::Left
        {
            entry.standing = standing;
            match standing {
                Standing::Alive => self.vitals.on_up(now, life),
                Standing::Down => {
                    self.vitals.on_down(life);
                    self.casts.on_down(life, out);
                }
                Standing::Fresh | Standing::Suspect | Standing::Left => {}
            }
            self.refresh(life);
        }
    }
}

/// The process whose end alone would lose the majority.
fn decisive_fate(view: &View) -> Option<FateId> {
    let fates: std::collections::BTreeSet<FateId> =
        view.members.iter().map(|member| member.fate).collect();
    // Most processes are small: only one that holds half of all members can decide.
    let holds_half = |fate: &FateId| {
        view.members.iter().filter(|member| member.fate == *fate).count() * 2 >= view.members.len()
    };
    let decides = |fate: &FateId| {
        let others = view.members.iter().filter(|member| member.fate != *fate);
        !view.is_quorum(&others.map(|member| member.life.peer).collect())
    };
    fates.into_iter().filter(holds_half).find(decides)
}
