use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_core::{Descriptor, Digest, Key, Life, Outcome};

use crate::{Config, Fact, Tally, Waiter};

/// How far a ledger entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Progress {
    /// A place was asked for.
    Placing,
    /// Work was sent; nothing heard.
    Sent,
    /// Its executor has it.
    Accepted,
    /// Its fact is here.
    Done,
}

/// A ledger entry: one child of a task that is executed here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Child {
    pub(crate) exec: Option<Life>,
    pub(crate) attempt: u16,
    pub(crate) progress: Progress,
    /// Repeats since the last progress.
    pub(crate) age: u32,
    pub(crate) descriptor: Arc<Descriptor>,
    /// Digest of the outcome that counts.
    pub(crate) outcome: Option<Digest>,
}

impl Child {
    pub(crate) const fn new(descriptor: Arc<Descriptor>) -> Self {
        Self {
            exec: None,
            attempt: 1,
            progress: Progress::Placing,
            age: 0,
            descriptor,
            outcome: None,
        }
    }

    /// When to ask again: soon while nothing was heard, ever later the longer nothing changes.
    pub(crate) fn patience(&self, config: &Config) -> Duration {
        let first = match self.progress {
            Progress::Accepted => config.sync,
            _ => config.resend,
        };
        patience(first, config.sync * 8, self.age)
    }
}

/// Doubles from `first` to at most `last`.
pub(crate) fn patience(first: Duration, last: Duration, age: u32) -> Duration {
    (first * (1 << age.min(6))).min(last.max(first))
}

/// What is known of a waiter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Waiting {
    pub(crate) grand: Vec<Waiter>,
    pub(crate) taken: bool,
}

/// A child handed over to the waiter (T2t).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Handed {
    pub(crate) life: Option<Life>,
    pub(crate) descriptor: Arc<Descriptor>,
}

/// A task that this life executes or executed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Task {
    pub(crate) waiters: BTreeMap<Waiter, Waiting>,
    /// Waiters whose life is over: told again when their peer returns as home.
    pub(crate) lost: BTreeSet<Waiter>,
    /// `None` while the body runs.
    pub(crate) outcome: Option<Outcome>,
    /// For how long the body had a slot.
    pub(crate) slot: Duration,
    pub(crate) children: BTreeMap<Key, Child>,
    /// Children that are not done.
    pub(crate) open: usize,
    pub(crate) tails: BTreeMap<Key, Handed>,
    /// Counts over the children that are done.
    pub(crate) below: Tally,
    pub(crate) done: Option<Arc<Fact>>,
    /// Repeats of the fact.
    pub(crate) age: u32,
}

impl Task {
    pub(crate) const fn new() -> Self {
        Self {
            waiters: BTreeMap::new(),
            lost: BTreeSet::new(),
            outcome: None,
            slot: Duration::ZERO,
            children: BTreeMap::new(),
            open: 0,
            tails: BTreeMap::new(),
            below: Tally { tasks: 0, ok: 0, failed: 0, executions: 0 },
            done: None,
            age: 0,
        }
    }

    pub(crate) const fn runs(&self) -> bool {
        self.outcome.is_none()
    }

    /// The size of all descriptors that were handed over: they travel in one fact.
    pub(crate) fn handed_bytes(&self) -> usize {
        self.tails.values().map(|handed| descriptor_bytes(&handed.descriptor)).sum()
    }
}

pub(crate) fn descriptor_bytes(descriptor: &Descriptor) -> usize {
    let requires: usize = descriptor.requires.iter().map(|name| name.as_str().len() + 2).sum();
    let texts = descriptor.kind.len() + descriptor.name.len();
    96 + texts + descriptor.payload.len() + descriptor.recipe.len() + requires
}

impl Tally {
    /// Adds what a child reported. Numbers from outside saturate: they are counts, not money.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.tasks = self.tasks.saturating_add(other.tasks);
        self.ok = self.ok.saturating_add(other.ok);
        self.failed = self.failed.saturating_add(other.failed);
        self.executions = self.executions.saturating_add(other.executions);
    }

    pub(crate) fn of_body(outcome: &Outcome) -> Self {
        let ok = u64::from(outcome.is_ok());
        Self { tasks: 1, ok, failed: 1 - ok, executions: 0 }
    }
}
