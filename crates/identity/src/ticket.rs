//! Proof of work: it limits how fast strangers may knock, and is never the only barrier.
#![deny(clippy::indexing_slicing, clippy::as_conversions)]

use formic_core::{Blame, Digest, Fault, PeerId, rule};

use crate::domain;

/// Peers that an electorate would like to admit per change: more, and the work rises.
pub const WANTED: u32 = 4;
/// Bytes of an encoded ticket.
pub const TICKET_BYTES: usize = 40;

/// How much work a ticket costs: the mean count of tries, 2^16..=2^26, default 2^20.
///
/// Higher keeps more strangers out and costs honest ones more: `cargo xtask bench consensus` measures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Work(u64);

impl Work {
    /// The least: 16 bits, the four hexadecimal zeros of old.
    pub const MIN: Self = Self(1 << 16);
    /// The most: some seconds of one core.
    pub const MAX: Self = Self(1 << 26);

    /// So many tries in the mean.
    ///
    /// # Errors
    /// [`TicketError::Range`].
    pub const fn new(tries: u64) -> Result<Self, TicketError> {
        if tries < Self::MIN.0 || tries > Self::MAX.0 {
            return Err(TicketError::Range { found: tries });
        }
        Ok(Self(tries))
    }

    /// Tries in the mean.
    pub const fn tries(self) -> u64 {
        self.0
    }

    /// The work of the next electorate after `admitted` new peers: `work * (admitted + 1) / (wanted + 1)`, at most four
    /// times as much or as little, then within the range. `wanted` is [`WANTED`] unless an owner chose otherwise.
    #[must_use]
    pub fn retarget(self, admitted: u32, wanted: u32) -> Self {
        let next = u128::from(self.0) * (u128::from(admitted) + 1) / (u128::from(wanted) + 1);
        let next = u64::try_from(next).unwrap_or(u64::MAX);
        Self(next.clamp(self.0 / 4, self.0 * 4).clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl Default for Work {
    fn default() -> Self {
        Self(1 << 20)
    }
}

/// What a ticket is for: one peer in one electorate of one mesh. It cannot be solved before the electorate is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Challenge(Digest);

impl Challenge {
    /// SHA-256 over 112 bytes: `formic/ticket/1` 16, mesh 32, digest of the electorate 32, peer 32.
    pub fn new(mesh: Digest, electorate: Digest, peer: PeerId) -> Self {
        Self(Digest::of(&[
            &domain("formic/ticket/1"),
            mesh.as_bytes(),
            electorate.as_bytes(),
            peer.as_bytes(),
        ]))
    }

    /// Whether `nonce` solves it: `h * work < 2^64`, where `h` is the first 8 bytes of SHA-256(challenge, nonce).
    pub fn accepts(self, nonce: u64, work: Work) -> bool {
        // 40 bytes: one block of SHA-256.
        let hash = Digest::of(&[self.0.as_bytes(), &nonce.to_be_bytes()]);
        let first =
            hash.as_bytes().first_chunk().map_or(u64::MAX, |first| u64::from_be_bytes(*first));
        u128::from(first) * u128::from(work.0) < 1 << 64
    }
}

/// Looks for a nonce in steps of any size: it has no clock and starts no thread.
///
/// ```
/// use formic_core::{Digest, PeerId};
/// use formic_identity::{Challenge, Solver, Work};
///
/// let (mesh, electorate) = (Digest::of(&[b"mesh"]), Digest::of(&[b"electorate"]));
/// let challenge = Challenge::new(mesh, electorate, PeerId::from_bytes([7; 32]));
/// let mut solver = Solver::new(challenge, Work::MIN);
/// // A driver does something else in between.
/// let nonce = loop {
///     if let Some(nonce) = solver.step(10_000) {
///         break nonce;
///     }
/// };
/// assert!(challenge.accepts(nonce, Work::MIN));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Solver {
    challenge: Challenge,
    work: Work,
    next: u64,
}

impl Solver {
    /// Begins at nonce 0.
    pub const fn new(challenge: Challenge, work: Work) -> Self {
        Self { challenge, work, next: 0 }
    }

    /// Tries so many nonces: the first that solves it. The next step goes on behind it.
    pub fn step(&mut self, tries: u32) -> Option<u64> {
        for _ in 0..tries {
            let nonce = self.next;
            self.next = self.next.wrapping_add(1);
            if self.challenge.accepts(nonce, self.work) {
                return Some(nonce);
            }
        }
        None
    }

    /// Nonces tried so far.
    pub const fn tried(&self) -> u64 {
        self.next
    }
}

/// A solved challenge as it travels. It names its electorate, and the peer is who shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The digest of the electorate it was made for.
    pub electorate: Digest,
    /// The solution.
    pub nonce: u64,
}

/// Why a ticket is none. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// Work outside the range. The caller's fault.
    #[error("expected a work of 2^16 to 2^26 tries, found {found}")]
    Range {
        /// The refused value.
        found: u64,
    },
    /// Not the length of a ticket. The fault of whoever shows it.
    #[error("a ticket has 40 bytes, found {found}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// Made for another electorate than the present one and the one before. The fault of whoever shows it, or of time.
    #[error("the ticket is of another electorate")]
    Stale,
    /// Not enough work, or made for another peer or mesh. The fault of whoever shows it.
    #[error("the nonce does not solve the challenge")]
    Unsolved,
}

impl Blame for TicketError {
    /// [`Fault::Caller`]: only the caller knows who showed the ticket.
    fn fault(&self) -> Fault {
        Fault::Caller
    }
}

impl Ticket {
    /// The bytes that travel: electorate 32, nonce 8.
    pub fn to_bytes(self) -> [u8; TICKET_BYTES] {
        let mut bytes = [0; TICKET_BYTES];
        let nonce = self.nonce.to_be_bytes();
        let parts = self.electorate.as_bytes().iter().chain(&nonce);
        bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = *part);
        bytes
    }

    /// Reads [`Ticket::to_bytes`]. What it is worth, [`Ticket::check`] says.
    ///
    /// # Errors
    /// [`TicketError::Length`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TicketError> {
        let length = TicketError::Length { found: bytes.len() };
        let bytes: &[u8; TICKET_BYTES] = bytes.try_into().map_err(|_| length)?;
        let (electorate, nonce) = (bytes.first_chunk(), bytes.last_chunk());
        let electorate = Digest::from_bytes(*electorate.ok_or(length)?);
        Ok(Self { electorate, nonce: u64::from_be_bytes(*nonce.ok_or(length)?) })
    }

    /// Whether `peer` may knock: the ticket is of one of these electorates (the present one and the one before), with the
    /// work that electorate asks for. Two hashes: it is checked before any signature.
    ///
    /// # Errors
    /// [`TicketError::Stale`], [`TicketError::Unsolved`].
    pub fn check(
        self,
        mesh: Digest,
        peer: PeerId,
        electorates: &[(Digest, Work)],
    ) -> Result<(), TicketError> {
        let known = electorates.iter().find(|(digest, _)| *digest == self.electorate);
        let (digest, work) = *known.ok_or(TicketError::Stale)?;
        let solved = Challenge::new(mesh, digest, peer).accepts(self.nonce, work);
        if rule!("identity/ticket") && !solved {
            return Err(TicketError::Unsolved);
        }
        Ok(())
    }
}
