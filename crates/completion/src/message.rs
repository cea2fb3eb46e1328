use core::time::Duration;
use std::sync::Arc;

use formic_core::{Descriptor, Digest, JobId, Key, Life, Outcome, transport::Class};
use serde::{Deserialize, Serialize};

use crate::{Certificate, Decree, Statement};

/// A job as its home group stores it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobSpec {
    /// The job.
    pub job: JobId,
    /// The root task.
    pub root: Arc<Descriptor>,
    /// SHA-256 of the plan as the user wrote it.
    pub plan: Digest,
    /// The first home group by rank: 1, 2, or an odd number of lives, unique peers. Rank 0 hosts the root.
    pub home: Vec<Life>,
}

/// What the home group decides, once per generation: the result, or who keeps the job from now on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Ruling {
    /// The job's result. There is no later generation.
    Result(Decree),
    /// The home group of the next generation by rank, which decides instead.
    Succeed(Vec<Life>),
}

/// A peer that waits for a task on behalf of one of its own tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Waiter {
    /// Where the ledger entry is.
    pub life: Life,
    /// The task that owns the entry.
    pub owner: Key,
}

/// Counts over an execution tree: a task and all it spawned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tally {
    /// Tasks, the root not counted.
    pub tasks: u64,
    /// Of these: ended well.
    pub ok: u64,
    /// Of these: failed, expired or cancelled.
    pub failed: u64,
    /// Executions that the ledgers started for them, at least one each.
    pub executions: u64,
}

/// "The body finished, and every task it spawned is done, except these tails, which are handed over."
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fact {
    /// The task.
    pub key: Key,
    /// Who executed the body.
    pub by: Life,
    /// How the body ended.
    pub outcome: Outcome,
    /// Children handed over to the waiter.
    pub tails: Vec<Tail>,
    /// Counts over the tree below and including this task, handed-over tails excluded.
    pub tally: Tally,
    /// For how long the body had a slot, as its executor says. Carried for whoever chose the executor; nothing here is decided by it.
    pub slot: Duration,
}

/// A child handed over to its parent's waiter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tail {
    /// The child.
    pub key: Key,
    /// Who was asked to execute it.
    pub life: Option<Life>,
    /// What it is to do, so that the adopter can respawn it.
    pub descriptor: Arc<Descriptor>,
}

/// Batched control: everything one peer owes another, idempotent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signal {
    /// Tasks I have (T7).
    pub accepted: Vec<Key>,
    /// Facts (T6).
    pub done: Vec<Fact>,
    /// Facts I have taken (T8).
    pub taken: Vec<Key>,
    /// Tasks I do not want any more, on behalf of this owner (T9).
    pub cancelled: Vec<(Key, Key)>,
    /// Tasks I was asked about and do not have (T9).
    pub unknown: Vec<Key>,
}

/// What a life reports when it seals (section 7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seal {
    /// Tasks alive here when the seal came.
    pub live_before: u32,
    /// Distinct tasks this life asked others (or itself) to execute, first attempts only.
    pub sent: u64,
    /// Distinct tasks this life accepted.
    pub accepted: u64,
    /// Bodies this life ran to the end.
    pub finished: u64,
    /// Suspicions, moves, respawns and drops this life saw. Where it is 0 at every member and nobody
    /// is excluded, `sent`, `accepted` and `finished` add up to the same number.
    pub disturbed: u64,
}

/// What peers say to each other about one job. All idempotent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Rank 0 asks a home life to store the job (T1).
    HomePut {
        /// The job.
        spec: Arc<JobSpec>,
        /// Its home groups after the first one, by generation.
        later: Vec<Vec<Life>>,
    },
    /// Stored.
    HomeAck {
        /// The newest generation that is stored.
        generation: u32,
    },
    /// A home peer came back with its records: this life now holds that peer's rank.
    HomeBack {
        /// The newest generation in its records.
        generation: u32,
    },
    /// Execute this task.
    Work {
        /// The task.
        key: Key,
        /// Which attempt.
        attempt: u16,
        /// What to do.
        descriptor: Arc<Descriptor>,
        /// Who waits for it.
        waiter: Waiter,
        /// Who respawns the owner if its executor dies: the owner's own waiters.
        grand: Vec<Waiter>,
        /// Children of an earlier attempt known to be alive elsewhere.
        hints: Vec<(Key, Life)>,
    },
    /// Batched control.
    Signal(Signal),
    /// "I run `key`, whose owner's peer died: tell whoever re-executes `owner`" (T14).
    Orphan {
        /// The orphaned task.
        key: Key,
        /// The task that spawned it.
        owner: Key,
    },
    /// A message of the register that decides the result, or the next home group.
    Register {
        /// Whose register: of the first home group 0, of the next one 1.
        generation: u32,
        /// What it says.
        message: formic_register::Message<Ruling>,
    },
    /// Seal yourself (T20).
    Probe {
        /// Digest of the decided result.
        result: Digest,
        /// The generation of the home group that decided it.
        generation: u32,
    },
    /// I am sealed (T21).
    Sealed {
        /// What I found.
        seal: Seal,
    },
    /// Sign this if it agrees with the decided result.
    Attest {
        /// What is to be signed.
        statement: Arc<Statement>,
        /// The generation of the home group it names.
        generation: u32,
    },
    /// The job is over (T23).
    Announce {
        /// The result that was decided, with its counts.
        decree: Arc<Decree>,
        /// The proof.
        certificate: Arc<Certificate>,
    },
    /// I know the verdict (T24).
    AnnounceAck,
    /// I know which life holds that rank now. Not [`HomeAck`](Self::HomeAck): whoever knows of a return
    /// need not have stored the job, and the other way round.
    HomeBackAck,
    /// This job is open here and nothing happens: is there a verdict? Whoever knows it answers with
    /// [`Announce`](Self::Announce), whoever knows a later home group that the asker may be of with
    /// [`HomePut`](Self::HomePut), all others do not.
    Ask {
        /// The generation of the newest home group that the asker knows; none, if it keeps no record of the job.
        home: Option<u32>,
    },
}

impl Message {
    /// How this message travels.
    pub const fn class(&self) -> Class {
        match self {
            Self::HomePut { .. } | Self::Work { .. } | Self::Announce { .. } => Class::Data,
            Self::Register { .. } | Self::Signal(_) => Class::Data,
            _ => Class::Control,
        }
    }
}
