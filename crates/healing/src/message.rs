use std::sync::Arc;

use formic_core::{Digest, Epoch, Life, Member, PeerId, View, transport::Class};
use serde::{Deserialize, Serialize};

use crate::Cause;

/// What peers say to each other about being alive and about views.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// I am here. Sent one way, never answered.
    Beat(Beat),
    /// I miss these lives; all my present suspicions.
    Alert {
        /// The view they are members of.
        epoch: Epoch,
        /// Each with the number of its last beat that I heard.
        suspects: Vec<(Life, u64)>,
    },
    /// This life is condemned, and why.
    Verdict {
        /// The view it is a member of.
        epoch: Epoch,
        /// Who.
        life: Life,
        /// What the receiver recounts.
        evidence: Evidence,
    },
    /// An observer heard a condemned life again.
    Absolve {
        /// The view it is a member of.
        epoch: Epoch,
        /// Who.
        life: Life,
        /// Who heard it.
        observer: Life,
        /// The number of the beat that was heard.
        seq: u64,
    },
    /// Are you there? Answered by `ProbeAck`.
    Probe {
        /// Returned in the answer.
        number: u64,
    },
    /// I am.
    ProbeAck {
        /// From the probe.
        number: u64,
    },
    /// I am about to stand still for so long, and hold nothing that others wait for.
    Pause {
        /// Milliseconds from now.
        span_ms: u32,
    },
    /// I will not take your silence for death until then.
    PauseAck,
    /// I run again.
    Resume,
    /// Propose the admission of this life in the next view.
    Ask {
        /// Who.
        member: Member,
    },
    /// About the view that follows `epoch`.
    Ballot {
        /// The committed view whose members vote.
        epoch: Epoch,
        /// Its hash.
        base: Digest,
        /// What about it.
        message: formic_register::Message<Arc<Cut>>,
    },
    /// In the reserved round: I hear one of those whom this cut evicts.
    StillHere {
        /// The committed view.
        epoch: Epoch,
        /// Who was heard.
        life: Life,
    },
    /// Which views came after this one?
    Want {
        /// The newest one I know.
        epoch: Epoch,
    },
    /// Committed views, oldest first.
    Committed {
        /// Each one the successor of the one before it.
        views: Vec<Arc<View>>,
    },
    /// Do you agree to be a member of this forced view? Answered by `Consent`.
    Force {
        /// The view.
        view: Arc<View>,
    },
    /// I have no quorum either and agree.
    Consent {
        /// The hash of the forced view.
        view: Digest,
    },
}

/// A heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Beat {
    /// The newest view the sender knows.
    pub epoch: Epoch,
    /// The first 8 bytes of its hash.
    pub view: u64,
    /// One more with every round of beats.
    pub seq: u64,
    /// The next one comes within this many milliseconds.
    pub promise_ms: u16,
    /// How late the sender's deadlines were at most since its last beat, in milliseconds.
    pub lag_ms: u16,
    /// A digest of whom the sender holds condemned.
    pub condemned: u64,
}

/// Why a life is condemned.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Evidence {
    /// Its observers miss it.
    Alerts {
        /// The view whose observers they are. A verdict holds in later views too.
        epoch: Epoch,
        /// Who misses it, each with the last beat heard.
        alerts: Vec<(Life, u64)>,
        /// Observers that are silent themselves.
        lost: Vec<Life>,
    },
    /// A peer of its process, itself, or its successor said so.
    Said(Cause),
}

/// How the next view differs from the last committed one. Applied by [`Cut::apply`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cut {
    /// Who is no member any more, each with the reason.
    pub evict: Vec<(Life, Cause)>,
    /// Who becomes one. A later life of a member's peer takes that member's place.
    pub admit: Vec<Member>,
}

/// Why a cut cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadCut {
    /// It evicts somebody who is no member.
    #[error("{0} is evicted but no member")]
    NoMember(Life),
    /// It admits a life that is not later than the member it would replace, or twice.
    #[error("{0} is admitted but not later than a member of the same peer")]
    NotLater(Life),
    /// Nobody would be left.
    #[error("no member would be left")]
    Empty,
    /// Too many members.
    #[error("{0} members, more than allowed")]
    TooMany(usize),
}

impl Cut {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.evict.is_empty() && self.admit.is_empty()
    }

    /// The view after `view`. O(members x changes).
    ///
    /// # Errors
    /// The cut does not fit the view.
    pub fn apply(&self, view: &View, members_max: usize) -> Result<View, BadCut> {
        let mut members = view.members.clone();
        for (life, _) in &self.evict {
            let at = members.iter().position(|member| member.life == *life);
            members.remove(at.ok_or(BadCut::NoMember(*life))?);
        }
        for new in &self.admit {
            match members.iter_mut().find(|old| old.life.peer == new.life.peer) {
                Some(old) if old.life.incarnation < new.life.incarnation => *old = *new,
                Some(_) => return Err(BadCut::NotLater(new.life)),
                None => members.push(*new),
            }
        }
        if members.is_empty() {
            return Err(BadCut::Empty);
        }
        if members.len() > members_max {
            return Err(BadCut::TooMany(members.len()));
        }
        Ok(View { epoch: view.epoch.next(), members, previous: view.hash(), forced: None })
    }
}

impl Message {
    /// How this message travels.
    pub const fn class(&self) -> Class {
        match self {
            Self::Beat(_)
            | Self::Alert { .. }
            | Self::Verdict { .. }
            | Self::Absolve { .. }
            | Self::Probe { .. }
            | Self::ProbeAck { .. } => Class::Unreliable,
            Self::Pause { .. }
            | Self::PauseAck
            | Self::Resume
            | Self::Ask { .. }
            | Self::Ballot { .. }
            | Self::StillHere { .. }
            | Self::Want { .. }
            | Self::Committed { .. }
            | Self::Force { .. }
            | Self::Consent { .. } => Class::Control,
        }
    }
}

/// The first 8 bytes of a digest, for comparing.
pub(crate) fn head(digest: Digest) -> u64 {
    digest.as_bytes().first_chunk().map_or(0, |head| u64::from_be_bytes(*head))
}

/// The first 8 bytes of an identity, for keyed draws.
pub(crate) fn number(peer: PeerId) -> u64 {
    peer.as_bytes().first_chunk().map_or(0, |head| u64::from_be_bytes(*head))
}
