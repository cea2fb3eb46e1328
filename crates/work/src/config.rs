use core::time::Duration;

use formic_core::Capability;

use crate::Error;

/// How tasks are placed and queued.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// How many bodies run here at once: `0..=65,536`, default 1. 0: this peer never executes.
    pub slots: u32,
    /// What this peer can do: sorted, unique.
    pub capabilities: Vec<Capability>,
    /// Tasks queued per slot before this peer says that it has no room: `1..=1,024`, default 8. More
    /// hides the time a promise needs, fewer leaves a late decision to the owner.
    pub queue_per_slot: u32,
    /// Tasks held back at their owner above which spawns are acknowledged late:
    /// `1..=10,000,000`, default 10,000. More costs memory, fewer stops spawners sooner.
    pub held_max: usize,
    /// Tasks that one probe stands for: `1..=1,024`, default 64.
    pub batch: usize,
    /// Tasks are held back at their owner where they would wait for longer than so many mean services:
    /// `1..=1,000`, default 4. More binds them early, to peers that may turn out slow; fewer costs messages and
    /// lets remote workers run dry. Never less than `probe_timeout` and a round trip there and back twice.
    pub hold: u32,
    /// Tasks of kinds whose mean service is shorter do not wait for the best peer where another has room:
    /// `0..=1 s`, default 20 ms.
    pub brief: Duration,
    /// A body that has waited for others for so long is reported to its owner: `1 ms..=60 s`, default 100 ms.
    pub tell_waits: Duration,
    /// How long answers to a probe are awaited at least: `1 ms..=10 s`, default 20 ms. Where nobody answered, or
    /// answers took longer than half of it, the next probe waits longer, up to 2 s.
    pub probe_timeout: Duration,
    /// How long a peer that gave a task back is not asked for it again: `0..=60 s`, default 200 ms.
    pub avoid_for: Duration,
    /// After this, candidates that had no room are asked again even if none of them reported room:
    /// `10 ms..=60 s`, default 1 s. Only lost messages and dead links need it.
    pub ask_again: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            slots: 1,
            capabilities: Vec::new(),
            queue_per_slot: 8,
            held_max: 10_000,
            batch: 64,
            hold: 4,
            brief: Duration::from_millis(20),
            tell_waits: Duration::from_millis(100),
            probe_timeout: Duration::from_millis(20),
            avoid_for: Duration::from_millis(200),
            ask_again: Duration::from_secs(1),
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let us = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        within("slots", self.slots.into(), 0, 65_536)?;
        within("queue_per_slot", self.queue_per_slot.into(), 1, 1_024)?;
        within("held_max", self.held_max as u64, 1, 10_000_000)?;
        within("batch", self.batch as u64, 1, 1_024)?;
        within("hold", self.hold.into(), 1, 1_000)?;
        within("brief in us", us(self.brief), 0, 1_000_000)?;
        within("tell_waits in us", us(self.tell_waits), 1_000, 60_000_000)?;
        within("probe_timeout in us", us(self.probe_timeout), 1_000, 10_000_000)?;
        within("avoid_for in us", us(self.avoid_for), 0, 60_000_000)?;
        within("ask_again in us", us(self.ask_again), 10_000, 60_000_000)
    }

    /// How many tasks may wait for a slot here.
    pub(crate) fn queue_max(&self) -> u32 {
        self.slots.saturating_mul(self.queue_per_slot)
    }
}

fn within(field: &'static str, value: u64, low: u64, high: u64) -> Result<(), Error> {
    if value < low || value > high {
        return Err(Error::Config { field, value, low, high });
    }
    Ok(())
}
