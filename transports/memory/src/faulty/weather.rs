//! What happens to the messages of one direction, and how it is decided: by hash, never by timing.

use core::time::Duration;

use formic_core::{Blame, Fault, PeerId, mix, transport::Class};

/// The longest delay and the longest storm: what waits longer is a partition.
const SPAN_MAX: Duration = Duration::from_secs(60);

/// What happens to the messages of one direction. Default: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Weather {
    /// How late messages are handed out.
    pub delay: Delay,
    /// What happens to messages of [`Class::Unreliable`]. Duplicates are hostile.
    pub unreliable: Rates,
    /// What happens to messages of the other classes. Anything is hostile.
    pub reliable: Rates,
    /// How often a reliable class is full although it has room.
    pub storm: Storm,
    /// What becomes of a message that a full queue refuses.
    pub on_full: OnFull,
    /// What a new link to a known peer begins with.
    pub on_reconnect: OnReconnect,
}

/// How late a message is handed out. Legal faults keep the order within a class, hostile ones do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Delay {
    /// At once.
    #[default]
    None,
    /// Anything between two bounds is as likely. Each is 0 to 60 s.
    Uniform {
        /// At least this.
        min: Duration,
        /// At most this; not below `min`.
        max: Duration,
    },
    /// Mostly short, now and then many times the mean.
    Exponential {
        /// The mean: 0 to 60 s.
        mean: Duration,
    },
}

/// How often something happens to a message, each in thousandths: 0 to 1,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Rates {
    /// It never arrives.
    pub loss: u16,
    /// It arrives twice in a row.
    pub duplicate: u16,
    /// It arrives behind the next one of its class, or after 20 ms if none comes.
    pub reorder: u16,
}

/// Refusals with `Full` although there is room. The message that is refused is taken when it is offered again
/// after the storm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Storm {
    /// How many messages of a thousand meet one: 0 to 1,000.
    pub permille: u16,
    /// How long it lasts: 0 to 60 s.
    pub lasts: Duration,
}

/// What becomes of a message that a full queue refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnFull {
    /// It comes back.
    #[default]
    Return,
    /// It is called accepted and lost. Hostile.
    Lose,
}

/// What a new link to a known peer begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnReconnect {
    /// With what is sent on it.
    #[default]
    Fresh,
    /// With the last message of each reliable class that came on the link before it. Hostile.
    Replay,
}

/// Why faults were refused. The caller's fault; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// No transport may do that; [`Faults::hostile`](crate::Faults::hostile) does.
    #[error("{knob} breaks what every transport promises: only hostile faults may")]
    OnlyHostile {
        /// Which knob.
        knob: &'static str,
    },
    /// A value out of its range.
    #[error("{knob} is {value}, allowed is {allowed}")]
    Range {
        /// Which knob.
        knob: &'static str,
        /// Its value; spans in milliseconds.
        value: u128,
        /// What is allowed.
        allowed: &'static str,
    },
}

impl Blame for FaultError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }
}

/// Whether faults stay within what a transport may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    Legal,
    Hostile,
}

impl Weather {
    /// Refuses what is out of range, or no transport may do.
    pub(crate) fn check(&self, mode: Mode) -> Result<(), FaultError> {
        for (knob, value) in [
            ("unreliable.loss", self.unreliable.loss),
            ("unreliable.duplicate", self.unreliable.duplicate),
            ("unreliable.reorder", self.unreliable.reorder),
            ("reliable.loss", self.reliable.loss),
            ("reliable.duplicate", self.reliable.duplicate),
            ("reliable.reorder", self.reliable.reorder),
            ("storm.permille", self.storm.permille),
        ] {
            if value > 1_000 {
                return Err(FaultError::Range { knob, value: value.into(), allowed: "0 to 1000" });
            }
        }
        span("storm.lasts", self.storm.lasts)?;
        match self.delay {
            Delay::None => {}
            Delay::Exponential { mean } => span("delay.mean", mean)?,
            Delay::Uniform { min, max } => {
                span("delay.max", max)?;
                let (knob, value) = ("delay.min", min.as_millis());
                if min > max {
                    return Err(FaultError::Range { knob, value, allowed: "0 to delay.max" });
                }
            }
        }
        let hostile = [
            ("unreliable.duplicate", self.unreliable.duplicate > 0),
            ("reliable.loss", self.reliable.loss > 0),
            ("reliable.duplicate", self.reliable.duplicate > 0),
            ("reliable.reorder", self.reliable.reorder > 0),
            ("on_full", self.on_full == OnFull::Lose),
            ("on_reconnect", self.on_reconnect == OnReconnect::Replay),
        ];
        match hostile.into_iter().find(|(_, set)| *set) {
            Some((knob, _)) if mode == Mode::Legal => Err(FaultError::OnlyHostile { knob }),
            _ => Ok(()),
        }
    }

