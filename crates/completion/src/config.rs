use core::time::Duration;

use crate::Error;

/// How eagerly a peer repeats itself. The defaults suit peers on one site.
///
/// ```
/// let mut config = formic_completion::Config::default();
/// config.lease = std::time::Duration::from_secs(60); // Keep orphans longer.
/// assert!(config.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// How long signals are gathered while bodies run here: `0..=1 s`, default 1 ms. Longer sends
    /// fewer messages and learns later.
    pub flush: Duration,
    /// After what unanswered messages are repeated: `10 ms..=60 s`, default 250 ms.
    pub resend: Duration,
    /// After what an accepted child is asked for again: `10 ms..=1 h`, default 2 s, at least `resend`.
    pub sync: Duration,
    /// How long a task runs on without a reachable waiter: `100 ms..=24 h`, default 10 s.
    pub lease: Duration,
    /// How long each home rank waits before it takes over: `0..=60 s`, default 300 ms.
    pub takeover: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            flush: Duration::from_millis(1),
            resend: Duration::from_millis(250),
            sync: Duration::from_secs(2),
            lease: Duration::from_secs(10),
            takeover: Duration::from_millis(300),
        }
    }
}

impl Config {
    /// Whether all fields are within their ranges.
    ///
    /// # Errors
    /// [`Error::Config`] names the first field that is not.
    pub fn check(&self) -> Result<(), Error> {
        let ms = Duration::from_millis;
        let hour = Duration::from_secs(3_600);
        let rows = [
            ("flush", self.flush, Duration::ZERO, ms(1_000)),
            ("resend", self.resend, ms(10), ms(60_000)),
            ("sync", self.sync, self.resend.max(ms(10)), hour),
            ("lease", self.lease, ms(100), hour * 24),
            ("takeover", self.takeover, Duration::ZERO, ms(60_000)),
        ];
        for (field, value, min, max) in rows {
            if value < min || value > max {
                return Err(Error::Config { field, value, min, max });
            }
        }
        Ok(())
    }
}
