//! What is counted, and in which units.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, fixed::scale};

/// One sample: counts are in 1/65,536.
pub(crate) const SAMPLE: u64 = 1 << 16;

/// Sums of service are in 1/256 us, so that decay does not round short services away.
pub(crate) const TICKS: u64 = 1 << 8;

/// No service, wait or latency counts for more: 30 days.
pub(crate) const SPAN_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How large a task is, over the mean of its kind: 1/16 to 16 in steps of 1/65,536, default 1.
///
/// Expected tokens over the kind's mean, say. Services are divided by it before they are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Size(u32);

impl Size {
    /// As large as the mean.
    pub const MEAN: Self = Self(1 << 16);

    /// So many 65,536ths of the mean.
    ///
    /// # Errors
    /// [`Error::Size`] outside `4,096..=1,048,576`.
    pub const fn new(parts: u32) -> Result<Self, Error> {
        if parts < 1 << 12 || parts > 1 << 20 {
            return Err(Error::Size { parts });
        }
        Ok(Self(parts))
    }

    /// In 65,536ths of the mean.
    pub const fn parts(self) -> u32 {
        self.0
    }

    /// A time for a task of the mean size, for one of this size.
    pub(crate) fn of(self, us: u64) -> u64 {
        scale(us, u64::from(self.0), 1 << 16)
    }

    /// A service of a task of this size, in ticks, for one of the mean size.
    pub(crate) fn ticks_at_mean(self, us: u64) -> u64 {
        scale(us, TICKS << 16, u64::from(self.0))
    }
}

impl Default for Size {
    fn default() -> Self {
        Self::MEAN
    }
}

impl TryFrom<u32> for Size {
    type Error = Error;
    fn try_from(parts: u32) -> Result<Self, Error> {
        Self::new(parts)
    }
}

impl From<Size> for u32 {
    fn from(size: Size) -> Self {
        size.0
    }
}

/// Microseconds, at most [`SPAN_MAX`].
pub(crate) fn us(span: Duration) -> u64 {
    u64::try_from(span.min(SPAN_MAX).as_micros()).unwrap_or(u64::MAX)
}

pub(crate) const fn span(us: u64) -> Duration {
    Duration::from_micros(us)
}
