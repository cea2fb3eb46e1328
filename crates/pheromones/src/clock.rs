//! Time in half-lives.

use core::time::Duration;

use formic_core::Time;

use crate::fixed::scale;

/// Counts half-lives (Q32), also across changes of the half-life: what was laid down earlier faded at
/// the half-life that held then.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HalfLives {
    since: Time,
    base: u64,
    half_life_us: u64,
}

impl HalfLives {
    pub(crate) fn new(half_life_us: u64) -> Self {
        // Trails start one step above zero, so that an age of 0 never means "no trail".
        Self { since: Time::ZERO, base: 0, half_life_us: half_life_us.max(1) }
    }

    pub(crate) const fn half_life(&self) -> Duration {
        Duration::from_micros(self.half_life_us)
    }

    pub(crate) fn at(&self, now: Time) -> u64 {
        let past = now.as_us().saturating_sub(self.since.as_us());
        self.base.saturating_add(scale(past, 1 << 32, self.half_life_us))
    }

    pub(crate) fn set(&mut self, now: Time, half_life_us: u64) {
        if half_life_us != self.half_life_us {
            self.base = self.at(now);
            self.since = now;
            self.half_life_us = half_life_us.max(1);
        }
    }
}
