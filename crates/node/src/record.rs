use formic_core::{Digest, Incarnation, JobId, PeerId, transport::Address};
use formic_register::claims::Record as Claims;
use serde::{Deserialize, Serialize};

use crate::{Docket, Ended};

/// What must survive the process. (The incarnation is the driver's: it is raised before the node exists.)
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Record {
    /// About a job.
    Job {
        /// Which.
        job: JobId,
        /// What.
        record: formic_completion::Record,
    },
    /// A committed view, or a vote about the next one.
    View(formic_healing::Record),
    /// The mesh that this peer is a member of.
    Mesh(Digest),
    /// The peer left its mesh in good order and owes it nothing: what it knew about it is void.
    Left,
    /// What this peer promised and accepted about exclusive tasks of a job.
    Claims {
        /// Which.
        job: JobId,
        /// What.
        record: Claims<Ended>,
    },
    /// What a voter of a job must not forget.
    Votes {
        /// The job.
        job: JobId,
        /// What.
        record: Docket,
    },
    /// Where the members of the view can be reached.
    Addresses(Vec<(PeerId, Vec<Address>)>),
    /// The first life of this peer that wrote to this disk: of what its lives promised since, nothing is lost.
    Since(Incarnation),
}

impl Record {
    /// Records of one shelf are about one thing and ordered among each other.
    pub fn shelf(&self) -> [u8; 16] {
        match self {
            Self::Job { job, .. } => *job.as_bytes(),
            Self::View(_) => Digest::of(&[b"formic/shelf/view"]).half(),
            Self::Mesh(_) | Self::Left => Digest::of(&[b"formic/shelf/mesh"]).half(),
            Self::Claims { job, .. } => {
                Digest::of(&[b"formic/shelf/claims", job.as_bytes()]).half()
            }
            Self::Votes { job, .. } => Digest::of(&[b"formic/shelf/votes", job.as_bytes()]).half(),
            Self::Addresses(_) => Digest::of(&[b"formic/shelf/addresses"]).half(),
            Self::Since(_) => Digest::of(&[b"formic/shelf/since"]).half(),
        }
    }

    /// Whether all earlier records of its shelf may be deleted once this one is durable.
    pub const fn closes(&self) -> bool {
        match self {
            Self::Job { record, .. } => matches!(record, formic_completion::Record::Closed { .. }),
            Self::View(record) => matches!(record, formic_healing::Record::View(_)),
            Self::Claims { record, .. } => matches!(record, Claims::Forgotten(_)),
            Self::Votes { record, .. } => matches!(record, Docket::Closed),
            Self::Mesh(_) | Self::Left | Self::Addresses(_) | Self::Since(_) => true,
        }
    }

    /// Whether it is about the mesh that the peer is or was a member of.
    pub(crate) const fn is_of_mesh(&self) -> bool {
        matches!(self, Self::View(_) | Self::Mesh(_) | Self::Addresses(_))
    }

    /// Takes out what is about a mesh that the peer left later.
    pub(crate) fn drop_left(records: &mut Vec<Self>) {
        if let Some(left) = records.iter().rposition(|record| *record == Self::Left) {
            let after = records.split_off(left);
            records.retain(|record| !record.is_of_mesh());
            records.extend(after);
        }
    }
}
