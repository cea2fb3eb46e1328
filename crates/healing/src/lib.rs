//! Notice loss, agree on views, refuse split brain.
//!
//! ```text
//!            heard             own timeout            H of K observers
//!  Unheard --------> Alive <----------------> Suspect ----------------> Condemned --view--> evicted
//!                      ^          heard          | Alert to the others       |  ^
//!                      +------------- heard, or Absolve by 2 ----------------+  +-- Gone, Left,
//!                                                                                   Restarted
//!  view e: its members vote in register View(e+1): Accept(cut) -> Accepted -> view e+1
//! ```
//!
//! A verdict is an opinion, a view is a decision: nothing unsafe follows from a verdict, and majorities
//! are counted in the last committed view, never among those one sees. Votes belong to the peer (its
//! disk), work belongs to the life (its process).
//!
//! ```
//! use formic_core::{FateId, Incarnation, Life, Member, PeerId, Protocol, Random, Time};
//! use formic_healing::{Config, Effect, Event, Healing, Input, Standing};
//!
//! let life = |n| Life::new(PeerId::from_bytes([n; 32]), Incarnation(1));
//! let me = Member { life: life(1), fate: FateId(1) };
//! let mut healing = Healing::new(Config::default(), me, Random::new(7))?;
//! let mut out = Vec::new();
//! healing.handle(Time::ZERO, Input::Found, &mut out)?;
//! assert!(out.contains(&Effect::Event(Event::Quorum(Standing::Held))));
//! // A second peer asks to become a member: of one the founder alone decides.
//! healing.handle(Time::ZERO, Input::Admit(Member { life: life(2), fate: FateId(2) }), &mut out)?;
//! while let Some(at) = healing.deadline().filter(|at| *at < Time::from_us(20_000)) {
//!     healing.handle(at, Input::Deadline, &mut out)?;
//! }
//! assert_eq!(healing.view().map(|view| view.members.len()), Some(2));
//! # Ok::<(), formic_healing::Error>(())
//! ```
//!
//! **Guarantees.**
//! - At most one view per epoch, chained to its predecessor, decided by a majority of that one's peers
//!   (`tests::world`, sim oracle `one_view`; rules `last-view`, `durable`).
//! - `Up` and `Down` of one life alternate, `Up` first (`tests::world`).
//! - One observer, or fewer than H of K, condemn nobody; a life that its observers hear is not
//!   condemned (`tests::verdicts`). A process that is left alone with a majority speaks alone, as one of
//!   two does (`tests::processes`).
//! - A peer that stalled itself accuses nobody (`tests::silence`, rule `lateness`).
//! - A peer without a majority of the last view says so, decides nothing, and keeps verdicts to itself
//!   for `minority_hold` (`tests::quorum`, rule `held-down`).
//! - When faults end, the live peers that a quorum connects reach one view of exactly the live ones
//!   (`tests::world`, sim oracle `heals`).
//!
//! **Explored to the end** (`tests::model`): the whole machine, of which only the decision about view 2 is
//! driven. `Ballot`, `Ask`, `Want` and `Committed` are delivered in every order, lost and duplicated; beats
//! and what follows from them are left out, so that nobody objects in the reserved round; rounds up to 2.
//! One view per epoch, and only what a majority of the last view voted for; without the register's R2 or
//! R3 there is another one, after 6 steps. One thread, dev build:
//!
//! | members | proposals | crashes | unique states | time | when |
//! |---|---|---|---|---|---|
//! | 3 | evict 2, evict 0, evict 1 | 0 | 75,771 | 2 s | every run |
//! | 3 | evict 2, admit 3 | 0 | 3,758 | 0.1 s | every run |
//! | 3 | evict 2, admit 3 | 1 | 611,475 | 24 s | ignored |
//!
//! Of four members the end was not reached within four minutes, so there is no such model.
//!
//! **Who is behind.** Whoever has no majority asks those it is linked with for later views, at once and every second:
//! all of its view may be gone, or live on as lives that it never met (rule `seek`, `tests::quorum`). Whoever stood still
//! for more than 500 ms knows of nobody whether he is there until it hears him anew; what arrives within two beats may
//! have waited meanwhile and does not count (rule `stall`).
//!
//! **Limits.** Crashes, stalls, loss, restarts;
//! no liars: alerts and votes are not signed beyond the authenticated link, so a view is not yet a
//! certificate that a stranger can check. Each life beats for itself, also where several peers of one
//! process are watched from outside. A peer whose deadlines always come late accuses nobody. Whoever was
//! evicted behind a cut may believe in a majority of the last view that it knows until it is told.
//!
//! **Sources.** Rings of observers and H of K: Rapid (Suresh et al., USENIX ATC 2018). Views by
//! single-decree consensus with a reserved first round: Lamport, *The Part-Time Parliament* (1998).
//! Local health: Lifeguard (Dadgar, Phillips, Currey, 2018). Deviations: fixed timeouts, because phi
//! accrual (Hayashibara et al., SRDS 2004) adapts by slowing down; implicit alerts and stand-ins for
//! lost observers, so that many deaths at once are still found; half of a view decides with its most
//! senior member.

mod chain;
mod config;
mod effect;
mod error;
mod force;
mod healing;
mod hearing;
mod input;
mod message;
mod pause;
mod probe;
mod quorum;
mod receive;
mod rings;
#[cfg(test)]
mod tests;
mod verdict;
mod watch;

pub use config::Config;
pub use effect::{Cause, Effect, Event, ForceRefusal, PauseRefusal, Record, Standing};
pub use error::Error;
pub use healing::{Counters, Healing};
pub use input::{Busy, Fate, Input};
pub use message::{BadCut, Beat, Cut, Evidence, Message};
pub use watch::Belief;
