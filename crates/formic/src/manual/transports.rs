//! # Transports
//!
//! A transport moves messages between lives and proves who sent them. It is opened for an
//! [`Identity`](crate::Identity), and the peer is built over it; everything else is the same on each of them.
//!
//! | crate | reaches | death of a peer is noticed |
//! |---|---|---|
//! | `formic-memory` | peers of one process | at once: they share its fate |
//! | `formic-quic` | other processes and hosts, mutually authenticated | by silence, or at once when the peer says goodbye |
//!
//! An address is text, `SCHEME:REST`; each transport ignores foreign schemes:
//!
//! ```
//! use formic::transport::Address;
//!
//! let address: Address = "quic:127.0.0.1:7001".parse()?;
//! assert_eq!(address.rest("quic"), Some("127.0.0.1:7001"));
//! assert!("127.0.0.1".parse::<Address>().is_err());
//! # Ok::<(), formic::transport::BadAddress>(())
//! ```
//!
//! The first peer of a mesh founds it; others [join](crate::Builder::join) by any member's address. A
//! [`Client`](crate::Client) is no member: it submits, waits and asks, over a transport of its own.
//!
//! # A transport of your own
//!
//! Implement [`Transport`](crate::transport::Transport) and one factory, and `formic_conformance::conformance!` makes a
//! test of each promise that protocols rely on: one link per pair of lives, reliable classes complete and in order,
//! refused messages that come back, room that is announced, lives that replace each other. Its pure checker,
//! `formic_core::transport::Contract`, can watch any end.
