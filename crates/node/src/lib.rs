//! Compose the protocols into one peer, still pure.
//!
//! ```text
//!            Input                                               Effect
//!  driver ---------->  +--------------------------------------+ --------> driver
//!                      |  mesh --Added--> healing --Up,Down-+ |
//!                      |   ^  capable                       | |
//!                      |   |                                v |
//!                      |  work <--Place, Execute-- completion |
//!                      |   |   --Placed, Start-->  (per job)  |
//!                      |   | Draw, Rank        Done, slot |   |
//!                      |   v                              v   |
//!                      |  pheromones <------------- deposits  |
//!                      +--------------------------------------+
//!                        one queue of steps, messages to oneself included
//! ```
//!
//! ```
//! use formic_core::{Digest, Incarnation, Life, Protocol, Time};
//! use formic_identity::SecretKey;
//! use formic_node::{Config, Effect, Event, Input, Node};
//!
//! let secret = SecretKey::from_seed([7; 32]);
//! let life = Life::new(secret.public().peer_id(), Incarnation(1));
//! let mut config = Config::new(life, secret);
//! config.mesh.found = Some(Digest::of(&[b"my mesh"]));
//! let mut node = Node::new(config)?;
//! let mut out = Vec::new();
//! node.handle(Time::ZERO, Input::Deadline, &mut out)?;
//! let joined = |it: &Effect| matches!(it, Effect::Event(Event::Joined { members: 1, .. }));
//! assert!(out.iter().any(joined));
//! # Ok::<(), formic_node::Error>(())
//! ```
//!
//! **Guarantees.**
//! - Effects of one input of one protocol are applied before the next input is fed to any, messages
//!   to oneself included (`Node::check` after every input of `tests`).
//! - A job completes at every peer with one certificate that verifies offline, whether a worker or
//!   the home peer dies, a peer joins late or leaves (`tests::jobs`).
//! - A leaving peer returns what is queued and lets bodies end (`tests::jobs::who_leaves`).
//! - An exclusive task's body runs only under a claim, and its result is decided once
//!   (`tests::exclusive`).
//! - What voters decide is proved to whoever asked, with or without a vote; one that contradicts itself is found out,
//!   restarted ones repeat themselves, and too few are given up in words (`tests::votes`).
//! - Work goes to whom it suits: slow peers, and those that fail, get little; speeds that change are noticed
//!   (`tests::trails`).
//! - What a peer does wrong is counted and reported, never an error of the caller (`tests::bad_input`).
//!
//! **Limits.** An electorate belongs to one job and does not change. A peer that forgot a job's verdict (after 1,000 more)
//! would vote in it again if it were asked. 1,024 open jobs, 1,024 electorates, 1,000 remembered verdicts, 1,024 clients
//! that watch one job. Verdicts on results do not reach pheromones: quality is not learned, and overdue tasks are not
//! started twice.
//! `MemberStatus` has the load of the answering peer only.
//!
//! **Sources.** architecture.md; composition by translation as in iroh-gossip's `proto/topic.rs`.

mod attest;
mod clients;
mod config;
mod counters;
mod effect;
mod error;
mod exclusive;
mod glue;
mod input;
mod jobs;
mod keepers;
mod message;
mod node;
mod record;
mod status;
mod step;
mod submit;
#[cfg(test)]
mod tests;
mod trails;
mod views;
mod votes;
mod withheld;

pub use attest::{Unproved, attested_bytes, verify_certificate};
pub use config::{Config, RemoteLeave};
pub use counters::Counters;
pub use effect::{Effect, Event};
pub use error::Error;
pub use exclusive::Ended;
pub use formic_register::claims::{Fence, LEASE_MAX, LEASE_MIN};
pub use input::Input;
pub use message::{Message, Reply, Request};
pub use node::Node;
pub use record::Record;
pub use status::{ElectorateStatus, JobStatus, MemberStatus, Reputation, Status, TrailStatus};
pub use votes::{
    Docket, Say, Votes,
    case::{
        BadCase, BadDecision, CASE_NAME_MAX, Case, DIMENSION_NAMES, Decision, Judgement, Ruling,
        THRESHOLD_MIN, electorate, share,
    },
};
