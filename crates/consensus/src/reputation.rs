//! Reputation: beta with forgetting, in integers, from decided values only (consensus.md section 12).

use serde::{Deserialize, Serialize};

/// One whole, in which `good` and `bad` are counted.
pub const UNIT: u32 = 65_536;
/// What is kept of the past per accounted instance, of [`UNIT`]: 0.95.
const KEPT: u64 = 62_259;

/// What decided instances say about a voter, in units of 1/65,536.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Standing {
    /// Valid ballots, with forgetting.
    pub good: u32,
    /// Missed ballots, proven lies and confirmed reports, with forgetting.
    pub bad: u32,
}

/// What one decided instance says about a voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Its ballot is under the decided root.
    Voted,
    /// The instance expired without its ballot.
    Missed,
    /// Evidence against it is under the decided root.
    Lied,
    /// More voters reported it than can lie.
    Reported,
}

impl Standing {
    /// The standing after one more accounted instance: forget, then add. Saturates.
    #[must_use]
    pub fn after(self, deed: Deed) -> Self {
        let forget = |value: u32| u32::try_from(u64::from(value) * KEPT / u64::from(UNIT));
        let (good, bad) = (forget(self.good).unwrap_or(0), forget(self.bad).unwrap_or(0));
        match deed {
            Deed::Voted => Self { good: good.saturating_add(UNIT), bad },
            Deed::Missed => Self { good, bad: bad.saturating_add(UNIT / 4) },
            Deed::Lied => Self { good, bad: bad.saturating_add(20 * UNIT) },
            Deed::Reported => Self { good, bad: bad.saturating_add(UNIT) },
        }
    }

    /// `R = (good + 1) / (good + bad + 2)`, in thousandths.
    pub fn permille(self) -> u16 {
        self.scaled(1_000)
    }

    /// `100 + clamp(250 (R - 0.5), 0, 100)`: never below a newcomer's, or a fresh identity would pay.
    pub fn weight(self) -> u16 {
        100 + self.scaled(250).saturating_sub(125).min(100)
    }

    /// `scale * R`, rounded down.
    fn scaled(self, scale: u64) -> u16 {
        let one = u64::from(UNIT);
        let (good, bad) = (u64::from(self.good), u64::from(self.bad));
        u16::try_from(scale * (good + one) / (good + bad + 2 * one)).unwrap_or(u16::MAX)
    }
}
