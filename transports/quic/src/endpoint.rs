//! What the tasks of one peer share: who is known, which links there are, what waits to be taken.
//!
//! Locks are taken in this order: directory, slots, inbox or a link's outbox; the gate's alone. None is
//! held across an `await`.

use core::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    task::Waker,
};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use bytes::Bytes;
use formic_core::{
    Incarnation, Life, PeerId,
    transport::{
        Class, CloseReason, ConnectError, Direction, Flaw, Lanes, LinkId, Misbehaviour, RenewError,
    },
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
};

use crate::{
    QuicRuntime,
    config::Config,
    dial::Contact,
    limits::Gate,
    link::{Link, disconnect, disconnect_reborn},
    reader::OVERHEAD,
};

/// Takes a lock. A panic elsewhere poisons nothing here: every critical section leaves a whole state.
pub(crate) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) config: Config,
    peer: PeerId,
    /// Changed under the directory's lock.
    incarnation: AtomicU64,
    /// Random per process: tells two processes with one life apart.
    pub(crate) fate: [u8; 16],
    pub(crate) quinn: quinn::Endpoint,
    pub(crate) runtime: QuicRuntime,
    pub(crate) counts: Counts,
    gate: Mutex<Gate>,
    directory: Mutex<Directory>,
    slots: RwLock<Slots>,
    inbox: Mutex<Inbox>,
    /// Told after each change of the directory.
    changed: watch::Sender<()>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: [AtomicU64; 4],
    pub(crate) received: [AtomicU64; 4],
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) full: AtomicU64,
    pub(crate) dropped: AtomicU64,
    /// By kind.
    pub(crate) misbehaved: [AtomicU64; 5],
    pub(crate) links_up: AtomicU64,
    pub(crate) pulses: AtomicU64,
    /// By flaw.
    pub(crate) flaws: [AtomicU64; 4],
}

/// Who is known and who waits for a link.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    contacts: HashMap<PeerId, Contact>,
    waiters: HashMap<PeerId, Vec<oneshot::Sender<Result<LinkId, ConnectError>>>>,
    pub(crate) left: bool,
}

#[derive(Debug, Default)]
struct Slots {
    slots: Vec<(NonZeroU32, Option<Arc<Link>>)>,
    free: Vec<u32>,
}

/// What waits for the consumer.
#[derive(Debug)]
pub(crate) enum Entry {
    Up(LinkId, Life, Direction),
    Message(Arc<Link>, Class, Bytes),
    Writable(LinkId, Class),
    Down(LinkId, CloseReason),
}

#[derive(Debug)]
struct Inbox {
    lanes: Lanes<Entry>,
    consumer: Option<Waker>,
    closed: bool,
}

impl Directory {
    pub(crate) fn contact(&mut self, peer: PeerId) -> &mut Contact {
        self.contacts.entry(peer).or_default()
    }

    /// Waits for a link. True if nobody dials yet: the caller must.
    pub(crate) fn await_link(
        &mut self,
        peer: PeerId,
        waiter: oneshot::Sender<Result<LinkId, ConnectError>>,
    ) -> bool {
        self.waiters.entry(peer).or_default().push(waiter);
        !core::mem::replace(&mut self.contact(peer).dialing, true)
    }

    fn answer(&mut self, peer: PeerId, result: &Result<LinkId, ConnectError>) {
        for waiter in self.waiters.remove(&peer).into_iter().flatten() {
            // A dropped connect future is no news to anybody.
            drop(waiter.send(result.clone()));
        }
    }
}

impl Endpoint {
    pub(crate) fn new(
        config: Config,
        fate: [u8; 16],
        quinn: quinn::Endpoint,
        runtime: QuicRuntime,
    ) -> Self {
        Self {
            peer: config.life.peer,
            incarnation: AtomicU64::new(config.life.incarnation.0),
            gate: Mutex::new(Gate::new(config.limits)),
            config,
            fate,
            quinn,
            runtime,
            counts: Counts::default(),
            directory: Mutex::default(),
            slots: RwLock::default(),
            inbox: Mutex::new(Inbox { lanes: Lanes::new(), consumer: None, closed: false }),
            changed: watch::Sender::new(()),
            tasks: Mutex::default(),
        }
    }

    /// Who this end is. Stable while the directory is held.
    pub(crate) fn me(&self) -> Life {
        Life::new(self.peer, Incarnation(self.incarnation.load(Ordering::Acquire)))
    }

