use core::{future::poll_fn, task::Poll};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use formic_core::{
    Incarnation, Life, PeerId,
    discovery::{Discovery, HINTS_MAX},
    transport::{
        Address, Class, CloseReason, ConnectError, Event, LinkError, LinkId, RenewError, Transport,
    },
};
use formic_node::Message;
use tokio::task::JoinSet;

/// Events taken at once: enough to amortise a wake-up, few enough not to starve deadlines.
const BATCH: usize = 256;
/// Messages that wait for one link and class; more are dropped, the protocols send again.
const QUEUE_MAX: usize = 65_536;
/// So many refusals of dials are told.
const TOLD_MAX: usize = 64;
/// Dials to stale addresses that one dial outlasts.
const STALE_DIALS: u32 = 3;
const CLASSES: [Class; 4] = [Class::Control, Class::Data, Class::Bulk, Class::Unreliable];

/// Links to other lives, with what waits to be sent over each.
pub(crate) struct Wire {
    transport: Arc<dyn Transport<Message>>,
    links: BTreeMap<Life, Link>,
    lives: BTreeMap<LinkId, Life>,
    /// Links with something to flush.
    dirty: BTreeSet<Life>,
    chores: JoinSet<Chore>,
    events: Vec<Event<Message>>,
    dropped: u64,
    /// Refusals that were told.
    told: BTreeSet<String>,
}

struct Link {
    id: LinkId,
    /// By class.
    queues: [VecDeque<Message>; 4],
    /// Waiting for `Writable`, by class.
    full: [bool; 4],
}

/// A dial that did not come up.
#[derive(Debug)]
pub(crate) struct DialFailed {
    pub(crate) peer: Option<PeerId>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) error: ConnectError,
}

/// What came of something done in the background.
enum Chore {
    Done,
    DialFailed(DialFailed),
    Found(Vec<Address>),
}

/// What the transport says.
pub(crate) enum Arrival {
    Events(Vec<Event<Message>>),
    DialFailed(DialFailed),
    /// Outside sources know of these.
    Found(Vec<Address>),
    /// The transport was shut down under the peer.
    Closed,
}

impl Wire {
    pub(crate) fn new(transport: Arc<dyn Transport<Message>>) -> Self {
        Self {
            transport,
            links: BTreeMap::new(),
            lives: BTreeMap::new(),
            dirty: BTreeSet::new(),
            chores: JoinSet::new(),
            events: Vec::new(),
            dropped: 0,
            told: BTreeSet::new(),
        }
    }

    /// Tells the user, once, of a dial that failed because of a certificate: time will not mend it.
    pub(crate) fn tell_flaw(&mut self, failed: &DialFailed) {
        if failed.error.flaw().is_none() || self.told.len() >= TOLD_MAX {
            return;
        }
        let at: Vec<String> = failed.addresses.iter().map(ToString::to_string).collect();
        let (at, error) = (at.join(", "), &failed.error);
        if self.told.insert(format!("{at} {error}")) {
            tracing::warn!(%at, %error, "no link");
        }
    }

    /// Waits for events or a failed dial. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Arrival {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// What has arrived already.
    pub(crate) fn arrived(&mut self) -> Option<Arrival> {
        let mut cx = core::task::Context::from_waker(core::task::Waker::noop());
        match self.poll(&mut cx) {
            Poll::Ready(arrival) => Some(arrival),
            Poll::Pending => None,
        }
    }

    fn poll(&mut self, cx: &mut core::task::Context<'_>) -> Poll<Arrival> {
        match self.transport.poll_events(cx, &mut self.events, BATCH) {
            Poll::Ready(Ok(_)) => {
                return Poll::Ready(Arrival::Events(core::mem::take(&mut self.events)));
            }
            Poll::Ready(Err(_)) => return Poll::Ready(Arrival::Closed),
            Poll::Pending => {}
        }
        while let Poll::Ready(Some(chore)) = self.chores.poll_join_next(cx) {
            match chore {
                Ok(Chore::DialFailed(failed)) => {
                    return Poll::Ready(Arrival::DialFailed(failed));
                }
                Ok(Chore::Found(addresses)) => return Poll::Ready(Arrival::Found(addresses)),
                Ok(Chore::Done) | Err(_) => {}
            }
        }
        Poll::Pending
    }

    /// A link came up.
    pub(crate) fn on_up(&mut self, id: LinkId, life: Life) {
        self.lives.insert(id, life);
        let link = Link { id, queues: Default::default(), full: [false; 4] };
        if let Some(old) = self.links.insert(life, link) {
            self.lives.remove(&old.id);
        }
    }

    /// A link ended; returns whose, if it was the one in use.
    pub(crate) fn on_down(&mut self, id: LinkId) -> Option<Life> {
        let life = self.lives.remove(&id)?;
        self.links.remove(&life);
        self.dirty.remove(&life);
        Some(life)
    }

    /// There is room again.
    pub(crate) fn on_writable(&mut self, id: LinkId, class: Class) {
        if let Some(life) = self.lives.get(&id)
            && let Some(link) = self.links.get_mut(life)
        {
            link.full[slot(class)] = false;
            self.dirty.insert(*life);
        }
    }

    /// Who is at the other end.
    pub(crate) fn life_of(&self, id: LinkId) -> Option<Life> {
        self.lives.get(&id).copied()
    }

