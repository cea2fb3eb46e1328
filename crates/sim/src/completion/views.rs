//! Committed views, as healing would agree on them: one order for all, a majority of the last one decides,
//! each member hears of it in its own time.

use std::sync::Arc;

use formic_completion::Record;
use formic_core::Life;

use super::world::{Host, What, World, index};

/// The last view.
#[derive(Default)]
pub(super) struct Views {
    epoch: u64,
    /// By seniority.
    lives: Vec<Life>,
}

impl World<'_> {
    /// What happened to this life is decided on between `least` and `least + spread` microseconds later.
    pub(super) fn plan_commit(&mut self, life: Life, (least, spread): (u64, u64)) {
        let what = [index(life) as u64, life.incarnation.0, least];
        let delay = least + self.draw.below("commit", &what, spread);
        self.after(delay, What::Commit);
    }

    pub(super) fn commit(&mut self) {
        let last = &self.views.lives;
        let stays = |life: &&Life| self.is_alive(**life);
        let staying: Vec<Life> = last.iter().filter(stays).copied().collect();
        let half = staying.len() * 2 == last.len() && staying.first() == last.first();
        if !last.is_empty() && staying.len() * 2 <= last.len() && !half {
            // A peer votes as its next life, too, where it kept its disk; else nothing is decided.
            let votes = |life: &&Life| {
                let host = &self.hosts[index(**life)];
                host.alive && (host.life == **life || !host.disk.is_empty())
            };
            if last.iter().filter(votes).count() * 2 <= last.len() {
                return;
            }
        }
        let born = self.hosts.iter().filter(|host| host.alive).map(|host| host.life);
        let born: Vec<Life> = born.filter(|life| !staying.contains(life)).collect();
        let lives = [staying, born].concat();
        if lives == self.views.lives {
            return;
        }
        self.views.epoch += 1;
        self.views.lives.clone_from(&lives);
        let (epoch, shared) = (self.views.epoch, Arc::<[Life]>::from(lives.as_slice()));
        self.note(|| format!("view {epoch} of {} members", lives.len()));
        for observer in lives {
            let what = [epoch, index(observer) as u64];
            let delay = self.draw.below("told-view", &what, 30_000);
            self.after(delay, What::View { observer, epoch, lives: Arc::clone(&shared) });
        }
    }

    /// Whether a quorum of the newest home group that anybody alive can know of has its records: a group that was
    /// known to the dead alone decides nothing, and the one before it would have to (seed 976350).
    pub(super) fn could_decide(&self) -> bool {
        let kept = |host: &Host| {
            let homes = host.disk.iter().filter_map(|record| match record {
                Record::Home { later, .. } if host.alive => Some(later),
                _ => None,
            });
            homes.max_by_key(|later| later.len()).cloned()
        };
        let newest = self.hosts.iter().filter_map(kept).max_by_key(Vec::len).unwrap_or_default();
        let group = newest.last().unwrap_or(&self.spec.home);
        let keeps = |(_, life): &(usize, &Life)| kept(&self.hosts[index(**life)]).is_some();
        let ranks = group.iter().enumerate().filter(keeps).map(|(rank, _)| rank).collect();
        formic_register::is_quorum(&ranks, group.len(), 0)
    }

    /// A life knows a home group.
    pub(super) fn succeeded(&mut self, groups: &[Vec<Life>]) {
        let generation = groups.len() - 1;
        self.report.successions += generation.saturating_sub(self.generation) as u64;
        self.generation = self.generation.max(generation);
    }
}
