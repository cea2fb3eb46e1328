use core::time::Duration;

use crate::Error;

/// How eagerly peers are watched, and when views change. The default suits one data centre.
///
/// ```
/// # use {formic_core::*, formic_healing::{Config, Healing}, std::time::Duration};
/// # let me = Member { life: Life::new(PeerId::from_bytes([7; 32]), Incarnation(1)), fate: FateId(1) };
/// let mut config = Config::default();
/// config.timeout = Duration::from_secs(1); // Peers share busy cores: forgive longer stalls.
/// let healing = Healing::new(config, me, Random::new(7))?;
/// # Ok::<(), formic_healing::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// How many others watch each life, K: `1..=16`, default 8. More make verdicts surer and cost
    /// messages. Meshes of fewer processes use all of them.
    pub observers: u32,
    /// The share of a life's observers that must miss it, in percent: `51..=100`, default 60.
    pub quorum_percent: u32,
    /// Beats are sent every `observers x` this: `5 ms..=50 ms`, default 12.5 ms, so that the cost does
    /// not depend on the size of the mesh and few observers are surer.
    pub interval_per_observer: Duration,
    /// The longest interval between beats: `25 ms..=10 s`, default 100 ms.
    pub interval_max: Duration,
    /// Silence after which an observer suspects a life: `3.5 x interval_max..=60 s`, default 350 ms.
    /// Shorter finds crashes sooner and takes stalls for crashes more often.
    pub timeout: Duration,
    /// How long a member that was never heard is given: `timeout..=60 s`, default 2 s. It must dial.
    pub first_timeout: Duration,
    /// How often a suspicion is repeated: `10 ms..=500 ms`, default 25 ms.
    pub alert_resend: Duration,
    /// How long a suspicion counts: `2 x alert_resend..=5 s`, default 200 ms.
    pub alert_fresh: Duration,
    /// Suspicions without a verdict for this long start probes of the silent observers: `50 ms..=5 s`,
    /// default 200 ms.
    pub fallback_after: Duration,
    /// A deadline fed this late means that this peer itself stalled and accuses nobody for two
    /// intervals: `1 ms..=timeout`, default 60 ms.
    pub lateness: Duration,
    /// How long a verdict stands before the life is evicted: `0..=60 s`, default 500 ms. Longer
    /// forgives longer stalls and leaves the quorum large for longer.
    pub evict_after: Duration,
    /// How long a minority keeps a verdict to itself: `0..=1 h`, default 3 s. Longer repeats less work
    /// after a short cut.
    pub minority_hold: Duration,
    /// The longest announced pause: `0..=10 min`, default 60 s.
    pub pause_max: Duration,
    /// A peer that holds nothing for this long beats once per `quiet_interval`: `1 s..=1 h`, default 10 s.
    pub quiet_after: Duration,
    /// The interval of quiet beats: `interval_max..=10 s`, default 1 s.
    pub quiet_interval: Duration,
    /// How long the next member in line waits for the one before it to propose a view:
    /// `20 ms..=2 s`, default 150 ms.
    pub stagger: Duration,
    /// The shortest time between two views: `1 ms..=5 s`, default 10 ms. Longer batches joins.
    pub view_gap: Duration,
    /// Admissions per view at most: `1..=256`, default 64.
    pub admit_max: u32,
    /// Members of a view at most: `1..=4,096`, default 1,024.
    pub members_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            observers: 8,
            quorum_percent: 60,
            interval_per_observer: Duration::from_micros(12_500),
            interval_max: ms(100),
            timeout: ms(350),
            first_timeout: ms(2_000),
            alert_resend: ms(25),
            alert_fresh: ms(200),
            fallback_after: ms(200),
            lateness: ms(60),
            evict_after: ms(500),
            minority_hold: ms(3_000),
            pause_max: ms(60_000),
            quiet_after: ms(10_000),
            quiet_interval: ms(1_000),
            stagger: ms(150),
            view_gap: ms(10),
            admit_max: 64,
            members_max: 1_024,
        }
    }
}

impl Config {
    /// For peers on different continents: beats up to 400 ms apart, 2 s of silence are forgiven.
    pub fn wan() -> Self {
        let ms = Duration::from_millis;
        Self { interval_max: ms(400), timeout: ms(2_000), stagger: ms(1_000), ..Self::default() }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let (ms, s) = (Duration::from_millis(1), Duration::from_secs(1));
        count("observers", self.observers, 1, 16)?;
        count("quorum_percent", self.quorum_percent, 51, 100)?;
        within("interval_per_observer", self.interval_per_observer, ms * 5, ms * 50)?;
        within("interval_max", self.interval_max, ms * 25, s * 10)?;
        within("timeout", self.timeout, self.interval_max * 7 / 2, s * 60)?;
        within("first_timeout", self.first_timeout, self.timeout, s * 60)?;
        within("alert_resend", self.alert_resend, ms * 10, ms * 500)?;
        within("alert_fresh", self.alert_fresh, self.alert_resend * 2, s * 5)?;
        within("fallback_after", self.fallback_after, ms * 50, s * 5)?;
        within("lateness", self.lateness, ms, self.timeout)?;
        within("evict_after", self.evict_after, Duration::ZERO, s * 60)?;
        within("minority_hold", self.minority_hold, Duration::ZERO, s * 3_600)?;
        within("pause_max", self.pause_max, Duration::ZERO, s * 600)?;
        within("quiet_after", self.quiet_after, s, s * 3_600)?;
        within("quiet_interval", self.quiet_interval, self.interval_max, s * 10)?;
        within("stagger", self.stagger, ms * 20, s * 2)?;
        within("view_gap", self.view_gap, ms, s * 5)?;
        count("admit_max", self.admit_max, 1, 256)?;
        count("members_max", self.members_max, 1, 4_096)
    }
}

fn count(field: &'static str, value: u32, low: u32, high: u32) -> Result<(), Error> {
    if value < low || value > high {
        return Err(Error::Count { field, value, low, high });
    }
    Ok(())
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
