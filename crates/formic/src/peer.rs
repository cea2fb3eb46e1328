use core::{fmt, time::Duration};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use formic_completion::Verdict;
use formic_core::{
    Capability, Digest, FateId, JobId, Life,
    discovery::{Announce, Discovery},
    transport::{Address, Transport},
};
use formic_node::{Message, Node, RemoteLeave, Status};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use crate::{
    Adapters, Agent, Error, EventLog, Identity, LogEvent, Plan, Store, Voters,
    clock::Clock,
    driver::{Announcer, Bodies, Driver, Ending, Jobs, Membership, Order, Sent, Stopped, Wire},
    identity::random_seed,
    journal::{Journal, Release},
};

/// Orders that wait for the driver; a full queue makes callers wait.
const ORDERS: usize = 64;

/// A running peer of a mesh: a handle, cheap to clone. The peer dies with its last handle, as if killed.
#[derive(Clone)]
pub struct Peer {
    inner: Arc<Inner>,
}

struct Inner {
    /// It was a member of a mesh before it was started.
    rejoins: bool,
    life: watch::Receiver<Life>,
    name: String,
    addresses: Vec<Address>,
    orders: mpsc::Sender<Order>,
    membership: watch::Receiver<Membership>,
    stopped: watch::Receiver<Option<Stopped>>,
    release: Release,
    /// Holds the one driver task.
    driver: Mutex<JoinSet<()>>,
}

/// A peer to be started. Made by [`Peer::builder`].
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    transport: Arc<dyn Transport<Message>>,
    identity: Identity,
    name: Option<String>,
    agents: Vec<Arc<dyn Agent>>,
    adapters: Option<Arc<dyn Adapters>>,
    capabilities: BTreeSet<Capability>,
    slots: Option<u32>,
    seeds: Vec<Address>,
    sources: Vec<Arc<dyn Discovery>>,
    places: Vec<Arc<dyn Announce>>,
    store: Option<Store>,
    log: EventLog,
    seed: Option<u64>,
    remote_leave: RemoteLeave,
    grace: Duration,
}

impl Builder {
    /// A name for people; default: the first digits of the peer's id.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// An agent that executes tasks here. Its capabilities become the peer's, its slots are added to the peer's.
    pub fn agent(mut self, agent: impl Agent) -> Self {
        self.agents.push(Arc::new(agent));
        self
    }

    /// Opens agents for tasks that no own agent can execute and that name one. Without it such tasks fail here.
    pub fn adapters(mut self, adapters: Arc<dyn Adapters>) -> Self {
        self.adapters = Some(adapters);
        self
    }

    /// What the peer can do beyond its own agents.
    pub fn capabilities(mut self, capabilities: impl IntoIterator<Item = Capability>) -> Self {
        self.capabilities.extend(capabilities);
        self
    }

    /// How many tasks run at once, those that wait for children not counted; default: the sum over the own agents, or
    /// 1 without any.
    pub const fn slots(mut self, slots: u32) -> Self {
        self.slots = Some(slots);
        self
    }

    /// Joins the mesh that answers at any of these addresses. Without it the peer founds a mesh.
    pub fn join(mut self, addresses: impl IntoIterator<Item = Address>) -> Self {
        self.seeds.extend(addresses);
        self
    }

