//! For models: see [`Claims::shift`](super::Claims).

use core::time::Duration;

use formic_core::Epoch;

use super::{Claim, Phase, Stamp};
use crate::claims::shift::PRESENT;

/// How far a claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Preparing,
    /// With this renewal under way.
    Holding(Option<u64>),
    Lapsed,
    /// Asks the replicas of this view.
    Committing(Epoch),
}

impl<V> Claim<V> {
    pub(in crate::claims) fn shift(&mut self, by: Duration) {
        self.resend = self.resend.map(|at| at - by);
        self.overdue = self.overdue.map(|at| at - by);
        match &mut self.phase {
            Phase::Waiting { until: Some(until) } => *until = *until - by,
            Phase::Preparing { sent, .. } => *sent = *sent - by,
            Phase::Holding { until, renewal, .. } => {
                *until = *until - by;
                if let Some(renewal) = renewal {
                    renewal.sent = renewal.sent - by;
                }
            }
            Phase::Waiting { until: None } | Phase::Lapsed { .. } | Phase::Committing { .. } => {}
        }
    }

    /// Every timer but the end of the lease is due; a lease that ended long ago ended now.
    pub(in crate::claims) fn forget(&mut self) {
        self.tries = 0;
        self.overdue = None;
        self.resend = self.resend.map(|_| PRESENT);
        let oldest = PRESENT - self.length;
        match &mut self.phase {
            Phase::Waiting { until } => *until = until.map(|_| PRESENT),
            Phase::Preparing { sent, round, .. } => {
                *sent = oldest.max(*sent);
                round.held = Duration::ZERO;
            }
            Phase::Holding { until, renewal, .. } => {
                *until = PRESENT.max(*until);
                if let Some(renewal) = renewal {
                    renewal.sent = oldest.max(renewal.sent);
                }
            }
            Phase::Lapsed { .. } | Phase::Committing { .. } => {}
        }
    }

    pub(in crate::claims) fn stage(&self) -> Option<(Stamp, Stage)> {
        Some(match &self.phase {
            Phase::Waiting { .. } => return None,
            Phase::Preparing { stamp, .. } => (*stamp, Stage::Preparing),
            Phase::Holding { stamp, renewal, .. } => {
                (*stamp, Stage::Holding(renewal.as_ref().map(|renewal| renewal.serial)))
            }
            Phase::Lapsed { stamp } => (*stamp, Stage::Lapsed),
            Phase::Committing { stamp, round, .. } => (*stamp, Stage::Committing(round.set)),
        })
    }
}
