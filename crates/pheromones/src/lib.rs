//! Remember what worked: trails, decay, choice, sharing.
//!
//! ```text
//!  dispatcher            candidates             worker
//!  Choose --> Candidates: draw by trail, load ---- probe {m, d, size} ---> Ledger: promise
//!  Rank   <------------------------------------- wait, service ----------- (own services, queue)
//!         --> Chosen --> Sent --------------------- the task ------------> runs
//!  Finished, Verified: deposit on one (kind, peer) trail  <-- result ----
//!         --> Trails (every 200 ms, if touched) --> its audience: trimmed, capped
//! ```
//!
//! A trail is a decayed mean: count and sum shrink alike, so the mean stays and confidence fades to the
//! prior. It is read lazily: there are no timers. All arithmetic is on integers, so that every platform
//! decides alike.
//!
//! ```
//! use core::time::Duration;
//! use formic_core::{Incarnation, Key, Life, PeerId, Protocol, Random, Time};
//! use formic_pheromones::{Config, Effect, Event, Input, Kind, Pheromones, Promise, Size};
//!
//! let life = |n| Life::new(PeerId::from_bytes([n; 32]), Incarnation(1));
//! let mut trails = Pheromones::new(Config::default(), life(0), Random::new(7))?;
//! let (key, kind, size) = (Key::from_bytes([1; 16]), Kind::of("review"), Size::MEAN);
//! let (eligible, mut out) = (vec![life(1), life(2)], Vec::new());
//! let choose = Input::Choose { key, kind, size, eligible, tried: vec![] };
//! trails.handle(Time::ZERO, choose, &mut out)?; // Both are to be asked, and answer:
//! let (now, ms) = (Time::from_us(900), Duration::from_millis);
//! let promises = vec![Promise::new(life(1), ms(40), ms(20))?, Promise::new(life(2), ms(0), ms(20))?];
//! trails.handle(now, Input::Rank { key, promises }, &mut out)?;
//! let Some(Effect::Event(Event::Chosen { place: Some(place), .. })) = out.pop() else { panic!() };
//! assert_eq!((place.life, place.promised), (life(2), ms(20)));
//! # Ok::<(), formic_pheromones::Error>(())
//! ```
//!
//! **Guarantees.**
//! - What is read is what was laid, faded: exact to one unit (1/65,536 sample) up to 65,536 samples, in
//!   whatever steps it is read (`tests::properties`: T2).
//! - A completion touches one trail of its (kind, peer); only an attempt that was sent, to that very life,
//!   deposits, once; a verdict deposits once (`tests::attempts`; rules `P9-match`, `P10-once`).
//! - Ten uses at half the mean beat two (`tests::choosing`).
//! - Every eligible peer is asked with a probability of at least 0.02 over their number (T6, rule `floor`).
//! - As many liars as the cut allows for move an aggregate no further than the honest do; one source counts
//!   for at most four samples (T4, T7; rules `G4`, `G5`, `panel`).
//! - Bad input changes nothing (every test's harness); nothing touched, nothing open: no deadline (T9);
//!   tables are bounded (T10, `Pheromones::check` after every input).
//!
//! **Measured**, `cargo xtask bench routing`, ten peers, one of them a liar, twelve seeds: at 70 % load 91.6 +-3.2
//! % of the tasks correct within a second (shortest expected delay 69.8, oracle 95.2), at 90 % with a maximum wait
//! 85.1 +-2.3; the liar gets 0.5 % of the attempts. Settled 18 s after a swap of speeds: goal 15 s, missed. Ten
//! colluders of a hundred: 1.7 % with sharing, 15.8 without (two seeds). A trail takes 54 bytes. Choose, rank and
//! deposit at 100 peers took 37 us on a loaded machine: goal 5 us, missed. `benches/results/routing.md` has all
//! tables, losses among them.
//!
//! **Limits.** Until a kind's first completion its mean is a guess (`Expect`, else 10 s):
//! a caller that refuses tasks by promised waits must not do so on the guess, or it never learns. No next hop for
//! peers that cannot be dialled. Verdicts are believed as the caller brings them: shared records name no receipts,
//! so what others share about quality is bounded (G4, G5) and not audited. Candidates' fit to preferred
//! capabilities is not weighed. At most 1,024 choices wait for promises. Where less than a tenth of the results is
//! verified, liars are not contained. Trails are not kept on disk.
//!
//! **Sources.** Stigmergy and MAX-MIN bounds: Stutzle and Hoos, *MAX-MIN Ant System* (FGCS 16, 2000). Power of
//! d choices: Mitzenmacher (TPDS 12, 2001). Affinity: GB-PANDAS (arXiv 1709.08115). **Deviations** from
//! pheromones.md, each with its reason:
//! - Half-lives are counted by a clock per kind that survives changes of the half-life: what faded, faded at
//!   the rate of its time, and two reads agree.
//! - G6: members stand in a circle drawn by the view hash, and listen at distances drawn by it. A sender then
//!   knows its audience, and sends 24 messages where it sent one to every member.
//! - G3: a message with one record that no correct peer sends is refused whole, as an error must change
//!   nothing. Records of kinds for which this peer never chose are counted and dropped: they could fill its
//!   memory.
//! - P11 speaks once per attempt, not per task: the second liar in a row is learned, too.
//! - v(k) begins at one half, worth two completions: the share cap does not hold the first tasks back.
//! - Who is suspected or paused is left out by whoever lists the eligible, once.

mod attempts;
mod choice;
mod choosing;
mod clock;
mod config;
mod effect;
mod error;
mod estimate;
mod fixed;
mod heard;
mod hearing;
mod input;
mod kind;
mod ledger;
mod message;
mod peers;
mod pheromones;
mod share;
mod spread;
#[cfg(test)]
mod tests;
mod trails;
mod units;

pub use choice::{Candidate, Choice};
pub use config::{Affinity, Config};
pub use effect::{Effect, Event, Placed, Word};
pub use error::Error;
pub use formic_core::Kind;
pub use input::{Award, Finding, Input, Latency, Offer, Promise, Turn, WhenFull};
pub use ledger::{Backlog, Ledger, Probe, Running};
pub use message::{COUNT_MAX, GOOD_MAX, MEAN_MAX_US, Message, RECORDS_MAX, Record};
pub use pheromones::{Counters, Pheromones, Trail};
pub use units::Size;
