mod session;

use std::sync::Arc;

use formic_completion::Verdict;
use formic_core::{
    Blame, Epoch, Fault, JobId, Life, PeerId, View,
    transport::{Address, ConnectError, Transport},
};
use formic_node::{Message, Status, TrailStatus};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::{Plan, PlanError, Voters};
use session::{Request, Session};

/// Requests that wait for the session; a full queue makes callers wait.
const REQUESTS: usize = 64;

/// Talks to a mesh without being a member: submits jobs, waits for verdicts, asks for the status.
///
/// Holds on to one member at a time. When that one dies it goes to another: first to the home peers of the jobs it
/// waits for, then to whoever it has heard of, then to the addresses it was given.
#[derive(Debug)]
pub struct Client {
    requests: mpsc::Sender<Request>,
    transport: TransportHandle,
    /// Holds the one session task, which ends with the client.
    _session: JoinSet<()>,
}

/// A transport, without its internals in `Debug`.
struct TransportHandle(Arc<dyn Transport<Message>>);

/// A job submitted by a client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientJob {
    /// Which job.
    pub job: JobId,
    /// Its home group by rank, if known: whom to ask when the first contact dies.
    pub home: Vec<Life>,
}

impl ClientJob {
    /// A job known by its id only, e.g. from another process.
    pub const fn known(job: JobId) -> Self {
        Self { job, home: Vec::new() }
    }
}

/// Why a client got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody answers at any known address. The environment's fault.
    #[error("no peer answers at {}", list(addresses))]
    Unreachable {
        /// The addresses the client was given.
        addresses: Vec<Address>,
    },
    /// The member that was asked died before it answered; a submitted job may or may not run. The environment's fault.
    #[error("the peer was lost before it answered: the job may or may not have been accepted")]
    ContactLost,
    /// The job is not accepted; nothing runs. The environment's fault.
    #[error("the job was refused: {reason}")]
    Refused {
        /// Why, for people.
        reason: String,
    },
    /// The forced view is not made. The environment's fault.
    #[error("the view is not forced: {reason}")]
    ForceRefused {
        /// Why, for people.
        reason: String,
    },
    /// No member that was asked knows the job. The caller's fault.
    #[error("job {job} is not known")]
    UnknownJob {
        /// Which.
        job: JobId,
    },
    /// The plan is no plan. The caller's fault; nothing was sent.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The address leads nowhere. The environment's fault.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The client's transport was shut down. The caller's fault.
    #[error("the client's transport is shut down")]
    ShutDown,
}

impl Blame for ClientError {
    fn fault(&self) -> Fault {
        match self {
            Self::UnknownJob { .. } | Self::Plan(_) | Self::ShutDown => Fault::Caller,
            Self::Unreachable { .. }
            | Self::ContactLost
            | Self::Refused { .. }
            | Self::ForceRefused { .. }
            | Self::Connect(_) => Fault::Environment,
        }
    }
}

fn list(addresses: &[Address]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Client {
    /// A client of the mesh that answers at any of `addresses`. `transport` is its own: opened for a fresh identity,
    /// used by nobody else.
    ///
    /// Must be called on a runtime. Dials in the background, at once.
    pub fn new(transport: Arc<dyn Transport<Message>>, addresses: Vec<Address>) -> Self {
        let (requests, received) = mpsc::channel(REQUESTS);
        let session = Session::new(Arc::clone(&transport), addresses, received);
        let mut tasks = JoinSet::new();
        tasks.spawn(session.run());
        Self { requests, transport: TransportHandle(transport), _session: tasks }
    }

    /// Submits a plan. Returns once a majority of its home group has the job: from then on it survives any one peer.
    ///
    /// Not cancel-safe: a dropped call may or may not have submitted the job.
    ///
    /// # Errors
    /// [`ClientError::Plan`], [`ClientError::Refused`], [`ClientError::ContactLost`], [`ClientError::Unreachable`],
    /// [`ClientError::ShutDown`].
    pub async fn submit(&self, plan: &Plan) -> Result<ClientJob, ClientError> {
        let digest = plan.digest();
        let root = if plan.validates() {
            plan.seated(Voters::of(&*self.status().await?))?.root()?
        } else {
            plan.root()?
        };
        let plan = digest;
        self.ask(|reply| Request::Submit { root, plan, reply }).await
    }

    /// Waits for a job's verdict, across the deaths of members. Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError::UnknownJob`], [`ClientError::Unreachable`], [`ClientError::ShutDown`].
    pub async fn wait(&self, job: &ClientJob) -> Result<Arc<Verdict>, ClientError> {
        let job = job.clone();
        self.ask(|reply| Request::Wait { job, reply }).await
    }

    /// Who is there and what goes on, as the contacted member sees it. Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::ShutDown`].
    pub async fn status(&self) -> Result<Arc<Status>, ClientError> {
        self.ask(|reply| Request::Status { reply }).await
    }

    /// What the contacted member knows about others at the kinds of work that it placed: at most 1,000 trails.
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::ShutDown`].
    pub async fn trails(&self) -> Result<Vec<TrailStatus>, ClientError> {
        self.ask(|reply| Request::Trails { reply }).await
    }

    /// Goes on without a majority that is lost for ever: the contacted member makes a view of exactly `members`, if all
    /// of them agree that no majority is left. Not cancel-safe: a dropped call may or may not have forced it.
    ///
    /// # Errors
    /// [`ClientError::ForceRefused`], [`ClientError::ContactLost`], [`ClientError::Unreachable`].
    pub async fn force_view(
        &self,
        members: Vec<PeerId>,
        epoch: Epoch,
        reason: impl Into<String>,
    ) -> Result<Arc<View>, ClientError> {
        let reason = reason.into();
        self.ask(|reply| Request::Force { members, epoch, reason, reply }).await
    }

    /// Asks for a job to be cancelled; [`Client::wait`] still gives the verdict. Returns when the request is on its
    /// way. Not cancel-safe: a dropped call may or may not have asked.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::ShutDown`].
    pub async fn cancel(&self, job: JobId, reason: impl Into<String>) -> Result<(), ClientError> {
        let reason = reason.into();
        self.ask(|reply| Request::Cancel { job, reason, reply }).await
    }

    /// Asks the peer at `address` to leave in good order, and waits until its link ends. Not cancel-safe: a dropped
    /// call may or may not have asked.
    ///
    /// # Errors
    /// [`ClientError::Connect`], [`ClientError::ShutDown`].
    pub async fn leave(&self, address: &Address) -> Result<(), ClientError> {
        let peer = self.transport.0.identify(address).await?;
        let address = address.clone();
        self.ask(|reply| Request::Leave { peer, address, reply }).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, ClientError>>) -> Request,
    ) -> Result<T, ClientError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| ClientError::ShutDown)?;
        answer.await.map_err(|_| ClientError::ShutDown)?
    }
}

impl core::fmt::Debug for TransportHandle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.0.local())
    }
}
