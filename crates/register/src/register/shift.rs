//! For models: time as differences, so that states that differ in the clock alone are one.

use core::time::Duration;

use formic_core::Time;

use super::{Phase, Register, Wish};
use crate::Ballot;

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

    /// Forgets how long anything takes, so that every timer is due at once, and what a replica that knows
    /// the decision never looks at again.
    pub(crate) fn forget(&mut self) {
        self.now = Time::ZERO;
        self.fresh = false;
        self.attempt = 0;
        self.resend = self.resend.map(|_| Time::ZERO);
        if let Phase::Waiting { until } = &mut self.phase {
            *until = Time::ZERO;
        }
        if self.decided.is_some() {
            (self.promised, self.accepted, self.proposal) = (None, None, None);
            (self.highest, self.wish) = (1, Wish::Nothing);
        }
    }

    pub(crate) const fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. })
    }

    /// Whether this proposer will never again count an answer about `ballot`: it does not run it, and
    /// begins only higher ones.
    pub(crate) fn is_past(&self, ballot: Ballot) -> bool {
        let runs = match &self.phase {
            Phase::Preparing { ballot: mine, .. } | Phase::Accepting { ballot: mine, .. } => {
                *mine == ballot
            }
            Phase::Idle | Phase::Waiting { .. } => false,
        };
        // The reserved round is begun again after a restart.
        let again = ballot.round == 1 && self.promised <= Some(ballot);
        self.decided.is_some() || !runs && !again
    }

    /// Under which ballot this replica accepted last.
    pub(crate) fn accepted_at(&self) -> Option<Ballot> {
        self.accepted.as_ref().map(|(ballot, _)| *ballot)
    }
}
