use std::sync::Arc;

use formic_completion::{Certificate, Decree};
use formic_core::{Descriptor, Digest, Epoch, JobId, Life, PeerId, View, transport::Class};
use formic_identity::Signature;
use serde::{Deserialize, Serialize};

use crate::{Ended, Status, TrailStatus, Votes};

/// Everything peers and clients say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Who is here.
    Mesh(formic_mesh::Message),
    /// Who is alive.
    Healing(formic_healing::Message),
    /// Who does what.
    Work(formic_work::Message),
    /// Know when all is done.
    Completion {
        /// The job.
        job: JobId,
        /// What about it.
        message: formic_completion::Message,
    },
    /// A home life's signature over a completion statement.
    Attestation {
        /// The job.
        job: JobId,
        /// What was signed.
        statement: Digest,
        /// The signer's public key: SubjectPublicKeyInfo, DER.
        #[serde(with = "serde_bytes")]
        public_key: Vec<u8>,
        /// The signature.
        signature: Signature,
    },
    /// Who may run an exclusive task.
    Claims(Box<formic_register::claims::Message<Ended>>),
    /// Who keeps the exclusive tasks of this job? Answered by whoever knows its home group.
    WhoKeeps {
        /// The job.
        job: JobId,
    },
    /// The last of its home groups does. Also the answer to a claim that asks an earlier one.
    Keepers {
        /// The job.
        job: JobId,
        /// By generation, each by rank: 1, 2, 3, 5 or 7 lives. The last one keeps it.
        groups: Vec<Vec<Life>>,
    },
    /// Who does which kind of work how well.
    Pheromones(formic_pheromones::Message),
    /// From a client, which is no member: `formic submit`, `formic status`, `formic run`.
    Request(Request),
    /// To a client.
    Reply(Reply),
    /// Voters of a job judge and agree.
    Votes(Box<Votes>),
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Request {
    /// Host this job; answered by `Accepted` or `Refused`, later by `Verdict`.
    Submit {
        /// Returned in the answer.
        request: u64,
        /// The root task.
        root: Arc<Descriptor>,
        /// SHA-256 of the plan as the user wrote it.
        plan: Digest,
    },
    /// Tell me the verdict of this job when it is there; answered by `Verdict` or `Unknown`.
    Watch {
        /// The job.
        job: JobId,
    },
    /// Cancel this job.
    Cancel {
        /// The job.
        job: JobId,
        /// Who and why, for people.
        reason: String,
    },
    /// Who is there, and what goes on?
    Status,
    /// Go on without a majority that is lost for ever; answered by `Forced` or `ForceRefused`.
    ForceView {
        /// Who is left, the peer that is asked included.
        members: Vec<PeerId>,
        /// The last committed view that the operator saw.
        epoch: Epoch,
        /// Why, for people.
        reason: String,
    },
    /// Whom do you know to be how good at what? Answered by `Trails`.
    Trails,
    /// Leave in good order (used by a launcher that started the peer; loopback meshes only).
    Leave,
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reply {
    /// A majority of the home group has the job.
    Accepted {
        /// From the request.
        request: u64,
        /// The job.
        job: JobId,
        /// Its home group by rank: whom to watch when this peer dies.
        home: Vec<Life>,
    },
    /// The job is not accepted.
    Refused {
        /// From the request.
        request: u64,
        /// Why, for people.
        reason: String,
    },
    /// The job is over.
    Verdict {
        /// The job.
        job: JobId,
        /// Result and counts.
        decree: Arc<Decree>,
        /// The proof.
        certificate: Arc<Certificate>,
    },
    /// This peer does not know the job.
    Unknown {
        /// The job.
        job: JobId,
    },
    /// Who is there, and what goes on.
    Status(Arc<Status>),
    /// What the answering peer knows about members at kinds of work.
    Trails(Vec<TrailStatus>),
    /// The forced view is made.
    Forced {
        /// It.
        view: Arc<View>,
    },
    /// It is not.
    ForceRefused {
        /// Why, for people.
        reason: String,
    },
}

impl Message {
    /// How this message travels.
    pub fn class(&self) -> Class {
        match self {
            Self::Mesh(message) => message.class(),
            Self::Healing(message) => message.class(),
            Self::Work(message) => message.class(),
            Self::Pheromones(message) => message.class(),
            Self::Completion { message, .. } => message.class(),
            Self::Attestation { .. }
            | Self::Claims(_)
            | Self::WhoKeeps { .. }
            | Self::Keepers { .. } => Class::Control,
            // One class for all of it: a case comes before what is said about it.
            Self::Votes(_) | Self::Request(_) | Self::Reply(_) => Class::Data,
        }
    }
}
