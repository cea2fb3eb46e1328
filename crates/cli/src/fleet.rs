//! The peers that one `formic run` starts.

mod memory;
mod quic;

use core::time::Duration;
use std::path::{Path, PathBuf};

use formic::{AgentSpec, Capability, Client, EventLog};
use formic_core::transport::Address;

use crate::{args::TransportKind, exit::Stop, host::Spec};

/// What all peers of a run share.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) specs: Vec<Spec>,
    pub(crate) log: EventLog,
    pub(crate) events: PathBuf,
    pub(crate) epoch_us: u64,
}

/// Peers that run, by index.
#[derive(Debug)]
pub(crate) enum Fleet {
    Memory(memory::Peers),
    Quic(quic::Peers),
}

impl Fleet {
    /// Starts all peers. The first founds the mesh, the others join it.
    ///
    /// # Errors
    /// A peer did not start; those that did are stopped.
    pub(crate) async fn start(kind: TransportKind, launch: &Launch) -> Result<Self, Stop> {
        Ok(match kind {
            TransportKind::Memory => Self::Memory(memory::Peers::start(launch).await?),
            TransportKind::Quic => Self::Quic(quic::Peers::start(launch).await?),
        })
    }

    /// A client of this mesh.
    ///
    /// # Errors
    /// No socket, no randomness.
    pub(crate) async fn client(&self) -> Result<Client, Stop> {
        match self {
            Self::Memory(peers) => peers.client(),
            Self::Quic(peers) => crate::link::client(peers.addresses(), None).await,
        }
    }

    /// Indexes of the peers that have not ended.
    pub(crate) fn alive(&mut self) -> Vec<usize> {
        match self {
            Self::Memory(peers) => peers.alive(),
            Self::Quic(peers) => peers.alive(),
        }
    }

    /// The process of a peer.
    pub(crate) fn pid(&self, index: usize) -> u32 {
        match self {
            Self::Memory(_) => std::process::id(),
            Self::Quic(peers) => peers.pid(index),
        }
    }

    /// Who a peer is, as the event log writes it; `None` before it told.
    pub(crate) fn life(&self, index: usize) -> Option<String> {
        match self {
            Self::Memory(peers) => peers.life(index),
            Self::Quic(peers) => peers.life(index),
        }
    }

    /// Kills a peer without notice.
    pub(crate) fn kill(&mut self, index: usize) {
        match self {
            Self::Memory(peers) => peers.kill(index),
            Self::Quic(peers) => peers.kill(index),
        }
    }

    /// These peers and the others cannot reach each other; nobody is cut off if it is empty. Only over QUIC.
    pub(crate) async fn cut(&mut self, side: &[usize]) {
        match self {
            Self::Memory(_) => debug_assert!(side.is_empty(), "refused with the memory transport"),
            Self::Quic(peers) => peers.cut(side).await,
        }
    }

    /// All peers leave in good order; who has not left after `grace` is killed. Cancel-safe: dropping it kills.
    pub(crate) async fn leave(&mut self, grace: Duration) {
        match self {
            Self::Memory(peers) => peers.leave(grace).await,
            Self::Quic(peers) => peers.leave(grace).await,
        }
    }

    /// Kills all peers. None is left when it returns.
    pub(crate) async fn kill_all(&mut self) {
        for index in self.alive() {
            self.kill(index);
        }
        if let Self::Quic(peers) = self {
            peers.reap().await;
        }
    }
}

/// Spreads agents over peers in order: each agent has a peer, and each peer an agent.
pub(crate) fn specs(
    agents: &[AgentSpec],
    count: usize,
    state: Option<&Path>,
    work: &Path,
) -> Vec<Spec> {
    let blank = |index: usize| Spec {
        name: format!("p{}", index + 1),
        capabilities: Vec::new(),
        slots: 0,
        state: state.map(|dir| dir.join(format!("peer-{index}"))),
        work: Some(work.join(format!("p{}", index + 1))),
        agent: None,
    };
    let mut specs: Vec<Spec> = (0..count).map(blank).collect();
    for turn in 0..agents.len().max(count) {
        let spec = &mut specs[turn % count];
        match agents.get(turn % agents.len().max(1)) {
            Some(agent) => {
                spec.capabilities.extend(agent.capabilities.iter().cloned());
                spec.slots += agent.slots;
            }
            None => spec.slots += 1,
        }
    }
    for spec in &mut specs {
        spec.capabilities.sort();
        spec.capabilities.dedup();
        spec.slots = spec.slots.min(1_024);
    }
    specs
}

/// Whether some of these peers has all of `requires`.
pub(crate) fn can(specs: &[Spec], alive: &[usize], requires: &[Capability]) -> bool {
    let has_all = |spec: &Spec| Capability::lacking(&spec.capabilities, requires).next().is_none();
    alive.iter().filter_map(|index| specs.get(*index)).any(has_all)
}

/// The address of a peer, as `--join` takes it.
pub(crate) fn shown(address: &Address) -> String {
    address.rest("quic").map_or_else(|| address.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use formic::Adapter;

    use super::*;

    fn agent(name: &str, slots: u32) -> AgentSpec {
        AgentSpec {
            name: name.to_owned(),
            adapter: Adapter::Command,
            command: Vec::new(),
            capabilities: vec![name.parse().unwrap()],
            slots,
        }
    }

    fn spread(agents: &[AgentSpec], count: usize) -> Vec<(String, u32)> {
        let specs = specs(agents, count, None, Path::new("w"));
        let can =
            |spec: &Spec| spec.capabilities.iter().map(ToString::to_string).collect::<String>();
        specs.iter().map(|spec| (can(spec), spec.slots)).collect()
    }

    #[test]
    fn agents_are_spread_in_order() {
        let agents = [agent("a", 2), agent("b", 1), agent("c", 1)];
        let all = |texts: &[(&str, u32)]| {
            texts.iter().map(|it| (it.0.to_owned(), it.1)).collect::<Vec<_>>()
        };
        assert_eq!(spread(&agents, 5), all(&[("a", 2), ("b", 1), ("c", 1), ("a", 2), ("b", 1)]));
        assert_eq!(spread(&agents, 2), all(&[("ac", 3), ("b", 1)]));
        assert_eq!(spread(&agents, 1), all(&[("abc", 4)]));
        assert_eq!(spread(&[], 2), all(&[("", 1), ("", 1)]));
    }

    #[test]
    fn one_peer_must_have_all_that_a_task_requires() {
        let specs = specs(&[agent("a", 1), agent("b", 1)], 2, None, Path::new("w"));
        let both = ["a".parse().unwrap(), "b".parse().unwrap()];
        assert!(can(&specs, &[0, 1], &both[..1]));
        assert!(!can(&specs, &[1], &both[..1]));
        assert!(!can(&specs, &[0, 1], &both));
    }
}
