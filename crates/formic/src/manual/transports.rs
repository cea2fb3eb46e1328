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
//! # Beyond one host
//!
//! `formic_quic` binds other addresses than loopback only with a `Membership`: an X.509 certificate of the peer's key, signed by
//! the mesh's `Authority`. Both sides refuse whoever has none of the same authority. A peer's secret key need not leave it.
//!
//! On the command line the authority is a directory, and a certificate a file:
//!
//! ```sh
//! formic ca init ca                              # makes the authority; whoever reads it can make members
//! formic ca key --state s1                       # on the peer's host: prints its public key
//! formic ca issue ca --key KEY --out s1.json     # for that peer; valid for 30 days unless --valid says otherwise
//! formic ca issue ca --client --out me.json      # for submit, status, run --join: has a secret key of its own
//! formic ca list ca
//! formic peer --listen 10.0.0.1:7001 --state s1 --mesh-key s1.json
//! ```
//!
//! A peer needs `--state` with it: one that came back with its key and without its disk would vote against what it had voted.
//! Of the clients of one file one runs at a time, and the clocks of the hosts where it runs must agree: a peer answers no client
//! whose clock is behind the one it had before.
//!
//! Who is refused learns why, and so does who refuses: the certificate is over, or of another authority, or there is none, or it
//! is not valid. `formic peer` warns, commands that ask a mesh end with exit code 7, a library sees
//! `ConnectError::Untrusted` (this side refuses) or `ConnectError::Refused(CloseReason::NotAdmitted)` (the other side does).
//!
//! There is no revocation: certificates end. One that ended opens no new link; a link that is up stays up. An authority cannot be
//! renewed: before its time is over, make another one, and give every peer a certificate of it.
//!
//! # Strangers
//!
//! `formic_quic::Limits` bounds what those cost who have not proved who they are: handshakes that are open, altogether (256) and
//! by address (8), their rate (32/s), accepted links. Above 32 open handshakes a source must prove its address before anything is
//! kept of it. `Quic::strangers` counts what was tried and what became of it. Loopback addresses are exempt from the limits by
//! address unless `limits.loopback` says otherwise.
//!
//! # A transport of your own
//!
//! Implement [`Transport`](crate::transport::Transport) and one factory, and `formic_conformance::conformance!` makes a
//! test of each promise that protocols rely on: one link per pair of lives, reliable classes complete and in order,
//! refused messages that come back, room that is announced, lives that replace each other. Its pure checker,
//! `formic_core::transport::Contract`, can watch any end.
//!
//! # Faults
//!
//! `formic_memory::Faulty` wraps an end of any transport, yours included, and makes its network bad while everything runs.
//! All ends share one `Faults`:
//!
//! | knob | legal | hostile |
//! |---|---|---|
//! | `Weather::delay`, per direction | late, in order within a class | late, overtaking |
//! | `Weather::unreliable`: loss, reorder, duplicate | loss and reorder | all |
//! | `Weather::reliable`: loss, reorder, duplicate | refused | all |
//! | `Weather::storm` | `Full` although there is room; the message comes back | the same |
//! | `one_way`, `partition`, `heal` | reliable messages wait, or `lose_links_after` | lost |
//! | `cut`, `stall`, `slow` | `Down(Lost)` at both ends; takes nothing; takes little | the same |
//! | `Weather::on_full`, `on_reconnect` | refused | loses what is refused; repeats on the next link |
//!
//! Legal faults do nothing that a transport may not do: the conformance suite passes over them, so a program that fails under
//! them has a bug. Which message is hit depends on the seed and the message, not on timing. Ends of different processes share
//! no partition: `formic run --partition` cuts those at their sockets.
