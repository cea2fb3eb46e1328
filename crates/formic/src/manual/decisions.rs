//! # Results that others judge
//!
//! A task of a plan may ask for a second opinion. Its result counts only once voters approved it, and nothing that needs it
//! starts before:
//!
//! ```yaml
//! check:
//!   run: cargo test
//!   validate:
//!     dimensions: {tests: 0.8, quality: 0.8}    # floors; also security, performance, docs
//!     threshold: quorum                         # or a share of the judges, default 0.9
//!     deadline: 30s                             # for ballots, default 2m
//!     who: all                                  # or capable: members with the capability `validate`
//!     run: ./judge "$VALUE"                     # or agent: NAME
//!   retry: {max: 2, on: [rejected]}
//! ```
//!
//! **Who has a vote** is chosen by whoever submits the plan, from the members alive then, and fixed for the job. Nobody
//! judges his own work: the peer that executed a task takes part in the agreement, but its ballot does not count.
//!
//! **A judge** is an agent of the peer with the capability `validate` if it has one, else what the plan names. It sees the
//! task's name, value and files, and returns an object: scores from 0 to 1 by dimension and, if it says no,
//! `"approve": false`. A `run` command prints that object, with the value in `$VALUE`, the name in `$TASK`, everything in the
//! file `$FORMIC_PAYLOAD`; it prints nothing for a plain yes, and an exit status other than 0 is a plain no. What cannot
//! judge (a score of 93, a crash, no agent) votes no as `unable`, and its event log says why. One that takes longer than the
//! deadline gives no ballot. A score that is not given counts as 0 where there is a floor.
//!
//! ```
//! use formic::{Threshold, Validation};
//!
//! let mut validation = Validation::default();
//! validation.floors = [("tests".to_owned(), 800)].into();
//! // With few voters 90 % is everybody: one absent or dissenting judge stops it.
//! let said = validation.warning(7).unwrap();
//! assert!(said.ends_with("all 6 must approve; set threshold: quorum (4 of 6)"));
//! validation.threshold = Threshold::Quorum;
//! assert_eq!(validation.warning(7), None);
//! ```
//!
//! # What is decided
//!
//! - **Approved**: the threshold is reached, and the median of every named dimension reaches its floor. A median resists a
//!   minority of liars, a mean none.
//! - **Rejected**: so many said no that the threshold cannot be reached, or a median is under its floor.
//! - **Expired**: ballots took too long. Nothing is lost.
//!
//! Anything but approval makes the task fail with the reason (`rejected by ballots: quality 620 < 800, ...`); `retry` with
//! `rejected` among `on`, or without `on`, does the work again, and asks again. Ballots are opinions; *which* outcome it is,
//! the voters agree on although up to a third of them lie, contradict themselves or vanish: of n voters
//! n - floor((n - 1) / 3) sign it. Where more are gone for 10 seconds, the question is given up and the task fails.
//!
//! A body of an agent asks with [`TaskContext::decide`](crate::TaskContext::decide).
//!
//! # Who lied
//!
//! A voter that signs two ballots, or votes that contradict each other, leaves evidence that anybody can check: its ballot
//! counts on neither side, and the report says LIAR. A voter that honestly or dishonestly disagrees has not lied in a way
//! that can be proven: the report names it as the one that said no.
//!
//! # What a decision proves
//!
//! `formic run` writes `decision-TASK.json` beside the certificate. `formic verify FILE --electorate DIGEST` checks it with
//! nothing but the voters' public keys, which are their peer ids: that a quorum of that electorate signed, that the ballots
//! are the decided ones, and that they give the outcome. The report shows the digest; without it the file itself says who
//! votes, and `verify` says `unpinned`. From a program: [`Decision::check`](crate::Decision::check).
//!
//! # Limits
//!
//! Voters use their identity keys (Ed25519) with equal weight. A job has one electorate: it does not change when voters come
//! or go. `formic status` shows what decisions say about voters, as one peer has seen them since it started: it weighs nothing. Three or fewer voters tolerate no liar. The home peer that
//! runs the plan could ask other voters than the plan's: pin the electorate. `formic submit` writes no decisions: they are in
//! the event logs of the peers (`decision_made`).
