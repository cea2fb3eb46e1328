use core::time::Duration;

use formic::{Client, Peer};
use formic_memory::Hub;
use formic_node::Message;
use tokio::task::JoinSet;

use super::Launch;
use crate::{
    exit::Stop,
    host,
    link::{self, Contacts},
};

/// Peers in this process.
#[derive(Debug)]
pub(crate) struct Peers {
    hub: Hub<Message>,
    peers: Vec<Peer>,
}

impl Peers {
    pub(crate) async fn start(launch: &Launch) -> Result<Self, Stop> {
        let mut all = Self { hub: Hub::new(), peers: Vec::new() };
        for spec in &launch.specs {
            let identity = host::identify(spec.state.as_deref())?;
            let link = link::memory(&all.hub, &identity.0, &spec.name)?;
            let seeds =
                all.peers.iter().take(1).flat_map(|peer| peer.addresses().to_vec()).collect();
            let contacts = Contacts { seeds, ..Contacts::default() };
            let peer =
                host::start(spec.clone(), link, identity, launch.log.clone(), contacts).await?;
            all.peers.push(peer);
        }
        Ok(all)
    }

    pub(crate) fn client(&self) -> Result<Client, Stop> {
        let identity = link::identity()?;
        let link = link::memory(&self.hub, &identity, "client")?;
        let addresses = self.peers.iter().flat_map(|peer| peer.addresses().to_vec()).collect();
        Ok(Client::new(link, addresses))
    }

    pub(crate) fn alive(&self) -> Vec<usize> {
        (0..self.peers.len()).filter(|index| self.peers[*index].is_running()).collect()
    }

    pub(crate) fn life(&self, index: usize) -> Option<String> {
        self.peers.get(index).map(|peer| peer.life().to_string())
    }

    pub(crate) fn kill(&self, index: usize) {
        if let Some(peer) = self.peers.get(index) {
            peer.kill();
            // The driver may be held up in a blocking call: its death is known at once all the same.
            self.hub.kill(peer.life());
        }
    }

    pub(crate) async fn leave(&mut self, grace: Duration) {
        let mut leaving = JoinSet::new();
        let running: Vec<Peer> =
            self.peers.iter().filter(|peer| peer.is_running()).cloned().collect();
        for peer in running {
            leaving.spawn(async move { peer.leave().await });
        }
        let all = async { while leaving.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            self.peers.iter().for_each(Peer::kill);
        }
    }
}
