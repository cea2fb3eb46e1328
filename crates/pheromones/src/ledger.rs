//! The worker's half of the rule: what it promises, from its own service times (section 5).

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use formic_core::{Time, rule};

use crate::{
    Config, Kind, Size,
    clock::HalfLives,
    fixed::{Remains, scale},
    units::{SAMPLE, TICKS, span, us},
};

/// Kinds kept; the least recently served goes first.
const KINDS_MAX: usize = 256;
/// Promises remembered as reserved.
const RESERVED_MAX: usize = 4_096;

/// One body that holds a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Running {
    /// What it is an example of.
    pub kind: Kind,
    /// How large it is.
    pub size: Size,
    /// For how long it has had its slot.
    pub elapsed: Duration,
}

/// What a peer has to do before it could begin another task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backlog<'a> {
    /// What waits, by kind: the sum of sizes, in 65,536ths of the mean.
    pub queued: &'a [(Kind, u64)],
    /// What runs.
    pub running: &'a [Running],
    /// How many bodies may run at once: at least 1.
    pub slots: u32,
}

/// What a prober asks (work.md W3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// What the task is an example of.
    pub kind: Kind,
    /// How large it is.
    pub size: Size,
    /// What the prober expects of anybody, for a task of mean size: the worker may know nothing yet.
    pub mean: Duration,
    /// How many peers are asked.
    pub asked: u32,
    /// For how many tasks: at least 1.
    pub count: u32,
    /// Until when an award would be here: two round trips, at least 2 ms.
    pub holds: Duration,
}

/// Own service times per kind: what this peer promises (P15 to P17). The queue itself is the caller's.
///
/// ```
/// use core::time::Duration;
/// use formic_core::Time;
/// use formic_pheromones::{Backlog, Config, Kind, Ledger, Probe, Size};
///
/// let (kind, second) = (Kind::of("review"), Duration::from_secs(1));
/// let holds = Duration::from_millis(2);
/// let probe = Probe { kind, size: Size::MEAN, mean: second, asked: 1, count: 1, holds };
/// let idle = Backlog { queued: &[], running: &[], slots: 1 };
/// let mut ledger = Ledger::new(&Config::default());
/// // Unused, it promises what the prober expects of anybody.
/// assert_eq!(ledger.promise(Time::ZERO, &probe, &idle), (Duration::ZERO, second));
/// for n in 1..=20 {
///     ledger.served(Time::from_us(n * 1_000_000), kind, Size::MEAN, second / 4);
/// }
/// let (_, service) = ledger.promise(Time::from_us(20_000_000), &probe, &idle);
/// assert!(service < second / 3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    half_life_min_us: u64,
    services_per_half_life: u64,
    kinds: BTreeMap<Kind, Own>,
    /// Promises given, until an award must be here: when, how much (microseconds).
    reserved: VecDeque<(Time, u64)>,
    reserved_us: u64,
}

/// One kind's own services. Sums in ticks, counts in 1/65,536.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Own {
    clock: HalfLives,
    at: u64,
    count: u64,
    sum: u64,
    fast_count: u64,
    fast_sum: u64,
    served: Time,
    /// What the last prober expected of anybody, in microseconds.
    expected_us: u64,
}

impl Own {
    /// Of a kind that nobody has probed for yet, the first service is what was expected: it tells nothing about
    /// this peer's speed at others.
    fn new(half_life_us: u64, now: Time, expected_us: u64) -> Self {
        let clock = HalfLives::new(half_life_us);
        let (count, sum, fast_count, fast_sum) = (0, 0, 0, 0);
        Self { clock, at: 0, count, sum, fast_count, fast_sum, served: now, expected_us }
    }

    fn faded(&self, now: Time) -> (u64, u64) {
        let fade = Remains::after(self.clock.at(now).saturating_sub(self.at));
        (fade.of(self.count), fade.of(self.sum))
    }

    fn mean_ticks(&self) -> u64 {
        scale(self.sum, SAMPLE, self.count).max(1)
    }

    /// P15: the fast pair takes over once it has seen more than 2.9 samples and half more than the slow
    /// one's, and differs threefold: the machine has changed.
    fn detect(&mut self) {
        let enough = self.fast_count > SAMPLE * 29 / 10;
        let outweighs = self.count > self.fast_count / 2 * 3;
        let fast = scale(self.fast_sum, SAMPLE, self.fast_count);
        let slow = self.mean_ticks();
        if enough && outweighs && (fast > slow.saturating_mul(3) || fast < slow / 3) {
            (self.count, self.sum) = (self.fast_count, self.fast_sum);
        }
    }
}

impl Ledger {
    /// Of a peer that has served nothing yet.
    pub fn new(config: &Config) -> Self {
        Self {
            half_life_min_us: us(config.half_life_min),
            services_per_half_life: config.services_per_half_life.into(),
            kinds: BTreeMap::new(),
            reserved: VecDeque::new(),
            reserved_us: 0,
        }
    }

    /// A body of this kind had a slot for so long.
    pub fn served(&mut self, now: Time, kind: Kind, size: Size, service: Duration) {
        let ticks = size.ticks_at_mean(us(service).max(1));
        let own = self.own(now, kind, ticks / TICKS);
        let (count, sum) = own.faded(now);
        (own.count, own.sum) = (count + SAMPLE, sum.saturating_add(ticks));
        own.at = own.clock.at(now);
        // A straggler must not look like a new machine: it counts for at most five mean services.
        let capped = ticks.min(own.mean_ticks().saturating_mul(5));
        own.fast_count = own.fast_count / 5 * 4 + SAMPLE;
        own.fast_sum = (own.fast_sum / 5 * 4).saturating_add(capped);
        own.detect();
    }

