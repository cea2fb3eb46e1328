//! The way into a mesh, seen from outside: knocks.

use core::time::Duration;
use std::collections::BTreeMap;

use formic_core::{Life, Time};

/// How often a member is knocked at before the next round.
const TRIES: u32 = 3;

/// What a peer remembers while it wants in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Join {
    /// Whose answer is awaited.
    knocked: BTreeMap<Life, Knock>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Knock {
    tries: u32,
    /// When to knock again; `None`: in the next round.
    again_at: Option<Time>,
}

impl Join {
    /// A knock in a new round.
    pub(crate) fn knocks(&mut self, life: Life, again_at: Time) {
        self.knocked.insert(life, Knock { tries: 1, again_at: Some(again_at) });
    }

    pub(crate) fn has_knocked(&self, life: Life) -> bool {
        self.knocked.contains_key(&life)
    }

    /// It answered: no further knock before the next round.
    pub(crate) fn answered(&mut self, life: Life) {
        if let Some(knock) = self.knocked.get_mut(&life) {
            knock.again_at = None;
        }
    }

    /// Whose answer is overdue and who is knocked at again.
    pub(crate) fn overdue(&mut self, now: Time, timeout: Duration) -> Vec<Life> {
        let mut again = Vec::new();
        for (life, knock) in &mut self.knocked {
            if knock.again_at.is_none_or(|at| at > now) {
                continue;
            }
            if knock.tries < TRIES {
                again.push(*life);
            }
            knock.tries = knock.tries.saturating_add(1);
            knock.again_at = (knock.tries <= TRIES).then_some(now + timeout);
        }
        again
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.knocked.values().filter_map(|knock| knock.again_at).min()
    }

    /// Somebody let this peer in, or it founds a mesh. Who else was asked may still answer.
    pub(crate) fn welcomed(&mut self) {
        self.knocked.values_mut().for_each(|knock| knock.again_at = None);
    }

    pub(crate) fn link_lost(&mut self, life: Life) {
        self.knocked.remove(&life);
    }
}
