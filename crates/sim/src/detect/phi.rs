use core::time::Duration;
use std::collections::VecDeque;

use formic_core::{Time, earliest, transport::Class};

use super::{Act, Claim, Detector, Input, Seat};

/// How often a peer says that it lives.
const INTERVAL: Duration = Duration::from_millis(100);
/// Intervals remembered of each subject (the paper's window).
const WINDOW: usize = 1_000;
/// The normal deviate that a share of 10^-8 exceeds: phi = 8, the usual threshold, in thousandths.
const DEVIATE_PHI_8: u64 = 5_612;
/// The least deviation: with it and no loss, phi reaches 8 after 352 ms of silence, the bound that all
/// contestants aim at.
const DEVIATION_US_MIN: u64 = 45_000;
/// Observers of each peer, and how many of them must agree (as `formic_healing`'s).
const OBSERVERS: usize = 8;
/// An observer says what it thinks of a subject this often, so that loss does not decide, ..
const REPEATS: u8 = 5;
/// .. at this distance.
const REPEAT_AFTER: Duration = Duration::from_millis(25);

/// Phi accrual (Hayashibara, Defago, Yared, Katayama, SRDS 2004): a subject is suspected when its silence
/// is too improbable under a normal distribution of the intervals seen so far.
///
/// A constant threshold on phi is a constant deviate of that distribution, so the moment of suspicion is
/// known in advance: mean + deviate x deviation after the last beat. As in Akka, the window starts with
/// two intervals around the expected one, the deviation has a least value, and the interval that a
/// suspicion ends is not remembered.
#[derive(Clone, Debug)]
pub struct Phi {
    seat: Seat,
    /// `None`: everybody watches everybody and decides alone.
    quorum: Option<Quorum>,
    windows: Vec<Option<Window>>,
    beat_at: Time,
    /// Nobody has to be suspected before.
    check_at: Option<Time>,
}

/// What the processes say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// I live.
    Beat,
    /// I suspect it, or I no longer do.
    Opinion {
        /// Whom.
        subject: usize,
        /// The newer opinion counts.
        number: u32,
        /// That it is dead.
        claim: Claim,
    },
}

impl Phi {
    /// Everybody beats to everybody; each decides alone.
    pub fn alone(seat: Seat) -> Self {
        Self::new(seat, None)
    }

    /// Each peer beats to 8 observers (fewer in a small mesh); it is dead for those who know that 60 %
    /// of them suspect it.
    pub fn with_quorum(seat: Seat) -> Self {
        Self::new(seat, Some(Quorum::new(seat.peers)))
    }

    fn new(seat: Seat, quorum: Option<Quorum>) -> Self {
        let windows = vec![None; seat.peers];
        Self { seat, quorum, windows, beat_at: Time::ZERO, check_at: None }
    }

    fn start(&mut self, now: Time) {
        self.beat_at = now;
        let seat = self.seat;
        let watched: Vec<usize> = match &self.quorum {
            None => (0..seat.peers).filter(|&peer| peer != seat.peer).collect(),
            Some(quorum) => (1..=quorum.observers).map(|back| before(seat, back)).collect(),
        };
        for subject in watched {
            let window = Window::new(now);
            self.check_at = earliest(self.check_at, Some(window.due()));
            self.windows[subject] = Some(window);
        }
    }

    fn heard(&mut self, now: Time, from: usize, out: &mut Vec<Act<Note>>) {
        let Some(window) = &mut self.windows[from] else { return };
        if window.heard(now) {
            self.check_at = earliest(self.check_at, Some(window.due()));
            self.judge(now, from, Claim::Withdrawn, out);
        }
    }

    fn judge(&mut self, now: Time, subject: usize, claim: Claim, out: &mut Vec<Act<Note>>) {
        match &mut self.quorum {
            None => out.push(verdict(subject, claim)),
            Some(quorum) => quorum.announce(now, (self.seat.peer, subject), claim, out),
        }
    }

    fn beat(&mut self, now: Time, out: &mut Vec<Act<Note>>) {
        self.beat_at = now + INTERVAL;
        let Some(quorum) = &self.quorum else {
            out.push(Act::Broadcast { message: Note::Beat });
            return;
        };
        for forth in 1..=quorum.observers {
            let to = (self.seat.peer + forth) % self.seat.peers;
            out.push(Act::Send { to, class: Class::Unreliable, message: Note::Beat });
        }
    }

    fn check(&mut self, now: Time, out: &mut Vec<Act<Note>>) {
        let mut next = None;
        for subject in 0..self.windows.len() {
            let Some(window) = &mut self.windows[subject] else { continue };
            if window.suspected {
                continue;
            }
            let due = window.due();
            if due > now {
                next = earliest(next, Some(due));
            } else {
                window.suspected = true;
                self.judge(now, subject, Claim::Made, out);
            }
        }
        self.check_at = next;
    }
}

impl Detector for Phi {
    type Message = Note;

