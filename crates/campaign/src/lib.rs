//! Many seeds of the simulator on all cores; replay, shrink, schedules.
//!
//! ```text
//!   words -> Options -> threads, one seed each -> Sum -> text or JSON, replay lines
//!   SEED | FILE.plan -> replay: what happened;  shrink: tests/schedules/NAME.plan;  schedules: all of them again
//! ```
//!
//! ```
//! use formic_campaign::{Options, Profile, run};
//!
//! let mut options = Options::new(Profile::Node);
//! (options.first, options.seeds) = (1, 2);
//! let outcome = run(&options);
//! assert_eq!(outcome.sum.seeds() + outcome.violations.len() as u64, 2);
//! ```
//!
//! **Guarantees.** The verdict of a campaign depends on its seeds alone, not on threads or time. A
//! campaign of 10,000 node seeds or more with all faults that misses a mark fails
//! (`tests::a_campaign_that_misses_a_mark_fails_if_it_is_large`).
//!
//! **Limits.** Zero violations in N seeds bound the rate below 3 / N at 95 %, and prove nothing.
//!
//! **Sources.** Shrinking by delta debugging (Zeller, Hildebrandt, TSE 2002).
#![expect(clippy::print_stdout, reason = "commands of programs that talk to a terminal")]

mod commands;
mod options;
mod print;
mod run;
#[cfg(test)]
mod tests;

pub use commands::{Failure, USAGE, sim};
pub use options::{Options, Profile, Until};
pub use print::{json, text};
pub use run::{Outcome, Sum, run};
