//! What this peer publishes, and what others do (mesh.md 4).

use formic_core::{Capability, Digest, Life, Sink, Time, rule, wire};

use crate::{
    Activity, Effect, Error, Event, Key, Load, Mesh, Message, Record, Slot, SlotRecord, Value,
    index::{Saturated, Takes},
    mesh::Place,
    roster::Pace,
    tree::start,
};

/// Encoded values per message, in bytes: well below what any class takes.
const PAGE_BYTES: usize = 48 * 1_024;

impl Mesh {
    pub(crate) fn on_delta(
        &mut self,
        now: Time,
        from: Life,
        (mesh, records, slots): (Digest, Vec<Record>, Vec<SlotRecord>),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let Some(ours) = self.mesh else {
            // A member heard of this peer before its own welcome arrived; the welcome brings it all.
            return Ok(());
        };
        if mesh != ours {
            return Err(Error::WrongMesh { from, theirs: mesh, ours });
        }
        self.check_values(from, &records, &slots)?;
        if self.roster.of(from).is_none() {
            // Its view is on its way: only what it says about itself is kept so long.
            let own = records.into_iter().find(|record| record.life == from);
            own.into_iter().for_each(|record| self.merge_record(now, record, out));
            return Ok(());
        }
        records.into_iter().for_each(|record| self.merge_record(now, record, out));
        slots.into_iter().for_each(|slot| self.merge_slot(now, slot, out));
        Ok(())
    }

    pub(crate) fn check_values(
        &self,
        from: Life,
        records: &[Record],
        slots: &[SlotRecord],
    ) -> Result<(), Error> {
        for record in records {
            let bad = |defect| Error::BadRecord { from, owner: record.life, defect };
            record.check().map_err(bad)?;
        }
        for slot in slots {
            let bad = |defect| Error::BadRecord { from, owner: slot.owner, defect };
            slot.check().map_err(bad)?;
        }
        Ok(())
    }

    /// M1: of one owner the higher (incarnation, version) stays.
    pub(crate) fn merge_record(&mut self, now: Time, record: Record, out: &mut impl Sink<Effect>) {
        let life = record.life;
        if life.peer == self.me.peer {
            let version = self.own().map_or(0, |own| own.version);
            // An earlier life's state was lost or a second process has this identity: publish above.
            if life == self.me && record.version > version {
                self.publish(now, |own| own.version = record.version, out);
            }
            return;
        }
        let Some(entry) = self.roster.of(life) else {
            self.keep_early(now, record);
            return;
        };
        let known = entry.record.as_ref();
        if known.is_some_and(|known| !record.supersedes(known)) && rule!("mesh/M1") {
            return;
        }
        let had = known.map(|known| known.capabilities.clone());
        let has = record.capabilities.clone();
        let is_first = had.is_none();
        self.enter_record(now, record);
        out.push(Effect::Event(Event::Changed { life }));
        self.tell_capabilities(life, (had.unwrap_or_default(), has), out);
        if is_first && self.links.get(&life.peer) != Some(&life) {
            self.redial(now, life, core::time::Duration::ZERO);
        }
        self.sync.hurry(now);
    }

    /// The view with its life may be on its way; a record of a life that is over is not news.
    fn keep_early(&mut self, now: Time, record: Record) {
        let life = record.life;
        let known = self.roster.get(&life.peer).map(|entry| entry.life);
        let departed = self.departed.get(&life.peer).map(|departed| departed.life);
        if known.max(departed).is_none_or(|newest| newest.incarnation < life.incarnation) {
            self.door.keep(now, record);
        }
    }

    /// Enters the record of a member, whatever was there.
    pub(crate) fn enter_record(&mut self, now: Time, record: Record) {
        let life = record.life;
        let Some(entry) = self.roster.of_mut(life) else { return };
        self.index.put(life, &record.capabilities, &record.labels);
        self.tree.insert(key_of(&record));
        entry.record = Some(record);
        self.refresh(life);
        self.search.is_stale(now);
    }

    fn tell_capabilities(
        &self,
        life: Life,
        (had, has): (Vec<Capability>, Vec<Capability>),
        out: &mut impl Sink<Effect>,
    ) {
        let without = |all: &[Capability], others: &[Capability]| -> Vec<Capability> {
            all.iter().filter(|it| others.binary_search(it).is_err()).cloned().collect()
        };
        let (added, removed) = (without(&has, &had), without(&had, &has));
        if !added.is_empty() || !removed.is_empty() {
            out.push(Effect::Event(Event::CapabilitiesChanged { life, added, removed }));
        }
    }

