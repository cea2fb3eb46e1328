//! Who is here, what they can do, and messages to many.
//!
//! ```text
//!  Outside --dial seeds, hints, rendezvous--> linked --Knock--> waits at the door of a member
//!     ^                                                              | Event::Admit (healing)
//!     |                                                              v
//!     +--- Refused; evicted: Input::Reborn ----- Member <--Welcome-- Input::View with its life
//!
//!  LinkUp between members: each sends what it publishes and its root hash; then Delta on change,
//!  and rounds of Root, Nodes, Keys, Pull with one member at a time
//! ```
//!
//! ```
//! use std::sync::Arc;
//!
//! use formic_core::{Digest, FateId, Incarnation, Life, Member, PeerId, Protocol, Time, View};
//! use formic_mesh::{Config, Effect, Event, Input, Mesh};
//!
//! let me = Life::new(PeerId::from_bytes([7; 32]), Incarnation(1));
//! let mut config = Config::default();
//! config.found = Some(Digest::of(&[b"my mesh"]));
//! config.capabilities = vec!["rust@1.85".parse()?];
//! let mut mesh = Mesh::new(config, me)?;
//! let mut out = Vec::new();
//! mesh.handle(Time::ZERO, Input::Deadline, &mut out)?;
//! assert!(matches!(out[0], Effect::Event(Event::Founded { .. })));
//! // healing makes the first view.
//! let view = Arc::new(View::found(Member { life: me, fate: FateId(1) }));
//! mesh.handle(Time::ZERO, Input::View { view }, &mut out)?;
//! assert_eq!(mesh.candidates(&["rust@1.80".parse()?]), [me]);
//! assert_eq!(mesh.missing(&["gpu".parse()?]), ["gpu".parse()?]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Guarantees.**
//! - Who is a member is what the newest committed view says, and nothing else
//!   (`tests::join::a_knock_waits_for_its_view`,
//!   `tests::records::who_leaves_is_told_to_all_and_not_dialled_again`).
//! - M1: of one owner and slot, higher (incarnation, version) stays: merging is order-free and
//!   idempotent (`tests::properties::merging_is_order_free_and_idempotent`).
//! - M2: members in touch that write nothing end with equal roots
//!   (`tests::sync::values_written_on_both_sides_of_a_cut_are_equal_two_rounds_after_it_heals`,
//!   `tests::properties::the_root_does_not_depend_on_the_way`).
//! - M3: no life is told a cast twice, ordered streams ascend, a hole is a `Gap`; M4: casts of an
//!   origin that stays up reach all members that stay up and linked
//!   (`tests::casts::no_cast_is_told_twice_or_out_of_order_and_a_hole_is_a_gap`).
//! - M8: records, casts, knocks, hints, samples have limits (`tests::walk`, `tests::casts`).
//! - M9: no candidate lacks a capability in the newest record held, is silent, paused or draining
//!   (`tests::matching::the_index_finds_what_a_plain_filter_finds`).
//! - M10: a refused knock leaves nothing behind after 10 s
//!   (`tests::join::a_knock_in_vain_leaves_nothing_behind`).
//! - An identity is in use once: another process with it is refused by name
//!   (`tests::join::a_second_process_with_the_same_identity_is_refused`).
//! - A peer founds a mesh only if it is told to: one that finds nobody goes on looking
//!   (`tests::join::peers_that_only_know_outsiders_found_no_mesh`).
//! - A message that breaks a limit changes nothing and names its sender (`tests::bad_input`).
//!
//! **Limits.** Full mesh of at most [`MEMBERS_MAX`] members; other shapes, and casts over relays, do
//! not exist. Records and casts carry no signatures: a member can forge those of others, and one that
//! answers a `Want` can forge a cast of another origin. Whoever reaches a member and names its mesh,
//! or none, is let in: no tickets, no bans. An evicted life is kept out for `forget_after`. Two values
//! of one version are ordered by value and not reported. Record floods are not slowed down. A `Gap` of
//! a dead origin may name casts that were for others. An unordered stream reports a hole after a
//! minute, and drops what comes after that. Where it is found is known of a seed only if its text is
//! the address a member publishes: a seed named by host is dialled once in a while although linked.
//! Load is not published from 2,048 members on.
//!
//! **Sources.** Single-writer versioned records as in Scuttlebutt (van Renesse, Dumitriu, Gough,
//! Thomas, LADIS 2008), compared by a Merkle tree as in Dynamo (DeCandia et al., SOSP 2007).
//! Deviations: 16 children per node, because a difference among 1,000 members is found in three
//! answers; the tree lies over hashes of names, so that it is balanced whatever the names are.

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
