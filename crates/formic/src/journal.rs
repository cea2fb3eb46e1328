//! What a node persisted, for the next life of its peer.

use std::collections::{BTreeMap, VecDeque};

use formic_core::Incarnation;
use formic_node::Record;
use tokio::sync::watch;

use crate::{Store, StoreError};

/// Closed jobs whose verdicts are kept in memory; on disk all are.
const CLOSED_MAX: usize = 1_024;

/// Where the records of a peer go: to its state directory, or, without one, into memory for as long as the process
/// lives. Either way the peer's next life begins with them.
#[derive(Debug)]
pub(crate) enum Journal {
    Disk(Held),
    Memory(Kept),
}

/// A store, and the sign that it is in use: a call that blocks outlives the peer that made it, and holds the state
/// directory for as long. Dropped in this order.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    store: Store,
    _sign: watch::Sender<()>,
}

/// Tells when a peer holds its store no longer.
#[derive(Clone, Debug)]
pub(crate) struct Release(watch::Receiver<()>);

impl Release {
    /// Waits until the store is free. Cancel-safe.
    pub(crate) async fn wait(&self) {
        let mut held = self.0.clone();
        // Nothing is ever sent: this ends when the last sender is gone.
        while held.changed().await.is_ok() {}
    }
}

/// Records in memory.
#[derive(Debug)]
pub(crate) struct Kept {
    incarnation: Incarnation,
    /// The number of the next record.
    next: u64,
    shelves: BTreeMap<[u8; 16], Vec<(u64, Record)>>,
    /// Oldest first.
    closed: VecDeque<[u8; 16]>,
}

impl Journal {
    /// The journal of a peer in this life.
    pub(crate) fn new(store: Option<Store>, incarnation: Incarnation) -> (Self, Release) {
        let (sign, held) = watch::channel(());
        let journal = match store {
            Some(store) => Self::Disk(Held { store, _sign: sign }),
            None => Self::Memory(Kept {
                incarnation,
                next: 0,
                shelves: BTreeMap::new(),
                closed: VecDeque::new(),
            }),
        };
        (journal, Release(held))
    }

    /// All records, in the order in which they were appended.
    pub(crate) async fn records(&self) -> Result<Vec<Record>, StoreError> {
        match self {
            Self::Disk(held) => held.blocking(|store| store.records()).await,
            Self::Memory(kept) => Ok(kept.records()),
        }
    }

    /// Appends records: on disk, all or none of them, and durable when this returns.
    pub(crate) async fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        match self {
            Self::Disk(held) => held.blocking(move |store| store.append(&records)).await,
            Self::Memory(kept) => {
                records.into_iter().for_each(|record| kept.append(record));
                Ok(())
            }
        }
    }

    /// Raises the incarnation by one: on disk, durably.
    pub(crate) async fn begin_next_life(&mut self) -> Result<Incarnation, StoreError> {
        match self {
            Self::Disk(held) => held.blocking(|store| store.begin_next_life()).await,
            Self::Memory(kept) => {
                kept.incarnation = kept.incarnation.next();
                Ok(kept.incarnation)
            }
        }
    }
}

impl Held {
    /// A panic of the database leaves what it did in doubt, like a lost disk.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let held = self.clone();
        tokio::task::spawn_blocking(move || held.run(call))
            .await
            .unwrap_or(Err(StoreError::Interrupted))
    }

    /// Takes all of itself: a closure would capture the store alone.
    fn run<T>(self, call: impl FnOnce(&Store) -> T) -> T {
        call(&self.store)
    }
}

impl Kept {
    fn append(&mut self, record: Record) {
        let shelf = record.shelf();
        let records = self.shelves.entry(shelf).or_default();
        if record.closes() {
            let again = records.iter().any(|(_, earlier)| earlier.closes());
            records.clear();
            if !again && matches!(record, Record::Job { .. }) {
                self.closed.push_back(shelf);
            }
        }
        records.push((self.next, record));
        self.next += 1;
        if self.closed.len() > CLOSED_MAX
            && let Some(oldest) = self.closed.pop_front()
        {
            self.shelves.remove(&oldest);
        }
    }

    fn records(&self) -> Vec<Record> {
        let mut numbered: Vec<_> = self.shelves.values().flatten().collect();
        numbered.sort_unstable_by_key(|(number, _)| *number);
        numbered.into_iter().map(|(_, record)| record.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::sync::Arc;

    use formic_completion::{Certificate, Decree, Record as JobRecord, Statement, Tally};
    use formic_core::{Digest, Outcome, Output};
    use tokio::time::timeout;

    use super::*;

    fn job(number: u32) -> formic_core::JobId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        formic_core::JobId::from_bytes(bytes)
    }

    fn closed(number: u32) -> Record {
        let outcome = Outcome::Ok(Output::default());
        let statement = Statement {
            job: job(number),
            plan: Digest::of(&[b"p"]),
            result: outcome.digest(),
            tally: Tally::default(),
            home: vec![],
            sealed: vec![],
            excluded: vec![],
        };
        let decree = Arc::new(Decree { outcome, tally: Tally::default() });
        let certificate = Arc::new(Certificate { statement, attestations: vec![] });
        Record::Job { job: job(number), record: JobRecord::Closed { decree, certificate } }
    }

    #[tokio::test]
    async fn memory_keeps_the_newest_verdicts_only() {
        let (mut journal, release) = Journal::new(None, Incarnation(1));
        release.wait().await;
        let count = u32::try_from(CLOSED_MAX).unwrap() + 3;
        // The same verdict twice, as a disk would see it: the second replaces the first.
        journal.append(vec![closed(0), closed(0)]).await.unwrap();
        journal.append((1..count).map(closed).collect()).await.unwrap();
        let records = journal.records().await.unwrap();
        assert_eq!(records.len(), CLOSED_MAX);
        assert_eq!(records.last(), Some(&closed(count - 1)));
        assert!(!records.contains(&closed(0)));
        assert_eq!(journal.begin_next_life().await.unwrap(), Incarnation(2));
    }

    #[tokio::test]
    async fn a_call_that_was_given_up_holds_the_store_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (Journal::Disk(held), release) = Journal::new(Some(store), Incarnation(1)) else {
            panic!("a store is a disk");
        };
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let mut call = Box::pin(held.blocking(move |_| {
            gone.recv().unwrap();
            Ok(())
        }));
        assert!(timeout(Duration::ZERO, &mut call).await.is_err());
        drop(call);
        drop(held);
        let mut wait = Box::pin(release.wait());
        assert!(timeout(Duration::ZERO, &mut wait).await.is_err());
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Busy { .. })));
        go.send(()).unwrap();
        wait.await;
        Store::open(dir.path()).unwrap();
    }
}
