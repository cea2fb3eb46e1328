use std::sync::Arc;

use formic_core::{Capability, Digest, Life, Member, PeerId, View, transport::Address};

use crate::{Cast, Message, Refusal, Slot, Status};

/// What is to be done outside, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Send over the link to this life. Dropped where no link is up.
    Send {
        /// To whom.
        to: Life,
        /// What.
        message: Message,
    },
    /// Open a link.
    Dial {
        /// Whom; `None`: whoever answers at the address.
        peer: Option<PeerId>,
        /// Where, any one will do.
        addresses: Vec<Address>,
    },
    /// Close the link to this life.
    Hangup {
        /// Whose.
        life: Life,
    },
    /// Ask the outside sources (DNS, mDNS, ...) for addresses. Answered by `Input::Found`, maybe often.
    Discover,
    /// Make the addresses of the members durable: they replace the ones before. Given back after a
    /// restart as `Input::Addresses`.
    Persist {
        /// By peer, sorted, without this one.
        addresses: Vec<(PeerId, Vec<Address>)>,
    },
    /// Something the other protocols or the user want to know.
    Event(Event),
}

/// What happened to the membership, to records, or to casts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// This peer creates a mesh. healing makes its first view, which comes back as `Input::View`.
    Founded {
        /// Which.
        mesh: Digest,
    },
    /// Somebody asks to be a member, or this peer itself in a new life. healing puts it into a view.
    Admit {
        /// Who.
        member: Member,
    },
    /// A life of this mesh asked in vain to be let in, for this peer is no member itself. healing shows it
    /// the newest view.
    Kin {
        /// Who.
        life: Life,
    },
    /// A member let this peer in, or has a newer view: healing takes it over.
    Welcomed {
        /// The view of that member.
        view: Arc<View>,
    },
    /// This peer is a member of a mesh.
    Joined {
        /// Which.
        mesh: Digest,
        /// How many members it has, this one included.
        members: usize,
    },
    /// Somebody would not let this peer in, and will not.
    Refused {
        /// Who.
        by: Life,
        /// Why.
        reason: Refusal,
    },
    /// A life entered the view. Its record may still be on its way.
    Added {
        /// Who.
        life: Life,
    },
    /// The record of a member came or changed: what it can do, whether it takes work, how busy it is.
    Changed {
        /// Whose.
        life: Life,
    },
    /// What a member can do changed; follows `Changed`.
    CapabilitiesChanged {
        /// Whose.
        life: Life,
        /// What it has and had not: sorted.
        added: Vec<Capability>,
        /// What it had and has not: sorted.
        removed: Vec<Capability>,
    },
    /// An application slot of a member changed.
    RecordChanged {
        /// Whose.
        life: Life,
        /// Which.
        slot: Slot,
    },
    /// A member said that it goes away.
    Left {
        /// Who.
        life: Life,
    },
    /// A life is no member any more.
    Forgotten {
        /// Who.
        life: Life,
    },
    /// A cast arrived: once per life, in order where its stream is ordered.
    Delivered {
        /// It.
        cast: Arc<Cast>,
    },
    /// Casts of a stream are lost for this peer. Some of them may have been for others.
    Gap {
        /// Whose.
        origin: Life,
        /// In which of its streams.
        stream: u32,
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// After `Error::CastFull`: the stream has room again.
    CastWritable {
        /// Which.
        stream: u32,
    },
    /// The health of this peer's part of the mesh changed; the causes are in `Mesh::health`.
    Health {
        /// To what.
        status: Status,
    },
}
