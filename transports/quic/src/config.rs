use core::time::Duration;
use std::{io, net::SocketAddr};

use formic_core::{Blame, Fault, Life, PeerId, transport::Class};
use formic_identity::SecretKey;

use crate::{Membership, QuicRuntime, limits::Limits};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Largest message of [`Class::Unreliable`]: fits a datagram at the smallest MTU of QUIC.
pub(crate) const DATAGRAM_MAX: usize = 1_100;

/// How one peer speaks QUIC. Made by [`Config::new`], then changed field by field.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen; port 0 lets the system choose. Without a `membership` loopback only.
    pub listen: SocketAddr,
    /// Who this end is; the peer must be the one `secret` belongs to.
    pub life: Life,
    /// The key that proves it.
    pub secret: SecretKey,
    /// The mesh's certificates: only members are linked, and any address may be bound. Default `None`: whoever reaches
    /// this loopback address may link with a key of its own.
    pub membership: Option<Membership>,
    /// The thread to run on; `None` starts one for this peer.
    pub runtime: Option<QuicRuntime>,
    /// After this long without a packet a link is lost. Shorter notices a dead host earlier, longer
    /// survives longer outages. Default 10 s; 1 s to 10 min.
    pub idle_timeout: Duration,
    /// How long one address may take to answer. Shorter finds a peer sooner once an outage heals, because a dial into
    /// it is given up sooner; longer survives slower paths. Default 1 s; 0.1 to 60 s.
    pub dial_timeout: Duration,
    /// How long the other side may take to say Hello. Default 3 s; 0.1 to 30 s.
    pub hello_timeout: Duration,
    /// How long a closed link may take to deliver what was sent. Default 0.5 s; 0 to 60 s.
    pub close_flush: Duration,
    /// Bytes in flight per stream: throughput against memory. Default 1 MiB; 64 KiB to 16 MiB.
    pub stream_window: usize,
    /// Bytes that wait to be sent, per link, for Control, Data and Bulk. Default 256 KiB, 1 MiB,
    /// 1 MiB; 64 KiB to 64 MiB.
    pub queue: [usize; 3],
    /// Received bytes that wait for the consumer, per link and class, before the sender is slowed
    /// down. Default 256 KiB; 64 KiB to 64 MiB.
    pub inbox: usize,
    /// Largest encoded message of Control, Data and Bulk. Default 64 KiB, 1 MiB, 1 MiB; 4 KiB to
    /// 1 MiB, and room for one in `queue`.
    pub max_message: [usize; 3],
    /// What strangers may cost: handshakes and links, together and by address.
    pub limits: Limits,
    /// Chaos: addresses whose packets are dropped. Default `None`: nothing looks at them.
    pub cut: Option<crate::Cut>,
}

