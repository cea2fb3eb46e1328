use core::time::Duration;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use formic_core::{Time, mix, transport::Class};

use crate::Draw;

/// The shortest and the longest way of a message.
const DELAY_US: (u64, u64) = (300, 2_000);
/// After what time an unacknowledged reliable message is sent again; doubled each time. About what QUIC's
/// probe timeout is on such a network: round trip, four times its variation, 25 ms of delayed acks.
const RESEND: Duration = Duration::from_millis(30);
/// Processes start within this time of each other, so that their rounds are not in step.
const START_WITHIN_US: u64 = 100_000;

/// A world to measure in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// How many processes.
    pub peers: usize,
    /// All that is random is drawn from it.
    pub seed: u64,
    /// Each message is lost independently with this probability.
    pub loss_permille: u64,
    /// Times in which a process does not run.
    pub stalls: Option<Pauses>,
    /// Times in which a process runs and nothing gets in or out.
    pub outages: Option<Pauses>,
}

impl Setting {
    /// Nothing is lost, nobody stalls.
    pub const fn new(peers: usize, seed: u64) -> Self {
        Self { peers, seed, loss_permille: 0, stalls: None, outages: None }
    }
}

/// How often something comes over a process, and for how long: both exponentially distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// From the end of one to the beginning of the next, mean.
    pub every: Duration,
    /// How long it takes, mean.
    pub mean: Duration,
}

impl Pauses {
    /// Half a pause a second of 100 ms: a busy host.
    pub const BUSY: Self = Self { every: Duration::from_secs(2), mean: Duration::from_millis(100) };
}

/// What is due at a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// The message in this slot arrives.
    Message(u32),
    Deadline,
    Start,
    Stall,
    Resume,
    Outage,
    Crash,
}

/// All that is going to happen, in the order of (time, when it was planned).
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Reverse<(Time, u64, u32, Due)>>,
    planned: u64,
}

impl Agenda {
    pub(crate) fn plan(&mut self, at: Time, peer: usize, due: Due) {
        self.planned += 1;
        let peer = u32::try_from(peer).unwrap_or(u32::MAX);
        self.heap.push(Reverse((at, self.planned, peer, due)));
    }

    /// The next event not later than `end`.
    pub(crate) fn next(&mut self, end: Time) -> Option<(Time, usize, Due)> {
        self.heap.peek().filter(|Reverse((at, ..))| *at <= end)?;
        let Reverse((at, _, peer, due)) = self.heap.pop()?;
        Some((at, usize::try_from(peer).unwrap_or(usize::MAX), due))
    }
}

/// Messages under way: one slot for all receivers of a broadcast.
#[derive(Debug)]
pub(crate) struct Mail<M> {
    slots: Vec<Letter<M>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Letter<M> {
    from: usize,
    message: Option<M>,
    receivers: usize,
}

impl<M> Mail<M> {
    pub(crate) const fn new() -> Self {
        Self { slots: vec![], free: vec![] }
    }

    /// Takes a message that so many will receive.
    pub(crate) fn post(&mut self, from: usize, message: M, receivers: usize) -> u32 {
        let letter = Letter { from, message: Some(message), receivers };
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = letter;
            return slot;
        }
        self.slots.push(letter);
        u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn read(&self, slot: u32) -> Option<(usize, &M)> {
        let letter = &self.slots[slot as usize];
        Some((letter.from, letter.message.as_ref()?))
    }

    /// One receiver is done with it.
    pub(crate) fn release(&mut self, slot: u32) {
        let letter = &mut self.slots[slot as usize];
        letter.receivers = letter.receivers.saturating_sub(1);
        if letter.receivers == 0 && letter.message.take().is_some() {
            self.free.push(slot);
        }
    }
}

/// Decides what becomes of each message, by hashes of its identity.
#[derive(Debug)]
pub(crate) struct Network {
    peers: u64,
    draw: Draw,
    /// As `draw`'s stream of messages, but for one decision per message and receiver.
    fast: u64,
    loss_permille: u64,
    /// The last arrival on each link that has to keep its order.
    ordered: BTreeMap<(usize, usize), Time>,
}

impl Network {
    pub(crate) fn new(setting: &Setting) -> Self {
        let draw = Draw::new(setting.seed);
        Self {
            peers: setting.peers as u64,
            draw,
            fast: draw.bits("message", &[]),
            loss_permille: setting.loss_permille,
            ordered: BTreeMap::new(),
        }
    }

    /// When the `number`-th message of `from` reaches `to`; `None`: never.
    pub(crate) fn unreliable(&self, now: Time, link: (usize, usize), number: u64) -> Option<Time> {
        self.attempt(now, link, number, 0)
    }

