//! For models: see [`Claims::shift`](super::Claims).

use core::time::Duration;

use super::{Claim, Phase};

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
}
