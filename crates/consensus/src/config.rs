use core::time::Duration;

use crate::Error;

/// What an owner may choose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// The time in which a message usually arrives: a silent leader costs 2 of it. Lower is faster after
    /// a crash and wastes rounds when messages are late. 2 ms..=30 s, default 200 ms.
    pub delta: Duration,
    /// How long a voter without a ballot is down before it is no longer waited for. 0..=60 s, default 2 s.
    pub down_grace: Duration,
    /// Undecided instances of one proposer. 1..=1,024, default 64.
    pub open_per_proposer: usize,
    /// Undecided instances of all. 1..=65,536, default 1,024.
    pub open_total: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            delta: Duration::from_millis(200),
            down_grace: Duration::from_secs(2),
            open_per_proposer: 64,
            open_total: 1_024,
        }
    }
}

impl Config {
    /// Whether every value is in its range.
    ///
    /// # Errors
    /// [`Error::Config`]: the first that is not.
    pub fn check(&self) -> Result<(), Error> {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        let us = |span: Duration| span.as_micros();
        if !(ms(2)..=s(30)).contains(&self.delta) {
            let found = us(self.delta);
            return Err(Error::Config { field: "delta", found, allowed: "2 ms to 30 s" });
        }
        if self.down_grace > s(60) {
            let found = us(self.down_grace);
            return Err(Error::Config { field: "down_grace", found, allowed: "0 to 60 s" });
        }
        if !(1..=1_024).contains(&self.open_per_proposer) {
            let found = self.open_per_proposer as u128;
            return Err(Error::Config { field: "open_per_proposer", found, allowed: "1 to 1,024" });
        }
        if !(1..=65_536).contains(&self.open_total) {
            let found = self.open_total as u128;
            return Err(Error::Config { field: "open_total", found, allowed: "1 to 65,536" });
        }
        Ok(())
    }
}
