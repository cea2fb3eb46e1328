//! Delivery across hosts: QUIC with mutual authentication by raw public key or certificate.
//!
//! ```text
//!   dialer                                                        acceptor
//!     | ---- QUIC, TLS 1.3: both show and prove a raw public key ---- |
//!     | Hello: versions, life, fate  -------------------------------> |  newer life: the old link ends
//!     | <------------------------------------- HelloAck: life, fate   |  older life, clone: refused
//!   Up| Ready ------------------------------------------------------> |Up
//!     | Control, Data, Bulk: one stream each;  Unreliable: datagrams  |
//!     | <-----------------------------------------------------------> |
//!   try_send -> queue of the class -> one writer task ~~~> reader per stream -> inbox -> poll_events
//! ```
//!
//! Messages are encoded by `core::wire` on the sender's thread, copied once into the queue of their class, and decoded on the
//! consumer's thread; the endpoint's own thread does only cryptography and framing. An idle link
//! has no timer but QUIC's idle timeout.
//!
//! While something is unacknowledged and nothing is heard, a link sends a pulse every 200 ms (an empty datagram, also when
//! its window is used up): a network that was cut is noticed to be back within one of them, where QUIC's own probes are as
//! far apart as the outage was long.
//!
//! ```
//! use std::{future::poll_fn, sync::Arc};
//! use formic_core::{Incarnation, Life, transport::{Class, Event, Transport as _}};
//! use formic_identity::SecretKey;
//! use formic_quic::{Config, Quic};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = |seed| {
//!     let secret = SecretKey::from_seed([seed; 32]);
//!     let life = Life::new(secret.public().peer_id(), Incarnation(1));
//!     Config::new(([127, 0, 0, 1], 0).into(), life, secret)
//! };
//! let a: Arc<Quic<String>> = Quic::bind(config(1)).await?;
//! let b: Arc<Quic<String>> = Quic::bind(config(2)).await?;
//! let link = a.connect(b.local().peer, &b.addresses()).await?;
//! a.try_send(link, Class::Data, "hello".to_owned()).map_err(|refused| refused.reason)?;
//! let mut events = Vec::new();
//! while !matches!(events.last(), Some(Event::Message { message, .. }) if message == "hello") {
//!     poll_fn(|cx| b.poll_events(cx, &mut events, 16)).await?;
//! }
//! # Ok(()) }
//! ```
//!
//! # Beyond loopback
//!
//! Without a [`Membership`] only loopback addresses are bound: nothing else would decide who may link. With one, peers
//! show X.509 certificates of their mesh's [`Authority`], and nobody else gets past the TLS handshake:
//!
//! ```
//! # use core::time::Duration;
//! # use formic_core::{Incarnation, Life};
//! # use formic_identity::SecretKey;
//! # use formic_quic::{Authority, Config, Quic};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (of_mesh, of_peer) = (SecretKey::from_seed([3; 32]), SecretKey::from_seed([4; 32]));
//! let day = Duration::from_secs(86_400);
//! let authority = Authority::new(of_mesh, 365 * day)?; // where the mesh is run from
//! let membership = authority.admit(&of_peer.public(), 30 * day)?; // needs no secret of the peer
//! let life = Life::new(of_peer.public().peer_id(), Incarnation(1));
//! let mut config = Config::new(([0, 0, 0, 0], 0).into(), life, of_peer);
//! config.membership = Some(membership);
//! let peer = Quic::<String>::bind(config).await?;
//! # Ok(()) }
//! ```
//!
//! **Guarantees.**
//! - Who shows another's key without holding its secret is refused; a peer other than the expected
//!   one is `WrongPeer` (`tests::strangers`, `tests::dialing`).
//! - With a membership, keys without a certificate, certificates of another authority, without their key or out of their time
//!   are refused by both sides before Hello (`tests::membership`).
//! - Reliable classes arrive complete and in order until `Down`; datagrams at most once
//!   (`tests::delivery`).
//! - One link per pair of lives, also when both dial at once; a link that is up is never closed by
//!   the tie-break (`tests::dialing::both_dial_at_once_200_seeds`).
//! - A newer life replaces its dead link at once, `Down` before `Up`; an older one and a clone are
//!   refused by name (`tests::lives`).
//! - A life that begins in place (`renew`) ends all links of the old one, and no handshake of the old one
//!   becomes a link (`tests::lives::handshakes_across_a_renewal_never_bring_the_old_life_up`).
//! - `Full` hands the message back and blocks only its class (`tests::pressure`).
//! - What breaks the rules ends the link as `Misbehaved`, is counted, and a false length allocates
//!   nothing (`tests::strangers`).
//! - Strangers cost no more than [`Limits`] say, whatever they send: 10,000 forged handshakes keep 32 open, the rest is
//!   asked to prove its address without any state; one address keeps 8; garbage, replayed packets and floods of
//!   messages reach nobody; links that are up and newcomers go on, and [`Quic::strangers`] counts it all
//!   (`tests::abuse`, `limits::tests`).
//! - A cut that is shorter than the idle timeout costs a link nothing: streams that were full go on in order, without loss
//!   or duplicates, within a few pulses of the heal (`tests::outage::a_link_outlives_a_cut_without_loss_or_duplicates`;
//!   between hosts `cargo xtask hosts reconnect`). An idle link is not pulsed.
//! - Who is refused because of a certificate is told what is wrong with it, whichever side refuses, and the other side
//!   counts and logs it (`tests::membership`).
//! - `close` and `shutdown` deliver what was accepted (`tests::lives`).
//!
//! **Limits.** A certificate is not taken back before it ends, and a link that is up outlives its certificates. Control
//! waits behind the Bulk that is in flight. A peer that dies without a word is noticed by the idle timeout or by its next
//! life. A lost connection is the end of its link: nothing is resumed after an outage longer than the idle timeout. There
//! is no limit on the number of peers known: whoever makes keys is remembered by 32 bytes and a life for each that said
//! Hello, at the rate of its address. Packets that are not QUIC are dropped and not counted. A message of `Unreliable`
//! has at most 1,100 bytes.
//!
//! **Sources.** RFC 9000 and 9221 (quinn), RFC 7250 (rustls). Deviation from transport.md section 7.1:
//! the expected id is compared after the handshake and before Hello, so it need not travel in SNI. Certificates all carry
//! the name `formic.invalid` for the same reason. From 7.4:
//! see [`Limits`]. From 9: the first bad datagram ends its link, not the hundredth: it is authenticated, so no network
//! can have spoilt it.

mod config;
mod connect;
mod cut;
mod dial;
mod door;
mod endpoint;
mod frame;
mod hello;
mod limits;
mod link;
mod membership;
mod pulse;
mod quic;
mod reader;
mod runtime;
mod supervise;
#[cfg(test)]
mod tests;
mod tls;
mod writer;

pub use config::{BindError, Config};
pub use cut::Cut;
pub use limits::{Limits, Loopback, PerAddress, Strangers};
pub use membership::{Authority, Membership, MembershipError};
pub use quic::Quic;
pub use runtime::QuicRuntime;
