//! Links between peers: the trait every transport implements (transport.md).
//!
//! A transport moves messages and proves who sent them. It never decides who is alive, who may join,
//! or what a message means. Messages of one reliable class arrive in order, without gap or
//! duplicate, as a prefix of what was accepted; between classes there is no order. `Down` may lose
//! an unknown suffix.

use core::{
    fmt,
    num::NonZeroU32,
    str::FromStr,
    task::{Context, Poll},
    time::Duration,
};
use std::collections::VecDeque;

use async_trait::async_trait;

use crate::{Incarnation, Life, PeerId};

mod contract;
mod lanes;

pub use contract::{Breach, Contract};
pub use lanes::Lanes;

/// A link of one transport: an index and a generation, so that a reused slot is another link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId {
    /// Slot.
    pub index: u32,
    /// How often the slot was used.
    pub generation: NonZeroU32,
}

/// How a message travels. The first three are reliable and ordered within the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Facts, votes, probes, cancels. At most 64 KiB each.
    Control,
    /// Task payloads and results.
    Data,
    /// State transfer.
    Bulk,
    /// Beats and gossip: may be lost, never doubled.
    Unreliable,
}

/// Where a peer can be reached: `SCHEME:REST`, e.g. `quic:127.0.0.1:7001` or `memory:NAME`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Address(String);

/// Why a text is no address. The fault of whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address: expected SCHEME:REST, e.g. quic:127.0.0.1:7001")]
pub struct BadAddress {
    /// The refused text.
    pub text: String,
}

impl Address {
    /// An address of `scheme`.
    pub fn new(scheme: &str, rest: &str) -> Self {
        Self(format!("{scheme}:{rest}"))
    }

    /// The rest, if the address has this scheme.
    pub fn rest(&self, scheme: &str) -> Option<&str> {
        self.0.strip_prefix(scheme)?.strip_prefix(':')
    }
}

impl FromStr for Address {
    type Err = BadAddress;
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        match text.split_once(':') {
            Some((scheme, rest))
                if !rest.is_empty()
                    && !scheme.is_empty()
                    && text.len() <= 256
                    && scheme.bytes().all(|byte| byte.is_ascii_lowercase()) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(BadAddress { text: text.chars().take(300).collect() }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a transport promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Largest encoded message in bytes, by [`Class`]; `usize::MAX`: unlimited.
    pub max_message: [usize; 4],
    /// Both ends are in one OS process: `Down(Gone)` is proof of death.
    pub shared_fate: bool,
}

/// Who opened a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// This side did.
    Dialed,
    /// The other side did.
    Accepted,
}

/// Why a link ended or was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The application closed it.
    #[error("closed by the application")]
    Closed,
    /// The peer is going away in good order.
    #[error("the peer is shutting down")]
    ShuttingDown,
    /// Another link to the same life serves instead.
    #[error("another link to this peer serves instead")]
    Duplicate,
    /// Timeout, reset, network. No evidence of death.
    #[error("connection lost")]
    Lost,
    /// A newer life of the peer spoke: the old one is dead.
    #[error("the peer restarted")]
    PeerRestarted,
    /// This side's incarnation is older than one the peer knows.
    #[error("this life is older than one already seen")]
    StaleLife,
    /// Two processes use one identity and incarnation.
    #[error("another process uses the same identity")]
    DuplicateIdentity,
    /// No protocol version in common.
    #[error("no protocol version in common, the peer speaks {theirs}")]
    VersionMismatch {
        /// The newest version the other side speaks.
        theirs: u16,
    },
    /// The other side does not take this side's certificate.
    #[error("it is not let in: {0}")]
    NotAdmitted(Flaw),
    /// The peer did not say Hello in time.
    #[error("no hello in time")]
    HelloTimeout,
    /// The peer broke the transport's rules.
    #[error("the peer broke the protocol: {0:?}")]
    Misbehaved(Misbehaviour),
    /// Shared fate: dropped, panicked or killed. Proof of death.
    #[error("the peer is gone")]
    Gone,
}

