//! Who can reach a majority, in truth.

use std::{collections::BTreeSet, sync::Arc};

use formic_core::{Digest, PeerId, View};

use super::world::World;
use crate::oracles::minority_mute::{self, LAG};

impl World<'_> {
    /// Somebody decides: he could reach a majority of this view until a moment ago.
    pub(super) fn claim_majority(&mut self, host: usize, view: &Arc<View>, what: &str) {
        let reachable = self.reachable(host);
        let result = minority_mute::at_decision(view, &reachable, what);
        self.claim("minority_mute", result.map_err(|what| format!("p{host} {what}")));
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
