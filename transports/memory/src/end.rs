//! One peer as the hub and its neighbours see it.

use core::{
    num::NonZeroU32,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
    task::Waker,
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    },
};

use formic_core::{
    Incarnation, Life, PeerId,
    transport::{CloseReason, Direction, Event, LinkId},
};

use crate::inbox::{self, Inbox};

/// Takes a lock. A panic elsewhere poisons nothing here: every critical section leaves a whole state.
pub(crate) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A link, seen from both sides: side 0 dialed, side 1 accepted.
#[derive(Debug)]
pub(crate) struct Link<M> {
    pub(crate) ends: [Arc<End<M>>; 2],
    pub(crate) ids: [LinkId; 2],
    /// Why the link is down at a side. Set under the inbox lock of that side's end, with the event.
    pub(crate) down: [OnceLock<CloseReason>; 2],
    /// Classes (as bits) for which a side is owed a `Writable`.
    pub(crate) refused: [AtomicU8; 2],
}

#[derive(Debug)]
struct Slot<M> {
    generation: NonZeroU32,
    /// The link, and which of its sides this end is.
    link: Option<(Arc<Link<M>>, usize)>,
}

/// The links of one end, by slot.
#[derive(Debug)]
pub(crate) struct Links<M> {
    slots: Vec<Slot<M>>,
    free: Vec<u32>,
    by_peer: HashMap<PeerId, LinkId>,
}

/// What one end did.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: [AtomicU64; 4],
    pub(crate) received: [AtomicU64; 4],
    pub(crate) full: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) links_up: AtomicU64,
}

/// One peer: its inbox and its links.
#[derive(Debug)]
pub(crate) struct End<M> {
    pub(crate) peer: PeerId,
    /// Changed under the hub's lock.
    incarnation: AtomicU64,
    pub(crate) name: String,
    pub(crate) counts: Counts,
    inbox: Mutex<Inbox<M>>,
    links: RwLock<Links<M>>,
}

impl<M> Links<M> {
    /// The link with exactly this id, and the side this end is.
    pub(crate) fn find(&self, id: LinkId) -> Option<&(Arc<Link<M>>, usize)> {
        let slot = self.slots.get(usize::try_from(id.index).ok()?)?;
        slot.link.as_ref().filter(|_| slot.generation == id.generation)
    }

    /// The link to `peer` that is up.
    pub(crate) fn up(&self, peer: PeerId) -> Option<LinkId> {
        let id = *self.by_peer.get(&peer)?;
        let (link, side) = self.find(id)?;
        link.down[*side].get().is_none().then_some(id)
    }

    /// A free slot. It stays free until [`Links::fill`].
    fn reserve(&mut self) -> LinkId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: NonZeroU32::MIN, link: None });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        LinkId { index, generation: self.slots[index as usize].generation }
    }

    fn fill(&mut self, link: &Arc<Link<M>>, side: usize) {
        let id = link.ids[side];
        self.slots[id.index as usize].link = Some((Arc::clone(link), side));
        self.by_peer.insert(link.ends[1 - side].peer, id);
    }

    /// Frees the slot of a link whose `Down` was taken.
    pub(crate) fn release(&mut self, id: LinkId) {
        let slot = &mut self.slots[id.index as usize];
        let Some((link, side)) = slot.link.take() else { return };
        let peer = link.ends[1 - side].peer;
        if self.by_peer.get(&peer) == Some(&id) {
            self.by_peer.remove(&peer);
        }
        // A slot whose generations are used up is retired, so that no id ever names two links.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(id.index);
        }
    }

    /// Forgets all links: a link and its ends point at each other.
    pub(crate) fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.link = None);
        self.by_peer.clear();
    }

    pub(crate) fn all(&self) -> Vec<(Arc<Link<M>>, usize)> {
        self.slots.iter().filter_map(|slot| slot.link.clone()).collect()
    }
}

impl<M> End<M> {
    pub(crate) fn new(life: Life, name: String) -> Self {
        Self {
            peer: life.peer,
            incarnation: AtomicU64::new(life.incarnation.0),
            name,
            counts: Counts::default(),
            inbox: Mutex::new(Inbox::new()),
            links: RwLock::new(Links {
                slots: Vec::new(),
                free: Vec::new(),
                by_peer: HashMap::new(),
            }),
        }
    }

    pub(crate) fn life(&self) -> Life {
        Life::new(self.peer, Incarnation(self.incarnation.load(Ordering::Acquire)))
    }

    /// Only under the hub's lock.
    pub(crate) fn begin_life(&self, incarnation: Incarnation) {
        self.incarnation.store(incarnation.0, Ordering::Release);
    }

    pub(crate) fn inbox(&self) -> MutexGuard<'_, Inbox<M>> {
        hold(&self.inbox)
    }

    pub(crate) fn links(&self) -> RwLockReadGuard<'_, Links<M>> {
        self.links.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn links_mut(&self) -> RwLockWriteGuard<'_, Links<M>> {
        self.links.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a link: both ends `Up` in one step. Only under the hub's lock.
pub(crate) fn open<M>(dialer: &Arc<End<M>>, acceptor: &Arc<End<M>>) -> LinkId {
    // Both ends at once, links before inboxes: no message may reach an end before its `Up`.
    let mut links = [dialer.links_mut(), acceptor.links_mut()];
    let ids = links.each_mut().map(|links| links.reserve());
    let link = Arc::new(Link {
        ends: [Arc::clone(dialer), Arc::clone(acceptor)],
        ids,
        down: [OnceLock::new(), OnceLock::new()],
        refused: [AtomicU8::new(0), AtomicU8::new(0)],
    });
    let mut inboxes = [dialer.inbox(), acceptor.inbox()];
    for (side, direction) in [(0, Direction::Dialed), (1, Direction::Accepted)] {
        links[side].fill(&link, side);
        let peer = link.ends[1 - side].life();
        inboxes[side].push_change(Event::Up { link: ids[side], peer, direction });
        link.ends[side].counts.links_up.fetch_add(1, Ordering::Relaxed);
    }
    let wakers = inboxes.map(|mut inbox| inbox.consumer());
    drop(links);
    wakers.into_iter().flatten().for_each(Waker::wake);
    ids[0]
}

/// Ends a link at both sides, with a reason for each. Idempotent. Only under the hub's lock.
pub(crate) fn end<M>(link: &Link<M>, reasons: [CloseReason; 2]) {
    for side in [0, 1] {
        let mut inbox = link.ends[side].inbox();
        if link.down[side].set(reasons[side]).is_err() {
            continue;
        }
        if inbox.life != inbox::Life::Gone {
            inbox.push_change(Event::Down { link: link.ids[side], reason: reasons[side] });
        }
        let mut wakers = inbox.take_ready();
        wakers.extend(inbox.consumer());
        drop(inbox);
        wakers.into_iter().for_each(Waker::wake);
    }
}
