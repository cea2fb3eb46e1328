use core::time::Duration;

use formic_core::{Capability, Digest, Life, transport::Address};

use crate::{Error, Record, record::Defect};

/// Who this peer is and how eagerly it looks for others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// The mesh this peer belongs to from the start: a founder's new one, or the one it was in before
    /// it restarted. `None`: it joins whichever mesh a seed belongs to. Default `None`.
    pub found: Option<Digest>,
    /// Where members may be found. May name this peer itself. Default: nobody.
    pub seeds: Vec<Address>,
    /// A name for people, at most [`NAME_MAX`](crate::NAME_MAX) bytes. Default empty.
    pub name: String,
    /// Where this peer can be reached, at most [`ADDRESSES_MAX`](crate::ADDRESSES_MAX).
    pub addresses: Vec<Address>,
    /// What it can do: sorted, unique, at most [`CAPABILITIES_MAX`](crate::CAPABILITIES_MAX).
    pub capabilities: Vec<Capability>,
    /// How many bodies it runs at once: `0..=65,536`, default 1. 0: it never executes.
    pub slots: u32,
    /// First pause between two rounds over the seeds; grows by half each time: `100 ms..=30 s`,
    /// default 1 s. Shorter finds a late seed sooner and knocks more often.
    pub first_retry: Duration,
    /// Longest pause between two rounds or two dials of one member: `1 s..=1 h`, default 30 s.
    pub retry_max: Duration,
    /// How long the larger of two peers waits for the smaller one's dial: `0..=10 s`, default 500 ms.
    /// Shorter wastes dials, longer delays links that only the larger one can open.
    pub grace: Duration,
    /// How long the record of a peer that is down is kept: `1 s..=1 h`, default 60 s. Longer survives
    /// longer partitions without a new knock.
    pub forget_after: Duration,
    /// How many members are known at most, this one included: `1..=4,096`, default 4,096.
    pub members_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            found: None,
            seeds: Vec::new(),
            name: String::new(),
            addresses: Vec::new(),
            capabilities: Vec::new(),
            slots: 1,
            first_retry: Duration::from_secs(1),
            retry_max: Duration::from_secs(30),
            grace: Duration::from_millis(500),
            forget_after: Duration::from_secs(60),
            members_max: crate::MEMBERS_MAX,
        }
    }
}

impl Config {
    /// The record this peer starts with.
    pub(crate) fn record(&self, life: Life) -> Result<Record, Error> {
        let record = Record {
            life,
            version: 1,
            name: self.name.clone(),
            addresses: self.addresses.clone(),
            capabilities: self.capabilities.clone(),
            slots: self.slots,
            draining: false,
        };
        record.check().map_err(Error::OwnRecord)?;
        Ok(record)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let second = Duration::from_secs(1);
        within("first_retry", self.first_retry, second / 10, second * 30)?;
        within("retry_max", self.retry_max, second, second * 3_600)?;
        within("grace", self.grace, Duration::ZERO, second * 10)?;
        within("forget_after", self.forget_after, second, second * 3_600)?;
        if self.members_max == 0 || self.members_max > crate::MEMBERS_MAX {
            return Err(Error::MembersMax { value: self.members_max });
        }
        if self.slots > crate::SLOTS_MAX {
            return Err(Error::OwnRecord(Defect::Slots { count: self.slots }));
        }
        Ok(())
    }
}

fn within(
    field: &'static str,
    value: Duration,
    low: Duration,
    high: Duration,
) -> Result<(), Error> {
    if value < low || value > high {
        return Err(Error::Config { field, value, low, high });
    }
    Ok(())
}
