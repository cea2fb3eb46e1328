//! Committed views, as healing would agree on them: one order for all, a majority of the last one decides,
//! each member hears of it in its own time.

use std::sync::Arc;

use formic_core::Life;

use super::world::{What, World, index};

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

    /// A life knows a home group.
    pub(super) fn succeeded(&mut self, groups: Vec<Vec<Life>>) {
        if groups.len() > self.home.0 + 1 {
            self.report.successions += (groups.len() - 1 - self.home.0) as u64;
            self.home = (groups.len() - 1, groups.into_iter().next_back().unwrap_or_default());
        }
    }
}
