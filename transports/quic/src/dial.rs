//! Which connection becomes the link of two lives: the rules for Hello, double dial and restart.
//!
//! Pure: one [`Contact`] per known peer, changed under the endpoint's lock.

use formic_core::{
    Incarnation, PeerId,
    transport::{CloseReason, LinkId},
};

/// What this end knows of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Contact {
    known: Option<Known>,
    /// The link that is up.
    pub(crate) up: Option<LinkId>,
    /// A dial of this end is pending.
    pub(crate) dialing: bool,
    /// Hellos of the peer that were answered and are not settled by its Ready.
    pub(crate) answered: u32,
}

/// The newest life that proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Known {
    incarnation: Incarnation,
    fate: [u8; 16],
}

/// Which time a Hello is decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hearing {
    First,
    /// It was parked, and something changed.
    Again,
}

/// What to do with a Hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    /// Say HelloAck and wait for Ready.
    Answer,
    /// This end's dial goes first: decide when it is settled.
    Park,
    /// Close with this reason.
    Refuse(CloseReason),
}

/// What to do with a HelloAck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// The link is up: say Ready.
    Up,
    /// The peer's own dial was answered and goes first: decide when it is settled.
    Wait,
    /// Another connection became the link.
    Superseded(LinkId),
}

impl Contact {
    /// A life of the peer proved itself. A link of its older life is returned: that life is dead.
    ///
    /// # Errors
    /// A newer life is known, or another process with the same life. Nothing was changed.
    pub(crate) fn meet(
        &mut self,
        incarnation: Incarnation,
        fate: [u8; 16],
    ) -> Result<Option<LinkId>, CloseReason> {
        match self.known {
            Some(known) if known.incarnation > incarnation => Err(CloseReason::StaleLife),
            Some(known) if known.incarnation == incarnation && known.fate != fate => {
                Err(CloseReason::DuplicateIdentity)
            }
            Some(known) if known.incarnation == incarnation => Ok(None),
            _ => {
                self.known = Some(Known { incarnation, fate });
                Ok(self.up.take())
            }
        }
    }

    /// A Hello of the living life came.
    pub(crate) fn on_hello(&mut self, me: PeerId, from: PeerId, hearing: Hearing) -> Verdict {
        // It was parked for a dial that became the link.
        if hearing == Hearing::Again && self.up.is_some() {
            return Verdict::Refuse(CloseReason::Duplicate);
        }
        // The smaller peer's dial wins, but only among pending ones. A Hello while a link is up says
        // that the peer has lost its half: it is answered, and replaces the link at Ready.
        if self.dialing && self.up.is_none() && from > me {
            return Verdict::Park;
        }
        self.answered += 1;
        Verdict::Answer
    }

    /// The HelloAck of the living life came, or something changed since.
    pub(crate) fn on_hello_ack(&mut self, me: PeerId, from: PeerId) -> Outcome {
        if let Some(link) = self.up {
            return Outcome::Superseded(link);
        }
        // Else this end could be up on one connection while the peer's Ready travels on the other.
        if self.answered > 0 && from < me { Outcome::Wait } else { Outcome::Up }
    }

    /// Whether a dial should start: not while a Hello of the peer is about to become the link.
    pub(crate) fn may_dial(&self) -> bool {
        self.up.is_some() || self.answered == 0
    }
}
