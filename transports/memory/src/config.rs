use core::num::NonZeroU32;

use formic_core::{Blame, Fault, transport::Class};

/// The largest bound of an inbox: 2^20 messages.
const BOUND_MAX: u32 = 1 << 20;

/// How many messages wait at a receiver, per class, before senders get `Full`.
///
/// Larger bounds absorb bursts, smaller ones make backpressure reach the sender sooner. Each is
/// 1 to 2^20.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// Waiting [`Class::Control`] messages. Default 1,024.
    pub control: NonZeroU32,
    /// Waiting [`Class::Data`] messages. Default 1,024.
    pub data: NonZeroU32,
    /// Waiting [`Class::Bulk`] messages. Default 256.
    pub bulk: NonZeroU32,
    /// Waiting [`Class::Unreliable`] messages; above it the oldest is dropped. Default 256.
    pub unreliable: NonZeroU32,
}

/// A bound out of its range. The caller's fault; nothing was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("memory transport: {field} is {value}, allowed is 1 to {BOUND_MAX}")]
pub struct ConfigError {
    /// Which field.
    pub field: &'static str,
    /// Its value.
    pub value: u32,
}

impl Default for Config {
    fn default() -> Self {
        let [thousand, quarter] =
            const { [NonZeroU32::MIN.saturating_add(1_023), NonZeroU32::MIN.saturating_add(255)] };
        Self { control: thousand, data: thousand, bulk: quarter, unreliable: quarter }
    }
}

impl Config {
    pub(crate) fn checked(self) -> Result<Self, ConfigError> {
        let fields = [
            ("control", self.control),
            ("data", self.data),
            ("bulk", self.bulk),
            ("unreliable", self.unreliable),
        ];
        match fields.into_iter().find(|(_, bound)| bound.get() > BOUND_MAX) {
            Some((field, bound)) => Err(ConfigError { field, value: bound.get() }),
            None => Ok(self),
        }
    }

    pub(crate) fn bound(&self, class: Class) -> u32 {
        match class {
            Class::Control => self.control.get(),
            Class::Data => self.data.get(),
            Class::Bulk => self.bulk.get(),
            Class::Unreliable => self.unreliable.get(),
        }
    }
}

impl Blame for ConfigError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }
}
