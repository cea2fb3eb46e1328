//! What really happened in a world of whole nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_core::{Digest, Epoch, JobId, Key, Life, Time, View};

use crate::{
    Truth,
    oracles::{minority_mute::Votes, one_holder::Sole},
};

/// One job, as it really went.
#[derive(Clone, Debug, Default)]
pub(super) struct JobTruth {
    /// Executions, verdicts.
    pub(super) truth: Truth,
    /// Its number in the plan.
    pub(super) number: usize,
    /// How many home groups kept it before.
    pub(super) generation: u64,
    /// Its newest home group that anybody knew.
    pub(super) home: Vec<Life>,
    /// All home groups that anybody knew.
    pub(super) homes: BTreeMap<u64, Vec<Life>>,
    /// Certificates that were verified.
    pub(super) proofs: BTreeSet<Digest>,
    /// Who said `Complete`.
    pub(super) completers: BTreeSet<Life>,
    /// Its exclusive tasks.
    pub(super) exclusive: BTreeMap<Key, Sole>,
}

impl JobTruth {
    /// Somebody knows this home group.
    pub(super) fn kept_by(&mut self, generation: u64, home: Vec<Life>) {
        self.homes.entry(generation).or_insert_with(|| home.clone());
        if self.home.is_empty() || self.generation < generation {
            (self.generation, self.home) = (generation, home);
        }
    }
}

/// Everything that really happened.
#[derive(Clone, Debug, Default)]
pub(super) struct WorldTruth {
    pub(super) jobs: BTreeMap<JobId, JobTruth>,
    /// The latest id of each job of the plan.
    pub(super) submitted: Vec<Option<JobId>>,
    /// Every view that anybody committed or learnt, by mesh.
    pub(super) views: BTreeMap<(Digest, Epoch), Arc<View>>,
    /// Who voted for what: by the hash of the view, by the result of the job.
    pub(super) votes: BTreeMap<Digest, Votes>,
    /// When lives ended.
    pub(super) dead: BTreeMap<Life, Time>,
    /// Which of them had just begun or joined.
    pub(super) young: BTreeSet<Life>,
    /// Until when a peer that stood still may be late.
    pub(super) stalled: BTreeMap<usize, Time>,
    /// How often each process died.
    pub(super) begun: BTreeMap<usize, u64>,
    /// Since when links flap, by strike.
    pub(super) flapping: BTreeMap<usize, Time>,
}

impl WorldTruth {
    pub(super) fn new(jobs: usize) -> Self {
        Self { submitted: vec![None; jobs], ..Self::default() }
    }

    /// The newest view of a mesh.
    pub(super) fn latest(&self, mesh: Digest) -> Option<&Arc<View>> {
        let of = self.views.range((mesh, Epoch(0))..).take_while(|((of, _), _)| *of == mesh);
        of.last().map(|(_, view)| view)
    }

    pub(super) fn job(&mut self, job: JobId, number: usize) -> &mut JobTruth {
        let truth = self.jobs.entry(job).or_default();
        truth.number = number;
        truth
    }
}