    /// Begins the next life: all links of the old one end at once.
    pub(crate) fn renew(&self, incarnation: Incarnation) -> Result<(), RenewError> {
        let mut directory = self.directory();
        let current = self.me().incarnation;
        if directory.left {
            return Err(RenewError::ShutDown);
        }
        if incarnation <= current {
            return Err(RenewError::NotNewer { refused: incarnation, current });
        }
        self.incarnation.store(incarnation.0, Ordering::Release);
        for link in self.links() {
            // What arrived for the old life is not handed out, whoever holds it.
            link.poisoned.store(true, Ordering::Relaxed);
            self.down(&mut directory, &link, CloseReason::Closed);
            disconnect_reborn(&link.connection);
        }
        drop(directory);
        // Handshakes of the old life look again.
        self.tell();
        Ok(())
    }

    /// Runs a task until it ends or the endpoint is dropped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = hold(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, self.runtime.handle());
    }

    pub(crate) fn abort(&self) {
        hold(&self.tasks).abort_all();
    }

    pub(crate) fn gate(&self) -> MutexGuard<'_, Gate> {
        hold(&self.gate)
    }

    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        hold(&self.directory)
    }

    /// News of the directory since this call.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn tell(&self) {
        self.changed.send_replace(());
    }

    pub(crate) fn link(&self, id: LinkId) -> Option<Arc<Link>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let (generation, link) = slots.slots.get(usize::try_from(id.index).ok()?)?;
        link.clone().filter(|_| *generation == id.generation)
    }

    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.slots.iter().filter_map(|(_, link)| link.clone()).collect()
    }

    /// A link comes up, made by `make` under its new id. Everybody who waits for the peer is told.
    pub(crate) fn up(
        &self,
        directory: &mut Directory,
        direction: Direction,
        make: impl FnOnce(LinkId) -> Link,
    ) -> Arc<Link> {
        let link = self.slots.write().unwrap_or_else(PoisonError::into_inner).fill(make);
        self.counts.links_up.fetch_add(1, Ordering::Relaxed);
        directory.contact(link.peer.peer).up = Some(link.id);
        self.push_change(Entry::Up(link.id, link.peer, direction));
        directory.answer(link.peer.peer, &Ok(link.id));
        self.tell();
        link
    }

    /// A dial ended without a link.
    pub(crate) fn dial_failed(&self, peer: PeerId, error: ConnectError) {
        let mut directory = self.directory();
        directory.contact(peer).dialing = false;
        directory.answer(peer, &Err(error));
        drop(directory);
        self.tell();
    }

    /// A link goes down. Idempotent: the first reason stays.
    pub(crate) fn down(&self, directory: &mut Directory, link: &Link, reason: CloseReason) {
        let contact = directory.contact(link.peer.peer);
        if contact.up == Some(link.id) {
            contact.up = None;
        }
        let mut inbox = hold(&self.inbox);
        if link.down.set(reason).is_err() {
            return;
        }
        inbox.lanes.push_change(Entry::Down(link.id, reason));
        let consumer = inbox.consumer.take();
        drop(inbox);
        let ready = link.out().abandon();
        consumer.into_iter().chain(ready).for_each(Waker::wake);
        link.room.iter().for_each(tokio::sync::Notify::notify_one);
        self.tell();
    }

    /// A link goes down and its connection is closed at once.
    pub(crate) fn cut(&self, directory: &mut Directory, id: LinkId, reason: CloseReason) {
        if let Some(link) = self.link(id) {
            self.down(directory, &link, reason);
            link.disconnect(reason);
        }
    }

    /// The peer broke the rules on this link.
    pub(crate) fn punish(&self, link: &Link, kind: Misbehaviour) {
        self.counts.misbehaved[kind as usize].fetch_add(1, Ordering::Relaxed);
        tracing::warn!(peer = %link.peer, ?kind, "link closed: the peer broke the protocol");
        self.down(&mut self.directory(), link, CloseReason::Misbehaved(kind));
        link.disconnect(CloseReason::Misbehaved(kind));
    }

    /// The peer broke the rules before there was a link.
    pub(crate) fn turn_away(&self, connection: &quinn::Connection, reason: CloseReason) {
        if let CloseReason::Misbehaved(kind) = reason {
            self.counts.misbehaved[kind as usize].fetch_add(1, Ordering::Relaxed);
        }
        tracing::debug!(%reason, remote = %connection.remote_address(), "connection refused");
        disconnect(connection, reason);
    }

    /// A handshake failed because of a certificate. Logged when the count doubles: strangers do not fill a disk.
    pub(crate) fn count_flaw(
        &self,
        remote: SocketAddr,
        flaw: Flaw,
        error: &quinn::ConnectionError,
    ) {
        let count = self.counts.flaws[flaw as usize].fetch_add(1, Ordering::Relaxed) + 1;
        if !count.is_power_of_two() {
            return;
        }
        if matches!(error, quinn::ConnectionError::ConnectionClosed(_)) {
            tracing::warn!(%remote, %flaw, count, "who dialled does not let this peer in");
        } else {
            tracing::warn!(%remote, %flaw, count, "who dialled is not let in");
        }
    }

    fn push_change(&self, change: Entry) {
        let mut inbox = hold(&self.inbox);
        inbox.lanes.push_change(change);
        let consumer = inbox.consumer.take();
        drop(inbox);
        consumer.into_iter().for_each(Waker::wake);
    }

    /// Received messages. False if the link is down: nothing was queued.
    pub(crate) fn push_messages(&self, link: &Arc<Link>, class: Class, bodies: Vec<Bytes>) -> bool {
        let mut inbox = hold(&self.inbox);
        if link.down.get().is_some() {
            return false;
        }
        let waiting = &link.waiting[class as usize];
        for body in bodies {
            let weight = body.len() + OVERHEAD;
            let full = waiting.load(Ordering::Relaxed) + weight > self.config.inbox;
            if class == Class::Unreliable
                && full
                && let Some(oldest) = inbox.lanes.drop_oldest_unreliable()
            {
                oldest.leave();
                self.count_dropped(1);
            }
            waiting.fetch_add(weight, Ordering::Release);
            inbox.lanes.push(class, Entry::Message(Arc::clone(link), class, body));
        }
        let consumer = if inbox.lanes.is_empty() { None } else { inbox.consumer.take() };
        drop(inbox);
        consumer.into_iter().for_each(Waker::wake);
        true
    }

    pub(crate) fn push_writable(&self, link: &Link, class: Class) {
        let mut inbox = hold(&self.inbox);
        if link.down.get().is_some() {
            return;
        }
        inbox.lanes.push(Class::Control, Entry::Writable(link.id, class));
        let consumer = inbox.consumer.take();
        drop(inbox);
        consumer.into_iter().for_each(Waker::wake);
    }

    /// Swaps all that waits into `empty`, or remembers the consumer. True if nothing will ever come.
    pub(crate) fn swap(&self, empty: &mut Lanes<Entry>, waker: &Waker) -> bool {
        let mut inbox = hold(&self.inbox);
        if inbox.lanes.is_empty() {
            inbox.lanes.shrink();
            inbox.consumer = Some(waker.clone());
            return inbox.closed;
        }
        core::mem::swap(&mut inbox.lanes, empty);
        false
    }

    /// Nothing comes any more.
    pub(crate) fn close_inbox(&self) {
        let mut inbox = hold(&self.inbox);
        inbox.closed = true;
        let consumer = inbox.consumer.take();
        drop(inbox);
        consumer.into_iter().for_each(Waker::wake);
    }

    /// Frees the slot of a link whose `Down` was taken.
    pub(crate) fn release(&self, id: LinkId) {
        self.slots.write().unwrap_or_else(PoisonError::into_inner).release(id);
    }

    pub(crate) fn count_dropped(&self, count: u64) {
        self.counts.dropped.fetch_add(count, Ordering::Relaxed);
    }
}

impl Entry {
    /// The entry left the inbox: its reader may go on.
    pub(crate) fn leave(&self) {
        let Self::Message(link, class, body) = self else { return };
        let weight = body.len() + OVERHEAD;
        link.waiting[*class as usize].fetch_sub(weight, Ordering::AcqRel);
        if let Some(room) = link.room.get(*class as usize) {
            room.notify_one();
        }
    }
}

impl Slots {
    fn fill(&mut self, make: impl FnOnce(LinkId) -> Link) -> Arc<Link> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push((NonZeroU32::MIN, None));
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let (generation, slot) = &mut self.slots[index as usize];
        let link = Arc::new(make(LinkId { index, generation: *generation }));
        *slot = Some(Arc::clone(&link));
        link
    }

    fn release(&mut self, id: LinkId) {
        let Some((generation, slot)) = self.slots.get_mut(id.index as usize) else { return };
        if *generation != id.generation || slot.take().is_none() {
            return;
        }
        // A slot whose generations are used up is retired, so that no id ever names two links.
        if let Some(next) = generation.checked_add(1) {
            *generation = next;
            self.free.push(id.index);
        }
    }
}
