use std::collections::{BTreeMap, BTreeSet};

use formic_completion::Spawn;
use formic_core::{Key, Outcome};

use crate::{
    ContextError,
    context::{JoinReply, Until},
};

/// What one body waits for, and whether it holds its slot meanwhile.
#[derive(Debug)]
pub(crate) struct Joins {
    /// Awaited children with their outcomes once they are done; tails of children once they are done.
    children: BTreeMap<Key, Option<Outcome>>,
    /// Children handed over: nobody here waits for them.
    tails: BTreeSet<Key>,
    waits: Vec<Wait>,
    slot: Slot,
}

#[derive(Debug)]
struct Wait {
    children: BTreeSet<Key>,
    until: Until,
    reply: JoinReply,
}

/// Where a body runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    /// A job's root: by the mesh itself, outside the agents' slots.
    Root,
    /// In a slot.
    Slot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// A root runs outside the agents' slots.
    None,
    Held,
    Given,
    Regaining,
}

/// What the node is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Nothing,
    /// The body gives its slot back.
    Waits,
    /// The body wants its slot again.
    Runs,
}

impl Joins {
    pub(crate) const fn new(seat: Seat) -> Self {
        let slot = match seat {
            Seat::Root => Slot::None,
            Seat::Slot => Slot::Held,
        };
        Self { children: BTreeMap::new(), tails: BTreeSet::new(), waits: Vec::new(), slot }
    }

    /// A child is in the ledger.
    pub(crate) fn on_spawned(&mut self, key: Key, mode: Spawn) {
        match mode {
            Spawn::Nested => {
                self.children.entry(key).or_insert(None);
            }
            Spawn::Tail => {
                self.children.remove(&key);
                self.tails.insert(key);
            }
        }
    }

    /// A child is done; the first outcome counts.
    pub(crate) fn on_done(&mut self, key: Key, outcome: Outcome) -> Turn {
        let known = self.children.entry(key).or_insert(None);
        if known.is_none() {
            *known = Some(outcome);
        }
        self.settle()
    }

    /// The body waits.
    pub(crate) fn on_join(
        &mut self,
        children: Option<Vec<Key>>,
        until: Until,
        reply: JoinReply,
    ) -> Turn {
        let children: BTreeSet<Key> = match children {
            Some(children) => children.into_iter().collect(),
            None => self.children.keys().copied().collect(),
        };
        if let Some(key) = children.iter().find(|key| !self.children.contains_key(key)) {
            // A body that went away meanwhile needs no answer.
            drop(reply.send(Err(ContextError::NotAChild { key: *key })));
            return self.settle();
        }
        self.waits.push(Wait { children, until, reply });
        self.settle()
    }

    /// The body has its slot again.
    pub(crate) fn on_resumed(&mut self) -> Turn {
        if self.slot == Slot::Regaining {
            self.slot = Slot::Held;
        }
        self.settle()
    }

    /// Answers what can be answered, and says what the slot needs.
    pub(crate) fn settle(&mut self) -> Turn {
        self.waits.retain(|wait| !wait.reply.is_closed());
        let satisfied = self.waits.iter().any(|wait| self.is_satisfied(wait));
        match self.slot {
            Slot::None | Slot::Held if satisfied => self.answer(),
            Slot::Held if !self.waits.is_empty() => {
                self.slot = Slot::Given;
                return Turn::Waits;
            }
            // Nobody waits any more: the body dropped its call and runs.
            Slot::Given if satisfied || self.waits.is_empty() => {
                self.slot = Slot::Regaining;
                return Turn::Runs;
            }
            Slot::None | Slot::Held | Slot::Given | Slot::Regaining => {}
        }
        Turn::Nothing
    }

    fn is_satisfied(&self, wait: &Wait) -> bool {
        let mut done =
            wait.children.iter().map(|key| matches!(self.children.get(key), Some(Some(_))));
        match wait.until {
            Until::Any => wait.children.is_empty() || done.any(|done| done),
            Until::All => done.all(|done| done),
        }
    }

    fn answer(&mut self) {
        for wait in core::mem::take(&mut self.waits) {
            if !self.is_satisfied(&wait) {
                self.waits.push(wait);
                continue;
            }
            let outcomes = wait.children.iter().filter_map(|key| {
                self.children.get(key).cloned().flatten().map(|outcome| (*key, outcome))
            });
            drop(wait.reply.send(Ok(outcomes.collect())));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn key(byte: u8) -> Key {
        Key::from_bytes([byte; 16])
    }

    fn ok() -> Outcome {
        Outcome::Ok(formic_core::Output::default())
    }

    #[test]
    fn a_slot_is_given_once_and_regained_before_the_answer() {
        let mut joins = Joins::new(Seat::Slot);
        joins.on_spawned(key(1), Spawn::Nested);
        joins.on_spawned(key(2), Spawn::Nested);
        let (reply, mut answer) = oneshot::channel();
        assert_eq!(joins.on_join(None, Until::All, reply), Turn::Waits);
        assert_eq!(joins.on_done(key(1), ok()), Turn::Nothing);
        assert_eq!(joins.on_done(key(2), ok()), Turn::Runs);
        assert!(answer.try_recv().is_err(), "answered without a slot");
        assert_eq!(joins.on_resumed(), Turn::Nothing);
        assert_eq!(answer.try_recv().unwrap().unwrap().len(), 2);
    }

    #[test]
    fn a_root_has_no_slot_to_give() {
        let mut joins = Joins::new(Seat::Root);
        joins.on_spawned(key(1), Spawn::Nested);
        let (reply, mut answer) = oneshot::channel();
        assert_eq!(joins.on_join(Some(vec![key(1)]), Until::Any, reply), Turn::Nothing);
        assert_eq!(joins.on_done(key(1), ok()), Turn::Nothing);
        assert_eq!(answer.try_recv().unwrap().unwrap().len(), 1);
    }

    #[test]
    fn own_tails_and_strangers_are_not_joined() {
        let mut joins = Joins::new(Seat::Slot);
        joins.on_spawned(key(1), Spawn::Tail);
        let (reply, mut answer) = oneshot::channel();
        assert_eq!(joins.on_join(Some(vec![key(1)]), Until::All, reply), Turn::Nothing);
        assert_eq!(answer.try_recv().unwrap(), Err(ContextError::NotAChild { key: key(1) }));
        let (reply, mut answer) = oneshot::channel();
        assert_eq!(joins.on_join(None, Until::All, reply), Turn::Nothing);
        assert_eq!(answer.try_recv().unwrap().unwrap().len(), 0);
    }

    #[test]
    fn a_dropped_join_wants_the_slot_again() {
        let mut joins = Joins::new(Seat::Slot);
        joins.on_spawned(key(1), Spawn::Nested);
        let (reply, answer) = oneshot::channel();
        assert_eq!(joins.on_join(None, Until::All, reply), Turn::Waits);
        drop(answer);
        assert_eq!(joins.settle(), Turn::Runs);
        assert_eq!(joins.settle(), Turn::Nothing);
    }
}