    /// When a reliable message reaches `to`, behind those before it. The second part is how often it
    /// was sent.
    pub(crate) fn reliable(
        &mut self,
        now: Time,
        link: (usize, usize),
        number: u64,
        blocked: Duration,
    ) -> (Time, u64) {
        let mut sent_at = now;
        let mut wait = RESEND;
        let mut tries = 1;
        // What is sent into an outage is lost, and sent again.
        let arrival = loop {
            let reached = self.attempt(sent_at, link, number, tries);
            if let Some(at) = reached.filter(|_| sent_at >= now + blocked) {
                break at;
            }
            sent_at = sent_at + wait;
            wait *= 2;
            tries += 1;
        };
        let last = self.ordered.entry(link).or_default();
        *last = arrival.max(*last);
        (*last, tries)
    }

    fn attempt(
        &self,
        now: Time,
        (from, to): (usize, usize),
        number: u64,
        attempt: u64,
    ) -> Option<Time> {
        let link = (from as u64 * self.peers + to as u64) << 8;
        let bits = mix(mix(self.fast ^ (link + attempt)).wrapping_add(number));
        let (luck, way) = (bits >> 32, bits & 0xffff_ffff);
        if (luck * 1_000) >> 32 < self.loss_permille {
            return None;
        }
        let (low, high) = DELAY_US;
        Some(Time::from_us(now.as_us() + low + ((way * (high - low)) >> 32)))
    }

    pub(crate) fn start(&self, peer: usize) -> Time {
        Time::from_us(self.draw.below("start", &[peer as u64], START_WITHIN_US))
    }

    /// An exponentially distributed span.
    pub(crate) fn span(&self, stream: &str, what: &[u64], mean: Duration) -> Duration {
        let bits = self.draw.bits(stream, what);
        mean.mul_f64(exponential(bits))
    }
}

/// `-ln(u)` for a `u` uniform in (0, 1], from basic arithmetic alone: the same on each platform.
fn exponential(bits: u64) -> f64 {
    // u = 2^-zeros * mantissa / 2, mantissa in [1, 2).
    let zeros = bits.leading_zeros().min(52);
    let mantissa = f64::from_bits(0x3ff0_0000_0000_0000 | ((bits << zeros << 1) >> 12));
    // ln(m) = 2 atanh((m - 1) / (m + 1)), |argument| <= 1/3: seven terms are exact to 1e-8.
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    let series = (0..7_u32).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    f64::from(zeros + 1) * core::f64::consts::LN_2 - 2.0 * z * series
}

/// Whether a message of this class is sent again when it is lost.
pub(crate) const fn is_reliable(class: Class) -> bool {
    !matches!(class, Class::Unreliable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_have_the_mean_and_the_tail_of_an_exponential() {
        let count = 100_000_u32;
        let drawn: Vec<f64> = (0..count).map(|n| exponential(mix(u64::from(n)))).collect();
        let mean = drawn.iter().sum::<f64>() / f64::from(count);
        let tail = drawn.iter().filter(|&&span| span > 3.5).count();
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        // e^-3.5 = 3.02 %.
        assert!((2_850..3_200).contains(&tail), "{tail}");
        assert!((exponential(1 << 63) - core::f64::consts::LN_2).abs() < 1e-7);
    }

    #[test]
    fn loss_is_as_frequent_as_asked_and_ways_are_within_their_bounds() {
        let network = Network::new(&Setting { loss_permille: 200, ..Setting::new(10, 3) });
        let now = Time::from_us(5);
        let arrivals: Vec<Time> =
            (0..10_000).filter_map(|number| network.unreliable(now, (1, 2), number)).collect();
        assert!((7_850..8_150).contains(&arrivals.len()), "{}", arrivals.len());
        let ways = arrivals.iter().map(|at| at.as_us() - 5);
        assert!(ways.clone().all(|way| (300..2_000).contains(&way)));
        assert!(ways.clone().any(|way| way < 350) && ways.clone().any(|way| way > 1_950));
    }

    #[test]
    fn reliable_messages_all_arrive_in_order() {
        let mut network = Network::new(&Setting { loss_permille: 500, ..Setting::new(3, 3) });
        let mut last = Time::ZERO;
        let mut tries = 0;
        for number in 0..1_000 {
            let now = Time::from_us(number * 100);
            let (at, sent) = network.reliable(now, (0, 1), number, Duration::ZERO);
            assert!(at >= last && at > now);
            last = at;
            tries += sent;
        }
        assert!((1_900..2_100).contains(&tries), "half are lost, so each is sent twice: {tries}");
    }
}
