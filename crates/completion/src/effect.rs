use core::time::Duration;
use std::sync::Arc;

use formic_core::{Descriptor, Digest, Key, Life, Outcome};

use crate::{Message, Record, Tally, Verdict};

/// What is to be done outside, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Make durable before any `Send`, `Sign` or `Event` that follows.
    Persist(Record),
    /// Send to one life; may be lost, doubled, late.
    Send {
        /// To whom. Never this life itself: self-addressed frames stay in an inner queue.
        to: Life,
        /// What.
        message: Message,
    },
    /// Find a capable peer for this child; answered by [`Input::Placed`](crate::Input::Placed), whenever one is there.
    Place {
        /// The child.
        key: Key,
        /// Which attempt.
        attempt: u16,
        /// What it needs.
        descriptor: Arc<Descriptor>,
        /// A life that just failed it, to be avoided where others are capable.
        avoid: Option<Life>,
    },
    /// The child needs no place any more.
    Unplace {
        /// The child.
        key: Key,
    },
    /// Run this body here; answered by [`Input::BodyFinished`](crate::Input::BodyFinished).
    Execute {
        /// The task.
        key: Key,
        /// Which attempt.
        attempt: u16,
        /// What to do.
        descriptor: Arc<Descriptor>,
        /// The job's root: runs outside the agents' slots.
        root: bool,
    },
    /// Stop this body, if it still runs; its end is not reported.
    Abort {
        /// The task.
        key: Key,
    },
    /// Sign the statement with this digest with the identity key and send the signature to `to`, where it becomes
    /// [`Input::Attested`](crate::Input::Attested).
    Sign {
        /// Who collects; may be this life.
        to: Life,
        /// `Statement::digest()`.
        statement: Digest,
    },
    /// Something the peer, the user or the event log wants to know.
    Event(Event),
}

/// What happened to the job, as this peer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A majority of the home group has stored the job: the submission may be acknowledged.
    Accepted,
    /// A ledger entry exists for this child: the spawn may be acknowledged.
    Spawned {
        /// The parent.
        owner: Key,
        /// The child.
        key: Key,
    },
    /// A child's fact reached the ledger of `owner`, whose body runs or ran here. Also for adopted tails.
    ChildDone {
        /// The parent.
        owner: Key,
        /// The child.
        key: Key,
        /// Who executed the body that counts.
        by: Life,
        /// The result.
        outcome: Outcome,
        /// For how long the body had a slot, as its executor says.
        slot: Duration,
        /// Tasks it spawned and theirs, handed-over tails excluded.
        below: u64,
    },
    /// A child was given up at `from` and is executed again elsewhere.
    Respawned {
        /// The child.
        key: Key,
        /// The new attempt's number.
        attempt: u16,
        /// The life that lost it.
        from: Life,
    },
    /// A second fact for a key differs from the first; the first counts.
    Divergent {
        /// The task.
        key: Key,
    },
    /// The task was dropped here: nobody waits for it.
    Dropped {
        /// The task.
        key: Key,
    },
    /// This home life takes over from lower ranks that are gone (T17).
    TookOver {
        /// Its rank, from 0.
        rank: usize,
    },
    /// Another home group than the first one keeps the job.
    Succeeded {
        /// All home groups by generation, each by rank. The last one keeps it.
        groups: Vec<Vec<Life>>,
    },
    /// The result is decided: all work is covered (T18). At the home life that completes.
    Complete {
        /// How the root ended.
        outcome: Outcome,
        /// Counts over the execution tree that produced it.
        tally: Tally,
    },
    /// The job is over at this life: sealed, verdict known. Exactly once per life.
    Verdict(Arc<Verdict>),
    /// Two independent proofs disagree (completion.md section 7). Never silently continued.
    Anomaly {
        /// What disagrees, for people.
        what: String,
    },
}
