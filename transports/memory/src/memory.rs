use core::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use formic_core::{
    Incarnation, Life, PeerId,
    transport::{
        Address, Capabilities, Class, CloseReason, Closed, ConnectError, Counters, Event, Lanes,
        LinkError, LinkId, RenewError, Transport, TrySendError,
    },
};

use crate::{
    end::{End, Link, hold},
    hub::Hub,
    inbox::{self, Pushed, Swapped},
};

/// One peer's end of the hub. Dropped without shutdown, the peer is gone as if it were killed.
pub struct Memory<M> {
    hub: Hub<M>,
    end: Arc<End<M>>,
    /// What `poll_events` swapped out and did not hand out yet.
    taken: Mutex<Lanes<Event<M>>>,
}

impl<M> Memory<M> {
    pub(crate) fn new(hub: Hub<M>, end: Arc<End<M>>) -> Self {
        Self { hub, end, taken: Mutex::new(Lanes::new()) }
    }

    #[cfg(test)]
    pub(crate) fn end(&self) -> &Arc<End<M>> {
        &self.end
    }

    /// Runs `send` with the link, this end's side and the receiver's inbox, if the link is up.
    fn at_receiver<R>(
        &self,
        id: LinkId,
        send: impl FnOnce(&Arc<Link<M>>, usize, &mut inbox::Inbox<M>) -> R,
    ) -> Result<(R, Option<Waker>), LinkError> {
        let links = self.end.links();
        let (link, side) = links.find(id).ok_or_else(|| self.no_link(id))?;
        let mut inbox = link.ends[1 - side].inbox();
        let down = link.down[*side].get().or_else(|| link.down[1 - side].get());
        if let Some(reason) = down {
            return Err(LinkError::Closed(*reason));
        }
        let result = send(link, *side, &mut inbox);
        let full_or_sent = inbox.consumer();
        Ok((result, full_or_sent))
    }

    /// A killed peer has no links any more, and is told so.
    fn no_link(&self, id: LinkId) -> LinkError {
        match self.end.inbox().life {
            inbox::Life::Gone => LinkError::Closed(CloseReason::Gone),
            inbox::Life::Living | inbox::Life::Leaving => LinkError::Unknown(id),
        }
    }

    /// Moves messages from the front of `queue` into the inbox until it is full.
    fn fill(
        &self,
        (link, side): (&Arc<Link<M>>, usize),
        inbox: &mut inbox::Inbox<M>,
        class: Class,
        mut next: impl FnMut() -> Option<M>,
    ) -> usize {
        let to = link.ids[1 - side];
        let receiver = &link.ends[1 - side].counts;
        let mut sent = 0;
        while class == Class::Unreliable || inbox.has_room(class, self.hub.config()) {
            let Some(message) = next() else { break };
            let event = Event::Message { link: to, class, message };
            if let Pushed::Dropped = inbox.push(class, event, self.hub.config()) {
                receiver.dropped.fetch_add(1, Ordering::Relaxed);
            }
            sent += 1;
        }
        self.end.counts.sent[class as usize].fetch_add(sent as u64, Ordering::Relaxed);
        sent
    }

    /// Notes that this side got `Full` and is owed one `Writable`.
    fn refuse(&self, link: &Arc<Link<M>>, side: usize, inbox: &mut inbox::Inbox<M>, class: Class) {
        self.end.counts.full.fetch_add(1, Ordering::Relaxed);
        let bit = 1 << class as u8;
        if link.refused[side].fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            inbox.await_writable(Arc::clone(link), side, class);
        }
    }

    /// After a swap: hands out what was owed.
    fn pay(swapped: Swapped<M>) {
        for (link, side, class) in swapped.refused {
            let mut inbox = link.ends[side].inbox();
            link.refused[side].fetch_and(!(1 << class as u8), Ordering::Relaxed);
            if link.down[side].get().is_some() {
                continue;
            }
            inbox.push_writable(Event::Writable { link: link.ids[side], class });
            let waker = inbox.consumer();
            drop(inbox);
            waker.into_iter().for_each(Waker::wake);
        }
        swapped.ready.into_iter().for_each(Waker::wake);
    }

    /// Counts what was handed out and frees the slots of links that ended.
    fn settle(&self, events: &[Event<M>]) {
        let mut received = [0_u64; 4];
        for event in events {
            match event {
                Event::Message { class, .. } => received[*class as usize] += 1,
                Event::Down { link, .. } => self.end.links_mut().release(*link),
                Event::Up { .. } | Event::Writable { .. } => {}
            }
        }
        for (count, received) in self.end.counts.received.iter().zip(received) {
            if received > 0 {
                count.fetch_add(received, Ordering::Relaxed);
            }
        }
    }
}

impl<M> fmt::Debug for Memory<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} at memory:{})", self.end.life(), self.end.name)
    }
}

