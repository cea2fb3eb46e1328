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
//! [`Discovery`](formic_core::discovery::Discovery) source, and from each other. Sources only say where to dial: who
//! answers there is proved by the transport, and a mesh admits by itself. They are asked in every round while the peer
//! looks for others, every 300 s later, all at once; a round uses at most 64 addresses of a source.
//!
//! | source | finds | command line |
//! |---|---|---|
//! | [`Dns`](crate::Dns) | every A and AAAA record of a name, with one port | `--join dns:NAME:PORT` |
//! | `Mdns` (feature `mdns`) | peers that are announced on this host or link | `--join mdns`, `--join mdns:NAME` |
//!
//! ```
//! use formic::Dns;
//!
//! assert!(Dns::new("quic", "peers.example.org:7001").is_ok());
//! assert!(Dns::new("quic", "peers.example.org").is_err(), "the port is part of the name");
//! ```
//!
//! A peer with a source founds no mesh: if nobody is found, it keeps looking, and says why in its log.
//!
//! **Multicast DNS** needs no server and no configuration. A member is announced as `_formic._udp.local`
//! ([`Builder::announce`](crate::Builder::announce), `formic peer --announce mdns:NAME`) from the time that it joined or
//! founded its mesh; when it stops in good order it is withdrawn. One that was killed answers no more, and no round keeps
//! what an earlier one heard. Properties of the service: `v=1`, `id` (the peer), `mesh` (the first 8 bytes of the SHA-256 of the mesh id), and `name`, if one was
//! chosen: 1 to 63 letters, digits and `-`. Whoever looks under a name finds only what is announced under it; without a
//! name, whatever is announced, which may be several meshes: the first that answers is joined.
//!
//! A round asks and listens for two seconds at most, less if somebody answers. What is no announcement of this version is
//! ignored. `Reach::Host` speaks on IPv4 loopback only, `Reach::Link` on all other interfaces; the command line uses the first, as
//! its peers answer on loopback only. Without multicast every round is an error that names the reason, as is every try to
//! announce, once a minute; `formic doctor` tells beforehand.
//!
//! ```
//! # #[cfg(feature = "mdns")] {
//! use formic::{Mdns, Reach};
//!
//! assert!(Mdns::new("quic", Reach::Host).named("ants-7").is_ok());
//! assert!(Mdns::new("quic", Reach::Host).named("two words").is_err());
//! # }
//! ```
//!
//! What is not there: SRV records; membership keys, so that peers answer on loopback only.
