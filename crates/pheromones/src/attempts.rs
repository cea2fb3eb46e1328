//! Attempts that this peer sent: a deposit needs one (section 7).

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use formic_core::{Key, Life, Time, rule};

use crate::{Award, Error, Turn, units::us};

/// One attempt, named.
pub(crate) type Name = (Key, u16);

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// Sent; overdue at this time unless it waits.
    Open { due: Time },
    /// Sent and reported overdue.
    Overdue,
    /// Finished, cancelled or dead.
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attempt {
    pub(crate) award: Award,
    pub(crate) sent: Time,
    stage: Stage,
    /// Since when it waits without a slot.
    waits: Option<Time>,
    /// How long it has waited, until `waits`.
    waited: Duration,
    verdict: Verdict,
}

/// What a verifier may still say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Verdict {
    /// Anything.
    Awaited,
    /// Nothing: it said something, or there is no result to speak about.
    Closed,
}

impl Attempt {
    /// Time since it was sent in which it had a slot or waited for one, by this peer's clock.
    pub(crate) fn elapsed(&self, now: Time) -> Duration {
        let waits = self.waits.map_or(Duration::ZERO, |since| now.since(since));
        now.since(self.sent).saturating_sub(self.waited + waits)
    }
}

/// Open and recent attempts, at most so many: the oldest go first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Attempts {
    known: BTreeMap<Name, Attempt>,
    order: VecDeque<Name>,
    due: BTreeSet<(Time, Name)>,
}

impl Attempts {
    pub(crate) fn is_open(&self, name: Name) -> bool {
        self.known.get(&name).is_some_and(|attempt| attempt.stage != Stage::Over)
    }

    pub(crate) fn next_due(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Returns what had to go, if it was still open.
    pub(crate) fn add(
        &mut self,
        (name, award, sent): (Name, Award, Time),
        due: Time,
        max: usize,
    ) -> Option<(Name, Attempt)> {
        let stage = Stage::Open { due };
        let (waits, waited) = (None, Duration::ZERO);
        let verdict = Verdict::Awaited;
        let attempt = Attempt { award, sent, stage, waits, waited, verdict };
        // One that is over is sent again: a ledger that lost it counts anew, a worker gave it back.
        if self.known.insert(name, attempt).is_none() {
            self.order.push_back(name);
        }
        self.due.insert((due, name));
        if self.order.len() <= max {
            return None;
        }
        let oldest = self.order.pop_front()?;
        let was_open = self.close(oldest);
        self.known.remove(&oldest);
        was_open.map(|attempt| (oldest, attempt))
    }

    /// The open attempt of this name, if this very life holds it.
    pub(crate) fn open(&self, name: Name, life: Life) -> Result<&Attempt, Error> {
        let (from, (key, attempt)) = (life, name);
        let open = self.known.get(&name).filter(|attempt| attempt.stage != Stage::Over);
        // P9: a deposit needs an attempt that was sent, to this very life, once.
        let held = open.filter(|open| open.award.life == life || !rule!("pheromones/P9-match"));
        held.ok_or(Error::Unsolicited { from, key, attempt })
    }

    /// Ends an open attempt and returns it as it was.
    pub(crate) fn close(&mut self, name: Name) -> Option<Attempt> {
        let attempt = self.known.get_mut(&name)?;
        let was = attempt.clone();
        if let Stage::Open { due } = attempt.stage {
            self.due.remove(&(due, name));
        }
        attempt.stage = Stage::Over;
        (was.stage != Stage::Over).then_some(was)
    }

    /// Ends it without a result: nobody can verify it either (P12).
    pub(crate) fn cancel(&mut self, name: Name) -> Option<Attempt> {
        let was = self.close(name)?;
        if let Some(attempt) = self.known.get_mut(&name) {
            attempt.verdict = Verdict::Closed;
        }
        Some(was)
    }

    /// Whether a verdict on this attempt of this life is awaited; the kind of task it was.
    pub(crate) fn judged(&self, name: Name, life: Life) -> Result<&Award, Error> {
        let (from, (key, attempt)) = (life, name);
        let known = self.known.get(&name).filter(|known| known.award.life == life);
        let awaited = known.filter(|known| {
            let first = known.verdict == Verdict::Awaited || !rule!("pheromones/P10-once");
            first && known.stage == Stage::Over
        });
        awaited.map(|known| &known.award).ok_or(Error::Unsolicited { from, key, attempt })
    }

    pub(crate) fn judge(&mut self, name: Name) {
        if let Some(attempt) = self.known.get_mut(&name) {
            attempt.verdict = Verdict::Closed;
        }
    }

    /// W12: the overdue clock stands while a body waits. A repeat changes nothing.
    pub(crate) fn turn(&mut self, now: Time, name: Name, turn: Turn) {
        let Some(attempt) = self.known.get_mut(&name) else { return };
        match (turn, attempt.waits) {
            (Turn::Waits, None) => {
                attempt.waits = Some(now);
                if let Stage::Open { due } = attempt.stage {
                    self.due.remove(&(due, name));
                }
            }
            (Turn::Runs, Some(since)) => {
                let waited = now.since(since);
                attempt.waits = None;
                attempt.waited += waited;
                if let Stage::Open { due } = &mut attempt.stage {
                    *due = *due + waited;
                    self.due.insert((*due, name));
                }
            }
            (Turn::Waits, Some(_)) | (Turn::Runs, None) => {}
        }
    }

    /// The next attempt that is overdue, marked as reported (P11): once per attempt.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<(Name, Attempt)> {
        let &(at, name) = self.due.first()?;
        if at > now {
            return None;
        }
        self.due.remove(&(at, name));
        let attempt = self.known.get_mut(&name)?;
        attempt.stage = Stage::Overdue;
        Some((name, attempt.clone()))
    }

    pub(crate) fn check(&self, max: usize) {
        assert!(self.order.len() <= max, "attempts are bounded (T10)");
        assert_eq!(self.order.len(), self.known.len(), "each attempt is kept once");
        for (at, name) in &self.due {
            let stage = self.known.get(name).map(|attempt| attempt.stage);
            assert_eq!(stage, Some(Stage::Open { due: *at }), "only open attempts become overdue");
        }
    }
}

/// When an attempt counts as overdue (P11).
pub(crate) fn due(sent: Time, promised: Duration, promises: u32, mean_us: u64) -> Time {
    let allowed = us(promised).saturating_mul(promises.into()).saturating_add(mean_us);
    sent + Duration::from_micros(allowed)
}
