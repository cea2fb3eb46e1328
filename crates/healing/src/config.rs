use core::time::Duration;

use crate::Error;

/// How eagerly peers are watched. The default suits one data centre and busy cores.
///
/// ```
/// # use {formic_healing::{Config, Healing}, std::time::Duration};
/// let mut config = Config::default();
/// config.timeout = Duration::from_secs(1); // Peers share busy cores: forgive longer stalls.
/// let healing = Healing::new(config)?;
/// # Ok::<(), formic_healing::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// How often a beat is sent to every member: `10 ms..=10 s`, default 100 ms. Shorter costs more
    /// messages and forgives more lost ones within `timeout`.
    pub interval: Duration,
    /// Silence after which a member is believed dead: `2 * interval..=60 s`, default 400 ms. Shorter
    /// finds crashes sooner and takes stalls for crashes more often.
    pub timeout: Duration,
    /// A deadline fed this late means that this peer itself stalled and accuses nobody:
    /// `1 ms..=timeout`, default 60 ms.
    pub lateness: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(100),
            timeout: Duration::from_millis(400),
            lateness: Duration::from_millis(60),
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let ms = Duration::from_millis(1);
        within("interval", self.interval, ms * 10, ms * 10_000)?;
        within("timeout", self.timeout, self.interval * 2, ms * 60_000)?;
        within("lateness", self.lateness, ms, self.timeout)
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
