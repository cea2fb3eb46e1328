use core::time::Duration;

use formic_core::Life;
use formic_identity::SecretKey;

use crate::Record;

/// All of one peer's settings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Who this peer is. The incarnation is raised and made durable before.
    pub life: Life,
    /// Proves it: `life.peer` is the hash of its public half.
    pub secret: SecretKey,
    /// Name, seeds or mesh, addresses, capabilities, slots.
    pub mesh: formic_mesh::Config,
    /// How eagerly others are watched.
    pub healing: formic_healing::Config,
    /// How tasks are placed and queued. `slots` and `capabilities` are taken from `mesh`.
    pub work: formic_work::Config,
    /// How peers are chosen by what is known of them. `brief` is taken for `work`, too.
    pub trails: formic_pheromones::Config,
    /// How eagerly voters agree. `open_per_proposer` is 1,024 here: a job may validate many tasks at once.
    pub consensus: formic_consensus::Config,
    /// How long more voters than may be absent have to be down until a question is given up: `0..=1 h`, default 10 s.
    /// Shorter fails a task sooner where voters are lost for good, longer waits for those that restart.
    pub voters_lost: Duration,
    /// How eagerly ledgers are kept in step.
    pub completion: formic_completion::Config,
    /// The seed of all random choices.
    pub seed: u64,
    /// How long a leaving peer lets bodies run: `0..=1 h`, default 5 s. Longer wastes less work.
    pub leave_grace: Duration,
    /// Whether a client may ask this peer to leave; only for meshes on one host. Default `Refused`.
    pub remote_leave: RemoteLeave,
}

/// Whether [`Request::Leave`](crate::Request::Leave) is obeyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RemoteLeave {
    /// It is not, and counted as misbehaviour.
    #[default]
    Refused,
    /// A launcher on the same host started the peer and may end it.
    Allowed,
}

impl Config {
    /// Goes on where an earlier life stopped: a peer that was a member of a mesh, and did not leave it, founds no other.
    pub fn resume(&mut self, records: &[Record]) {
        let last = records.iter().rev().find_map(|record| match record {
            Record::Mesh(mesh) => Some(Some(*mesh)),
            Record::Left => Some(None),
            _ => None,
        });
        if let Some(Some(mesh)) = last {
            (self.mesh.found, self.mesh.rejoin) = (None, Some(mesh));
        }
    }

    /// Defaults for this life.
    pub fn new(life: Life, secret: SecretKey) -> Self {
        let mut trails = formic_pheromones::Config::default();
        // Fewer, fuller messages: with a second between them hearsay still outlives its interval thirty times.
        trails.share_interval = Duration::from_secs(1);
        let mut consensus = formic_consensus::Config::default();
        consensus.open_per_proposer = 1_024;
        Self {
            consensus,
            voters_lost: Duration::from_secs(10),
            life,
            secret,
            mesh: formic_mesh::Config::default(),
            healing: formic_healing::Config::default(),
            work: formic_work::Config::default(),
            trails,
            completion: formic_completion::Config::default(),
            seed: 0,
            leave_grace: Duration::from_secs(5),
            remote_leave: RemoteLeave::Refused,
        }
    }
}
