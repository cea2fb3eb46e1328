use core::fmt;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use formic_core::{
    Blame, Fault, Incarnation, Life, PeerId,
    transport::{Address, CloseReason, ConnectError, LinkId, RenewError},
};

use crate::{
    Memory,
    config::{Config, ConfigError},
    end::{self, End, hold},
    inbox::{self, Swapped},
};

/// Who is here: the place in which peers of one process find each other. Cloning is cheap.
pub struct Hub<M> {
    directory: Arc<Mutex<Directory<M>>>,
    config: Arc<Config>,
}

struct Directory<M> {
    by_name: HashMap<String, Arc<End<M>>>,
    by_peer: HashMap<PeerId, Known<M>>,
}

struct Known<M> {
    /// The newest incarnation that ever joined: an older one must not come back.
    incarnation: Incarnation,
    /// While it lives.
    end: Option<Arc<End<M>>>,
}

/// Why a life may not join. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// This life joined before. The caller's fault: a restarted peer has a higher incarnation.
    #[error("life {life} joined before")]
    DuplicateIdentity {
        /// Which life.
        life: Life,
    },
    /// A newer life of this peer joined before. The caller's fault.
    #[error("life {life} is older than incarnation {}", known.0)]
    StaleLife {
        /// The refused life.
        life: Life,
        /// The newest incarnation.
        known: Incarnation,
    },
    /// Another living peer has this name. The caller's fault.
    #[error("another peer is called {name:?}")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The name is empty or too long for an [`Address`]. The caller's fault.
    #[error("{name:?} is no name: expected 1 to 249 bytes")]
    BadName {
        /// The refused name.
        name: String,
    },
}

impl Blame for JoinError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }
}

impl<M> Clone for Hub<M> {
    fn clone(&self) -> Self {
        Self { directory: Arc::clone(&self.directory), config: Arc::clone(&self.config) }
    }
}

impl<M> fmt::Debug for Hub<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hub({} living)", hold(&self.directory).by_name.len())
    }
}

impl<M> Default for Hub<M> {
    fn default() -> Self {
        let directory = Directory { by_name: HashMap::new(), by_peer: HashMap::new() };
        Self { directory: Arc::new(Mutex::new(directory)), config: Arc::new(Config::default()) }
    }
}

