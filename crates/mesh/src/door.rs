//! Who knocks and waits for a view, and records that came before their view.

use core::time::Duration;
use std::collections::BTreeMap;

use formic_core::{FateId, Life, Member, PeerId, Time, earliest, rule};

use crate::{Record, Refusal};

/// Knocks of one peer in a second.
const KNOCKS_PER_SECOND: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);
/// The most lives that wait after a knock, and the most that wait after another's word: half as many as healing
/// takes into one view, less than 1 MiB of records at their limits.
const WAITING_MAX: usize = 128;
/// After which time whoever found the door full may knock again: the next view empties it.
const FULL: Duration = Duration::from_millis(250);
/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most peers whose knocks are counted.
const COUNTED_MAX: usize = 1_024;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Waiting {
    pub(crate) record: Record,
    /// It knocked here itself and dies with these.
    pub(crate) knocked: Option<FateId>,
    until: Time,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Door {
    waiting: BTreeMap<Life, Waiting>,
    /// By peer: when its second began, and its knocks in it.
    counted: BTreeMap<PeerId, (Time, u32)>,
}

impl Door {
    /// A2: counts a knock or question.
    pub(crate) fn count(&mut self, now: Time, peer: PeerId) -> Result<(), Refusal> {
        self.counted.retain(|_, (since, _)| *since + SECOND > now);
        if self.counted.len() >= COUNTED_MAX && !self.counted.contains_key(&peer) {
            return Err(busy(SECOND));
        }
        let (since, knocks) = self.counted.entry(peer).or_insert((now, 0));
        if *knocks >= KNOCKS_PER_SECOND && rule!("mesh/A2") {
            return Err(busy((*since + SECOND).since(now)));
        }
        *knocks += 1;
        Ok(())
    }

    /// A knock that passed the other checks waits for its view.
    pub(crate) fn wait(
        &mut self,
        now: Time,
        member: Member,
        record: Record,
    ) -> Result<(), Refusal> {
        let known = self.waiting.get(&member.life).and_then(|waiting| waiting.knocked);
        if known.is_some_and(|fate| fate != member.fate) && rule!("mesh/A3") {
            return Err(Refusal::Duplicate);
        }
        let knockers = self.waiting.values().filter(|waiting| waiting.knocked.is_some()).count();
        if known.is_none() && knockers >= WAITING_MAX {
            return Err(busy(FULL));
        }
        let (until, knocked) = (now + PATIENCE, Some(member.fate));
        self.waiting.insert(member.life, Waiting { record, knocked, until });
        Ok(())
    }

    /// Keeps a record whose life may be in a view that is on its way.
    pub(crate) fn keep(&mut self, now: Time, record: Record) {
        let life = record.life;
        if let Some(waiting) = self.waiting.get_mut(&life) {
            if record.supersedes(&waiting.record) {
                waiting.record = record;
            }
            return;
        }
        let heard_of = self.waiting.values().filter(|waiting| waiting.knocked.is_none()).count();
        if heard_of < WAITING_MAX {
            self.waiting.insert(life, Waiting { record, knocked: None, until: now + PATIENCE });
        }
    }

    pub(crate) fn take(&mut self, life: Life) -> Option<Waiting> {
        self.waiting.remove(&life)
    }

    /// M10: whoever waited in vain leaves nothing behind.
    pub(crate) fn expire(&mut self, now: Time) {
        self.waiting.retain(|_, waiting| waiting.until > now);
        self.counted.retain(|_, (since, _)| *since + SECOND > now);
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let waiting = self.waiting.values().map(|waiting| waiting.until).min();
        earliest(waiting, self.counted.values().map(|(since, _)| *since + SECOND).min())
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.counted.is_empty()
    }
}

fn busy(pause: Duration) -> Refusal {
    Refusal::Busy { retry_ms: u32::try_from(pause.as_millis()).unwrap_or(u32::MAX) }
}
