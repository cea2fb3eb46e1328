//! # What survives a process
//!
//! Without a store a peer is new at every start. With one it keeps, in one file of a directory that only its owner may
//! read:
//!
//! - its key: it stays the same peer;
//! - its incarnation, raised durably at every start: others never mistake it for the life that died;
//! - what it promised as a home of jobs, and results that reached the root's ledger: a job goes on after the death of
//!   every process, and what was done is not done again;
//! - the verdicts of closed jobs.
//!
//! Each record is on the disk before the message that promises it leaves. Queued tasks and running bodies are not kept:
//! whoever waits for them asks again.
//!
//! ```
//! use formic::Store;
//!
//! # let dir = tempfile::tempdir()?;
//! let first = Store::open(dir.path())?;
//! let (peer, incarnation) = (first.identity().life().peer, first.incarnation());
//! assert!(Store::open(dir.path()).is_err(), "a directory has one user");
//! drop(first);
//!
//! let second = Store::open(dir.path())?;
//! assert_eq!(second.identity().life().peer, peer);
//! assert!(second.incarnation() > incarnation);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A process may outlive a life of its peer: one that was out of touch until its mesh declared it dead goes on as its
//! next life, with a higher incarnation ([`Store::begin_next_life`](crate::Store::begin_next_life)) and with what it had
//! kept. Without a store it keeps the same in memory, for as long as the process lives.
//!
//! A file that is damaged, or that another program or version wrote, is refused by name and left as it is. A peer whose
//! records cannot be written stops at once ([`Stopped::Failed`](crate::Stopped::Failed)): it must not promise what it
//! cannot keep.
