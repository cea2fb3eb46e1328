//! The jobs this peer has a part in, and who wants to hear of them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use formic_completion::{Completion, Verdict};
use formic_core::{JobId, Life, Protocol, Time};

/// Open jobs at one peer at most.
pub(crate) const OPEN_MAX: usize = 1_024;
/// Verdicts that are remembered.
pub(crate) const CLOSED_MAX: usize = 1_000;
/// Clients that watch one job at most.
pub(crate) const WATCHERS_MAX: usize = 1_024;

/// Who asked for a job and waits for the acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Submitter {
    Local { request: u64 },
    Client { life: Life, request: u64 },
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) completion: Completion,
    wake: Option<Time>,
    /// Its home groups by generation, each by rank; empty where this peer has not heard of them.
    pub(crate) homes: Vec<Vec<Life>>,
    pub(crate) submitter: Option<Submitter>,
    pub(crate) watchers: BTreeSet<Life>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Jobs {
    jobs: BTreeMap<JobId, Job>,
    wakes: BTreeSet<(Time, JobId)>,
    /// Oldest first.
    closed: VecDeque<JobId>,
}

impl Job {
    /// The home group by rank; empty where it is not known here.
    pub(crate) fn home(&self) -> &[Life] {
        self.homes.last().map_or(&[], Vec::as_slice)
    }
}

impl Jobs {
    /// The home group of a job; empty where it is not known here.
    pub(crate) fn home(&self, job: JobId) -> &[Life] {
        self.get(job).map_or(&[], Job::home)
    }

    pub(crate) fn get(&self, job: JobId) -> Option<&Job> {
        self.jobs.get(&job)
    }

    pub(crate) fn get_mut(&mut self, job: JobId) -> Option<&mut Job> {
        self.jobs.get_mut(&job)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (JobId, &Job)> {
        self.jobs.iter().map(|(&id, job)| (id, job))
    }

    pub(crate) fn ids(&self) -> Vec<JobId> {
        self.jobs.keys().copied().collect()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.jobs.len() - self.closed.len() >= OPEN_MAX
    }

    /// Whether a job is not over yet.
    pub(crate) fn any_open(&self) -> bool {
        self.jobs.len() > self.closed.len()
    }

    pub(crate) fn insert(&mut self, id: JobId, completion: Completion) {
        let (homes, watchers) = (Vec::new(), BTreeSet::new());
        let job = Job { completion, wake: None, homes, submitter: None, watchers };
        self.jobs.insert(id, job);
    }

    /// Whether the client will hear of the verdict: the job is known and has room for it.
    pub(crate) fn watch(&mut self, id: JobId, client: Life) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        if job.watchers.len() < WATCHERS_MAX {
            job.watchers.insert(client);
        }
        job.watchers.contains(&client)
    }

    pub(crate) fn forget_client(&mut self, client: Life) {
        for job in self.jobs.values_mut() {
            job.watchers.remove(&client);
        }
    }

    pub(crate) fn verdict(&self, id: JobId) -> Option<&Arc<Verdict>> {
        self.jobs.get(&id)?.completion.verdict()
    }

    /// The job is over here; the oldest verdict may be forgotten for it, which is returned.
    pub(crate) fn close(&mut self, id: JobId) -> Option<JobId> {
        self.closed.push_back(id);
        if self.closed.len() <= CLOSED_MAX {
            return None;
        }
        let oldest = self.closed.pop_front()?;
        if let Some(at) = self.jobs.remove(&oldest).and_then(|job| job.wake) {
            self.wakes.remove(&(at, oldest));
        }
        Some(oldest)
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.wakes.first().map(|&(at, _)| at)
    }

    pub(crate) fn due(&self, now: Time) -> Vec<JobId> {
        self.wakes.iter().take_while(|(at, _)| *at <= now).map(|&(_, id)| id).collect()
    }

    /// To be called whenever the job's machine has taken an input.
    pub(crate) fn reschedule(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let wake = job.completion.deadline();
        if let Some(at) = core::mem::replace(&mut job.wake, wake) {
            self.wakes.remove(&(at, id));
        }
        self.wakes.extend(wake.map(|at| (at, id)));
    }
}