impl<M> Hub<M> {
    /// An empty hub with the default bounds.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty hub.
    ///
    /// # Errors
    /// A bound is out of its range.
    pub fn with_config(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { config: Arc::new(config.checked()?), ..Self::default() })
    }

    /// Lets `life` join under `memory:NAME`. A living older life of this peer ends: its links go down
    /// with `PeerRestarted` at its peers, and it may do nothing any more.
    ///
    /// # Errors
    /// Any [`JoinError`].
    pub fn join(&self, life: Life, name: &str) -> Result<Arc<Memory<M>>, JoinError> {
        if format!("memory:{name}").parse::<Address>().is_err() {
            return Err(JoinError::BadName { name: name.to_owned() });
        }
        let mut directory = hold(&self.directory);
        if let Some(known) = directory.by_peer.get(&life.peer).map(|known| known.incarnation) {
            if known == life.incarnation {
                return Err(JoinError::DuplicateIdentity { life });
            }
            if known > life.incarnation {
                return Err(JoinError::StaleLife { life, known });
            }
        }
        if directory.by_name.get(name).is_some_and(|other| other.peer != life.peer) {
            return Err(JoinError::NameTaken { name: name.to_owned() });
        }
        directory.stop(life.peer, CloseReason::PeerRestarted);
        let end = Arc::new(End::new(life, name.to_owned()));
        directory.by_name.insert(name.to_owned(), Arc::clone(&end));
        let known = Known { incarnation: life.incarnation, end: Some(Arc::clone(&end)) };
        directory.by_peer.insert(life.peer, known);
        drop(directory);
        Ok(Arc::new(Memory::new(self.clone(), end)))
    }

    /// Ends a life as `kill -9` would: `Down(Gone)` at all its peers at once, and nothing it does
    /// afterwards has an effect. Returns whether it was living.
    pub fn kill(&self, life: Life) -> bool {
        let mut directory = hold(&self.directory);
        directory.living(life) && directory.stop(life.peer, CloseReason::Gone)
    }

    /// Begins the next life of a peer in place: all its links end, unflushed.
    pub(crate) fn renew(&self, end: &End<M>, incarnation: Incarnation) -> Result<(), RenewError> {
        let mut directory = hold(&self.directory);
        let current = end.life().incarnation;
        if !directory.living(end.life()) {
            return Err(RenewError::ShutDown);
        }
        if incarnation <= current {
            return Err(RenewError::NotNewer { refused: incarnation, current });
        }
        let links = end.links().all();
        for (link, side) in links {
            let mut reasons = [CloseReason::Closed; 2];
            reasons[1 - side] = CloseReason::PeerRestarted;
            end::end(&link, reasons);
        }
        end.begin_life(incarnation);
        if let Some(known) = directory.by_peer.get_mut(&end.peer) {
            known.incarnation = incarnation;
        }
        // No link is up and none can come up here: all messages that wait are of the old life.
        end.inbox().forget_messages();
        Ok(())
    }

    /// Ends a life in good order: what was sent is delivered, then `Down(ShuttingDown)`.
    pub(crate) fn leave(&self, end: &Arc<End<M>>) {
        let mut directory = hold(&self.directory);
        if !directory.forget(end.life()) {
            return;
        }
        let links = end.links().all();
        for (link, _) in links {
            end::end(&link, [CloseReason::ShuttingDown; 2]);
        }
        let mut inbox = end.inbox();
        inbox.life = inbox::Life::Leaving;
        let waker = inbox.consumer();
        drop((inbox, directory));
        waker.into_iter().for_each(core::task::Waker::wake);
    }

    /// Closes one link for both sides.
    pub(crate) fn close(&self, end: &End<M>, id: LinkId, reason: CloseReason) {
        let _serialised = hold(&self.directory);
        let link = end.links().find(id).map(|(link, _)| Arc::clone(link));
        if let Some(link) = link {
            end::end(&link, [reason; 2]);
        }
    }

    pub(crate) fn identify(&self, name: &str) -> Option<PeerId> {
        hold(&self.directory).by_name.get(name).map(|end| end.peer)
    }

    pub(crate) fn connect(
        &self,
        dialer: &Arc<End<M>>,
        peer: PeerId,
        names: &[&str],
    ) -> Result<LinkId, ConnectError> {
        let first = names.first().ok_or(ConnectError::NoAddress)?;
        let directory = hold(&self.directory);
        if !directory.living(dialer.life()) {
            return Err(ConnectError::ShutDown);
        }
        if peer == dialer.peer {
            return Err(ConnectError::SelfDial);
        }
        if let Some(id) = dialer.links().up(peer) {
            return Ok(id);
        }
        let found: Vec<_> = names.iter().filter_map(|name| directory.by_name.get(*name)).collect();
        match (found.iter().find(|end| end.peer == peer), found.first()) {
            (Some(acceptor), _) => Ok(end::open(dialer, acceptor)),
            (None, Some(other)) => {
                Err(ConnectError::WrongPeer { expected: peer, found: other.peer })
            }
            (None, None) => Err(ConnectError::Unreachable(Address::new("memory", first))),
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }
}

impl<M> Directory<M> {
    fn living(&self, life: Life) -> bool {
        self.by_peer
            .get(&life.peer)
            .is_some_and(|known| known.end.as_ref().is_some_and(|end| end.life() == life))
    }

    /// Takes a living end out of the directory; its incarnation stays known.
    fn forget(&mut self, life: Life) -> bool {
        let living = self.living(life);
        if living && let Some(end) = self.by_peer.get_mut(&life.peer).and_then(|k| k.end.take()) {
            self.by_name.remove(&end.name);
        }
        living
    }

    /// Ends the living life of `peer` at once. Its peers learn `reason`.
    fn stop(&mut self, peer: PeerId, reason: CloseReason) -> bool {
        let living = self.by_peer.get(&peer).and_then(|known| known.end.clone());
        let Some(end) = living.filter(|end| self.forget(end.life())) else { return false };
        let Swapped { ready, refused } = end.inbox().kill();
        drop(refused);
        let own = match reason {
            CloseReason::PeerRestarted => CloseReason::StaleLife,
            other => other,
        };
        let links = end.links().all();
        for (link, side) in links {
            let mut reasons = [own; 2];
            reasons[1 - side] = reason;
            end::end(&link, reasons);
        }
        end.links_mut().clear();
        let consumer = end.inbox().consumer();
        ready.into_iter().chain(consumer).for_each(core::task::Waker::wake);
        true
    }
}
