//! Faults around any transport (transport.md section 6).

use core::{
    fmt,
    task::{Context, Poll},
    time::Duration,
};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use formic_core::{
    Blame, Fault, Incarnation, Life, PeerId,
    transport::{
        Address, Capabilities, Class, CloseReason, Closed, ConnectError, Counters, Event, Lanes,
        LinkError, LinkId, RenewError, Transport, TrySendError,
    },
};
use tokio::{runtime::Handle, task::JoinSet, time::Instant};

use crate::end::hold;

mod alarm;
mod inward;
mod outward;
mod plan;
mod weather;

use alarm::Alarm;
use inward::{Ending, Inward, View};
use outward::{Outward, Way};
use plan::{Injury, Plan};

pub use plan::{Faults, Injected, Pace};
pub use weather::{Delay, FaultError, OnFull, OnReconnect, Rates, Storm, Weather};

/// Above so many messages that wait for their moment, nothing more is taken from the transport.
const HELD_MAX: usize = 1_024;

/// Later than anything is due.
const FAR: Duration = Duration::from_secs(1 << 20);

/// No tokio runtime runs here, and faults wait by its clock. The caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("faults need a tokio runtime with time enabled")]
pub struct NoRuntime;

impl Blame for NoRuntime {
    fn fault(&self) -> Fault {
        Fault::Caller
    }
}

/// One end of any transport, behind [`Faults`]. All ends that meet should be wrapped with clones of one `Faults`:
/// delay, loss, duplicates and order are the receiver's, storms the sender's, partitions and cuts both ends'.
pub struct Faulty<M> {
    inner: Arc<dyn Transport<M>>,
    me: PeerId,
    faults: Faults,
    alarm: Arc<Alarm>,
    runtime: Handle,
    state: Mutex<State<M>>,
    /// The alarm, and links that are being cut.
    tasks: Mutex<JoinSet<()>>,
}

/// Locked before whatever the wrapped transport locks.
struct State<M> {
    inward: Inward<M>,
    outward: Outward,
    /// Due, and not taken yet.
    ready: Lanes<Event<M>>,
    stage: Stage,
    /// When the current span of a slow consumer began, and what it took in it.
    pace: Option<(Instant, usize)>,
    counts: Counts,
}

/// What this end did that the wrapped transport cannot know.
#[derive(Default)]
struct Counts {
    sent: [u64; 4],
    received: [u64; 4],
    full: u64,
    lost: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// Nothing is taken meanwhile: it would be of the old life.
    Renewing,
    /// The transport has nothing more.
    Closed,
}