    /// Keeps in `store` what must survive the process; the peer's identity must be the store's.
    pub fn store(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// Writes what happens to `log`.
    pub fn log(mut self, log: EventLog) -> Self {
        self.log = log;
        self
    }

    /// Fixes the seed of the protocols' random choices; default: from the system.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Lets clients ask this peer to leave ([`Client::leave`](crate::Client::leave)): for peers that a launcher on the
    /// same host started. Without it such requests are refused and counted.
    pub const fn allow_remote_leave(mut self) -> Self {
        self.remote_leave = RemoteLeave::Allowed;
        self
    }

    /// Another source of addresses, asked while the peer looks for others and now and then later. A peer with a source
    /// founds no mesh.
    pub fn discover(mut self, source: Arc<dyn Discovery>) -> Self {
        self.sources.push(source);
        self
    }

    /// A place where the peer is announced from the time that it is a member until it stops. A place that cannot be used
    /// is tried again every minute, with a warning in the log.
    pub fn announce(mut self, place: Arc<dyn Announce>) -> Self {
        self.places.push(place);
        self
    }

    /// How long a body that was told to stop may go on before it is dropped; default 2 s.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Starts the peer on the current runtime. It joins in the background: see [`Peer::wait_joined`].
    ///
    /// Not cancel-safe: a dropped call may leave the store's new incarnation unused, which is harmless.
    ///
    /// # Errors
    /// [`Error::WrongLife`], [`Error::WrongStore`], [`Error::Config`], [`Error::Store`], [`Error::Entropy`].
    pub async fn start(self) -> Result<Peer, Error> {
        let me = self.check()?;
        let (journal, release) = Journal::new(self.store.clone(), me.incarnation);
        let records = journal.records().await?;
        let name = self.name.clone().unwrap_or_else(|| me.peer.short());
        let mut config = self.config(&name)?;
        config.resume(&records);
        let node = Node::new(config.clone())
            .map_err(|error| Error::Config { reason: error.to_string() })?;
        let addresses = self.transport.addresses();
        let rejoins = config.mesh.rejoin.is_some();
        self.log_start(&name);
        let (orders, received) = mpsc::channel(ORDERS);
        let (membership, joined) = watch::channel(Membership::Asking);
        let (ended, stopped) = watch::channel(None);
        let (lives, life) = watch::channel(me);
        let driver = Driver {
            me,
            lives,
            config,
            node,
            clock: Clock::start(),
            wire: Wire::new(self.transport),
            sources: self.sources,
            announcer: Announcer::new(self.places),
            bodies: Bodies::new((me, name.clone()), self.agents, self.adapters, self.grace),
            orders: received,
            journal,
            log: self.log,
            jobs: Jobs::default(),
            membership,
            inputs: VecDeque::new(),
            effects: VecDeque::new(),
            sent: Sent::default(),
            refusals: BTreeMap::new(),
            rebirth: None,
            stopped: None,
        };
        let mut task = JoinSet::new();
        task.spawn(async move {
            ended.send_replace(Some(driver.run(records).await));
        });
        let driver = Mutex::new(task);
        let inner = Inner {
            rejoins,
            life,
            name,
            addresses,
            orders,
            membership: joined,
            stopped,
            release,
            driver,
        };
        Ok(Peer { inner: Arc::new(inner) })
    }

    fn check(&self) -> Result<Life, Error> {
        let peer = self.identity.life();
        let transport = self.transport.local();
        if transport != peer {
            return Err(Error::WrongLife { transport, peer });
        }
        match self.store.as_ref().map(|store| store.identity().life()) {
            Some(store) if store != peer => Err(Error::WrongStore { store, peer }),
            _ => Ok(peer),
        }
    }

    fn config(&self, name: &str) -> Result<formic_node::Config, Error> {
        let identity = &self.identity;
        let mut config = formic_node::Config::new(identity.life(), identity.secret().clone());
        if self.seeds.is_empty() && self.sources.is_empty() {
            config.mesh.found = Some(Digest::of(&[&*random_seed()?]));
        }
        config.mesh.fate = self.fate()?;
        config.mesh.seeds.clone_from(&self.seeds);
        name.clone_into(&mut config.mesh.name);
        config.mesh.addresses = self.transport.addresses();
        config.mesh.capabilities = self.all_capabilities();
        config.mesh.slots = self.all_slots();
        config.remote_leave = self.remote_leave;
        config.seed = match self.seed {
            Some(seed) => seed,
            None => getrandom::u64().map_err(Error::Entropy)?,
        };
        Ok(config)
    }

    /// Peers of one process share its fate where their transport says that it does, and reports it.
    fn fate(&self) -> Result<FateId, Error> {
        static PROCESS: OnceLock<u64> = OnceLock::new();
        let own = getrandom::u64().map_err(Error::Entropy)?;
        let shared = self.transport.capabilities().shared_fate;
        Ok(FateId(if shared { *PROCESS.get_or_init(|| own) } else { own }))
    }

    /// Own capabilities and the agents', sorted and unique.
    fn all_capabilities(&self) -> Vec<Capability> {
        let mut all = self.capabilities.clone();
        for agent in &self.agents {
            all.extend(agent.describe().capabilities);
        }
        all.into_iter().collect()
    }

    fn all_slots(&self) -> u32 {
        let of_agents = || self.agents.iter().map(|agent| agent.describe().slots).sum::<u32>();
        self.slots.unwrap_or_else(|| of_agents().max(1))
    }

    fn log_start(&self, name: &str) {
        let event = LogEvent::PeerStarted {
            name: name.to_owned(),
            pid: std::process::id(),
            capabilities: self.all_capabilities().iter().map(ToString::to_string).collect(),
            slots: self.all_slots(),
            address: self
                .transport
                .addresses()
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
        };
        self.log.write(&self.identity.life().to_string(), event);
    }
}

impl Peer {
    /// A peer over `transport`, which was opened for `identity`.
    pub fn builder(transport: Arc<dyn Transport<Message>>, identity: Identity) -> Builder {
        Builder {
            transport,
            identity,
            name: None,
            agents: Vec::new(),
            adapters: None,
            capabilities: BTreeSet::new(),
            slots: None,
            seeds: Vec::new(),
            sources: Vec::new(),
            places: Vec::new(),
            store: None,
            log: EventLog::none(),
            seed: None,
            remote_leave: RemoteLeave::Refused,
            grace: Duration::from_secs(2),
        }
    }