/// What is wrong with a membership certificate, in the eyes of who is shown it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Its time is over, or has not begun, by the clock of who is shown it.
    #[error("its certificate is over, or not yet valid")]
    Expired,
    /// It is of another authority.
    #[error("its certificate is of another mesh's authority")]
    Foreign,
    /// There is none: one side runs with certificates, the other without.
    #[error("no certificate of the mesh was shown")]
    Missing,
    /// All else: it is damaged, or of another key than who shows it has.
    #[error("its certificate is not valid")]
    Invalid,
}

/// How a peer broke the transport's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Misbehaviour {
    /// Bytes that are no message.
    Decode,
    /// A sequence number was skipped.
    Gap,
    /// A message above its class's limit.
    Size,
    /// A stream that does not belong.
    Stream,
    /// Too much of something.
    Flood,
}

/// What a transport reports, in order per link.
#[derive(Debug)]
pub enum Event<M> {
    /// A link is usable; both sides proved who they are.
    Up {
        /// The link.
        link: LinkId,
        /// Who is at the other end.
        peer: Life,
        /// Who dialed.
        direction: Direction,
    },
    /// A message arrived.
    Message {
        /// The link.
        link: LinkId,
        /// How it travelled.
        class: Class,
        /// What was sent.
        message: M,
    },
    /// After `Full`: there is room again. Once per `Full`.
    Writable {
        /// The link.
        link: LinkId,
        /// Which class has room.
        class: Class,
    },
    /// The link ended; nothing follows.
    Down {
        /// The link.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
}

/// Why a link did not take a message. State unchanged in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The queue is full: wait for `Writable` or `poll_ready`. The environment's fault.
    #[error("the link's queue is full")]
    Full,
    /// The message exceeds its class's limit. The caller's fault.
    #[error("message has {size} bytes, its class allows {limit}")]
    TooLarge {
        /// Encoded size in bytes.
        size: usize,
        /// Largest allowed size in bytes.
        limit: usize,
    },
    /// The message cannot be represented on the wire. The caller's fault.
    #[error("message cannot be encoded")]
    Unencodable,
    /// No such link, or not any more. The caller's fault.
    #[error("unknown link")]
    Unknown(LinkId),
    /// The link is closed: `Down` is queued or was already taken.
    #[error("link closed: {0}")]
    Closed(CloseReason),
}

/// A refused message, given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrySendError<M> {
    /// The message, unchanged.
    pub message: M,
    /// Why.
    pub reason: LinkError,
}

/// Why a peer could not be connected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No address of this transport's scheme was given. The caller's fault.
    #[error("no usable address was given")]
    NoAddress,
    /// Nobody answered at any address.
    #[error("nobody answers at {0}")]
    Unreachable(Address),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// Somebody else answered.
    #[error("expected peer {expected}, found {found}")]
    WrongPeer {
        /// Who was wanted.
        expected: PeerId,
        /// Who answered.
        found: PeerId,
    },
    /// The address leads back here. The caller's fault.
    #[error("this is the peer itself")]
    SelfDial,
    /// The other side refused the link.
    #[error("refused: {0}")]
    Refused(CloseReason),
    /// Who answers is not let in by this side.
    #[error("{address} is no member of this mesh: {flaw}")]
    Untrusted {
        /// Where it answers.
        address: Address,
        /// What is wrong with what it showed.
        flaw: Flaw,
    },
    /// The transport was shut down. The caller's fault.
    #[error("the transport is shut down")]
    ShutDown,
}

impl ConnectError {
    /// What is wrong with a certificate, this side's or the other's: dialling again changes nothing.
    pub const fn flaw(&self) -> Option<Flaw> {
        match self {
            Self::Untrusted { flaw, .. } | Self::Refused(CloseReason::NotAdmitted(flaw)) => {
                Some(*flaw)
            }
            _ => None,
        }
    }
}

/// Why a transport did not begin a new life. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// Lives only go forward. The caller's fault.
    #[error("incarnation {} is not above {}, the one in use", refused.0, current.0)]
    NotNewer {
        /// What was asked for.
        refused: Incarnation,
        /// The life in use.
        current: Incarnation,
    },
    /// The transport was shut down, or its peer was killed. The caller's fault.
    #[error("the transport is shut down")]
    ShutDown,
}