impl<M> Drop for Memory<M> {
    fn drop(&mut self) {
        self.hub.kill(self.end.life());
        // After a shutdown, links whose `Down` was never taken are still there.
        drop(self.end.inbox().kill());
        self.end.links_mut().clear();
    }
}

#[async_trait]
impl<M: Send + 'static> Transport<M> for Memory<M> {
    fn local(&self) -> Life {
        self.end.life()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { max_message: [usize::MAX; 4], shared_fate: true }
    }

    fn addresses(&self) -> Vec<Address> {
        vec![Address::new("memory", &self.end.name)]
    }

    fn try_send(&self, link: LinkId, class: Class, message: M) -> Result<(), TrySendError<M>> {
        let mut message = Some(message);
        let sent = self.at_receiver(link, |link, side, inbox| {
            let sent = self.fill((link, side), inbox, class, || message.take());
            if sent == 0 {
                self.refuse(link, side, inbox, class);
            }
        });
        let reason = match sent {
            Ok(((), waker)) => {
                waker.into_iter().for_each(Waker::wake);
                LinkError::Full
            }
            Err(reason) => reason,
        };
        match message {
            None => Ok(()),
            Some(message) => Err(TrySendError { message, reason }),
        }
    }

    fn try_send_batch(
        &self,
        link: LinkId,
        class: Class,
        queue: &mut VecDeque<M>,
    ) -> Result<usize, LinkError> {
        let (sent, waker) = self.at_receiver(link, |link, side, inbox| {
            let sent = self.fill((link, side), inbox, class, || queue.pop_front());
            if !queue.is_empty() {
                self.refuse(link, side, inbox, class);
            }
            sent
        })?;
        waker.into_iter().for_each(Waker::wake);
        if sent == 0 && !queue.is_empty() { Err(LinkError::Full) } else { Ok(sent) }
    }

    fn poll_ready(
        &self,
        link: LinkId,
        class: Class,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), LinkError>> {
        let links = self.end.links();
        let Some((link, side)) = links.find(link) else {
            return Poll::Ready(Err(self.no_link(link)));
        };
        let mut inbox = link.ends[1 - side].inbox();
        if let Some(reason) = link.down[*side].get().or_else(|| link.down[1 - side].get()) {
            return Poll::Ready(Err(LinkError::Closed(*reason)));
        }
        if class == Class::Unreliable || inbox.has_room(class, self.hub.config()) {
            return Poll::Ready(Ok(()));
        }
        inbox.await_ready(cx.waker());
        Poll::Pending
    }

    fn poll_events(
        &self,
        cx: &mut Context<'_>,
        out: &mut Vec<Event<M>>,
        max: usize,
    ) -> Poll<Result<usize, Closed>> {
        if max == 0 {
            return Poll::Ready(Ok(0));
        }
        let start = out.len();
        let mut taken = hold(&self.taken);
        let mut count = taken.take(out, max);
        let mut inbox = self.end.inbox();
        let life = inbox.life;
        let swapped = if count == 0 { inbox.swap(&mut taken, cx.waker()) } else { None };
        drop(inbox);
        if life == inbox::Life::Gone {
            out.truncate(start);
            taken.clear();
            return Poll::Ready(Err(Closed));
        }
        if let Some(swapped) = swapped {
            Self::pay(swapped);
            count = taken.take(out, max);
        }
        if count == 0 {
            taken.shrink();
            let left = life == inbox::Life::Leaving;
            return if left { Poll::Ready(Err(Closed)) } else { Poll::Pending };
        }
        drop(taken);
        self.settle(&out[start..]);
        Poll::Ready(Ok(count))
    }

    async fn identify(&self, address: &Address) -> Result<PeerId, ConnectError> {
        let name = address.rest("memory").ok_or(ConnectError::NoAddress)?;
        self.hub.identify(name).ok_or_else(|| ConnectError::Unreachable(address.clone()))
    }

    async fn connect(&self, peer: PeerId, addresses: &[Address]) -> Result<LinkId, ConnectError> {
        let names: Vec<&str> =
            addresses.iter().filter_map(|address| address.rest("memory")).collect();
        self.hub.connect(&self.end, peer, &names)
    }

    async fn close(&self, link: LinkId, reason: CloseReason) {
        self.hub.close(&self.end, link, reason);
    }

    async fn renew(&self, incarnation: Incarnation) -> Result<(), RenewError> {
        // Held meanwhile: what was swapped out belongs to the old life as well.
        let mut taken = hold(&self.taken);
        self.hub.renew(&self.end, incarnation)?;
        taken.keep_changes();
        Ok(())
    }

    async fn shutdown(&self, _grace: Duration) {
        self.hub.leave(&self.end);
    }

    fn counters(&self) -> Counters {
        let counts = &self.end.counts;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut counters = Counters::default();
        counters.sent = counts.sent.each_ref().map(read);
        counters.received = counts.received.each_ref().map(read);
        counters.full = read(&counts.full);
        counters.dropped_unreliable = read(&counts.dropped);
        counters.links_up = read(&counts.links_up);
        counters
    }
}
