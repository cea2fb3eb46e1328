//! # Who gets a task
//!
//! Work goes to whom it suits, and nobody has to say whom. Every task has a **kind** (in plans `kind:`, else its name;
//! in code the first argument of [`ChildSpec::new`](crate::ChildSpec::new)). The peer that spawned a task
//! remembers, per kind and peer, how long bodies held a slot: a *trail*. Trails fade by half-lives, so what has
//! changed is tried again.
//!
//! ```text
//!  owner: 64 held tasks of one kind          candidates: alive, capable; five drawn by trail (brief kinds: two)
//!    -- Probe {kind, count, mean} ------------------------->  "I would begin in 40 ms and take 200 ms"
//!    <- Promise {wait, service, room} ----------------------  from own services and the queue; no agent is asked
//!    -- Work -> the smallest (wait + service) x sqrt(service), own awards counted; or held back
//!    <- Done {slot time} -----------------------------------  one deposit on the trail of (kind, peer)
//! ```
//!
//! - **Same kind, same cost.** A kind should gather tasks that take about equally long on one machine. Where every
//!   task of a plan has a kind of its own, nothing can be learned from one for the next.
//! - **Specialists get their kind.** The square root makes a peer that is fast at a kind worth waiting for: a task
//!   waits in its line rather than block a peer that is ten times slower at it.
//! - **Late binding.** Where a task would wait for more than four mean services (at least 20 ms, and a round trip)
//!   at the best peer, it stays with its owner. That peer reports when it has less to do.
//! - **Brief kinds** (mean below 20 ms) are probed at the owner itself and at one other, and do not wait for the best.
//! - **Failures count as slow**: as ten mean services more, at the owner and in the peer's own promises. A peer whose
//!   agent fails at once attracts nothing.
//! - **Promises are checked.** A peer that takes four times what it promises is believed by what it does. What a body
//!   waits for its children does not count.
//! - **Hearsay is weak.** Once a second peers tell some others what they saw, never about themselves; a source
//!   counts for four samples at most, extremes are cut off, and below five members own experience alone counts.
//!
//! `formic status --trails` shows what a peer has learned (`--trails=dot`, `--trails=mermaid` draw it),
//! `formic why TASK` when a task was expected back.
//!
//! The rule is usable without a mesh, in virtual time; half a second of it:
//!
//! ```
//! use core::time::Duration;
//! use formic_core::{Kind, Time};
//! use formic_pheromones::{Backlog, Config, Ledger, Probe, Size};
//!
//! let (review, ms) = (Kind::of("review"), Duration::from_millis);
//! let mut ledger = Ledger::new(&Config::default());
//! let probe = Probe { kind: review, size: Size::MEAN, mean: ms(500), asked: 5, count: 1, holds: ms(2) };
//! let idle = Backlog { queued: &[], running: &[], slots: 1 };
//! // A peer that never did it promises what the owner expects of anybody; then what it took.
//! assert_eq!(ledger.promise(Time::ZERO, &probe, &idle), (ms(0), ms(500)));
//! for second in 1..=20 {
//!     ledger.served(Time::from_us(second * 1_000_000), review, Size::MEAN, ms(50));
//! }
//! let (_, service) = ledger.promise(Time::from_us(20_000_000), &probe, &idle);
//! assert!(service < ms(100));
//! ```
//!
//! # Limits
//!
//! - Until the first task of a kind is done its mean is a guess of 10 s, and the first tasks are spread by it.
//! - Trails live in memory, at the peer that placed the tasks. Validation by others does not lay down quality yet: who
//!   returns garbage quickly is taken for fast.
//! - No maximum wait, no stealing, no second attempt for overdue tasks.
