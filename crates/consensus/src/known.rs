use std::collections::BTreeSet;

use formic_core::{Digest, rule};

use crate::Seal;

/// Signatures that were found good: most come more than once, a ballot again in each proposal that rests on it, a vote
/// again in certificates. Of one [`Roster`](crate::Roster), whose keys never change.
///
/// Holds at most twice its generation, 32 bytes each: a generation that is full becomes the old one, the old one goes.
/// Forgetting costs a second verification and nothing else.
#[derive(Clone, Debug)]
pub struct Known {
    generation: usize,
    young: BTreeSet<Digest>,
    old: BTreeSet<Digest>,
}

impl Default for Known {
    /// Generations of 8,192 signatures: 90 open instances of 10 voters.
    fn default() -> Self {
        Self::new(8_192)
    }
}

impl Known {
    /// Remembers between one and two `generation`s of signatures; of 0 nothing.
    pub const fn new(generation: usize) -> Self {
        Self { generation, young: BTreeSet::new(), old: BTreeSet::new() }
    }

    /// The name of a signature: statements carry their voter and electorate.
    pub(crate) fn name(statement: &[u8], seal: &Seal) -> Digest {
        Digest::of(&[statement, &seal.0])
    }

    pub(crate) fn holds(&self, name: &Digest) -> bool {
        self.young.contains(name) || self.old.contains(name)
    }

    pub(crate) fn learn(&mut self, name: Digest) {
        if rule!("consensus/known-bound") && self.young.len() >= self.generation {
            self.old = core::mem::take(&mut self.young);
        }
        if self.generation > 0 {
            self.young.insert(name);
        }
    }

    /// How many signatures are remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