impl<M: Clone + Send + 'static> Faulty<M> {
    /// Puts faults around an end.
    ///
    /// # Errors
    /// It is not called inside of a tokio runtime.
    ///
    /// # Panics
    /// The runtime's time is not enabled (tokio cannot be asked).
    pub fn around(inner: Arc<dyn Transport<M>>, faults: &Faults) -> Result<Arc<Self>, NoRuntime> {
        let runtime = Handle::try_current().map_err(|_| NoRuntime)?;
        let alarm = Arc::new(Alarm::default());
        faults.tell(&alarm);
        let mut tasks = JoinSet::new();
        tasks.spawn_on(Arc::clone(&alarm).run(), &runtime);
        let state = State {
            inward: Inward::new(),
            outward: Outward::default(),
            ready: Lanes::new(),
            stage: Stage::Running,
            pace: None,
            counts: Counts::default(),
        };
        Ok(Arc::new(Self {
            me: inner.local().peer,
            inner,
            faults: faults.clone(),
            alarm,
            runtime,
            state: Mutex::new(state),
            tasks: Mutex::new(tasks),
        }))
    }

    /// The runtime's moment: a test may have stopped its clock.
    fn now(&self) -> Instant {
        let _inside = self.runtime.enter();
        Instant::now()
    }

    fn view<'a>(&'a self, plan: &'a Plan) -> View<'a> {
        View { plan, faults: &self.faults, me: self.me, now: self.now() }
    }

    /// Brings the state up to date with the plan and the clock.
    fn refresh(&self, state: &mut State<M>, view: View<'_>) {
        for link in state.inward.cut(view) {
            let inner = Arc::clone(&self.inner);
            let mut tasks = hold(&self.tasks);
            while tasks.try_join_next().is_some() {}
            let close = async move { inner.close(link, CloseReason::Lost).await };
            tasks.spawn_on(close, &self.runtime);
        }
        let links = &state.inward.links;
        let blocked = |link: LinkId| {
            let peer = links.get(&link).map(|link| link.peer);
            view.plan.stalls(self.me) || peer.is_some_and(|peer| view.plan.blocks(self.me, peer))
        };
        let next = state.outward.calm(view.now, blocked);
        next.into_iter().for_each(|at| self.alarm.set(at));
    }

    /// Announces room on links that the consumer knows.
    fn announce(state: &mut State<M>) {
        let links = &state.inward.links;
        let told = |link: &LinkId| links.get(link).is_some_and(inward::Link::is_told);
        for (link, class) in state.outward.writable.extract_if(.., |(link, _)| told(link)) {
            state.ready.push(Class::Control, Event::Writable { link, class });
        }
    }

    /// Whether this end refuses: why, or that the class is full for now.
    fn gate(
        &self,
        state: &mut State<M>,
        (link, class): (LinkId, Class),
        view: View<'_>,
    ) -> Result<Option<PeerId>, LinkError> {
        let Some(known) = state.inward.links.get(&link) else { return Ok(None) };
        if known.ending == Ending::Cut {
            return Err(LinkError::Closed(CloseReason::Lost));
        }
        if let Some(reason) = known.down {
            return Err(LinkError::Closed(reason));
        }
        let peer = known.peer;
        let way = self.way(view.plan, peer, (link, class));
        // Hostile partitions lose what is sent instead of keeping it.
        let loses = self.faults.is_hostile() && way.is_blocked();
        // A dial returns a link before its consumer is told of it: no storm yet, its end would be news of nothing.
        let early = !known.is_told() && !way.is_blocked();
        if class == Class::Unreliable || loses || early {
            return Ok(Some(peer));
        }
        let Some(until) = state.outward.gate(way, view.now) else { return Ok(Some(peer)) };
        until.into_iter().for_each(|at| self.alarm.set(at));
        Err(LinkError::Full)
    }

    fn way<'a>(&'a self, plan: &'a Plan, peer: PeerId, (link, class): (LinkId, Class)) -> Way<'a> {
        Way { plan, faults: &self.faults, me: self.me, peer, link, class }
    }

    /// Sends to a peer that this end knows.
    fn send(&self, state: &mut State<M>, way: Way<'_>, message: M) -> Result<(), TrySendError<M>> {
        let losable = way.class == Class::Unreliable || self.faults.is_hostile();
        if losable && way.is_blocked() {
            self.faults.count(Injury::Lost);
            state.counts.sent[way.class as usize] += 1;
            state.counts.lost += 1;
            return Ok(());
        }
        let loses = way.plan.weather(self.me, way.peer).on_full == OnFull::Lose;
        match self.inner.try_send(way.link, way.class, message) {
            Ok(()) => {
                state.outward.accept(way);
                Ok(())
            }
            Err(refused) if refused.reason == LinkError::Full && loses => {
                self.faults.count(Injury::Lost);
                state.counts.sent[way.class as usize] += 1;
                Ok(())
            }
            Err(refused) => {
                if refused.reason == LinkError::Full {
                    state.outward.refuse(way.link, way.class);
                }
                Err(refused)
            }
        }
    }

    /// Takes from the transport what it has, if there is room here.
    fn fetch(&self, state: &mut State<M>, view: View<'_>, cx: &mut Context<'_>) {
        while state.stage == Stage::Running && state.inward.held(view) < HELD_MAX {
            let mut events = Vec::new();
            match self.inner.poll_events(cx, &mut events, HELD_MAX) {
                Poll::Pending => return,
                Poll::Ready(Err(Closed)) => state.stage = Stage::Closed,
                Poll::Ready(Ok(_)) => {}
            }
            for event in events {
                match event {
                    Event::Writable { link, class } => state.outward.on_writable(link, class),
                    other => state.inward.arrive(other, view),
                }
            }
        }
    }

    /// Moves to the consumer's queue what is due. After the end of the transport everything is.
    fn release(&self, state: &mut State<M>, view: View<'_>) {
        self.refresh(state, view);
        let calm = Plan::default();
        let view = match state.stage {
            Stage::Running | Stage::Renewing => view,
            Stage::Closed => View { plan: &calm, now: view.now + FAR, ..view },
        };
        for link in state.inward.release(view, &mut state.ready) {
            state.outward.forget(link);
        }
        Self::announce(state);
        state.inward.next(view).into_iter().for_each(|at| self.alarm.set(at));
    }

    /// How many events a slow consumer may still take now.
    fn allowance(&self, state: &mut State<M>, view: View<'_>, max: usize) -> usize {
        let Some(pace) = view.plan.pace(self.me) else { return max };
        let (began, taken) = match state.pace {
            Some((began, taken)) if view.now < began + pace.every => (began, taken),
            _ => (view.now, 0),
        };
        state.pace = Some((began, taken));
        if taken >= pace.events {
            self.alarm.set(began + pace.every);
        }
        max.min(pace.events.saturating_sub(taken))
    }

    /// Hands out at most `max` events.
    fn take(state: &mut State<M>, out: &mut Vec<Event<M>>, max: usize) -> usize {
        let start = out.len();
        while out.len() == start && state.ready.take(out, max) > 0 {
            let taken = out.split_off(start);
            out.extend(taken.into_iter().filter(|event| match event {
                Event::Writable { link, class } => state.outward.pays(*link, *class),
                _ => true,
            }));
        }
        for event in &out[start..] {
            if let Event::Message { class, .. } = event {
                state.counts.received[*class as usize] += 1;
            }
        }
        out.len() - start
    }

    /// What stands between this end and a peer.
    fn reachable(&self, peer: PeerId, address: &Address) -> Result<(), ConnectError> {
        match self.faults.plan().separates(self.me, peer) {
            true => Err(ConnectError::Unreachable(address.clone())),
            false => Ok(()),
        }
    }
}

