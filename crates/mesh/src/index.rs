//! Who has what: a bitset of members per version of each capability, kept step by step.

use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Capability, Life, PeerId};

use crate::{Candidate, Requirement};

/// A set of dense member numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Bits(Vec<u64>);

impl Bits {
    fn set(&mut self, number: usize) {
        if self.0.len() <= number / 64 {
            self.0.resize(number / 64 + 1, 0);
        }
        self.0[number / 64] |= 1 << (number % 64);
    }

    /// No zero words at the end, so that equal sets are equal values.
    fn clear(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word &= !(1 << (number % 64));
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn retain(&mut self, other: &Self) {
        self.0.truncate(other.0.len());
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
    }

    fn extend(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    fn numbers(&self) -> impl Iterator<Item = usize> {
        let ones = |(index, &word): (usize, &u64)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * 64 + bit)
        };
        self.0.iter().enumerate().flat_map(ones)
    }
}

/// What the index needs to know of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) life: Option<Life>,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) labels: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Index {
    numbers: BTreeMap<PeerId, usize>,
    /// By number; without a life: free.
    entries: Vec<Entry>,
    free: BTreeSet<usize>,
    /// By name, then version: who offers it.
    offers: BTreeMap<String, BTreeMap<(u16, u16), Bits>>,
    labels: BTreeMap<String, Bits>,
    /// Alive and taking work.
    takers: Bits,
    saturated: Bits,
}

impl Index {
    /// Enters a member, or changes what it has. O(changed capabilities x log names).
    pub(crate) fn put(&mut self, life: Life, capabilities: &[Capability], labels: &[String]) {
        let number = self.number(life.peer);
        let entry = Entry {
            life: Some(life),
            capabilities: capabilities.to_vec(),
            labels: labels.to_vec(),
        };
        let old = core::mem::replace(&mut self.entries[number], entry);
        for gone in old.capabilities.iter().filter(|it| capabilities.binary_search(it).is_err()) {
            self.withdraw(number, gone);
        }
        // Those that stay too: `rust` and `rust@1.0` are one offer, and only one of them may be gone.
        for offered in capabilities {
            let versions = self.offers.entry(offered.name().to_owned()).or_default();
            versions.entry(offered.offers()).or_default().set(number);
        }
        for gone in old.labels.iter().filter(|it| labels.binary_search(it).is_err()) {
            remove(&mut self.labels, gone, number);
        }
        for added in labels.iter().filter(|it| old.labels.binary_search(it).is_err()) {
            self.labels.entry(added.clone()).or_default().set(number);
        }
    }

    pub(crate) fn remove(&mut self, peer: PeerId) {
        let Some(number) = self.numbers.remove(&peer) else { return };
        let old = core::mem::take(&mut self.entries[number]);
        old.capabilities.iter().for_each(|gone| self.withdraw(number, gone));
        old.labels.iter().for_each(|gone| remove(&mut self.labels, gone, number));
        self.takers.clear(number);
        self.saturated.clear(number);
        self.free.insert(number);
    }

    /// Notes whether a member may be given work and is busy; true if either changed.
    pub(crate) fn mark(&mut self, peer: PeerId, takes: Takes, saturated: Saturated) -> bool {
        let Some(&number) = self.numbers.get(&peer) else { return false };
        let before = (self.takers.has(number), self.saturated.has(number));
        match takes {
            Takes::Work => self.takers.set(number),
            Takes::Nothing => self.takers.clear(number),
        }
        match saturated {
            Saturated::Yes => self.saturated.set(number),
            Saturated::No => self.saturated.clear(number),
        }
        before != (self.takers.has(number), self.saturated.has(number))
    }

    /// Takers with all of these, sorted. O(members / 64 x wanted).
    pub(crate) fn able(&self, wanted: &[Capability]) -> Vec<Life> {
        let sets = wanted.iter().map(|wanted| self.offering(wanted)).collect();
        let mut lives: Vec<Life> = self.all(sets).numbers().filter_map(|n| self.life(n)).collect();
        lives.sort_unstable();
        lives
    }

