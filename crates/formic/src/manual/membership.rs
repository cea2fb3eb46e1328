//! # Who belongs to the mesh, and what a part of it may decide
//!
//! A mesh agrees on its members: a **view** has a number, its members by seniority, and the hash of the view before it.
//! The next view is decided by a majority of the members of the last one; exactly half is enough where it has the most
//! senior member, the anchor. Majorities are never counted among those one happens to see, so that two parts of a cut
//! network cannot both go on deciding.
//!
//! - **A crash** is noticed by observers: every life is watched by up to eight others, and three fifths of them must miss
//!   it. That is an opinion: work of the missed peer starts elsewhere at once. After half a second more a view without
//!   it is committed. An opinion that was wrong is taken back; a view is not.
//! - **A minority** says so (`formic status`, events `quorum_lost` and `quorum_held`): it admits nobody, accepts and ends
//!   no job, and keeps its opinions about the others to itself for three seconds. Bodies that run go on.
//! - **After the heal** the minority learns that it was evicted and goes on as its next life in the same process, with
//!   what it had persisted ([`state`](super::state)); handles and waiters stay.
//! - **A restart** with a state directory takes the place of the life before it: votes belong to the peer and its disk.
//! - **A majority that is lost for ever** is replaced by an operator: `formic mesh force-view --join ADDR --members A,B
//!   --epoch E --reason TEXT`. All listed members must agree that no majority is left; the decision stays in the chain
//!   of views.
//!
//! Members are found by the addresses given to [`Builder::join`](crate::Builder::join), by a
//! [`Discovery`](formic_core::discovery::Discovery) source such as [`Dns`](crate::Dns), and from each other.
//!
//! ```
//! use formic::Dns;
//!
//! assert!(Dns::new("quic", "peers.example.org:7001").is_ok());
//! assert!(Dns::new("quic", "peers.example.org").is_err(), "the port is part of the name");
//! ```
//!
//! What is not there: mDNS and SRV records; membership keys, so that peers answer on loopback only.