    pub(crate) fn rates(&self, class: Class) -> Rates {
        match class {
            Class::Unreliable => self.unreliable,
            Class::Control | Class::Data | Class::Bulk => self.reliable,
        }
    }
}

fn span(knob: &'static str, span: Duration) -> Result<(), FaultError> {
    if span <= SPAN_MAX {
        return Ok(());
    }
    Err(FaultError::Range { knob, value: span.as_millis(), allowed: "0 to 60 s" })
}

/// What is decided about a message. Each has a draw of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    Loss,
    Duplicate,
    Reorder,
    Delay,
    Storm,
}

/// One message as decisions see it: the n-th of its class from one peer to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    pub(crate) seed: u64,
    pub(crate) from: PeerId,
    pub(crate) to: PeerId,
    pub(crate) class: Class,
    pub(crate) seq: u64,
}

impl Draw {
    fn bits(self, question: Question) -> u64 {
        let of_peer = |sum: u64, peer: PeerId| {
            peer.as_bytes().chunks(8).fold(sum, |sum, chunk| {
                mix(chunk.iter().fold(sum, |sum, byte| sum.rotate_left(8) ^ u64::from(*byte)))
            })
        };
        let pair = of_peer(of_peer(mix(self.seed), self.from), self.to);
        mix(mix(pair ^ (self.class as u64) << 8 ^ question as u64) ^ self.seq)
    }

    /// Whether it happens, so many times in a thousand.
    pub(crate) fn happens(self, question: Question, permille: u16) -> bool {
        let wide = u128::from(self.bits(question)) * 1_000;
        (wide >> 64) < u128::from(permille)
    }

    pub(crate) fn delay(self, delay: Delay) -> Duration {
        let bits = self.bits(Question::Delay);
        let part = |whole: Duration, numerator: u128, shift: u32| {
            let nanos = (whole.as_nanos() * numerator) >> shift;
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        };
        match delay {
            Delay::None => Duration::ZERO,
            Delay::Uniform { min, max } => min + part(max.saturating_sub(min), bits.into(), 64),
            Delay::Exponential { mean } => part(mean, minus_ln(bits).into(), 32),
        }
    }
}

/// `-ln((bits + 1) / 2^64)` in units of 2^-32, in integers: a seed decides alike on any machine.
fn minus_ln(bits: u64) -> u64 {
    const LN_2: u128 = 2_977_044_472; // ln 2 in units of 2^-32.
    let value = u128::from(bits) + 1;
    let whole = value.ilog2();
    // The fraction of log2, bit by bit: squaring doubles the logarithm.
    let mut square = (value << (127 - whole)) >> 64;
    let mut log = u64::from(whole) << 32;
    for bit in (0..32).rev() {
        square = (square * square) >> 63;
        if square >= 1 << 64 {
            log |= 1 << bit;
            square >>= 1;
        }
    }
    let below = (64u64 << 32) - log;
    u64::try_from((u128::from(below) * LN_2) >> 32).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(seq: u64) -> Draw {
        let [from, to] = [1, 2].map(|byte| PeerId::from_bytes([byte; 32]));
        Draw { seed: 7, from, to, class: Class::Data, seq }
    }

    #[test]
    fn the_logarithm_is_right() {
        for bits in [0, 1, 12_345, u64::MAX / 3, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            let expected = -((bits as f64 + 1.0) / 2f64.powi(64)).ln() * 2f64.powi(32);
            let found = minus_ln(bits) as f64;
            assert!((found - expected).abs() < 64.0, "{bits}: {found}, not {expected}");
        }
    }

    #[test]
    fn rates_and_means_are_kept() {
        let lost = (0..10_000).filter(|seq| draw(*seq).happens(Question::Loss, 200)).count();
        assert!((1_900..2_100).contains(&lost), "{lost}");
        let mean = Duration::from_millis(10);
        let sum: Duration =
            (0..10_000).map(|seq| draw(seq).delay(Delay::Exponential { mean })).sum();
        assert!((97..103).contains(&sum.as_secs()), "{sum:?}");
        let uniform = Delay::Uniform { min: mean, max: mean * 3 };
        let delays: Vec<Duration> = (0..10_000).map(|seq| draw(seq).delay(uniform)).collect();
        assert!(delays.iter().all(|delay| (mean..=mean * 3).contains(delay)));
        assert!(delays.iter().sum::<Duration>() / 10_000 > mean * 19 / 10);
    }

    /// A recorded seed must go on meaning the same.
    #[test]
    fn decisions_are_golden() {
        let lost: Vec<u64> =
            (0..40).filter(|seq| draw(*seq).happens(Question::Loss, 200)).collect();
        assert_eq!(lost, [1, 2, 10, 14, 25, 27, 31, 36, 39]);
    }
}
