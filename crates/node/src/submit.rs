//! Jobs that users hand in or give up.

use std::sync::Arc;

use formic_completion::JobSpec;
use formic_core::{Descriptor, Digest, Epoch, JobId};
use formic_healing::Standing;

use crate::{Effect, Message, Node, Reply, jobs::Submitter, step::Step};

/// Why a peer without a majority refuses what must be decided.
const NO_QUORUM: &str = "no majority of the mesh is in touch with this peer";

impl Node {
    pub(crate) fn on_submit(&mut self, by: Submitter, root: Arc<Descriptor>, plan: Digest) {
        let reason = if self.is_leaving() {
            Some("this peer is leaving")
        } else if self.healing.view().is_none() {
            Some("this peer belongs to no mesh yet")
        } else if self.healing.standing() == Standing::Lost {
            Some(NO_QUORUM)
        } else if root.exclusive.is_some() {
            Some("the root of a job spawns its tasks and cannot be exclusive")
        } else if self.jobs.is_full() {
            Some("this peer has 1024 open jobs, its limit")
        } else {
            None
        };
        if let Some(reason) = reason {
            self.refuse(by, reason.to_owned());
            return;
        }
        self.submitted += 1;
        let epoch = self.healing.view().map_or(Epoch(1), |view| view.epoch);
        let job = JobId::born_in(epoch, self.me, self.submitted);
        let home = formic_completion::home_group(job, self.me, self.alive());
        self.open_informed(job);
        if let Some(entry) = self.jobs.get_mut(job) {
            entry.homes = vec![home.clone()];
            entry.submitter = Some(by);
        }
        if let Submitter::Client { life, .. } = by {
            self.jobs.watch(job, life);
        }
        let spec = Arc::new(JobSpec { job, root, plan, home });
        self.steps.push_back(Step::completion(job, formic_completion::Input::Submit { spec }));
    }

    pub(crate) fn refuse(&mut self, by: Submitter, reason: String) {
        match by {
            Submitter::Local { request } => {
                self.out.push(Effect::SubmitRefused { request, reason });
            }
            Submitter::Client { life, request } => {
                self.send(life, Message::Reply(Reply::Refused { request, reason }));
            }
        }
    }

    pub(crate) fn cancel(&mut self, job: JobId, reason: String) {
        let home = self.jobs.home(job).to_vec();
        if home.iter().any(|life| life.peer == self.me.peer) {
            let input = formic_completion::Input::Cancel { reason };
            self.steps.push_back(Step::completion(job, input));
            return;
        }
        let targets = if home.is_empty() { self.alive() } else { home };
        for to in targets {
            let request = crate::Request::Cancel { job, reason: reason.clone() };
            self.send(to, Message::Request(request));
        }
    }
}