/// Why an endpoint could not be made. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A value out of its range. The caller's fault.
    #[error("quic transport: {field} is {value}, allowed is {allowed}")]
    Config {
        /// Which field.
        field: &'static str,
        /// Its value, in bytes or milliseconds.
        value: u128,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Other hosts could reach this address, and nothing decides who may join. The caller's fault.
    #[error("{0} is no loopback address: without a membership only loopback may be bound")]
    NotLoopback(SocketAddr),
    /// The certificate is of another peer. The caller's fault.
    #[error("the certificate is of peer {certificate}, the key is of peer {key}")]
    WrongCertificate {
        /// The peer of the certificate.
        certificate: PeerId,
        /// The peer of the key.
        key: PeerId,
    },
    /// The life belongs to another key. The caller's fault.
    #[error("life is of peer {life}, the key is of peer {key}")]
    WrongKey {
        /// The peer of the life.
        life: PeerId,
        /// The peer of the key.
        key: PeerId,
    },
    /// The address cannot be bound. The environment's fault.
    #[error("cannot bind {address}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No thread or event loop could be made. The environment's fault.
    #[error("cannot start the transport's thread")]
    Thread(#[source] io::Error),
    /// The TLS library refused the key. The environment's fault.
    #[error("TLS refuses the key: {0}")]
    Tls(String),
}

impl Blame for BindError {
    fn fault(&self) -> Fault {
        match self {
            Self::Config { .. }
            | Self::NotLoopback(_)
            | Self::WrongKey { .. }
            | Self::WrongCertificate { .. } => Fault::Caller,
            Self::Bind { .. } | Self::Thread(_) | Self::Tls(_) => Fault::Environment,
        }
    }
}

impl Config {
    /// The defaults, for a peer that listens on `listen`.
    pub fn new(listen: SocketAddr, life: Life, secret: SecretKey) -> Self {
        Self {
            listen,
            life,
            secret,
            membership: None,
            runtime: None,
            idle_timeout: Duration::from_secs(10),
            dial_timeout: Duration::from_secs(1),
            hello_timeout: Duration::from_secs(3),
            close_flush: Duration::from_millis(500),
            stream_window: MIB,
            queue: [256 * KIB, MIB, MIB],
            inbox: 256 * KIB,
            max_message: [64 * KIB, MIB, MIB],
            limits: Limits::default(),
            cut: None,
        }
    }

    /// Refuses what is out of range or contradictory.
    pub(crate) fn check(&self) -> Result<(), BindError> {
        if self.membership.is_none() && !self.listen.ip().is_loopback() {
            return Err(BindError::NotLoopback(self.listen));
        }
        let key = self.secret.public().peer_id();
        if key != self.life.peer {
            return Err(BindError::WrongKey { life: self.life.peer, key });
        }
        if let Some(certificate) = self.membership.as_ref().map(Membership::peer)
            && certificate != key
        {
            return Err(BindError::WrongCertificate { certificate, key });
        }
        span("idle_timeout", self.idle_timeout, [1_000, 600_000], "1 s to 10 min")?;
        span("dial_timeout", self.dial_timeout, [100, 60_000], "0.1 to 60 s")?;
        span("hello_timeout", self.hello_timeout, [100, 30_000], "0.1 to 30 s")?;
        span("close_flush", self.close_flush, [0, 60_000], "0 to 60 s")?;
        bytes("stream_window", self.stream_window, [64 * KIB, 16 * MIB], "64 KiB to 16 MiB")?;
        bytes("inbox", self.inbox, [64 * KIB, 64 * MIB], "64 KiB to 64 MiB")?;
        self.check_limits()?;
        for (queue, max_message) in self.queue.into_iter().zip(self.max_message) {
            bytes("queue", queue, [64 * KIB, 64 * MIB], "64 KiB to 64 MiB")?;
            let largest = MIB.min(queue);
            bytes("max_message", max_message, [4 * KIB, largest], "4 KiB to 1 MiB, at most queue")?;
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), BindError> {
        let (limits, per) = (self.limits, self.limits.per_address);
        for (field, value) in [
            ("limits.open", limits.open),
            ("limits.links", limits.links),
            ("limits.per_address.open", per.open),
            ("limits.per_address.rate", per.rate),
            ("limits.per_address.burst", per.burst),
            ("limits.per_address.links", per.links),
        ] {
            if !(1..=65_536).contains(&value) {
                return Err(BindError::Config {
                    field,
                    value: value.into(),
                    allowed: "1 to 65536",
                });
            }
        }
        if limits.retry_above >= limits.open {
            let (field, value) = ("limits.retry_above", limits.retry_above.into());
            return Err(BindError::Config { field, value, allowed: "0 to limits.open - 1" });
        }
        Ok(())
    }

    pub(crate) fn max_message(&self, class: Class) -> usize {
        match class {
            Class::Control => self.max_message[0],
            Class::Data => self.max_message[1],
            Class::Bulk => self.max_message[2],
            Class::Unreliable => DATAGRAM_MAX,
        }
    }
}

fn span(
    field: &'static str,
    value: Duration,
    [min, max]: [u128; 2],
    allowed: &'static str,
) -> Result<(), BindError> {
    let value = value.as_millis();
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(BindError::Config { field, value, allowed })
}

fn bytes(
    field: &'static str,
    value: usize,
    [min, max]: [usize; 2],
    allowed: &'static str,
) -> Result<(), BindError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(BindError::Config { field, value: value as u128, allowed })
}