    /// Who it is. A peer that its mesh declared dead while it was out of touch goes on as its next life.
    pub fn life(&self) -> Life {
        *self.inner.life.borrow()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Whether it returned to a mesh from its store: it is a member again once a majority of that mesh is back.
    pub fn rejoins(&self) -> bool {
        self.inner.rejoins
    }

    /// Where others reach it: what they give to [`Builder::join`].
    pub fn addresses(&self) -> &[Address] {
        &self.inner.addresses
    }

    /// Whether it has not stopped yet.
    pub fn is_running(&self) -> bool {
        self.inner.stopped.borrow().is_none() && self.inner.stopped.has_changed().is_ok()
    }

    /// Waits until the peer is a member of a mesh. Cancel-safe.
    ///
    /// # Errors
    /// [`Error::JoinRefused`], [`Error::Stopped`].
    pub async fn wait_joined(&self) -> Result<(), Error> {
        let mut membership = self.inner.membership.clone();
        let decided = membership.wait_for(|membership| *membership != Membership::Asking).await;
        match decided.map(|membership| membership.clone()) {
            Ok(Membership::Refused { reason }) => Err(Error::JoinRefused { reason }),
            Ok(Membership::Member | Membership::Asking) => Ok(()),
            Err(_) => Err(Error::Stopped),
        }
    }

    /// The mesh and this peer's work, as it sees them. Cancel-safe.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn status(&self) -> Result<Status, Error> {
        self.ask(|reply| Order::Status { reply }).await
    }

    /// Submits a plan as a job with this peer as its first home. Returns once a majority of the home group has it: from
    /// then on it survives this peer.
    ///
    /// Not cancel-safe: a dropped call may or may not have submitted the job.
    ///
    /// # Errors
    /// [`Error::Plan`], [`Error::JobRefused`], [`Error::Stopped`].
    pub async fn submit(&self, plan: &Plan) -> Result<Job, Error> {
        let digest = plan.digest();
        let root = if plan.validates() {
            plan.seated(Voters::of(&self.status().await?))?.root()?
        } else {
            plan.root()?
        };
        let plan = digest;
        let (id, ending) = self.ask(|reply| Order::Submit { root, plan, reply }).await??;
        Ok(self.job_of(id, ending))
    }

    /// A handle to a job that this peer has state of, e.g. after a restart from its store. Cancel-safe.
    ///
    /// # Errors
    /// [`Error::UnknownJob`], [`Error::Stopped`].
    pub async fn job(&self, job: JobId) -> Result<Job, Error> {
        let ending = self.ask(|reply| Order::Attach { job, reply }).await??;
        Ok(self.job_of(job, ending))
    }

    fn job_of(&self, id: JobId, ending: Ending) -> Job {
        Job { id, ending, orders: self.inner.orders.clone() }
    }

    /// Leaves the mesh in good order: takes no new work, gives back what is queued, tells everybody, closes agents and
    /// links. Returns when the peer has stopped. Cancel-safe: a dropped call does not stop the leaving.
    pub async fn leave(&self) -> Stopped {
        // A peer that is gone already takes no orders.
        drop(self.inner.orders.send(Order::Leave).await);
        self.stopped().await
    }

    /// Vanishes without notice, as `kill -9` would: bodies are dropped, nothing is flushed, nobody is told. For chaos
    /// tests. The others notice at once where the transport shares its fate and nobody else holds it, else by silence.
    pub fn kill(&self) {
        self.inner.driver.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// Waits until the peer has stopped and holds its state directory no longer, and says how it stopped. What it was
    /// writing when it was killed is written first. Cancel-safe.
    pub async fn stopped(&self) -> Stopped {
        let mut stopped = self.inner.stopped.clone();
        let ended = stopped.wait_for(Option::is_some).await;
        let ended = ended.ok().and_then(|stopped| stopped.clone());
        self.inner.release.wait().await;
        ended.unwrap_or(Stopped::Killed)
    }

    /// Goes on as the next life, as if the node had found itself evicted.
    #[cfg(test)]
    pub(crate) async fn be_reborn(&self) {
        let mut life = self.inner.life.clone();
        let old = *life.borrow_and_update();
        assert!(self.inner.orders.send(Order::Reborn).await.is_ok(), "{old} has stopped");
        life.wait_for(|life| *life != old).await.expect("the driver runs");
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.inner.orders.send(order(reply)).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({} {})", self.inner.name, self.life())
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Builder({})", self.identity.life())
    }
}

/// A submitted job.
#[derive(Clone, Debug)]
pub struct Job {
    id: JobId,
    ending: Ending,
    orders: mpsc::Sender<Order>,
}

impl Job {
    /// Which job.
    pub const fn id(&self) -> JobId {
        self.id
    }

    /// Waits for the verdict: the result, and the certificate that proves it. Cancel-safe.
    ///
    /// # Errors
    /// [`Error::Stopped`]: this peer stopped first. The job may go on: ask another home peer.
    pub async fn wait(&self) -> Result<Arc<Verdict>, Error> {
        let mut ending = self.ending.clone();
        let verdict = ending.wait_for(Option::is_some).await.map_err(|_| Error::Stopped)?;
        verdict.clone().ok_or(Error::Stopped)
    }

    /// Cancels the job: a fact like any other. [`Job::wait`] still gives the verdict. Not cancel-safe: a dropped call
    /// may or may not have cancelled.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn cancel(&self, reason: impl Into<String>) -> Result<(), Error> {
        let order = Order::Cancel { job: self.id, reason: reason.into() };
        self.orders.send(order).await.map_err(|_| Error::Stopped)
    }
}
