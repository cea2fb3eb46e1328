//! What a node persisted, for the next life of its peer.

use std::collections::{BTreeMap, VecDeque};

use formic_core::{Incarnation, JobId};
use formic_node::Record;

use crate::{Store, StoreError};

/// Closed jobs whose verdicts are kept in memory; on disk all are.
const CLOSED_MAX: usize = 1_024;

/// Where the records of a peer go: to its state directory, or, without one, into memory for as long as the process
/// lives. Either way the peer's next life begins with them.
#[derive(Debug)]
pub(crate) enum Journal {
    Disk(Store),
    Memory(Kept),
}

/// Records in memory.
#[derive(Debug)]
pub(crate) struct Kept {
    incarnation: Incarnation,
    /// The number of the next record.
    next: u64,
    jobs: BTreeMap<JobId, Vec<(u64, Record)>>,
    /// Oldest first.
    closed: VecDeque<JobId>,
}

impl Journal {
    /// The journal of a peer in this life.
    pub(crate) fn new(store: Option<Store>, incarnation: Incarnation) -> Self {
        match store {
            Some(store) => Self::Disk(store),
            None => Self::Memory(Kept {
                incarnation,
                next: 0,
                jobs: BTreeMap::new(),
                closed: VecDeque::new(),
            }),
        }
    }

    /// All records, in the order in which they were appended.
    pub(crate) async fn records(&self) -> Result<Vec<Record>, StoreError> {
        match self {
            Self::Disk(store) => {
                let store = store.clone();
                blocking(move || store.records()).await
            }
            Self::Memory(kept) => Ok(kept.records()),
        }
    }

    /// Appends records: on disk, all or none of them, and durable when this returns.
    pub(crate) async fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        match self {
            Self::Disk(store) => {
                let store = store.clone();
                blocking(move || store.append(&records)).await
            }
            Self::Memory(kept) => {
                records.into_iter().for_each(|record| kept.append(record));
                Ok(())
            }
        }
    }

    /// Raises the incarnation by one: on disk, durably.
    pub(crate) async fn begin_next_life(&mut self) -> Result<Incarnation, StoreError> {
        match self {
            Self::Disk(store) => {
                let store = store.clone();
                blocking(move || store.begin_next_life()).await
            }
            Self::Memory(kept) => {
                kept.incarnation = kept.incarnation.next();
                Ok(kept.incarnation)
            }
        }
    }
}

/// A panic of the database leaves what it did in doubt, like a lost disk.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(call).await.unwrap_or(Err(StoreError::Interrupted))
}

impl Kept {
    fn append(&mut self, record: Record) {
        let job = record.job;
        let records = self.jobs.entry(job).or_default();
        if record.closes() {
            records.clear();
            self.closed.push_back(job);
        }
        records.push((self.next, record));
        self.next += 1;
        if self.closed.len() > CLOSED_MAX
            && let Some(oldest) = self.closed.pop_front()
        {
            self.jobs.remove(&oldest);
        }
    }

    fn records(&self) -> Vec<Record> {
        let mut numbered: Vec<_> = self.jobs.values().flatten().collect();
        numbered.sort_unstable_by_key(|(number, _)| *number);
        numbered.into_iter().map(|(_, record)| record.clone()).collect()
    }
}
