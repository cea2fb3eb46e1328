use formic_core::{Life, PeerId};
use serde::{Deserialize, Serialize};

use crate::{
    Ballot, Body, Certificate, InstanceId, Message, Proposal, Seal, Statement, Submission, Value,
    Verified,
};

/// What happened outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// At the start, before anything else: what [`Effect::Persist`] said, in that order.
    Restore(Vec<Record>),
    /// The owner wants this decided.
    Open(Proposal),
    /// The owner answers [`Event::Judge`].
    Opinion(InstanceId, Ballot),
    /// The signature that [`Effect::Sign`] asked for.
    Signed(InstanceId, Statement, Seal),
    /// A checked message.
    Message {
        /// Over whose link.
        from: PeerId,
        /// What.
        message: Box<Verified>,
    },
    /// This life is gone.
    Down(Life),
    /// This life is there.
    Up(Life),
    /// The moment that `deadline()` named has come.
    Deadline,
}

/// What must survive a restart: forgetting a vote is voting twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Record {
    /// An instance was opened.
    Opened(Submission),
    /// An own statement, before it is signed.
    Own(InstanceId, Statement),
    /// What supports a value that this voter notarized.
    Body(InstanceId, Value, Body),
    /// A quorum that moved this voter to another round, or decided.
    Certificate(Certificate),
}

/// To whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum To {
    /// One voter.
    One(PeerId),
    /// All voters but this one.
    Electorate,
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Durable before anything that is pushed later is signed or leaves.
    Persist(Record),
    /// To be signed with this peer's voting key: binding once pushed. Answered by [`Input::Signed`].
    Sign(InstanceId, Statement),
    /// To be sent.
    Send(To, Message),
    /// The owner should know.
    Event(Event),
}

/// What the owner should know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Judge this, and answer with [`Input::Opinion`]. Repeated after a restart.
    Judge(InstanceId, Proposal),
    /// It is decided, for good. Repeated after a restart.
    Decided(InstanceId, Value),
    /// As many rounds as there are voters passed without a decision: these votes are missing.
    Stalled(InstanceId, Vec<PeerId>),
    /// Proven: this voter signed what no honest voter signs.
    Misbehaved(PeerId),
}
