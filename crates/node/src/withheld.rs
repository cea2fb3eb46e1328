//! Acknowledgements of spawns that wait until fewer tasks are held (backpressure). The body gives its
//! slot back meanwhile: otherwise spawners could hold all slots that the held tasks need.

use std::collections::{BTreeMap, BTreeSet};

use formic_work::TaskId;

use crate::Effect;

/// Who asked for the body's slot back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// This peer did, for backpressure.
    Ours,
    /// The body waits for children besides.
    Waits,
    /// The body does not any more and expects its `Resume`.
    Runs,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Withheld {
    bodies: BTreeMap<TaskId, (Turn, Vec<Effect>)>,
    /// Bodies that get a slot without having asked for one: their `Resume` is not passed on.
    unasked: BTreeSet<TaskId>,
}

impl Withheld {
    /// Keeps an acknowledgement; true if the body's slot is to be given back for it.
    pub(crate) fn keep(&mut self, task: TaskId, acknowledgement: Effect) -> bool {
        let is_first = !self.bodies.contains_key(&task);
        let (_, kept) = self.bodies.entry(task).or_insert((Turn::Ours, Vec::new()));
        kept.push(acknowledgement);
        // One that was let go on a moment ago may still be in the line for its slot: it leaves the line, or
        // it would be given a slot that it cannot use.
        self.unasked.remove(&task);
        is_first
    }

    /// A body waits; true if work must hear of it.
    pub(crate) fn waits(&mut self, task: TaskId) -> bool {
        self.unasked.remove(&task);
        match self.bodies.get_mut(&task) {
            Some((turn, _)) => {
                *turn = Turn::Waits;
                false
            }
            None => true,
        }
    }

    /// A body wants to go on; true if work must hear of it.
    pub(crate) fn runs(&mut self, task: TaskId) -> bool {
        match self.bodies.get_mut(&task) {
            Some((turn, _)) => {
                *turn = Turn::Runs;
                false
            }
            None => true,
        }
    }

    /// A body got a slot; true if it asked for one.
    pub(crate) fn resumed(&mut self, task: TaskId) -> bool {
        !self.unasked.remove(&task)
    }

    pub(crate) fn forget(&mut self, task: TaskId) {
        self.bodies.remove(&task);
        self.unasked.remove(&task);
    }

    /// All acknowledgements, and the bodies that want a slot again.
    pub(crate) fn release(&mut self) -> (Vec<Effect>, Vec<TaskId>) {
        let mut acknowledgements = Vec::new();
        let mut wanting = Vec::new();
        for (task, (turn, kept)) in core::mem::take(&mut self.bodies) {
            acknowledgements.extend(kept);
            if turn == Turn::Ours {
                self.unasked.insert(task);
            }
            if turn != Turn::Waits {
                wanting.push(task);
            }
        }
        (acknowledgements, wanting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formic_core::{Incarnation, JobId, Key, Life, PeerId};

    #[test]
    fn a_body_that_is_withheld_again_before_its_slot_came_leaves_the_line() {
        let job = JobId::derive(Life::new(PeerId::from_bytes([1; 32]), Incarnation(1)), 1);
        let task = TaskId { job, key: Key::from_bytes([2; 16]) };
        let acknowledgement = || Effect::Resume { job, key: task.key };
        let mut withheld = Withheld::default();
        assert!(withheld.keep(task, acknowledgement()), "its slot is free");
        let (acknowledged, wanting) = withheld.release();
        assert_eq!((acknowledged.len(), wanting), (1, vec![task]));
        assert!(withheld.keep(task, acknowledgement()), "it stands in line no more");
        assert!(!withheld.keep(task, acknowledgement()), "once");
        assert!(withheld.resumed(task), "nothing is left of the first time");
    }
}
