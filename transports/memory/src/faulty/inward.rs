//! What one end receives: held back, lost, doubled and reordered between the transport and the consumer.

use core::{num::NonZeroU32, time::Duration};
use std::collections::{BTreeMap, VecDeque};

use formic_core::{
    Life, PeerId,
    transport::{Class, CloseReason, Direction, Event, Lanes, LinkId},
};
use tokio::time::Instant;

use super::{
    plan::{Faults, Injury, Plan},
    weather::{OnReconnect, Question},
};

const ALL: [Class; 4] = [Class::Control, Class::Data, Class::Bulk, Class::Unreliable];

/// So long a message that is to be overtaken waits for another one.
const OVERTAKEN_WITHIN: Duration = Duration::from_millis(20);

/// How a link comes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Up {
    /// A dial returned it; the transport has not reported it yet.
    Dialed,
    /// Reported, and not told yet.
    Waits(Life, Direction),
    Told,
}

/// Who ends a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nobody here.
    None,
    /// The consumer of this end: it is told at once.
    Here,
    /// A fault: nothing that comes any more is handed out.
    Cut,
}

/// A message and when it is due.
type Due<M> = (Instant, M);

/// One class of one link.
#[derive(Debug)]
struct Flow<M> {
    queue: VecDeque<Due<M>>,
    /// To be overtaken; if nothing comes, due then.
    overtaken: Option<Due<M>>,
}

/// A link as its consumer knows it, a little late.
#[derive(Debug)]
pub(super) struct Link<M> {
    pub(super) peer: PeerId,
    up: Up,
    flows: [Flow<M>; 4],
    /// The transport has reported its end.
    pub(super) down: Option<CloseReason>,
    pub(super) ending: Ending,
    /// Cuts of this pair before it came up.
    cuts: u64,
    /// Since when a partition separates its ends.
    separated: Option<Instant>,
}

/// Who judges, and as which peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) plan: &'a Plan,
    pub(super) faults: &'a Faults,
    pub(super) me: PeerId,
    pub(super) now: Instant,
}

/// The receiving half of one end.
#[derive(Debug)]
pub(super) struct Inward<M> {
    pub(super) links: BTreeMap<LinkId, Link<M>>,
    /// Links in the order in which the transport reported them.
    order: Vec<LinkId>,
    /// The last generation of each slot that ended: a dial may return a link that is over.
    ended: BTreeMap<u32, NonZeroU32>,
    /// How many messages of each class came from a peer, over all links to it.
    seqs: BTreeMap<PeerId, [u64; 4]>,
    /// The last message of each reliable class of a peer, where it is to come again.
    last: BTreeMap<PeerId, [Option<M>; 3]>,
}

impl<M> Flow<M> {
    const fn new() -> Self {
        Self { queue: VecDeque::new(), overtaken: None }
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.overtaken.is_none()
    }

    fn clear(&mut self) -> usize {
        let held = self.queue.len() + usize::from(self.overtaken.is_some());
        (self.queue, self.overtaken) = (VecDeque::new(), None);
        held
    }

    /// Queues a message; whoever waits to be overtaken goes right behind it.
    fn push(&mut self, due: Instant, message: M, view: View<'_>) {
        let due = self.insert(due, message, view);
        if let Some((_, overtaken)) = self.overtaken.take() {
            self.insert(due, overtaken, view);
        }
    }

    fn insert(&mut self, mut due: Instant, message: M, view: View<'_>) -> Instant {
        let mut place = self.queue.len();
        if view.faults.is_hostile() {
            place = self.queue.partition_point(|(other, _)| *other <= due);
        } else if let Some((last, _)) = self.queue.back() {
            due = due.max(*last);
        }
        self.queue.insert(place, (due, message));
        due
    }

    fn next(&self) -> Option<Instant> {
        let front = self.queue.front().map(|(due, _)| *due);
        let overtaken = self.overtaken.as_ref().map(|(due, _)| *due);
        front.into_iter().chain(overtaken).min()
    }

    /// The next message that is due.
    fn pop(&mut self, now: Instant) -> Option<M> {
        if let Some((_, message)) = self.overtaken.take_if(|(due, _)| *due <= now) {
            return Some(message);
        }
        self.queue.pop_front_if(|(due, _)| *due <= now).map(|(_, message)| message)
    }
}