    fn merge_slot(&mut self, now: Time, record: SlotRecord, out: &mut impl Sink<Effect>) {
        let (life, slot) = (record.owner, record.slot);
        if life.peer == self.me.peer {
            let version = self.slots.get(life.peer, slot).map_or(0, |own| own.version);
            if life == self.me && record.version > version {
                let own = self.slots.get(life.peer, slot).map(|own| own.value.clone());
                let value = own.unwrap_or(record.value);
                self.publish_slot(now, (slot, value, record.version + 1), out);
            }
            return;
        }
        if self.roster.of(life).is_none() || !self.slots.merge(&record) {
            return;
        }
        self.tree.insert(key_of_slot(&record));
        self.sync.hurry(now);
        if slot != Slot::LOAD {
            out.push(Effect::Event(Event::RecordChanged { life, slot }));
        } else if self.refresh(life) {
            out.push(Effect::Event(Event::Changed { life }));
        }
    }

    /// Enters into the index whether a member may be given work; true if that changed.
    pub(crate) fn refresh(&mut self, life: Life) -> bool {
        let load = self.load(life);
        let Some(entry) = self.roster.of(life) else { return false };
        let taking = load.is_none_or(|(load, _)| load.activity == Activity::Taking);
        let takes = if entry.takes_work() && taking { Takes::Work } else { Takes::Nothing };
        let is_saturated = load.is_some_and(|(_, saturated)| saturated);
        let saturated = if is_saturated { Saturated::Yes } else { Saturated::No };
        self.index.mark(life.peer, takes, saturated)
    }

    pub(crate) fn on_pace(&mut self, life: Life, pace: Pace) {
        if let Some(entry) = self.roster.of_mut(life) {
            entry.pace = pace;
            self.refresh(life);
        }
    }

    pub(crate) fn on_capabilities(
        &mut self,
        now: Time,
        capabilities: Vec<Capability>,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let Some(own) = self.own() else { return Ok(()) };
        let record = Record { capabilities: capabilities.clone(), ..own.clone() };
        record.check().map_err(Error::OwnRecord)?;
        let had = own.capabilities.clone();
        self.publish(now, |own| own.capabilities.clone_from(&capabilities), out);
        self.tell_capabilities(self.me, (had, capabilities), out);
        Ok(())
    }

    /// Changes this peer's own record and tells everybody.
    pub(crate) fn publish(
        &mut self,
        now: Time,
        change: impl FnOnce(&mut Record),
        out: &mut impl Sink<Effect>,
    ) {
        let Some(own) = self.roster.of_mut(self.me).and_then(|own| own.record.as_mut()) else {
            return;
        };
        change(own);
        own.version += 1;
        let record = own.clone();
        self.index.put(self.me, &record.capabilities, &record.labels);
        self.refresh(self.me);
        if self.place == Place::Member {
            self.tree.insert(key_of(&record));
            self.sync.hurry(now);
            self.tell_others(self.me, (vec![record], Vec::new()), out);
        }
        out.push(Effect::Event(Event::Changed { life: self.me }));
    }

    pub(crate) fn on_set_record(
        &mut self,
        now: Time,
        (slot, value): (Slot, Vec<u8>),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let version = self.slots.get(self.me.peer, slot).map_or(1, |own| own.version + 1);
        let value = Value::Application(value);
        let record = SlotRecord { owner: self.me, slot, version, value };
        record.check().map_err(Error::OwnRecord)?;
        self.publish_slot(now, (slot, record.value, version), out);
        Ok(())
    }

    fn publish_slot(
        &mut self,
        now: Time,
        (slot, value, version): (Slot, Value, u64),
        out: &mut impl Sink<Effect>,
    ) {
        let record = SlotRecord { owner: self.me, slot, version, value };
        self.slots.merge(&record);
        self.refresh(self.me);
        if self.place == Place::Member {
            self.tree.insert(key_of_slot(&record));
            self.sync.hurry(now);
            self.tell_others(self.me, (Vec::new(), vec![record]), out);
        }
    }