/// The transport was shut down and its events are drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the transport is shut down")]
pub struct Closed;

/// What a transport has done so far: monotone counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Messages accepted for sending, by class.
    pub sent: [u64; 4],
    /// Messages handed out, by class.
    pub received: [u64; 4],
    /// Encoded bytes accepted for sending; 0 where nothing is encoded.
    pub bytes_sent: u64,
    /// Encoded bytes received.
    pub bytes_received: u64,
    /// Refusals with `Full`.
    pub full: u64,
    /// Unreliable messages dropped here.
    pub dropped_unreliable: u64,
    /// Links closed because the peer misbehaved.
    pub misbehaved: u64,
    /// Links that came up.
    pub links_up: u64,
    /// Packets that only asked whether a silent network is back; 0 where there is none.
    pub pulses: u64,
}

/// Delivery between lives. Object safe: a driver holds `Arc<dyn Transport<Message>>`.
#[async_trait]
pub trait Transport<M: Send + 'static>: Send + Sync + 'static {
    /// Who this end is.
    fn local(&self) -> Life;

    /// What is promised.
    fn capabilities(&self) -> Capabilities;

    /// Addresses under which other peers reach this end.
    fn addresses(&self) -> Vec<Address>;

    /// Queues a message. Never blocks, does no I/O. `Ok` is accepted, not delivered.
    ///
    /// # Errors
    /// The message comes back; it is never delivered.
    fn try_send(&self, link: LinkId, class: Class, message: M) -> Result<(), TrySendError<M>>;

    /// Queues messages from the front of `queue` until one is refused; the rest stays. One lock, one
    /// wake for all of them.
    ///
    /// # Errors
    /// The first message was refused; nothing was taken.
    fn try_send_batch(
        &self,
        link: LinkId,
        class: Class,
        queue: &mut VecDeque<M>,
    ) -> Result<usize, LinkError> {
        let mut taken = 0;
        while let Some(message) = queue.pop_front() {
            let Err(refused) = self.try_send(link, class, message) else {
                taken += 1;
                continue;
            };
            queue.push_front(refused.message);
            return if taken == 0 { Err(refused.reason) } else { Ok(taken) };
        }
        Ok(taken)
    }

    /// Ready when a smallest message would be accepted now.
    fn poll_ready(
        &self,
        link: LinkId,
        class: Class,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), LinkError>>;

    /// Appends up to `max` events. One consumer; the last waker wins.
    fn poll_events(
        &self,
        cx: &mut Context<'_>,
        out: &mut Vec<Event<M>>,
        max: usize,
    ) -> Poll<Result<usize, Closed>>;

    /// Who answers at an address that names no peer, e.g. a seed.
    async fn identify(&self, address: &Address) -> Result<PeerId, ConnectError>;

    /// Opens a link, or returns the one that is up. Addresses of other schemes are ignored. Dropping
    /// the future does not stop the dial.
    async fn connect(&self, peer: PeerId, addresses: &[Address]) -> Result<LinkId, ConnectError>;

    /// Flushes and closes one link. Idempotent; a stale id is ignored.
    async fn close(&self, link: LinkId, reason: CloseReason);

    /// Begins the peer's next life in place: the process goes on, what it promised as the old life is over.
    ///
    /// All links end at once, unflushed: here with [`CloseReason::Closed`], at the others with
    /// [`CloseReason::PeerRestarted`]. What arrived for the old life and was not taken yet is forgotten, a
    /// handshake that began in the old life does not become a link, and [`Transport::local`] is the new life.
    ///
    /// # Errors
    /// Any [`RenewError`].
    async fn renew(&self, incarnation: Incarnation) -> Result<(), RenewError>;

    /// Refuses sends, flushes within `grace`, closes everything.
    async fn shutdown(&self, grace: Duration);

    /// What happened so far.
    fn counters(&self) -> Counters;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let address: Address = "quic:127.0.0.1:7001".parse().unwrap();
        assert_eq!(address.rest("quic"), Some("127.0.0.1:7001"));
        assert_eq!(address.rest("memory"), None);
        assert_eq!(address.rest("qui"), None);
        for bad in ["", "quic", "quic:", ":x", "QUIC:x"] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
    }
}