impl<M> Link<M> {
    fn new(peer: PeerId, up: Up, cuts: u64) -> Self {
        let flows = [(); 4].map(|()| Flow::new());
        Self { peer, up, flows, down: None, ending: Ending::None, cuts, separated: None }
    }

    /// Whether its consumer has been told of it.
    pub(super) fn is_told(&self) -> bool {
        self.up == Up::Told
    }

    fn held(&self) -> usize {
        self.flows.iter().map(|flow| flow.queue.len()).sum()
    }

    /// Whether what came from its peer is held by a partition. The end of a process is no news of the network.
    fn is_blocked(&self, view: View<'_>) -> bool {
        let told = self.ending != Ending::None || self.down == Some(CloseReason::Gone);
        view.plan.blocks(self.peer, view.me) && !(self.down.is_some() && told)
    }

    fn lose(&mut self, view: View<'_>) {
        let held: usize = self.flows.iter_mut().map(Flow::clear).sum();
        (0..held).for_each(|_| view.faults.count(Injury::Lost));
    }
}

impl<M: Clone> Inward<M> {
    pub(super) const fn new() -> Self {
        Self {
            links: BTreeMap::new(),
            order: Vec::new(),
            ended: BTreeMap::new(),
            seqs: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// The link to a peer that is not about to end.
    pub(super) fn open(&self, peer: PeerId) -> Option<LinkId> {
        let open = |link: &Link<M>| link.down.is_none() && link.ending == Ending::None;
        let found = self.links.iter().find(|(_, link)| link.peer == peer && open(link));
        found.map(|(id, _)| *id)
    }

    /// A dial returned this link.
    pub(super) fn dialed(&mut self, id: LinkId, peer: PeerId, view: View<'_>) {
        if self.ended.get(&id.index).is_none_or(|last| *last < id.generation) {
            let cuts = view.plan.cuts(view.me, peer);
            self.links.entry(id).or_insert_with(|| Link::new(peer, Up::Dialed, cuts));
        }
    }

    /// The transport reports something, but no room.
    pub(super) fn arrive(&mut self, event: Event<M>, view: View<'_>) {
        match event {
            Event::Up { link, peer, direction } => self.on_up(link, (peer, direction), view),
            Event::Message { link, class, message } => {
                self.on_message((link, class), message, view);
            }
            Event::Down { link, reason } => {
                if let Some(known) = self.links.get_mut(&link) {
                    known.down = Some(match known.ending {
                        Ending::Cut => CloseReason::Lost,
                        Ending::None | Ending::Here => reason,
                    });
                }
            }
            Event::Writable { .. } => {}
        }
    }

    fn on_up(&mut self, id: LinkId, (peer, direction): (Life, Direction), view: View<'_>) {
        self.dialed(id, peer.peer, view);
        self.order.push(id);
        let again = self.replayed(peer.peer, view);
        let Some(link) = self.links.get_mut(&id) else { return };
        link.up = Up::Waits(peer, direction);
        for (flow, message) in link.flows.iter_mut().zip(again) {
            flow.queue.extend(message.map(|message| (view.now, message)));
        }
    }

    /// What a new link of a peer begins with that belongs to the last one.
    fn replayed(&mut self, peer: PeerId, view: View<'_>) -> [Option<M>; 3] {
        let last = self.last.remove(&peer).unwrap_or_default();
        if view.plan.weather(peer, view.me).on_reconnect == OnReconnect::Fresh {
            return Default::default();
        }
        last.iter().flatten().for_each(|_| view.faults.count(Injury::Duplicated));
        last
    }

    fn on_message(&mut self, (id, class): (LinkId, Class), message: M, view: View<'_>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let seq = &mut self.seqs.entry(link.peer).or_default()[class as usize];
        let draw = view.faults.draw(link.peer, view.me, class, *seq);
        *seq += 1;
        let weather = view.plan.weather(link.peer, view.me);
        let rates = weather.rates(class);
        let losable = class == Class::Unreliable || view.faults.is_hostile();
        let partitioned = losable && view.plan.blocks(link.peer, view.me);
        let lost = draw.happens(Question::Loss, rates.loss);
        if partitioned || lost || link.ending == Ending::Cut {
            view.faults.count(Injury::Lost);
            return;
        }
        if weather.on_reconnect == OnReconnect::Replay && class != Class::Unreliable {
            self.last.entry(link.peer).or_default()[class as usize] = Some(message.clone());
        }
        let delay = draw.delay(weather.delay);
        if delay > Duration::ZERO {
            view.faults.count(Injury::Delayed);
        }
        let (due, flow) = (view.now + delay, &mut link.flows[class as usize]);
        if draw.happens(Question::Duplicate, rates.duplicate) {
            view.faults.count(Injury::Duplicated);
            flow.push(due, message.clone(), view);
        }
        if flow.overtaken.is_none() && draw.happens(Question::Reorder, rates.reorder) {
            view.faults.count(Injury::Reordered);
            flow.overtaken = Some((due + OVERTAKEN_WITHIN, message));
        } else {
            flow.push(due, message, view);
        }
    }

    /// Links whose connection is cut now, by command or because a partition lasts.
    pub(super) fn cut(&mut self, view: View<'_>) -> Vec<LinkId> {
        let mut cut = Vec::new();
        for (id, link) in &mut self.links {
            let separates = view.plan.separates(view.me, link.peer);
            link.separated = separates.then(|| link.separated.unwrap_or(view.now));
            let lasted = link.separated.zip(view.plan.lost_after);
            let lost = lasted.is_some_and(|(since, span)| view.now >= since + span);
            let told = view.plan.cuts(view.me, link.peer) > link.cuts;
            if (told || lost) && link.ending == Ending::None {
                link.ending = Ending::Cut;
                link.lose(view);
                view.faults.count(Injury::Cut);
                cut.push(*id);
            }
        }
        cut
    }

    /// Moves what is due to the consumer. Links that ended are returned.
    pub(super) fn release(&mut self, view: View<'_>, out: &mut Lanes<Event<M>>) -> Vec<LinkId> {
        let mut ended = Vec::new();
        for id in self.order.clone() {
            let Some(peer) = self.links.get(&id).map(|link| link.peer) else { continue };
            // The end of the last link of a peer comes before the beginning of the next one.
            let earlier = self.order.iter().take_while(|other| **other != id);
            let waits = earlier
                .filter(|other| !ended.contains(*other))
                .any(|other| self.links.get(other).is_some_and(|link| link.peer == peer));
            let Some(link) = self.links.get_mut(&id).filter(|_| !waits) else { continue };
            if release_link((id, link), view, out) {
                ended.push(id);
            }
        }
        for id in &ended {
            self.links.remove(id);
            self.ended.insert(id.index, id.generation);
        }
        self.order.retain(|id| !ended.contains(id));
        ended
    }

    /// When something is due next.
    pub(super) fn next(&self, view: View<'_>) -> Option<Instant> {
        // What waits for the end of an earlier link is due with it.
        let told = |link: &&Link<M>| link.is_told() && !link.is_blocked(view);
        let flows = self.links.values().filter(told).flat_map(|link| &link.flows);
        let due = flows.filter_map(Flow::next);
        let separated = self.links.values().filter(|link| link.ending == Ending::None);
        let lost = separated.filter_map(|link| Some(link.separated? + view.plan.lost_after?));
        due.chain(lost).min()
    }

    /// How many messages are held that no partition holds.
    pub(super) fn held(&self, view: View<'_>) -> usize {
        self.links.values().filter(|link| !link.is_blocked(view)).map(Link::held).sum()
    }

    /// All links end now: what came over them and was not taken is forgotten.
    pub(super) fn forget(&mut self) {
        for link in self.links.values_mut() {
            for flow in &mut link.flows {
                flow.clear();
            }
            link.ending = Ending::Here;
        }
    }
}

/// Moves what is due of one link; whether it ended.
fn release_link<M>(
    (id, link): (LinkId, &mut Link<M>),
    view: View<'_>,
    out: &mut Lanes<Event<M>>,
) -> bool {
    if let Up::Waits(peer, direction) = link.up {
        out.push_change(Event::Up { link: id, peer, direction });
        link.up = Up::Told;
    }
    let blocked = link.is_blocked(view);
    if link.down.is_some() && view.plan.blocks(link.peer, view.me) && !blocked {
        link.lose(view);
    }
    if blocked || !link.is_told() {
        return false;
    }
    for class in ALL {
        let flow = &mut link.flows[class as usize];
        while let Some(message) = flow.pop(view.now) {
            out.push(class, Event::Message { link: id, class, message });
        }
    }
    match link.down {
        Some(reason) if link.flows.iter().all(Flow::is_empty) => {
            out.push_change(Event::Down { link: id, reason });
            true
        }
        _ => false,
    }
}