    pub(crate) fn on_load(&mut self, now: Time, load: Load, out: &mut impl Sink<Effect>) {
        self.publisher.on_load(now, &self.config, load);
        self.publish_load(now, out);
    }

    pub(crate) fn publish_load(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        if let Some((load, saturated)) = self.publisher.due(now, self.size()) {
            let known = self.slots.get(self.me.peer, Slot::LOAD);
            let version = known.map_or(1, |own| own.version + 1);
            self.publish_slot(now, (Slot::LOAD, Value::Load { load, saturated }, version), out);
        }
    }

    /// This life is a member: what it publishes is compared with others.
    pub(crate) fn enter_own(&mut self, now: Time) {
        if let Some(record) = self.own().cloned() {
            self.tree.insert(key_of(&record));
        }
        let slots: Vec<Key> = self.slots.of(self.me.peer).map(key_of_slot).collect();
        slots.into_iter().for_each(|key| self.tree.insert(key));
        self.sync.hurry(now);
    }

    pub(crate) fn leave_tree(&mut self) {
        let slots: Vec<Slot> = self.slots.of(self.me.peer).map(|record| record.slot).collect();
        slots.into_iter().for_each(|slot| self.tree.remove(self.me.peer, slot));
        self.tree.remove(self.me.peer, Slot::MAIN);
    }

    /// What the earlier life published is the later one's.
    pub(crate) fn rename_own(&mut self, me: Life) {
        let own: Vec<SlotRecord> = self.slots.of(me.peer).cloned().collect();
        for record in own {
            self.slots.merge(&SlotRecord { owner: me, ..record });
        }
        if let Some(record) = self.own().cloned() {
            self.index.put(me, &record.capabilities, &record.labels);
            self.refresh(me);
        }
    }

    pub(crate) fn send_own(&self, to: Life, out: &mut impl Sink<Effect>) {
        let records = self.own().cloned().into_iter().collect();
        let slots = self.slots.of(self.me.peer).cloned().collect();
        self.send_delta(to, (records, slots), out);
    }

    pub(crate) fn tell_others(
        &self,
        but: Life,
        (records, slots): (Vec<Record>, Vec<SlotRecord>),
        out: &mut impl Sink<Effect>,
    ) {
        for to in self.members_linked().filter(|&life| life != but) {
            self.send_delta(to, (records.clone(), slots.clone()), out);
        }
    }

    pub(crate) fn send_delta(
        &self,
        to: Life,
        (records, slots): (Vec<Record>, Vec<SlotRecord>),
        out: &mut impl Sink<Effect>,
    ) {
        let Some(mesh) = self.mesh else { return };
        for records in pages(records, Record::size) {
            let message = Message::Delta { mesh, records, slots: Vec::new() };
            out.push(Effect::Send { to, message });
        }
        for slots in pages(slots, SlotRecord::size) {
            let message = Message::Delta { mesh, records: Vec::new(), slots };
            out.push(Effect::Send { to, message });
        }
    }

    /// The main records of all members, this peer's own first.
    pub(crate) fn pages(&self) -> Vec<Vec<Record>> {
        let others = self.roster.iter().filter(|entry| entry.life != self.me);
        let others = others.filter_map(|entry| entry.record.as_ref());
        let all = self.own().into_iter().chain(others).cloned().collect();
        pages(all, Record::size)
    }
}

fn pages<T>(all: Vec<T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut pages: Vec<Vec<T>> = Vec::new();
    let mut bytes = PAGE_BYTES;
    for one in all {
        bytes += size(&one);
        if bytes > PAGE_BYTES {
            pages.push(Vec::new());
            bytes = size(&one);
        }
        if let Some(page) = pages.last_mut() {
            page.push(one);
        }
    }
    pages
}

fn key_of(record: &Record) -> Key {
    let hash = hash_of(record);
    Key { owner: record.life, slot: Slot::MAIN, version: record.version, hash }
}

fn key_of_slot(record: &SlotRecord) -> Key {
    let hash = hash_of(record);
    Key { owner: record.owner, slot: record.slot, version: record.version, hash }
}

/// Checked records are far below the codec's limit, so equal hashes mean equal values.
fn hash_of(value: &impl serde::Serialize) -> u64 {
    let bytes = wire::encode(value).unwrap_or_default();
    start(Digest::of(&[b"formic/value/1", &bytes]))
}