    fn handle(&mut self, now: Time, input: Input<'_, Note>, out: &mut Vec<Act<Note>>) {
        match input {
            Input::Start => self.start(now),
            Input::Message { from, message: Note::Beat } => self.heard(now, from, out),
            Input::Message { from, message: &Note::Opinion { subject, number, claim } } => {
                if let Some(quorum) = &mut self.quorum {
                    quorum.learn((from, subject), (number, claim), out);
                }
            }
            Input::Deadline => {
                if self.beat_at <= now {
                    self.beat(now, out);
                }
                if self.check_at.is_some_and(|at| at <= now) {
                    self.check(now, out);
                }
                if let Some(quorum) = &mut self.quorum {
                    quorum.repeat(now, out);
                }
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        let repeat = self.quorum.as_ref().and_then(|quorum| quorum.repeat_at);
        earliest(Some(self.beat_at), earliest(self.check_at, repeat))
    }

    fn size(message: &Note) -> usize {
        match message {
            // A kind, the incarnation, a sequence number.
            Note::Beat => 1 + 8 + 8,
            // A kind, a life, the opinion's number, the opinion.
            Note::Opinion { .. } => 1 + 40 + 4 + 1,
        }
    }
}

const fn verdict<M>(peer: usize, claim: Claim) -> Act<M> {
    match claim {
        Claim::Made => Act::Down { peer },
        Claim::Withdrawn => Act::Up { peer },
    }
}

/// The peer so many places before.
const fn before(seat: Seat, back: usize) -> usize {
    (seat.peer + seat.peers - back) % seat.peers
}

/// Intervals between the beats of one subject.
#[derive(Clone, Debug)]
struct Window {
    last: Time,
    suspected: bool,
    /// Microseconds, oldest first.
    intervals: VecDeque<u32>,
    sum: u64,
    squares: u64,
}

impl Window {
    fn new(now: Time) -> Self {
        let mut window =
            Self { last: now, suspected: false, intervals: VecDeque::new(), sum: 0, squares: 0 };
        let expected = u32::try_from(INTERVAL.as_micros()).unwrap_or(u32::MAX);
        window.remember(expected - expected / 4);
        window.remember(expected + expected / 4);
        window
    }

    /// Whether this ends a suspicion.
    fn heard(&mut self, now: Time) -> bool {
        let interval = u32::try_from(now.since(self.last).as_micros()).unwrap_or(u32::MAX);
        self.last = now;
        if !self.suspected {
            self.remember(interval);
        }
        core::mem::replace(&mut self.suspected, false)
    }

    fn remember(&mut self, interval: u32) {
        if self.intervals.len() == WINDOW
            && let Some(oldest) = self.intervals.pop_front()
        {
            self.sum -= u64::from(oldest);
            self.squares -= u64::from(oldest) * u64::from(oldest);
        }
        self.intervals.push_back(interval);
        self.sum += u64::from(interval);
        self.squares += u64::from(interval) * u64::from(interval);
    }

    /// When phi reaches its threshold if nothing is heard.
    fn due(&self) -> Time {
        let count = self.intervals.len() as u64;
        let mean = self.sum / count;
        let deviation = (self.squares / count).saturating_sub(mean * mean).isqrt();
        let silence = mean + DEVIATE_PHI_8 * deviation.max(DEVIATION_US_MIN) / 1_000;
        self.last + Duration::from_micros(silence)
    }
}

/// Suspicions of observers, counted.
#[derive(Clone, Debug)]
struct Quorum {
    observers: usize,
    needed: usize,
    /// By subject: its observers' newest opinions.
    opinions: Vec<Vec<(usize, u32, Claim)>>,
    /// Own opinions that are still being repeated, with their numbers and how often.
    notices: Vec<(usize, u32, Claim, u8)>,
    repeat_at: Option<Time>,
}

impl Quorum {
    fn new(peers: usize) -> Self {
        let observers = OBSERVERS.min(peers - 1);
        let needed = (observers * 6).div_ceil(10);
        let opinions = vec![vec![]; peers];
        Self { observers, needed, opinions, notices: vec![], repeat_at: None }
    }

    fn announce(
        &mut self,
        now: Time,
        (me, subject): (usize, usize),
        claim: Claim,
        out: &mut Vec<Act<Note>>,
    ) {
        let own = self.opinions[subject].iter().find(|(observer, ..)| *observer == me);
        let number = own.map_or(1, |(_, number, _)| number + 1);
        self.learn((me, subject), (number, claim), out);
        self.notices.retain(|notice| notice.0 != subject);
        self.notices.push((subject, number, claim, REPEATS));
        self.repeat_at = earliest(self.repeat_at, Some(now));
    }

    fn learn(
        &mut self,
        (observer, subject): (usize, usize),
        (number, claim): (u32, Claim),
        out: &mut Vec<Act<Note>>,
    ) {
        let opinions = &mut self.opinions[subject];
        let before = opinions.iter().filter(|(.., claim)| *claim == Claim::Made).count();
        match opinions.iter_mut().find(|(known, ..)| *known == observer) {
            Some((_, known, _)) if *known >= number => return,
            Some(opinion) => *opinion = (observer, number, claim),
            None => opinions.push((observer, number, claim)),
        }
        let after = opinions.iter().filter(|(.., claim)| *claim == Claim::Made).count();
        if before < self.needed && after >= self.needed {
            out.push(Act::Down { peer: subject });
        } else if before >= self.needed && after < self.needed {
            out.push(Act::Up { peer: subject });
        }
    }

    fn repeat(&mut self, now: Time, out: &mut Vec<Act<Note>>) {
        if self.repeat_at.is_none_or(|at| at > now) {
            return;
        }
        for (subject, number, claim, left) in &mut self.notices {
            let (subject, number, claim) = (*subject, *number, *claim);
            out.push(Act::Broadcast { message: Note::Opinion { subject, number, claim } });
            *left -= 1;
        }
        self.notices.retain(|(.., left)| *left > 0);
        self.repeat_at = (!self.notices.is_empty()).then_some(now + REPEAT_AFTER);
    }
}
