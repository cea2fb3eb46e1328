//! When this peer's load is published, and when it calls itself saturated.

use core::time::Duration;

use formic_core::{Time, earliest};

use crate::{Config, Load};

/// How long the slots must be nearly full, or no longer, before that is said: at most one change in
/// this time.
const DWELL: Duration = Duration::from_secs(1);

/// What is published.
pub(crate) type Published = (Load, bool);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Publisher {
    load: Option<Load>,
    saturated: bool,
    /// Since when the slots say the opposite of `saturated`.
    turning: Option<Time>,
    published: Option<(Published, Time)>,
}

/// What is published in a mesh of a size: at most once in `gap`.
struct Policy {
    gap: Duration,
    /// Small changes are not worth it.
    much: bool,
}

impl Publisher {
    pub(crate) fn on_load(&mut self, now: Time, config: &Config, load: Load) {
        self.load = Some(load);
        let percent = u32::from(load.running) * 100;
        let slots = u32::from(load.slots);
        let turns = if self.saturated {
            percent <= slots * u32::from(config.saturate_until)
        } else {
            slots > 0 && percent >= slots * u32::from(config.saturate_at)
        };
        self.turning = turns.then(|| self.turning.unwrap_or(now));
    }

    pub(crate) fn deadline(&self, members: usize) -> Option<Time> {
        let turns = self.turning.map(|since| since + DWELL);
        earliest(turns, self.publishes_at(members))
    }

    /// What is to be published now.
    pub(crate) fn due(&mut self, now: Time, members: usize) -> Option<Published> {
        if self.turning.is_some_and(|since| since + DWELL <= now) {
            self.saturated = !self.saturated;
            self.turning = None;
        }
        self.publishes_at(members).filter(|at| *at <= now)?;
        let news = (self.load?, self.saturated);
        self.published = Some((news, now));
        Some(news)
    }

    fn publishes_at(&self, members: usize) -> Option<Time> {
        let (load, policy) = (self.load?, policy(members)?);
        let Some(((last, saturated), at)) = self.published else { return Some(Time::ZERO) };
        let differs = if policy.much { load.differs_much(&last) } else { load != last };
        (differs || saturated != self.saturated).then_some(at + policy.gap)
    }
}

/// mesh.md 5: the larger the mesh, the less often.
const fn policy(members: usize) -> Option<Policy> {
    match members {
        0..=32 => Some(Policy { gap: Duration::from_millis(200), much: false }),
        33..=255 => Some(Policy { gap: Duration::from_secs(1), much: true }),
        256..=2_047 => Some(Policy { gap: Duration::from_secs(10), much: true }),
        _ => None,
    }
}
