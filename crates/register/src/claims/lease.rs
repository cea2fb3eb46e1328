//! Lease arithmetic (healing.md 7.2 step 4): the holder stops first while clock rates differ by less
//! than two percent.

use core::time::Duration;

use formic_core::{Life, Time};

use super::message::Leased;

/// The shortest lease: two lost renewals must not end it.
pub const LEASE_MIN: Duration = Duration::from_millis(500);
/// The longest lease: how long a dead holder blocks its task.
pub const LEASE_MAX: Duration = Duration::from_mins(10);
/// What clock rates may differ by, in percent.
const DRIFT: u32 = 2;
/// For what is not a matter of rates: rounding, and a late timer at the holder.
const SLACK: Duration = Duration::from_millis(50);

/// When the holder of a lease that it asked for at `sent` stops.
pub(super) fn holder_end(sent: Time, length: Duration) -> Time {
    sent + length * (100 - DRIFT) / 100
}

/// When a replica that heard at `receipt` of `length` stops refusing others.
pub(super) fn replica_end(receipt: Time, length: Duration) -> Time {
    receipt + length * (100 + DRIFT) / 100 + SLACK
}

/// A lease as its replica keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lease {
    pub(super) holder: Life,
    pub(super) length: Duration,
    pub(super) end: Time,
}

impl Lease {
    /// As told to others, who add the drift to the rest again.
    pub(super) fn told(&self, now: Time) -> Leased {
        Leased { holder: self.holder, length: self.length, rest: self.end.since(now) }
    }

    /// As written to disk: a restored replica takes it in full.
    pub(super) const fn stored(&self) -> Leased {
        Leased { holder: self.holder, length: self.length, rest: self.length }
    }
}
