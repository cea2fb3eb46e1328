//! The one clock: monotonic, counts suspend, the same in all processes of a host.

use core::time::Duration;

use formic_core::Time;
use rustix::time::{ClockId, clock_gettime};

/// `Instant` stops while a laptop sleeps; an old lease must not be believed afterwards.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
/// The closest this system has.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Microseconds since this host started, suspended time included: comparable between its processes.
pub(crate) fn host_us() -> u64 {
    let now = clock_gettime(CLOCK);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000
}

/// Time as one peer's protocols see it: from the start of the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin_us: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin_us: host_us() }
    }

    pub(crate) fn now(self) -> Time {
        Time::from_us(host_us().saturating_sub(self.origin_us))
    }

    /// Sleeps until `deadline`, for ever without one. Cancel-safe.
    pub(crate) async fn until(self, deadline: Option<Time>) {
        let Some(deadline) = deadline else { return core::future::pending().await };
        // The runtime's timer has a resolution of a millisecond and rounds up: no early wake-up, and a deadline that
        // stays in the past costs one turn a millisecond, not a busy loop.
        let left = deadline.since(self.now()).max(Duration::from_micros(1));
        tokio::time::sleep(left).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_time_starts_near_zero_and_never_goes_back() {
        let clock = Clock::start();
        let mut last = clock.now();
        for _ in 0..1_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }
}