    /// Takers that answer to `wanted`: sorted, saturated ones last.
    pub(crate) fn search(&self, wanted: &Requirement) -> Vec<Candidate> {
        let mut sets: Vec<Bits> = wanted.required.iter().map(|it| self.offering(it)).collect();
        for group in &wanted.any_of {
            let mut any = Bits::default();
            group.iter().for_each(|it| any.extend(&self.offering(it)));
            sets.push(any);
        }
        let label = |label: &String| self.labels.get(label).cloned().unwrap_or_default();
        sets.extend(wanted.labels.iter().map(label));
        let candidate = |number| {
            let life = self.life(number)?;
            let fit = wanted.fit(&self.entries[number].capabilities);
            let saturated = self.saturated.has(number);
            let welcome = !wanted.exclude.contains(&life.peer);
            welcome.then_some(Candidate { life, fit, saturated })
        };
        let mut found: Vec<Candidate> = self.all(sets).numbers().filter_map(candidate).collect();
        found.sort_unstable_by_key(|candidate| (candidate.saturated, candidate.life));
        found
    }

    /// Those of `wanted` that no taker serves.
    pub(crate) fn unserved(&self, wanted: &[Capability]) -> Vec<Capability> {
        let served = |wanted: &&Capability| self.all(vec![self.offering(wanted)]).count() > 0;
        wanted.iter().filter(|wanted| !served(wanted)).cloned().collect()
    }

    /// Takers with what they offer, in no order that means anything.
    pub(crate) fn takers(&self) -> impl Iterator<Item = (Life, &[Capability])> {
        let entry = |number| {
            let life = self.life(number)?;
            Some((life, self.entries[number].capabilities.as_slice()))
        };
        self.takers.numbers().filter_map(entry)
    }

    fn number(&mut self, peer: PeerId) -> usize {
        if let Some(&number) = self.numbers.get(&peer) {
            return number;
        }
        let number = self.free.pop_first().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            self.entries.len() - 1
        });
        self.numbers.insert(peer, number);
        number
    }

    fn life(&self, number: usize) -> Option<Life> {
        self.entries.get(number).and_then(|entry| entry.life)
    }

    fn withdraw(&mut self, number: usize, gone: &Capability) {
        if formic_core::rule!("mesh/M9")
            && let Some(versions) = self.offers.get_mut(gone.name())
        {
            remove(versions, &gone.offers(), number);
            if versions.is_empty() {
                self.offers.remove(gone.name());
            }
        }
    }

    fn offering(&self, wanted: &Capability) -> Bits {
        let mut any = Bits::default();
        let Some(versions) = self.offers.get(wanted.name()) else { return any };
        match wanted.version() {
            None => versions.values().for_each(|bits| any.extend(bits)),
            Some((major, minor)) => versions
                .range((major, minor)..=(major, u16::MAX))
                .for_each(|(_, bits)| any.extend(bits)),
        }
        any
    }

    /// The takers that are in all of `sets`, the smallest first.
    fn all(&self, mut sets: Vec<Bits>) -> Bits {
        sets.sort_by_cached_key(Bits::count);
        let mut sets = sets.into_iter();
        let mut all = sets.next().unwrap_or_else(|| self.takers.clone());
        all.retain(&self.takers);
        sets.for_each(|bits| all.retain(&bits));
        all
    }
}

/// Whether a member may be given work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    Work,
    Nothing,
}

/// Whether a member's slots are nearly full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saturated {
    Yes,
    No,
}

fn remove<K: Ord>(sets: &mut BTreeMap<K, Bits>, key: &K, number: usize) {
    if let Some(bits) = sets.get_mut(key) {
        bits.clear(number);
        if bits.0.is_empty() {
            sets.remove(key);
        }
    }
}
