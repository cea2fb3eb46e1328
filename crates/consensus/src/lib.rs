//! Agree despite liars: ballots, Simplex agreement, certificates, evidence.
//!
//! ```text
//!   Open --> Submission --> all judge --> Ballot --> all
//!                                                     | my ballots settle it (or a quorum waited too long)
//!                                                     v
//!            round r:  leader(r): Propose --> notarize --> finalize --> decided
//!                        | silent, slow, or it hides a ballot
//!                        v
//!                      nullify --> round r + 1
//! ```
//!
//! Ballots answer "is it good enough", a matter of policy; agreement answers "which outcome is *the*
//! outcome". A signed count of ballots is no decision: one voter that says yes to A and no to B makes A see
//! approval and B a rejection.
//!
//! ```
//! use formic_consensus::{liars_max, quorum};
//!
//! // Of ten voters three may lie or be absent, seven decide, and two quorums share an honest voter.
//! assert_eq!((liars_max(10), quorum(10)), (3, 7));
//! assert!(2 * quorum(10) - 10 > liars_max(10));
//! ```
//!
//! **Rules** (consensus.md): S1 one statement of a kind, S2 never nullify and finalize one round, S3 a value is
//! justified, S4 finalize what is notarized: [`Rounds`], the shipped rules that the model explores. V1 to V5 which
//! proposal is acceptable; B1 to B6 ballots; A1 to A8 agreement; R1 restart: `instance::steps`.
//!
//! **Guarantees.**
//! - No two honest voters decide differently with at most [`liars_max`] liars (`tests::model`):
//!
//!   | voters, rounds, leaders | unique states | in the design's prototype |
//!   |---|---|---|
//!   | 4, 1, the first lies | 2,512 | 2,512 |
//!   | 4, 2, the first lies | 331,480 | 494,240 |
//!   | 4, 2, all lie | 57,752 | 56,241 |
//!   | 5, 2, all lie | 304,693 | 298,147 |
//!
//!   Why the figures differ from the prototype's is not explained.
//! - With more liars a fork is possible, and [`accuse`] finds them in the certificates that honest voters keep
//!   (`tests::machine::contradicting_certificates_name_the_liars`).
//! - What a set of ballots settles, more ballots do not unsettle (`tests::ballots`).
//! - An own statement is durable before it is signed; a restarted voter repeats what it said and says nothing
//!   else (`tests::machine`).
//! - Nothing unproved gets past [`Roster::check`]; a decision's proof with any bit changed is refused
//!   (`tests::refused`, `tests::proof`). What was checked once is not checked again
//!   ([`Known`], `tests::known`).
//!
//! **Limits.** One electorate per machine: there is no succession, no admission, no ticket. All votes go to all, about 3 n^2 messages per decision. Up to [`VOTERS_MAX`] voters; 3 or fewer tolerate no liar. What is decided is
//! kept as long as the machine. A voter that learns a decision from its certificate alone has no ballots.
//!
//! **Sources.** Simplex (Chan, Pass, TCC 2023), single-decree. Deviations: nullify is an ordinary signed vote with a
//! certificate of its own; a leader waits `delta` after a notarization, so that the finalizations usually
//! come first; votes carry the value and not only its digest, so that a decision is never a digest whose meaning is
//! unknown (38 bytes more); a submission is signed with the voting key, so that checking needs one key per voter; a
//! proposal whose justification is incomplete waits for its round's timer instead of being refused at once.

mod ballot;
mod check;
mod config;
mod consensus;
mod electorate;
mod error;
mod input;
mod instance;
mod known;
mod message;
mod proof;
mod proposal;
mod reputation;
mod rounds;
mod statement;
#[cfg(test)]
mod tests;
mod votes;

pub use ballot::{Ballot, NOT_JUDGED, Outcome, Reason, Rejection, Verdict, outcome};
pub use check::{Roster, Verified, accuse, leader};
pub use config::Config;
pub use consensus::Consensus;
pub use electorate::{Electorate, Member, Rank, VOTERS_MAX};
pub use error::{BadElectorate, BadProposal, Error, Misbehaviour};
pub use input::{Effect, Event, Input, Record, To};
pub use known::Known;
pub use message::{Body, CERTIFICATES_MAX, Certificate, Evidence, Message, Propose, Submission};
pub use proof::{Decision, Flaw, prove, verify};
pub use proposal::{DIMENSIONS, InstanceId, Policy, Proposal, SCORE_MAX, Weighting};
pub use reputation::{Deed, Standing, UNIT};
pub use rounds::{Moved, Own, Rounds, Seen, liars_max, quorum};
pub use statement::{PublicKey, SEAL_MAX, Seal, Signed, Statement, Value, Vote};
