//! Who voted for what, and who can reach a majority, in truth.

use std::{collections::BTreeSet, sync::Arc};

use formic_completion::{Record as JobRecord, Ruling};
use formic_core::{Digest, JobId, Outcome, PeerId, View};
use formic_healing::Record as ViewRecord;
use formic_register::Record as VoteRecord;

use super::{
    glue::{self, Stored},
    host::{Host, State},
    world::World,
};
use crate::oracles::{
    detected_in_time::BEGINNING,
    minority_mute::{self, LAG, Votes},
};

impl World<'_> {
    /// Records of a peer are durable, and so are the votes among them, whatever becomes of the peer.
    pub(super) fn keep(&mut self, host: usize, records: Vec<Stored>) {
        for record in records {
            if let Some((value, ballot)) = self.vote(host, &record) {
                let voters = self.truth.votes.entry(value).or_default().entry(ballot).or_default();
                voters.insert(self.hosts[host].life.peer);
            }
            glue::store(&mut self.hosts[host].disk, core::iter::once(record));
        }
    }

    /// The value that a record votes for, if it is a vote, and in which ballot.
    fn vote(&self, host: usize, record: &Stored) -> Option<(Digest, formic_register::Ballot)> {
        match record {
            Stored::View(ViewRecord::Ballot {
                epoch,
                record: VoteRecord::Accepted(ballot, cut),
            }) => {
                let base = glue::view_of(&self.hosts[host].disk);
                let next = cut.apply(base.filter(|base| base.epoch == *epoch)?, usize::MAX).ok()?;
                Some((next.hash(), *ballot))
            }
            Stored::Job {
                job,
                record:
                    JobRecord::Register {
                        generation,
                        record: VoteRecord::Accepted(ballot, Ruling::Result(decree)),
                    },
            } => Some((result_of((*job, u64::from(*generation)), &decree.outcome), *ballot)),
            _ => None,
        }
    }

    /// Somebody knows a view that nobody knew before: a quorum of the one before voted for it.
    pub(super) fn claim_votes(&mut self, host: usize, mesh: Digest, view: &View) {
        let mut earlier = self.truth.views.iter().filter(|((of, _), _)| *of == mesh);
        let before = earlier.find(|(_, known)| known.hash() == view.previous);
        // Founders and operators need no votes.
        if let (Some((_, before)), None) = (before, &view.forced) {
            let votes = self.truth.votes.get(&view.hash()).cloned().unwrap_or_default();
            let is_quorum = |voters: &BTreeSet<PeerId>| before.is_quorum(voters);
            let decided = minority_mute::at_decision(&votes, is_quorum, "commits a view");
            self.claim("minority_mute", decided.map_err(|what| format!("p{host} {what}")));
        }
    }

    /// Somebody tells a result.
    pub(super) fn claim_result(&mut self, host: usize, job: JobId, outcome: &Outcome) {
        let Some(truth) = self.truth.jobs.get(&job) else { return };
        let is_first = truth.truth.complete.is_none();
        let home: Vec<PeerId> = truth.home.iter().map(|life| life.peer).collect();
        // There is no later group than the one that decides the result.
        let result = result_of((job, truth.generation), outcome);
        let votes: Votes = self.truth.votes.get(&result).cloned().unwrap_or_default();
        let is_quorum = |voters: &BTreeSet<PeerId>| {
            let ranks = home.iter().enumerate().filter(|(_, peer)| voters.contains(*peer));
            formic_register::is_quorum(&ranks.map(|(rank, _)| rank).collect(), home.len(), 0)
        };
        // Who keeps a job that nobody was told of is not known.
        let decided = if home.is_empty() {
            Ok(())
        } else {
            minority_mute::at_decision(&votes, is_quorum, "tells a result")
        };
        let mesh = self.hosts[host].node.as_ref().and_then(|node| node.mesh());
        let known = mesh.zip(self.hosts[host].view);
        let view = known.and_then(|(mesh, (epoch, _))| self.truth.views.get(&(mesh, epoch)));
        let told = match view {
            // What was told before is decided: telling it again decides nothing. And whoever has just
            // begun had no time yet to find out that others do not answer.
            Some(view) if is_first && !self.is_new(host) => {
                minority_mute::at_result(view, &self.reachable(host))
            }
            _ => Ok(()),
        };
        let result = decided.and(told);
        self.claim("minority_mute", result.map_err(|what| format!("p{host} {what}")));
    }

    /// Whether a peer began or joined so lately that it may wait for others, and others for it.
    fn is_new(&self, host: usize) -> bool {
        let Host { began, joined, state, .. } = &self.hosts[host];
        *state != State::Absent && *began.max(joined) + BEGINNING + LAG >= self.now
    }

    /// Peers that this one could hear in the last moments, also through others.
    fn reachable(&self, host: usize) -> BTreeSet<PeerId> {
        let recent = |since: Option<formic_core::Time>| since.is_none_or(|at| at + LAG >= self.now);
        let there = |host: usize| {
            let state = &self.hosts[host];
            recent(state.frozen)
                && (state.is_running() || recent(state.died) && state.died.is_some())
        };
        let open = |to: usize, from: usize| recent(self.sky.cut_since(from, to));
        let (mut known, mut fresh) = (BTreeSet::from([host]), vec![host]);
        while let Some(next) = fresh.pop() {
            for other in 0..self.hosts.len() {
                if there(other) && open(next, other) && known.insert(other) {
                    fresh.push(other);
                }
            }
        }
        // Who stood still until a moment ago may have consented before, and was not cut off from itself.
        let stood = self.truth.stalled.iter().filter(|(_, until)| **until + LAG >= self.now);
        known.extend(stood.map(|(host, _)| *host));
        // A member that was never heard counts until it had the time to dial, dead or not.
        known.extend((0..self.hosts.len()).filter(|host| self.is_new(*host)));
        // Whoever is there may have been there under an earlier identity a moment ago.
        let identities = self.of_peer.iter().filter(|(_, host)| known.contains(host));
        identities.map(|(peer, _)| *peer).collect()
    }

    /// Whether a majority lives of each mesh's last view, and of the last one that somebody alive knows: a
    /// view that only the dead knew is committed again by a majority of the one before.
    pub(super) fn is_majority_alive(&self) -> bool {
        // Whoever came back with nothing has no vote: it cannot know what it promised.
        let running = self.hosts.iter().filter(|host| host.is_running() && host.view.is_some());
        let living: BTreeSet<PeerId> = running.map(|host| host.life.peer).collect();
        let meshes: BTreeSet<_> = self.truth.views.keys().map(|(mesh, _)| *mesh).collect();
        let known = |mesh: &Digest| {
            let running = self.hosts.iter().filter(|host| host.is_running());
            let of_mesh = running.filter(|host| host.mesh == Some(*mesh));
            let epochs = of_mesh.filter_map(|host| host.view.map(|(epoch, _)| epoch));
            epochs.max().and_then(|epoch| self.truth.views.get(&(*mesh, epoch)))
        };
        let decides = |view: &Arc<View>| view.is_quorum(&living);
        let last = |mesh: &Digest| self.truth.latest(*mesh).is_none_or(decides);
        meshes.iter().all(|mesh| last(mesh) && known(mesh).is_none_or(decides))
    }
}

/// The result of a job, as the home group of this generation decides it.
fn result_of((job, generation): (JobId, u64), outcome: &Outcome) -> Digest {
    let generation = generation.to_be_bytes();
    Digest::of(&[job.as_bytes(), &generation, outcome.digest().as_bytes()])
}