    /// A body of this kind failed after so long. It counts as ten mean services more, as at its owner: a peer
    /// that fails at once must not promise to be fast.
    pub fn failed(&mut self, now: Time, kind: Kind, size: Size, service: Duration) {
        let expected_us = self.kinds.get(&kind).map_or(1, |own| own.expected_us);
        let more = size.of(expected_us.saturating_mul(crate::pheromones::FAILURE_MEANS));
        self.served(now, kind, size, service.saturating_add(span(more)));
    }

    /// Wait and service promised for a task of this kind and size. The promise reserves its share of the
    /// slot until an award would be here, so that many probes at once do not all see one empty queue.
    pub fn promise(
        &mut self,
        now: Time,
        probe: &Probe,
        backlog: &Backlog<'_>,
    ) -> (Duration, Duration) {
        let mean_us = us(probe.mean).max(1);
        self.own(now, probe.kind, mean_us).expected_us = mean_us;
        let service = probe.size.of(self.service_us(now, probe.kind, mean_us)).max(1);
        while self.reserved.front().is_some_and(|(until, _)| *until <= now) {
            self.reserved_us -= self.reserved.pop_front().map_or(0, |(_, amount)| amount);
        }
        let wait = self.wait_us(now, backlog);
        let all = service.saturating_mul(probe.count.max(1).into());
        let amount = all / u64::from(probe.asked.max(1));
        if rule!("pheromones/P17") && self.reserved.len() < RESERVED_MAX {
            let until = now + probe.holds;
            // Holds may differ between probers: the order is that of the last to end.
            let until = self.reserved.back().map_or(until, |(last, _)| until.max(*last));
            self.reserved.push_back((until, amount));
            self.reserved_us += amount;
        }
        (span(wait), span(service))
    }

    /// How long a task would wait: what is published as load.
    pub fn queued(&self, now: Time, backlog: &Backlog<'_>) -> Duration {
        span(self.wait_us(now, backlog))
    }

    fn own(&mut self, now: Time, kind: Kind, mean_us: u64) -> &mut Own {
        if !self.kinds.contains_key(&kind) && self.kinds.len() >= KINDS_MAX {
            let oldest = self.kinds.iter().min_by_key(|(_, own)| own.served).map(|it| *it.0);
            oldest.and_then(|oldest| self.kinds.remove(&oldest));
        }
        let half_life = self.half_life_us(mean_us);
        let own =
            self.kinds.entry(kind).or_insert_with(|| Own::new(half_life, now, mean_us.max(1)));
        own.served = now;
        own
    }

    fn half_life_us(&self, mean_us: u64) -> u64 {
        let wanted = mean_us.saturating_mul(self.services_per_half_life);
        let mut doubled = (0..=10).map(|times| self.half_life_min_us << times);
        doubled.find(|us| *us >= wanted).unwrap_or(self.half_life_min_us << 10)
    }

    /// P16: s = (S + 2 m r) / (n + 2), r = (sum S + 2 m) / (sum n(j) m(j) + 2 m): kinds never served borrow
    /// the peer's speed at others. m is the prober's: with a cold prior of its own an unused peer would
    /// price itself out.
    fn service_us(&self, now: Time, kind: Kind, mean_us: u64) -> u64 {
        let two = mean_us.saturating_mul(2 * TICKS);
        let (mut seen, mut expected) = (two, two);
        let (mut count, mut sum) = (0, 0);
        for (other, own) in &self.kinds {
            let (n, s) = own.faded(now);
            seen = seen.saturating_add(s);
            expected =
                expected.saturating_add(scale(own.expected_us.saturating_mul(TICKS), n, SAMPLE));
            if *other == kind {
                (count, sum) = (n, s);
            }
        }
        let borrowed = scale(two, seen, expected);
        (scale(sum.saturating_add(borrowed), SAMPLE, count + 2 * SAMPLE) / TICKS).max(1)
    }

    /// P17: what is queued, what is left of what runs, and what was promised, over the slots.
    fn wait_us(&self, now: Time, backlog: &Backlog<'_>) -> u64 {
        let service = |kind: Kind| {
            let mean = self.kinds.get(&kind).map_or(1, |own| own.expected_us);
            self.service_us(now, kind, mean)
        };
        let queued = backlog.queued.iter().fold(0, |sum: u64, (kind, parts)| {
            sum.saturating_add(if *parts == 0 { 0 } else { scale(service(*kind), *parts, 1 << 16) })
        });
        let slots = u64::from(backlog.slots.max(1));
        if queued == 0 && (backlog.running.len() as u64) < slots {
            return self.reserved_us / slots;
        }
        let left = backlog.running.iter().fold(0, |sum: u64, running| {
            let service = running.size.of(service(running.kind));
            sum.saturating_add(residual_us(service, us(running.elapsed)))
        });
        queued.saturating_add(left).saturating_add(self.reserved_us) / slots
    }
}

/// max(s^2 / (s + t), 0.3 s) + max(t - s, 0) / 2: what has run for long will still.
fn residual_us(service: u64, elapsed: u64) -> u64 {
    let left = scale(service, service, service.saturating_add(elapsed));
    left.max(service / 10 * 3).saturating_add(elapsed.saturating_sub(service) / 2)
}
