//! Who is here and what they can do.
//!
//! ```text
//!  Outside --Dial seeds--> linked --Knock--> Welcome ------> Member --Leave--> gone
//!     ^                       |                                |
//!     +-- 1 s x 1.5^k --------+-- Refused                      +-- dials every member it knows of
//!
//!  LinkUp between members: both send all records; afterwards each sends its own changes
//! ```
//!
//! ```
//! use formic_core::{Digest, Incarnation, Life, PeerId, Protocol, Time};
//! use formic_mesh::{Config, Effect, Event, Input, Mesh};
//!
//! let me = Life::new(PeerId::from_bytes([7; 32]), Incarnation(1));
//! let mut config = Config::default();
//! config.found = Some(Digest::of(&[b"my mesh"]));
//! config.capabilities = vec!["hash".parse()?];
//! let mut mesh = Mesh::new(config, me)?;
//! let mut out = Vec::new();
//! mesh.handle(Time::ZERO, Input::Deadline, &mut out)?;
//! assert!(matches!(out[0], Effect::Event(Event::Joined { members: 1, .. })));
//! assert_eq!(mesh.candidates(&["hash".parse()?]), [me]);
//! assert_eq!(mesh.missing(&["gpu".parse()?]), ["gpu".parse()?]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Guarantees.**
//! - Merging records is order-free and idempotent: higher (incarnation, version) wins
//!   (`tests::properties::merging_is_order_free_and_idempotent`).
//! - All peers that can reach each other end with the same records and with a link between every two
//!   of them (`tests::join::ten_peers_join_through_one_seed`).
//! - A peer founds a mesh only if it is told to, or if every one of its seeds pledged to join it
//!   (`tests::join::two_peers_that_join_each_other_form_one_mesh`).
//! - No candidate lacks a capability, is draining, or is not alive
//!   (`tests::records::candidates_are_alive_capable_and_take_work`).
//! - A message that breaks a limit changes nothing and names its sender (`tests::bad_input`).
//!
//! **Limits.** First form: full mesh, at most [`MEMBERS_MAX`] members; no committed views, no
//! synchronisation trees (a link-up exchanges all records); whoever reaches a member and names its
//! mesh, or none, is let in. A peer that was down for `forget_after` is forgotten and knocks again.
//!
//! **Sources.** Single-writer versioned records as in Scuttlebutt (van Renesse, Dumitriu, Gough,
//! Thomas, LADIS 2008). Deviation: no digests before records, because small meshes link rarely.

mod admission;
mod casts;
mod config;
mod door;
mod effect;
mod error;
mod index;
mod input;
mod join;
mod load;
mod mesh;
mod message;
mod publish;
mod record;
mod requirement;
mod roster;
mod rounds;
mod search;
mod slot;
mod sync;
#[cfg(test)]
mod tests;
mod tree;
mod vitals;

pub use casts::{
    Cast, CastMessage, Draft, NAMED_MAX, Order, PAYLOAD_MAX, STREAMS_MAX, Scope, Stream, WINDOW,
};
pub use config::Config;
pub use effect::{Effect, Event};
pub use error::Error;
pub use input::{Audience, Input};
pub use mesh::Mesh;
pub use message::{Message, PEERS_MAX, Refusal};
pub use record::{
    ADDRESSES_MAX, CAPABILITIES_MAX, Defect, LABEL_MAX, LABELS_MAX, MEMBERS_MAX, NAME_MAX, Record,
    SLOTS_MAX,
};
pub use requirement::{Candidate, Excess, NoCapablePeer, NoMatch, Requirement};
pub use roster::Standing;
pub use slot::{APPLICATION_MAX, Activity, BadSlot, Load, Slot, SlotRecord, Value};
pub use tree::{Key, Path};
pub use vitals::{Cause, Health, Status};
