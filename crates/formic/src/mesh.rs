use crate::{Error, Job, Plan, peer::Builder, peer::Peer};

/// Peers that are started, used and stopped together: a mesh inside a program, or this process's part of one.
#[derive(Debug, Default)]
pub struct Mesh {
    peers: Vec<Peer>,
}

impl Mesh {
    /// No peer yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a peer and waits until it is a member: the first one founds the mesh unless its builder joins one, the
    /// others join through it. A peer that returns to a mesh from its store is not waited for: it is a member again once
    /// a majority of its mesh is back.
    ///
    /// Not cancel-safe: a dropped call may leave a peer that is killed at once.
    ///
    /// # Errors
    /// As [`Builder::start`] and [`Peer::wait_joined`].
    pub async fn add(&mut self, peer: Builder) -> Result<&Peer, Error> {
        let seeds: Vec<_> = self.peers.iter().flat_map(|peer| peer.addresses().to_vec()).collect();
        let peer = peer.join(seeds).start().await?;
        // A peer that returns with its state needs a majority of its mesh: those that are added after it.
        if !peer.rejoins() {
            peer.wait_joined().await?;
        }
        self.peers.push(peer);
        self.peers.last().ok_or(Error::NoPeer)
    }

    /// The peers, in the order in which they were added.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// Submits a plan at the first peer that runs. As [`Peer::submit`], not cancel-safe.
    ///
    /// # Errors
    /// As [`Peer::submit`]; [`Error::NoPeer`].
    pub async fn submit(&self, plan: &Plan) -> Result<Job, Error> {
        let running = self.peers.iter().find(|peer| peer.is_running());
        running.ok_or(Error::NoPeer)?.submit(plan).await
    }

    /// All peers leave in good order, one after the other. Cancel-safe: those that were told go on leaving as long as
    /// the mesh is not dropped.
    pub async fn leave(&self) {
        for peer in self.peers.iter().rev() {
            peer.leave().await;
        }
    }
}
