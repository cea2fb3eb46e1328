use core::time::Duration;

use formic_core::{Capability, Digest, FateId, Life, transport::Address};

use crate::{Error, Record, casts::Limits, record::Defect};

/// Who this peer is and how eagerly it looks for others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// The mesh that this peer creates. Default `None`: it joins one.
    pub found: Option<Digest>,
    /// The mesh that this peer was a member of before it restarted. Default `None`: it joins whichever
    /// mesh a seed belongs to.
    pub rejoin: Option<Digest>,
    /// With whom this life dies: random per OS process. Default 0.
    pub fate: FateId,
    /// The seed of all random choices: partners, seeds to try. Default 0.
    pub seed: u64,
    /// Where members may be found. May name this peer itself. Default: nobody.
    pub seeds: Vec<Address>,
    /// Where to ask for members when nothing else has answered for 2 s. Default: nobody.
    pub rendezvous: Vec<Address>,
    /// A name for people, at most [`NAME_MAX`](crate::NAME_MAX) bytes. Default empty.
    pub name: String,
    /// Where this peer can be reached, at most [`ADDRESSES_MAX`](crate::ADDRESSES_MAX).
    pub addresses: Vec<Address>,
    /// What it can do: sorted, unique, at most [`CAPABILITIES_MAX`](crate::CAPABILITIES_MAX).
    pub capabilities: Vec<Capability>,
    /// `key=value` texts that tasks may ask for: sorted, unique, at most
    /// [`LABELS_MAX`](crate::LABELS_MAX).
    pub labels: Vec<String>,
    /// How many bodies it runs at once: `0..=65,536`, default 1. 0: it never executes.
    pub slots: u32,
    /// First pause between two rounds of looking for others; grows by half each time:
    /// `100 ms..=30 s`, default 1 s. Shorter finds a late seed sooner and knocks more often.
    pub first_retry: Duration,
    /// Longest pause between two rounds or two dials of one member: `1 s..=1 h`, default 30 s.
    pub retry_max: Duration,
    /// How long an answer to a knock is waited for, three times: `50 ms..=10 s`, default 500 ms.
    pub knock_timeout: Duration,
    /// How long the larger of two peers waits for the smaller one's dial: `0..=10 s`, default 500 ms.
    /// Shorter wastes dials, longer delays links that only the larger one can open.
    pub grace: Duration,
    /// How long the record of a life that is no member any more is kept, for questions about it:
    /// `1 s..=1 h`, default 60 s. Until then that life is not admitted again either.
    pub forget_after: Duration,
    /// How many members are known at most, this one included: `1..=4,096`, default 4,096.
    pub members_max: usize,
    /// Pause between two comparisons of records while anything changes: `100 ms..=60 s`, default 1 s.
    pub sync_interval: Duration,
    /// Longest pause between two comparisons while nothing changes: `1 s..=1 h`, default 30 s.
    pub sync_idle_max: Duration,
    /// Slots in use, in percent, from which on this peer calls itself saturated after a second:
    /// `1..=100`, default 80.
    pub saturate_at: u8,
    /// Slots in use, in percent, down to which it no longer does: below `saturate_at`, default 60.
    pub saturate_until: u8,
    /// How many casts of a stream the slowest reader may be behind: `64..=1,024`, default 1,024.
    pub cast_window: u64,
    /// Bytes of casts kept for those that miss them: `64 KiB..=1 GiB`, default 8 MiB.
    pub cast_log: usize,
    /// How long ordered casts wait for an earlier one that is missing: `100 ms..=10 min`, default 5 s.
    pub gap_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self {
            found: None,
            rejoin: None,
            fate: FateId::default(),
            seed: 0,
            seeds: Vec::new(),
            rendezvous: Vec::new(),
            name: String::new(),
            addresses: Vec::new(),
            capabilities: Vec::new(),
            labels: Vec::new(),
            slots: 1,
            first_retry: second,
            retry_max: second * 30,
            knock_timeout: second / 2,
            grace: second / 2,
            forget_after: second * 60,
            members_max: crate::MEMBERS_MAX,
            sync_interval: second,
            sync_idle_max: second * 30,
            saturate_at: 80,
            saturate_until: 60,
            cast_window: crate::WINDOW,
            cast_log: 8 << 20,
            gap_after: second * 5,
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
            labels: self.labels.clone(),
            slots: self.slots,
            draining: false,
        };
        record.check().map_err(Error::OwnRecord)?;
        Ok(record)
    }

    pub(crate) const fn casts(&self) -> Limits {
        Limits { window: self.cast_window, log_bytes: self.cast_log, gap_after: self.gap_after }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let second = Duration::from_secs(1);
        let spans = [
            ("first_retry", self.first_retry, second / 10, second * 30),
            ("retry_max", self.retry_max, second, second * 3_600),
            ("knock_timeout", self.knock_timeout, second / 20, second * 10),
            ("grace", self.grace, Duration::ZERO, second * 10),
            ("forget_after", self.forget_after, second, second * 3_600),
            ("sync_interval", self.sync_interval, second / 10, second * 60),
            ("sync_idle_max", self.sync_idle_max, self.sync_interval.max(second), second * 3_600),
            ("gap_after", self.gap_after, second / 10, second * 600),
        ];
        for (field, value, low, high) in spans {
            if value < low || value > high {
                return Err(Error::Config { field, value, low, high });
            }
        }
        let saturate_until = usize::from(self.saturate_until);
        let window = usize::try_from(self.cast_window).unwrap_or(usize::MAX);
        let counts = [
            ("members_max", self.members_max, 1, crate::MEMBERS_MAX),
            ("saturate_at", usize::from(self.saturate_at), saturate_until + 1, 100),
            ("cast_window", window, 64, 1_024),
            ("cast_log", self.cast_log, 64 << 10, 1 << 30),
        ];
        for (field, value, low, high) in counts {
            if value < low || value > high {
                return Err(Error::Count { field, value, low, high });
            }
        }
        if self.slots > crate::SLOTS_MAX {
            return Err(Error::OwnRecord(Defect::Slots { count: self.slots }));
        }
        if self.found.is_some() && self.rejoin.is_some() {
            return Err(Error::FoundAndRejoin);
        }
        Ok(())
    }
}
