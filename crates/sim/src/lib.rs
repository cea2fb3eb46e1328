//! Seeded world in virtual time: faults, oracles, replay.
//!
//! ```text
//!   seed -> plan (peers, workload, faults) -> world: one heap of events in virtual time
//!                                               |  every input, every effect
//!                                               v
//!                                             truth -> oracles -> Report | Violation
//! ```
//!
//! ```
//! let report = formic_sim::completion::run(7)?;
//! assert!(report.closed > 0);
//! # Ok::<(), formic_sim::Violation>(())
//! ```
//!
//! **Guarantees.** A seed gives the same run every time (`oracles::replays`, each 50th seed runs
//! twice). Every draw is a hash of the seed and the identity of what is decided; a message's draws
//! depend on its link alone. The oracles notice when a rule of the protocol is missing: seeds caught
//! of 1 to 3,000, by `RUSTFLAGS="--cfg formic_ablate" FORMIC_ABLATE=completion/RULE cargo run --release
//! -p xtask -- sim completion --seeds 3000`; `cargo xtask mutants` removes them all in turn:
//!
//! | rule | seeds caught | by |
//! |---|---|---|
//! | `T5` | 2,304 | `never_early`, `no_anomaly` |
//! | `own-tails` | 2,080 | `nothing_hangs` |
//! | `atomic` | 1,195 | `never_early`, `never_panics`, `no_anomaly` |
//! | `T13` | 849 | `nothing_hangs`, `quiet_is_quiet`, `no_anomaly` |
//! | `T15` | 702 | `nothing_hangs` |
//! | `T11` | 427 | `respawned_in_time` |
//! | `mark-done-on-down` | 387 | `never_early`, `nothing_hangs` |
//! | `T17` | 284 | `nothing_hangs` |
//! | `down-incarnation` | 150 | `nothing_hangs` |
//! | `home-per-life` | 79 | `nothing_hangs` |
//! | `probe-per-life` | 28 | `quiet_is_quiet` |
//! | `T21` | 9 | `nothing_hangs` |
//! | `checks-last` | 9 | `quiet_is_quiet` |
//! | `owner-sets` | 1 | `never_panics` (the machine's own invariants) |
//!
//! [`comparators`] plays one schedule for the published algorithms and ours: right without faults, all of
//! them, and each published one broken by one lost, doubled or dead thing that leaves ours right
//! (`comparators::tests`; `cargo xtask bench completion` prints both tables).
//!
//! [`detect`] measures failure detectors beside each other and asserts what healing promises
//! (`detect::tests::ours`).
//!
//! [`consensus`] lets up to a third of the voters lie in ten ways ([`consensus::Lie`]) under loss, doubling, delay,
//! reordering, a cut, crashes: agreement, validity, every honest voter decides within f + 2 rounds after the
//! heal, no honest voter is accused; one liar more may fork, and is found.
//!
//! **Limits.** Three judged profiles: [`consensus`] (that machine alone, with liars; signatures are of a scheme for the
//! simulator), [`node`] (whole shipped nodes: links, disks, processes, agents, faults
//! from a plan that is a text) and [`completion`] (that machine alone, with up to 200 peers). In
//! [`completion`] an oracle with delays detects failures, and there are no partitions and no shrinking. In
//! these two, disks lose only what was not durable, and peers do not lie. What is not judged for its end is
//! counted: completion runs whose newest home group lost its quorum for good (`Report::waived`) or in which all that knew the verdict died for good (`Report::untold`), node runs
//! whose last view lost its majority for good (`node::Report::waived`), and their jobs whose newest home group
//! did, or an earlier one before what it knew of an exclusive task had moved (`node::Report::lost_homes`). [`node::Scenario`] is judged without any such excuse.
//!
//! The comparators are as published: no retries, no detector, one message per signal; a schedule there has
//! at most one fault.
//!
//! **Sources.** The comparators name theirs. `FoundationDB`'s simulation and `TigerBeetle`'s VOPR for the idea; deviation: draws are
//! keyed, not streamed, so that removing one fault leaves all others as they were.

pub mod comparators;
pub mod completion;
pub mod consensus;
pub mod detect;
mod draw;
mod engine;
mod marks;
#[expect(
    clippy::excessive_nesting,
    clippy::fn_params_excessive_bools,
    clippy::struct_excessive_bools,
    reason = "the world's inner loops read best in one place; on and off are what its faults are"
)]
pub mod node;
pub mod oracles;
mod truth;

pub use draw::Draw;
pub use engine::{Detail, Watch};
pub use marks::{Mark, Marks};
pub use truth::{Execution, Truth, Violation};
