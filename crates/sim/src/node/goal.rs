//! What a world is held to once nothing goes wrong any more: it heals, ends its jobs, falls silent.

use core::time::Duration;
use std::collections::BTreeSet;

use formic_core::{JobId, Life, PeerId, Time};

use super::{
    glue,
    host::Host,
    truth::JobTruth,
    world::{What, World},
};
use crate::{
    engine::Detail,
    oracles::{acked_not_lost, heals, idle_is_silent},
};

/// How often it is looked whether all is well.
const EVERY: Duration = Duration::from_millis(50);
/// Whoever comes back is back by then.
const GIVEN_UP: Duration = Duration::from_secs(10);

/// How far the end of a run has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Goal {
    /// Whether all knew one view once.
    united: bool,
    /// Since when all is well, or somebody learnt of the end of a job.
    settled: Option<Time>,
    /// How often that was, as of the last look.
    verdicts: u64,
    watched: Option<(u64, u64)>,
    over: bool,
    /// Messages about work so far.
    pub(super) work: u64,
}

impl Goal {
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }
}

impl World<'_> {
    /// Whether all is well by now; the last look decides.
    pub(super) fn look(&mut self) {
        let is_news = self.report.verdicts > self.goal.verdicts;
        self.goal.verdicts = self.report.verdicts;
        let late = self.now > self.plan.calm + heals::HOLD;
        if self.now > self.plan.calm + GIVEN_UP && !self.is_majority_alive() {
            self.note(Detail::Brief, None, || "the majority is lost for good".to_owned());
            self.report.waived += 1;
            self.goal.over = true;
            self.count_end();
            return;
        }
        self.note_one_view();
        match (self.unsettled(), self.goal.settled) {
            (Some((oracle, what)), _) if late => self.claim(oracle, Err(what)),
            (Some(_), None) => {}
            // It looked well and is not: that may happen while the last quarrels end.
            (Some(_), Some(_)) => (self.goal.settled, self.goal.watched) = (None, None),
            (None, None) => {
                self.note(Detail::Brief, None, || "ALL IS WELL".to_owned());
                self.goal.settled = Some(self.now);
                let healed = self.now.since(self.plan.calm);
                self.report.healed_sum += healed;
                self.report.healed_max = self.report.healed_max.max(healed);
            }
            // All may be well while a job goes on that nobody was promised: one whose submitter died before it
            // was acknowledged, and went on from its disk. What is said about it is no idle talk before it ends.
            (None, Some(_)) if is_news => {
                (self.goal.settled, self.goal.watched) = (Some(self.now), None);
            }
            (None, Some(since)) => self.watch(since),
        }
        if !self.goal.over {
            self.queue.push(self.now + EVERY, What::Look);
        }
    }

    /// When all live peers knew one view of exactly them for the first time since the last fault.
    fn note_one_view(&mut self) {
        let running = self.hosts.iter().filter(|host| host.is_running());
        let live: BTreeSet<Life> = running.map(|host| host.life).collect();
        if !self.goal.united && self.one_last_view(&live).is_ok() {
            self.goal.united = true;
            let took = self.now.since(self.plan.calm);
            self.report.one_view_sum += took;
            self.report.one_view_max = self.report.one_view_max.max(took);
        }
    }

    /// All is well for a while already: is it quiet?
    fn watch(&mut self, since: Time) {
        let so_far = (self.goal.work, self.report.wakes);
        match self.goal.watched {
            None if self.now >= since + idle_is_silent::SETTLES => {
                self.goal.watched = Some(so_far);
            }
            Some((work, wakes))
                if self.now >= since + idle_is_silent::SETTLES + idle_is_silent::WATCHED =>
            {
                let peers = self.hosts.iter().filter(|host| host.is_running()).count() as u64;
                let idle = idle_is_silent::at_end(so_far.0 - work, (so_far.1 - wakes, peers));
                // Where all that knew a verdict died for good, those who wait for it ask now and then.
                if !self.any_open() {
                    self.claim("idle_is_silent", idle);
                }
                self.goal.over = true;
                self.count_end();
            }
            _ => {}
        }
    }

    fn any_open(&self) -> bool {
        let mut running = self.hosts.iter().filter(|host| host.is_running());
        running.any(|host| {
            let node = host.node.as_ref();
            node.is_some_and(|node| node.status().jobs.iter().any(|job| job.state != "closed"))
        })
    }

    fn count_end(&mut self) {
        self.report.jobs += self.truth.jobs.len() as u64;
        let tasks = self.truth.jobs.values().map(|job| job.truth.executions.len() as u64);
        self.report.tasks += tasks.sum::<u64>();
        let truths = self.truth.jobs.values().map(|job| &job.truth);
        let lost = truths.filter(|it| it.accepted.is_some() && it.verdicts.is_empty());
        self.report.lost_homes += lost.count() as u64;
        self.report.events += self.report.steps;
    }

    /// What is not well yet, by the oracle that names it.
    fn unsettled(&mut self) -> Option<(&'static str, String)> {
        let live: BTreeSet<Life> =
            self.hosts.iter().filter(|host| host.is_running()).map(|host| host.life).collect();
        for host in self.hosts.iter().filter(|host| host.is_running()) {
            if host.node.as_ref().is_some_and(|node| node.mesh().is_none()) {
                return Some(("heals", format!("{} is in no mesh", host.life)));
            }
            if let Err(what) = heals::at_end(host.life, &host.up, &live) {
                return Some(("heals", what));
            }
        }
        if let Err(what) = self.one_last_view(&live) {
            return Some(("heals", what));
        }
        self.truth.jobs.iter().find_map(|(job, truth)| self.open(*job, truth))
    }

    /// All live peers know one view, and it has exactly them.
    fn one_last_view(&self, live: &BTreeSet<Life>) -> Result<(), String> {
        let running = self.hosts.iter().filter(|host| host.is_running());
        for host in running {
            let view = host.node.as_ref().and_then(|node| node.mesh()).zip(host.view);
            let view = view.and_then(|(mesh, (epoch, _))| self.truth.views.get(&(mesh, epoch)));
            let Some(view) = view else { return Err(format!("{} knows no view", host.life)) };
            heals::at_view(host.life, view, live)?;
        }
        Ok(())
    }

    /// Whether a quorum of these keeps the job.
    fn has_quorum(&self, job: JobId, home: &[Life]) -> bool {
        let running = || self.hosts.iter().filter(|host| host.is_running());
        let keeps = |life: &Life| {
            running().any(|it| it.life.peer == life.peer && glue::keeps_home(&it.disk, job))
        };
        let ranks = home.iter().enumerate().filter(|(_, life)| keeps(life)).map(|(rank, _)| rank);
        formic_register::is_quorum(&ranks.collect(), home.len(), 0)
    }

    /// Whether a home group lost its quorum for good before what it knew of an exclusive task had moved to the next one
    /// (healing.md 8): a keeper waits for disks that are all gone.
    fn is_undecidable(&self, job: JobId, truth: &JobTruth) -> bool {
        let running = || self.hosts.iter().filter(|host| host.is_running());
        let gone = |peer: &PeerId| !running().any(|host| host.life.peer == *peer);
        let waits = |host: &Host| {
            let waiting = host.node.as_ref().map(|node| node.waiting(job)).unwrap_or_default();
            waiting.iter().any(|(_, missing)| !missing.is_empty() && missing.iter().all(gone))
        };
        running().any(waits) && truth.homes.values().any(|home| !self.has_quorum(job, home))
    }

    /// Why a job is not over where it should be.
    fn open(&self, job: JobId, truth: &JobTruth) -> Option<(&'static str, String)> {
        let running = || self.hosts.iter().filter(|host| host.is_running());
        let knows = |host: &&Host| host.decided.contains(&job);
        if truth.truth.verdicts.is_empty() {
            // Where the home group has lost its quorum for good, nothing is promised.
            let promised = truth.truth.accepted.is_some()
                && self.has_quorum(job, &truth.home)
                && !self.is_undecidable(job, truth);
            let lost = acked_not_lost::at_end(&truth.truth).err();
            return lost.filter(|_| promised).map(|what| {
                ("acked_not_lost", format!("job {} ({}): {what}", truth.number, job.short()))
            });
        }
        // Where every life that knew the verdict died for good, nobody is left to tell.
        running().find(knows)?;
        running().find_map(|host| {
            let status = host.node.as_ref()?.status();
            let state = status.jobs.iter().find(|status| status.job == job)?;
            let what = || format!("job {} is {} at {}", truth.number, state.state, host.life);
            (state.state != "closed").then(|| ("nothing_hangs", what()))
        })
    }
}
