use core::time::Duration;

use formic_core::Time;

/// Whether something is claimed of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is.
    Made,
    /// It no longer is.
    Withdrawn,
}

/// Who holds whom dead, or out of its view, against who really is.
#[derive(Debug)]
pub(crate) struct Opinions {
    peers: usize,
    live: usize,
    crashed: Vec<Option<Crash>>,
    dead: Claims,
    gone: Claims,
    /// Live subjects that somebody began to hold dead.
    pub(crate) false_verdicts: u64,
    /// Live subjects that somebody's view began to be without.
    pub(crate) false_evictions: u64,
}

/// What became of a crash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crash {
    at: Time,
    /// Since when all live peers hold it dead.
    known: Option<Time>,
    /// Since when all live peers' views are without it.
    evicted: Option<Time>,
}

impl Crash {
    pub(crate) fn known_after(&self) -> Option<Duration> {
        self.known.map(|at| at.since(self.at))
    }

    pub(crate) fn evicted_after(&self) -> Option<Duration> {
        self.evicted.map(|at| at.since(self.at))
    }
}

/// One kind of claim about peers. Only claims of live peers are kept.
#[derive(Debug)]
struct Claims {
    /// By observer, then subject.
    made: Vec<bool>,
    /// How many claim it of each subject.
    count: Vec<usize>,
}

impl Claims {
    fn new(peers: usize) -> Self {
        Self { made: vec![false; peers * peers], count: vec![0; peers] }
    }

    /// Whether it changed.
    fn set(&mut self, observer: usize, subject: usize, claim: Claim) -> bool {
        let peers = self.count.len();
        let made = &mut self.made[observer * peers + subject];
        let claimed = claim == Claim::Made;
        if *made == claimed {
            return false;
        }
        *made = claimed;
        let count = &mut self.count[subject];
        *count = if claimed { *count + 1 } else { *count - 1 };
        true
    }
}

impl Opinions {
    pub(crate) fn new(peers: usize) -> Self {
        Self {
            peers,
            live: peers,
            crashed: vec![None; peers],
            dead: Claims::new(peers),
            gone: Claims::new(peers),
            false_verdicts: 0,
            false_evictions: 0,
        }
    }

    pub(crate) const fn live(&self) -> usize {
        self.live
    }

    /// `observer` begins or ceases to hold `subject` dead.
    pub(crate) fn hold_dead(&mut self, now: Time, observer: usize, subject: usize, claim: Claim) {
        if !self.dead.set(observer, subject, claim) {
            return;
        }
        if self.crashed[subject].is_some() {
            self.settle(now, subject);
        } else if claim == Claim::Made && self.dead.count[subject] == 1 {
            self.false_verdicts += 1;
        }
    }

    /// `observer`'s view loses or regains `subject`.
    pub(crate) fn hold_gone(&mut self, now: Time, observer: usize, subject: usize, claim: Claim) {
        if !self.gone.set(observer, subject, claim) {
            return;
        }
        if self.crashed[subject].is_some() {
            self.settle(now, subject);
        } else if claim == Claim::Made && self.gone.count[subject] == 1 {
            self.false_evictions += 1;
        }
    }

    pub(crate) fn crash(&mut self, now: Time, peer: usize) {
        self.crashed[peer] = Some(Crash { at: now, known: None, evicted: None });
        self.live -= 1;
        for subject in 0..self.peers {
            self.dead.set(peer, subject, Claim::Withdrawn);
            self.gone.set(peer, subject, Claim::Withdrawn);
            self.settle(now, subject);
        }
    }

    fn settle(&mut self, now: Time, subject: usize) {
        let Some(crash) = &mut self.crashed[subject] else { return };
        let since = |known: Option<Time>, all| if all { known.or(Some(now)) } else { None };
        crash.known = since(crash.known, self.dead.count[subject] == self.live);
        crash.evicted = since(crash.evicted, self.gone.count[subject] == self.live);
    }

    pub(crate) fn crashes(&self) -> impl Iterator<Item = &Crash> {
        self.crashed.iter().flatten()
    }

    /// Whether all live peers have held each crashed one dead since `since`.
    pub(crate) fn all_known(&self, since: Time) -> bool {
        self.crashes().all(|crash| crash.known.is_some_and(|at| at <= since))
    }

    /// Whether all live peers' views have been without each crashed one since `since`.
    pub(crate) fn all_evicted(&self, since: Time) -> bool {
        self.crashes().all(|crash| crash.evicted.is_some_and(|at| at <= since))
    }

    /// Counting starts.
    pub(crate) fn forget_false(&mut self) {
        self.false_verdicts = 0;
        self.false_evictions = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Time {
        Time::from_us(ms * 1_000)
    }

    #[test]
    fn a_crash_is_known_when_the_last_live_peer_holds_it() {
        let mut opinions = Opinions::new(3);
        opinions.crash(ms(10), 2);
        opinions.hold_dead(ms(20), 0, 2, Claim::Made);
        assert!(!opinions.all_known(ms(99)));
        opinions.hold_dead(ms(30), 1, 2, Claim::Made);
        let known = opinions.crashes().next().unwrap().known_after();
        assert_eq!(known, Some(Duration::from_millis(20)));
        // Who takes it back did not know it yet.
        opinions.hold_dead(ms(40), 0, 2, Claim::Withdrawn);
        assert_eq!(opinions.crashes().next().unwrap().known_after(), None);
        // The only one that did not know it crashes as well.
        opinions.crash(ms(50), 0);
        assert_eq!(opinions.crashed[2].unwrap().known, Some(ms(50)));
        assert_eq!((opinions.false_verdicts, opinions.live()), (0, 1));
    }

    #[test]
    fn a_live_subject_that_many_hold_dead_is_one_false_verdict() {
        let mut opinions = Opinions::new(3);
        opinions.hold_dead(ms(1), 0, 2, Claim::Made);
        opinions.hold_dead(ms(2), 1, 2, Claim::Made);
        opinions.hold_dead(ms(2), 1, 2, Claim::Made);
        assert_eq!(opinions.false_verdicts, 1);
        opinions.hold_dead(ms(3), 0, 2, Claim::Withdrawn);
        opinions.hold_dead(ms(3), 1, 2, Claim::Withdrawn);
        opinions.hold_dead(ms(4), 1, 2, Claim::Made);
        assert_eq!(opinions.false_verdicts, 2);
    }
}
