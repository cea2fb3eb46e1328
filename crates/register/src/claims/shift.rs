//! For models: time as differences, so that states that differ in the clock alone are one.

use formic_core::Time;

use super::Claims;

impl<V> Claims<V> {
    /// Makes the last moment zero and moves every stored one along.
    pub(crate) fn shift(&mut self) {
        let by = self.now.since(Time::ZERO);
        self.now = Time::ZERO;
        self.transfer = self.transfer.map(|at| at - by);
        self.claims.values_mut().for_each(|claim| claim.shift(by));
        for lease in self.registers.values_mut().flat_map(|register| &mut register.leases) {
            lease.end = lease.end - by;
        }
    }
}
