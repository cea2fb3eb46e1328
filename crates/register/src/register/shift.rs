//! For models: time as differences, so that states that differ in the clock alone are one.

use core::time::Duration;

use formic_core::Time;

use super::{Phase, Register};

impl<V> Register<V> {
    /// Makes the last moment zero and moves every stored one along.
    pub(crate) fn shift(&mut self) {
        let by = self.now.since(Time::ZERO);
        let back = |at: Time, by: Duration| at - by;
        self.now = Time::ZERO;
        self.resend = self.resend.map(|at| back(at, by));
        if let Phase::Waiting { until } = &mut self.phase {
            *until = back(*until, by);
        }
    }
}