    /// The life of a peer that a link is up to.
    pub(crate) fn link_to(&self, peer: PeerId) -> Option<Life> {
        self.links.keys().find(|life| life.peer == peer).copied()
    }

    /// Queues a message until the next flush; dropped where no link is up or too much waits.
    pub(crate) fn send(&mut self, to: Life, message: Message) {
        let class = message.class();
        let Some(link) = self.links.get_mut(&to) else { return };
        let queue = &mut link.queues[slot(class)];
        if queue.len() >= QUEUE_MAX {
            self.dropped += 1;
            return;
        }
        queue.push_back(message);
        self.dirty.insert(to);
    }

    /// Hands what is queued to the transport, as far as it has room.
    pub(crate) fn flush(&mut self) {
        for life in core::mem::take(&mut self.dirty) {
            let Some(link) = self.links.get_mut(&life) else { continue };
            CLASSES.iter().for_each(|class| flush_class(&*self.transport, link, *class));
        }
    }

    /// Opens a link in the background; a failure arrives as [`Arrival::DialFailed`].
    pub(crate) fn dial(&mut self, peer: Option<PeerId>, addresses: Vec<Address>) {
        let transport = Arc::clone(&self.transport);
        self.chores.spawn(async move {
            match dial(&*transport, peer, &addresses).await {
                Ok(()) => Chore::Done,
                Err(error) => {
                    tracing::debug!(?peer, ?addresses, %error, "dial failed");
                    Chore::DialFailed(DialFailed { peer, addresses, error })
                }
            }
        });
    }

    /// Asks a source in the background.
    pub(crate) fn discover(&mut self, source: Arc<dyn Discovery>) {
        self.chores.spawn(async move {
            match source.find().await {
                Ok(mut addresses) => {
                    addresses.truncate(HINTS_MAX);
                    Chore::Found(addresses)
                }
                Err(error) => {
                    tracing::warn!(%error, "a source of addresses brought nothing");
                    Chore::Done
                }
            }
        });
    }

    /// Closes the link to a life in the background.
    pub(crate) fn hang_up(&mut self, life: Life, reason: CloseReason) {
        let Some(link) = self.links.get(&life) else { return };
        let (transport, id) = (Arc::clone(&self.transport), link.id);
        self.chores.spawn(async move {
            transport.close(id, reason).await;
            Chore::Done
        });
    }

    /// Closes all links to a peer in the background.
    pub(crate) fn hang_up_peer(&mut self, peer: PeerId, reason: CloseReason) {
        let lives: Vec<Life> =
            self.links.keys().filter(|life| life.peer == peer).copied().collect();
        lives.into_iter().for_each(|life| self.hang_up(life, reason));
    }

    /// The peer's next life begins: all links end, and what waits for them is dropped.
    pub(crate) async fn renew(&mut self, incarnation: Incarnation) -> Result<(), RenewError> {
        self.transport.renew(incarnation).await?;
        // Failures of the old life's dials concern nobody.
        self.chores.shutdown().await;
        self.links.clear();
        self.lives.clear();
        self.dirty.clear();
        Ok(())
    }

    /// The transport itself.
    pub(crate) fn transport(&self) -> &Arc<dyn Transport<Message>> {
        &self.transport
    }

    /// Messages dropped because too much waited.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

const fn slot(class: Class) -> usize {
    match class {
        Class::Control => 0,
        Class::Data => 1,
        Class::Bulk => 2,
        Class::Unreliable => 3,
    }
}

fn flush_class(transport: &dyn Transport<Message>, link: &mut Link, class: Class) {
    let queue = &mut link.queues[slot(class)];
    while !queue.is_empty() && !link.full[slot(class)] {
        match transport.try_send_batch(link.id, class, queue) {
            Ok(_) => {}
            // Beats and gossip are worth nothing later.
            Err(LinkError::Full) if matches!(class, Class::Unreliable) => queue.clear(),
            Err(LinkError::Full) => link.full[slot(class)] = true,
            Err(error @ LinkError::TooLarge { .. }) => {
                tracing::error!(%error, "a message is too large for its class and was dropped");
                queue.pop_front();
            }
            // `Down` is on its way and takes the link out.
            Err(_) => queue.clear(),
        }
    }
}

async fn dial(
    transport: &dyn Transport<Message>,
    peer: Option<PeerId>,
    addresses: &[Address],
) -> Result<(), ConnectError> {
    if let Some(peer) = peer {
        return transport.connect(peer, addresses).await.map(drop);
    }
    let mut last = ConnectError::NoAddress;
    for address in addresses {
        let connected = match transport.identify(address).await {
            Ok(peer) => connect_at(transport, peer, address).await,
            Err(error) => Err(error),
        };
        match connected {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Who answered here is reached here, although a dial to an address that it had before it restarted may be under way: a
/// transport lets the second dial wait for the first, which then fails for both.
async fn connect_at(
    transport: &dyn Transport<Message>,
    peer: PeerId,
    address: &Address,
) -> Result<(), ConnectError> {
    let mut tries = 0;
    loop {
        match transport.connect(peer, core::slice::from_ref(address)).await {
            Err(ConnectError::Unreachable(other)) if other != *address && tries < STALE_DIALS => {
                tries += 1;
            }
            connected => return connected.map(drop),
        }
    }
}
