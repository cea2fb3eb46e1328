use core::time::Duration;

use tokio::{sync::watch, time::Instant};

/// Counts down the wall of a task; stands still while the task waits for children.
#[derive(Debug)]
pub(super) struct Clock {
    left: Duration,
    waiting: watch::Receiver<bool>,
}

impl Clock {
    pub(super) const fn new(left: Duration, waiting: watch::Receiver<bool>) -> Self {
        Self { left, waiting }
    }

    /// Resolves when nothing is left.
    pub(super) async fn run_out(mut self) {
        loop {
            let waits = *self.waiting.borrow_and_update();
            let since = Instant::now();
            tokio::select! {
                () = tokio::time::sleep(self.left), if !waits => return,
                changed = self.waiting.changed() => if changed.is_err() {
                    // The task ended: whoever waits for the clock is about to be aborted.
                    return core::future::pending().await;
                },
            }
            if !waits {
                self.left = self.left.saturating_sub(since.elapsed());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_stands_still_while_the_task_waits() {
        let (waiting, seen) = watch::channel(false);
        let start = Instant::now();
        let clock = Clock::new(Duration::from_secs(10), seen);
        let scenario = async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            waiting.send_replace(true);
            tokio::time::sleep(Duration::from_secs(100)).await;
            waiting.send_replace(false);
            core::future::pending::<()>().await;
        };
        tokio::select! { () = clock.run_out() => {} () = scenario => {} }
        // Virtual time: 4 s of work, 100 s of waiting, 6 s of work.
        assert_eq!(start.elapsed().as_secs(), 110);
    }
}