impl<M> fmt::Debug for Faulty<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.me)
    }
}

/// Lets events be taken again, also when the call is dropped halfway.
struct Renewal<'a, M>(&'a Mutex<State<M>>, &'a Alarm);

impl<M> Drop for Renewal<'_, M> {
    fn drop(&mut self) {
        let mut state = hold(self.0);
        if state.stage == Stage::Renewing {
            state.stage = Stage::Running;
        }
        drop(state);
        self.1.ring();
    }
}

#[async_trait]
impl<M: Clone + Send + 'static> Transport<M> for Faulty<M> {
    fn local(&self) -> Life {
        self.inner.local()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn addresses(&self) -> Vec<Address> {
        self.inner.addresses()
    }

    fn try_send(&self, link: LinkId, class: Class, message: M) -> Result<(), TrySendError<M>> {
        let plan = self.faults.plan();
        let (view, mut state) = (self.view(&plan), hold(&self.state));
        self.refresh(&mut state, view);
        match self.gate(&mut state, (link, class), view) {
            Ok(Some(peer)) => self.send(&mut state, self.way(&plan, peer, (link, class)), message),
            Ok(None) => self.inner.try_send(link, class, message),
            Err(reason) => {
                if reason == LinkError::Full {
                    state.outward.refuse(link, class);
                    state.counts.full += 1;
                }
                Err(TrySendError { message, reason })
            }
        }
    }

    fn poll_ready(
        &self,
        link: LinkId,
        class: Class,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), LinkError>> {
        let plan = self.faults.plan();
        let (view, mut state) = (self.view(&plan), hold(&self.state));
        self.refresh(&mut state, view);
        // Before the question: a plan that changes in between rings.
        self.alarm.await_ready(cx.waker());
        match self.gate(&mut state, (link, class), view) {
            Ok(_) => self.inner.poll_ready(link, class, cx),
            Err(LinkError::Full) => Poll::Pending,
            Err(reason) => Poll::Ready(Err(reason)),
        }
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
        // Before the plan is read: a plan that changes in between rings.
        self.alarm.listen(cx.waker());
        let plan = self.faults.plan();
        let (view, mut state) = (self.view(&plan), hold(&self.state));
        if plan.stalls(self.me) || state.stage == Stage::Renewing {
            return Poll::Pending;
        }
        let allowed = self.allowance(&mut state, view, max);
        if allowed == 0 {
            return Poll::Pending;
        }
        self.release(&mut state, view);
        let mut count = Self::take(&mut state, out, allowed);
        if count == 0 {
            self.fetch(&mut state, view, cx);
            self.release(&mut state, view);
            count = Self::take(&mut state, out, allowed);
        }
        if let Some((_, taken)) = &mut state.pace {
            *taken += count;
        }
        match count {
            0 if state.stage == Stage::Closed => Poll::Ready(Err(Closed)),
            0 => Poll::Pending,
            _ => Poll::Ready(Ok(count)),
        }
    }

    async fn identify(&self, address: &Address) -> Result<PeerId, ConnectError> {
        let peer = self.inner.identify(address).await?;
        self.reachable(peer, address)?;
        Ok(peer)
    }

    async fn connect(&self, peer: PeerId, addresses: &[Address]) -> Result<LinkId, ConnectError> {
        let (open, cut) = {
            let plan = self.faults.plan();
            let (view, mut state) = (self.view(&plan), hold(&self.state));
            self.refresh(&mut state, view);
            let links = state.inward.links.iter().filter(|(_, link)| link.peer == peer);
            let cut: Vec<LinkId> = links
                .filter(|(_, link)| link.ending == Ending::Cut && link.down.is_none())
                .map(|(id, _)| *id)
                .collect();
            (state.inward.open(peer), cut)
        };
        if let Some(address) = addresses.first().filter(|_| open.is_none() && peer != self.me) {
            self.reachable(peer, address)?;
        }
        // A link that is cut must not be mistaken for the one that is up.
        for link in cut {
            self.inner.close(link, CloseReason::Lost).await;
        }
        let link = self.inner.connect(peer, addresses).await?;
        let plan = self.faults.plan();
        hold(&self.state).inward.dialed(link, peer, self.view(&plan));
        Ok(link)
    }

    async fn close(&self, link: LinkId, reason: CloseReason) {
        if let Some(known) = hold(&self.state).inward.links.get_mut(&link)
            && known.ending == Ending::None
        {
            known.ending = Ending::Here;
        }
        self.inner.close(link, reason).await;
    }

    async fn renew(&self, incarnation: Incarnation) -> Result<(), RenewError> {
        {
            let mut state = hold(&self.state);
            if state.stage == Stage::Running {
                state.stage = Stage::Renewing;
            }
        }
        let _renewal = Renewal(&self.state, &self.alarm);
        self.inner.renew(incarnation).await?;
        let mut state = hold(&self.state);
        state.inward.forget();
        state.ready.keep_changes();
        Ok(())
    }

    async fn shutdown(&self, grace: Duration) {
        self.inner.shutdown(grace).await;
        self.alarm.ring();
    }

    fn counters(&self) -> Counters {
        let counts = &hold(&self.state).counts;
        let mut counters = self.inner.counters();
        for (sum, more) in counters.sent.iter_mut().zip(counts.sent) {
            *sum += more;
        }
        counters.received = counts.received;
        counters.full += counts.full;
        counters.dropped_unreliable += counts.lost;
        counters
    }
}
