//! Questions that cannot be answered yet, and will be.
//!
//! Whoever enters a view first asks those who have not heard of it. If they let the question fall, it comes again
//! after a resend time, in which they may be lost, and with them a majority of the last set. `formic-sim`, seed 22916:
//! of seven replicas three are dead, the other four go on to the next set, and one of those dies 8 ms later.

use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Epoch, JobId, Life};

use super::{Claims, Task, Transfers, Value};

/// How many things are remembered that others asked for too early, and how often each. What is not remembered
/// is asked again.
const ABOUT_MAX: usize = 10_000;
const ASKERS_MAX: usize = 64;

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum About {
    /// What is known of all tasks of a job.
    Ground(JobId),
    /// One task.
    Task(Task),
}

/// Who asks as a replica of which view, and since when the task may exist.
type Question = (Epoch, Life, Epoch);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Early(BTreeMap<About, BTreeSet<Question>>);

impl Early {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn keep(&mut self, about: About, question: Question) {
        if self.0.len() < ABOUT_MAX || self.0.contains_key(&about) {
            let questions = self.0.entry(about).or_default();
            if questions.len() < ASKERS_MAX {
                questions.insert(question);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn forget(&mut self, job: JobId) {
        self.0.retain(|about, _| match about {
            About::Ground(of) => *of != job,
            About::Task(task) => task.job != job,
        });
    }
}

impl<V: Value> Claims<V> {
    /// A pull that this replica cannot answer as long as it knows no more.
    pub(super) fn keep_pull(&mut self, from: Life, task: Task, born: Epoch, epoch: Epoch) {
        self.keep(About::Task(task), (epoch, from, born));
    }

    /// The same, about all tasks of a job.
    pub(super) fn keep_ground_pull(&mut self, from: Life, job: JobId, epoch: Epoch) {
        self.keep(About::Ground(job), (epoch, from, epoch));
    }

    fn keep(&mut self, about: About, question: Question) {
        if self.transfers == Transfers::Due {
            self.early.keep(about, question);
        }
    }

    /// More is known of this task.
    pub(super) fn answer_pulls(&mut self, task: Task) {
        self.answer(About::Task(task));
    }

    /// More is known of all tasks.
    pub(super) fn answer_all(&mut self) {
        let about: Vec<About> = self.early.0.keys().copied().collect();
        about.into_iter().for_each(|about| self.answer(about));
    }

    /// What still cannot be answered is kept again.
    fn answer(&mut self, about: About) {
        for (epoch, from, born) in self.early.0.remove(&about).unwrap_or_default() {
            match about {
                About::Ground(job) => self.on_what_is_known(from, job, epoch),
                About::Task(task) => self.on_pull(from, task, born, epoch),
            }
        }
    }
}
